//! From the log to the collector: assemble, policy, encode, queue, send.

pub(crate) mod attributes;
pub(crate) mod record;
