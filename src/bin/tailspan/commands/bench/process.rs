//! What this process used: processor time and memory, as the operating system tells them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Clock ticks a second in /proc, the same on every Linux (USER_HZ).
const TICKS_A_SECOND: f64 = 100.0;

/// Processor seconds of all threads of this process so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CpuSeconds {
    pub user: f64,
    pub system: f64,
}

impl CpuSeconds {
    /// What was used so far; `None` where there is no /proc.
    pub fn so_far() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The name of the process, in parentheses, may hold blanks: fields are counted from behind it.
    fn parse(stat: &str) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
        let (user, system) = (times.next()??, times.next()??);
        Some(Self { user: user as f64 / TICKS_A_SECOND, system: system as f64 / TICKS_A_SECOND })
    }

    /// What was used since then.
    pub fn since(self, before: Self) -> Self {
        Self { user: self.user - before.user, system: self.system - before.system }
    }

    pub fn total(self) -> f64 {
        self.user + self.system
    }
}

/// Anonymous memory held now, in bytes; `None` where /proc does not tell.
fn anonymous_bytes() -> Option<u64> {
    anonymous_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn anonymous_of(status: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Runs `work`, and returns with its result the most anonymous memory seen meanwhile.
pub fn peak_memory<T>(work: impl FnOnce() -> T) -> (T, Option<u64>) {
    let (ended, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            while let Some(bytes) = anonymous_bytes().filter(|_| !ended.load(Relaxed)) {
                peak.fetch_max(bytes, Relaxed);
                thread::sleep(LOOK_EVERY);
            }
        });
        // The watcher must end however the work does.
        let _ends = OnDrop(&ended);
        work()
    });
    (result, Some(peak.into_inner()).filter(|peak| *peak > 0))
}

/// Sets its flag when it goes.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a ) b) R 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 5 0 0";
        assert_eq!(CpuSeconds::parse(stat), Some(CpuSeconds { user: 2.5, system: 0.5 }));
        assert_eq!(CpuSeconds::parse("7 (a) R 1"), None);
    }

    #[test]
    fn anonymous_memory_is_told_in_kibibytes() {
        assert_eq!(anonymous_of("VmRSS:\t 9 kB\nRssAnon:\t     12 kB\n"), Some(12 << 10));
        assert_eq!(anonymous_of("VmRSS:\t 9 kB\n"), None);
    }

    #[test]
    fn the_watcher_ends_with_the_work() {
        assert_eq!(peak_memory(|| 7).0, 7);
    }
}
