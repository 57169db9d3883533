//! A signal handler that records. It is told not to, as recording may allocate; if it does all the same, no event is torn.

#![cfg(unix)]
#![allow(unsafe_code, reason = "there is no safe signal handler")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use traced_runtime::{Context, DropReason, Tracer, annotate, span, tag, traced};
use traced_tests::{Keep, now};

/// Spans that handlers record, at least; and of them those that come while the thread writes.
const HANDLED: u64 = 2_000;
const REENTRANT: u64 = 20;

/// Spans that a run records.
const SPANS: u64 = 4;

#[traced(tags(n))]
fn outer(n: u64) {
    inner();
    annotate("between");
    now(task());
}

#[traced(name = "inner")]
fn inner() {
    tag("text", "longer than one word");
    let _last = span!("last");
}

#[traced(name = "task")]
async fn task() {}

static RECORDED: AtomicU64 = AtomicU64::new(0);

/// Everything here needs no memory but the log's, and the thread that it interrupts allocates for its log alone.
extern "C" fn handler(_: libc::c_int) {
    RECORDED.fetch_add(2, Ordering::Relaxed);
    handled();
}

#[traced]
fn handled() {
    tag("in", "handler");
    let _child = span!("handled below");
    let _scope = Context::current().attach();
}

#[test]
fn a_signal_handler_that_records_tears_nothing() {
    let keep = Keep::default();
    let tracer = Tracer::builder("signals").reporter(keep.clone()).log_bytes(64 << 20).queue_bytes(64 << 20);
    let tracer = tracer.linger(Duration::ZERO).install().expect("a tracer");
    // SAFETY: the handler is a function of this file, and the action is whole.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
    }
    // SAFETY: no preconditions.
    let interrupted = unsafe { libc::pthread_self() };
    let done = AtomicBool::new(false);
    let (flushes, reentrant) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut runs = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                // SAFETY: the thread is there until this one has ended.
                unsafe { libc::pthread_kill(interrupted, libc::SIGUSR1) };
                thread::yield_now();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let tally = tracer.flush(Duration::from_secs(60));
                reentrant.store(tally.dropped_by(DropReason::Reentrant), Ordering::Relaxed);
                flushes.fetch_add(1, Ordering::Release);
            }
        });
        while RECORDED.load(Ordering::Relaxed) < HANDLED || reentrant.load(Ordering::Relaxed) < REENTRANT {
            outer(runs);
            runs += 1;
            if runs % 1_000 == 0 {
                // So that the log has room. A flush on this thread would allocate.
                let before = flushes.load(Ordering::Acquire);
                while flushes.load(Ordering::Acquire) < before + 2 {
                    thread::yield_now();
                }
            }
        }
        done.store(true, Ordering::Release);
    });
    let handled = RECORDED.load(Ordering::Relaxed);
    let tally = tracer.shutdown(Duration::from_secs(60));
    assert!(tally.is_conserved(), "{tally:?}");
    assert_eq!(tally.recorded(), runs * SPANS + handled, "{tally:?}");
    assert_eq!(tally.dropped(), tally.dropped_by(DropReason::Reentrant), "{tally:?}");
    let spans = keep.spans();
    let names: HashMap<_, _> = spans.iter().map(|span| (span.id(), span.name().into_owned())).collect();
    let mut counts: HashMap<String, u64> = HashMap::new();
    for span in spans.iter() {
        *counts.entry(span.name().into_owned()).or_default() += 1;
        let parent = span.parent_id().map(|id| names.get(&id).map_or("?", String::as_str));
        let expected: &[Option<&str>] = match span.name().as_ref() {
            "outer" => &[None],
            "inner" | "task" => &[Some("outer")],
            "last" => &[Some("inner")],
            "handled below" => &[Some("handled")],
            "handled" => continue,
            other => unreachable!("no span is called {other}"),
        };
        assert!(expected.contains(&parent), "{} is below {parent:?}", span.name());
    }
    for name in ["outer", "inner", "last", "task"] {
        assert_eq!(counts[name], runs, "{name}");
    }
    assert!(counts["handled"] > 0, "{counts:?}");
}
