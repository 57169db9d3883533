//! From events to spans: replays each log, as its thread wrote it, and gives each span its parent, its times and its tags.
//!
//! The parent of a sync span is the innermost open sync span that belongs to the scope, else the scope's own span. An
//! async or explicit span arrives whole when it ends.
//!
//! A span that ended in one round is handed on in the next one: what other threads told about it before it ended is in
//! the logs by then.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::mem;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::recorder::clock::Timeline;
use crate::recorder::event::{self, Event, Ids, What};
use crate::recorder::log::{Log, Reader};
use crate::recorder::registry::{Registry, Unwritten, mix};
use crate::reporter::block::{BLOCK_SPANS, Block};
use crate::reporter::buffers::Buffers;
use crate::reporter::details::{Details, More};
use crate::reporter::pipeline::Patience;
use crate::reporter::record::SpanRecord;
use crate::tracer::callsite::Callsite;
use crate::tracer::core::Core;
use crate::tracer::id::{SpanId, TraceId};
use crate::tracer::kind::Outcome;
use crate::tracer::local::{DEPTH, flag};
use crate::tracer::slot::Slot;
use crate::tracer::span::EXPLICIT;

/// Bytes of spans that wait for late tags. Beyond it they are handed on at once.
pub(crate) const HELD_BYTES: usize = 1 << 20;

/// Bytes of spans that found no room when a round had to end. Beyond it they are dropped.
const LEFT_BYTES: usize = 1 << 20;

/// Logs of ended threads that are kept for new ones, besides as many as are being written.
const FREE_LOGS: usize = 16;

/// Bytes of tags that wait for spans which have not ended. Beyond it the oldest go, and are counted as late.
pub(crate) const LOOSE_BYTES: usize = 4 << 20;

/// Async and explicit spans that can be listed while they are open. What is beyond is reported when it ends, as ever.
pub(crate) const OPEN_SPANS: usize = 1 << 16;

/// A span that has not ended.
#[derive(Clone, Debug)]
pub struct OpenSpan {
    name: String,
    trace: TraceId,
    id: SpanId,
    parent: Option<SpanId>,
    start: SystemTime,
    age: Duration,
}

impl OpenSpan {
    /// The span's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The trace it belongs to.
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.trace
    }

    /// Its own id.
    #[must_use]
    pub const fn id(&self) -> SpanId {
        self.id
    }

    /// The span above it; none: it began its trace.
    #[must_use]
    pub const fn parent_id(&self) -> Option<SpanId> {
        self.parent
    }

    /// When it started.
    #[must_use]
    pub const fn start(&self) -> SystemTime {
        self.start
    }

    /// How long it has been open.
    #[must_use]
    pub const fn age(&self) -> Duration {
        self.age
    }
}

/// A sync span that has not ended.
#[derive(Debug)]
struct OpenSync {
    position: u64,
    /// Position of what was innermost before.
    outer: u64,
    site: &'static Callsite,
    start: u64,
    /// Its own id and parent are filled in.
    ids: Ids,
    details: Details,
}

/// An async or explicit span that has not ended.
#[derive(Debug)]
struct Begun {
    site: &'static Callsite,
    ids: Ids,
    start: u64,
}

