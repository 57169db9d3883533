//! Which batches wait on the disk: kept in memory, changed under the pipeline's lock, and never touching a file.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Bound;
use std::sync::Arc;

use crate::reporter::spool::aside::Aside;
use crate::reporter::spool::folder::{Folder, Found, blocks, milliseconds};

/// Which batch: the adopted ones stand in the order in which they were written, this tracer's own in that of their spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Of a tracer that is gone.
    Adopted {
        /// Milliseconds since 1970, and not before the batches that its tracer wrote earlier.
        written: u64,
        /// Counts those whose batches were adopted.
        tracer: u64,
        number: u64,
    },
    Own {
        number: u64,
    },
}

impl Place {
    /// The place of this tracer's own batch of this number.
    pub(crate) const fn own(number: u64) -> Self {
        Self::Own { number }
    }

    /// Whether this tracer recorded it.
    pub(crate) const fn is_own(self) -> bool {
        matches!(self, Self::Own { .. })
    }
}

/// A batch on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) folder: Arc<Folder>,
    pub(crate) number: u64,
    /// How many spans this tracer had queued before the first of these; 0 if it is adopted.
    pub(crate) after: u64,
    /// Those that are neither sent nor dropped; in the file are all of them.
    pub(crate) spans: u64,
    bytes: u64,
    /// Milliseconds since 1970.
    written: u64,
}

/// What has to go for something new.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) aside: Vec<Aside>,
    pub(crate) batches: Vec<(Place, Stored)>,
}

/// All batches on the disk that are this tracer's to send, and what takes room beside them.
#[derive(Debug)]
pub(crate) struct Index {
    batches: BTreeMap<Place, Stored>,
    bytes: u64,
    /// What was set aside, and batches of other releases; the first to go is the last one.
    aside: Vec<Aside>,
    /// Files that others made may be said to be of any length, and so may their sum.
    aside_bytes: u128,
    /// Those that were added since the last look at the directory began, which may or may not have found them.
    aside_since: Vec<Aside>,
    bound: u64,
    /// How many tracers' batches were adopted.
    tracers: u64,
}

impl Index {
    /// An empty index for up to `bound` bytes of files.
    pub(crate) const fn new(bound: u64) -> Self {
        Self {
            batches: BTreeMap::new(),
            bytes: 0,
            aside: Vec::new(),
            aside_bytes: 0,
            aside_since: Vec::new(),
            bound,
            tracers: 0,
        }
    }

    /// Bytes of all batches, in whole blocks.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The oldest of this tracer's own batches.
    pub(crate) fn oldest_own(&self) -> Option<Place> {
        self.oldest_own_but(None)
    }

    /// The oldest of the adopted batches.
    pub(crate) fn oldest_adopted(&self) -> Option<Place> {
        self.oldest_adopted_but(None)
    }

    /// The one of two that was written first.
    pub(crate) fn older(&self, adopted: Option<Place>, own: Option<Place>) -> Option<Place> {
        let (Some(first), Some(second)) = (adopted, own) else { return adopted.or(own) };
        let written = |place| self.batches.get(&place).map(|stored| stored.written);
        if written(second) < written(first) { own } else { adopted }
    }

    fn oldest_own_but(&self, but: Option<Place>) -> Option<Place> {
        self.batches.range(Place::own(0)..).map(|(place, _)| *place).find(|place| Some(*place) != but)
    }

    fn oldest_adopted_but(&self, but: Option<Place>) -> Option<Place> {
        self.batches.range(..Place::own(0)).map(|(place, _)| *place).find(|place| Some(*place) != but)
    }

    pub(crate) fn get(&self, place: Place) -> Option<&Stored> {
        self.batches.get(&place)
    }

    /// Adds a batch that was written into this tracer's folder just now.
    pub(crate) fn add(&mut self, folder: Arc<Folder>, number: u64, after: u64, spans: u64, body_bytes: u64) {
        let (bytes, written) = (blocks(body_bytes), milliseconds());
        self.insert(Place::own(number), Stored { folder, number, after, spans, bytes, written });
    }

