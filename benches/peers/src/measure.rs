//! What a store costs: time of the processor, memory, bytes on disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A process is idle if it took less of a processor than this share, so many times in a row.
const IDLE_SHARE_MAX: f64 = 0.01;
const IDLE_LOOKS: usize = 5;
const IDLE_LOOK_EVERY: Duration = Duration::from_millis(100);
const BUSY_LOOKS_MAX: usize = 600;

/// Seconds that all threads of this process had a processor, in user and system mode.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Waits until no thread of this process does anything: the clock is that of all of them, and what a store does in the
/// background after it was opened must not be charged to another one.
pub fn wait_until_idle() -> Result<()> {
    let mut idle = 0;
    for _ in 0..BUSY_LOOKS_MAX {
        let (before, began) = (cpu_seconds(), Instant::now());
        std::thread::sleep(IDLE_LOOK_EVERY);
        let share = (cpu_seconds() - before) / began.elapsed().as_secs_f64();
        idle = if share < IDLE_SHARE_MAX { idle + 1 } else { 0 };
        if idle == IDLE_LOOKS {
            return Ok(());
        }
    }
    anyhow::bail!("still busy in the background after {} s", (IDLE_LOOK_EVERY * BUSY_LOOKS_MAX as u32).as_secs())
}

/// The middle value; of two the greater. 0 if there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Sum of the lengths of all files below a directory.
pub fn bytes_below(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() { bytes_below(&entry.path())? } else { about.len() };
    }
    Ok(sum)
}

/// Bytes of memory of this process that no file backs; `None` where there is no /proc.
fn anonymous_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

/// Looks at the anonymous memory now and then, and keeps the most.
pub struct MemoryWatch {
    stop: Arc<AtomicBool>,
    watcher: JoinHandle<Option<u64>>,
}

impl MemoryWatch {
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let watcher = std::thread::spawn(move || {
            let mut most = anonymous_bytes();
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK_EVERY);
                most = most.max(anonymous_bytes());
            }
            most
        });
        Self { stop, watcher }
    }

    /// The most that was seen.
    pub fn finish(self) -> Option<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.watcher.join().unwrap_or_default()
    }
}
