//! How long finished spans wait where a queue is full.

use std::time::{Duration, Instant};

/// The longest that one round of the drain waits for room, all queues together.
///
/// It must be short: meanwhile nothing is read, of no tracer. What ends then waits in the log, and when that is full a span
/// is lost where it starts, for a few nanoseconds; a span that is read for nothing costs a hundred times that.
const OF_A_ROUND: Duration = Duration::from_millis(25);

/// How long whoever hands on spans may still wait for room.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    left: Duration,
}

impl Patience {
    /// That of a round.
    pub(crate) const fn of_a_round() -> Self {
        Self { left: OF_A_ROUND }
    }

    /// The same, but not beyond a deadline.
    pub(crate) fn until(deadline: Instant) -> Self {
        Self { left: OF_A_ROUND.min(deadline.saturating_duration_since(Instant::now())) }
    }

    /// What is left of it, if anything is.
    pub(super) fn left(&self) -> Option<Duration> {
        (!self.left.is_zero()).then_some(self.left)
    }

    /// So much was waited.
    pub(super) const fn wear(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }
}
