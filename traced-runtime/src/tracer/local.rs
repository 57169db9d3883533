//! The thread local: the current context, and the registers with which its thread writes the log.
//!
//! One state byte decides everything on the hot path. [`State::Recording`] means that an event can be written at once;
//! all else is cold. The thread local is `const`-initialised and has no destructor; what has to happen at the end of a
//! thread hangs on a second one, which is touched only when the thread gets a log.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::marker::PhantomData;
use std::sync::Arc;
use std::thread::panicking;

use crate::recorder::clock::{Clock, os_nanos, tsc};
use crate::recorder::event::{self, AttributeHead, Ids, ValueType, What, kind};
use crate::recorder::log::{Log, Need, POSITION_BITS, Writer};
use crate::recorder::registry::{mix, random};
use crate::reporter::stats::DropReason;
use crate::tracer::callsite::{Callsite, Roots};
use crate::tracer::id::TraceId;
use crate::tracer::kind::Outcome;
use crate::tracer::slot::Slot;

/// Spans of one thread that may be open inside each other. Beyond it a span is not recorded, and counted
/// (`TooDeep`); its children go to the nearest recorded ancestor.
pub const DEPTH: u32 = 4096;

/// Bytes of a tag's value or an annotation. What is longer is cut at a character's end, and counted.
pub const VALUE_BYTES: usize = 16 << 10;

/// Bytes of a tag's key. What is longer is cut at a character's end, and counted.
pub const KEY_BYTES: usize = 1 << 10;

/// Flags of a context, in [`Ids::flags`].
pub(crate) mod flag {
    /// The trace is recorded.
    pub(crate) const SAMPLED: u8 = 1;
    /// The trace is not recorded. With neither the decision is deferred to the first span here.
    pub(crate) const UNSAMPLED: u8 = 2;
    /// Every sampler on the way is to keep the trace.
    pub(crate) const DEBUG: u8 = 4;
    /// The trace's first span here could not be recorded: neither is what is below it.
    pub(crate) const LOST: u8 = 8;
    /// The span shares its id with the client's.
    pub(crate) const SHARED: u8 = 16;
    /// The trace began under a context that named its tracer and nothing else.
    pub(crate) const OF_TRACER: u8 = 32;
    /// The span's parent, if it has one, is in another process.
    pub(crate) const LOCAL_ROOT: u8 = 64;
    /// Nothing at all is recorded: a thread of the tracer's own.
    pub(crate) const SUPPRESSED: u8 = 128;
    /// What children inherit.
    pub(crate) const INHERITED: u8 = SAMPLED | UNSAMPLED | DEBUG | LOST;
}

impl Ids {
    /// No context.
    pub(crate) const NONE: Self =
        Self { trace_high: 0, trace_low: 0, span: 0, parent: 0, key: 0, tracer: 0, flags: 0, origin: 0 };

    /// No trace, but a tracer that starts them.
    pub(crate) const fn of_tracer(tracer: u32) -> Self {
        Self { tracer, ..Self::NONE }
    }

    /// The same tracer without the trace: what starts here is the first of its own.
    pub(crate) const fn rootless(&self) -> Self {
        Self { flags: self.flags & flag::SUPPRESSED, ..Self::of_tracer(self.tracer) }
    }

    #[inline]
    pub(crate) const fn has_trace(&self) -> bool {
        (self.trace_high | self.trace_low) != 0
    }

    #[inline]
    pub(crate) const fn is(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// Whether spans of this context are written.
    #[inline]
    pub(crate) const fn is_recorded(&self) -> bool {
        self.is(flag::SAMPLED) && !self.is(flag::LOST)
    }

    /// Whether a span below may be written.
    pub(crate) const fn may_record(&self) -> bool {
        !self.is(flag::UNSAMPLED | flag::LOST)
    }

    pub(crate) const fn trace(&self) -> Option<TraceId> {
        TraceId::new((self.trace_high as u128) << 64 | self.trace_low as u128)
    }
}

/// What the hot path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum State {
    /// No context.
    Off,
    /// A context that is not recorded.
    Unsampled,
    /// A trace that could not be recorded: its spans are counted.
    Lost,
    /// Recorded, but something must be done first, or the clock is not the time stamp counter.
    Sampled,
    /// The scope is written, the log's clock is the time stamp counter: events go straight in.
    Recording,
    /// Inside an allocation for the log, which may be traced itself.
    Busy,
    /// The thread has ended.
    Closed,
}

