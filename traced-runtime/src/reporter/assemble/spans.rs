//! Spans that wait: for their ends, for tags that come late, for room in a queue.

use std::borrow::Cow;
use std::collections::HashMap;
use std::mem;
use std::ptr;
use std::sync::Arc;

use crate::model::callsite::Callsite;
use crate::model::callsite::EXPLICIT;
use crate::model::id::SpanId;
use crate::model::ids::Ids;
use crate::model::ids::flag;
use crate::model::kind::Outcome;
use crate::recorder::clock::Timeline;
use crate::recorder::registry::{Registry, Unwritten};
use crate::recorder::slot::Slot;
use crate::reporter::assemble::replay::OpenSync;
use crate::reporter::block::{BLOCK_SPANS, Block};
use crate::reporter::buffers::Buffers;
use crate::reporter::details::{Details, More};
use crate::reporter::outlet::{Outlet, Outlets};
use crate::reporter::pipeline::Patience;
use crate::reporter::record::SpanRecord;

/// Bytes of spans that wait for late tags. Beyond it they are handed on at once.
const HELD_BYTES: usize = 1 << 20;

/// Bytes of spans that found no room when a round had to end. Beyond it they are dropped.
const LEFT_BYTES: usize = 1 << 20;

/// Bytes of tags that wait for spans which have not ended. Beyond it the oldest go, and are counted as late.
const LOOSE_BYTES: usize = 4 << 20;

/// Async and explicit spans that can be listed while they are open. What is beyond is reported when it ends, as ever.
pub(super) const OPEN_SPANS: usize = 1 << 16;

/// An async or explicit span that has not ended.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) site: &'static Callsite,
    pub(super) ids: Ids,
    pub(super) start: u64,
}

/// What is told by key waits for its span here.
#[derive(Debug)]
pub(super) struct Loose {
    pub(super) details: Details,
    /// How many tags, annotations and the like that is.
    events: u64,
    pub(super) tracer: u32,
    round: u64,
}

impl Loose {
    /// An estimate of the bytes it takes, the place in the table included.
    fn size(&self) -> usize {
        size_of::<(u64, Self)>() - size_of::<Details>() + self.details.size()
    }
}

/// Spans of one tracer that ended, and wait for late tags.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) tracer: u32,
    pub(super) block: Block,
    /// Of each span its local key, and the tick at which its trace began.
    keys: Vec<(u64, u64)>,
}

/// What the drain knows that does not belong to one log.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) timeline: Timeline,
    pub(super) round: u64,
    pub(super) begun: HashMap<u64, Begun>,
    /// Ended or abandoned on a thread whose log was read before the one they began in, with the round of that.
    pub(super) early: HashMap<u64, u64>,
    pub(super) loose: HashMap<u64, Loose>,
    pub(super) loose_bytes: usize,
    /// Ended in this round, and in the one before.
    pub(super) ended: Vec<Ended>,
    pub(super) held: Vec<Ended>,
    /// Bytes of both.
    ended_bytes: usize,
    /// Found no room in their tracer's queue when somebody wanted the round to end. They have bytes of their own: they do not
    /// take others the time in which late tags come, and are not offered again with each span that ends.
    pub(super) left_over: Vec<(u32, Block)>,
    left_bytes: usize,
    /// The tracer looked up last: mostly it is the next one, too.
    tracer: Option<(u32, Arc<Outlet>)>,
    outlets: Arc<Outlets>,
    /// Spans of a tracer that have ended and are not counted yet.
    uncounted: (u32, u64),
    /// Memory for tags.
    pub(super) buffers: Buffers,
    /// How long this round may still wait for room in queues.
    pub(super) patience: Patience,
}

impl Spans {
    /// Nothing waits yet.
    pub(super) fn new(registry: &Registry, outlets: Arc<Outlets>) -> Self {
        Self {
            timeline: Timeline::new(registry.clock().clone()),
            round: 0,
            begun: HashMap::new(),
            early: HashMap::new(),
            loose: HashMap::new(),
            loose_bytes: 0,
            ended: Vec::new(),
            held: Vec::new(),
            ended_bytes: 0,
            left_over: Vec::new(),
            left_bytes: 0,
            tracer: None,
            outlets,
            uncounted: (0, 0),
            buffers: Buffers::default(),
            patience: Patience::default(),
        }
    }

    /// A span that began is open no more.
    pub(super) fn forget_begun(&mut self, key: u64) {
        if self.begun.remove(&key).is_none() {
            self.early.insert(key, self.round);
        }
    }

    /// A span has ended, and found no room to say so: it is lost, with what was told about it, and counted with those that its
    /// thread counts.
    pub(super) fn end_unwritten(&mut self, end: &Unwritten) {
        self.begun.remove(&end.key);
        self.take_loose(end.key);
        if let (Some(reason), Some(slot)) = (end.reason, Slot::find(end.tracer)) {
            slot.lose(reason, 1);
        }
    }

