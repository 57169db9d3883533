//! The log of a thread: written without locks by the thread, read by the drain.

pub(crate) mod budget;
pub(crate) mod chunk;
pub(crate) mod clock;
pub(crate) mod event;
pub(crate) mod log;
pub(crate) mod position;
pub(crate) mod registry;
pub(crate) mod sampler;
pub(crate) mod slot;
pub(crate) mod stack;
pub(crate) mod waker;
