//! Follow one request through every function and every process, and see it in Zipkin.

// Generated code names this crate by its own name, here, too.
extern crate self as traced_runtime;

#[doc(hidden)]
#[path = "private/mod.rs"]
pub mod __private;
use __private as private;
mod recorder;
mod reporter;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tracer;

/// The bounds of what is kept of a span. What is beyond them is counted, in [`Stats`] or [`Tally`].
pub mod limits {
    pub use crate::reporter::assemble::SPAN_BYTES;
    pub use crate::tracer::local::{DEPTH, KEY_BYTES, VALUE_BYTES};
}

pub use reporter::assemble::OpenSpan;
pub use reporter::attributes::TagValue;
pub use reporter::backend::{ReportError, Reporter};
pub use reporter::notice::{Notice, NoticeKind};
pub use reporter::record::SpanRecord;
pub use reporter::send::{SendError, Sender};
pub use reporter::stats::{DropReason, Stats, Tally};
pub use traced_macros::traced;
pub use tracer::builder::Builder;
pub use tracer::context::{Context, Parent, Sampling, Scope, annotate, error, remote, tag};
pub use tracer::endpoint::Endpoint;
pub use tracer::error::ConfigError;
pub use tracer::future::{InContext, WithContext, WithSpan};
pub use tracer::handle::{Installed, Tracer, init};
pub use tracer::id::{SpanId, TraceId};
pub use tracer::kind::{Kind, Outcome};
pub use tracer::sampler::Sampler;
pub use tracer::span::{Span, SpanScope};
pub use tracer::value::{Tag, Value};