/// The registers of a thread.
#[derive(Debug)]
pub(crate) struct Local {
    state: Cell<State>,
    writer: Writer,
    /// Position of the innermost open sync span that belongs to the context; 0 when there is none.
    inner: Cell<u64>,
    /// Open sync spans of the thread, each with room in reserve for its end.
    depth: Cell<u32>,
    /// Tells the spans of the current context from those of others that are open: another number each time that a context
    /// is attached or a trace begins.
    stay: Cell<u16>,
    /// The last such number given.
    stays: Cell<u16>,
    /// Position of the scope event of the current context; 0 when it is not written.
    scope: Cell<u64>,
    /// Position of the last scope event in the log; 0 when what the reader thinks is innermost is not what we think.
    written: Cell<u64>,
    /// The span that started the current trace by itself, and ends the context with itself: position or token.
    root: Cell<u64>,
    /// The current context. Spans inside it are told by `inner`.
    ids: Cell<Ids>,
    /// The log; null without one. Kept alive by [`LOGS`].
    log: Cell<*const Log>,
    number: Cell<u64>,
    key: Cell<u64>,
    registry: Cell<u32>,
    /// Whether the log's clock is the time stamp counter.
    by_tsc: Cell<bool>,
    busy: Cell<bool>,
    closed: Cell<bool>,
    /// The registry whose budget had nothing, and its `Budget::returned` then.
    denied: Cell<(u32, usize)>,
    /// State of the generator of ids; 0 before its first use.
    seed: Cell<u64>,
    /// Spans that ended while another context was current: what that one replaced may name them.
    strays: Cell<[Stray; STRAYS]>,
    /// How many were ever noted.
    strayed: Cell<usize>,
}

/// Spans that are remembered to have ended outside of their context. Only guards that are dropped in the wrong order make
/// any; of those forgotten a context that is long over may stay current.
const STRAYS: usize = 4;

/// A span that ended outside of its context.
#[derive(Clone, Copy, Debug)]
struct Stray {
    position: u64,
    outer: u64,
    depth: u32,
}

thread_local! {
    static LOCAL: Local = const { Local::new() };
    /// The thread's logs, one for each registry it wrote to. Its destructor ends them.
    static LOGS: Logs = const { Logs(RefCell::new(Vec::new())) };
}

struct Logs(RefCell<Vec<(u32, Arc<Log>)>>);

impl Drop for Logs {
    fn drop(&mut self) {
        with(Local::close);
        for (_, log) in self.0.get_mut() {
            log.close();
        }
    }
}

/// What a context replaced when it was attached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saved {
    ids: Ids,
    inner: u64,
    scope: u64,
    root: u64,
    depth: u32,
    stay: u16,
}

/// To which span an attribute goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The innermost one of the current context.
    Current,
    /// The one with this local key.
    Key {
        /// Its tracer.
        tracer: u32,
        /// Its local key, not 0.
        key: u64,
    },
}

/// An attribute's value, typed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AttributeValue<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
}

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
    stay: u16,
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
    pub(crate) fn target(&self) -> Target {
        with(|local| {
            if local.inner.get() == self.position {
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
            let depth = local.depth.get();
            let needed = event::ENTER_WORDS + event::EXIT_WORDS * (1 + depth as usize);
            if local.writer.room() >= needed && depth < DEPTH && !panicking() {
                return local.put_enter(site, depth, tsc());
            }
        } else if state == State::Unsampled
            || (state == State::Off && !site.root && (site.require_parent || !Slot::starts_roots()))
        {
            return Enter::inert();
        }
        local.enter_cold(site)
    })
}

/// Runs `code` with this thread's registers.
///
/// Only their address comes out of [`LocalKey::with`](std::thread::LocalKey::with): around so little it is inlined in any
/// crate, and becomes an addition. Around all of `code` it is a call, and one through a pointer inside.
#[inline(always)]
#[allow(unsafe_code, reason = "the reference outlives the closure that it was given to, not the thread")]
pub(crate) fn with<R>(code: impl FnOnce(&Local) -> R) -> R {
    let local: *const Local = LOCAL.with(std::ptr::from_ref);
    // SAFETY: without a destructor the thread local is there until the thread is gone; `code` cannot keep the reference.
    code(unsafe { &*local })
}

#[allow(unsafe_code, reason = "writes the log: room is checked before each event, and the log outlives its use")]
impl Local {
    const fn new() -> Self {
        Self {
            state: Cell::new(State::Off),
            writer: Writer::detached(),
            inner: Cell::new(0),
            depth: Cell::new(0),
            stay: Cell::new(0),
            stays: Cell::new(0),
            scope: Cell::new(0),
            written: Cell::new(0),
            root: Cell::new(0),
            ids: Cell::new(Ids::NONE),
            log: Cell::new(std::ptr::null()),
            number: Cell::new(0),
            key: Cell::new(0),
            registry: Cell::new(0),
            by_tsc: Cell::new(false),
            busy: Cell::new(false),
            closed: Cell::new(false),
            denied: Cell::new((0, 0)),
            seed: Cell::new(0),
            strays: Cell::new([Stray { position: 0, outer: 0, depth: 0 }; STRAYS]),
            strayed: Cell::new(0),
        }
    }

    // ---- sync spans

