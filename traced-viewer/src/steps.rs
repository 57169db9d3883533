//! How much is done for a request, counted in tests: for a request of four times the size about four times as much.
//!
//! All requests are served on one thread. What grows with the square of a body, or of what is kept, would let one request
//! hold up all others, although it is small when it is packed. `server/linear.rs` has the requests, and `clippy.toml` the
//! methods that do much in one step.

use std::cmp::Ordering;

#[cfg(test)]
std::thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts things that are looked at: bytes, spans, tags, nodes.
#[inline]
pub(crate) fn steps(count: usize) {
    #[cfg(test)]
    STEPS.with(|steps| steps.set(steps.get() + count as u64));
    #[cfg(not(test))]
    let _ = count;
}

/// `compare`, of which each call counts.
pub(crate) fn counted<T: ?Sized>(compare: impl Fn(&T, &T) -> Ordering) -> impl FnMut(&T, &T) -> Ordering {
    move |one, other| {
        steps(1);
        compare(one, other)
    }
}

/// The steps of this thread while it does something.
#[cfg(test)]
pub(crate) fn steps_of(work: impl FnOnce()) -> u64 {
    let before = STEPS.get();
    work();
    STEPS.get() - before
}
