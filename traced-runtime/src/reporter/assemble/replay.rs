//! One log, read event by event as its thread wrote it.

use std::sync::Arc;

use crate::model::callsite::Callsite;
use crate::model::ids::Ids;
use crate::model::ids::flag;
use crate::model::kind::Outcome;
use crate::model::limits::DEPTH;
use crate::recorder::event::{self, Event, What};
use crate::recorder::log::{Log, Reader};
use crate::recorder::registry::mix;
use crate::reporter::assemble::spans::{Begun, OPEN_SPANS, Spans};
use crate::reporter::details::Details;

/// A sync span that has not ended.
#[derive(Debug)]
pub(super) struct OpenSync {
    pub(super) position: u64,
    /// Position of what was innermost before.
    pub(super) outer: u64,
    pub(super) site: &'static Callsite,
    pub(super) start: u64,
    /// Its own id and parent are filled in.
    pub(super) ids: Ids,
    pub(super) details: Details,
}

/// One log and what is open in it.
#[derive(Debug)]
pub(super) struct LogState {
    pub(super) reader: Reader,
    pub(super) scope: Ids,
    pub(super) inner: u64,
    pub(super) open: Vec<OpenSync>,
    /// The last tick seen in it: the time of a tag that has none of its own.
    pub(super) last: u64,
    /// Whose end was last seen, and the log given back for the next thread.
    pub(super) released: usize,
}

impl LogState {
    pub(super) fn new(log: Arc<Log>) -> Self {
        Self { reader: Reader::new(log), scope: Ids::NONE, inner: 0, open: Vec::new(), last: 0, released: 0 }
    }
}

/// The state of one log while it is replayed.
pub(super) struct Replay<'a> {
    pub(super) scope: &'a mut Ids,
    pub(super) inner: &'a mut u64,
    pub(super) open: &'a mut Vec<OpenSync>,
    pub(super) last: &'a mut u64,
    pub(super) key: u64,
}

impl Replay<'_> {
    pub(super) fn apply(&mut self, event: Event<'_>, position: u64, spans: &mut Spans) {
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
                if is_open && spans.begun.len() < OPEN_SPANS && spans.outlet(ids.tracer).is_some() {
                    spans.begun.insert(ids.key, Begun { site, ids, start });
                }
            }
            Event::Span { site, ids, start, word, outcome, polls, begun } => {
                let end = event::end(word, start, spans.timeline.near(start));
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
        let end = event::end(word, open.start, spans.timeline.near(open.start));
        *self.last = end;
        spans.end(Some(open.site), open.ids, open.start, Some(end), outcome, 0, open.details);
    }

    /// The thread has ended: what is open never ends.
    pub(super) fn cut(&mut self, spans: &mut Spans) {
        for open in self.open.drain(..) {
            spans.unfinished(open);
        }
        *self.scope = Ids::NONE;
        *self.inner = 0;
    }
}
