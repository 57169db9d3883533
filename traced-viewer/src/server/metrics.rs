//! What was received, counted under Zipkin's names.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    messages: AtomicU64,
    messages_dropped: AtomicU64,
    spans: AtomicU64,
    spans_dropped: AtomicU64,
    bytes: AtomicU64,
    message_spans: AtomicU64,
    message_bytes: AtomicU64,
}

/// What a [`Server`](crate::Server) received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests with spans.
    pub messages: u64,
    /// Those that could not be read.
    pub messages_dropped: u64,
    /// Spans, each as often as it came.
    pub spans: u64,
    /// Those that were not kept, because their trace is full.
    pub spans_dropped: u64,
    /// Bytes, unpacked.
    pub bytes: u64,
}

impl Metrics {
    pub(super) fn message(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn message_dropped(&self) {
        self.messages_dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.message_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn spans(&self, received: usize, dropped: usize) {
        self.spans.fetch_add(received as u64, Ordering::Relaxed);
        self.spans_dropped.fetch_add(dropped as u64, Ordering::Relaxed);
        self.message_spans.store(received as u64, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            messages: read(&self.messages),
            messages_dropped: read(&self.messages_dropped),
            spans: read(&self.spans),
            spans_dropped: read(&self.spans_dropped),
            bytes: read(&self.bytes),
        }
    }

    /// The body of `GET /metrics`: Zipkin's names, and one of our own. Zipkin writes counts as floating-point numbers.
    pub(super) fn json(&self, evicted_traces: u64) -> Value {
        let gauge = |gauge: &AtomicU64| gauge.load(Ordering::Relaxed);
        let counts = self.counts();
        let named = [
            ("counter.zipkin_collector.messages.http", counts.messages),
            ("counter.zipkin_collector.messages_dropped.http", counts.messages_dropped),
            ("counter.zipkin_collector.bytes.http", counts.bytes),
            ("counter.zipkin_collector.spans.http", counts.spans),
            ("counter.zipkin_collector.spans_dropped.http", counts.spans_dropped),
            ("gauge.zipkin_collector.message_spans.http", gauge(&self.message_spans)),
            ("gauge.zipkin_collector.message_bytes.http", gauge(&self.message_bytes)),
            ("counter.traced_viewer.evicted_traces", evicted_traces),
        ];
        #[expect(clippy::cast_precision_loss, reason = "as Zipkin writes them")]
        let all: Map<_, _> = named.into_iter().map(|(name, count)| (name.to_owned(), (count as f64).into())).collect();
        all.into()
    }
}
