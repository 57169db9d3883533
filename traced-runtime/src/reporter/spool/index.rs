//! Which batches wait on the disk: kept in memory, changed under the pipeline's lock, and never touching a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::reporter::spool::folder::{Folder, Found, blocks};

/// The order of batches: those of tracers that are gone come first, folder by folder; then this tracer's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    folder: u32,
    number: u64,
}

/// The number of this tracer's own folder.
const OWN: u32 = u32::MAX;

impl Place {
    /// The place of this tracer's own batch of this number.
    pub(crate) const fn own(number: u64) -> Self {
        Self { folder: OWN, number }
    }

    /// Whether this tracer recorded it.
    pub(crate) const fn is_own(self) -> bool {
        self.folder == OWN
    }
}

/// A batch on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) folder: Arc<Folder>,
    pub(crate) number: u64,
    pub(crate) spans: u64,
    bytes: u64,
}

/// All batches on the disk that are this tracer's to send.
#[derive(Debug)]
pub(crate) struct Index {
    batches: BTreeMap<Place, Stored>,
    bytes: u64,
    bound: u64,
    folders: u32,
}

impl Index {
    /// An empty index for up to `bound` bytes of files.
    pub(crate) const fn new(bound: u64) -> Self {
        Self { batches: BTreeMap::new(), bytes: 0, bound, folders: 0 }
    }

    /// Bytes of all files, in whole blocks.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The oldest of this tracer's own batches.
    pub(crate) fn oldest_own(&self) -> Option<Place> {
        self.batches.range(Place::own(0)..).next().map(|(place, _)| *place)
    }

    /// The oldest of the adopted batches.
    pub(crate) fn oldest_adopted(&self) -> Option<Place> {
        self.batches.range(..Place::own(0)).next().map(|(place, _)| *place)
    }

    pub(crate) fn get(&self, place: Place) -> Option<&Stored> {
        self.batches.get(&place)
    }

    /// Adds a batch that was written into this tracer's folder.
    pub(crate) fn add(&mut self, folder: Arc<Folder>, number: u64, spans: u64, body_bytes: u64) {
        self.insert(Place::own(number), Stored { folder, number, spans, bytes: blocks(body_bytes) });
    }

    /// Adds the batches of an adopted folder; returns how many spans they are.
    pub(crate) fn adopt(&mut self, folder: Folder, batches: Vec<Found>) -> u64 {
        let folder = Arc::new(folder);
        let mut spans = 0;
        for Found { number, header } in batches {
            spans += u64::from(header.spans);
            let bytes = blocks(header.length);
            let stored = Stored { folder: Arc::clone(&folder), number, spans: u64::from(header.spans), bytes };
            self.insert(Place { folder: self.folders, number }, stored);
        }
        // Nobody adopts four thousand millions of folders; if somebody did, one folder's batches would take two turns.
        self.folders = (self.folders + 1) % OWN;
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

    /// Takes out the oldest batches until one of this size has room, but not the one that is being sent.
    pub(crate) fn make_room(&mut self, body_bytes: u64, sending: Option<Place>) -> Vec<(Place, Stored)> {
        let mut out = Vec::new();
        while self.bytes + blocks(body_bytes) > self.bound {
            let Some(place) = self.batches.keys().copied().find(|place| Some(*place) != sending) else { break };
            out.extend(self.remove(place).map(|stored| (place, stored)));
        }
        out
    }
}
