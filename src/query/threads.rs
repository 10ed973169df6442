//! Work on pages divided among threads.
//!
//! A question runs on the thread that asks it. Where it has to look at many pages, others help: each takes a share of
//! neighbouring pages, and what the shares found is put together in the order of the pages, so that no answer depends on
//! how many threads there were.

use std::sync::OnceLock;
use std::thread;

/// Items that are worth a thread.
const SHARE_MIN: usize = 64;

/// Threads the machine runs at once.
fn available() -> usize {
    static AVAILABLE: OnceLock<usize> = OnceLock::new();
    *AVAILABLE.get_or_init(|| thread::available_parallelism().map_or(1, Into::into))
}

/// How many of at most so many threads this many items are worth.
pub fn threads_for(items: usize, threads_max: usize) -> usize {
    (items / SHARE_MIN).min(threads_max).min(available()).max(1)
}

/// What `work` makes of each share of the items, in their order. There is one share for each thread, and that of the
/// calling thread is the first; a share whose thread cannot be begun is worked on by the calling one.
pub fn divide<I: Sync, T: Send>(items: &[I], threads_max: usize, work: impl Fn(&[I]) -> T + Sync) -> Vec<T> {
    let threads = threads_for(items.len(), threads_max);
    let mut shares = items.chunks(items.len().div_ceil(threads).max(1));
    let Some(first) = shares.next() else { return Vec::new() };
    thread::scope(|scope| {
        let begin = |share| {
            let work = &work;
            let name = thread::Builder::new().name("tailspan-query".to_owned());
            name.spawn_scoped(scope, move || work(share)).map_err(|_| share)
        };
        let others: Vec<_> = shares.map(begin).collect();
        let mut out = vec![work(first)];
        for other in others {
            out.push(match other {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(share) => work(share),
            });
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_all_items_in_order_however_many_threads_there_are() {
        for len in [0, 1, 63, 64, 127, 128, 1000] {
            let items: Vec<u32> = (0..len).collect();
            for threads in [1, 2, 3, 16] {
                let shares = divide(&items, threads, <[u32]>::to_vec);
                assert!(shares.len() <= threads && shares.iter().all(|share| !share.is_empty()));
                assert_eq!(shares.concat(), items);
            }
        }
    }

    #[test]
    fn few_items_are_not_worth_a_thread() {
        assert_eq!(threads_for(SHARE_MIN * 2 - 1, 16), 1);
        assert_eq!(threads_for(usize::MAX, 1), 1);
        assert!(threads_for(usize::MAX, 16) <= 16);
    }
}