    /// Writes an enter event. There must be room for it.
    #[inline(always)]
    fn put_enter(&self, site: &'static Callsite, depth: u32, ticks: u64) -> Enter {
        let position = self.writer.position();
        // SAFETY: the callers have made sure of the room.
        unsafe {
            self.writer.put_site(0, site, kind::ENTER);
            self.writer.put(1, ticks);
            self.writer.commit(event::ENTER_WORDS);
        }
        let outer = self.inner.replace(position);
        self.depth.set(depth + 1);
        Enter { position, outer, depth, stay: self.stay.get(), flags: Cell::new(0), not_send: PhantomData }
    }

    #[cold]
    #[inline(never)]
    fn enter_cold(&self, site: &'static Callsite) -> Enter {
        match self.state.get() {
            State::Unsampled => return Enter::inert(),
            State::Busy => {
                self.lose(DropReason::LogFull);
                return Enter::inert();
            }
            State::Lost => {
                self.lose(DropReason::LogFull);
                return Enter::inert();
            }
            State::Closed => {
                if let Some(slot) = Slot::find(self.ids.get().tracer).or_else(Slot::installed) {
                    if !self.ids.get().is(flag::UNSAMPLED | flag::SUPPRESSED) {
                        slot.lose(DropReason::ThreadEnded, 1);
                    }
                }
                return Enter::inert();
            }
            State::Off => {
                return match Slot::installed() {
                    Some(slot) => self.enter_root(slot, site, 0),
                    None => Enter::inert(),
                };
            }
            State::Sampled | State::Recording => {}
        }
        let ids = self.ids.get();
        if !ids.has_trace() {
            return match Slot::find(ids.tracer) {
                Some(slot) => self.enter_root(slot, site, flag::OF_TRACER),
                None => Enter::inert(),
            };
        }
        if !ids.is(flag::SAMPLED) {
            self.decide(site);
            if !self.ids.get().is_recorded() {
                return Enter::inert();
            }
        }
        match self.prepare(event::ENTER_WORDS + event::EXIT_WORDS, Need::Start, true) {
            Ok(()) => self.put_marked_enter(site),
            Err(reason) => {
                self.lose(reason);
                Enter::inert()
            }
        }
    }

    /// Starts a trace. Its first span becomes innermost, in a context that ends with it.
    fn enter_root(&self, slot: &'static Slot, site: &'static Callsite, flags: u8) -> Enter {
        if site.roots() == Roots::Never || (slot.requires_parent() && site.roots() == Roots::Allowed) {
            return Enter::inert();
        }
        let (mut ids, sampled) = self.new_trace(slot, site, flags);
        if !sampled {
            ids.span = self.root_span(slot, &ids);
            return self.enter_unrecorded_root(ids);
        }
        self.ids.set(ids);
        self.inner.set(0);
        self.scope.set(0);
        let words = event::SCOPE_WORDS + event::ENTER_WORDS + event::EXIT_WORDS;
        if let Err(reason) = self.prepare(words, Need::Start, false) {
            slot.lose(reason, 1);
            ids.span = self.root_span(slot, &ids);
            ids.flags |= flag::LOST;
            return self.enter_unrecorded_root(ids);
        }
        ids.origin = self.now();
        if slot.has_short_trace_ids() {
            // A trace id of 64 bits is the id of its first span, as Zipkin's own libraries have it.
            let position = self.writer.position().wrapping_add(8 * event::SCOPE_WORDS as u64);
            ids.trace_low = mix(position.wrapping_add(self.key.get()));
        }
        self.ids.set(ids);
        self.stay.set(self.new_stay());
        self.put_scope(&ids);
        self.recompute();
        let enter = self.put_marked_enter(site);
        enter.flags.set(enter.flags.get() | mark::ROOT);
        self.root.set(enter.position);
        enter
    }

    /// The root of a trace that is not recorded: its ids are passed on, nothing is written.
    fn enter_unrecorded_root(&self, ids: Ids) -> Enter {
        self.ids.set(ids);
        self.inner.set(0);
        self.scope.set(0);
        self.root.set(ids.span);
        self.recompute();
        Enter::token(ids.span)
    }

    /// Writes an enter event off the hot path.
    fn put_marked_enter(&self, site: &'static Callsite) -> Enter {
        let enter = self.put_enter(site, self.depth.get(), self.now());
        if panicking() {
            enter.flags.set(mark::PANICKING);
        }
        enter
    }

    /// Ends a sync span.
    #[inline]
    fn exit(&self, enter: &Enter) {
        if self.state.get() == State::Recording
            && self.inner.get() == enter.position
            && enter.flags.get() == 0
            && self.writer.room() >= 1
            && !panicking()
        {
            // SAFETY: there is room for one word.
            unsafe {
                self.writer.put(0, event::exit(tsc(), Outcome::Returned, kind::EXIT));
                self.writer.commit(1);
            }
            self.inner.set(enter.outer);
            self.depth.set(enter.depth);
        } else {
            self.exit_cold(enter);
        }
    }