/// What is told by key waits for its span here.
#[derive(Debug)]
struct Loose {
    details: Details,
    /// How many tags, annotations and the like that is.
    events: u64,
    tracer: u32,
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
struct Ended {
    tracer: u32,
    block: Block,
    /// Of each span its local key, and the tick at which its trace began.
    keys: Vec<(u64, u64)>,
}

/// What is left of a tracer's spans when it shuts down.
#[derive(Debug)]
pub(crate) struct Rest {
    /// Was handed on, and found no room.
    pub(crate) left_over: Vec<Block>,
    pub(crate) last: Vec<Block>,
}

/// One log and what is open in it.
#[derive(Debug)]
struct LogState {
    reader: Reader,
    scope: Ids,
    inner: u64,
    open: Vec<OpenSync>,
    /// The last tick seen in it: the time of a tag that has none of its own.
    last: u64,
    /// Whose end was last seen, and the log given back for the next thread.
    released: usize,
}

/// Everything the drain knows between two rounds.
#[derive(Debug)]
pub(crate) struct Assembler {
    logs: Vec<LogState>,
    spans: Spans,
    scratch: Vec<u8>,
}

/// The part of it that does not belong to one log.
#[derive(Debug)]
struct Spans {
    timeline: Timeline,
    round: u64,
    begun: HashMap<u64, Begun>,
    /// Ended or abandoned on a thread whose log was read before the one they began in, with the round of that.
    early: HashMap<u64, u64>,
    loose: HashMap<u64, Loose>,
    loose_bytes: usize,
    /// Ended in this round, and in the one before.
    ended: Vec<Ended>,
    held: Vec<Ended>,
    /// Bytes of both.
    ended_bytes: usize,
    /// Found no room in their tracer's queue when somebody wanted the round to end. They have bytes of their own: they do not
    /// take others the time in which late tags come, and are not offered again with each span that ends.
    left_over: Vec<(u32, Block)>,
    left_bytes: usize,
    /// The tracer looked up last: mostly it is the next one, too.
    tracer: Option<(u32, Arc<Core>)>,
    /// Spans of a tracer that have ended and are not counted yet.
    uncounted: (u32, u64),
    /// Memory for tags.
    buffers: Buffers,
    /// How long this round may still wait for room in queues.
    patience: Patience,
}

impl Assembler {
    /// Knows nothing yet.
    pub(crate) fn new(registry: &Registry) -> Self {
        let spans = Spans {
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
            uncounted: (0, 0),
            buffers: Buffers::default(),
            patience: Patience::default(),
        };
        Self { logs: Vec::new(), spans, scratch: Vec::new() }
    }

    /// Reads all logs as far as they are written now, and hands on what ended before the round. Tells whether anything
    /// was there to read or to hand on.
    pub(crate) fn round(&mut self, registry: &Registry, patience: Patience) -> bool {
        let Self { logs, spans, scratch } = self;
        spans.patience = patience;
        spans.round += 1;
        let round = spans.round;
        // A beginning is written before the end: it is read in the same round or the next.
        spans.early.retain(|_, ended| *ended + 1 >= round);
        spans.timeline.measure();
        // Before the tails: where these spans began is read by the end of this round.
        let unwritten = registry.take_unwritten();
        logs.extend(registry.take_incoming().into_iter().map(LogState::new));
        // All tails before any reading: what happened before an end that is read is read in this round or the next.
        let tails: Vec<_> = logs.iter().map(|log| log.reader.tail()).collect();
        let mut any = !spans.held.is_empty() || spans.has_left_over();
        for (log, tail) in logs.iter_mut().zip(&tails) {
            let LogState { reader, scope, inner, open, last, released } = log;
            let key = reader.log().key();
            let mut state = Replay { scope, inner, open, last, key };
            let read = reader.read_to(tail, |words, at, position| {
                let Some((event, length)) = event::read(words, at, scratch) else {
                    debug_assert!(false, "no event has the kind of {:#x}", words.get(at));
                    return 1;
                };
                state.apply(event, position, spans);
                length
            });
            any |= read;
            if !read {
                reader.log().free_spare();
            }
            // As the tail tells it: by now the next thread may write the log.
            if let Some(ended) = tail.ended().filter(|ended| ended != released) {
                *released = ended;
                state.cut(spans);
                registry.release(reader.log().clone());
            }
        }
        for end in unwritten {
            spans.end_unwritten(&end);
        }
        if !any {
            registry.budget().free_kept();
        }
        spans.hand_on();
        spans.forget_tracer();
        self.forget_logs(registry);
        any
    }

    /// Gives up logs of ended threads, if there are many more of them than of others.
    fn forget_logs(&mut self, registry: &Registry) {
        let free = self.logs.iter().filter(|log| log.released != 0 && log.reader.log().is_closed()).count();
        let written = self.logs.len() - free;
        if free <= written + 2 * FREE_LOGS {
            return;
        }
        let withdrawn = registry.withdraw(written + FREE_LOGS);
        let numbers: HashSet<u64> = withdrawn.iter().map(|log| log.number()).collect();
        self.logs.retain(|log| !numbers.contains(&log.reader.log().number()));
    }

