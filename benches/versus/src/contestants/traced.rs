//! This library: the attribute, and the default settings but for a backend that takes everything and keeps nothing.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Duration;

use traced_runtime::{ReportError, Reporter, Sampler, SpanRecord, Tracer, traced};

use super::{Arrived, Contestant, Version};
use crate::executor::{block_on, yield_once};
use crate::scenario::{CHILDREN, Scenario};

/// Far more than it takes; a wait that reaches it shows in what has arrived.
const DEADLINE: Duration = Duration::from_secs(10);

static TRACER: OnceLock<Tracer> = OnceLock::new();

#[derive(Debug)]
struct Takes;

impl Reporter for Takes {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        black_box(batch);
        Ok(())
    }
}

#[inline(never)]
#[traced]
fn child(n: u32) -> u32 {
    black_box(n)
}

#[inline(never)]
#[traced]
fn root(children: u32) {
    for n in 0..children {
        child(n);
    }
}

#[inline(never)]
#[traced(tags(n, kind, %version))]
fn tagged_child(n: u32, kind: &'static str, version: Version) -> u32 {
    black_box(n)
}

#[inline(never)]
#[traced]
fn tagged_root() {
    for n in 0..CHILDREN {
        tagged_child(n, "cart", Version(n, 7));
    }
}

#[traced]
async fn async_child(n: u32) -> u32 {
    yield_once().await;
    black_box(n)
}

#[traced]
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
        Scenario::AsyncChild => |traces| repeat(traces, || block_on(async_root())),
        Scenario::Tags => |traces| repeat(traces, tagged_root),
    };
    if scenario == Scenario::Off {
        return Some(Contestant { run, settle: || {}, finish: Box::new(Arrived::default) });
    }
    // A measurement ends without a flush in between: the queue has to hold what it makes.
    let mut builder = Tracer::builder("bench").reporter(Takes).queue_bytes(1 << 30).batch_bytes(1 << 20).summary(false);
    if scenario == Scenario::Unsampled {
        builder = builder.sampler(Sampler::never());
    }
    let installed = builder.install().expect("the settings are in order");
    TRACER.set(installed.clone()).expect("started once");
    let settle = || {
        if let Some(tracer) = TRACER.get() {
            tracer.flush(DEADLINE);
        }
    };
    let finish = move || {
        let tally = installed.shutdown(DEADLINE);
        assert!(tally.is_conserved(), "{tally}");
        Arrived { delivered: Some(tally.sent()), dropped: tally.recorded() - tally.sent() }
    };
    Some(Contestant { run, settle, finish: Box::new(finish) })
}
