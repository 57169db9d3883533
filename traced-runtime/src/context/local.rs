//! The thread local: the current context, and the registers with which its thread writes the log.
//!
//! One state byte decides everything on the hot path. [`State::Recording`] means that an event can be written at once;
//! all else is cold. The thread local is `const`-initialised and has no destructor; what has to happen at the end of a
//! thread hangs on a second one, which is touched only when the thread gets a log.

mod attribute;
mod open;
mod place;
mod spans;
mod sync;
mod writing;

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::sync::Arc;

use crate::context::Context;
use crate::model::ids::Ids;
use crate::model::ids::flag;
use crate::model::loss::DropReason;
use crate::propagation::baggage::Baggage;
use crate::recorder::log::{Log, Writer};
use crate::recorder::position::range_of;
use crate::recorder::registry::{mix, random};
use crate::recorder::slot::Slot;

pub(crate) use self::attribute::{AttributeValue, Target};
use self::open::{Left, Open};
use self::place::Place;
pub(crate) use self::place::{Frame, Kept};
pub use self::sync::{Enter, enter};

/// What takes a thread off the usual ways, in `Local::unusual`.
mod unusual {
    /// The log's clock is not the time stamp counter, or there is no log.
    pub(super) const CLOCK: u8 = 1;
    /// Inside an allocation for the log.
    pub(super) const BUSY: u8 = 2;
    /// The thread has ended.
    pub(super) const CLOSED: u8 = 4;
    /// Spans ended outside of their context.
    pub(super) const STRAYS: u8 = 8;
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
    /// What takes the thread off the usual ways: see [`unusual`].
    unusual: Cell<u8>,
    writer: Writer,
    opened: Open,
    /// The last `Open::stay` given.
    stays: Cell<u64>,
    /// Position of the last scope event in the log; 0 when what the reader thinks is innermost is not what we think.
    written: Cell<u64>,
    /// The current context. Spans inside it are told by `opened`.
    place: Place,
    /// The log; null without one. Kept alive by [`LOGS`].
    log: Cell<*const Log>,
    /// The range of positions that the log is in.
    range: Cell<u64>,
    key: Cell<u64>,
    registry: Cell<u64>,
    /// The tracer that was last found to write into this log; 0 if none was.
    known: Cell<u32>,
    /// The registry whose budget had nothing, and its `Budget::returned` then.
    denied: Cell<(u64, usize)>,
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

struct Logs(RefCell<Vec<OwnLog>>);

/// A log that the thread writes.
#[derive(Debug)]
struct OwnLog {
    registry: u64,
    log: Arc<Log>,
    /// The ranges of positions in which the thread wrote it: guards and contexts may name positions of each.
    ranges: Vec<u64>,
}

impl Drop for Logs {
    fn drop(&mut self) {
        with(Local::close);
        for own in self.0.get_mut() {
            own.log.close();
        }
    }
}

/// What a context replaced when it was attached.
#[derive(Debug)]
pub(crate) struct Saved {
    ids: Ids,
    baggage: Option<Arc<Baggage>>,
    left: Left,
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
            unusual: Cell::new(unusual::CLOCK),
            writer: Writer::detached(),
            opened: Open::none(),
            stays: Cell::new(0),
            written: Cell::new(0),
            place: Place::empty(),
            log: Cell::new(std::ptr::null()),
            range: Cell::new(0),
            key: Cell::new(0),
            registry: Cell::new(0),
            known: Cell::new(0),
            denied: Cell::new((0, 0)),
            seed: Cell::new(0),
            strays: Cell::new([Stray { position: 0, outer: 0, depth: 0 }; STRAYS]),
            strayed: Cell::new(0),
        }
    }

    // ---- contexts

    /// The context of the innermost span.
    #[inline]
    pub(crate) fn current(&self) -> Ids {
        let mut ids = self.place.ids();
        let inner = self.opened.inner.get();
        if inner != 0 {
            ids.span = mix(inner.wrapping_add(self.key.get()));
            ids.key = ids.span;
            // The guard on the stack knows it, or the reader; nobody here does.
            ids.parent = 0;
            ids.flags &= !(flag::SHARED | flag::LOCAL_ROOT);
        }
        ids
    }

    /// The current context with its baggage. Mostly that of a span that is polled, which is copied as it is.
    #[inline(always)]
    pub(crate) fn context(&self) -> Context {
        if self.opened.inner.get() == 0 {
            if let Some(context) = self.place.lent_copy() {
                return context;
            }
        }
        self.any_context()
    }

    #[inline(never)]
    fn any_context(&self) -> Context {
        Context::new(self.current(), self.baggage())
    }

    /// The current context's baggage.
    #[inline]
    pub(crate) fn baggage(&self) -> Option<Arc<Baggage>> {
        self.place.baggage()
    }

    /// Whether this is the current context.
    pub(crate) fn is_current(&self, ids: &Ids, baggage: Option<&Arc<Baggage>>) -> bool {
        self.current() == *ids && self.baggage().as_ref().map(Arc::as_ptr) == baggage.map(Arc::as_ptr)
    }

    /// A context of another process, which names no tracer, gets that of the current one.
    #[inline]
    pub(crate) fn adopt(&self, mut ids: Ids) -> Ids {
        if ids.tracer == 0 && ids.has_trace() {
            ids.tracer = self.place.ids().tracer;
        }
        ids
    }

    /// Makes these the current context. What it replaced is to be [restored](Self::restore).
    #[inline]
    pub(crate) fn attach(&self, ids: &Ids, baggage: Option<Arc<Baggage>>) -> Saved {
        let (before, baggage) = self.place.replace(*ids, baggage);
        let saved = Saved { ids: before, baggage, left: self.leave() };
        if ids.tracer == 0 && ids.has_trace() {
            self.adopt_tracer(saved.ids.tracer);
        }
        // Its scope is not written.
        self.set_state(ids, State::Sampled);
        saved
    }

    #[inline]
    fn new_stay(&self) -> u64 {
        let stay = self.stays.get().wrapping_add(1);
        self.stays.set(stay);
        stay
    }

    /// The current context came from another process: it gets the tracer of the one before, or the installed one.
    #[cold]
    fn adopt_tracer(&self, before: u32) {
        let tracer = if before != 0 { before } else { Slot::installed().map_or(0, Slot::reference) };
        self.place.set_ids(Ids { tracer, ..self.place.ids() });
    }

    /// Puts back what [`attach`](Self::attach) replaced, and gives the baggage of the context that ends: mostly what was
    /// given to `attach`.
    #[inline]
    pub(crate) fn restore(&self, saved: Saved) -> Option<Arc<Baggage>> {
        let (_, baggage) = self.place.replace(saved.ids, saved.baggage);
        self.return_to(&saved.left);
        baggage
    }

    /// A frame to [lend](Self::lend) this context of a recorded span; what is open gives way.
    #[inline(always)]
    pub(crate) fn frame(&self, context: *const Context, kept: *const Kept) -> Frame {
        Frame::new(context, kept, self.leave())
    }

    /// Makes the context of a frame current, where it stays, until it is [taken back](Self::take_back).
    ///
    /// # Safety
    /// Until then frame, what is beside it, and context stay where they are, and the context is not written.
    #[inline(always)]
    pub(crate) unsafe fn lend(&self, frame: &mut Frame) {
        // SAFETY: the caller's promise.
        unsafe { self.place.lend(frame) };
        self.set_recorded_state(State::Sampled);
    }

    /// Puts back what [`lend`](Self::lend) and [`frame`](Self::frame) replaced.
    #[inline(always)]
    pub(crate) fn take_back(&self, frame: &mut Frame) {
        if self.place.take_back(frame) {
            return self.return_to(&frame.left);
        }
        let baggage = self.place.own_again(frame);
        self.return_to_any_of(&frame.left);
        // Not before everything is in order again.
        drop(baggage);
    }

    #[cold]
    fn return_to_any_of(&self, left: &Left) {
        self.opened.return_to(left);
        self.return_to_any();
    }

    /// What is open gives way to what will be in another context.
    #[inline(always)]
    fn leave(&self) -> Left {
        self.opened.leave(self.new_stay(), self.state.get() == State::Off)
    }

    #[inline(always)]
    fn return_to(&self, left: &Left) {
        self.opened.return_to(left);
        if self.unusual.get() == 0 {
            // Mostly: back to the context of a span that is polled, or to none.
            if self.place.is_lent() {
                let scope = left.scope;
                if scope != 0 && scope == self.written.get() {
                    return self.state.set(State::Recording);
                }
                if left.inner == 0 {
                    return self.state.set(State::Sampled);
                }
            } else if left.was_off {
                return self.state.set(State::Off);
            }
        }
        self.return_to_any();
    }

    #[inline(never)]
    fn return_to_any(&self) {
        if self.is_unusual(unusual::STRAYS) {
            self.drop_strays();
        }
        self.return_to_inner();
    }

    #[inline(always)]
    fn is_unusual(&self, what: u8) -> bool {
        self.unusual.get() & what != 0
    }

    fn set_unusual(&self, what: u8, is: bool) {
        let others = self.unusual.get() & !what;
        self.unusual.set(if is { others | what } else { others });
    }

    /// Whether the log's clock is the time stamp counter.
    #[inline(always)]
    fn by_tsc(&self) -> bool {
        !self.is_unusual(unusual::CLOCK)
    }

    /// Nothing is recorded on this thread from now on.
    pub(crate) fn suppress(&self) {
        drop(self.attach(&Ids { flags: flag::SUPPRESSED | flag::UNSAMPLED, ..Ids::NONE }, None));
    }

    /// Derives the state from everything else. It is never restored blindly: the thread may have ended, the log changed.
    #[inline]
    fn recompute(&self) {
        let recording = self.by_tsc() && self.is_clean();
        let state = if recording { State::Recording } else { State::Sampled };
        if self.place.is_lent() {
            // Only a recorded span lends its context.
            self.set_recorded_state(state);
        } else {
            self.set_state(&self.place.ids(), state);
        }
    }

    /// Sets the state for a context; `if_sampled` is that of one which is recorded. That is the short way: it is taken
    /// twice for each poll of a future.
    #[inline(always)]
    fn set_state(&self, ids: &Ids, if_sampled: State) {
        let is_plain = ids.flags & (flag::SAMPLED | flag::UNSAMPLED | flag::LOST) == flag::SAMPLED;
        if is_plain {
            return self.set_recorded_state(if_sampled);
        }
        self.state.set(if let Some(hindered) = self.hindered() {
            hindered
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

    #[inline(always)]
    fn set_recorded_state(&self, state: State) {
        if !self.is_unusual(unusual::CLOSED | unusual::BUSY) {
            self.state.set(state);
        } else {
            self.set_hindered_state();
        }
    }

    #[cold]
    fn set_hindered_state(&self) {
        if let Some(state) = self.hindered() {
            self.state.set(state);
        }
    }

    #[inline(always)]
    fn hindered(&self) -> Option<State> {
        if self.is_unusual(unusual::CLOSED | unusual::BUSY) {
            return Some(if self.is_unusual(unusual::CLOSED) { State::Closed } else { State::Busy });
        }
        None
    }

    /// Whether the scope that the reader knows is the current one, and it knows what is innermost.
    #[inline]
    fn is_clean(&self) -> bool {
        self.opened.scope.get() != 0 && self.opened.scope.get() == self.written.get()
    }

    /// Positions of the current context are of one log: makes that the current one again.
    #[inline(always)]
    fn return_to_inner(&self) {
        let range = range_of(self.opened.inner.get());
        // A signal handler leaves the log that its thread was writing.
        if range != 0 && range != self.range.get() && !self.opened.is_writing() {
            self.select_log_of(range);
        }
        self.recompute();
    }

    /// Decides a deferred context, for the span with this name.
    fn decide(&self, name: &dyn Display) {
        let mut ids = self.place.ids();
        self.settle(&mut ids, name);
        self.place.set_ids(ids);
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
        if let Some(slot) = Slot::find(self.place.ids().tracer) {
            slot.lose(reason, 1);
        }
    }

    // ---- ids

    /// Draws the ids of a new trace and decides about it. The span's id is still open.
    fn new_trace(&self, slot: &'static Slot, name: &dyn Display, flags: u16) -> (Ids, bool) {
        // A test's ids are counted.
        let (trace_low, random) = slot.counted_id().map_or_else(|| (self.draw_random(), flag::RANDOM), |id| (id, 0));
        let trace_high = if slot.has_short_trace_ids() { 0 } else { self.draw(slot) };
        let mut ids = Ids { trace_high, trace_low, tracer: slot.reference(), flags: flags | random, ..Ids::NONE };
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

    /// What was current in a parent process is a context of another process from now on.
    #[cold]
    fn cross_fork(&self) {
        let ids = self.current();
        let crossed = Slot::across_fork(ids);
        if crossed.tracer != ids.tracer {
            self.place.set_ids(crossed);
            self.opened.inner.set(0);
            self.opened.scope.set(0);
            // Guards of the parent's spans change nothing here when they are dropped.
            self.opened.stay.set(self.new_stay());
            self.opened.depth.set(0);
            self.recompute();
        }
    }

    /// Forgets what a forked child must not repeat, and the logs that are its parent's.
    #[cfg(unix)]
    pub(crate) fn after_fork(&self) {
        self.seed.set(0);
        self.forget_log();
        self.recompute();
    }
}
