//! All logs of a process, or of one test's tracer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::budget::Budget;
use super::clock::Clock;
use super::log::Log;
use super::position::OF_PROCESS;
use super::stack::Stack;
use super::waker::Waker;
use crate::model::loss::DropReason;

/// Ends that could not be written and wait for the drain's next round, at most. What is beyond stays open to the reader.
const UNWRITTEN: usize = 1 << 16;

/// The logs that one drain reads, with the clock they are written by and the bytes they may hold.
#[derive(Debug)]
pub(crate) struct Registry {
    id: u64,
    clock: Clock,
    budget: Arc<Budget>,
    waker: Arc<Waker>,
    keys: Keys,
    /// New logs, for the drain.
    incoming: Stack<Arc<Log>>,
    /// Closed logs that were read to their end, for new threads.
    free: Stack<Arc<Log>>,
    /// Ends that found no room in a log, for the drain.
    unwritten: Stack<Unwritten>,
    /// How many of them there are.
    unwritten_count: AtomicUsize,
}

/// The end of an async or explicit span that could not be written.
#[derive(Debug)]
pub(crate) struct Unwritten {
    pub(crate) tracer: u32,
    /// The span's local key.
    pub(crate) key: u64,
    /// Why; `None`: it was to be forgotten, and is not counted.
    pub(crate) reason: Option<DropReason>,
}

/// Where the keys of logs come from.
#[derive(Debug)]
enum Keys {
    Random,
    /// Counted and spread apart: a test's ids are the same in every run.
    Counted {
        /// Keeps the ids of several registries of one test apart.
        seed: u64,
        next: AtomicU64,
    },
}

impl Registry {
    /// The registry of the process.
    pub(crate) fn of_process(log_bytes: usize) -> Self {
        Self::with(Clock::of_process(), log_bytes, Keys::Random)
    }

    /// A registry of a test, with its own clock and the same ids in each run with the same seed.
    pub(crate) fn of_test(clock: Clock, log_bytes: usize, seed: u64) -> Self {
        Self::with(clock, log_bytes, Keys::Counted { seed, next: AtomicU64::new(0) })
    }

    fn with(clock: Clock, log_bytes: usize, keys: Keys) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(1);
        Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            clock,
            budget: Arc::new(Budget::new(log_bytes)),
            waker: Arc::default(),
            keys,
            incoming: Stack::default(),
            free: Stack::default(),
            unwritten: Stack::default(),
            unwritten_count: AtomicUsize::new(0),
        }
    }

    /// Unique in the process.
    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// The clock that all its logs are written by.
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What its logs may hold together.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Wakes the thread that reads its logs.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// A log for a thread: a used one that nobody writes any more, else a new one; `None` when the budget is used up.
    pub(crate) fn acquire(&self) -> Option<Arc<Log>> {
        let mut free = self.free.take_all();
        if let Some(log) = free.pop() {
            free.into_iter().for_each(|log| self.free.push(log));
            log.reopen();
            return Some(log);
        }
        let (budget, waker) = (self.budget.clone(), self.waker.clone());
        let log = Arc::new(Log::new(&OF_PROCESS, self.key(), self.clock.clone(), budget, waker)?);
        self.incoming.push(log.clone());
        Some(log)
    }

    /// Takes back a closed log that was read to its end.
    pub(crate) fn release(&self, log: Arc<Log>) {
        self.free.push(log);
    }

    /// Takes closed logs out but for so many: nobody will write them.
    ///
    /// Threads that start while another one looks for a log find none and make more, and each keeps its last chunk.
    pub(crate) fn withdraw(&self, keep: usize) -> Vec<Arc<Log>> {
        let mut free = self.free.take_all();
        let withdrawn = free.split_off(keep.min(free.len()));
        free.into_iter().for_each(|log| self.free.push(log));
        withdrawn
    }

    /// Logs that came since the last call, the oldest first.
    pub(crate) fn take_incoming(&self) -> Vec<Arc<Log>> {
        let mut logs = self.incoming.take_all();
        logs.reverse();
        logs
    }

    /// Tells the drain of an end for which no log had room. It allocates.
    pub(crate) fn note_unwritten(&self, end: Unwritten) {
        if self.unwritten_count.fetch_add(1, Ordering::Relaxed) < UNWRITTEN {
            self.unwritten.push(end);
        } else {
            self.unwritten_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The ends that were noted since the last call.
    pub(crate) fn take_unwritten(&self) -> Vec<Unwritten> {
        let ends = self.unwritten.take_all();
        self.unwritten_count.fetch_sub(ends.len(), Ordering::Relaxed);
        ends
    }

    fn key(&self) -> u64 {
        match &self.keys {
            Keys::Random => random(),
            Keys::Counted { seed, next } => ((next.fetch_add(1, Ordering::Relaxed) + 1) << 44).wrapping_add(*seed),
        }
    }
}

/// A random number from the OS; where it has none to give, one made of time and addresses.
pub(crate) fn random() -> u64 {
    use rand::TryRng;
    rand::rngs::SysRng.try_next_u64().unwrap_or_else(|_| {
        let here = 0_u8;
        let address = (&raw const here).addr() as u64;
        mix(super::clock::os_nanos() ^ address.rotate_left(32) ^ u64::from(std::process::id()) << 40)
    })
}

/// A bijection of 64-bit numbers that maps only 0 to 0: the finalizer of MurmurHash3, whose constants are Austin
/// Appleby's and in the public domain. Consecutive inputs give unrelated outputs.
#[inline]
pub(crate) const fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn closed_logs_are_taken_over_before_new_ones_are_made() {
        let registry = Registry::of_test(Clock::Os, 1 << 20, 0);
        let first = registry.acquire().expect("room");
        let second = registry.acquire().expect("room");
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(registry.take_incoming().len(), 2);
        first.close();
        registry.release(first.clone());
        let third = registry.acquire().expect("room");
        assert!(Arc::ptr_eq(&third, &first));
        assert!(!third.is_closed());
        assert!(registry.take_incoming().is_empty());
    }

    #[test]
    fn closed_logs_that_are_too_many_give_their_bytes_back() {
        let registry = Registry::of_test(Clock::Os, 1 << 20, 0);
        let logs: Vec<_> = (0..10).map(|_| registry.acquire().expect("room")).collect();
        let used = registry.budget().used();
        for log in logs {
            log.close();
            registry.release(log);
        }
        assert_eq!(registry.withdraw(10).len(), 0);
        drop(registry.take_incoming());
        assert_eq!(registry.withdraw(4).len(), 6);
        assert_eq!(registry.budget().used(), used / 10 * 4);
        for _ in 0..4 {
            drop(registry.acquire().expect("room"));
        }
        assert_eq!(registry.take_incoming().len(), 0, "those that are kept are used again");
    }

    #[test]
    fn ends_without_room_are_kept_up_to_a_bound_until_they_are_taken() {
        let registry = Registry::of_test(Clock::Os, 0, 0);
        for _ in 0..2 {
            for key in 0..UNWRITTEN as u64 + 10 {
                registry.note_unwritten(Unwritten { tracer: 1, key, reason: Some(DropReason::LogFull) });
            }
            assert_eq!(registry.take_unwritten().len(), UNWRITTEN);
            assert_eq!(registry.take_unwritten().len(), 0);
        }
    }

    #[test]
    fn mixing_keeps_numbers_apart() {
        let mut seen: Vec<u64> = (1..10_000).map(mix).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 9_999);
        assert!(!seen.contains(&0));
    }
}
