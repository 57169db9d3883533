//! From the log to the collector: assemble, queue, redact, encode, send, on threads of our own.

pub(crate) mod assemble;
pub(crate) mod attributes;
pub(crate) mod backend;
pub(crate) mod backoff;
pub(crate) mod block;
pub(crate) mod buffers;
pub(crate) mod details;
pub(crate) mod drain;
pub(crate) mod encode;
pub(crate) mod open;
pub(crate) mod outlet;
pub(crate) mod pipeline;
pub(crate) mod queue;
pub(crate) mod record;
pub(crate) mod redaction;
pub(crate) mod send;
#[cfg(feature = "spool")]
pub(crate) mod spool;
pub(crate) mod stats;
#[cfg(not(feature = "tree"))]
#[path = "tree/none.rs"]
pub(crate) mod terminal;
#[cfg(any(test, feature = "testing", feature = "tree"))]
pub(crate) mod tree;
pub(crate) mod worker;

#[cfg(feature = "tree")]
pub(crate) use tree::terminal;
