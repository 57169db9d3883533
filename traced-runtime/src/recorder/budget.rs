//! What all logs of a registry may hold together, and the chunks of theirs that are free.

use std::sync::{Mutex, MutexGuard};

use super::chunk::Chunk;
use super::chunk::sync::{AtomicUsize, Ordering};

/// When this part of the budget (one in so many) is used, the drain is woken.
const FILLING: usize = 32;

/// The part of the budget (one in so many) that only ends of spans may use, so that what began recording can end.
const RESERVE: usize = 16;

/// How often a writer looks for the pool when another thread has it.
const LOOKS: usize = 8;

/// What all logs of one registry may hold together, in bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// Counts what was given back: a thread that got nothing asks again only after this has changed.
    returned: AtomicUsize,
    /// Bytes of `pool`, which are in `used`, too.
    pooled: AtomicUsize,
    /// Large chunks that were read and wait for a writer: to the allocator they would be memory of the thread that first
    /// wrote them, and all threads together would keep more than the budget. A writer does not wait for the lock.
    pool: Mutex<Pool>,
}

#[allow(clippy::vec_box, reason = "a chunk stays where it is: it goes on as the same box")]
type Pool = Vec<Box<Chunk>>;

/// For what a chunk is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A span starts.
    Start,
    /// A span ends, or gets a tag: may use the last part of the budget.
    End,
}

impl Budget {
    /// A budget of so many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            returned: AtomicUsize::new(0),
            pooled: AtomicUsize::new(0),
            pool: Mutex::default(),
        }
    }

    /// The limit in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes in use.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Changes whenever something was given back.
    pub(crate) fn returned(&self) -> usize {
        self.returned.load(Ordering::Relaxed)
    }

    /// Whether so much is written and not read that it had better be.
    pub(crate) fn is_filling(&self) -> bool {
        self.written() > self.limit / FILLING
    }

    /// Bytes left for this need.
    pub(super) fn left(&self, need: Need) -> usize {
        self.limit_for(need).saturating_sub(self.written())
    }

    /// Takes so many bytes, if need be of chunks that wait for a writer.
    pub(super) fn take(&self, bytes: usize, need: Need) -> bool {
        loop {
            if self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.limit_for(need) {
                return true;
            }
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            if self.unpool().map(|chunk| self.give_back(chunk.bytes())).is_none() {
                return false;
            }
        }
    }

    /// These bytes are used no more.
    pub(super) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.returned.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps a chunk that was read for whoever needs one next; gives it back if that is not possible.
    pub(super) fn keep(&self, chunk: Box<Chunk>) -> Option<Box<Chunk>> {
        // Writers have it for a few instructions.
        let Some(mut pool) = Self::in_no_model(|| self.pool.lock().ok()) else { return Some(chunk) };
        self.pooled.fetch_add(chunk.bytes(), Ordering::Relaxed);
        pool.push(chunk);
        self.returned.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// A chunk of at least so many words that was kept, if there is one.
    pub(super) fn kept(&self, words: usize) -> Option<Box<Chunk>> {
        let chunk = self.unpool()?;
        if chunk.words.len() >= words {
            return Some(chunk);
        }
        self.give_back(chunk.bytes());
        None
    }

    /// Frees what is kept.
    pub(crate) fn free_kept(&self) {
        while let Some(chunk) = self.unpool() {
            self.give_back(chunk.bytes());
        }
    }

    fn unpool(&self) -> Option<Box<Chunk>> {
        if self.pooled.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let chunk = self.pool()?.pop()?;
        self.pooled.fetch_sub(chunk.bytes(), Ordering::Relaxed);
        Some(chunk)
    }

    /// The pool, if nobody else has it all the time that one look after the other takes.
    fn pool(&self) -> Option<MutexGuard<'_, Pool>> {
        Self::in_no_model(|| (0..LOOKS).find_map(|_| self.pool.try_lock().ok()))
    }

    /// In loom's model the pool is never there: to loom a lock of the standard library orders nothing.
    fn in_no_model<T>(pool: impl FnOnce() -> Option<T>) -> Option<T> {
        if cfg!(loom) { None } else { pool() }
    }

    fn limit_for(&self, need: Need) -> usize {
        if need == Need::Start { self.limit - self.limit / RESERVE } else { self.limit }
    }

    /// Bytes of chunks that have a writer or are not read.
    fn written(&self) -> usize {
        self.used.load(Ordering::Relaxed).saturating_sub(self.pooled.load(Ordering::Relaxed))
    }
}
