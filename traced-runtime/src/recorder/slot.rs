//! The table of tracers: contexts name a tracer by slot and generation, so that nothing counts references on the hot
//! path.
//!
//! Slots are never freed, only used again: a reference to one is always valid, and a generation that has passed tells
//! that its tracer is gone.

use std::any::Any;
use std::cell::Cell;
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use once_cell::sync::OnceCell;

use crate::model::callsite::Roots;
use crate::model::id::TraceId;
use crate::model::ids::Ids;
use crate::model::loss::DropReason;
use crate::process::per_process::PerProcess;
use crate::propagation::Crossing;
use crate::recorder::registry::{Registry, mix};
use crate::recorder::sampler::Sampler;

/// Tracers that may be alive at the same time in one process.
pub(crate) const TRACERS: usize = 1 << INDEX_BITS;

const INDEX_BITS: u32 = 10;

/// Generations of a slot, half of which have a tracer: as many as a reference can tell apart. A slot that has had all of
/// them gets no tracer any more: a context of an early one would name a late one. All slots together last for two
/// thousand million tracers.
const GENERATIONS: u32 = 1 << (u32::BITS - INDEX_BITS);

/// What the user's thread needs to know of a tracer, in atomics.
#[derive(Debug)]
pub(crate) struct Slot {
    index: u32,
    /// Odd while a tracer is here. It goes on by two in a forked child: what the parent's contexts and spans name is another
    /// one's.
    generation: AtomicU32,
    /// With which generation the tracer came: those since then are its own, in the processes that were forked.
    first: AtomicU32,
    /// Traces whose id is below are sampled; [`ASK`] if the sampler must be asked.
    boundary: AtomicU64,
    require_parent: AtomicBool,
    short_trace_ids: AtomicBool,
    /// Whether a forked child goes on with the tracer.
    crosses_forks: AtomicBool,
    /// The registry that its spans are logged in; [`NO_REGISTRY`] before a forked child's first record.
    registry: AtomicU64,
    /// Counts the ids drawn for a test's tracer; 0 for any other, whose ids are random.
    drawn: AtomicU64,
    /// Spans that could not be recorded, by reason: see [`REASONS`].
    lost: [AtomicU64; LOSSES],
    cut_values: AtomicU64,
    left_out_baggage: AtomicU64,
    /// Traces that began here and were not sampled.
    unsampled: AtomicU64,
    locked: PerProcess<Locked>,
    /// What `locked` was in the parent process. Locks are tried here, never waited for.
    parents: PerProcess<Locked>,
}

/// The rest, behind locks.
#[derive(Debug)]
struct Locked {
    sampler: RwLock<Sampler>,
    owner: RwLock<Option<Arc<dyn Owner>>>,
}

/// The tracer in a slot, as the recorder and the user's thread need it. It lives in a layer above.
pub(crate) trait Owner: Send + Sync {
    /// The logs of its spans.
    fn registry(&self) -> &Registry;

    /// How its contexts cross to other processes.
    fn crossing(&self) -> &Crossing;

    /// The sampler that it was started with.
    fn first_sampler(&self) -> Sampler;

    /// The same tracer for a forked child, which names it so; `None`: it stays behind.
    fn start_again(&self, reference: u32) -> Option<Result<Arc<dyn Owner>, NotStarted>>;

    /// What it is in its own layer.
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// Tells the user why a forked child has no tracer.
pub(crate) type NotStarted = Box<dyn FnOnce()>;

impl fmt::Debug for dyn Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").finish_non_exhaustive()
    }
}

/// No registry has this number.
const NO_REGISTRY: u64 = u64::MAX;

/// A boundary that no ratio gives: the sampler is asked.
const ASK: u64 = 1;

const LOSSES: usize = 4;

/// Reasons for which a span is lost before the log, in the order of [`Slot::lost`].
const REASONS: [DropReason; LOSSES] =
    [DropReason::TooDeep, DropReason::LogFull, DropReason::ThreadEnded, DropReason::Reentrant];

