//! Sync spans: the hot path, and the guard that ends what it began.

use std::cell::Cell;
use std::marker::PhantomData;
use std::thread::panicking;

use super::writing::put_scope_words;
use super::{Local, STRAYS, State, Stray, Target, unusual, with};
use crate::model::callsite::Callsite;
use crate::model::ids::Ids;
use crate::model::ids::flag;
use crate::model::kind::Outcome;
use crate::model::limits::DEPTH;
use crate::model::loss::DropReason;
use crate::process::per_process;
use crate::recorder::budget::Need;
use crate::recorder::clock::tsc;
use crate::recorder::event::{self, kind};
use crate::recorder::position::range_of;
use crate::recorder::registry::mix;
use crate::recorder::sampler::Sampler;
use crate::recorder::slot::Slot;

/// The span of a `#[traced]` function or of [`span!`](crate::span): from here to the end of the scope.
///
/// It is of this thread, and ends when it is dropped. Held over an `.await` it would measure what other tasks do.
#[must_use = "the span ends where this is dropped: bind it, as in `let _span = …`"]
#[derive(Debug)]
pub struct Enter {
    /// Position of the enter event, or a token; 0: nothing is recorded.
    position: u64,
    /// What was innermost before.
    outer: u64,
    /// How many were open before.
    depth: u32,
    /// Of the context in which it was entered.
    stay: u64,
    flags: Cell<u8>,
    not_send: PhantomData<*const ()>,
}

/// Flags of [`Enter`].
mod mark {
    pub(super) const PANICKING: u8 = 2;
    pub(super) const ROOT: u8 = 4;
    pub(super) const UNRECORDED: u8 = 8;
}

impl Enter {
    const fn inert() -> Self {
        Self { position: 0, outer: 0, depth: 0, stay: 0, flags: Cell::new(0), not_send: PhantomData }
    }

    const fn token(token: u64) -> Self {
        let flags = Cell::new(mark::ROOT | mark::UNRECORDED);
        Self { position: token, outer: 0, depth: 0, stay: 0, flags, not_send: PhantomData }
    }

    /// Whether the span is written.
    #[inline]
    pub(crate) fn is_recorded(&self) -> bool {
        self.position != 0 && self.flags.get() & mark::UNRECORDED == 0
    }

    /// Where its attributes go: to itself by key, or to the current span while that is the same.
    #[inline]
    pub(crate) fn target(&self) -> Target {
        with(|local| {
            if local.opened.inner.get() == self.position {
                return Target::Current;
            }
            local.target_of(self.position)
        })
    }
}

impl Drop for Enter {
    #[inline]
    fn drop(&mut self) {
        if self.position != 0 {
            with(|local| local.exit(self));
        }
    }
}

/// Starts the span of a callsite on this thread.
#[inline]
pub fn enter(site: &'static Callsite) -> Enter {
    with(|local| {
        let state = local.state.get();
        if state == State::Recording {
            let depth = local.opened.depth.get();
            local.opened.mark();
            let needed = event::ENTER_WORDS + event::EXIT_WORDS * (1 + depth as usize);
            if local.writer.has_room(needed) && depth < DEPTH && !panicking() {
                return local.put_enter(site, depth, tsc());
            }
            local.opened.written(depth);
        } else if state == State::Unsampled
            || (state == State::Off && !site.root && (site.require_parent || !Slot::starts_roots()))
        {
            return Enter::inert();
        }
        local.enter_cold(site)
    })
}

