//! All traces that are known, in memory, within bounds.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::id::TraceId;
use crate::span::Span;
use crate::steps::steps;
use crate::trace::Summary;

/// The bounds of what is kept.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StoreLimits {
    /// Spans of all traces together. Beyond it the trace that has been here for the longest time goes, whole.
    pub spans: usize,
    /// Bytes of all spans together, about. Beyond it the same happens.
    pub bytes: usize,
    /// Spans of one trace. Beyond it spans are dropped and counted, and the trace is marked as truncated.
    pub trace_spans: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self { spans: 50_000, bytes: 64 << 20, trace_spans: 20_000 }
    }
}

/// A count of arrivals and changes. It has no end: of spans there are as many as time brings.
pub(crate) type Time = u128;

/// The traces, by the lower half of their ids, as Zipkin has them: systems on the way may cut the upper one off.
#[derive(Debug, Default)]
pub(crate) struct Store {
    limits: StoreLimits,
    traces: HashMap<u64, Trace>,
    /// When which trace came.
    arrivals: BTreeMap<Time, u64>,
    /// When which trace changed last.
    changes: BTreeMap<Time, u64>,
    /// Counts arrivals and changes.
    clock: Time,
    spans: usize,
    bytes: usize,
    evicted_traces: u64,
}

/// The spans with one lower half of a trace id.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    spans: Vec<Arc<Span>>,
    /// The same once more: what is reported twice is kept once.
    known: HashSet<Arc<Span>>,
    bytes: usize,
    arrived: Time,
    changed: Time,
    truncated: bool,
}

/// What became of a list of spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Spans that were left out, because their trace or the store is full.
    pub(crate) dropped: usize,
}

impl Trace {
    /// Its spans, in the order in which they came.
    pub(crate) fn spans(&self) -> &[Arc<Span>] {
        &self.spans
    }

    /// Whether it had more spans than are kept.
    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Whether a span of it started between these, in milliseconds since 1970, both included.
    pub(crate) fn starts_in(&self, begin: i64, end: i64) -> bool {
        steps(self.spans.len());
        let starts = self.spans.iter().map(|span| i64::try_from(span.timestamp / 1000).unwrap_or(i64::MAX));
        starts.into_iter().any(|start| start >= begin && start <= end)
    }

    /// When it came, among the others.
    pub(crate) fn arrived(&self) -> Time {
        self.arrived
    }

    /// Its spans by whole trace id, in the order in which they came.
    pub(crate) fn by_id(&self) -> Vec<(TraceId, Vec<Arc<Span>>)> {
        let mut groups: Vec<(TraceId, Vec<Arc<Span>>)> = Vec::new();
        let mut places: HashMap<TraceId, usize> = HashMap::new();
        steps(self.spans.len());
        for span in &self.spans {
            let place = *places.entry(span.trace_id).or_insert(groups.len());
            match groups.get_mut(place) {
                Some((_, group)) => group.push(span.clone()),
                None => groups.push((span.trace_id, vec![span.clone()])),
            }
        }
        groups
    }

    /// What a list of traces shows, for each whole trace id.
    pub(crate) fn summaries(&self) -> impl Iterator<Item = Summary> {
        let truncated = self.truncated;
        self.by_id().into_iter().map(move |(id, spans)| Summary::of(id, &spans, truncated))
    }
}

