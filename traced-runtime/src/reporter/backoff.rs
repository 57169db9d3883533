//! How long to wait before another attempt.

use std::time::Duration;

use rand::TryRng as _;

/// The pauses between attempts: doubled each time, and each shortened by up to a half at random, so that many processes
/// do not return all at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), most: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// The pause after this many failures in a row, one or more.
    pub(crate) fn pause(self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = self.first.saturating_mul(factor).min(self.most);
        // Without randomness from the system: no jitter.
        let random = rand::rngs::SysRng.try_next_u32().unwrap_or(u32::MAX);
        pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}
