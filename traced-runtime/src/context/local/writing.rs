//! The log that the thread writes: reaching it, making room in it, leaving it.

use std::sync::Arc;

use super::{LOGS, Local, Open, OwnLog, unusual};
use crate::model::ids::Ids;
use crate::model::limits::DEPTH;
use crate::model::loss::DropReason;
use crate::recorder::budget::Need;
use crate::recorder::clock::{Clock, os_nanos, tsc};
use crate::recorder::event::{self, kind};
use crate::recorder::log::{Log, Space};
use crate::recorder::slot::Slot;

#[allow(unsafe_code, reason = "writes the log: room is checked before each event, and the log outlives its use")]
impl Local {
    /// Writes an event that needs no scope, into the log of its tracer.
    #[inline]
    pub(super) fn write(
        &self,
        tracer: u32,
        words: usize,
        need: Need,
        put: impl FnOnce(Space),
    ) -> Result<(), DropReason> {
        let depth = self.opened.depth.get();
        self.opened.mark();
        let log = self.log.get();
        let is_usual = self.known.get() == tracer && !self.is_unusual(unusual::BUSY);
        if !is_usual || !self.writer.has_room(words + reserve(depth)) {
            self.make_room(tracer, words, depth, need).inspect_err(|_| self.end_writing(depth, log))?;
        }
        let space = self.writer.space();
        put(space);
        // SAFETY: `put` has written all words, for which there was room.
        unsafe { self.writer.commit(space, words) };
        self.end_writing(depth, log);
        Ok(())
    }

    /// Makes room for an event in the log of its tracer. The thread is marked as writing; if it was so before, and had the
    /// mark as its depth, this is a signal handler that interrupted it.
    #[cold]
    fn make_room(&self, tracer: u32, words: usize, depth: u32, need: Need) -> Result<(), DropReason> {
        if Open::is_mark(depth) || self.is_unusual(unusual::BUSY) {
            return Err(DropReason::Reentrant);
        }
        self.reach_log(tracer)?;
        if self.writer.has_room(words + reserve(depth)) { Ok(()) } else { self.extend(words, depth, need) }
    }

    /// The thread writes no more, and the log of the current span is the current one again.
    #[inline(always)]
    fn end_writing(&self, depth: u32, log: *const Log) {
        self.opened.written(depth);
        if log != self.log.get() {
            self.return_to_inner();
        }
    }

    /// Makes room for `words` of a span that starts in the current context, and writes the scope if that is wanted and
    /// missing. The thread is marked as writing, at this depth.
    pub(super) fn prepare(&self, words: usize, depth: u32, with_scope: bool) -> Result<(), DropReason> {
        let ids = self.place.ids();
        self.reach_log(ids.tracer)?;
        if depth >= DEPTH {
            return Err(DropReason::TooDeep);
        }
        let scope = with_scope && !self.is_clean();
        let words = words + if scope { event::SCOPE_WORDS } else { 0 };
        if !self.writer.has_room(words + reserve(depth)) {
            self.extend(words, depth, Need::Start)?;
        }
        if scope {
            if ids.origin == 0 {
                // A context from another process: here its trace begins now.
                self.place.set_ids(Ids { origin: self.now(), ..ids });
            }
            self.put_scope(&self.place.ids());
        }
        self.recompute();
        Ok(())
    }

    /// Writes the current context as the scope of what follows. There must be room.
    pub(super) fn put_scope(&self, ids: &Ids) {
        let (position, space) = (self.writer.position(), self.writer.space());
        // SAFETY: the callers have made sure of the room.
        unsafe {
            put_scope_words(space, ids, self.opened.inner.get());
            self.writer.commit(space, event::SCOPE_WORDS);
        }
        self.opened.scope.set(position);
        self.written.set(position);
    }

    /// Makes the current log one of the tracer's registry.
    pub(super) fn reach_log(&self, tracer: u32) -> Result<(), DropReason> {
        // It may have gone meanwhile: then the reader finds nobody to hand its spans to.
        if self.known.get() == tracer && tracer != 0 {
            return Ok(());
        }
        self.find_log(tracer)
    }

    #[cold]
    fn find_log(&self, tracer: u32) -> Result<(), DropReason> {
        if self.is_unusual(unusual::CLOSED) {
            return Err(DropReason::ThreadEnded);
        }
        let slot = Slot::find(tracer).ok_or(DropReason::Deadline)?;
        let registry = slot.registry_id();
        if registry != self.registry.get() && !self.select_log(|own| own.registry == registry) {
            self.busy(|| self.acquire_log(slot))?;
        }
        self.known.set(tracer);
        Ok(())
    }

    /// Gets a log from the tracer's registry. Once per thread and registry; it allocates.
    #[cold]
    pub(super) fn acquire_log(&self, slot: &Slot) -> Result<(), DropReason> {
        let owner = slot.owner_to_record()?;
        let registry = owner.registry();
        let denied = (registry.id(), registry.budget().returned());
        if self.denied.get() == denied {
            return Err(DropReason::LogFull);
        }
        let added = LOGS.try_with(|logs| {
            let log = registry.acquire()?;
            let mut logs = logs.0.borrow_mut();
            // What only this thread still holds belongs to a test's tracer that is gone.
            logs.retain(|own| Arc::strong_count(&own.log) > 1);
            logs.push(OwnLog { registry: registry.id(), log: log.clone(), ranges: Vec::new() });
            Some(log)
        });
        match added {
            Ok(Some(log)) => {
                self.use_log(registry.id(), &log);
                Ok(())
            }
            Ok(None) => {
                self.denied.set(denied);
                Err(DropReason::LogFull)
            }
            Err(_) => {
                self.close();
                Err(DropReason::ThreadEnded)
            }
        }
    }

