//! The ids and flags of a context, of a span, of a scope: plain numbers, as the log has them.

use super::id::TraceId;
use super::loss::DropReason;

/// What of a trace a span or a scope belongs to: the fields are those of a context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Trace id, high half.
    pub(crate) trace_high: u64,
    /// Trace id, low half.
    pub(crate) trace_low: u64,
    /// The span's id; for a scope, the id that spans written in it have as parent.
    pub(crate) span: u64,
    /// The parent's id; unused in a scope.
    pub(crate) parent: u64,
    /// Local key; 0 when the span is of another process.
    pub(crate) key: u64,
    /// Slot and generation of the tracer.
    pub(crate) tracer: u32,
    /// Flags of the context.
    pub(crate) flags: u16,
    /// The tick at which the trace began in this process.
    pub(crate) origin: u64,
}

/// Flags of a context, in [`Ids::flags`].
pub(crate) mod flag {
    /// The trace is recorded.
    pub(crate) const SAMPLED: u16 = 1;
    /// The trace is not recorded. With neither the decision is deferred to the first span here.
    pub(crate) const UNSAMPLED: u16 = 2;
    /// Every sampler on the way is to keep the trace.
    pub(crate) const DEBUG: u16 = 4;
    /// The trace's first span here could not be recorded: neither is what is below it. [`LOST_BY`] says why.
    pub(crate) const LOST: u16 = 8;
    /// The span shares its id with the client's; of a span of another process: it may be joined.
    pub(crate) const SHARED: u16 = 16;
    /// The trace began under a context that had none and named its tracer.
    pub(crate) const OF_TRACER: u16 = 32;
    /// The span's parent, if it has one, is in another process.
    pub(crate) const LOCAL_ROOT: u16 = 64;
    /// Nothing at all is recorded: a thread of the tracer's own.
    pub(crate) const SUPPRESSED: u16 = 128;
    /// The trace began under a context that had none and told its decision.
    pub(crate) const DECIDED: u16 = 256;
    /// Why the trace is lost: the place of the reason in [`super::LOST_REASONS`].
    pub(crate) const LOST_BY: u16 = 3 << LOST_BY_SHIFT;
    /// Where [`LOST_BY`] begins.
    pub(crate) const LOST_BY_SHIFT: u32 = 10;
    /// The trace id is random: W3C's flag. Of an id that came by B3 nobody knows.
    pub(crate) const RANDOM: u16 = 512;
    /// What a caller decided.
    pub(crate) const DECISION: u16 = SAMPLED | UNSAMPLED | DEBUG;
    /// What is left of a context that had no trace, after one began there.
    pub(crate) const BEFORE: u16 = OF_TRACER | DECIDED;
    /// What children inherit.
    pub(crate) const INHERITED: u16 = SAMPLED | UNSAMPLED | DEBUG | LOST | LOST_BY | RANDOM;
}

/// Why a trace is lost, by the number in [`flag::LOST_BY`].
const LOST_REASONS: [DropReason; 4] =
    [DropReason::LogFull, DropReason::TooDeep, DropReason::ThreadEnded, DropReason::Reentrant];

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

    /// The context as it was before the trace began there.
    pub(crate) const fn before(&self) -> Self {
        let tracer = if self.is(flag::OF_TRACER) { self.tracer } else { 0 };
        let flags = if self.is(flag::DECIDED) { self.flags & flag::DECISION } else { 0 };
        Self { flags, ..Self::of_tracer(tracer) }
    }

    /// From a span's ids to those of one below it.
    #[inline]
    pub(crate) const fn descend(&mut self, span: u64) {
        self.parent = self.span;
        self.span = span;
        self.key = span;
        self.flags &= flag::INHERITED | flag::BEFORE;
    }

    #[inline]
    pub(crate) const fn has_trace(&self) -> bool {
        (self.trace_high | self.trace_low) != 0
    }

    #[inline]
    pub(crate) const fn is(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    /// Whether spans of this context are written.
    #[inline]
    pub(crate) const fn is_recorded(&self) -> bool {
        self.is(flag::SAMPLED) && !self.is(flag::LOST)
    }

    /// Loses the trace, for this reason.
    pub(crate) fn lose(&mut self, reason: DropReason) {
        // The tracer of any other is gone: nobody counts what is below.
        let number = LOST_REASONS.iter().position(|&other| other == reason).unwrap_or(0);
        self.flags =
            self.flags & !flag::LOST_BY | flag::LOST | u16::try_from(number).unwrap_or(0) << flag::LOST_BY_SHIFT;
    }

    /// Why the trace is lost, if it [is](flag::LOST).
    pub(crate) fn lost_by(&self) -> DropReason {
        LOST_REASONS[usize::from((self.flags & flag::LOST_BY) >> flag::LOST_BY_SHIFT)]
    }

    /// Whether a span below may be written.
    pub(crate) const fn may_record(&self) -> bool {
        !self.is(flag::UNSAMPLED | flag::LOST)
    }

    pub(crate) const fn trace(&self) -> Option<TraceId> {
        TraceId::new((self.trace_high as u128) << 64 | self.trace_low as u128)
    }

    /// Tracer and flags as events have them, with room for a kind below.
    #[inline]
    pub(crate) fn tracer_word(&self) -> u64 {
        u64::from(self.tracer) << 32 | u64::from(self.flags) << 8
    }
}