    #[cfg(test)]
    pub(crate) const fn logs(&self) -> usize {
        self.logs.len()
    }

    /// Bytes of what waits for its span.
    #[cfg(test)]
    pub(crate) const fn loose_bytes(&self) -> usize {
        self.spans.loose_bytes
    }

    /// Whether the last round was ended before all that it had to hand on found room.
    pub(crate) fn has_left_over(&self) -> bool {
        self.spans.has_left_over()
    }

    /// How long the rate of ticks has been measured for.
    pub(crate) fn measured_for(&self) -> Duration {
        self.spans.timeline.measured_for()
    }

    /// What is open now, as far as it was read; the oldest first.
    pub(crate) fn open_spans(&self, tracer: u32) -> Vec<OpenSpan> {
        let now = self.spans.timeline.clock().now();
        let sync = self.logs.iter().flat_map(|log| &log.open).map(|open| {
            let name = open.details.name();
            (&open.ids, open.site, open.start, name)
        });
        let begun = self.spans.begun.values().map(|begun| {
            let name = self.spans.loose.get(&begun.ids.key).and_then(|loose| loose.details.name());
            (&begun.ids, begun.site, begun.start, name)
        });
        let mut open: Vec<_> = sync
            .chain(begun)
            .filter(|(ids, ..)| ids.tracer == tracer)
            .filter_map(|(ids, site, start, name)| {
                let name = name.map_or_else(|| site.span_name().to_string(), str::to_owned);
                let wall = self.spans.timeline.wall(ids.origin, start);
                Some(OpenSpan {
                    name,
                    trace: ids.trace()?,
                    id: SpanId::new(ids.span)?,
                    parent: SpanId::new(ids.parent),
                    start: SystemTime::UNIX_EPOCH + Duration::from_nanos(wall),
                    age: Duration::from_nanos(self.spans.timeline.between(start, now)),
                })
            })
            .collect();
        open.sort_by_key(|span| (span.start, span.id));
        open
    }

    /// Takes out of these spans those that are open as far as it was read, and those that were not handed on yet.
    pub(crate) fn remove_open(&self, spans: &mut HashSet<(TraceId, SpanId)>) {
        let sync = self.logs.iter().flat_map(|log| &log.open).map(|open| &open.ids);
        for ids in sync.chain(self.spans.begun.values().map(|begun| &begun.ids)) {
            if let (Some(trace), Some(id)) = (ids.trace(), SpanId::new(ids.span)) {
                spans.remove(&(trace, id));
            }
        }
        let late = self.spans.ended.iter().chain(&self.spans.held).map(|ended| &ended.block);
        let left_over = self.spans.left_over.iter().map(|(_, block)| block);
        for record in late.chain(left_over).flat_map(Block::spans) {
            spans.remove(&(record.trace, record.id));
        }
    }

