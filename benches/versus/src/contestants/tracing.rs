//! tracing's `#[instrument]` with the OpenTelemetry layer, and what [`opentelemetry`](super::opentelemetry) has behind it.
//!
//! Set up to be as fast as its documentation tells: what the layer adds to each span by default (thread, source
//! location, target, busy and idle time) is off, as is the OpenTelemetry context that nothing here asks for.

use std::hint::black_box;

use opentelemetry::trace::TracerProvider;
use tracing::{Instrument, instrument};
use tracing_subscriber::layer::SubscriberExt;

use super::opentelemetry::provide;
use super::{Arrived, Contestant, Version};
use crate::executor::{block_on, yield_once};
use crate::scenario::{CHILDREN, Scenario};

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
    let (provider, settle, finish) = provide(scenario);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("bench"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).expect("started once");
    Some(Contestant { run, settle, finish })
}