    #[cold]
    #[inline(never)]
    fn exit_cold(&self, enter: &Enter) {
        let flags = enter.flags.get();
        if flags & mark::UNRECORDED == 0 && !self.closed.get() {
            let outcome =
                if panicking() && flags & mark::PANICKING == 0 { Outcome::Panicked } else { Outcome::Returned };
            let number = enter.position >> POSITION_BITS;
            if number == self.number.get() {
                self.put_exit(enter, outcome);
            } else if self.select_log(|_, log| log.number() == number) {
                self.put_exit(enter, outcome);
                self.return_to_inner();
            }
        }
        if flags & mark::ROOT != 0 {
            if self.root.get() == enter.position {
                self.leave_root();
            } else if flags & mark::UNRECORDED != 0 {
                self.note_stray(enter);
            }
        }
    }

    /// Writes the end of a sync span that may not be the innermost one.
    fn put_exit(&self, enter: &Enter, outcome: Outcome) {
        let (position, inner) = (enter.position, self.inner.get());
        let is_innermost = position == inner;
        let clean = self.is_clean();
        // What was entered after it and has not ended was leaked, or ends later: it is no longer innermost.
        let is_ours = is_innermost || (self.stay.get() == enter.stay && position < inner);
        let innermost = if is_ours { enter.outer } else { inner };
        let room = self.writer.room() >= event::EXIT_WORDS || self.extend(event::EXIT_WORDS, Need::End).is_ok();
        if room {
            let ticks = self.now();
            // SAFETY: there is room for a named exit.
            unsafe {
                if is_innermost && clean {
                    self.writer.put(0, event::exit(ticks, outcome, kind::EXIT));
                    self.writer.commit(1);
                } else {
                    self.writer.put(0, event::exit(ticks, outcome, kind::NAMED_EXIT));
                    self.writer.put(1, position);
                    self.writer.put(2, innermost);
                    self.writer.commit(event::EXIT_WORDS);
                }
            }
        }
        if !clean || !room {
            // What the reader thinks innermost is of another scope: none is to be continued.
            self.written.set(0);
        }
        self.inner.set(innermost);
        if is_ours {
            self.depth.set(enter.depth);
        } else {
            self.note_stray(enter);
        }
        self.recompute();
    }

    fn note_stray(&self, enter: &Enter) {
        let mut strays = self.strays.get();
        let at = self.strayed.get();
        strays[at % STRAYS] = Stray { position: enter.position, outer: enter.outer, depth: enter.depth };
        self.strays.set(strays);
        self.strayed.set(at.wrapping_add(1));
    }

    /// A context is current again: what ended in its absence is neither its innermost span nor what started it.
    #[cold]
    fn drop_strays(&self) {
        let strays = self.strays.get();
        let find = |position| strays.iter().find(|stray| position != 0 && stray.position == position);
        while let Some(stray) = find(self.inner.get()) {
            self.inner.set(stray.outer);
            self.depth.set(self.depth.get().min(stray.depth));
        }
        if let Some(stray) = find(self.root.get()) {
            self.depth.set(self.depth.get().min(stray.depth));
            self.leave_root();
        }
    }

    /// The context ends with the span that started it.
    fn leave_root(&self) {
        let ids = self.ids.get();
        self.ids.set(if ids.is(flag::OF_TRACER) { Ids::of_tracer(ids.tracer) } else { Ids::NONE });
        self.inner.set(0);
        self.scope.set(0);
        self.root.set(0);
        self.recompute();
    }

    // ---- contexts

    /// The context of the innermost span.
    pub(crate) fn current(&self) -> Ids {
        let mut ids = self.ids.get();
        let inner = self.inner.get();
        if inner != 0 {
            ids.span = mix(inner.wrapping_add(self.key.get()));
            ids.key = ids.span;
        }
        ids
    }

    /// A context of another process, which names no tracer, gets that of the current one.
    #[inline]
    pub(crate) fn adopt(&self, mut ids: Ids) -> Ids {
        if ids.tracer == 0 && ids.has_trace() {
            ids.tracer = self.ids.get().tracer;
        }
        ids
    }

    /// Makes `ids` the current context. What it replaced is to be [restored](Self::restore).
    #[inline]
    pub(crate) fn attach(&self, ids: &Ids) -> Saved {
        let saved = Saved {
            ids: self.ids.replace(*ids),
            inner: self.inner.replace(0),
            scope: self.scope.replace(0),
            root: self.root.replace(0),
            depth: self.depth.get(),
            stay: self.stay.replace(self.new_stay()),
        };
        if ids.tracer == 0 && ids.has_trace() {
            self.adopt_tracer(saved.ids.tracer);
        }
        // Its scope is not written.
        self.set_state(ids, State::Sampled);
        saved
    }

