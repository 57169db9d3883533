//! The table of tracers: contexts name a tracer by slot and generation, so that nothing counts references on the hot
//! path.
//!
//! Slots are never freed, only used again: a reference to one is always valid, and a generation that has passed tells
//! that its tracer is gone.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use crate::recorder::registry::{Registry, mix};
use crate::reporter::stats::DropReason;
use crate::tracer::callsite::Roots;
use crate::tracer::core::Core;
use crate::tracer::id::TraceId;
use crate::tracer::sampler::Sampler;

/// Tracers that may be alive at the same time in one process.
pub(crate) const TRACERS: usize = 1 << INDEX_BITS;

const INDEX_BITS: u32 = 10;

/// What the user's thread needs to know of a tracer, in atomics.
#[derive(Debug)]
pub(crate) struct Slot {
    index: u32,
    /// Odd while a tracer is here.
    generation: AtomicU32,
    /// Traces whose id is below are sampled; [`ASK`] if the sampler must be asked.
    boundary: AtomicU64,
    sampler: RwLock<Sampler>,
    require_parent: AtomicBool,
    short_trace_ids: AtomicBool,
    /// The registry that its spans are logged in.
    registry: AtomicU32,
    /// Counts the ids drawn for a test's tracer; 0 for any other, whose ids are random.
    drawn: AtomicU64,
    /// Spans that could not be recorded, by reason: too deep, log full, thread ended.
    lost: [AtomicU64; LOSSES],
    cut_values: AtomicU64,
    left_out_baggage: AtomicU64,
    /// Traces that began here and were not sampled.
    unsampled: AtomicU64,
    core: Mutex<Option<Arc<Core>>>,
}

/// A boundary that no ratio gives: the sampler is asked.
const ASK: u64 = 1;

const LOSSES: usize = 3;

/// Reasons for which a span is lost before the log, in the order of [`Slot::lost`].
const REASONS: [DropReason; LOSSES] = [DropReason::TooDeep, DropReason::LogFull, DropReason::ThreadEnded];

static SLOTS: [AtomicPtr<Slot>; TRACERS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; TRACERS];

/// The tracer that starts traces where there is no context; null if none is installed or it requires a parent. The one
/// load that an annotated function makes in a program without tracer.
static ROOTS: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());

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
}

#[allow(unsafe_code, reason = "slots live for ever: a pointer from the table is a reference")]
fn load(pointer: &AtomicPtr<Slot>) -> Option<&'static Slot> {
    // SAFETY: only leaked boxes are stored in the table, and nobody frees or writes them.
    unsafe { pointer.load(Ordering::Acquire).as_ref() }
}

impl Slot {
    /// Takes a free slot for a tracer that logs in `registry`; `None` when [`TRACERS`] are alive.
    pub(crate) fn take(settings: SlotSettings, registry: &Registry) -> Option<&'static Self> {
        static TAKING: Mutex<()> = Mutex::new(());
        let _taking = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, entry) = SLOTS.iter().enumerate().find(|(_, entry)| load(entry).is_none_or(Self::is_free))?;
        let slot = load(entry).unwrap_or_else(|| {
            let slot: &'static Self = Box::leak(Box::new(Self::empty(u32::try_from(index).unwrap_or(0))));
            entry.store(std::ptr::from_ref(slot).cast_mut(), Ordering::Release);
            slot
        });
        slot.set_sampler(settings.sampler);
        slot.require_parent.store(settings.require_parent, Ordering::Relaxed);
        slot.short_trace_ids.store(settings.short_trace_ids, Ordering::Relaxed);
        slot.drawn.store(settings.counted_ids.unwrap_or(0), Ordering::Relaxed);
        slot.registry.store(registry.id(), Ordering::Relaxed);
        for lost in &slot.lost {
            lost.store(0, Ordering::Relaxed);
        }
        slot.cut_values.store(0, Ordering::Relaxed);
        slot.left_out_baggage.store(0, Ordering::Relaxed);
        slot.unsampled.store(0, Ordering::Relaxed);
        slot.generation.fetch_add(1, Ordering::Release);
        Some(slot)
    }

    fn empty(index: u32) -> Self {
        Self {
            index,
            generation: AtomicU32::new(0),
            boundary: AtomicU64::new(0),
            sampler: RwLock::new(Sampler::never()),
            require_parent: AtomicBool::new(false),
            short_trace_ids: AtomicBool::new(false),
            registry: AtomicU32::new(0),
            drawn: AtomicU64::new(0),
            lost: [const { AtomicU64::new(0) }; LOSSES],
            cut_values: AtomicU64::new(0),
            left_out_baggage: AtomicU64::new(0),
            unsampled: AtomicU64::new(0),
            core: Mutex::new(None),
        }
    }

    fn is_free(&self) -> bool {
        self.generation.load(Ordering::Acquire) % 2 == 0
    }

    /// The tracer is gone: contexts that name it record nothing any more.
    pub(crate) fn give_back(&self) {
        let me = std::ptr::from_ref(self).cast_mut();
        for global in [&ROOTS, &INSTALLED] {
            let _ = global.compare_exchange(me, std::ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
        }
        self.set_core(None);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// All tracers are gone, without a word to them: this is a forked child. Only atomics are touched.
    #[cfg(unix)]
    pub(crate) fn forget_all() {
        for global in [&ROOTS, &INSTALLED] {
            global.store(std::ptr::null_mut(), Ordering::Release);
        }
        for slot in SLOTS.iter().filter_map(load).filter(|slot| !slot.is_free()) {
            slot.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Makes the tracer the one that starts traces where there is no context. `false`: there is one already.
    pub(crate) fn install(&'static self) -> bool {
        let me = std::ptr::from_ref(self).cast_mut();
        let null = std::ptr::null_mut();
        if INSTALLED.compare_exchange(null, me, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return false;
        }
        if !self.require_parent.load(Ordering::Relaxed) {
            ROOTS.store(me, Ordering::Release);
        }
        true
    }

    /// Whether an annotated function without a context starts a trace.
    #[inline(always)]
    pub(crate) fn starts_roots() -> bool {
        !ROOTS.load(Ordering::Relaxed).is_null()
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

    /// The registry that its spans are logged in.
    pub(crate) fn registry_id(&self) -> u32 {
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
        let mut place = self.sampler.write().unwrap_or_else(PoisonError::into_inner);
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
                let sampler = self.sampler.read().unwrap_or_else(PoisonError::into_inner);
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
    pub(crate) fn set_core(&self, core: Option<Arc<Core>>) {
        let old = std::mem::replace(&mut *self.core.lock().unwrap_or_else(PoisonError::into_inner), core);
        drop(old);
    }

    /// The tracer itself. For cold paths: it takes a lock.
    pub(crate) fn core(&self) -> Option<Arc<Core>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
