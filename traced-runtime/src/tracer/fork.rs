//! A fork without exec.
//!
//! The child has one thread and a copy of everything else: locks that a thread held which is not there any more, logs
//! whose words are the parent's to report, generators of ids that would repeat the parent's. So it uses none of it. The
//! tracers go on under another generation, and what they need (locks, logs, threads, connections) is made anew with
//! the child's first record. Nothing is started, locked or allocated while the fork itself runs.

use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::context::local::{self, Local};
use crate::process::stderr;
use crate::recorder::slot::Slot;
use crate::reporter::drain::Drain;
use crate::reporter::tree::terminal::Terminal;

/// Whether this process is a forked child of one that had tracers.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Whether contexts may name tracers by what they were in a parent process.
#[inline]
pub(crate) fn is_child() -> bool {
    IS_CHILD.load(Ordering::Relaxed)
}

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
    IS_CHILD.store(true, Ordering::Relaxed);
    Drain::forget_parents();
    Terminal::forget_parents();
    stderr::forget_parents();
    Slot::forget_parents();
    local::with(Local::after_fork);
}

/// There is no fork.
#[cfg(not(unix))]
pub(crate) fn watch() {}

/// A value that each process makes for itself at the first use: a child's is not its parent's, in which there may be a
/// lock that nobody will ever give back. Values are never freed: there is one for each fork on the way to a process.
#[derive(Debug)]
pub(crate) struct PerProcess<T>(AtomicPtr<T>);

impl<T: 'static> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The value, if it was made.
    #[allow(unsafe_code, reason = "what is stored lives for ever")]
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: only leaked boxes are stored, and nobody frees them or takes them by `&mut`.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// The value. Of two threads that make it at once, one value is dropped again.
    #[allow(unsafe_code, reason = "what is stored lives for ever")]
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> T) -> &'static T {
        if let Some(value) = self.get() {
            return value;
        }
        let made = Box::into_raw(Box::new(make()));
        match self.0.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: it was leaked just now, and is stored.
            Ok(_) => unsafe { &*made },
            Err(other) => {
                // SAFETY: it was leaked just now, and nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: only leaked boxes are stored; null was what was expected, and is not what was found.
                unsafe { &*other }
            }
        }
    }

    /// Leaves the value to the parent, and moves it to `parents` for what can be read there without waiting.
    #[cfg(unix)]
    pub(crate) fn leave(&self, parents: &Self) {
        let value = self.0.swap(ptr::null_mut(), Ordering::AcqRel);
        if !value.is_null() {
            parents.0.store(value, Ordering::Release);
        }
    }

    /// Leaves the value alone, whoever uses it.
    pub(crate) fn forget(&self) {
        self.0.store(ptr::null_mut(), Ordering::Release);
    }
}
