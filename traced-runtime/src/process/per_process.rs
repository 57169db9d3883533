//! What a forked child must not share with its parent.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Whether this process is a forked child of one that had tracers.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Whether contexts may name tracers by what they were in a parent process.
#[inline]
pub(crate) fn is_child() -> bool {
    IS_CHILD.load(Ordering::Relaxed)
}

/// This process is a forked child. Called while it forks: only an atomic is stored.
#[cfg(unix)]
pub(crate) fn is_forked() {
    IS_CHILD.store(true, Ordering::Relaxed);
}

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

    /// Leaves the value alone, as others may use it.
    pub(crate) fn forget(&self) {
        self.0.store(ptr::null_mut(), Ordering::Release);
    }
}
