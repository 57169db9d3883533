//! An allocator that is traced itself: it is called while a log grows, while a tag is formatted, everywhere.
#![allow(unsafe_code, reason = "an allocator is unsafe")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use traced_runtime::{Context, ReportError, Reporter, Sampler, Span, SpanRecord, Tracer, span, tag, traced};

struct Traced;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

#[traced(require_parent)]
fn allocate(layout: Layout) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { System.alloc(layout) }
}

#[traced(require_parent)]
fn free(pointer: *mut u8, layout: Layout) {
    // SAFETY: the caller's promise.
    unsafe { System.dealloc(pointer, layout) }
}

/// Runs `code`, or the other if we are inside already: a tracer that allocates to trace an allocation would not end.
fn once<R>(code: impl FnOnce() -> R, otherwise: impl FnOnce() -> R) -> R {
    if INSIDE.replace(true) {
        return otherwise();
    }
    let result = code();
    INSIDE.set(false);
    result
}

// SAFETY: everything is handed to the system's allocator.
unsafe impl GlobalAlloc for Traced {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        once(|| allocate(layout), || unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        once(|| free(pointer, layout), || unsafe { System.dealloc(pointer, layout) });
    }
}

#[global_allocator]
static ALLOCATOR: Traced = Traced;

struct Count(Arc<AtomicU64>);

impl Reporter for Count {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[traced(tags(text = ?text))]
fn work(text: &str) -> Result<String, String> {
    tag("long", "x".repeat(2_000));
    let copies: Vec<String> = (0..10).map(|n| format!("{text}{n}")).collect();
    Err(copies.concat())
}

#[test]
fn is_traced_without_end_or_loss() {
    let count = Arc::new(AtomicU64::new(0));
    let tracer = Tracer::builder("allocator")
        .reporter(Count(count.clone()))
        .linger(Duration::ZERO)
        .queue_bytes(256 << 20)
        .sampler(Sampler::rules([("nothing", Sampler::never())], Sampler::always()))
        .build()
        .expect("a tracer");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                tracer.context().run(|| {
                    for _ in 0..200 {
                        let _outer = span!("outer");
                        work("some text").expect_err("it fails");
                        let span = Span::start("explicit");
                        span.tag("context", format_args!("{}", Context::current()));
                        tracer.set_sampler(Sampler::rules([("other", Sampler::never())], Sampler::always()));
                    }
                    assert!(tracer.flush(Duration::from_secs(60)).is_conserved());
                    drop(tracer.open_spans());
                });
            });
        }
    });
    let tally = tracer.shutdown(Duration::from_secs(60));
    assert!(tally.is_conserved(), "{tally:?}");
    assert_eq!(tally.queued(), 0, "{tally:?}");
    assert_eq!(tally.sent(), count.load(Ordering::Relaxed), "{tally:?}");
    assert!(tally.recorded() > 4 * 200 * 3 + 4 * 200 * 20, "allocations are among them: {tally:?}");
}
