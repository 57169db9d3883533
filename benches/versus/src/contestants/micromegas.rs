//! micromegas-tracing: `#[span_fn]` and a sink that counts. A profiler: it has no trace ids, no parents across tasks, no
//! outcome, and cannot sample.

use std::collections::HashMap;
use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use micromegas_tracing::dispatch::flush_thread_buffer;
use micromegas_tracing::event::{EventSink, TracingBlock};
use micromegas_tracing::guards::{TracingSystemGuard, TracingThreadGuard};
use micromegas_tracing::logs::{LogBlock, LogMetadata, LogStream};
use micromegas_tracing::metrics::{MetricsBlock, MetricsStream};
use micromegas_tracing::prelude::*;
use micromegas_tracing::property_set::DynProperty;
use micromegas_tracing::spans::{ThreadBlock, ThreadStream};

use super::{Arrived, Contestant, Version};
use crate::executor::{block_on, yield_once};
use crate::scenario::{CHILDREN, Scenario};

/// Bytes of a buffer, as its documentation has it.
const LOGS: usize = 8 << 20;
const METRICS: usize = 1 << 20;
const SPANS: usize = 16 << 20;

static EVENTS: AtomicU64 = AtomicU64::new(0);

struct Counts;

impl EventSink for Counts {
    fn on_startup(&self, _: Arc<ProcessInfo>) {}
    fn on_shutdown(&self) {}
    fn on_log_enabled(&self, _: &LogMetadata) -> bool {
        false
    }
    fn on_log(&self, _: &LogMetadata, _: &[DynProperty<'_>], _: i64, _: fmt::Arguments<'_>) {}
    fn on_init_log_stream(&self, _: &LogStream) {}
    fn on_process_log_block(&self, _: Arc<LogBlock>) {}
    fn on_init_metrics_stream(&self, _: &MetricsStream) {}
    fn on_process_metrics_block(&self, _: Arc<MetricsBlock>) {}
    fn on_init_thread_stream(&self, _: &ThreadStream) {}
    fn on_process_thread_block(&self, block: Arc<ThreadBlock>) {
        EVENTS.fetch_add(block.nb_objects() as u64, Ordering::Relaxed);
    }
    fn is_busy(&self) -> bool {
        false
    }
}

#[inline(never)]
#[span_fn]
fn child(n: u32) -> u32 {
    black_box(n)
}

#[inline(never)]
#[span_fn]
fn root(children: u32) {
    for n in 0..children {
        child(n);
    }
}

#[inline(never)]
fn tagged_child(n: u32, kind: &'static str, version: Version) -> u32 {
    let _span = span_scope!(name = "tagged_child", n = %n, kind = kind, version = %version);
    black_box(n)
}

#[inline(never)]
#[span_fn]
fn tagged_root() {
    for n in 0..CHILDREN {
        tagged_child(n, "cart", Version(n, 7));
    }
}

#[span_fn]
async fn async_child(n: u32) -> u32 {
    yield_once().await;
    black_box(n)
}

#[span_fn]
async fn async_root() {
    for n in 0..CHILDREN {
        async_child(n).await;
    }
}

fn repeat(traces: u32, trace: impl Fn()) {
    for _ in 0..traces {
        trace();
    }
}

/// Starts it for a scenario.
pub fn start(scenario: Scenario) -> Option<Contestant> {
    let run: fn(u32) = match scenario {
        Scenario::SyncChild | Scenario::Off => |traces| repeat(traces, || root(CHILDREN)),
        Scenario::RootAndChild => |traces| repeat(traces, || root(1)),
        Scenario::AsyncChild => |traces| repeat(traces, || block_on(async_root())),
        Scenario::Tags => |traces| repeat(traces, tagged_root),
        Scenario::Unsampled => return None,
    };
    if scenario == Scenario::Off {
        return Some(Contestant { run, settle: || {}, finish: Box::new(Arrived::default) });
    }
    let system = TracingSystemGuard::new(LOGS, METRICS, SPANS, Arc::new(Counts), HashMap::new(), true);
    let system = system.expect("started once");
    let thread = TracingThreadGuard::new();
    let finish = move || {
        flush_thread_buffer();
        drop((thread, system));
        // A begin and an end.
        Arrived { delivered: Some(EVENTS.load(Ordering::Relaxed) / 2), dropped: 0 }
    };
    // A full buffer is handed over by the thread that fills it.
    Some(Contestant { run, settle: || {}, finish: Box::new(finish) })
}
