//! The end of a tracer: one thread shuts it down, others may wait for that.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How far the shutdown of a tracer is.
#[derive(Default)]
pub(crate) struct End {
    stage: Mutex<Stage>,
    reached: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Runs,
    Ends,
    Ended,
}

impl End {
    /// Begins it; `None`: somebody did before.
    pub(crate) fn begin(&self) -> Option<Ending<'_>> {
        let mut stage = self.lock();
        if *stage != Stage::Runs {
            return None;
        }
        *stage = Stage::Ends;
        Some(Ending(self))
    }

    /// Waits until whoever began it has done it, but not beyond the deadline. Whether it is done.
    pub(crate) fn wait(&self, deadline: Instant) -> bool {
        let time = deadline.saturating_duration_since(Instant::now());
        let ends = |stage: &mut Stage| *stage == Stage::Ends;
        let waited = self.reached.wait_timeout_while(self.lock(), time, ends);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == Stage::Ended
    }

    #[cfg(test)]
    pub(crate) fn is_far(&self) -> bool {
        *self.lock() == Stage::Runs
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever shuts a tracer down, however that ends.
pub(crate) struct Ending<'a>(&'a End);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        *self.0.lock() = Stage::Ended;
        self.0.reached.notify_all();
    }
}
