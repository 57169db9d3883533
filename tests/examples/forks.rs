//! A program that forks, as its argument says. Its collector is that of the environment.
#![allow(unsafe_code, reason = "there is no safe fork")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "what goes wrong ends the program, and is a failed test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use traced_runtime::{
    Context, DropReason, Installed, ReportError, Reporter, Sampler, Span, SpanRecord, Tally, Tracer, span, traced,
};

const DEADLINE: Duration = Duration::from_secs(20);

#[traced]
fn work() -> Context {
    Context::current()
}

/// Runs `child` in a forked child, which ends after it without destructors, and must succeed.
fn fork(child: impl FnOnce()) {
    // SAFETY: the child runs the code of this file alone, and leaves by `_exit`.
    let process = unsafe { libc::fork() };
    assert!(process >= 0, "cannot fork");
    if process == 0 {
        // A child that waits for a lock of its parent is killed.
        // SAFETY: sets a timer of this process.
        unsafe { libc::alarm(20) };
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).is_err();
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(failed)) };
    }
    let mut status = 0;
    // SAFETY: waits for the child that was started above.
    assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the child ended with {status:#x}");
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

fn sent(tally: &Tally, spans: u64) {
    assert!(tally.is_conserved(), "{tally:?}");
    assert_eq!((tally.recorded(), tally.sent()), (spans, spans), "{tally:?}");
}

/// The child's first record starts its own threads, and the handle that the parent had is good for them.
fn goes_on() {
    let tracing = traced_runtime::init("forks");
    let before = work();
    fork(|| {
        assert_eq!(threads(), 1, "a fork starts nothing");
        assert_eq!(tracing.flush(DEADLINE), Tally::default(), "nothing of the parent's is flushed");
        assert!(Tracer::installed().is_some());
        assert_eq!(threads(), 1, "asking starts nothing");
        let here = work();
        assert_ne!(here.trace_id(), before.trace_id());
        assert!(threads() > 1);
        thread::spawn(work).join().unwrap();
        sent(&tracing.flush(DEADLINE), 2);
        // A child of the child.
        fork(|| {
            assert_eq!(threads(), 1);
            work();
            sent(&tracing.shutdown(DEADLINE), 1);
            work();
            assert_eq!(tracing.flush(DEADLINE), Tally::default(), "the tracer is gone");
        });
        work();
        sent(&Tracer::installed().unwrap().shutdown(DEADLINE), 3);
    });
    work();
    sent(&tracing.shutdown(DEADLINE), 2);
}

/// What is open when the process forks is the parent's; what the child does inside of it is in its trace.
fn inside() {
    let tracing = traced_runtime::init("forks");
    {
        let _outer = span!("outer");
        let loose = Span::start("loose");
        let explicit = Span::start("explicit");
        let scope = explicit.attach();
        let inner = span!("inner");
        let context = Context::current();
        fork(|| {
            traced_runtime::tag("told by", "the child");
            let here = work();
            assert_eq!(here.trace_id(), context.trace_id());
            context.run(work);
            drop(inner);
            work();
            drop(scope);
            work();
            loose.finish();
            assert_eq!(Context::current().trace_id(), context.trace_id());
            sent(&tracing.flush(DEADLINE), 4);
        });
        traced_runtime::tag("told by", "the parent");
    }
    sent(&tracing.shutdown(DEADLINE), 4);
}

struct Nobody(Arc<AtomicU64>);

impl Reporter for Nobody {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// A backend of the program's own stays in the parent: the child's spans are counted, and told once.
fn left_behind() {
    let reported = Arc::new(AtomicU64::new(0));
    let builder = |reported: &Arc<AtomicU64>| {
        let builder = Tracer::builder("forks").reporter(Nobody(reported.clone()));
        builder.linger(Duration::from_secs(3600)).summary(false)
    };
    let tracing = builder(&reported).install().unwrap();
    work();
    fork(|| {
        work();
        work();
        let tally = tracing.flush(DEADLINE);
        assert_eq!((tally.recorded(), tally.dropped_by(DropReason::ReporterFailed)), (2, 2), "{tally:?}");
        let own = Arc::new(AtomicU64::new(0));
        let installed = builder(&own).install().unwrap();
        work();
        sent(&installed.shutdown(DEADLINE), 1);
        assert_eq!(own.load(Ordering::Relaxed), 1);
    });
    fork(|| {
        // Before the first record as well, and the other way round it is a second one.
        let own = Arc::new(AtomicU64::new(0));
        let installed = builder(&own).install().unwrap();
        assert!(builder(&own).install().is_err());
        work();
        sent(&installed.shutdown(DEADLINE), 1);
    });
    assert_eq!(reported.load(Ordering::Relaxed), 0, "nothing was flushed yet");
    // Dropped in the child, the guard ends nothing; the parent drops it when the fork is done.
    fork(|| drop::<Installed>(tracing));
    assert_eq!(reported.load(Ordering::Relaxed), 1);
}

/// Threads hold every lock there is, now and then; a child of any moment must not wait for one of them.
fn locks() {
    let tracing = traced_runtime::init("forks");
    let done = AtomicBool::new(false);
    let mut children = 0;
    let until_done = |step: &dyn Fn()| {
        while !done.load(Ordering::Relaxed) {
            step();
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        let (tracing, until_done) = (&tracing, &until_done);
        scope.spawn(|| until_done(&|| drop(Tracer::installed())));
        scope.spawn(|| {
            until_done(&|| tracing.set_sampler(Sampler::rules([("work", Sampler::always())], Sampler::never())));
        });
        scope.spawn(|| until_done(&|| _ = tracing.stats()));
        scope.spawn(|| until_done(&|| _ = tracing.flush(Duration::ZERO)));
        scope.spawn(|| {
            until_done(&|| {
                let other = Tracer::builder("other").reporter(Nobody(Arc::default())).build().unwrap();
                other.context().run(work);
                _ = other.shutdown(Duration::ZERO);
            });
        });
        for _ in 0..100 {
            fork(|| {
                work();
                sent(&tracing.shutdown(DEADLINE), 1);
            });
            children += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(tracing.shutdown(DEADLINE).recorded(), 0);
    println!("children {children}");
}

/// A child whose log has another size cannot have its parent's tracer. Who is told so may record, build and flush.
fn not_started() {
    let told = Arc::new(AtomicU64::new(0));
    let count = told.clone();
    let tracing = Tracer::builder("forks").log_bytes(1 << 20).reporter(Nobody(Arc::default())).summary(false);
    let tracing = tracing.on_notice(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Span::start("in the hook").finish();
        work();
        assert_eq!(Tracer::builder("hook").build().unwrap().flush(DEADLINE), Tally::default());
    });
    let tracing = tracing.install().unwrap();
    work();
    fork(|| {
        let own = Tracer::builder("own").log_bytes(4 << 20).reporter(Nobody(Arc::default())).build().unwrap();
        Span::start("first").finish();
        assert_eq!(told.load(Ordering::Relaxed), 1);
        work();
        assert_eq!(told.load(Ordering::Relaxed), 1, "once");
        own.context().run(work);
        sent(&own.shutdown(DEADLINE), 1);
    });
    sent(&tracing.shutdown(DEADLINE), 1);
}

/// An allocator that opens a span for each allocation, while the thread wants that.
struct Traced;

thread_local! {
    static TRACES_ALLOCATIONS: Cell<bool> = const { Cell::new(false) };
}

impl Traced {
    fn note() {
        // A span allocates, too.
        if TRACES_ALLOCATIONS.replace(false) {
            Span::start("allocation").finish();
            TRACES_ALLOCATIONS.set(true);
        }
    }
}

// SAFETY: everything is handed to the system's allocator.
unsafe impl GlobalAlloc for Traced {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Traced = Traced;

/// Starting the tracer allocates, and is the first thing that is recorded.
fn allocator() {
    let tracing = traced_runtime::init("forks");
    work();
    fork(|| {
        // What is made for the process is there already: the first allocation comes in the middle of the start.
        let other = Tracer::builder("other").reporter(Nobody(Arc::default())).build().unwrap();
        _ = tracing.stats();
        TRACES_ALLOCATIONS.set(true);
        work();
        TRACES_ALLOCATIONS.set(false);
        let tally = tracing.shutdown(DEADLINE);
        assert!(tally.is_conserved(), "{tally:?}");
        // There was no log yet for some.
        assert!(tally.sent() >= 1 && tally.dropped_by(DropReason::Reentrant) >= 1, "{tally:?}");
        assert_eq!(tally.sent() + tally.dropped_by(DropReason::Reentrant), tally.recorded(), "{tally:?}");
        drop(other);
    });
    sent(&tracing.shutdown(DEADLINE), 1);
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("goes on") => goes_on(),
        Some("inside") => inside(),
        Some("left behind") => left_behind(),
        Some("locks") => locks(),
        Some("not started") => not_started(),
        Some("allocator") => allocator(),
        other => panic!("no scenario {other:?}"),
    }
}
