//! Who waits for what.

use std::time::Instant;

/// Requests to flush. However many there are, two are kept: the one that is worked on, and all later ones as one.
/// So nobody waits for more than what was offered before the call and the round before that.
#[derive(Default)]
pub(super) struct Flushes {
    /// Requests that were ever made, and how many of them are done.
    pub(super) asked: u64,
    pub(super) done: u64,
    pub(super) current: Option<Flush>,
    next: Option<Flush>,
}

/// A request to flush.
#[derive(Clone, Copy)]
pub(crate) struct Flush {
    /// Its number; those before it are done with it.
    pub(super) ticket: u64,
    /// How many spans had been offered before it.
    offered: u64,
    pub(crate) deadline: Instant,
}

impl Flushes {
    /// Adds a request, and returns its number.
    pub(super) fn ask(&mut self, offered: u64, deadline: Instant) -> u64 {
        self.asked += 1;
        let flush = Flush { ticket: self.asked, offered, deadline };
        if self.current.is_none() {
            self.current = Some(flush);
        } else {
            let deadline = self.next.map_or(deadline, |other| other.deadline.max(deadline));
            self.next = Some(Flush { deadline, ..flush });
        }
        self.asked
    }

    /// The current request, if this many spans are enough for it.
    pub(super) fn ready(&mut self, settled: u64) -> Option<Flush> {
        let ready = self.current.filter(|flush| settled >= flush.offered)?;
        self.current = self.next.take();
        Some(ready)
    }
}
