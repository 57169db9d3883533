//! A fork without exec.
//!
//! The child has one thread and a copy of everything else: locks that a thread held which is not there any more, logs
//! whose words are the parent's to report, generators of ids that would repeat the parent's. So nothing of it is used:
//! in the child all tracers are gone, as after a shutdown, and the program may install one anew.

use std::sync::Once;

use crate::tracer::local::{self, Local};
use crate::tracer::slot::Slot;

/// Makes sure that a forked child starts without tracers. Called with the first tracer of the process.
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
    Slot::forget_all();
    local::with(Local::after_fork);
}

/// There is no fork.
#[cfg(not(unix))]
pub(crate) fn watch() {}
