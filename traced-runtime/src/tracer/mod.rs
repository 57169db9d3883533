//! The tracer: how it is set up, what it owns, how it ends.

pub(crate) mod blueprint;
pub(crate) mod builder;
pub(crate) mod core;
pub(crate) mod early;
mod end;
pub(crate) mod env;
pub(crate) mod error;
pub(crate) mod fork;
pub(crate) mod handle;
pub(crate) mod settings;