    #[inline]
    fn new_stay(&self) -> u16 {
        let stay = self.stays.get().wrapping_add(1);
        self.stays.set(stay);
        stay
    }

    /// The current context came from another process: it gets the tracer of the one before, or the installed one.
    #[cold]
    fn adopt_tracer(&self, before: u32) {
        let tracer = if before != 0 { before } else { Slot::installed().map_or(0, Slot::reference) };
        self.ids.set(Ids { tracer, ..self.ids.get() });
    }

    /// Puts back what [`attach`](Self::attach) replaced.
    #[inline]
    pub(crate) fn restore(&self, saved: &Saved) {
        self.ids.set(saved.ids);
        self.inner.set(saved.inner);
        self.stay.set(saved.stay);
        self.scope.set(saved.scope);
        self.root.set(saved.root);
        self.depth.set(saved.depth);
        if self.strayed.get() != 0 {
            self.drop_strays();
        }
        self.return_to_inner();
    }

    /// Nothing is recorded on this thread from now on.
    pub(crate) fn suppress(&self) {
        let _ = self.attach(&Ids { flags: flag::SUPPRESSED | flag::UNSAMPLED, ..Ids::NONE });
    }

    /// Derives the state from everything else. It is never restored blindly: the thread may have ended, the log changed.
    #[inline]
    fn recompute(&self) {
        let recording = self.by_tsc.get() && self.is_clean();
        self.set_state(&self.ids.get(), if recording { State::Recording } else { State::Sampled });
    }

    /// Sets the state for a context; `if_sampled` is that of one which is recorded. That is the short way: it is taken
    /// twice for each poll of a future.
    #[inline(always)]
    fn set_state(&self, ids: &Ids, if_sampled: State) {
        let is_plain = ids.flags & (flag::SAMPLED | flag::UNSAMPLED | flag::LOST) == flag::SAMPLED;
        self.state.set(if self.closed.get() | self.busy.get() {
            if self.closed.get() { State::Closed } else { State::Busy }
        } else if is_plain {
            if_sampled
        } else if ids.is(flag::UNSAMPLED) {
            State::Unsampled
        } else if ids.is(flag::LOST) {
            State::Lost
        } else if !ids.has_trace() && ids.tracer == 0 {
            State::Off
        } else {
            State::Sampled
        });
    }

    /// Whether the scope that the reader knows is the current one, and it knows what is innermost.
    #[inline]
    fn is_clean(&self) -> bool {
        self.scope.get() != 0 && self.scope.get() == self.written.get()
    }

    /// Positions of the current context are of one log: makes that the current one again.
    #[inline]
    fn return_to_inner(&self) {
        let number = self.inner.get() >> POSITION_BITS;
        if number != 0 && number != self.number.get() {
            self.select_log(|_, log| log.number() == number);
        }
        self.recompute();
    }

    /// Decides a deferred context, for the span with this name.
    fn decide(&self, name: &dyn Display) {
        let mut ids = self.ids.get();
        self.settle(&mut ids, name);
        self.ids.set(ids);
        self.recompute();
    }

    fn settle(&self, ids: &mut Ids, name: &dyn Display) {
        if ids.is(flag::SAMPLED | flag::UNSAMPLED) {
            return;
        }
        let sampled = match (Slot::find(ids.tracer), ids.trace()) {
            (Some(slot), Some(trace)) => slot.samples(name, trace),
            _ => false,
        };
        ids.flags |= if sampled { flag::SAMPLED } else { flag::UNSAMPLED };
    }

    fn lose(&self, reason: DropReason) {
        if let Some(slot) = Slot::find(self.ids.get().tracer) {
            slot.lose(reason, 1);
        }
    }

    // ---- ids

    /// Draws the ids of a new trace and decides about it. The span's id is still open.
    fn new_trace(&self, slot: &'static Slot, name: &dyn Display, flags: u8) -> (Ids, bool) {
        let trace_low = self.draw(slot);
        let trace_high = if slot.has_short_trace_ids() { 0 } else { self.draw(slot) };
        let mut ids = Ids { trace_high, trace_low, tracer: slot.reference(), flags, ..Ids::NONE };
        let sampled = ids.trace().is_some_and(|trace| slot.samples(name, trace));
        ids.flags |= if sampled { flag::SAMPLED } else { flag::UNSAMPLED };
        if !sampled {
            slot.count_unsampled();
        }
        (ids, sampled)
    }

    /// A new id, never 0: random, from a generator of the thread's own (SplitMix64), or counted for a test's tracer.
    fn draw(&self, slot: &Slot) -> u64 {
        slot.counted_id().unwrap_or_else(|| {
            let mut seed = self.seed.get();
            if seed == 0 {
                seed = random() | 1;
            }
            loop {
                seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                self.seed.set(seed);
                let id = mix(seed);
                if id != 0 {
                    return id;
                }
            }
        })
    }

