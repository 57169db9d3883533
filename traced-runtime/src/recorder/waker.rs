//! Wakes the thread that reads the logs.

use std::sync::atomic::{AtomicU8, Ordering};

use once_cell::sync::OnceCell;

/// Wakes the thread that drains the logs, if there is one and it sleeps.
#[derive(Debug, Default)]
pub(crate) struct Waker {
    sleep: AtomicU8,
    drain: OnceCell<std::thread::Thread>,
}

/// How fast the drain sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Sleep {
    /// It does not.
    Awake = 0,
    /// It looks again in a moment: only what cannot wait so long is worth the wake-up.
    Short = 1,
    /// It looks again after a while.
    Long = 2,
}

impl Waker {
    /// Sets the thread to wake.
    pub(crate) fn set(&self, drain: std::thread::Thread) {
        // Set once; the process has one drain.
        self.drain.set(drain).ok();
    }

    /// Called by the drain around its sleep.
    pub(crate) fn sleeping(&self, sleep: Sleep) {
        self.sleep.store(sleep as u8, Ordering::Release);
    }

    /// Wakes the drain out of a long sleep; out of a short one, too, if it is `urgent`. Costs a load when it is awake.
    pub(crate) fn wake(&self, urgent: bool) {
        let least = if urgent { Sleep::Short } else { Sleep::Long };
        if self.sleep.load(Ordering::Acquire) < least as u8 {
            return;
        }
        if self.sleep.swap(Sleep::Awake as u8, Ordering::AcqRel) != Sleep::Awake as u8 {
            if let Some(drain) = self.drain.get() {
                drain.unpark();
            }
        }
    }
}