    pub(super) fn unfinished(&mut self, open: OpenSync) {
        self.end(Some(open.site), open.ids, open.start, None, Outcome::Unfinished, 0, open.details);
    }

    /// A span has ended, or never will (`end` is `None`).
    #[allow(clippy::too_many_arguments, reason = "the fields of one event, taken apart by the caller")]
    pub(super) fn end(
        &mut self,
        site: Option<&'static Callsite>,
        ids: Ids,
        start: u64,
        end: Option<u64>,
        outcome: Outcome,
        polls: u32,
        details: Details,
    ) {
        let Some(outlet) = self.outlet(ids.tracer) else { return };
        let local = outlet.local_endpoint();
        let (Some(trace), Some(id)) = (ids.trace(), SpanId::new(ids.span)) else { return };
        let Details { mut attributes, more } = details;
        attributes.seal();
        let began = self.timeline.monotonic(start);
        let mut record = SpanRecord {
            site: site.filter(|site| !ptr::eq(*site, &EXPLICIT)),
            name: None,
            kind: None,
            remote: None,
            local,
            trace,
            id,
            parent: SpanId::new(ids.parent),
            start: self.timeline.wall_at(ids.origin, began),
            duration: end.map(|end| self.timeline.monotonic(end).saturating_sub(began)),
            outcome,
            debug: ids.is(flag::DEBUG),
            shared: ids.is(flag::SHARED),
            local_root: ids.is(flag::LOCAL_ROOT),
            polls,
            attributes,
            redacted: false,
        };
        if let Some(more) = more {
            self.tell_more(&mut record, *more, ids.tracer);
        }
        self.count(ids.tracer);
        self.ended_bytes += record.size();
        match self.ended.last() {
            Some(ended) if ended.tracer == ids.tracer && !ended.block.is_full() => {}
            last => {
                // After a full one another full one is likely.
                let block = if last.is_some() { Block::with_room() } else { Block::default() };
                let keys = Vec::with_capacity(if last.is_some() { BLOCK_SPANS } else { 0 });
                self.ended.push(Ended { tracer: ids.tracer, block, keys });
            }
        }
        if let Some(ended) = self.ended.last_mut() {
            ended.block.push(record);
            ended.keys.push((ids.key, ids.origin));
        }
        if self.ended_bytes > HELD_BYTES {
            self.hand_on();
            self.hand_on();
        }
    }

    /// What a span was told that its site does not say.
    fn tell_more(&mut self, record: &mut SpanRecord, more: More, tracer: u32) {
        if let Some(name) = more.name {
            record.name = Some(Cow::Owned(name));
        }
        record.kind = more.kind.or(record.kind);
        record.remote = more.remote.or(record.remote.take());
        if more.failed && record.outcome == Outcome::Returned {
            record.outcome = Outcome::Error;
        }
        if more.left_out > 0 {
            if let Some(outlet) = self.outlet(tracer) {
                outlet.pipeline().count_cut_tags(more.left_out);
            }
        }
    }

    /// Counts a span as recorded; many at once, because the count is under the tracer's lock.
    fn count(&mut self, tracer: u32) {
        if self.uncounted.0 != tracer {
            self.count_now();
            self.uncounted.0 = tracer;
        }
        self.uncounted.1 += 1;
    }

    pub(super) fn count_now(&mut self) {
        let (tracer, spans) = mem::take(&mut self.uncounted);
        if spans > 0 {
            if let Some(outlet) = self.outlet(tracer) {
                outlet.pipeline().ended(spans);
            }
        }
    }

    /// The way out of the tracer that a context named; `None` if that has shut down.
    pub(super) fn outlet(&mut self, reference: u32) -> Option<&Arc<Outlet>> {
        if self.tracer.as_ref().is_none_or(|(known, _)| *known != reference) {
            self.tracer = Some((reference, self.outlets.find(reference)?));
        }
        self.tracer.as_ref().map(|(_, outlet)| outlet)
    }

    /// Between rounds none is kept: a test's tracer owns the drain that would keep it.
    pub(super) fn forget_tracer(&mut self) {
        self.tracer = None;
    }

    /// Hands on what ended in the round before, with the tags that came meanwhile.
    pub(super) fn hand_on(&mut self) {
        self.count_now();
        self.offer_left_over();
        let ready = mem::replace(&mut self.held, mem::take(&mut self.ended));
        self.deliver(ready);
    }

    pub(super) fn has_left_over(&self) -> bool {
        !self.left_over.is_empty()
    }