    /// The id of a trace's first span: its own, or the trace's if that has 64 bits.
    fn root_span(&self, slot: &Slot, ids: &Ids) -> u64 {
        if ids.trace_high == 0 { ids.trace_low } else { self.draw(slot) }
    }

    /// Forgets what a forked child must not repeat, and the logs that are its parent's.
    #[cfg(unix)]
    pub(crate) fn after_fork(&self) {
        self.seed.set(0);
        self.forget_log();
        self.recompute();
    }

    // ---- async and explicit spans

    /// The ids of a span below `parent`, or of a new trace's first where there is no parent, and when it starts. `None`:
    /// there is nothing to start or to pass on.
    pub(crate) fn open(&self, parent: Ids, name: &dyn Display, roots: Roots) -> Option<(Ids, u64)> {
        let mut ids = self.adopt(parent);
        if !ids.has_trace() {
            let (slot, flags) = match ids.tracer {
                0 => (Slot::installed()?, 0),
                tracer => (Slot::find(tracer)?, flag::OF_TRACER),
            };
            let refused = roots == Roots::Never || (slot.requires_parent() && roots == Roots::Allowed);
            if refused || ids.is(flag::UNSAMPLED) {
                return None;
            }
            ids = self.new_trace(slot, name, flags).0;
        }
        if ids.tracer == 0 {
            ids.tracer = Slot::installed()?.reference();
        }
        self.settle(&mut ids, name);
        let slot = Slot::find(ids.tracer)?;
        if ids.is_recorded() {
            if let Err(reason) = self.reach_log(ids.tracer) {
                slot.lose(reason, 1);
                ids.flags |= flag::LOST;
            }
        } else if ids.is(flag::LOST) {
            slot.lose(DropReason::LogFull, 1);
        }
        if !ids.is_recorded() {
            // Not recorded, a span is transparent: what is below it has its parent. Only a trace's first has an id.
            if ids.span == 0 {
                ids.span = self.root_span(slot, &ids);
            }
            return Some((ids, 0));
        }
        let is_root = ids.key == 0;
        let start = self.now();
        if ids.origin == 0 {
            ids.origin = start;
        }
        ids.parent = ids.span;
        ids.span = if ids.parent == 0 { self.root_span(slot, &ids) } else { self.draw(slot) };
        ids.key = ids.span;
        ids.flags &= flag::INHERITED | flag::OF_TRACER;
        if is_root {
            ids.flags |= flag::LOCAL_ROOT;
        }
        self.return_to_inner();
        Some((ids, start))
    }

    /// Tells the reader of a span that may stay for a while; `false` where there is no room for that.
    #[cold]
    pub(crate) fn begin(&self, site: &'static Callsite, ids: &Ids, start: u64) -> bool {
        let written = self.write(ids.tracer, event::BEGIN_WORDS, Need::Start, |writer| {
            // SAFETY: `write` has made room.
            unsafe {
                writer.put_site(0, site, kind::BEGIN);
                put_ids(writer, ids);
                writer.put(1 + event::IDS, start);
            }
        });
        written.is_ok()
    }

    /// Writes a span that has ended. Where that is not possible it is counted as lost, unless the reader knows that it
    /// [began](Self::begin): then it stays open there, and is reported as unfinished at the tracer's end.
    pub(crate) fn finish(
        &self,
        site: &'static Callsite,
        ids: &Ids,
        start: u64,
        outcome: Outcome,
        polls: u32,
        begun: bool,
    ) {
        let written = self.write(ids.tracer, event::SPAN_WORDS, Need::End, |writer| {
            let end = self.now();
            // SAFETY: `write` has made room.
            unsafe {
                writer.put_site(0, site, kind::SPAN);
                put_ids(writer, ids);
                writer.put(1 + event::IDS, start);
                writer.put(2 + event::IDS, event::exit(end, outcome, 0));
                writer.put(3 + event::IDS, event::last(polls, begun));
            }
        });
        if let (Err(reason), false) = (written, begun) {
            if let Some(slot) = Slot::find(ids.tracer) {
                slot.lose(reason, 1);
            }
        }
    }

    /// Tells the reader to forget a span that began.
    pub(crate) fn abandon(&self, ids: &Ids) {
        let _ = self.write(ids.tracer, event::ABANDON_WORDS, Need::End, |writer| {
            // SAFETY: `write` has made room.
            unsafe {
                writer.put(0, kind::ABANDON);
                writer.put(1, ids.key);
            }
        });
    }

    // ---- attributes

    /// Whether an attribute of the current span would be recorded.
    #[inline]
    pub(crate) fn records(&self) -> bool {
        matches!(self.state.get(), State::Recording | State::Sampled)
            && (self.inner.get() != 0 || self.ids.get().key != 0)
    }

