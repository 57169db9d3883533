//! The words of the field: plain values that every other folder may name.

pub(crate) mod callsite;
pub(crate) mod endpoint;
pub(crate) mod id;
pub(crate) mod kind;
pub(crate) mod text;