    /// Reports what a tracer has open as unfinished, and forgets it; gives all spans of that tracer that were not handed on. For
    /// a tracer that shuts down, after two rounds: spans of others still wait for late tags.
    pub(crate) fn finish(&mut self, tracer: u32) -> Rest {
        let spans = &mut self.spans;
        let mut unfinished: Vec<_> = spans.begun.iter().filter(|(_, begun)| begun.ids.tracer == tracer).collect();
        unfinished.sort_unstable_by_key(|(key, begun)| (begun.start, **key));
        let unfinished: Vec<u64> = unfinished.into_iter().map(|(&key, _)| key).collect();
        for key in unfinished {
            if let Some(begun) = spans.begun.remove(&key) {
                spans.end(Some(begun.site), begun.ids, begun.start, None, Outcome::Unfinished, 0, Details::default());
            }
        }
        for log in &mut self.logs {
            let mut kept = Vec::new();
            for open in log.open.drain(..) {
                if open.ids.tracer == tracer {
                    spans.end(Some(open.site), open.ids, open.start, None, Outcome::Unfinished, 0, open.details);
                } else {
                    kept.push(open);
                }
            }
            log.open = kept;
        }
        spans.count_now();
        let waiting = mem::take(&mut spans.held).into_iter().chain(mem::take(&mut spans.ended));
        let (ready, waiting) = waiting.partition(|ended| ended.tracer == tracer);
        spans.ended = waiting;
        let left_over = spans.take_left_over(tracer);
        let last = Vec::into_iter(ready).map(|ended| spans.complete(ended)).collect();
        let late: Vec<u64> =
            spans.loose.iter().filter(|(_, loose)| loose.tracer == tracer).map(|(&key, _)| key).collect();
        for key in late {
            spans.drop_loose(key);
        }
        spans.forget_tracer();
        Rest { left_over, last }
    }
}

impl LogState {
    fn new(log: Arc<Log>) -> Self {
        Self { reader: Reader::new(log), scope: Ids::NONE, inner: 0, open: Vec::new(), last: 0, released: 0 }
    }
}

/// The state of one log while it is replayed.
struct Replay<'a> {
    scope: &'a mut Ids,
    inner: &'a mut u64,
    open: &'a mut Vec<OpenSync>,
    last: &'a mut u64,
    key: u64,
}

impl Replay<'_> {
    fn apply(&mut self, event: Event<'_>, position: u64, spans: &mut Spans) {
        match event {
            Event::Scope { ids, inner } => {
                *self.scope = ids;
                *self.inner = inner;
            }
            Event::Enter { site, start } => {
                *self.last = start;
                let span = mix(position.wrapping_add(self.key));
                let outer = *self.inner;
                let mut ids = Ids { span, key: span, ..*self.scope };
                ids.flags &= flag::INHERITED;
                ids.parent = if outer == 0 { self.scope.span } else { mix(outer.wrapping_add(self.key)) };
                if outer == 0 && self.scope.key == 0 {
                    ids.flags |= flag::LOCAL_ROOT;
                }
                *self.inner = position;
                if self.open.len() >= 2 * DEPTH as usize {
                    // So many were leaked: the oldest never ends.
                    let leaked = self.open.remove(0);
                    spans.unfinished(leaked);
                }
                self.open.push(OpenSync { position, outer, site, start, ids, details: Details::default() });
            }
            Event::Exit { word, outcome } => {
                let position = *self.inner;
                if let Some(open) = self.close(position) {
                    *self.inner = open.outer;
                    self.end(open, word, outcome, spans);
                }
            }
            Event::NamedExit { word, outcome, position, inner } => {
                let open = self.close(position);
                *self.inner = inner;
                if let Some(open) = open {
                    self.end(open, word, outcome, spans);
                }
            }
            Event::Begin { site, ids, start } => {
                *self.last = start;
                let is_open = spans.early.remove(&ids.key).is_none();
                // One of a tracer that has gone would stay: its end is not written any more.
                if is_open && spans.begun.len() < OPEN_SPANS && spans.core(ids.tracer).is_some() {
                    spans.begun.insert(ids.key, Begun { site, ids, start });
                }
            }
            Event::Span { site, ids, start, word, outcome, polls, begun } => {
                let end = event::end(word, start);
                *self.last = end;
                if begun {
                    spans.forget_begun(ids.key);
                }
                spans.end(Some(site), ids, start, Some(end), outcome, polls, Details::default());
            }
            Event::Attribute { head, key, ticks, tracer, name, value } if head.by_key => {
                // What this thread tells next without a time of its own comes after it.
                *self.last = ticks + 1;
                spans.tell_loose(key, tracer, |details, buffers| details.add(head, ticks, name, value, buffers));
                spans.bound_loose();
            }
            Event::Attribute { head, ticks, name, value, .. } => {
                let last = *self.last;
                let inner = *self.inner;
                if let Some(open) = self.open.iter_mut().rev().find(|open| open.position == inner) {
                    let time = match head.what {
                        What::Annotation => spans.timeline.wall(open.ids.origin, ticks),
                        _ => last,
                    };
                    open.details.add(head, time, name, value, &mut spans.buffers);
                }
            }
            Event::Abandon { key } => {
                spans.forget_begun(key);
                spans.take_loose(key);
            }
        }
    }

    /// Takes a span out of the open ones: mostly the last.
    fn close(&mut self, position: u64) -> Option<OpenSync> {
        if self.open.last()?.position == position {
            return self.open.pop();
        }
        let at = self.open.binary_search_by_key(&position, |open| open.position).ok()?;
        Some(self.open.remove(at))
    }

    fn end(&mut self, open: OpenSync, word: u64, outcome: Outcome, spans: &mut Spans) {
        let end = event::end(word, open.start);
        *self.last = end;
        spans.end(Some(open.site), open.ids, open.start, Some(end), outcome, 0, open.details);
    }

    /// The thread has ended: what is open never ends.
    fn cut(&mut self, spans: &mut Spans) {
        for open in self.open.drain(..) {
            spans.unfinished(open);
        }
        *self.scope = Ids::NONE;
        *self.inner = 0;
    }
}

