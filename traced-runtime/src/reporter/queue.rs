//! Finished spans on their way to the backend.

use std::collections::VecDeque;
use std::time::Instant;

use crate::reporter::record::SpanRecord;

/// Spans in the order they came, bounded by the bytes they hold. The batch that is being sent counts until it is
/// [released](Self::release).
#[derive(Debug)]
pub(crate) struct Queue {
    spans: VecDeque<SpanRecord>,
    /// Bytes of `spans`.
    waiting: usize,
    /// Bytes of the batch that is being sent.
    in_flight: usize,
    /// Bytes of the batch that is being written to the spool.
    spilling: usize,
    bound: usize,
    /// When the oldest span that waits came, or the last batch was taken.
    since: Option<Instant>,
}

impl Queue {
    /// An empty queue that holds up to `bound` bytes.
    pub(crate) const fn new(bound: usize) -> Self {
        Self { spans: VecDeque::new(), waiting: 0, in_flight: 0, spilling: 0, bound, since: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes that wait, without the batch in flight.
    pub(crate) const fn waiting_bytes(&self) -> usize {
        self.waiting
    }

    /// All bytes held.
    pub(crate) const fn bytes(&self) -> usize {
        self.waiting + self.in_flight + self.spilling
    }

    /// Since when there has been something to send; `None` when there is nothing.
    pub(crate) const fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Adds a span; gives it back when there is no room.
    pub(crate) fn push(&mut self, span: SpanRecord, now: Instant) -> Option<SpanRecord> {
        let size = span.size();
        if self.bytes().saturating_add(size) > self.bound {
            return Some(span);
        }
        self.waiting += size;
        self.since.get_or_insert(now);
        self.spans.push_back(span);
        None
    }

    /// Takes the oldest spans, up to `bytes` of them and at least one.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> Vec<SpanRecord> {
        let mut taken = 0_usize;
        let mut count = 0;
        for span in &self.spans {
            let size = span.size();
            if count > 0 && taken.saturating_add(size) > bytes {
                break;
            }
            taken += size;
            count += 1;
        }
        self.waiting -= taken;
        self.in_flight += taken;
        let batch = self.spans.drain(..count).collect();
        self.since = if self.spans.is_empty() { None } else { Some(now) };
        batch
    }

    /// Puts the end of a taken batch back to where it was.
    pub(crate) fn put_back(&mut self, spans: impl DoubleEndedIterator<Item = SpanRecord>, now: Instant) {
        for span in spans.rev() {
            let size = span.size();
            self.waiting += size;
            self.in_flight = self.in_flight.saturating_sub(size);
            self.spans.push_front(span);
            self.since.get_or_insert(now);
        }
    }

    /// The taken batch is settled.
    pub(crate) const fn release(&mut self) {
        self.in_flight = 0;
    }

    /// As [`take`](Self::take), for the spool.
    #[cfg(feature = "spool")]
    pub(crate) fn take_to_spill(&mut self, bytes: usize, now: Instant) -> Vec<SpanRecord> {
        let waiting = self.waiting;
        let batch = self.take(bytes, now);
        let taken = waiting - self.waiting;
        self.in_flight -= taken;
        self.spilling += taken;
        batch
    }

    /// The batch taken for the spool is written, but for these spans, which are put back to where they were.
    #[cfg(feature = "spool")]
    pub(crate) fn spilled(&mut self, rest: impl DoubleEndedIterator<Item = SpanRecord>, now: Instant) {
        self.spilling = 0;
        let in_flight = self.in_flight;
        self.put_back(rest, now);
        self.in_flight = in_flight;
    }

    /// Bytes that it holds at most.
    #[cfg(feature = "spool")]
    pub(crate) const fn bound(&self) -> usize {
        self.bound
    }

    /// Gives all that waits, and forgets the batch in flight.
    pub(crate) fn empty(&mut self) -> VecDeque<SpanRecord> {
        self.waiting = 0;
        self.in_flight = 0;
        self.spilling = 0;
        self.since = None;
        std::mem::take(&mut self.spans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u64) -> SpanRecord {
        SpanRecord::sample("span", 1, id, 0)
    }

    fn ids(spans: &[SpanRecord]) -> Vec<u64> {
        spans.iter().map(|span| span.id.get()).collect()
    }

    #[test]
    fn the_bound_counts_the_batch_in_flight_until_it_is_released() {
        let size = span(1).size();
        let now = Instant::now();
        let mut queue = Queue::new(2 * size);
        assert!(queue.push(span(1), now).is_none());
        assert!(queue.push(span(2), now).is_none());
        assert_eq!(queue.push(span(3), now).map(|span| span.id.get()), Some(3));
        assert_eq!(ids(&queue.take(size, now)), [1]);
        assert!(queue.push(span(4), now).is_some());
        queue.release();
        assert!(queue.push(span(5), now).is_none());
        assert_eq!(queue.bytes(), 2 * size);
        assert_eq!(ids(&queue.take(usize::MAX, now)), [2, 5]);
        assert_eq!((queue.waiting_bytes(), queue.since()), (0, None));
    }

    #[test]
    fn what_is_put_back_comes_first_again() {
        let now = Instant::now();
        let mut queue = Queue::new(usize::MAX);
        for id in 1..=4 {
            assert!(queue.push(span(id), now).is_none());
        }
        let mut taken = queue.take(3 * span(1).size(), now).into_iter();
        taken.next();
        queue.put_back(taken, now);
        assert_eq!(queue.waiting_bytes(), 3 * span(1).size());
        assert_eq!(ids(&queue.take(0, now)), [2]);
        assert_eq!(ids(&queue.take(usize::MAX, now)), [3, 4]);
    }
}
