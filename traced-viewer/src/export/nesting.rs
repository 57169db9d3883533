//! Spans as intervals in time, each with the one that it is nested in.

use std::collections::HashMap;
use std::sync::Arc;

use crate::id::TraceId;
use crate::span::Span;
use crate::steps::steps;
use crate::tree::Tree;

/// The spans of traces, parents before their children.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    pub(super) spans: Vec<Nested>,
}

/// A span in its place.
#[derive(Debug)]
pub(super) struct Nested {
    pub(super) span: Span,
    /// Its parent's index.
    pub(super) parent: Option<usize>,
    /// Microseconds since 1970; that of its parent, or of the trace, if it has none of its own.
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Nesting {
    /// Of spans of any number of traces. None is left out: what hangs together with no root is a root itself.
    pub(super) fn of(spans: &[Arc<Span>]) -> Self {
        let mut traces: HashMap<TraceId, Vec<Arc<Span>>> = HashMap::new();
        let mut order = Vec::new();
        for span in spans {
            let trace = traces.entry(span.trace_id).or_default();
            if trace.is_empty() {
                order.push(span.trace_id);
            }
            trace.push(span.clone());
        }
        let mut nesting = Self::default();
        for trace in order.iter().filter_map(|id| traces.get(id)) {
            nesting.add(trace);
        }
        nesting
    }

    fn add(&mut self, trace: &[Arc<Span>]) {
        let earliest = trace.iter().map(|span| span.timestamp).filter(|start| *start > 0).min().unwrap_or(0);
        let tree = Tree::of(trace);
        let mut places: HashMap<usize, usize> = HashMap::new();
        // A cycle is opened where it is met first.
        for top in std::iter::once(tree.root()).chain(0..tree.len()) {
            let mut below = vec![(top, None)];
            while let Some((at, parent)) = below.pop() {
                steps(1);
                if places.contains_key(&at) {
                    continue;
                }
                let place = tree.span(at).map(|span| self.push(span, parent, earliest));
                places.insert(at, place.unwrap_or(usize::MAX));
                below.extend(tree.children(at).iter().rev().map(|child| (*child, place)));
            }
        }
    }

    fn push(&mut self, span: &Span, parent: Option<usize>, earliest: u64) -> usize {
        let start = match span.timestamp {
            0 => parent.and_then(|parent| self.spans.get(parent)).map_or(earliest, |parent| parent.start),
            start => start,
        };
        let end = start.saturating_add(span.duration);
        self.spans.push(Nested { span: span.clone(), parent, start, end });
        self.spans.len() - 1
    }

    /// The children of each span, by index.
    pub(super) fn children(&self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.spans.len()];
        for (at, nested) in self.spans.iter().enumerate() {
            if let Some(siblings) = nested.parent.and_then(|parent| children.get_mut(parent)) {
                siblings.push(at);
            }
        }
        children
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
pub(super) mod tests {
    use super::*;
    use crate::id::SpanId;

    /// A span that is named by its id.
    pub(crate) fn span(id: u64, parent: Option<u64>, start: u64, duration: u64) -> Span {
        Span {
            parent_id: parent.and_then(SpanId::new),
            name: Some(id.to_string().into()),
            // No span starts at 0, which means that the start is not known.
            timestamp: start + 1000,
            duration,
            ..Span::new(TraceId::new(1).unwrap(), SpanId::new(id).unwrap())
        }
    }

    /// Numbers that look random, the same in each run (xorshift).
    pub(crate) struct Random(u64);

    impl Random {
        pub(crate) fn new(seed: u64) -> Self {
            Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
        }

        pub(crate) fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % limit
        }
    }

    /// Spans whose parents and times have nothing to do with each other: cycles, missing parents, children outside.
    pub(crate) fn random_trace(random: &mut Random, most: usize, time: usize) -> Vec<Span> {
        let spans = 1 + random.below(most);
        let any = |random: &mut Random, limit| u64::try_from(random.below(limit)).unwrap();
        (1..=u64::try_from(spans).unwrap())
            .map(|id| {
                let parent = Some(any(random, spans + 2)).filter(|parent| *parent != id);
                span(id, parent, any(random, time), any(random, time))
            })
            .collect()
    }

    #[test]
    fn no_span_is_left_out_and_parents_come_first() {
        let mut random = Random::new(1);
        for _ in 0..500 {
            let spans: Vec<_> = random_trace(&mut random, 15, 20).into_iter().map(Arc::new).collect();
            let nesting = Nesting::of(&spans);
            assert_eq!(nesting.spans.len(), spans.len(), "{spans:#?}");
            for (at, nested) in nesting.spans.iter().enumerate() {
                assert!(nested.parent.is_none_or(|parent| parent < at));
            }
        }
    }

    #[test]
    fn a_deep_trace_needs_no_stack() {
        let spans: Vec<_> = (1..=20_000).map(|id| span(id, Some(id - 1), 0, 1)).map(Arc::new).collect();
        assert_eq!(Nesting::of(&spans).spans.len(), 20_000);
    }
}
