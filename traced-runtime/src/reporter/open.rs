//! What a tracer lists of spans that have not ended.

use std::time::{Duration, SystemTime};

use crate::model::id::{SpanId, TraceId};

/// A span that has not ended.
#[derive(Clone, Debug)]
pub struct OpenSpan {
    pub(super) name: String,
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) start: SystemTime,
    pub(super) age: Duration,
}

impl OpenSpan {
    /// The span's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The trace it belongs to.
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.trace
    }

    /// Its own id.
    #[must_use]
    pub const fn id(&self) -> SpanId {
        self.id
    }

    /// The span above it; none: it began its trace.
    #[must_use]
    pub const fn parent_id(&self) -> Option<SpanId> {
        self.parent
    }

    /// When it started.
    #[must_use]
    pub const fn start(&self) -> SystemTime {
        self.start
    }

    /// How long it has been open.
    #[must_use]
    pub const fn age(&self) -> Duration {
        self.age
    }
}
