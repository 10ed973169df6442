//! Opening an input: a file or standard input, gzip and zstd recognised by their magic numbers.

use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;

/// RFC 1952, section 2.3.1.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// RFC 8878, section 3.1.1.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What stands for standard input among file names.
const STDIN: &str = "-";

/// An input of decompressed bytes.
pub struct Source {
    reader: Box<dyn Read + Send>,
    read_bytes: Arc<AtomicU64>,
    live: bool,
}

/// Makes sure that a file can be read, and returns its length as stored; none if it has no length, like
/// standard input.
///
/// # Errors
/// What the operating system says, with the name of the file.
pub fn check(path: &Path) -> anyhow::Result<Option<u64>> {
    if path.as_os_str() == STDIN {
        return Ok(None);
    }
    let name = path.display();
    let metadata = File::open(path).and_then(|file| file.metadata()).with_context(|| format!("cannot read {name}"))?;
    if metadata.is_dir() {
        bail!("{name} is a folder; name the files in it, as in {name}/*.jsonl.gz");
    }
    Ok(metadata.is_file().then_some(metadata.len()))
}

impl Source {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == STDIN {
            return Self::wrap(Box::new(io::stdin()), true);
        }
        let file = File::open(path)?;
        let live = !file.metadata()?.is_file();
        Self::wrap(Box::new(file), live)
    }

    /// An input of these bytes.
    #[cfg(test)]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::wrap(Box::new(Cursor::new(bytes.to_vec())), false).expect("memory is readable")
    }

    fn wrap(reader: Box<dyn Read + Send>, live: bool) -> io::Result<Self> {
        let read_bytes = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: reader, count: Arc::clone(&read_bytes) };
        Ok(Self { reader: decompress(counted)?, read_bytes, live })
    }

    /// True if bytes come as someone produces them: a pipe, a terminal.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Stored bytes read since the last call.
    pub fn take_read_bytes(&self) -> u64 {
        self.read_bytes.swap(0, Relaxed)
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.reader.read(out)
    }
}

/// Unwraps gzip (several members in a row included) or zstd (several frames).
fn decompress(mut reader: Counted) -> io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::new();
    (&mut reader).take(ZSTD_MAGIC.len() as u64).read_to_end(&mut start)?;
    let gzip = start.starts_with(&GZIP_MAGIC);
    let zstd = start.starts_with(&ZSTD_MAGIC);
    let whole: Chain<Cursor<Vec<u8>>, Counted> = Cursor::new(start).chain(reader);
    Ok(match (gzip, zstd) {
        (true, _) => Box::new(MultiGzDecoder::new(BufReader::with_capacity(64 << 10, whole))),
        (_, true) => Box::new(zstd::stream::read::Decoder::new(whole)?),
        _ => Box::new(whole),
    })
}

/// Counts what passes, for the progress bar.
struct Counted {
    inner: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.count.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}
