//! Async and explicit spans, which are written whole when they end.

use std::fmt::Display;

use super::Local;
use crate::context::Context;
use crate::model::callsite::{Callsite, Roots};
use crate::model::ids::Ids;
use crate::model::ids::flag;
use crate::model::kind::Outcome;
use crate::model::loss::DropReason;
use crate::process::per_process;
use crate::recorder::budget::Need;
use crate::recorder::clock::tsc;
use crate::recorder::event::{self, kind};
use crate::recorder::log::Space;
use crate::recorder::registry::Unwritten;
use crate::recorder::slot::Slot;

#[allow(unsafe_code, reason = "writes the log: room is checked before each event, and the log outlives its use")]
impl Local {
    /// The ids of a span below `parent`, or of a new trace's first where there is no parent, and when it starts. `None`:
    /// there is nothing to start or to pass on.
    pub(crate) fn open(&self, parent: Ids, name: &dyn Display, roots: Roots) -> Option<(Ids, u64)> {
        if self.opens_at_once(&parent) {
            return Some(below(parent, self.draw_random(), tsc()));
        }
        let mut ids = self.adopt(if per_process::is_child() { Slot::across_fork(parent) } else { parent });
        if !ids.has_trace() {
            let (slot, flags) = match ids.tracer {
                0 if ids.is(flag::SUPPRESSED) => return None,
                0 => (Slot::for_roots()?, 0),
                tracer => (Slot::find(tracer)?, flag::OF_TRACER),
            };
            if !slot.lets_start(roots) || ids.is(flag::SUPPRESSED) {
                return None;
            }
            ids = self.new_trace(slot, name, flags | ids.flags & flag::DECISION).0;
        }
        if ids.tracer == 0 {
            ids.tracer = Slot::installed()?.reference();
        }
        self.settle(&mut ids, name);
        let slot = Slot::find(ids.tracer)?;
        if ids.is_recorded() {
            let reached =
                if self.opened.is_writing() { Err(DropReason::Reentrant) } else { self.reach_log(ids.tracer) };
            if let Err(reason) = reached {
                slot.lose(reason, 1);
                ids.lose(reason);
            }
        } else if ids.is(flag::LOST) {
            slot.lose(ids.lost_by(), 1);
        }
        if !ids.is_recorded() {
            // Not recorded, a span is transparent: what is below it has its parent. Only a trace's first has an id.
            if ids.span == 0 {
                ids.span = self.root_span(slot, &ids);
            }
            return Some((ids, 0));
        }
        let start = self.now();
        let span = if ids.span == 0 { self.root_span(slot, &ids) } else { self.draw(slot) };
        self.return_to_inner();
        Some(below(ids, span, start))
    }

    /// Starts a span below the current context and makes `context` its own, where that is recorded into the log that is there.
    #[inline]
    pub(crate) fn open_here(&self, context: &mut Context) -> Option<u64> {
        // Mostly it is polled where it was called: in the poll of a span, which is recorded.
        if self.opened.inner.get() == 0
            && self.by_tsc()
            && context.ids_ref().tracer == self.known.get()
            && self.place.lends(context)
        {
            context.descend(self.draw_random());
            return Some(tsc());
        }
        let parent = self.current();
        if !self.opens_at_once(&parent) {
            return None;
        }
        let (ids, start) = below(parent, self.draw_random(), tsc());
        context.set_ids(ids);
        // Mostly there is none.
        if self.place.has_baggage() || context.has_baggage() {
            *context = Context::new(ids, self.baggage());
        }
        Some(start)
    }

    /// Mostly: below a span that is recorded, into the log that is there. By the time stamp counter no test's tracer writes,
    /// so that ids are random.
    #[inline]
    fn opens_at_once(&self, parent: &Ids) -> bool {
        self.by_tsc() && parent.is_recorded() && parent.tracer == self.known.get() && parent.span != 0
    }

