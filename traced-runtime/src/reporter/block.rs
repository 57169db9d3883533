//! Finished spans of one tracer, some tens of them, that go the way to the backend together.

use std::mem;

use crate::reporter::buffers::Buffers;
use crate::reporter::record::SpanRecord;

/// Spans in a block that is full.
pub(crate) const BLOCK_SPANS: usize = 64;

/// Bytes in a block that is full.
const BLOCK_BYTES: usize = 32 << 10;

/// Spans in the order in which they ended, and the memory they take.
#[derive(Debug, Default)]
pub(crate) struct Block {
    spans: Vec<SpanRecord>,
    bytes: usize,
    /// How many spans were queued before the first, or a few less.
    after: u64,
}

impl Block {
    /// These spans.
    pub(crate) fn new(spans: Vec<SpanRecord>) -> Self {
        let bytes = spans.iter().map(SpanRecord::size).sum();
        Self { spans, bytes, after: 0 }
    }

    /// The same, with so many spans queued before the first.
    pub(crate) fn queued_after(self, spans: u64) -> Self {
        Self { after: spans, ..self }
    }

    /// How many spans were queued before the first, or a few less.
    pub(crate) const fn after(&self) -> u64 {
        self.after
    }

    /// Whether what was queued next is the other one.
    pub(crate) fn is_followed_by(&self, other: &Self) -> bool {
        self.after + self.len() as u64 == other.after
    }

    /// An empty one with room for all the spans of a full one.
    pub(crate) fn with_room() -> Self {
        Self { spans: Vec::with_capacity(BLOCK_SPANS), bytes: 0, after: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The sum of the spans' sizes, as they were when they came.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the next span goes into another one.
    pub(crate) fn is_full(&self) -> bool {
        self.spans.len() >= BLOCK_SPANS || self.bytes >= BLOCK_BYTES
    }

    pub(crate) fn push(&mut self, span: SpanRecord) {
        self.bytes += span.size();
        self.spans.push(span);
    }

    /// Adds all of another one.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.bytes += other.bytes;
        self.spans.append(&mut other.spans);
    }

    /// Takes out the first spans, as many as have up to so many bytes together.
    pub(crate) fn split_front(&mut self, bytes: usize) -> Self {
        let mut taken = 0_usize;
        let mut count = 0;
        for span in &self.spans {
            let Some(sum) = taken.checked_add(span.size()).filter(|sum| *sum <= bytes) else { break };
            taken = sum;
            count += 1;
        }
        self.split(count, taken)
    }

    /// Takes out the first span.
    pub(crate) fn split_first(&mut self) -> Self {
        let size = self.spans.first().map_or(0, SpanRecord::size);
        self.split(1.min(self.spans.len()), size)
    }

    fn split(&mut self, count: usize, bytes: usize) -> Self {
        let rest = self.spans.split_off(count);
        let bytes_left = self.bytes.saturating_sub(bytes);
        let after = self.after;
        self.after += count as u64;
        Self {
            spans: mem::replace(&mut self.spans, rest),
            bytes: mem::replace(&mut self.bytes, bytes_left).min(bytes),
            after,
        }
    }

    pub(crate) fn spans(&self) -> &[SpanRecord] {
        &self.spans
    }

    pub(crate) fn spans_mut(&mut self) -> &mut [SpanRecord] {
        &mut self.spans
    }

    pub(crate) fn into_spans(self) -> Vec<SpanRecord> {
        self.spans
    }
}

/// Blocks that are sent together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    blocks: Vec<Block>,
}

impl Batch {
    /// Of these blocks.
    pub(crate) const fn new(blocks: Vec<Block>) -> Self {
        Self { blocks }
    }

    /// How many spans were queued before the first, or a few less.
    pub(crate) fn after(&self) -> u64 {
        self.blocks.first().map_or(0, Block::after)
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.iter().map(Block::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.iter().all(Block::is_empty)
    }

    /// Each span, the oldest first.
    pub(crate) fn spans_mut(&mut self) -> impl Iterator<Item = &mut SpanRecord> {
        self.blocks.iter_mut().flat_map(Block::spans_mut)
    }

    /// Lets each list of spans be changed.
    pub(crate) fn change(&mut self, mut change: impl FnMut(&mut Vec<SpanRecord>)) {
        self.blocks.iter_mut().for_each(|block| change(&mut block.spans));
    }

    /// All spans in one list.
    pub(crate) fn into_spans(self) -> Vec<SpanRecord> {
        let mut blocks = self.blocks.into_iter();
        let mut spans = blocks.next().map(Block::into_spans).unwrap_or_default();
        blocks.for_each(|block| spans.extend(block.into_spans()));
        spans
    }

    /// Frees the first spans, whose buffers are `spent`, and gives the rest.
    pub(crate) fn spend(self, first: usize, spent: &mut Buffers) -> Vec<SpanRecord> {
        let mut spans = self.blocks.into_iter().flat_map(Block::into_spans);
        for span in spans.by_ref().take(first) {
            spent.give(span.attributes.into_buffer());
        }
        spans.collect()
    }
}