    /// Offers what found no room the last time.
    fn offer_left_over(&mut self) {
        self.left_bytes = 0;
        for (tracer, block) in mem::take(&mut self.left_over) {
            if self.outlet(tracer).is_none() {
                continue;
            }
            if let Some((_, outlet)) = &self.tracer {
                let left_over = outlet.pipeline().offer(vec![block], &mut self.buffers, &mut self.patience);
                self.keep_left_over(tracer, left_over);
            }
        }
    }

    /// Keeps what found no room, for the next round; not more than its bound.
    fn keep_left_over(&mut self, tracer: u32, blocks: Vec<Block>) {
        for block in blocks {
            if self.left_bytes + block.bytes() <= LEFT_BYTES {
                self.left_bytes += block.bytes();
                self.left_over.push((tracer, block));
            } else if let Some(outlet) = self.outlet(tracer) {
                outlet.pipeline().no_room(block);
            }
        }
    }

    /// There is no next round for this tracer.
    pub(super) fn take_left_over(&mut self, tracer: u32) -> Vec<Block> {
        let (taken, kept) = mem::take(&mut self.left_over).into_iter().partition(|(of, _)| *of == tracer);
        self.left_over = kept;
        let blocks: Vec<Block> = Vec::into_iter(taken).map(|(_, block)| block).collect();
        self.left_bytes -= blocks.iter().map(Block::bytes).sum::<usize>();
        blocks
    }

    fn deliver(&mut self, ready: Vec<Ended>) {
        let mut blocks = Vec::with_capacity(ready.len());
        let mut of = 0;
        for ended in ready {
            let tracer = ended.tracer;
            let block = self.complete(ended);
            if tracer != of {
                self.offer(of, mem::take(&mut blocks));
            }
            of = tracer;
            blocks.push(block);
        }
        self.offer(of, blocks);
    }

    /// Spans that wait for late tags no longer.
    pub(super) fn complete(&mut self, Ended { tracer, block, keys }: Ended) -> Block {
        self.ended_bytes = self.ended_bytes.saturating_sub(block.bytes());
        if self.loose.is_empty() { block } else { self.merge(block, &keys, tracer) }
    }

    fn offer(&mut self, tracer: u32, blocks: Vec<Block>) {
        if blocks.is_empty() || self.outlet(tracer).is_none() {
            return;
        }
        if let Some((_, outlet)) = &self.tracer {
            let left_over = outlet.offer(blocks, &mut self.buffers, &mut self.patience);
            self.keep_left_over(tracer, left_over);
        }
    }

    /// Adds to spans what was told about them by key.
    fn merge(&mut self, block: Block, keys: &[(u64, u64)], tracer: u32) -> Block {
        let mut spans = block.into_spans();
        for (record, &(key, origin)) in spans.iter_mut().zip(keys) {
            let Some(Details { attributes, more }) = self.take_loose(key) else { continue };
            record.attributes.append(&attributes, |ticks| self.timeline.wall(origin, ticks));
            record.attributes.seal();
            if let Some(more) = more {
                self.tell_more(record, *more, tracer);
            }
        }
        Block::new(spans)
    }

    /// Tells what is collected about a span by key.
    pub(super) fn tell_loose(&mut self, key: u64, tracer: u32, tell: impl FnOnce(&mut Details, &mut Buffers)) {
        let round = self.round;
        let bytes = &mut self.loose_bytes;
        let loose = self.loose.entry(key).or_insert_with(|| {
            let loose = Loose { details: Details::default(), events: 0, tracer, round };
            *bytes += loose.size();
            loose
        });
        loose.round = round;
        loose.events += 1;
        let before = loose.size();
        tell(&mut loose.details, &mut self.buffers);
        *bytes += loose.size().saturating_sub(before);
    }

    pub(super) fn bound_loose(&mut self) {
        if self.loose_bytes <= LOOSE_BYTES {
            return;
        }
        // What belongs to no open span and was not touched for a while came after its span had gone.
        let mut oldest: Vec<(bool, u64, u64)> =
            self.loose.iter().map(|(&key, loose)| (self.begun.contains_key(&key), loose.round, key)).collect();
        oldest.sort_unstable();
        for (_, _, key) in oldest {
            if self.loose_bytes <= LOOSE_BYTES / 2 {
                break;
            }
            self.drop_loose(key);
        }
    }

    pub(super) fn take_loose(&mut self, key: u64) -> Option<Details> {
        if self.loose.is_empty() {
            return None;
        }
        let loose = self.loose.remove(&key)?;
        self.loose_bytes = self.loose_bytes.saturating_sub(loose.size());
        if self.loose.is_empty() {
            self.loose_bytes = 0;
        }
        Some(loose.details)
    }

    pub(super) fn drop_loose(&mut self, key: u64) {
        let Some((tracer, events)) = self.loose.get(&key).map(|loose| (loose.tracer, loose.events)) else { return };
        self.take_loose(key);
        if let Some(outlet) = self.outlet(tracer) {
            outlet.pipeline().count_late_tags(events);
        }
    }
}