    /// The key of a span of this thread by its position.
    fn target_of(&self, position: u64) -> Target {
        Target::Key { tracer: self.ids.get().tracer, key: mix(position.wrapping_add(self.key.get())) }
    }

    /// Writes an attribute. What is too long is cut and counted; without room it is lost and counted as cut.
    pub(crate) fn attribute(&self, target: Target, what: What, key: &str, value: AttributeValue<'_>) {
        let (tracer, by_key) = match target {
            Target::Key { tracer, key } => (tracer, key),
            Target::Current if !self.records() => return,
            Target::Current => {
                let ids = self.current();
                let is_innermost = self.inner.get() != 0 && self.is_clean();
                (ids.tracer, if is_innermost { 0 } else { ids.key })
            }
        };
        let number;
        let (value_type, bytes): (_, &[u8]) = match value {
            AttributeValue::Text(text) => (ValueType::Text, cut(text, VALUE_BYTES).as_bytes()),
            AttributeValue::Bytes(bytes) => (ValueType::Text, bytes),
            AttributeValue::Unsigned(value) => {
                number = value.to_ne_bytes();
                (ValueType::Unsigned, &number)
            }
            AttributeValue::Signed(value) => {
                number = value.to_ne_bytes();
                (ValueType::Signed, &number)
            }
            AttributeValue::Float(value) => {
                number = value.to_ne_bytes();
                (ValueType::Float, &number)
            }
            AttributeValue::Bool(value) => (ValueType::Bool, if value { &[1] } else { &[0] }),
        };
        let short_key = cut(key, KEY_BYTES);
        let was_cut =
            short_key.len() < key.len() || matches!(value, AttributeValue::Text(text) if bytes.len() < text.len());
        let head = AttributeHead {
            what,
            value_type,
            by_key: by_key != 0,
            key_len: u16::try_from(short_key.len()).unwrap_or(0),
            value_len: u32::try_from(bytes.len()).unwrap_or(0),
        };
        let write = |writer: &Writer| {
            // SAFETY: `write` has made room for all words of the event.
            unsafe {
                writer.put(0, head.to_word());
                if head.by_key {
                    writer.put(1, by_key);
                    writer.put(2, self.now());
                    writer.put(3, u64::from(tracer) << 32);
                } else if head.what == What::Annotation {
                    writer.put(1, self.now());
                }
                writer.put_bytes(head.head_words(), [short_key.as_bytes(), bytes]);
            }
        };
        let written = self.write(tracer, head.words(), Need::Start, write);
        if was_cut || written.is_err() {
            if let Some(slot) = Slot::find(tracer) {
                slot.count_cut_value();
            }
        }
    }

    // ---- the log

    /// Writes an event that needs no scope, into the log of its tracer.
    #[inline]
    fn write(&self, tracer: u32, words: usize, need: Need, put: impl FnOnce(&Writer)) -> Result<(), DropReason> {
        if self.busy.get() {
            return Err(DropReason::LogFull);
        }
        let log = self.log.get();
        self.reach_log(tracer)?;
        if self.writer.room() < words + self.reserve() {
            self.extend(words, need)?;
        }
        put(&self.writer);
        // SAFETY: `put` has written all words, for which there was room.
        unsafe { self.writer.commit(words) };
        if log != self.log.get() {
            self.return_to_inner();
        }
        Ok(())
    }

    /// Words kept for the ends of open spans.
    fn reserve(&self) -> usize {
        event::EXIT_WORDS * self.depth.get() as usize
    }

    /// Makes room for `words` in the log of the current context, and writes the scope if that is wanted and missing.
    fn prepare(&self, words: usize, need: Need, with_scope: bool) -> Result<(), DropReason> {
        let ids = self.ids.get();
        self.reach_log(ids.tracer)?;
        if self.depth.get() >= DEPTH {
            return Err(DropReason::TooDeep);
        }
        let scope = with_scope && !self.is_clean();
        let words = words + if scope { event::SCOPE_WORDS } else { 0 };
        if self.writer.room() < words + self.reserve() {
            self.extend(words, need)?;
        }
        if scope {
            if ids.origin == 0 {
                // A context from another process: here its trace begins now.
                self.ids.set(Ids { origin: self.now(), ..ids });
            }
            self.put_scope(&self.ids.get());
        }
        self.recompute();
        Ok(())
    }

    /// Writes the current context as the scope of what follows. There must be room.
    fn put_scope(&self, ids: &Ids) {
        let position = self.writer.position();
        // SAFETY: the callers have made sure of the room.
        unsafe {
            self.writer.put(0, ids.tracer_word() | kind::SCOPE);
            self.writer.put(1, ids.trace_high);
            self.writer.put(2, ids.trace_low);
            self.writer.put(3, ids.span);
            self.writer.put(4, ids.key);
            self.writer.put(5, ids.origin);
            self.writer.put(6, self.inner.get());
            self.writer.commit(event::SCOPE_WORDS);
        }
        self.scope.set(position);
        self.written.set(position);
    }

