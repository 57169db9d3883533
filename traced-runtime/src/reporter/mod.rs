//! From the log to the collector: assemble, policy, encode, queue, send.

pub(crate) mod attributes;
pub(crate) mod record;
pub(crate) mod tree;
pub(crate) mod tree_printer;
