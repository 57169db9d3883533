//! How long to wait before another attempt.

use std::time::Duration;

use rand::TryRng as _;

/// The pauses between attempts: each a random time between the one before it and three times that; from a third of the
/// longest on, between that and the longest.
///
/// Pauses that only double meet again and again, and so do processes that lost their collector at the same moment; these
/// drift apart, because each depends on all random numbers before it. The idea is the "decorrelated jitter" of Marc Brooker
/// (AWS, 2015), which may fall back to the shortest pause at any time; here pauses never shrink below a third of where they
/// were.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    last: Duration,
}

/// The shortest pause; the first one is up to three times that.
const FIRST: Duration = Duration::from_millis(100);

/// The longest pause: a collector that is back after a long outage waits no longer for spans.
const MOST: Duration = Duration::from_secs(30);

impl Default for Backoff {
    fn default() -> Self {
        Self::new(FIRST, MOST)
    }
}

impl Backoff {
    /// Pauses of at least `first` and at most `most`.
    pub(crate) const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, last: first }
    }

    /// The pause after one more failure in a row.
    pub(crate) fn pause(&mut self) -> Duration {
        // Without randomness from the system: no jitter.
        let random = rand::rngs::SysRng.try_next_u32().unwrap_or(u32::MAX);
        let low = self.last.min(self.most / 3).max(self.first);
        let high = self.last.saturating_mul(3).min(self.most);
        self.last = low + high.saturating_sub(low).mul_f64(f64::from(random) / f64::from(u32::MAX));
        self.last
    }

    /// Begins again with short pauses.
    pub(crate) const fn reset(&mut self) {
        self.last = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_threefold_and_stay_long() {
        for _ in 0..100 {
            let mut backoff = Backoff::default();
            let mut last = FIRST;
            for number in 0..60 {
                let pause = backoff.pause();
                assert!(pause <= (last * 3).min(MOST) && pause >= last.min(MOST / 3), "{last:?}, then {pause:?}");
                assert!(number < 50 || pause >= MOST / 3, "no more than six attempts a minute: {pause:?}");
                last = pause;
            }
            backoff.reset();
            assert!(backoff.pause() <= FIRST * 3);
        }
    }

    #[test]
    fn two_processes_do_not_return_together() {
        let pauses = |mut backoff: Backoff| (0..8).map(|_| backoff.pause()).collect::<Vec<_>>();
        assert_ne!(pauses(Backoff::default()), pauses(Backoff::default()));
    }
}
