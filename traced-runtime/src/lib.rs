//! Follow one request through every function and every process, and see it in Zipkin.

mod recorder;
mod reporter;
#[cfg(any(test, feature = "testing"))]
mod testing;
mod tracer;

pub use reporter::attributes::TagValue;
pub use reporter::record::SpanRecord;
pub use tracer::builder::Builder;
pub use tracer::callsite::Callsite;
pub use tracer::endpoint::Endpoint;
pub use tracer::error::ConfigError;
pub use tracer::id::{SpanId, TraceId};
pub use tracer::kind::{Kind, Outcome};
pub use tracer::sampler::Sampler;
pub use tracer::value::{Tag, Value};
