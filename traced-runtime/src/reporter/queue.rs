//! Finished spans on their way to the backend.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use crate::reporter::block::{BLOCK_SPANS, Batch, Block};
use crate::reporter::record::SpanRecord;

/// Spans in the order they came, bounded by the bytes they hold. The batch that is being sent counts until it is
/// [released](Self::release).
#[derive(Debug)]
pub(crate) struct Queue {
    blocks: VecDeque<Block>,
    /// Spans of `blocks`.
    spans: usize,
    /// Bytes of `blocks`.
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
        Self { blocks: VecDeque::new(), spans: 0, waiting: 0, in_flight: 0, spilling: 0, bound, since: None }
    }

    pub(crate) const fn len(&self) -> usize {
        self.spans
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.spans == 0
    }

    /// How many spans were queued before the oldest that waits, or a few less; `None`: nothing waits.
    pub(crate) fn after(&self) -> Option<u64> {
        self.blocks.front().map(Block::after)
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

    /// Takes the first spans of a block, as many as there is room for.
    pub(crate) fn push(&mut self, block: &mut Block, now: Instant) {
        let room = self.bound.saturating_sub(self.bytes());
        let taken = if block.bytes() <= room { mem::take(block) } else { block.split_front(room) };
        if taken.is_empty() {
            return;
        }
        self.spans += taken.len();
        self.waiting += taken.bytes();
        self.since.get_or_insert(now);
        match self.blocks.back_mut() {
            // Blocks of a few spans each would take more memory than is counted.
            Some(last) if last.len() + taken.len() <= BLOCK_SPANS && last.is_followed_by(&taken) => last.append(taken),
            _ => self.blocks.push_back(taken),
        }
    }

    /// Takes the oldest spans, up to `bytes` of them and at least one.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> Batch {
        let mut taken = Vec::new();
        let mut left = bytes;
        while self.blocks.front().is_some_and(|block| block.bytes() <= left) {
            let Some(block) = self.blocks.pop_front() else { break };
            left -= block.bytes();
            taken.push(block);
        }
        if let Some(next) = self.blocks.front_mut() {
            let mut part = next.split_front(left);
            if part.is_empty() && taken.is_empty() {
                part = next.split_first();
            }
            if next.is_empty() {
                self.blocks.pop_front();
            }
            if !part.is_empty() {
                taken.push(part);
            }
        }
        let (spans, bytes) =
            taken.iter().fold((0, 0), |(spans, bytes), block| (spans + block.len(), bytes + block.bytes()));
        self.spans -= spans;
        self.waiting -= bytes;
        self.in_flight += bytes;
        self.since = if self.is_empty() { None } else { Some(now) };
        Batch::new(taken)
    }

    /// Puts the end of a taken batch back to where it was: so many spans were queued before.
    pub(crate) fn put_back(&mut self, spans: Vec<SpanRecord>, after: u64, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(self.insert(spans, after, now));
    }

    fn insert(&mut self, spans: Vec<SpanRecord>, after: u64, now: Instant) -> usize {
        if spans.is_empty() {
            return 0;
        }
        let block = Block::new(spans).queued_after(after);
        let bytes = block.bytes();
        self.spans += block.len();
        self.waiting += bytes;
        self.since.get_or_insert(now);
        // Mostly at the front, but for what another thread put back meanwhile.
        let at = self.blocks.iter().position(|other| other.after() > after).unwrap_or(self.blocks.len());
        self.blocks.insert(at, block);
        bytes
    }

    /// The taken batch is settled.
    pub(crate) const fn release(&mut self) {
        self.in_flight = 0;
    }

    /// As [`take`](Self::take), for the spool.
    #[cfg(feature = "spool")]
    pub(crate) fn take_to_spill(&mut self, bytes: usize, now: Instant) -> Batch {
        let waiting = self.waiting;
        let batch = self.take(bytes, now);
        let taken = waiting - self.waiting;
        self.in_flight -= taken;
        self.spilling += taken;
        batch
    }

    /// Puts spans of the batch taken for the spool back to where they were.
    #[cfg(feature = "spool")]
    pub(crate) fn put_back_spilling(&mut self, spans: Vec<SpanRecord>, after: u64, now: Instant) {
        self.spilling = self.spilling.saturating_sub(self.insert(spans, after, now));
    }

    /// Nothing is being written.
    #[cfg(feature = "spool")]
    pub(crate) const fn release_spilling(&mut self) {
        self.spilling = 0;
    }

    /// What waits, the oldest first.
    #[cfg(all(test, feature = "spool"))]
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.blocks.iter().flat_map(Block::spans).map(|span| span.id.get()).collect()
    }

    /// Bytes that it holds at most.
    pub(crate) const fn bound(&self) -> usize {
        self.bound
    }

    /// Gives all that waits, and forgets the batch in flight.
    pub(crate) fn empty(&mut self) -> VecDeque<Block> {
        self.spans = 0;
        self.waiting = 0;
        self.in_flight = 0;
        self.spilling = 0;
        self.since = None;
        mem::take(&mut self.blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u64) -> SpanRecord {
        SpanRecord::sample("span", 1, id, 0)
    }

    fn ids(batch: Batch) -> Vec<u64> {
        batch.into_spans().iter().map(|span| span.id.get()).collect()
    }

    /// Pushes a block of these, and tells which found no room.
    fn push(queue: &mut Queue, spans: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut block = Block::new(spans.into_iter().map(span).collect());
        queue.push(&mut block, Instant::now());
        ids(Batch::new(vec![block]))
    }

    #[test]
    fn the_bound_counts_the_batch_in_flight_until_it_is_released() {
        let size = span(1).size();
        let now = Instant::now();
        let mut queue = Queue::new(2 * size);
        assert_eq!(push(&mut queue, [1]), [0; 0]);
        assert_eq!(push(&mut queue, [2, 3]), [3]);
        assert_eq!(ids(queue.take(size, now)), [1]);
        assert_eq!(push(&mut queue, [4]), [4]);
        queue.release();
        assert_eq!(push(&mut queue, [5]), [0; 0]);
        assert_eq!((queue.bytes(), queue.len()), (2 * size, 2));
        assert_eq!(ids(queue.take(usize::MAX, now)), [2, 5]);
        assert_eq!((queue.waiting_bytes(), queue.since(), queue.is_empty()), (0, None, true));
    }

    #[test]
    fn what_is_put_back_comes_first_again() {
        let now = Instant::now();
        let size = span(1).size();
        let mut queue = Queue::new(usize::MAX);
        assert_eq!(push(&mut queue, 1..=4), [0; 0]);
        let mut taken = queue.take(3 * size, now).into_spans();
        taken.remove(0);
        queue.put_back(taken, 1, now);
        assert_eq!((queue.waiting_bytes(), queue.len()), (3 * size, 3));
        assert_eq!(ids(queue.take(0, now)), [2]);
        assert_eq!(ids(queue.take(usize::MAX, now)), [3, 4]);
    }

    #[test]
    fn batches_are_cut_out_of_blocks_of_any_size() {
        let now = Instant::now();
        let size = span(1).size();
        for blocks in [[1, 1, 70], [64, 64, 64], [3, 100, 5], [63, 2, 1]] {
            for batch in [1, 5, 64, 66, 200] {
                let mut queue = Queue::new(usize::MAX);
                let mut next = 1;
                for block in blocks {
                    assert_eq!(push(&mut queue, next..next + block), [0; 0]);
                    next += block;
                }
                let mut taken = Vec::new();
                while !queue.is_empty() {
                    let batch_ids = ids(queue.take(batch * size, now));
                    assert!((1..=batch).contains(&batch_ids.len()));
                    assert!(batch_ids.len() == batch || queue.is_empty(), "{blocks:?} {batch}");
                    taken.extend(batch_ids);
                }
                assert_eq!(taken, (1..next).collect::<Vec<_>>());
                assert_eq!(queue.waiting_bytes(), 0);
            }
        }
    }
}
