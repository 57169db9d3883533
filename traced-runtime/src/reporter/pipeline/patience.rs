//! How long finished spans wait where a queue is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The longest that one round of the drain waits for room, all queues together.
///
/// Meanwhile nothing is read, of no tracer: what ends waits in the log, and when that is full a span is lost where it starts,
/// for a few nanoseconds. One that is read for nothing costs a hundred times that, which the thread that sends could use.
const OF_A_ROUND: Duration = Duration::from_millis(200);

/// How often whoever waits for room looks whether somebody else wants to read.
const STEP: Duration = Duration::from_millis(5);

/// How long whoever hands on spans may still wait for room.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    left: Duration,
    /// How many wait for the end of the round.
    wanted: Option<Arc<AtomicUsize>>,
}

impl Patience {
    /// That of a round, which ends when somebody wants the round to end.
    pub(crate) fn of_a_round(wanted: &Arc<AtomicUsize>) -> Self {
        Self { left: OF_A_ROUND, wanted: Some(Arc::clone(wanted)) }
    }

    /// The same, but not beyond a deadline.
    pub(crate) fn until(deadline: Instant, wanted: &Arc<AtomicUsize>) -> Self {
        let left = OF_A_ROUND.min(deadline.saturating_duration_since(Instant::now()));
        Self { left, wanted: Some(Arc::clone(wanted)) }
    }

    /// That of somebody for whom nobody waits.
    pub(crate) const fn alone(time: Duration) -> Self {
        Self { left: time, wanted: None }
    }

    /// As long as it takes, for a test that is not to fail where a disk is slow.
    #[cfg(all(test, feature = "spool"))]
    pub(crate) const fn of_a_test() -> Self {
        Self::alone(Duration::from_secs(60))
    }

    /// Whether somebody wants the round to end.
    pub(super) fn is_hurried(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.load(Ordering::Acquire) > 0)
    }

    /// How long to wait now, if at all.
    pub(super) fn next(&self) -> Option<Duration> {
        (!self.left.is_zero() && !self.is_hurried()).then_some(self.left.min(STEP))
    }

    /// So much was waited.
    pub(super) const fn wear(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }
}
