//! Palantir's zipkin: `#[spanned]` and a reporter that counts.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use zipkin::sample::{AlwaysSampler, NeverSampler};
use zipkin::{Endpoint, Report, Span, spanned};

use super::{Arrived, Contestant, Version};
use crate::executor::{block_on, yield_once};
use crate::scenario::{CHILDREN, Scenario};

static DELIVERED: AtomicU64 = AtomicU64::new(0);

struct Counts;

impl Report for Counts {
    fn report(&self, span: Span) {
        black_box(span);
        DELIVERED.fetch_add(1, Ordering::Relaxed);
    }
}

#[inline(never)]
#[spanned(name = "child")]
fn child(n: u32) -> u32 {
    black_box(n)
}

#[inline(never)]
#[spanned(name = "root")]
fn root(children: u32) {
    for n in 0..children {
        child(n);
    }
}

// The attribute has no tags.
#[inline(never)]
fn tagged_child(n: u32, kind: &'static str, version: Version) -> u32 {
    let mut span = zipkin::next_span().with_name("child");
    span.tag("n", &n.to_string());
    span.tag("kind", kind);
    span.tag("version", &version.to_string());
    black_box(n)
}

#[inline(never)]
#[spanned(name = "root")]
fn tagged_root() {
    for n in 0..CHILDREN {
        tagged_child(n, "cart", Version(n, 7));
    }
}

#[spanned(name = "child")]
async fn async_child(n: u32) -> u32 {
    yield_once().await;
    black_box(n)
}

#[spanned(name = "root")]
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
    let endpoint = Endpoint::builder().service_name("bench").build();
    let started = match scenario {
        Scenario::Off => Ok(()),
        Scenario::Unsampled => zipkin::set_tracer(NeverSampler, Counts, endpoint),
        _ => zipkin::set_tracer(AlwaysSampler, Counts, endpoint),
    };
    started.expect("started once");
    let finish = || Arrived { delivered: Some(DELIVERED.load(Ordering::Relaxed)), dropped: 0 };
    Some(Contestant { run, settle: || {}, finish: Box::new(finish) })
}
