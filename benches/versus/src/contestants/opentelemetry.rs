//! tracing's `#[instrument]` with the OpenTelemetry layer, its batch processor, and an exporter that counts.
//!
//! Set up to be as fast as its documentation tells: what the layer adds to each span by default (thread, source
//! location, target, busy and idle time) is off, as is the OpenTelemetry context that nothing here asks for.

use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use tracing::{Instrument, instrument};
use tracing_subscriber::layer::SubscriberExt;

use super::{Arrived, Contestant, Version};
use crate::executor::{block_on, yield_once};
use crate::scenario::{CHILDREN, Scenario};

/// Spans that may wait, so that the pace of this program drops none.
const QUEUE: usize = 64 << 10;

static DELIVERED: AtomicU64 = AtomicU64::new(0);
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

#[derive(Debug)]
struct Counts;

impl SpanExporter for Counts {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        DELIVERED.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[inline(never)]
#[instrument(skip_all)]
fn child(n: u32) -> u32 {
    black_box(n)
}

#[inline(never)]
#[instrument(skip_all)]
fn root(children: u32) {
    for n in 0..children {
        child(n);
    }
}

#[inline(never)]
#[instrument(skip_all, fields(n = n, kind = kind, version = %version))]
fn tagged_child(n: u32, kind: &'static str, version: Version) -> u32 {
    black_box(n)
}

#[inline(never)]
#[instrument(skip_all)]
fn tagged_root() {
    for n in 0..CHILDREN {
        tagged_child(n, "cart", Version(n, 7));
    }
}

#[instrument(skip_all)]
async fn async_child(n: u32) -> u32 {
    yield_once().await;
    black_box(n)
}

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
        Scenario::SyncChild | Scenario::Unsampled | Scenario::Off => |traces| repeat(traces, || root(CHILDREN)),
        Scenario::RootAndChild => |traces| repeat(traces, || root(1)),
        Scenario::AsyncChild => |traces| {
            repeat(traces, || block_on(async_root().instrument(tracing::info_span!("root"))));
        },
        Scenario::Tags => |traces| repeat(traces, tagged_root),
    };
    if scenario == Scenario::Off {
        return Some(Contestant { run, settle: || {}, finish: Box::new(Arrived::default) });
    }
    let config = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
    let processor = BatchSpanProcessor::builder(Counts).with_batch_config(config).build();
    let sampler = if scenario == Scenario::Unsampled { Sampler::AlwaysOff } else { Sampler::AlwaysOn };
    let provider = SdkTracerProvider::builder().with_span_processor(processor).with_sampler(sampler).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("bench"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).expect("started once");
    PROVIDER.set(provider.clone()).expect("started once");
    let settle = || {
        if let Some(provider) = PROVIDER.get() {
            provider.force_flush().ok();
        }
    };
    let finish = move || {
        provider.force_flush().ok();
        let arrived = Arrived { delivered: DELIVERED.load(Ordering::Relaxed), dropped: 0 };
        provider.shutdown().ok();
        arrived
    };
    Some(Contestant { run, settle, finish: Box::new(finish) })
}