#[allow(unsafe_code, reason = "writes the log: room is checked before each event, and the log outlives its use")]
impl Local {
    /// Writes an enter event. There must be room for it, and the thread be marked as writing.
    #[inline(always)]
    pub(super) fn put_enter(&self, site: &'static Callsite, depth: u32, ticks: u64) -> Enter {
        let (position, space) = (self.writer.position(), self.writer.space());
        // SAFETY: the callers have made sure of the room.
        unsafe {
            space.put_site(0, site, kind::ENTER);
            space.put(1, ticks);
            self.writer.commit(space, event::ENTER_WORDS);
        }
        let outer = self.opened.inner.replace(position);
        self.opened.written(depth + 1);
        Enter { position, outer, depth, stay: self.opened.stay.get(), flags: Cell::new(0), not_send: PhantomData }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn enter_cold(&self, site: &'static Callsite) -> Enter {
        if self.opened.is_writing() {
            return self.lose_inside(site, DropReason::Reentrant);
        }
        if per_process::is_child() {
            self.cross_fork();
        }
        match self.state.get() {
            State::Unsampled => return Enter::inert(),
            State::Busy => return self.lose_inside(site, DropReason::Reentrant),
            State::Lost => {
                self.lose(self.place.ids().lost_by());
                return Enter::inert();
            }
            State::Closed => return self.lose_inside(site, DropReason::ThreadEnded),
            State::Off => {
                return match Slot::for_roots() {
                    Some(slot) => self.enter_root(slot, site, 0),
                    None => Enter::inert(),
                };
            }
            State::Sampled | State::Recording => {}
        }
        let ids = self.place.ids();
        if !ids.has_trace() {
            let (slot, mut flags) = match ids.tracer {
                0 => (Slot::for_roots(), 0),
                tracer => (Slot::find(tracer), flag::OF_TRACER),
            };
            if ids.is(flag::DECISION) {
                flags |= flag::DECIDED | ids.flags & flag::DECISION;
            }
            return slot.map_or_else(Enter::inert, |slot| self.enter_root(slot, site, flags));
        }
        if !ids.is(flag::SAMPLED) {
            self.decide(site);
            if !self.place.ids().is_recorded() {
                return Enter::inert();
            }
        }
        let depth = self.opened.depth.get();
        self.opened.mark();
        match self.prepare(event::ENTER_WORDS + event::EXIT_WORDS, depth, true) {
            Ok(()) => self.put_marked_enter(site, depth),
            Err(reason) => {
                self.opened.written(depth);
                self.lose(reason);
                Enter::inert()
            }
        }
    }

    /// Counts a span that cannot be recorded in this state of the thread, whatever its context.
    #[cold]
    fn lose_inside(&self, site: &'static Callsite, reason: DropReason) -> Enter {
        let ids = self.place.ids();
        if let Some(slot) = Slot::find(ids.tracer).or_else(Slot::installed) {
            let starts = ids.has_trace() || slot.lets_start(site.roots());
            if starts && !ids.is(flag::UNSAMPLED | flag::SUPPRESSED) {
                slot.lose(reason, 1);
            }
        }
        Enter::inert()
    }

    /// Starts a trace. Its first span becomes innermost, in a context that ends with it.
    pub(super) fn enter_root(&self, slot: &'static Slot, site: &'static Callsite, flags: u16) -> Enter {
        if !slot.lets_start(site.roots()) {
            return Enter::inert();
        }
        let enter = self.put_root(slot, site, flags);
        if enter.position != 0 {
            return enter;
        }
        let (mut ids, sampled) = self.new_trace(slot, site, flags);
        if !sampled {
            ids.span = self.root_span(slot, &ids);
            return self.enter_unrecorded_root(ids);
        }
        self.place.set_ids(ids);
        self.opened.inner.set(0);
        self.opened.scope.set(0);
        let words = event::SCOPE_WORDS + event::ENTER_WORDS + event::EXIT_WORDS;
        let depth = self.opened.depth.get();
        self.opened.mark();
        if let Err(reason) = self.prepare(words, depth, false) {
            self.opened.written(depth);
            slot.lose(reason, 1);
            ids.span = self.root_span(slot, &ids);
            ids.lose(reason);
            return self.enter_unrecorded_root(ids);
        }
        ids.origin = self.now();
        if slot.has_short_trace_ids() {
            // A trace id of 64 bits is the id of its first span, as Zipkin's own libraries have it.
            let position = self.writer.position().wrapping_add(8 * event::SCOPE_WORDS as u64);
            ids.trace_low = mix(position.wrapping_add(self.key.get()));
        }
        self.place.set_ids(ids);
        self.opened.stay.set(self.new_stay());
        self.put_scope(&ids);
        self.recompute();
        let enter = self.put_marked_enter(site, depth);
        enter.flags.set(enter.flags.get() | mark::ROOT);
        self.opened.root.set(enter.position);
        enter
    }

    /// Starts a trace in one step, where events are all that is to be written: into the log that is there, by the time stamp
    /// counter, and the trace id alone decides whether it is recorded. Inert where that is not so.
    #[inline]
    fn put_root(&self, slot: &'static Slot, site: &'static Callsite, flags: u16) -> Enter {
        const WORDS: usize = event::SCOPE_WORDS + event::ENTER_WORDS;
        let (tracer, depth) = (slot.reference(), self.opened.depth.get());
        // Before the look: a signal handler could make another tracer's log the current one.
        self.opened.mark();
        let is_plain = self.known.get() == tracer
            && self.by_tsc()
            && flags & flag::DECISION == 0
            && !slot.has_short_trace_ids()
            && depth < DEPTH
            && !panicking();
        let (true, Some(boundary)) = (is_plain, slot.boundary()) else {
            self.opened.written(depth);
            return Enter::inert();
        };
        // By the time stamp counter no test's tracer writes, so that ids are random.
        let (trace_high, trace_low) = (self.draw_random(), self.draw_random());
        let mut ids = Ids { trace_high, trace_low, tracer, flags, ..Ids::NONE };
        if !Sampler::within(boundary, trace_low) {
            slot.count_unsampled();
            ids.span = self.draw_random();
            ids.flags |= flag::UNSAMPLED | flag::RANDOM;
            self.opened.written(depth);
            return self.enter_unrecorded_root(ids);
        }
        if !self.writer.has_room(WORDS + event::EXIT_WORDS * (1 + depth as usize)) {
            self.opened.written(depth);
            return Enter::inert();
        }
        ids.flags |= flag::SAMPLED | flag::RANDOM;
        ids.origin = tsc();
        let (scope, space) = (self.writer.position(), self.writer.space());
        let position = scope.wrapping_add(8 * event::SCOPE_WORDS as u64);
        // SAFETY: there is room for both events.
        unsafe {
            put_scope_words(space, &ids, 0);
            space.put_site(event::SCOPE_WORDS, site, kind::ENTER);
            space.put(event::SCOPE_WORDS + 1, ids.origin);
            self.writer.commit(space, WORDS);
        }
        self.place.set_ids(ids);
        self.opened.scope.set(scope);
        self.written.set(scope);
        self.opened.inner.set(position);
        self.opened.root.set(position);
        let stay = self.new_stay();
        self.opened.stay.set(stay);
        self.set_state(&ids, State::Recording);
        self.opened.written(depth + 1);
        Enter { position, outer: 0, depth, stay, flags: Cell::new(mark::ROOT), not_send: PhantomData }
    }

    /// The root of a trace that is not recorded: its ids are passed on, nothing is written.
    pub(super) fn enter_unrecorded_root(&self, ids: Ids) -> Enter {
        self.place.set_ids(ids);
        self.opened.inner.set(0);
        self.opened.scope.set(0);
        self.opened.root.set(ids.span);
        self.recompute();
        Enter::token(ids.span)
    }

    /// Writes an enter event off the hot path.
    pub(super) fn put_marked_enter(&self, site: &'static Callsite, depth: u32) -> Enter {
        let enter = self.put_enter(site, depth, self.now());
        if panicking() {
            enter.flags.set(mark::PANICKING);
        }
        enter
    }

    /// Ends a sync span.
    #[inline]
    pub(super) fn exit(&self, enter: &Enter) {
        if self.state.get() == State::Recording
            && self.opened.inner.get() == enter.position
            && enter.flags.get() == 0
            && !panicking()
        {
            self.opened.mark();
            if self.writer.has_room(1) {
                return self.put_plain_exit(enter);
            }
            self.opened.written(enter.depth + 1);
        }
        self.exit_cold(enter);
    }

    /// Writes the end of the innermost span. There must be room for it, and the thread be marked as writing.
    #[inline(always)]
    fn put_plain_exit(&self, enter: &Enter) {
        let space = self.writer.space();
        // SAFETY: the callers have made sure of the room.
        unsafe {
            space.put(0, event::exit(tsc(), Outcome::Returned, kind::EXIT));
            self.writer.commit(space, 1);
        }
        self.opened.inner.set(enter.outer);
        self.opened.written(enter.depth);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn exit_cold(&self, enter: &Enter) {
        let flags = enter.flags.get();
        if flags == mark::ROOT
            && self.state.get() == State::Recording
            && self.opened.inner.get() == enter.position
            && self.opened.root.get() == enter.position
            && !panicking()
        {
            self.opened.mark();
            if self.writer.has_room(1) {
                self.put_plain_exit(enter);
                self.leave_root();
                return;
            }
            self.opened.written(enter.depth + 1);
        }
        if flags & mark::UNRECORDED == 0 && !self.is_unusual(unusual::CLOSED) {
            let outcome =
                if panicking() && flags & mark::PANICKING == 0 { Outcome::Panicked } else { Outcome::Returned };
            let range = range_of(enter.position);
            if range == self.range.get() {
                self.put_exit(enter, outcome);
            } else if self.select_log_of(range) {
                self.put_exit(enter, outcome);
                self.return_to_inner();
            }
        }
        if flags & mark::ROOT != 0 {
            if self.opened.root.get() == enter.position {
                self.leave_root();
            } else if flags & mark::UNRECORDED != 0 {
                self.note_stray(enter);
            }
        }
    }

    /// Writes the end of a sync span that may not be the innermost one.
    pub(super) fn put_exit(&self, enter: &Enter, outcome: Outcome) {
        let (position, inner) = (enter.position, self.opened.inner.get());
        let is_innermost = position == inner;
        let clean = self.is_clean();
        // What was entered after it and has not ended was leaked, or ends later: it is no longer innermost.
        let is_ours = is_innermost || (self.opened.stay.get() == enter.stay && position < inner);
        let innermost = if is_ours { enter.outer } else { inner };
        let depth = self.opened.depth.get();
        self.opened.mark();
        let room = self.writer.has_room(event::EXIT_WORDS) || self.extend(event::EXIT_WORDS, depth, Need::End).is_ok();
        if room {
            let (ticks, space) = (self.now(), self.writer.space());
            // SAFETY: there is room for a named exit.
            unsafe {
                if is_innermost && clean {
                    space.put(0, event::exit(ticks, outcome, kind::EXIT));
                    self.writer.commit(space, 1);
                } else {
                    space.put(0, event::exit(ticks, outcome, kind::NAMED_EXIT));
                    space.put(1, position);
                    space.put(2, innermost);
                    self.writer.commit(space, event::EXIT_WORDS);
                }
            }
        }
        if !clean || !room {
            // What the reader thinks innermost is of another scope: none is to be continued.
            self.written.set(0);
        }
        self.opened.inner.set(innermost);
        if !is_ours {
            self.note_stray(enter);
        }
        self.opened.written(if is_ours { enter.depth } else { depth });
        self.recompute();
    }

    pub(super) fn note_stray(&self, enter: &Enter) {
        let mut strays = self.strays.get();
        let at = self.strayed.get();
        strays[at % STRAYS] = Stray { position: enter.position, outer: enter.outer, depth: enter.depth };
        self.strays.set(strays);
        self.strayed.set(at.wrapping_add(1));
        self.set_unusual(unusual::STRAYS, true);
    }

    /// A context is current again: what ended in its absence is neither its innermost span nor what started it.
    #[cold]
    pub(super) fn drop_strays(&self) {
        if self.opened.is_writing() {
            return;
        }
        let strays = self.strays.get();
        let find = |position| strays.iter().find(|stray| position != 0 && stray.position == position);
        while let Some(stray) = find(self.opened.inner.get()) {
            self.opened.inner.set(stray.outer);
            self.opened.depth.set(self.opened.depth.get().min(stray.depth));
        }
        if let Some(stray) = find(self.opened.root.get()) {
            self.opened.depth.set(self.opened.depth.get().min(stray.depth));
            self.leave_root();
        }
    }

    /// The context ends with the span that started it.
    pub(super) fn leave_root(&self) {
        self.opened.inner.set(0);
        self.opened.scope.set(0);
        self.opened.root.set(0);
        // Mostly there was no context at all before it.
        if self.unusual.get() == 0 && self.place.clear_own(flag::BEFORE) {
            return self.state.set(State::Off);
        }
        self.place.set_ids(self.place.ids().before());
        self.recompute();
    }
}
