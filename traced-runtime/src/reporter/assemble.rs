//! From events to spans: replays each log, as its thread wrote it, and gives each span its parent, its times and its tags.
//!
//! The parent of a sync span is the innermost open sync span that belongs to the scope, else the scope's own span. An
//! async or explicit span arrives whole when it ends.
//!
//! A span that ended in one round is handed on in the next one: what other threads told about it before it ended is in
//! the logs by then.

mod replay;
mod spans;

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::model::id::SpanId;
#[cfg(feature = "tree")]
use crate::model::id::TraceId;
use crate::model::kind::Outcome;
use crate::recorder::event;
use crate::recorder::registry::Registry;
use crate::reporter::assemble::replay::{LogState, Replay};
use crate::reporter::assemble::spans::Spans;
use crate::reporter::block::Block;
use crate::reporter::details::Details;
use crate::reporter::open::OpenSpan;
use crate::reporter::outlet::Outlets;
use crate::reporter::pipeline::Patience;

/// Logs of ended threads that are kept for new ones, besides as many as are being written.
const FREE_LOGS: usize = 16;

/// What is left of a tracer's spans when it shuts down.
#[derive(Debug)]
pub(crate) struct Rest {
    /// Was handed on, and found no room.
    pub(crate) left_over: Vec<Block>,
    pub(crate) last: Vec<Block>,
}

/// Everything the drain knows between two rounds.
#[derive(Debug)]
pub(crate) struct Assembler {
    logs: Vec<LogState>,
    spans: Spans,
    scratch: Vec<u8>,
}

impl Assembler {
    /// Knows nothing yet.
    pub(crate) fn new(registry: &Registry, outlets: Arc<Outlets>) -> Self {
        Self { logs: Vec::new(), spans: Spans::new(registry, outlets), scratch: Vec::new() }
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
        let withdrawn: HashSet<_> = withdrawn.iter().map(Arc::as_ptr).collect();
        self.logs.retain(|log| !withdrawn.contains(&Arc::as_ptr(log.reader.log())));
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

    /// Whether the last round was ended before all that it had to hand on of a tracer found room.
    pub(crate) fn has_left_over_of(&self, tracer: u32) -> bool {
        self.spans.left_over.iter().any(|(of, _)| *of == tracer)
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
    #[cfg(feature = "tree")]
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

#[cfg(test)]
mod tests;
