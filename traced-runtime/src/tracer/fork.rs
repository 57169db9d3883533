//! A fork without exec.
//!
//! The child has one thread and a copy of everything else: locks that a thread held which is not there any more, logs
//! whose words are the parent's to report, generators of ids that would repeat the parent's. So it uses none of it. The
//! tracers go on under another generation, and what they need (locks, logs, threads, connections) is made anew with
//! the child's first record. Nothing is started, locked or allocated while the fork itself runs.

use std::sync::Once;

use crate::context::local::{self, Local};
use crate::process::{per_process, stderr};
use crate::recorder::slot::Slot;
use crate::reporter::drain::Drain;
use crate::reporter::terminal::Terminal;

/// Makes sure that a forked child leaves alone what is its parent's. Called with the first tracer of the process.
#[cfg(unix)]
#[allow(unsafe_code, reason = "there is no safe way to be told of a fork")]
pub(crate) fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        // SAFETY: the handler only stores to atomics and to cells of a thread local without initialisation or
        // destructor: that is safe in a child of a process with threads. Where registering fails for want of memory, a
        // child that uses the parent's tracer finds it to be of another process, and does nothing with it.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

#[cfg(unix)]
extern "C" fn in_child() {
    per_process::is_forked();
    Drain::forget_parents();
    Terminal::forget_parents();
    stderr::forget_parents();
    Slot::forget_parents();
    local::with(Local::after_fork);
}

/// There is no fork.
#[cfg(not(unix))]
pub(crate) fn watch() {}
