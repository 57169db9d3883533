//! The OpenTelemetry SDK by itself: `in_span`, its batch processor, and an exporter that counts.

use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::trace::{FutureExt, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter,
};

use super::{Arrived, Contestant, Version};
use crate::executor::{block_on, yield_once};
use crate::scenario::{CHILDREN, Scenario};

/// Spans that may wait, so that the pace of this program drops none.
const QUEUE: usize = 64 << 10;

static DELIVERED: AtomicU64 = AtomicU64::new(0);
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

#[derive(Debug)]
struct Counts;

impl SpanExporter for Counts {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        DELIVERED.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Makes the provider of the process, and how it is settled and finished.
pub(super) fn provide(scenario: Scenario) -> (SdkTracerProvider, fn(), Box<dyn FnOnce() -> Arrived>) {
    let config = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
    let processor = BatchSpanProcessor::builder(Counts).with_batch_config(config).build();
    let sampler = if scenario == Scenario::Unsampled { Sampler::AlwaysOff } else { Sampler::AlwaysOn };
    let provider = SdkTracerProvider::builder().with_span_processor(processor).with_sampler(sampler).build();
    PROVIDER.set(provider.clone()).expect("started once");
    let settle = || {
        if let Some(provider) = PROVIDER.get() {
            provider.force_flush().ok();
        }
    };
    let finish = || {
        let Some(provider) = PROVIDER.get() else { return Arrived::default() };
        provider.force_flush().ok();
        let arrived = Arrived { delivered: Some(DELIVERED.load(Ordering::Relaxed)), dropped: 0 };
        provider.shutdown().ok();
        arrived
    };
    (provider, settle, Box::new(finish))
}

/// Kept, because to ask the global one for each span would cost more.
fn tracer() -> &'static SdkTracer {
    TRACER.get().expect("set by `start`")
}

#[inline(never)]
fn child(n: u32) -> u32 {
    tracer().in_span("child", |_| black_box(n))
}

#[inline(never)]
fn root(children: u32) {
    tracer().in_span("root", |_| {
        for n in 0..children {
            child(n);
        }
    });
}

#[inline(never)]
fn tagged_child(n: u32, kind: &'static str, version: Version) -> u32 {
    tracer().in_span("child", |context| {
        let span = context.span();
        span.set_attribute(KeyValue::new("n", i64::from(n)));
        span.set_attribute(KeyValue::new("kind", kind));
        span.set_attribute(KeyValue::new("version", version.to_string()));
        black_box(n)
    })
}

#[inline(never)]
fn tagged_root() {
    tracer().in_span("root", |_| {
        for n in 0..CHILDREN {
            tagged_child(n, "cart", Version(n, 7));
        }
    });
}

async fn async_child(n: u32) -> u32 {
    let context = Context::current_with_span(tracer().start("child"));
    async move {
        yield_once().await;
        black_box(n)
    }
    .with_context(context)
    .await
}

async fn async_root() {
    let context = Context::current_with_span(tracer().start("root"));
    async {
        for n in 0..CHILDREN {
            async_child(n).await;
        }
    }
    .with_context(context)
    .await;
}

fn repeat(traces: u32, trace: impl Fn()) {
    for _ in 0..traces {
        trace();
    }
}

/// Starts it for a scenario.
pub fn start(scenario: Scenario) -> Option<Contestant> {
    let run: fn(u32) = match scenario {
        Scenario::SyncChild | Scenario::Unsampled => |traces| repeat(traces, || root(CHILDREN)),
        Scenario::RootAndChild => |traces| repeat(traces, || root(1)),
        Scenario::AsyncChild => |traces| repeat(traces, || block_on(async_root())),
        Scenario::Tags => |traces| repeat(traces, tagged_root),
        Scenario::Off => |traces| {
            let tracer = opentelemetry::global::tracer("bench");
            repeat(traces, || {
                for n in 0..=CHILDREN {
                    tracer.in_span("child", |_| black_box(n));
                }
            });
        },
    };
    if scenario == Scenario::Off {
        return Some(Contestant { run, settle: || {}, finish: Box::new(Arrived::default) });
    }
    let (provider, settle, finish) = provide(scenario);
    TRACER.set(provider.tracer("bench")).expect("started once");
    Some(Contestant { run, settle, finish })
}
