//! The words of the field: plain values that every other folder may name.

pub(crate) mod callsite;
pub(crate) mod endpoint;
pub(crate) mod id;
pub(crate) mod ids;
pub(crate) mod kind;
pub(crate) mod limits;
pub(crate) mod loss;
pub(crate) mod numbers;
pub(crate) mod redacted;
pub(crate) mod text;
