//! puffin: `profile_function!` and a sink that counts. A profiler of one thread's frames: it has no ids, no async spans, no
//! outcome, and cannot sample.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use puffin::GlobalProfiler;

use super::{Arrived, Contestant, Version};
use crate::scenario::{CHILDREN, Scenario};

static DELIVERED: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
fn child(n: u32) -> u32 {
    puffin::profile_function!();
    black_box(n)
}

#[inline(never)]
fn root(children: u32) {
    puffin::profile_function!();
    for n in 0..children {
        child(n);
    }
}

// It takes one text.
#[inline(never)]
fn tagged_child(n: u32, kind: &'static str, version: Version) -> u32 {
    puffin::profile_function!(format!("n={n} kind={kind} version={version}"));
    black_box(n)
}

#[inline(never)]
fn tagged_root() {
    puffin::profile_function!();
    for n in 0..CHILDREN {
        tagged_child(n, "cart", Version(n, 7));
    }
}

fn repeat(traces: u32, trace: impl Fn()) {
    for _ in 0..traces {
        trace();
    }
}

fn settle() {
    GlobalProfiler::lock().new_frame();
}

/// Starts it for a scenario.
pub fn start(scenario: Scenario) -> Option<Contestant> {
    let run: fn(u32) = match scenario {
        Scenario::SyncChild | Scenario::Off => |traces| repeat(traces, || root(CHILDREN)),
        Scenario::RootAndChild => |traces| repeat(traces, || root(1)),
        Scenario::Tags => |traces| repeat(traces, tagged_root),
        Scenario::AsyncChild | Scenario::Unsampled => return None,
    };
    if scenario == Scenario::Off {
        return Some(Contestant { run, settle: || {}, finish: Box::new(Arrived::default) });
    }
    puffin::set_scopes_on(true);
    GlobalProfiler::lock().add_sink(Box::new(|frame| {
        DELIVERED.fetch_add(frame.meta().num_scopes as u64, Ordering::Relaxed);
    }));
    let finish = || {
        settle();
        Arrived { delivered: Some(DELIVERED.load(Ordering::Relaxed)), dropped: 0 }
    };
    Some(Contestant { run, settle, finish: Box::new(finish) })
}