impl Store {
    pub(crate) fn new(limits: StoreLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Traces that were dropped to make room.
    pub(crate) fn evicted_traces(&self) -> u64 {
        self.evicted_traces
    }

    /// Keeps spans.
    pub(crate) fn accept(&mut self, spans: Vec<Span>) -> Stored {
        let mut stored = Stored::default();
        for span in spans {
            if !self.put(Arc::new(span)) {
                stored.dropped += 1;
            }
        }
        stored
    }

    /// Whether a span was kept, now or before.
    fn put(&mut self, span: Arc<Span>) -> bool {
        let low = span.trace_id.low();
        let bytes = span.bytes();
        steps(1);
        self.clock += 1;
        let trace = self.traces.entry(low).or_default();
        if trace.arrived == 0 {
            trace.arrived = self.clock;
            self.arrivals.insert(self.clock, low);
        }
        if trace.known.contains(&span) {
            return true;
        }
        self.changes.remove(&trace.changed);
        trace.changed = self.clock;
        self.changes.insert(self.clock, low);
        let too_large = trace.bytes + bytes > self.limits.bytes || trace.spans.len() >= self.limits.spans;
        if trace.spans.len() >= self.limits.trace_spans || too_large {
            trace.truncated = true;
            return false;
        }
        trace.known.insert(span.clone());
        trace.spans.push(span);
        trace.bytes += bytes;
        self.spans += 1;
        self.bytes += bytes;
        self.make_room(low);
        true
    }

    /// Drops the traces that came first, but never this one.
    fn make_room(&mut self, keep: u64) {
        while self.spans > self.limits.spans || self.bytes > self.limits.bytes {
            let oldest = self.arrivals.iter().find(|(_, low)| **low != keep).map(|(arrived, low)| (*arrived, *low));
            let Some((arrived, low)) = oldest else { return };
            self.arrivals.remove(&arrived);
            let Some(trace) = self.traces.remove(&low) else { continue };
            self.changes.remove(&trace.changed);
            self.spans -= trace.spans.len();
            self.bytes -= trace.bytes;
            self.evicted_traces = self.evicted_traces.saturating_add(1);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self { limits: self.limits, clock: self.clock, evicted_traces: self.evicted_traces, ..Self::default() };
    }

    /// All traces, in no order.
    pub(crate) fn traces(&self) -> impl Iterator<Item = (u64, &Trace)> {
        self.traces.iter().map(|(low, trace)| (*low, trace))
    }

    /// The traces with the lower half of this id.
    pub(crate) fn with_low(&self, low: u64) -> Option<&Trace> {
        self.traces.get(&low)
    }

    /// The spans of each of these ids that is known, trace by trace. Traces that share a lower half are gone through once.
    pub(crate) fn many(&self, ids: &[TraceId]) -> Vec<Vec<Arc<Span>>> {
        let mut groups: HashMap<u64, HashMap<TraceId, Vec<Arc<Span>>>> = HashMap::new();
        let mut take = |id: &TraceId| {
            let group = groups.entry(id.low());
            let group = group.or_insert_with(|| self.with_low(id.low()).into_iter().flat_map(Trace::by_id).collect());
            group.remove(id)
        };
        ids.iter().filter_map(&mut take).collect()
    }

    /// The spans with this whole id.
    pub(crate) fn trace(&self, id: TraceId) -> Vec<Arc<Span>> {
        let spans = self.traces.get(&id.low()).map(|trace| &*trace.spans).unwrap_or_default();
        steps(spans.len());
        spans.iter().filter(|span| span.trace_id == id).cloned().collect()
    }

    /// The names that services have.
    pub(crate) fn services(&self) -> BTreeSet<&str> {
        self.spans().filter_map(|span| span.local_service()).collect()
    }

    /// All spans, in no order.
    pub(crate) fn spans(&self) -> impl Iterator<Item = &Arc<Span>> {
        steps(self.spans);
        self.traces.values().flat_map(|trace| &trace.spans)
    }

    /// Where the clock stands: what changes from now on is later.
    pub(crate) fn now(&self) -> Time {
        self.clock
    }

    /// The traces that changed after that time, at most so many: those that changed last.
    pub(crate) fn changed_since(&self, time: Time, most: usize) -> Vec<Summary> {
        let later = (Bound::Excluded(time), Bound::Unbounded);
        let changed = self.changes.range(later).rev().take(most);
        changed.filter_map(|(_, low)| self.traces.get(low)).flat_map(Trace::summaries).take(most).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::id::SpanId;

    fn span(trace: u128, id: u64) -> Span {
        Span::new(TraceId::new(trace).unwrap(), SpanId::new(id).unwrap())
    }

    fn store(limits: StoreLimits) -> Store {
        Store::new(limits)
    }

    fn ids(store: &Store) -> Vec<u64> {
        let mut ids: Vec<_> = store.traces().map(|(low, _)| low).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn the_trace_that_came_first_goes_whole() {
        let mut store = store(StoreLimits { spans: 4, ..StoreLimits::default() });
        store.accept(vec![span(1, 1), span(2, 1), span(1, 2), span(3, 1)]);
        assert_eq!(ids(&store), [1, 2, 3]);
        // The first one goes although it was not the last to change.
        assert_eq!(store.accept(vec![span(4, 1)]), Stored::default());
        assert_eq!(ids(&store), [2, 3, 4]);
        assert_eq!((store.spans, store.evicted_traces()), (3, 1));
    }

    #[test]
    fn bytes_count_as_well() {
        let one = span(1, 1).bytes();
        let mut store = store(StoreLimits { bytes: 2 * one, ..StoreLimits::default() });
        store.accept((1..=5).map(|trace| span(trace, 1)).collect());
        assert_eq!(ids(&store), [4, 5]);
        assert_eq!(store.bytes, 2 * one);
    }

    #[test]
    fn a_trace_that_is_too_large_is_truncated_and_says_so() {
        let mut store = store(StoreLimits { trace_spans: 3, ..StoreLimits::default() });
        let stored = store.accept((1..=5).map(|id| span(1, id)).collect());
        assert_eq!(stored, Stored { dropped: 2 });
        let summaries = store.changed_since(0, 10);
        assert_eq!((summaries[0].span_count, summaries[0].truncated), (3, true));
    }

    #[test]
    fn a_trace_larger_than_the_store_does_not_evict_itself() {
        let mut store = store(StoreLimits { spans: 2, ..StoreLimits::default() });
        let stored = store.accept((1..=5).map(|id| span(1, id)).collect());
        assert_eq!((stored.dropped, ids(&store)), (3, vec![1]));
    }

    #[test]
    fn what_is_reported_twice_is_kept_once() {
        let mut store = store(StoreLimits::default());
        store.accept(vec![span(1, 1), span(1, 1)]);
        assert_eq!(store.accept(vec![span(1, 1)]), Stored::default());
        assert_eq!(store.trace(TraceId::new(1).unwrap()).len(), 1);
    }

    #[test]
    fn changes_are_told_once_and_newest_first() {
        let mut store = store(StoreLimits::default());
        store.accept(vec![span(1, 1), span(2, 1)]);
        let seen = store.now();
        store.accept(vec![span(3, 1), span(1, 2), span(2, 1)]);
        let changed = |store: &Store, since, most| -> Vec<String> {
            store.changed_since(since, most).iter().map(|summary| format!("{:x}", summary.trace_id.low())).collect()
        };
        assert_eq!(changed(&store, seen, 10), ["1", "3"]);
        assert_eq!(changed(&store, 0, 10), ["1", "3", "2"]);
        assert_eq!(changed(&store, 0, 1), ["1"]);
        store.clear();
        assert_eq!(changed(&store, 0, 10), [] as [&str; 0]);
        assert!(store.now() > seen);
    }

    #[test]
    fn counts_go_on_where_64_bits_end() {
        let mut store = store(StoreLimits { spans: 2, ..StoreLimits::default() });
        store.clock = Time::from(u64::MAX) - 1;
        store.evicted_traces = u64::MAX - 1;
        store.accept((1..=4).map(|trace| span(trace, 1)).collect());
        assert_eq!(ids(&store), [3, 4]);
        assert_eq!(store.changed_since(Time::from(u64::MAX), 10).len(), 2);
        assert_eq!(store.changed_since(store.now(), 10).len(), 0);
        assert_eq!(store.changed_since(Time::MAX, 10).len(), 0);
        assert_eq!(store.evicted_traces(), u64::MAX);
    }

    #[test]
    fn an_upper_half_makes_another_trace_of_the_same_group() {
        let mut store = store(StoreLimits::default());
        let long = (1 << 64) + 5;
        store.accept(vec![span(5, 1), span(long, 2)]);
        assert_eq!(ids(&store), [5]);
        assert_eq!(store.trace(TraceId::new(long).unwrap()).len(), 1);
        assert_eq!(store.changed_since(0, 10).len(), 2);
    }
}
