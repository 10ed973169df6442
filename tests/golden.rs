//! A store of format version 1, kept in the repository: whatever a later build does, it reads this one in full.
//!
//! `tests/golden/v1/` was written once by the life in `compatibility/life.rs`: three segments, one of them merged and of
//! two blocks, traces deleted by the manifest and by a log, logs that are closed and one that is not sealed, spans with
//! every kind of value and every field set. `tests/golden/v1.json.gz` is what it answers. **Both are never written again
//! once version 1.0 of the crate is released: a test that fails then tells of a build that cannot read its users'
//! stores.** A new format is a new folder beside it. Until then a change of the format makes both anew:
//!
//! ```sh
//! TAILSPAN_BLESS=1 cargo test --test golden
//! ```

#[path = "compatibility/answers.rs"]
mod answers;
#[path = "compatibility/life.rs"]
mod life;
#[path = "common/numbered.rs"]
mod numbered;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tailspan::{ErrorKind, Store};

/// More than this does not belong into a repository.
const GOLDEN_BYTES_MAX: usize = 128 << 10;
/// What it answers, as packed JSON.
const ANSWERS: &str = "v1.json.gz";

type Files = BTreeMap<String, Vec<u8>>;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Every file below a folder, by its path from there.
fn files_in(folder: &Path) -> Files {
    let mut out = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").to_str().expect("UTF-8").to_owned();
                out.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    out
}

fn write_files(folder: &Path, files: &Files) {
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        std::fs::write(path, bytes).expect("the file is written");
    }
}

/// The golden files, after they were made anew if that is asked for.
fn golden_files() -> Files {
    static BLESSED: std::sync::Once = std::sync::Once::new();
    if std::env::var_os("TAILSPAN_BLESS").is_some() {
        BLESSED.call_once(|| {
            let folder = golden("v1");
            if folder.is_dir() {
                std::fs::remove_dir_all(&folder).expect("the old store goes");
            }
            write_files(&folder, &life::files());
            let copy = a_copy(&files_in(&folder));
            let answers = answers::of(&open(copy.path(), true));
            let file = std::fs::File::create(golden(ANSWERS)).expect("a file for the answers");
            let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::best());
            serde_json::to_writer(&mut packed, &answers).expect("JSON");
            packed.finish().expect("the answers are written");
        });
    }
    files_in(&golden("v1"))
}

fn a_copy(files: &Files) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    write_files(folder.path(), files);
    folder
}

fn open(path: &Path, mapped: bool) -> Store {
    Store::builder(path).read_only().create(false).map_files(mapped).open().expect("it opens")
}

#[test]
fn a_store_of_version_1_is_read_in_full() {
    let files = golden_files();
    let bytes: usize = files.values().map(Vec::len).sum();
    assert!(bytes <= GOLDEN_BYTES_MAX, "{bytes} bytes in {:?}", files.keys());
    let packed = std::fs::File::open(golden(ANSWERS)).expect("its answers");
    let expected: serde_json::Value = serde_json::from_reader(flate2::read::GzDecoder::new(packed)).expect("JSON");
    let copy = a_copy(&files);
    for mapped in [true, false] {
        let store = open(copy.path(), mapped);
        assert_eq!(store.recovery().damage, [""; 0]);
        assert_eq!(store.verify().expect("every file is readable").damaged, []);
        let answers = answers::of(&store);
        for (key, answer) in answers.as_object().expect("an object") {
            assert!(Some(answer) == expected.get(key), "{key} differs: {answer:#}\nexpected: {:#}", expected[key]);
        }
        assert_eq!(answers, expected);
        let spans: Vec<_> = store.spans().flat_map(|trace| trace.expect("nothing is damaged")).collect();
        life::is_what_was_written(&spans);
    }
    assert_eq!(files_in(copy.path()), files, "a reader writes nothing");
}

#[test]
fn a_store_of_version_1_is_gone_on_with() {
    let copy = a_copy(&golden_files());
    let store = Store::builder(copy.path()).seal_automatically(false).open().expect("it opens");
    assert_eq!(store.recovery().damage, [""; 0]);
    let more = numbered::span(1_000_000);
    store.append([&more]).map(drop).expect("it takes spans");
    store.seal().expect("it seals");
    store.merge_all().expect("it merges");
    let read = store.trace(more.trace_id).expect("a trace");
    assert_eq!(read.iter().map(numbered::number_of).collect::<Vec<_>>(), [Ok(1_000_000)]);
    let mut spans: Vec<_> = store.spans().flat_map(|trace| trace.expect("nothing is damaged")).collect();
    let before = spans.len();
    spans.retain(|span| *span != more);
    assert_eq!(before - spans.len(), 1);
    life::is_what_was_written(&spans);
    assert_eq!(store.verify().expect("every file is readable").damaged, []);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (first, second) = (life::files(), life::files());
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    for (name, bytes) in &first {
        assert!(second[name] == *bytes, "{name}");
    }
}

/// The file with the version in its header raised and its checksum right: what a newer build would have written.
fn of_version_2(bytes: &[u8], file_at: Option<usize>, checksum_at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[8] = 2;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[16..24]);
    hasher.update(file_at.map_or(&[0; 8], |at| &bytes[at..at + 8]));
    hasher.update(&[0; 8]);
    hasher.update(&bytes[..checksum_at]);
    bytes[checksum_at..checksum_at + 4].copy_from_slice(&hasher.finalize().to_le_bytes());
    bytes
}

#[test]
fn a_newer_version_is_refused_and_nothing_is_written() {
    let golden = golden_files();
    for name in golden.keys() {
        let mut files = golden.clone();
        let newer = match name.split('/').next() {
            Some("MANIFEST") => of_version_2(&files[name], None, 44),
            Some("log") => of_version_2(&files[name], Some(24), 44),
            Some("seg") => of_version_2(&files[name], Some(24), 32),
            _ => continue,
        };
        files.insert(name.clone(), newer);
        let copy = a_copy(&files);
        for read_only in [true, false] {
            let builder = Store::builder(copy.path());
            let opened = if read_only { builder.read_only().open() } else { builder.open() };
            let error = opened.expect_err("it is newer");
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error}");
            assert!(error.to_string().contains("newer"), "{name}: {error}");
            let mut left = files_in(copy.path());
            // Whoever opens to write takes the lock before reading segments.
            left.remove("LOCK");
            assert_eq!(left, files, "{name}");
        }
    }
}