static SLOTS: [AtomicPtr<Slot>; TRACERS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; TRACERS];

/// The tracer that starts traces where there is no context; null if none is installed or it requires a parent. The one
/// load that an annotated function makes in a program without tracer. [`WATCHED`] while none is installed and it is to be known
/// where one is missed.
static ROOTS: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());

/// No tracer at all; it is never read.
const WATCHED: *mut Slot = std::ptr::dangling_mut();

/// What is done where a tracer is missed.
static MISSED: OnceCell<fn()> = OnceCell::new();

/// The installed tracer, whether or not it requires a parent.
static INSTALLED: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());

/// What a new slot is set to.
#[derive(Debug)]
pub(crate) struct SlotSettings {
    pub(crate) sampler: Sampler,
    pub(crate) require_parent: bool,
    pub(crate) short_trace_ids: bool,
    /// Where ids are counted from, instead of drawn at random; not 0.
    pub(crate) counted_ids: Option<u64>,
    /// Whether a forked child goes on with the tracer.
    pub(crate) crosses_forks: bool,
}

/// One thread at a time takes a slot.
static TAKING: PerProcess<Mutex<()>> = PerProcess::new();

/// One thread at a time starts a parent's tracer again, or takes it away before that.
static STARTING: PerProcess<Mutex<()>> = PerProcess::new();

thread_local! {
    /// Whether this thread is at it. Allocators run meanwhile, which may be traced: they must not wait for their own thread.
    static STARTS: Cell<bool> = const { Cell::new(false) };
}

