//! Waiting for another process: the one place of the tests that waits by time.

use std::thread;
use std::time::{Duration, Instant};

/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks `probe` until it gives a value, and returns that value.
///
/// # Panics
/// When `deadline` has passed, with `what` in the message: `eventually("trace 1f", …)` says
/// `waited 10s for trace 1f`. `probe` is asked at least once, and once more at the end.
#[track_caller]
pub fn eventually<T>(what: &str, deadline: Duration, probe: impl FnMut() -> Option<T>) -> T {
    match poll(deadline, probe) {
        Some(value) => value,
        None => panic!("waited {deadline:?} for {what}"),
    }
}

/// As [`eventually`]; `None` when `deadline` has passed.
pub(crate) fn poll<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        let late = Instant::now() >= end;
        if let Some(value) = probe() {
            return Some(value);
        }
        if late {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_ends_the_wait() {
        let mut asked = 0;
        let value = eventually("three", Duration::from_secs(5), || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(value, 3);
    }

    #[test]
    #[should_panic(expected = "waited 0ns for a blue moon")]
    fn the_panic_says_what_was_waited_for() {
        eventually("a blue moon", Duration::ZERO, || None)
    }
}