    /// The ids of the server's half of a caller's span, and when it starts. The caller must allow that: it came by B3.
    ///
    /// The two halves have the same id and parent; the local key is the half's own.
    pub(crate) fn join(&self, caller: Ids, name: &dyn Display) -> Option<(Ids, u64)> {
        let (mut ids, start) = self.open(caller, name, Roots::Allowed)?;
        if ids.is_recorded() {
            (ids.span, ids.parent) = (caller.span, caller.parent);
            if caller.is(flag::SAMPLED) {
                // Else the decision is made here: nobody knows whether the client reports its half.
                ids.flags |= flag::SHARED;
            }
        }
        Some((ids, start))
    }

    /// Tells the reader of a span that may stay for a while; `false` where there is no room for that.
    #[cold]
    pub(crate) fn begin(&self, site: &'static Callsite, ids: &Ids, start: u64) -> bool {
        let written = self.write(ids.tracer, event::BEGIN_WORDS, Need::Start, |space| {
            // SAFETY: `write` has made room.
            unsafe {
                space.put_site(0, site, kind::BEGIN);
                put_ids(space, ids);
                space.put(1 + event::IDS, start);
            }
        });
        written.is_ok()
    }

    /// Writes a span that has ended. Where that is not possible it is lost, and counted.
    pub(crate) fn finish(
        &self,
        site: &'static Callsite,
        ids: &Ids,
        start: u64,
        outcome: Outcome,
        polls: u32,
        begun: bool,
    ) {
        let written = self.write(ids.tracer, event::SPAN_WORDS, Need::End, |space| {
            let end = self.now();
            // SAFETY: `write` has made room.
            unsafe {
                space.put_site(0, site, kind::SPAN);
                put_ids(space, ids);
                space.put(1 + event::IDS, start);
                space.put(2 + event::IDS, event::exit(end, outcome, 0));
                space.put(3 + event::IDS, event::last(polls, begun));
            }
        });
        if let Err(reason) = written {
            self.lose_end(ids, reason, begun);
        }
    }

    /// Counts a span whose end could not be written. One of which the reader knows that it [began](Self::begin) is counted
    /// there, where it is reported as unfinished otherwise: it must not be both.
    #[cold]
    fn lose_end(&self, ids: &Ids, reason: DropReason, begun: bool) {
        if begun {
            self.note_unwritten(ids, Some(reason));
        } else if let Some(slot) = Slot::find(ids.tracer) {
            slot.lose(reason, 1);
        }
    }

    /// Tells the reader beside the log that a span is open no more.
    #[cold]
    fn note_unwritten(&self, ids: &Ids, reason: Option<DropReason>) {
        // A tracer that has shut down has told what was open.
        let Some(owner) = Slot::find(ids.tracer).and_then(Slot::owner) else { return };
        let end = Unwritten { tracer: ids.tracer, key: ids.key, reason };
        self.busy(|| owner.registry().note_unwritten(end));
    }

    /// Tells the reader to forget a span that began.
    pub(crate) fn abandon(&self, ids: &Ids) {
        let written = self.write(ids.tracer, event::ABANDON_WORDS, Need::End, |space| {
            // SAFETY: `write` has made room.
            unsafe {
                space.put(0, kind::ABANDON);
                space.put(1, ids.key);
            }
        });
        if written.is_err() {
            self.note_unwritten(ids, None);
        }
    }
}

/// The ids of a span with this id below `ids`, and its start.
#[inline]
fn below(mut ids: Ids, span: u64, start: u64) -> (Ids, u64) {
    let is_root = ids.key == 0;
    if ids.origin == 0 {
        ids.origin = start;
    }
    ids.descend(span);
    if is_root {
        ids.flags |= flag::LOCAL_ROOT;
    }
    (ids, start)
}

/// # Safety
/// There must be room for the words from the second on.
#[allow(unsafe_code, reason = "writes the log; room is the caller's promise")]
unsafe fn put_ids(space: Space, ids: &Ids) {
    // SAFETY: the caller's promise.
    unsafe {
        space.put(1, ids.trace_high);
        space.put(2, ids.trace_low);
        space.put(3, ids.span);
        space.put(4, ids.parent);
        space.put(5, ids.key);
        space.put(6, ids.tracer_word());
        space.put(7, ids.origin);
    }
}
