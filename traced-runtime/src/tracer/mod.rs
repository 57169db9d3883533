//! The user's thread: callsites, contexts, spans, and the tracer that owns them.

pub(crate) mod builder;
pub(crate) mod callsite;
pub(crate) mod endpoint;
pub(crate) mod env;
pub(crate) mod error;
pub(crate) mod id;
pub(crate) mod kind;
pub(crate) mod sampler;
pub(crate) mod settings;
pub(crate) mod value;