    /// Makes the first of the thread's logs that fits the current one.
    #[cold]
    pub(super) fn select_log(&self, fits: impl Fn(&OwnLog) -> bool) -> bool {
        let found = LOGS.try_with(|logs| {
            let logs = logs.0.try_borrow().ok()?;
            logs.iter().find(|own| fits(own)).map(|own| (own.registry, own.log.clone()))
        });
        match found {
            Ok(Some((registry, log))) => {
                if Arc::as_ptr(&log) != self.log.get() {
                    self.use_log(registry, &log);
                }
                true
            }
            _ => false,
        }
    }

    /// The same by a range that the thread has written in.
    #[cold]
    pub(super) fn select_log_of(&self, range: u64) -> bool {
        self.select_log(|own| own.ranges.contains(&range))
    }

    /// Notes the range that the writer is in.
    fn note_range(&self) {
        let (range, log) = (self.writer.range(), self.log.get());
        self.range.set(range);
        // What cannot be reached is the log of a thread that is just ending.
        let _ = LOGS.try_with(|logs| {
            let mut logs = logs.0.try_borrow_mut().ok()?;
            let own = logs.iter_mut().find(|own| Arc::as_ptr(&own.log) == log)?;
            if !own.ranges.contains(&range) {
                own.ranges.push(range);
            }
            Some(())
        });
    }

    pub(super) fn use_log(&self, registry: u64, log: &Arc<Log>) {
        // SAFETY: `LOGS` keeps the log until the thread ends, and then `close` detaches; only this thread writes it.
        unsafe { self.writer.attach(log) };
        self.log.set(Arc::as_ptr(log));
        self.note_range();
        self.key.set(log.key());
        self.registry.set(registry);
        self.known.set(0);
        self.set_unusual(unusual::CLOCK, !matches!(log.clock(), Clock::Tsc));
        self.written.set(0);
    }

    pub(super) fn forget_log(&self) {
        self.writer.detach();
        self.log.set(std::ptr::null());
        self.range.set(0);
        self.registry.set(0);
        self.known.set(0);
        self.set_unusual(unusual::CLOCK, true);
        self.written.set(0);
    }

    /// The thread has ended: its logs are given back, and nothing is recorded any more.
    pub(super) fn close(&self) {
        self.set_unusual(unusual::CLOSED, true);
        self.forget_log();
        self.recompute();
    }

    /// Takes a new chunk with room for `words` and for the ends of all open spans, and as much again.
    #[cold]
    pub(super) fn extend(&self, words: usize, depth: u32, need: Need) -> Result<(), DropReason> {
        // SAFETY: `LOGS` keeps the log alive; it is null only while the thread has none.
        let Some(log) = (unsafe { self.log.get().as_ref() }) else { return Err(DropReason::ThreadEnded) };
        let denied = (self.registry.get(), log.budget().returned());
        if need == Need::Start && self.denied.get() == denied {
            return Err(DropReason::LogFull);
        }
        let words = words + 2 * reserve(depth);
        // SAFETY: the writer is attached to this log.
        let extended = self.busy(|| unsafe {
            let extended = self.writer.extend(log, words, need);
            if extended && self.writer.range() != self.range.get() {
                self.note_range();
            }
            extended
        });
        log.waker().wake(log.budget().is_filling());
        if extended {
            Ok(())
        } else {
            self.denied.set(denied);
            Err(DropReason::LogFull)
        }
    }

    /// Runs code that allocates: the allocator may be traced, and must not find the log half changed.
    pub(super) fn busy<R>(&self, code: impl FnOnce() -> R) -> R {
        let before = self.is_unusual(unusual::BUSY);
        self.set_unusual(unusual::BUSY, true);
        self.recompute();
        let result = code();
        self.set_unusual(unusual::BUSY, before);
        self.recompute();
        result
    }

    /// The tick now, of the current log's clock.
    pub(super) fn now(&self) -> u64 {
        if self.by_tsc() {
            return tsc();
        }
        // SAFETY: `LOGS` keeps the log alive; it is null only while the thread has none.
        unsafe { self.log.get().as_ref() }.map_or_else(os_nanos, |log| log.clock().now())
    }
}

/// Words kept for the ends of so many open spans.
#[inline(always)]
pub(super) const fn reserve(depth: u32) -> usize {
    event::EXIT_WORDS * depth as usize
}

/// # Safety
/// There must be room for [`event::SCOPE_WORDS`].
#[allow(unsafe_code, reason = "writes the log; room is the caller's promise")]
#[inline]
pub(super) unsafe fn put_scope_words(space: Space, ids: &Ids, inner: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        space.put(0, ids.tracer_word() | kind::SCOPE);
        space.put(1, ids.trace_high);
        space.put(2, ids.trace_low);
        space.put(3, ids.span);
        space.put(4, ids.key);
        space.put(5, ids.origin);
        space.put(6, inner);
    }
}
