//! How much is done for a request, counted in tests: with a request of four times the size it is about four times as much.
//!
//! All requests are served on one thread. What grows with the square of a body or a store would let one request, small
//! when it is packed, hold up all others.

#[cfg(test)]
mod tests;

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