    /// The next so many batches after this place, or the first ones.
    pub(crate) fn after(&self, place: Option<Place>, count: usize) -> Vec<(Place, Stored)> {
        let from = place.map_or(Bound::Unbounded, Bound::Excluded);
        let stored = self.batches.range((from, Bound::Unbounded)).take(count);
        stored.map(|(place, stored)| (*place, stored.clone())).collect()
    }

    /// Whether there is no batch.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// How many spans of a batch are not settled.
    pub(crate) fn spans_mut(&mut self, place: Place) -> Option<&mut u64> {
        self.batches.get_mut(&place).map(|stored| &mut stored.spans)
    }

    /// Adds the batches of a tracer that is gone; returns how many spans they are.
    pub(crate) fn adopt(&mut self, folder: &Arc<Folder>, batches: Vec<Found>) -> u64 {
        let (mut spans, mut written) = (0, 0);
        for Found { number, header } in batches {
            // A clock that was set back changes no order within a folder.
            written = header.written.max(written);
            spans += u64::from(header.spans);
            let (bytes, folder) = (blocks(header.length), Arc::clone(folder));
            let stored = Stored { folder, number, after: 0, spans: u64::from(header.spans), bytes, written };
            self.insert(Place::Adopted { written, tracer: self.tracers, number }, stored);
        }
        self.tracers = self.tracers.wrapping_add(1);
        spans
    }

    fn insert(&mut self, place: Place, stored: Stored) {
        self.bytes += stored.bytes;
        if let Some(before) = self.batches.insert(place, stored) {
            self.bytes -= before.bytes;
        }
    }

    /// Takes a batch out; its file is the caller's to remove, without the lock.
    pub(crate) fn remove(&mut self, place: Place) -> Option<Stored> {
        let stored = self.batches.remove(&place)?;
        self.bytes -= stored.bytes;
        Some(stored)
    }

    /// A look at the directory begins, which ends with [`swap_aside`](Self::swap_aside).
    pub(crate) fn begin_look(&mut self) {
        self.aside_since.clear();
    }

    /// Notes a file that was set aside just now, unless a look has found it.
    pub(crate) fn add_aside(&mut self, aside: Aside) {
        self.aside_since.push(aside.clone());
        self.insert_aside(aside);
    }

    fn insert_aside(&mut self, aside: Aside) {
        // The greatest comes first.
        if let Err(at) = self.aside.binary_search_by(|other| aside.cmp(other)) {
            self.aside_bytes += u128::from(aside.bytes());
            self.aside.insert(at, aside);
        }
    }

    /// Notes all files that are not batches to send, as a look found them, the first to go at the end, and gives back what was
    /// known of before; takes out those that have no room.
    pub(crate) fn swap_aside(&mut self, aside: &mut Vec<Aside>) -> Vec<Aside> {
        self.aside_bytes = aside.iter().map(|aside| u128::from(aside.bytes())).sum();
        mem::swap(&mut self.aside, aside);
        for aside in mem::take(&mut self.aside_since) {
            self.insert_aside(aside);
        }
        self.aside_beyond(0)
    }

    /// Whether so many bytes more have no room.
    fn is_over(&self, more: u64) -> bool {
        u128::from(self.bytes) + self.aside_bytes + u128::from(more) > u128::from(self.bound)
    }

    fn aside_beyond(&mut self, more: u64) -> Vec<Aside> {
        let mut out = Vec::new();
        while self.is_over(more) {
            let Some(aside) = self.aside.pop() else { break };
            self.aside_bytes -= u128::from(aside.bytes());
            self.aside_since.retain(|since| *since != aside);
            out.push(aside);
        }
        out
    }

