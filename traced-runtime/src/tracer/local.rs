//! The thread local: the current context, and the registers with which its thread writes the log.
//!
//! One state byte decides everything on the hot path. [`State::Recording`] means that an event can be written at once;
//! all else is cold. The thread local is `const`-initialised and has no destructor; what has to happen at the end of a
//! thread hangs on a second one, which is touched only when the thread gets a log.

mod attribute;
mod held;
mod spans;
mod sync;
mod writing;

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::sync::Arc;

use crate::propagation::baggage::Baggage;
use crate::recorder::event::Ids;
use crate::recorder::log::{Log, POSITION_BITS, Writer};
use crate::recorder::registry::{mix, random};
use crate::reporter::stats::DropReason;
use crate::tracer::id::TraceId;
use crate::tracer::slot::Slot;

pub(crate) use self::attribute::{AttributeValue, Target, cut};
use self::held::Held;
pub use self::sync::{Enter, enter};

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
    /// The span shares its id with the client's; of a span of another process: it may be joined.
    pub(crate) const SHARED: u8 = 16;
    /// The trace began under a context that named its tracer and nothing else.
    pub(crate) const OF_TRACER: u8 = 32;
    /// The span's parent, if it has one, is in another process.
    pub(crate) const LOCAL_ROOT: u8 = 64;
    /// Nothing at all is recorded: a thread of the tracer's own.
    pub(crate) const SUPPRESSED: u8 = 128;
    /// What a caller decided.
    pub(crate) const DECISION: u8 = SAMPLED | UNSAMPLED | DEBUG;
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
    /// The current context's baggage. A reference is owned by its place: this one, what was saved, or a future between its
    /// polls. So guards that are dropped in any order are odd, and nothing worse.
    baggage: Held,
    /// The log; null without one. Kept alive by [`LOGS`].
    log: Cell<*const Log>,
    number: Cell<u64>,
    key: Cell<u64>,
    registry: Cell<u32>,
    /// The tracer that was last found to write into this log; 0 if none was.
    known: Cell<u32>,
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
#[derive(Debug)]
pub(crate) struct Saved {
    ids: Ids,
    baggage: Option<Arc<Baggage>>,
    inner: u64,
    scope: u64,
    root: u64,
    depth: u32,
    stay: u16,
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
            baggage: Held::nothing(),
            log: Cell::new(std::ptr::null()),
            number: Cell::new(0),
            key: Cell::new(0),
            registry: Cell::new(0),
            known: Cell::new(0),
            by_tsc: Cell::new(false),
            busy: Cell::new(false),
            closed: Cell::new(false),
            denied: Cell::new((0, 0)),
            seed: Cell::new(0),
            strays: Cell::new([Stray { position: 0, outer: 0, depth: 0 }; STRAYS]),
            strayed: Cell::new(0),
        }
    }

    // ---- contexts

    /// The context of the innermost span.
    pub(crate) fn current(&self) -> Ids {
        let mut ids = self.ids.get();
        let inner = self.inner.get();
        if inner != 0 {
            ids.span = mix(inner.wrapping_add(self.key.get()));
            ids.key = ids.span;
            // The guard on the stack knows it, or the reader; nobody here does.
            ids.parent = 0;
            ids.flags &= !(flag::SHARED | flag::LOCAL_ROOT);
        }
        ids
    }

    /// The current context's baggage.
    pub(crate) fn baggage(&self) -> Option<Arc<Baggage>> {
        self.baggage.get()
    }

    /// Whether this is the current context.
    pub(crate) fn is_current(&self, ids: &Ids, baggage: Option<&Arc<Baggage>>) -> bool {
        self.current() == *ids && self.baggage().as_ref().map(Arc::as_ptr) == baggage.map(Arc::as_ptr)
    }

    /// A context of another process, which names no tracer, gets that of the current one.
    #[inline]
    pub(crate) fn adopt(&self, mut ids: Ids) -> Ids {
        if ids.tracer == 0 && ids.has_trace() {
            ids.tracer = self.ids.get().tracer;
        }
        ids
    }

    /// Makes these the current context. What it replaced is to be [restored](Self::restore).
    #[inline]
    pub(crate) fn attach(&self, ids: &Ids, baggage: Option<Arc<Baggage>>) -> Saved {
        let saved = Saved {
            ids: self.ids.replace(*ids),
            baggage: self.baggage.replace(baggage),
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

    /// Puts back what [`attach`](Self::attach) replaced, and gives the baggage of the context that ends: mostly what was
    /// given to `attach`.
    #[inline]
    pub(crate) fn restore(&self, saved: Saved) -> Option<Arc<Baggage>> {
        let baggage = self.baggage.replace(saved.baggage);
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
        baggage
    }

    /// Nothing is recorded on this thread from now on.
    pub(crate) fn suppress(&self) {
        drop(self.attach(&Ids { flags: flag::SUPPRESSED | flag::UNSAMPLED, ..Ids::NONE }, None));
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

    /// Decides a deferred context, as its tracer's sampler does.
    pub(crate) fn settle(&self, ids: &mut Ids, name: &dyn Display) {
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
        // A caller may have decided without having a trace.
        let sampled = if ids.is(flag::SAMPLED | flag::UNSAMPLED) {
            ids.is(flag::SAMPLED)
        } else {
            ids.trace().is_some_and(|trace| slot.samples(name, trace))
        };
        ids.flags |= if sampled { flag::SAMPLED } else { flag::UNSAMPLED };
        if !sampled {
            slot.count_unsampled();
        }
        (ids, sampled)
    }

    /// A new id, never 0: random, from a generator of the thread's own (SplitMix64), or counted for a test's tracer.
    fn draw(&self, slot: &Slot) -> u64 {
        slot.counted_id().unwrap_or_else(|| self.draw_random())
    }

    /// A new random id, never 0.
    #[inline]
    fn draw_random(&self) -> u64 {
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
}