impl Spans {
    /// A span that began is open no more.
    fn forget_begun(&mut self, key: u64) {
        if self.begun.remove(&key).is_none() {
            self.early.insert(key, self.round);
        }
    }

    /// A span has ended, and found no room to say so: it is lost, with what was told about it.
    fn end_unwritten(&mut self, end: &Unwritten) {
        self.begun.remove(&end.key);
        self.take_loose(end.key);
        if let (Some(reason), Some(core)) = (end.reason, self.core(end.tracer)) {
            core.pipeline().lost(reason, 1);
        }
    }

    fn unfinished(&mut self, open: OpenSync) {
        self.end(Some(open.site), open.ids, open.start, None, Outcome::Unfinished, 0, open.details);
    }

    /// A span has ended, or never will (`end` is `None`).
    #[allow(clippy::too_many_arguments, reason = "the fields of one event, taken apart by the caller")]
    fn end(
        &mut self,
        site: Option<&'static Callsite>,
        ids: Ids,
        start: u64,
        end: Option<u64>,
        outcome: Outcome,
        polls: u32,
        details: Details,
    ) {
        let Some(core) = self.core(ids.tracer) else { return };
        let local = core.local_endpoint();
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
            if let Some(core) = self.core(tracer) {
                core.pipeline().count_cut_tags(more.left_out);
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

    fn count_now(&mut self) {
        let (tracer, spans) = mem::take(&mut self.uncounted);
        if spans > 0 {
            if let Some(core) = self.core(tracer) {
                core.ended(spans);
            }
        }
    }

    /// The tracer that a context named; `None` if it has shut down.
    fn core(&mut self, reference: u32) -> Option<&Arc<Core>> {
        if self.tracer.as_ref().is_none_or(|(known, _)| *known != reference) {
            self.tracer = Some((reference, Slot::find(reference).and_then(Slot::core)?));
        }
        self.tracer.as_ref().map(|(_, core)| core)
    }

    /// Between rounds none is kept: a test's tracer owns the drain that would keep it.
    fn forget_tracer(&mut self) {
        self.tracer = None;
    }

    /// Hands on what ended in the round before, with the tags that came meanwhile.
    fn hand_on(&mut self) {
        self.count_now();
        self.offer_left_over();
        let ready = mem::replace(&mut self.held, mem::take(&mut self.ended));
        self.deliver(ready);
    }

    fn has_left_over(&self) -> bool {
        !self.left_over.is_empty()
    }

    /// Offers what found no room the last time.
    fn offer_left_over(&mut self) {
        self.left_bytes = 0;
        for (tracer, block) in mem::take(&mut self.left_over) {
            if self.core(tracer).is_none() {
                continue;
            }
            if let Some((_, core)) = &self.tracer {
                let left_over = core.pipeline().offer(vec![block], &mut self.buffers, &mut self.patience);
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
            } else if let Some(core) = self.core(tracer) {
                core.pipeline().no_room(block);
            }
        }
    }

    /// There is no next round for this tracer.
    fn take_left_over(&mut self, tracer: u32) -> Vec<Block> {
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
    fn complete(&mut self, Ended { tracer, block, keys }: Ended) -> Block {
        self.ended_bytes = self.ended_bytes.saturating_sub(block.bytes());
        if self.loose.is_empty() { block } else { self.merge(block, &keys, tracer) }
    }

    fn offer(&mut self, tracer: u32, blocks: Vec<Block>) {
        if blocks.is_empty() || self.core(tracer).is_none() {
            return;
        }
        if let Some((_, core)) = &self.tracer {
            let left_over = core.offer(blocks, &mut self.buffers, &mut self.patience);
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
    fn tell_loose(&mut self, key: u64, tracer: u32, tell: impl FnOnce(&mut Details, &mut Buffers)) {
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

    fn bound_loose(&mut self) {
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

    fn take_loose(&mut self, key: u64) -> Option<Details> {
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

    fn drop_loose(&mut self, key: u64) {
        let Some((tracer, events)) = self.loose.get(&key).map(|loose| (loose.tracer, loose.events)) else { return };
        self.take_loose(key);
        if let Some(core) = self.core(tracer) {
            core.pipeline().count_late_tags(events);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::{Assembler, EXPLICIT, Event, FREE_LOGS, Ids, OPEN_SPANS, Replay};
    use crate::recorder::clock::Clock;
    use crate::recorder::event;
    use crate::recorder::registry::Registry;
    use crate::tracer::span::Span;
    use crate::{DropReason, Outcome, span, testing};

    /// The log of the thread that ends the span is read before that of the thread where it began.
    #[test]
    fn a_span_that_moves_to_another_thread_is_one_span_and_not_open_any_more() {
        let tracer = testing::Tracer::new();
        tracer.run(|| drop(span!("has the first log")));
        let context = tracer.context();
        let moved = std::thread::spawn(move || context.run(|| [Span::start("moved"), Span::start("forgotten")]));
        let [moved, forgotten] = moved.join().unwrap();
        moved.finish();
        forgotten.abandon();
        tracer.assert_tree(
            "
            has the first log
            moved
            ",
        );
        assert_eq!(tracer.open_spans().len(), 0);
        assert_eq!(tracer.shutdown(Duration::ZERO).recorded(), 2);
    }

    /// It owns the drain, which must not own it in turn.
    #[test]
    fn of_a_tests_tracer_that_is_dropped_nothing_is_left() {
        for rounds in 0..3 {
            let tracer = testing::Tracer::new();
            let core = Arc::downgrade(tracer.core());
            let open = tracer.run(|| [Span::start("open"), Span::start("ends")]);
            drop(tracer.run(|| span!("sync")));
            (0..rounds).for_each(|_| drop(tracer.spans()));
            drop(tracer);
            assert!(core.upgrade().is_none(), "{rounds} rounds");
            drop(open);
        }
    }

    /// A tracer with so many open spans of which the reader was told, and logs that have no room left, for an end either; and
    /// how many other spans ended there.
    fn with_full_logs(spans: usize) -> (testing::Tracer, Vec<Span>, u64) {
        const MANY: usize = 100;
        let tracer = testing::Tracer::options().log_bytes(16 << 10).build().unwrap();
        let mut open = Vec::new();
        while open.len() < spans {
            let more = MANY.min(spans - open.len());
            tracer.run(|| open.extend((0..more).map(|_| Span::start("open"))));
            tracer.flush(Duration::ZERO);
        }
        let mut others = 0;
        while tracer.stats().tally().dropped_by(DropReason::LogFull) == 0 {
            // Those that found no room to begin end first: their ends take what is left.
            let many: Vec<_> = tracer.run(|| (0..MANY).map(|_| Span::start("other")).collect());
            many.into_iter().rev().for_each(Span::finish);
            others += MANY as u64;
        }
        (tracer, open, others)
    }

    fn unfinished(tracer: &testing::Tracer) -> usize {
        tracer.spans().iter().filter(|span| span.outcome() == Outcome::Unfinished).count()
    }

    #[test]
    fn a_span_whose_end_found_no_room_is_lost_once_and_not_unfinished() {
        let (tracer, open, others) = with_full_logs(20);
        open.into_iter().for_each(Span::finish);
        assert!(tracer.stats().tally().is_conserved());
        assert_eq!(tracer.open_spans().len(), 0);
        let tally = tracer.shutdown(Duration::ZERO);
        assert!(tally.is_conserved(), "{tally:?}");
        assert_eq!(tally.recorded(), others + 20);
        assert_eq!(tally.dropped(), tally.dropped_by(DropReason::LogFull), "{tally:?}");
        assert_eq!(unfinished(&tracer), 0);
        assert!(tracer.spans().iter().all(|span| span.name() == "other"));
        let late = tracer.stats().late_tags();
        assert!(late < 20, "{late} names of spans that were lost did not go with them");
    }

    #[test]
    fn a_span_that_is_abandoned_without_room_is_forgotten() {
        let (tracer, open, others) = with_full_logs(20);
        open.into_iter().for_each(Span::abandon);
        assert_eq!(tracer.open_spans().len(), 0);
        assert_eq!(tracer.shutdown(Duration::ZERO).recorded(), others);
    }

    #[test]
    fn what_was_told_as_unfinished_is_not_lost_as_well() {
        let (tracer, mut open, others) = with_full_logs(2);
        open.remove(0).finish();
        let tally = tracer.shutdown(Duration::ZERO);
        assert_eq!((tally.recorded(), unfinished(&tracer)), (others + 2, 1), "{tally:?}");
        open.remove(0).finish();
        assert_eq!(tracer.shutdown(Duration::ZERO), tally);
    }

    /// They cannot be told as unfinished.
    #[test]
    fn a_span_beyond_those_that_are_listed_is_lost_once_too() {
        const BEYOND: usize = 10;
        let (tracer, mut open, others) = with_full_logs(OPEN_SPANS + BEYOND);
        open.drain(OPEN_SPANS..).for_each(Span::finish);
        let tally = tracer.shutdown(Duration::ZERO);
        assert_eq!(tally.recorded(), others + (OPEN_SPANS + BEYOND) as u64, "{tally:?}");
        assert_eq!(unfinished(&tracer), OPEN_SPANS);
    }

    /// Room is kept for the ends of guards. Those in the wrong order may take what is kept for others.
    #[test]
    fn guards_in_the_wrong_order_whose_ends_found_no_room_are_unfinished_once() {
        let tracer = testing::Tracer::options().log_bytes(16 << 10).build().unwrap();
        let mut started = 4;
        tracer.run(|| {
            let root = span!("root");
            let [first, second, third] = [span!("first"), span!("second"), span!("third")];
            drop(first);
            let is_full = || tracer.stats().tally().dropped_by(DropReason::LogFull) > 0;
            while !is_full() {
                let many: Vec<_> = (0..100).map(|_| Span::start("other")).collect();
                many.into_iter().rev().for_each(Span::finish);
                started += 100;
            }
            for _ in 0..event::EXIT_WORDS {
                // What fits between the last one and the reserve.
                drop(span!("small"));
                started += 1;
            }
            drop([third, second]);
            drop(root);
        });
        let open = tracer.open_spans();
        assert_eq!((open.len(), open[0].name()), (1, "root"));
        let tally = tracer.shutdown(Duration::ZERO);
        assert!(tally.is_conserved(), "{tally:?}");
        assert_eq!((tally.recorded(), unfinished(&tracer)), (started, 1), "{tally:?}");
    }

    /// A thread writes on for the tracer that it knew last.
    #[test]
    fn a_span_that_begins_after_its_tracer_has_gone_takes_no_place_among_the_open_ones() {
        let mut assembler = Assembler::new(&Registry::of_test(Clock::Os, 0, 0));
        let mut begin = |tracer| {
            let ids = Ids { trace_low: 1, span: 1, key: 1, tracer, ..Ids::NONE };
            let (mut scope, mut inner, mut open, mut last) = (Ids::NONE, 0, Vec::new(), 0);
            let (scope, inner, open, last) = (&mut scope, &mut inner, &mut open, &mut last);
            let mut replay = Replay { scope, inner, open, last, key: 0 };
            replay.apply(Event::Begin { site: &EXPLICIT, ids, start: 1 }, 8, &mut assembler.spans);
            assembler.spans.forget_tracer();
            assembler.spans.begun.drain().count()
        };
        let tracer = testing::Tracer::new();
        let reference = tracer.core().reference();
        assert_eq!(begin(reference), 1);
        drop(tracer);
        assert_eq!(begin(reference), 0);
    }

    /// What is told by key counts as long as it waits, and no longer, whatever else waits beside it.
    #[test]
    fn what_waits_for_its_span_is_counted_in_bytes_that_come_and_go() {
        let tracer = testing::Tracer::new();
        let spans = |count| {
            for _ in 0..count {
                let span = tracer.run(|| Span::start("tagged"));
                for key in ["a", "b", "c"] {
                    span.tag(key, "a value");
                }
                span.finish();
            }
            tracer.flush(Duration::ZERO);
        };
        let waiting = || tracer.loose_bytes();
        spans(1);
        assert_eq!(waiting(), 0);
        // One whose span has gone.
        let gone = tracer.run(|| Span::start("gone"));
        let context = gone.context();
        gone.finish();
        tracer.flush(Duration::ZERO);
        context.tag("late", 1);
        tracer.flush(Duration::ZERO);
        let late = waiting();
        assert!(late > 0);
        spans(1_000);
        assert_eq!(waiting(), late);
    }

    /// A log keeps its last chunk, and the drain looks at each: those of a crowd of threads go with it.
    #[test]
    fn logs_of_ended_threads_are_kept_for_as_many_as_there_are_and_a_few() {
        const CROWD: usize = 300;
        let tracer = testing::Tracer::options().log_bytes(4 << 20).build().unwrap();
        let together = std::sync::Barrier::new(CROWD);
        let crowd = || {
            std::thread::scope(|scope| {
                for _ in 0..CROWD {
                    scope.spawn(|| {
                        tracer.run(|| drop(span!("one of many")));
                        together.wait();
                    });
                }
            });
        };
        for round in 1..=3 {
            crowd();
            // A scope does not wait for the ends of thread locals.
            let late = Instant::now() + Duration::from_secs(20);
            while tracer.flush(Duration::ZERO).recorded() < CROWD as u64 * round || tracer.logs() > 2 * FREE_LOGS {
                assert!(Instant::now() < late, "{} logs", tracer.logs());
            }
        }
        assert_eq!(tracer.shutdown(Duration::ZERO).sent(), CROWD as u64 * 3);
    }

    /// Threads take over the logs of ended ones while these are read: no log may have two writers.
    #[test]
    fn logs_change_hands_while_they_are_read() {
        const THREADS: u64 = 4;
        const LIVES: u64 = 60;
        const SPANS: usize = 40;
        let tracer = testing::Tracer::options().log_bytes(256 << 20).build().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..LIVES {
                        let context = tracer.context();
                        let span = |number| {
                            let _span = span!("short", "number" = number);
                            // The lives of several threads are to overlap.
                            std::thread::yield_now();
                        };
                        let spans = move || context.run(|| (0..SPANS).for_each(span));
                        std::thread::spawn(spans).join().unwrap();
                    }
                });
            }
            while tracer.flush(Duration::ZERO).recorded() < THREADS * LIVES * SPANS as u64 {}
        });
        let mut numbers = [0; SPANS];
        for span in tracer.spans() {
            let Some(crate::TagValue::Unsigned(number)) = span.tag("number") else { unreachable!("{span:?}") };
            numbers[usize::try_from(number).unwrap()] += 1;
        }
        assert_eq!(numbers, [THREADS * LIVES; SPANS]);
    }
}
