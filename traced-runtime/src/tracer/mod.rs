//! The user's thread: callsites, contexts, spans, and the tracer that owns them.

pub(crate) mod attribute;
pub(crate) mod blueprint;
pub(crate) mod builder;
pub(crate) mod callsite;
pub(crate) mod context;
pub(crate) mod core;
pub(crate) mod early;
mod end;
pub(crate) mod endpoint;
pub(crate) mod env;
pub(crate) mod error;
pub(crate) mod fork;
pub(crate) mod future;
pub(crate) mod handle;
pub(crate) mod id;
pub(crate) mod kind;
pub(crate) mod local;
pub(crate) mod sampler;
pub(crate) mod settings;
pub(crate) mod slot;
pub(crate) mod span;
mod span_macro;
pub(crate) mod text;
pub(crate) mod value;