fn lock(mutex: &'static PerProcess<Mutex<()>>) -> MutexGuard<'static, ()> {
    mutex.get_or_make(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to start a parent's tracer again.
struct Starting {
    _held: MutexGuard<'static, ()>,
}

impl Starting {
    /// Waits for whoever has it; `None` if that is this thread.
    fn begin() -> Option<Self> {
        if STARTS.replace(true) {
            return None;
        }
        Some(Self { _held: lock(&STARTING) })
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        STARTS.set(false);
    }
}

#[allow(unsafe_code, reason = "slots live for ever: a pointer from the table is a reference")]
fn load(pointer: &AtomicPtr<Slot>) -> Option<&'static Slot> {
    // SAFETY: only leaked boxes are stored in the table, and nobody frees or writes them.
    unsafe { pointer.load(Ordering::Acquire).as_ref() }
}

impl Slot {
    /// Takes a free slot for a tracer that logs in `registry`; `None` when [`TRACERS`] are alive.
    pub(crate) fn take(settings: SlotSettings, registry: &Registry) -> Option<&'static Self> {
        let _taking = lock(&TAKING);
        let (index, entry) = SLOTS.iter().enumerate().find(|(_, entry)| load(entry).is_none_or(Self::can_be_taken))?;
        let slot = load(entry).unwrap_or_else(|| {
            let slot: &'static Self = Box::leak(Box::new(Self::empty(u32::try_from(index).unwrap_or(0))));
            entry.store(std::ptr::from_ref(slot).cast_mut(), Ordering::Release);
            slot
        });
        slot.begin(settings, registry);
        Some(slot)
    }

    /// A tracer comes here.
    fn begin(&self, settings: SlotSettings, registry: &Registry) {
        self.set_sampler(settings.sampler);
        self.require_parent.store(settings.require_parent, Ordering::Relaxed);
        self.short_trace_ids.store(settings.short_trace_ids, Ordering::Relaxed);
        self.drawn.store(settings.counted_ids.unwrap_or(0), Ordering::Relaxed);
        self.parents.forget();
        self.crosses_forks.store(settings.crosses_forks, Ordering::Relaxed);
        self.registry.store(registry.id(), Ordering::Relaxed);
        self.count_from_zero();
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        self.first.store(generation, Ordering::Relaxed);
        self.generation.store(generation, Ordering::Release);
    }

    fn count_from_zero(&self) {
        for count in self.lost.iter().chain([&self.cut_values, &self.left_out_baggage, &self.unsampled]) {
            count.store(0, Ordering::Relaxed);
        }
    }

    fn empty(index: u32) -> Self {
        Self {
            index,
            generation: AtomicU32::new(0),
            first: AtomicU32::new(0),
            boundary: AtomicU64::new(0),
            require_parent: AtomicBool::new(false),
            short_trace_ids: AtomicBool::new(false),
            crosses_forks: AtomicBool::new(false),
            registry: AtomicU64::new(0),
            drawn: AtomicU64::new(0),
            lost: [const { AtomicU64::new(0) }; LOSSES],
            cut_values: AtomicU64::new(0),
            left_out_baggage: AtomicU64::new(0),
            unsampled: AtomicU64::new(0),
            locked: PerProcess::new(),
            parents: PerProcess::new(),
        }
    }

    fn is_free(&self) -> bool {
        self.generation.load(Ordering::Acquire) % 2 == 0
    }

    fn can_be_taken(&self) -> bool {
        self.is_free() && self.generation.load(Ordering::Acquire) < GENERATIONS
    }

    /// The tracer is gone: contexts that name it record nothing any more.
    pub(crate) fn give_back(&self) {
        self.leave_globals();
        self.crosses_forks.store(false, Ordering::Relaxed);
        self.set_owner(None);
        self.generation.fetch_add(1, Ordering::Release);
    }

    fn leave_globals(&self) {
        let me = std::ptr::from_ref(self).cast_mut();
        for global in [&ROOTS, &INSTALLED] {
            let _ = global.compare_exchange(me, std::ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// This is a forked child: tracers go on as others, without what they had in the parent; tests' are gone. Only atomics are
    /// touched.
    #[cfg(unix)]
    pub(crate) fn forget_parents() {
        TAKING.forget();
        STARTING.forget();
        STARTS.set(false);
        for slot in SLOTS.iter().filter_map(load) {
            let has_tracer = |locked: &Locked| locked.owner.try_read().is_ok_and(|owner| owner.is_some());
            if slot.parents.get().is_none() || slot.locked.get().is_some_and(has_tracer) {
                slot.locked.leave(&slot.parents);
            } else {
                // A child that has recorded nothing forks: its children go on from where it would have.
                slot.locked.forget();
            }
            if slot.is_free() {
                continue;
            }
            slot.count_from_zero();
            let has_next = slot.generation.load(Ordering::Relaxed) + 2 < GENERATIONS;
            if slot.crosses_forks.load(Ordering::Relaxed) && has_next {
                slot.registry.store(NO_REGISTRY, Ordering::Relaxed);
                slot.generation.fetch_add(2, Ordering::Release);
            } else {
                slot.leave_globals();
                slot.generation.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Makes the tracer the one that starts traces where there is no context. `false`: there is one already.
    pub(crate) fn install(&'static self) -> bool {
        let me = std::ptr::from_ref(self).cast_mut();
        let null = std::ptr::null_mut();
        if INSTALLED.compare_exchange(null, me, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return false;
        }
        let roots = if self.require_parent.load(Ordering::Relaxed) { null } else { me };
        ROOTS.store(roots, Ordering::Release);
        true
    }

    /// The installed tracer, if it is there to stay, as `stays` decides. One that came with a fork and has recorded nothing yet
    /// gives way.
    pub(crate) fn in_the_way(stays: impl FnOnce(Arc<dyn Owner>) -> Option<Arc<dyn Owner>>) -> Option<Arc<dyn Owner>> {
        let slot = Self::installed()?;
        // The thread that starts it finds it there.
        let Some(starting) = Starting::begin() else { return slot.owner_of_any_process() };
        match slot.owner() {
            Some(owner) => {
                drop(starting);
                stays(owner)
            }
            None => {
                if slot.parents_owner().is_some() {
                    slot.give_back();
                }
                None
            }
        }
    }

    /// Whether an annotated function without a context may start a trace.
    #[inline(always)]
    pub(crate) fn starts_roots() -> bool {
        !ROOTS.load(Ordering::Relaxed).is_null()
    }

    /// The installed tracer's slot, for a span that starts without one that it belongs to.
    pub(crate) fn for_roots() -> Option<&'static Self> {
        let slot = Self::installed();
        if slot.is_none() {
            Self::miss_roots();
        }
        slot
    }

    #[cold]
    #[inline(never)]
    fn miss_roots() {
        if let (true, Some(missed)) = (Self::unwatch_roots(), MISSED.get()) {
            missed();
        }
    }

    /// From now on the first span that would start without a tracer is noticed, and `missed` is called.
    pub(crate) fn watch_for_roots(missed: fn()) {
        MISSED.get_or_init(|| missed);
        let _ = ROOTS.compare_exchange(std::ptr::null_mut(), WATCHED, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Ends that; `false` if nobody watched.
    fn unwatch_roots() -> bool {
        // Programs without a tracer come here: a read does not take the line from other threads.
        ROOTS.load(Ordering::Relaxed) == WATCHED
            && ROOTS.compare_exchange(WATCHED, std::ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The installed tracer's slot.
    pub(crate) fn installed() -> Option<&'static Self> {
        load(&INSTALLED)
    }

    /// What contexts name the tracer by; never 0.
    pub(crate) fn reference(&self) -> u32 {
        self.generation.load(Ordering::Acquire) << INDEX_BITS | self.index
    }

    /// The slot that a context names, if its tracer is still there.
    pub(crate) fn find(reference: u32) -> Option<&'static Self> {
        let slot = load(SLOTS.get(reference as usize % TRACERS)?)?;
        (slot.reference() == reference && reference != 0).then_some(slot)
    }

    /// The slot of a tracer that was named in this process or in one of those it was forked from.
    pub(crate) fn of_any_process(reference: u32) -> Option<&'static Self> {
        let slot = load(SLOTS.get(reference as usize % TRACERS)?)?;
        let (named, first) = (reference >> INDEX_BITS, slot.first.load(Ordering::Relaxed));
        let now = slot.generation.load(Ordering::Acquire);
        // As references have them, without their upper bits.
        let since = |generation: u32| generation.wrapping_sub(first) & (u32::MAX >> INDEX_BITS);
        (!slot.is_free() && reference != 0 && since(named) <= since(now)).then_some(slot)
    }

    /// What a context names its tracer by, with the name it has in this process.
    pub(crate) fn renamed(reference: u32) -> u32 {
        Self::of_any_process(reference).map_or(reference, Self::reference)
    }

    /// A parent process's context, in a forked child: of the same tracer as it is here, with a span of another process.
    pub(crate) fn across_fork(ids: Ids) -> Ids {
        let tracer = Self::renamed(ids.tracer);
        if tracer == ids.tracer { ids } else { Ids { tracer, key: 0, origin: 0, ..ids } }
    }

    /// The registry that its spans are logged in.
    pub(crate) fn registry_id(&self) -> u64 {
        self.registry.load(Ordering::Relaxed)
    }

    /// Whether every span of it needs a parent.
    pub(crate) fn requires_parent(&self) -> bool {
        self.require_parent.load(Ordering::Relaxed)
    }

    /// Whether a span of a site that may do so starts a trace of this tracer.
    pub(crate) fn lets_start(&self, roots: Roots) -> bool {
        match roots {
            Roots::Always => true,
            Roots::Allowed => !self.requires_parent(),
            Roots::Never => false,
        }
    }

    /// Whether its trace ids have 64 bits.
    pub(crate) fn has_short_trace_ids(&self) -> bool {
        self.short_trace_ids.load(Ordering::Relaxed)
    }

    /// The next id of a test's tracer; `None` for any other.
    pub(crate) fn counted_id(&self) -> Option<u64> {
        if self.drawn.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(mix(self.drawn.fetch_add(1, Ordering::Relaxed)))
    }

    /// Changes the sampler.
    pub(crate) fn set_sampler(&self, sampler: Sampler) {
        // Asked meanwhile, the sampler is the old or the new one.
        self.boundary.store(ASK, Ordering::Release);
        let boundary = sampler.boundary().unwrap_or(ASK);
        let mut place = self.locked().sampler.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *place, sampler);
        // Freed without the lock: an allocator that is traced asks the sampler.
        drop(place);
        drop(old);
        self.boundary.store(boundary, Ordering::Release);
    }

    /// Whether a new trace is to be recorded. A ratio costs a comparison; other samplers are read under a lock that only
    /// [`set_sampler`](Self::set_sampler) holds for the length of a move.
    pub(crate) fn samples(&self, name: &dyn Display, trace: TraceId) -> bool {
        match self.boundary.load(Ordering::Acquire) {
            0 => false,
            u64::MAX => true,
            ASK => {
                let sampler = self.locked().sampler.read().unwrap_or_else(PoisonError::into_inner);
                sampler.decide(name, trace, Instant::now())
            }
            #[expect(clippy::cast_possible_truncation, reason = "the low half is what counts")]
            boundary => Sampler::within(boundary, trace.get() as u64),
        }
    }

    /// The boundary below which traces are recorded; `None`: the sampler must be asked.
    #[inline]
    pub(crate) fn boundary(&self) -> Option<u64> {
        let boundary = self.boundary.load(Ordering::Acquire);
        (boundary != ASK).then_some(boundary)
    }

    /// Counts spans that could not be recorded.
    pub(crate) fn lose(&self, reason: DropReason, spans: u64) {
        if let Some(at) = REASONS.iter().position(|&other| other == reason) {
            self.lost[at].fetch_add(spans, Ordering::Relaxed);
        }
    }

    /// What was lost since the last call.
    pub(crate) fn take_lost(&self) -> impl Iterator<Item = (DropReason, u64)> {
        REASONS
            .iter()
            .zip(&self.lost)
            .map(|(&reason, lost)| (reason, lost.swap(0, Ordering::Relaxed)))
            .filter(|&(_, lost)| lost > 0)
    }

    /// Whether something was lost since the last call of [`take_lost`](Self::take_lost).
    pub(crate) fn has_lost(&self) -> bool {
        self.lost.iter().any(|lost| lost.load(Ordering::Relaxed) > 0)
    }

    /// Counts a trace that began here and was not sampled.
    pub(crate) fn count_unsampled(&self) {
        self.unsampled.fetch_add(1, Ordering::Relaxed);
    }

    /// Traces that began here and were not sampled.
    pub(crate) fn unsampled(&self) -> u64 {
        self.unsampled.load(Ordering::Relaxed)
    }

    /// Counts a value that was longer than a value may be.
    pub(crate) fn count_cut_value(&self) {
        self.cut_values.fetch_add(1, Ordering::Relaxed);
    }

    /// Values cut since the last call.
    pub(crate) fn take_cut_values(&self) -> u64 {
        self.cut_values.swap(0, Ordering::Relaxed)
    }

    /// Counts fields of baggage that could not be kept or sent.
    pub(crate) fn count_left_out_baggage(&self, fields: u64) {
        self.left_out_baggage.fetch_add(fields, Ordering::Relaxed);
    }

    /// Fields of baggage left out since the last call.
    pub(crate) fn take_left_out_baggage(&self) -> u64 {
        self.left_out_baggage.swap(0, Ordering::Relaxed)
    }

    /// Puts the tracer itself there, or takes it away.
    pub(crate) fn set_owner(&self, owner: Option<Arc<dyn Owner>>) {
        let mut place = self.locked().owner.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *place, owner);
        drop(place);
        drop(old);
    }

    /// The tracer itself; `None` before a forked child's first record. For cold paths: it takes a lock.
    pub(crate) fn owner(&self) -> Option<Arc<dyn Owner>> {
        self.locked().owner.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tracer itself, for a record. In a forked child the first one starts it. The error is why there is none: the tracer is
    /// gone, or this thread is just starting it, and there is no log yet.
    pub(crate) fn owner_to_record(&self) -> Result<Arc<dyn Owner>, DropReason> {
        self.owner().map_or_else(|| self.start_again(), Ok)
    }

    /// The tracer, or what it is in the parent process, where this one has not recorded yet.
    pub(crate) fn owner_of_any_process(&self) -> Option<Arc<dyn Owner>> {
        self.owner().or_else(|| self.parents_owner())
    }

    /// Where a thread that is not here was just putting it there or taking it away, there is none.
    fn parents_owner(&self) -> Option<Arc<dyn Owner>> {
        if !self.crosses_forks.load(Ordering::Relaxed) {
            return None;
        }
        self.parents.get()?.owner.try_read().ok()?.clone()
    }

    /// Starts a parent's tracer in this process.
    #[cold]
    fn start_again(&self) -> Result<Arc<dyn Owner>, DropReason> {
        let gone = DropReason::Deadline;
        self.parents.get().ok_or(gone)?;
        let starting = Starting::begin().ok_or(DropReason::Reentrant)?;
        if let Some(owner) = self.owner() {
            return Ok(owner);
        }
        let parents = self.parents_owner().ok_or(gone)?;
        match parents.start_again(self.reference()).ok_or(gone)? {
            Ok(owner) => {
                self.registry.store(owner.registry().id(), Ordering::Relaxed);
                self.set_owner(Some(Arc::clone(&owner)));
                Ok(owner)
            }
            Err(tell) => {
                self.give_back();
                // The user's code is told, which may do anything.
                drop(starting);
                tell();
                Err(gone)
            }
        }
    }

    /// The locks of this process.
    fn locked(&self) -> &'static Locked {
        self.locked.get_or_make(|| {
            // A parent's sampler that was just being changed is not known: what the tracer was started with is.
            let parents = self.parents.get().filter(|_| !self.is_free());
            let parents = parents.and_then(|parents| Some(parents.sampler.try_read().ok()?.clone()));
            let sampler = parents.or_else(|| Some(self.parents_owner()?.first_sampler()));
            Locked { sampler: RwLock::new(sampler.unwrap_or(Sampler::never())), owner: RwLock::new(None) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::clock::Clock;
    use crate::testing;

    fn settings() -> SlotSettings {
        testing::Tracer::options().slot_settings()
    }

    #[test]
    fn a_slot_that_has_had_all_its_generations_gets_no_tracer_any_more() {
        let registry = Registry::of_test(Clock::Os, 0, 0);
        let slot = Slot::empty(0);
        slot.generation.store(GENERATIONS - 2, Ordering::Relaxed);
        assert!(slot.can_be_taken());
        slot.begin(settings(), &registry);
        let last = slot.reference();
        assert_eq!(last >> INDEX_BITS, GENERATIONS - 1);
        slot.generation.fetch_add(1, Ordering::Release);
        assert!(slot.is_free() && !slot.can_be_taken());
        assert_ne!(slot.reference(), last);
    }

    #[test]
    fn references_of_one_slot_are_all_different_until_its_end() {
        let slot = Slot::empty(7);
        let references: std::collections::HashSet<u32> = (0..GENERATIONS)
            .map(|generation| {
                slot.generation.store(generation, Ordering::Relaxed);
                slot.reference()
            })
            .collect();
        assert_eq!(references.len(), GENERATIONS as usize);
    }
}
