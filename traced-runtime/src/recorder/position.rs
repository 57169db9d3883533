//! Positions of words in logs: unique in the process, and growing within a log.
//!
//! A position is the number of a range in its upper bits and an offset in bytes below. A log writes through one range,
//! and goes on in a new one where that ends. The log's own guards and contexts may name positions of both.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bits of a position below the number of its range: a range has 1 TiB.
pub(crate) const POSITION_BITS: u32 = 40;

/// Bytes of a range.
const RANGE: u64 = 1 << POSITION_BITS;

/// Ranges of a process, with 0, which none has: so no position is 0. Together they hold 16 EiB, which a process that
/// logs a gigabyte a second has written in 580 years. Beyond that a log gets no new chunk, as when the budget is used up.
const RANGES: u64 = 1 << (u64::BITS - POSITION_BITS);

/// The number of the range that a position is in; 0 for no position.
pub(crate) const fn range_of(position: u64) -> u64 {
    position >> POSITION_BITS
}

/// Where logs get their positions.
#[derive(Debug)]
pub(crate) struct Positions {
    /// The next range that nobody has had.
    next: AtomicU64,
    /// The offset at which ranges begin: 0, but for tests.
    begin: AtomicU64,
    /// Where logs ended that are gone: others go on there. There are never more than logs at one time.
    ///
    /// No thread waits for the lock. One that does not get it takes a new range, or leaves the rest of one unused; so
    /// does a forked child whose parent held it.
    ends: Mutex<Vec<u64>>,
}

/// All positions of the process. Logs of different tracers share them, because one thread writes several.
pub(crate) static OF_PROCESS: Positions = Positions::new(1);

impl Positions {
    /// Positions from the range with this number on.
    pub(super) const fn new(next: u64) -> Self {
        Self { next: AtomicU64::new(next), begin: AtomicU64::new(0), ends: Mutex::new(Vec::new()) }
    }

    /// The last range alone.
    #[cfg(test)]
    pub(super) const fn last() -> Self {
        Self::new(RANGES - 1)
    }

    /// Lets new ranges begin so many bytes before their end.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn begin_before_the_end(&self, bytes: u64) {
        self.begin.store(RANGE - bytes.min(RANGE), Ordering::Relaxed);
    }

    /// The first position of a new log whose first chunk has so many bytes; `None` when all ranges are used up.
    pub(crate) fn first(&self, bytes: usize) -> Option<u64> {
        let end = self.ends.try_lock().ok().and_then(|mut ends| ends.pop());
        match end {
            Some(end) if fits(end, bytes) => Some(end),
            _ => self.of_new_range(bytes),
        }
    }

    /// The first position of a chunk of so many bytes behind `end`: there, or in a later range. `None` when all ranges
    /// are used up.
    pub(crate) fn after(&self, end: u64, bytes: usize) -> Option<u64> {
        if fits(end, bytes) { Some(end) } else { self.of_new_range(bytes) }
    }

    /// A log that has written up to `end` is gone.
    pub(crate) fn give_back(&self, end: u64) {
        if let Ok(mut ends) = self.ends.try_lock() {
            ends.push(end);
        }
    }

    fn of_new_range(&self, bytes: usize) -> Option<u64> {
        let more = |next| (next < RANGES).then_some(next + 1);
        let number = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let begin = (number << POSITION_BITS) + self.begin.load(Ordering::Relaxed);
        // A chunk larger than what tests leave of a range.
        Some(if fits(begin, bytes) { begin } else { number << POSITION_BITS })
    }
}

/// Whether a chunk of so many bytes ends within the range in which it begins. The position behind its last word is one
/// of that range, too: the next word may be asked for before it has a place.
const fn fits(first: u64, bytes: usize) -> bool {
    range_of(first) != 0 && first % RANGE + (bytes as u64) < RANGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_at_the_end_of_its_range_goes_on_in_a_later_one() {
        let positions = Positions::new(5);
        let first = positions.first(1024).expect("a range");
        assert_eq!((range_of(first), first % RANGE), (5, 0));
        assert_eq!(positions.after(first + 1024, 1024), Some(first + 1024));
        let last = first + RANGE - 1024;
        assert_eq!(positions.after(last, 1016), Some(last), "room for all but the last word");
        let next = positions.after(last, 1024).expect("a range");
        assert_eq!((range_of(next), next % RANGE), (6, 0));
    }

    #[test]
    fn a_new_log_goes_on_where_another_one_ended() {
        let positions = Positions::new(1);
        let first = positions.first(1024).expect("a range");
        positions.give_back(first + 1024);
        assert_eq!(positions.first(1024), Some(first + 1024));
        positions.give_back(first + RANGE - 1024);
        assert_eq!(positions.first(1024).map(range_of), Some(2), "what is left is too little");
        let many: Vec<u64> = (0..100_000_u64)
            .filter_map(|_| {
                let first = positions.first(1024)?;
                positions.give_back(first + 1024);
                Some(range_of(first))
            })
            .collect();
        assert_eq!(many.len(), 100_000);
        assert!(many.iter().all(|&range| range == 3), "one log at a time has one range");
    }

    #[test]
    fn the_last_range_is_followed_by_none() {
        let positions = Positions::new(RANGES - 1);
        let last = positions.first(1024).expect("the last range");
        assert_eq!(range_of(last), RANGES - 1);
        assert_eq!(positions.after(last + (RANGE - 8), 1024), None);
        assert_eq!(positions.first(1024), None);
        assert_eq!(positions.first(1024), None, "it does not begin again");
        positions.give_back(last + 1024);
        assert_eq!(positions.first(1024), Some(last + 1024));
    }

    #[test]
    fn ranges_that_begin_near_their_end_have_room_for_large_chunks_all_the_same() {
        let positions = Positions::new(1);
        positions.begin_before_the_end(4096);
        let first = positions.first(1024).expect("a range");
        assert_eq!(first % RANGE, RANGE - 4096);
        assert_eq!(positions.after(first + 1024, 1024), Some(first + 1024));
        assert_eq!(positions.after(first + 1024, 3072).map(|next| next % RANGE), Some(RANGE - 4096));
        assert_eq!(positions.after(first + 1024, 8192).map(|next| next % RANGE), Some(0));
    }
}
