//! What there is once in a process: notices, standard error, threads of our own, and what a fork leaves of all that.

pub(crate) mod notice;
pub(crate) mod per_process;
pub(crate) mod stderr;
pub(crate) mod thread;
