//! What there is once in a process: notices, standard error, threads of our own.

pub(crate) mod notice;
pub(crate) mod stderr;
pub(crate) mod thread;
