//! Nothing is lost without being counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Task, Waker};
use std::thread;
use std::time::Duration;

use traced_runtime::{
    Context, DropReason, ReportError, Reporter, Span, SpanRecord, Tracer, limits, span, tag, testing, traced,
};
use traced_tests::Checked;

#[traced]
fn leaf() {}

#[traced]
async fn waits() {
    tokio::task::yield_now().await;
}

struct Count(Arc<AtomicU64>);

impl Reporter for Count {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

const DEADLINE: Duration = Duration::from_secs(60);

/// Takes a millisecond for each batch.
struct Slow(Count);

impl Reporter for Slow {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        thread::sleep(Duration::from_millis(1));
        self.0.report(batch)
    }
}

/// Who flushes wants to read what others wait to hand on, and nobody's spans are dropped for that.
#[test]
fn flushes_at_once_cost_no_spans_though_the_queue_is_small() {
    const THREADS: u64 = 4;
    const TIMES: u64 = 30;
    const SPANS: u64 = 12;
    let count = Arc::new(AtomicU64::new(0));
    let tracer = Tracer::builder("counts")
        .reporter(Slow(Count(count.clone())))
        .queue_bytes(2 << 10)
        .batch_bytes(2 << 10)
        .on_notice(|_| ())
        .build()
        .expect("a tracer");
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..TIMES {
                    tracer.context().run(|| (0..SPANS).for_each(|_| leaf()));
                    let tally = tracer.flush(DEADLINE);
                    assert_eq!(tally.dropped(), 0, "{tally:?}");
                }
            });
        }
    });
    assert_eq!(tracer.shutdown(DEADLINE).sent(), THREADS * TIMES * SPANS);
    assert_eq!(count.load(Ordering::Relaxed), THREADS * TIMES * SPANS);
}

#[test]
fn a_tiny_log_loses_spans_and_counts_each() {
    for log_bytes in [0, 1, 1 << 10, 1200, 2 << 10, 4 << 10, 16 << 10, 100 << 10] {
        let tracer = Checked::with(testing::Tracer::options().log_bytes(log_bytes));
        let mut started = 0;
        for round in 0..20 {
            for n in 0..100 {
                tracer.run(|| {
                    let _outer = span!("outer");
                    tag("text", "x".repeat(n));
                    leaf();
                    let explicit = Span::start("explicit");
                    explicit.tag("round", round);
                    let _scope = explicit.attach();
                    leaf();
                });
                started += 4;
            }
            assert!(tracer.stats().tally().is_conserved());
            drop(tracer.open_spans());
        }
        let tally = tracer.shutdown(Duration::ZERO);
        assert!(tally.is_conserved(), "{tally:?}");
        assert_eq!(tally.recorded(), started, "{log_bytes} bytes: {tally:?}");
        assert_eq!(tally.sent(), tracer.spans().len() as u64);
        assert_eq!(tally.dropped(), tally.dropped_by(DropReason::LogFull), "{tally:?}");
        assert!(log_bytes > 2 << 10 || tally.dropped() > 0, "{log_bytes} bytes: {tally:?}");
    }
}

/// Futures whose spans were told as begun while there was room, and end when there is none.
#[test]
fn futures_that_end_without_room_are_lost_and_not_unfinished() {
    let tracer = Checked::with(testing::Tracer::options().log_bytes(16 << 10));
    let mut task = Task::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(tracer.run_async(waits()))).collect();
    assert!(waiting.iter_mut().all(|future| future.as_mut().poll(&mut task).is_pending()));
    assert_eq!(tracer.open_spans().len(), 20);
    let mut started = 20;
    while tracer.stats().tally().dropped() == 0 {
        // Those that found no room to begin end first: their ends take what is left.
        let many: Vec<_> = tracer.run(|| (0..100).map(|_| Span::start("many")).collect());
        many.into_iter().rev().for_each(Span::finish);
        started += 100;
    }
    // Half of them are done, half are cancelled.
    assert!(waiting.drain(..10).all(|mut future| future.as_mut().poll(&mut task).is_ready()));
    drop(waiting);
    assert_eq!(tracer.open_spans().len(), 0);
    let tally = tracer.shutdown(Duration::ZERO);
    assert_eq!(tally.recorded(), started, "{tally:?}");
    assert_eq!(tally.dropped(), tally.dropped_by(DropReason::LogFull), "{tally:?}");
    assert!(tracer.spans().iter().all(|span| span.name() == "many" && span.duration().is_some()));
}

/// When the log has been read there is room again.
#[test]
fn a_log_that_was_full_records_again() {
    let tracer = Checked::with(testing::Tracer::options().log_bytes(40 << 10));
    let mut sent = 0;
    for _ in 0..20 {
        for _ in 0..5_000 {
            tracer.run(leaf);
        }
        let tally = tracer.flush(Duration::ZERO);
        assert!(tally.sent() > sent + 100, "{tally:?}");
        sent = tally.sent();
    }
    assert!(tracer.flush(Duration::ZERO).dropped() > 0);
}

#[test]
fn a_full_log_of_one_tracer_costs_another_nothing() {
    let full = Checked::with(testing::Tracer::options().service("full").log_bytes(1));
    let free = Checked::with(testing::Tracer::options().service("free"));
    for _ in 0..10 {
        full.run(leaf);
        free.run(leaf);
    }
    assert_eq!(full.flush(Duration::ZERO).dropped_by(DropReason::LogFull), 10);
    assert_eq!(free.flush(Duration::ZERO).sent(), 10);
}

#[test]
fn a_span_that_finds_no_room_in_anothers_log_leaves_the_current_one_as_it_is() {
    let full = Checked::with(testing::Tracer::options().service("full").log_bytes(16 << 10));
    let tracer = Checked::new();
    tracer.run(|| {
        let _span = span!("current");
        let current = Context::current();
        while full.stats().tally().dropped() == 0 {
            Span::child_of(full.context(), "elsewhere").finish();
            assert_eq!(Context::current(), current);
        }
    });
}

#[test]
fn a_trace_that_begins_too_deep_is_lost_for_that_reason_with_all_below_it() {
    let tracer = Checked::new();
    tracer.run(|| {
        let mut guards: Vec<_> = (0..limits::DEPTH).map(|_| span!("level")).collect();
        tracer.context().run(|| {
            let _root = span!("too deep");
            leaf();
            drop(Span::start("explicit"));
            thread::spawn(Context::current().wrap(leaf)).join().expect("a thread");
        });
        while guards.pop().is_some() {}
    });
    let tally = tracer.flush(Duration::ZERO);
    assert_eq!((tally.dropped(), tally.dropped_by(DropReason::TooDeep)), (4, 4), "{tally:?}");
}

#[test]
fn what_is_lost_is_lost_with_all_below_it_and_its_ids_are_passed_on() {
    let tracer = Checked::with(testing::Tracer::options().log_bytes(0));
    tracer.run(|| {
        let _root = span!("root");
        let context = Context::current();
        assert!(context.trace_id().is_some() && context.span_id().is_some());
        let _child = span!("child");
        assert_eq!(Context::current(), context);
        leaf();
        let explicit = Span::start("explicit");
        assert_eq!(explicit.context().trace_id(), context.trace_id());
    });
    let tally = tracer.flush(Duration::ZERO);
    assert_eq!((tally.recorded(), tally.dropped_by(DropReason::LogFull)), (4, 4), "{tally:?}");
}
