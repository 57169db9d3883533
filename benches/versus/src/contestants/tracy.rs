//! Tracy, by tracy-client: zones that are kept until its viewer takes them, which nobody does here: how many would arrive is
//! not known. A profiler: it has no ids, no async spans, no outcome, and cannot sample. Calls are not sampled and no context
//! switches are recorded.

use std::hint::black_box;

use tracy_client::{Client, span};

use super::{Arrived, Contestant, Version};
use crate::scenario::{CHILDREN, Scenario};

#[inline(never)]
fn child(n: u32) -> u32 {
    let _span = span!("child");
    black_box(n)
}

#[inline(never)]
fn root(children: u32) {
    let _span = span!("root");
    for n in 0..children {
        child(n);
    }
}

#[inline(never)]
fn tagged_child(n: u32, kind: &'static str, version: Version) -> u32 {
    let span = span!("child");
    span.emit_value(u64::from(n));
    span.emit_text(kind);
    span.emit_text(&version.to_string());
    black_box(n)
}

#[inline(never)]
fn tagged_root() {
    let _span = span!("root");
    for n in 0..CHILDREN {
        tagged_child(n, "cart", Version(n, 7));
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
        Scenario::SyncChild => |traces| repeat(traces, || root(CHILDREN)),
        Scenario::RootAndChild => |traces| repeat(traces, || root(1)),
        Scenario::Tags => |traces| repeat(traces, tagged_root),
        // Switched off it is not compiled in.
        Scenario::AsyncChild | Scenario::Unsampled | Scenario::Off => return None,
    };
    let client = Client::start();
    let finish = move || {
        drop(client);
        Arrived { delivered: None, dropped: 0 }
    };
    Some(Contestant { run, settle: || {}, finish: Box::new(finish) })
}