    /// Makes the current log one of the tracer's registry.
    fn reach_log(&self, tracer: u32) -> Result<(), DropReason> {
        if self.closed.get() {
            return Err(DropReason::ThreadEnded);
        }
        let slot = Slot::find(tracer).ok_or(DropReason::Deadline)?;
        let registry = slot.registry_id();
        if registry == self.registry.get() || self.select_log(|id, _| id == registry) {
            return Ok(());
        }
        self.busy(|| self.acquire_log(slot))
    }

    /// Gets a log from the tracer's registry. Once per thread and registry; it allocates.
    #[cold]
    fn acquire_log(&self, slot: &Slot) -> Result<(), DropReason> {
        let core = slot.core().ok_or(DropReason::Deadline)?;
        let registry = core.registry();
        let denied = (registry.id(), registry.budget().returned());
        if self.denied.get() == denied {
            return Err(DropReason::LogFull);
        }
        let added = LOGS.try_with(|logs| {
            let log = registry.acquire()?;
            let mut logs = logs.0.borrow_mut();
            // What only this thread still holds belongs to a test's tracer that is gone.
            logs.retain(|(_, log)| Arc::strong_count(log) > 1);
            logs.push((registry.id(), log.clone()));
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
    fn select_log(&self, fits: impl Fn(u32, &Log) -> bool) -> bool {
        let found = LOGS.try_with(|logs| {
            let logs = logs.0.try_borrow().ok()?;
            logs.iter().find(|(id, log)| fits(*id, log)).cloned()
        });
        match found {
            Ok(Some((id, log))) => {
                self.use_log(id, &log);
                true
            }
            _ => false,
        }
    }

    fn use_log(&self, registry: u32, log: &Arc<Log>) {
        // SAFETY: `LOGS` keeps the log until the thread ends, and then `close` detaches; only this thread writes it.
        unsafe { self.writer.attach(log) };
        self.log.set(Arc::as_ptr(log));
        self.number.set(log.number());
        self.key.set(log.key());
        self.registry.set(registry);
        self.by_tsc.set(matches!(log.clock(), Clock::Tsc));
        self.written.set(0);
    }

    fn forget_log(&self) {
        self.writer.detach();
        self.log.set(std::ptr::null());
        self.number.set(0);
        self.registry.set(0);
        self.by_tsc.set(false);
        self.written.set(0);
    }

    /// The thread has ended: its logs are given back, and nothing is recorded any more.
    fn close(&self) {
        self.closed.set(true);
        self.forget_log();
        self.recompute();
    }

    /// Takes a new chunk with room for `words` and for the ends of all open spans, and as much again.
    #[cold]
    fn extend(&self, words: usize, need: Need) -> Result<(), DropReason> {
        // SAFETY: `LOGS` keeps the log alive; it is null only while the thread has none.
        let Some(log) = (unsafe { self.log.get().as_ref() }) else { return Err(DropReason::ThreadEnded) };
        let denied = (self.registry.get(), log.budget().returned());
        if need == Need::Start && self.denied.get() == denied {
            return Err(DropReason::LogFull);
        }
        let words = words + 2 * self.reserve();
        // SAFETY: the writer is attached to this log.
        let extended = self.busy(|| unsafe { self.writer.extend(log, words, need) });
        log.waker().wake();
        if extended {
            Ok(())
        } else {
            self.denied.set(denied);
            Err(DropReason::LogFull)
        }
    }

    /// Runs code that allocates: the allocator may be traced, and must not find the log half changed.
    fn busy<R>(&self, code: impl FnOnce() -> R) -> R {
        let before = self.busy.replace(true);
        self.recompute();
        let result = code();
        self.busy.set(before);
        self.recompute();
        result
    }

    /// The tick now, of the current log's clock.
    fn now(&self) -> u64 {
        if self.by_tsc.get() {
            return tsc();
        }
        // SAFETY: `LOGS` keeps the log alive; it is null only while the thread has none.
        unsafe { self.log.get().as_ref() }.map_or_else(os_nanos, |log| log.clock().now())
    }
}

/// # Safety
/// There must be room for the words from the second on.
#[allow(unsafe_code, reason = "writes the log; room is the caller's promise")]
unsafe fn put_ids(writer: &Writer, ids: &Ids) {
    // SAFETY: the caller's promise.
    unsafe {
        writer.put(1, ids.trace_high);
        writer.put(2, ids.trace_low);
        writer.put(3, ids.span);
        writer.put(4, ids.parent);
        writer.put(5, ids.key);
        writer.put(6, ids.tracer_word());
        writer.put(7, ids.origin);
    }
}

/// `text`, or as much of it as fits into so many bytes.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
