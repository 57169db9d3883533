//! fastrace: `#[trace]` below a root that is the local parent, as its README has it, and a reporter that counts.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::future::FutureExt;
use fastrace::local::LocalSpan;
use fastrace::{Span, trace};

use super::{Arrived, Contestant, Version};
use crate::executor::{block_on, yield_once};
use crate::scenario::{CHILDREN, Scenario};

static DELIVERED: AtomicU64 = AtomicU64::new(0);

struct Counts;

impl Reporter for Counts {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        DELIVERED.fetch_add(spans.len() as u64, Ordering::Relaxed);
    }
}

#[inline(never)]
#[trace]
fn child(n: u32) -> u32 {
    black_box(n)
}

#[inline(never)]
fn root(context: SpanContext, children: u32) {
    let root = Span::root("root", context);
    let _guard = root.set_local_parent();
    for n in 0..children {
        child(n);
    }
}

#[inline(never)]
fn without_root() {
    for n in 0..=CHILDREN {
        child(n);
    }
}

// `#[trace(properties = …)]` would format all three into strings.
#[inline(never)]
#[trace]
fn tagged_child(n: u32, kind: &'static str, version: Version) -> u32 {
    LocalSpan::add_properties(|| {
        [("n", n.to_string().into()), ("kind", kind.into()), ("version", version.to_string().into())]
            as [(&str, std::borrow::Cow<'static, str>); 3]
    });
    black_box(n)
}

#[inline(never)]
fn tagged_root() {
    let root = Span::root("root", SpanContext::random());
    let _guard = root.set_local_parent();
    for n in 0..CHILDREN {
        tagged_child(n, "cart", Version(n, 7));
    }
}

#[trace]
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
        Scenario::SyncChild => |traces| repeat(traces, || root(SpanContext::random(), CHILDREN)),
        Scenario::RootAndChild => |traces| repeat(traces, || root(SpanContext::random(), 1)),
        Scenario::AsyncChild => |traces| {
            repeat(traces, || block_on(async_root().in_span(Span::root("root", SpanContext::random()))));
        },
        Scenario::Tags => |traces| repeat(traces, tagged_root),
        Scenario::Unsampled => |traces| repeat(traces, || root(SpanContext::random().sampled(false), CHILDREN)),
        // Without a reporter and without a root: what a library costs that annotates its functions.
        Scenario::Off => |traces| repeat(traces, without_root),
    };
    if scenario == Scenario::Off {
        return Some(Contestant { run, settle: || {}, finish: Box::new(Arrived::default) });
    }
    fastrace::set_reporter(Counts, Config::default());
    let finish = || {
        fastrace::flush();
        Arrived { delivered: Some(DELIVERED.load(Ordering::Relaxed)), dropped: 0 }
    };
    Some(Contestant { run, settle: fastrace::flush, finish: Box::new(finish) })
}