    /// Takes out what has to go until a batch of this size has room: what nobody sends, then the oldest batches, but not the
    /// one that is being sent.
    pub(crate) fn make_room(&mut self, body_bytes: u64, sending: Option<Place>) -> Out {
        let more = blocks(body_bytes);
        let mut out = Out { aside: self.aside_beyond(more), batches: Vec::new() };
        while self.is_over(more) {
            let (adopted, own) = (self.oldest_adopted_but(sending), self.oldest_own_but(sending));
            let Some(place) = self.older(adopted, own) else { break };
            out.batches.extend(self.remove(place).map(|stored| (place, stored)));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::fs;

    use super::*;
    use crate::reporter::spool::heir::Left;

    /// What is set aside while somebody looks at the directory is counted once, whether the look finds it or not.
    #[test]
    fn files_set_aside_during_a_look_are_neither_forgotten_nor_counted_twice() {
        let directory = tempfile::tempdir().unwrap();
        let aside = |number: u64| {
            let path = directory.path().join(format!("00c0ffee00c0ffee-{number:016x}.bad"));
            fs::write(&path, "torn").unwrap();
            Aside::bad(path).unwrap()
        };
        let (early, found, missed, late) = (aside(1), aside(2), aside(3), aside(4));
        let mut index = Index::new(1 << 20);
        index.begin_look();
        index.add_aside(early.clone());
        index.begin_look();
        index.add_aside(found.clone());
        index.add_aside(missed);
        let mut look = vec![found, early];
        look.sort_unstable_by(|one, other| other.cmp(one));
        let late_but_found = late.clone();
        look.insert(0, late);
        assert!(index.swap_aside(&mut look).is_empty());
        index.add_aside(late_but_found);
        assert_eq!((index.aside.len(), index.aside_bytes), (4, 4 * 4_096));
        assert!(index.aside.is_sorted_by(|one, other| one > other), "{:?}", index.aside);
        // What has gone does not come back with the next look.
        assert_eq!(index.make_room(1 << 20, None).aside.len(), 4);
        assert!(index.swap_aside(&mut Vec::new()).is_empty());
        assert_eq!((index.aside.len(), index.aside_bytes), (0, 0));
    }

    /// A sparse file may be said to be as long as a number goes.
    #[test]
    fn sums_of_bytes_beyond_all_numbers_leave_the_batches_alone() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::create(directory.path()).unwrap());
        let mut index = Index::new(u64::MAX);
        index.add(Arc::clone(&folder), 1, 0, 1, 100);
        let mut look: Vec<_> = ["a", "b", "c"].map(|name| Aside::of_bytes(name.into(), u64::MAX)).into();
        look.reverse();
        // One of them and a batch are too much already.
        assert_eq!(index.swap_aside(&mut look).len(), 3);
        assert_eq!((index.bytes(), index.aside_bytes, index.is_empty()), (4_096, 0, false));
        let mut index = Index::new(1 << 20);
        index.add(folder, 1, 0, 1, 100);
        index.add_aside(Aside::of_bytes("a".into(), u64::MAX));
        index.add_aside(Aside::of_bytes("b".into(), u64::MAX));
        let out = index.make_room(100, None);
        assert_eq!((out.aside.len(), out.batches.len(), index.bytes()), (2, 0, 4_096));
    }

    /// Two batches of one number and one time, of two tracers, are two.
    #[test]
    fn tracers_are_told_apart_when_their_numbers_begin_anew() {
        let directory = tempfile::tempdir().unwrap();
        let mut index = Index::new(1 << 20);
        index.tracers = u64::MAX - 1;
        let spans = (0..4).map(|_| {
            let folder = Arc::new(Folder::create(directory.path()).unwrap());
            folder.write(u64::MAX, b"[{}]", 1).unwrap();
            let mut found = folder.batches(&mut Left::default());
            found[0].header.written = u64::MAX;
            index.adopt(&folder, found)
        });
        assert_eq!(spans.sum::<u64>(), 4);
        assert_eq!((index.batches.len(), index.bytes()), (4, 4 * 4_096));
    }
}
