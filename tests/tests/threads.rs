//! Threads that come and go, open much, or trace where nobody expects it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use traced_runtime::{
    Context, DropReason, InContext as _, Outcome, ReportError, Reporter, Span, SpanRecord, Tracer, limits, span,
    testing, traced,
};
use traced_tests::{Checked, now};

#[traced]
fn leaf() {}

/// Counts what it is given.
struct Count(Arc<AtomicU64>);

impl Reporter for Count {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// A tracer that shares the process's log, and is read by its thread.
fn built(queue_bytes: usize) -> (Tracer, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let tracer = Tracer::builder("threads")
        .reporter(Count(count.clone()))
        .queue_bytes(queue_bytes)
        .linger(Duration::ZERO)
        .build()
        .expect("a tracer");
    (tracer, count)
}

mod ends {
    use super::*;

    #[test]
    fn of_ten_thousand_short_threads_lose_nothing() {
        const THREADS: u64 = 10_000;
        let (built, sent) = built(64 << 20);
        let kit = Checked::new();
        for _ in 0..THREADS / 4 {
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        built.context().run(|| {
                            let _outer = span!("outer");
                            leaf();
                        });
                        kit.run(leaf);
                    });
                }
            });
            // A test's logs are read when it asks.
            drop(kit.open_spans());
        }
        let tally = built.shutdown(Duration::from_secs(60));
        assert!(tally.is_conserved(), "{tally:?}");
        assert_eq!((tally.recorded(), tally.sent()), (2 * THREADS, 2 * THREADS), "{tally:?}");
        assert_eq!(sent.load(Ordering::Relaxed), 2 * THREADS);
        assert_eq!(kit.flush(Duration::ZERO).sent(), THREADS);
    }

    thread_local! {
        static AT_END: AtEnd = const { AtEnd(RefCell::new(Vec::new())) };
    }

    struct AtEnd(RefCell<Vec<Box<dyn FnOnce()>>>);

    impl Drop for AtEnd {
        fn drop(&mut self) {
            for code in self.0.take() {
                code();
            }
        }
    }

    /// What is below a trace that a thread lost at its end, on this thread and on others, and how many spans that is.
    #[test]
    fn and_lose_a_trace_with_all_below_it_for_that_reason() {
        #[traced]
        async fn task() {}

        type Code = fn();
        let cases: [(Code, u64); 7] = [
            (leaf, 1),
            (
                || {
                    let _guard = span!("guard");
                    leaf();
                },
                2,
            ),
            (|| drop(Span::start("span")), 1),
            (
                || {
                    let span = Span::start("span");
                    let _scope = span.attach();
                    thread::spawn(Context::current().wrap(leaf)).join().expect("a thread");
                },
                2,
            ),
            (
                || {
                    let span = Span::start("span");
                    let _scope = span.attach();
                    let future = task().in_current_context();
                    thread::spawn(|| now(future)).join().expect("a thread");
                },
                2,
            ),
            (
                || {
                    let span = Span::start("span");
                    thread::spawn(move || drop(Span::child_of(&span, "below"))).join().expect("a thread");
                },
                2,
            ),
            (
                || {
                    let future = task().in_span(Span::start("span"));
                    thread::spawn(|| now(future)).join().expect("a thread");
                },
                2,
            ),
        ];
        for (code, spans) in cases {
            let tracer = Checked::new();
            let handle: Tracer = (**tracer).clone();
            let thread = thread::spawn(move || {
                AT_END.with(|_| ());
                let context = handle.context();
                // Ours is made after it, and so gone before it.
                context.run(leaf);
                AT_END.with(|at_end| at_end.0.borrow_mut().push(Box::new(move || context.run(code))));
            });
            thread.join().expect("a thread");
            let tally = tracer.flush(Duration::ZERO);
            assert_eq!(tally.dropped_by(DropReason::ThreadEnded), spans, "{tally:?}");
            assert_eq!(tally.dropped(), spans, "{tally:?}");
        }
    }

    #[test]
    fn with_spans_in_thread_local_destructors_are_counted() {
        // What is handed to destructors owns it all, hence the tracer's handle and real threads that are joined.
        for ours_first in [true, false] {
            let tracer = Checked::new();
            let handle: Tracer = (**tracer).clone();
            let thread = thread::spawn(move || {
                if ours_first {
                    handle.context().run(leaf);
                }
                AT_END.with(|_| ());
                if !ours_first {
                    handle.context().run(leaf);
                }
                let open = handle.context().run(|| Span::start("ended in a destructor"));
                let guard = handle.context().run(|| {
                    let scope = open.context().attach();
                    let guard = span!("guard");
                    drop(scope);
                    guard
                });
                AT_END.with(|last| {
                    last.0.borrow_mut().push(Box::new(move || {
                        handle.context().run(leaf);
                        handle.context().run(|| Span::start("late").tag("key", 1));
                        open.tag("late", 1);
                        drop(guard);
                        drop(open);
                    }));
                });
            });
            thread.join().expect("no panic");
            let tally = tracer.flush(Duration::ZERO);
            assert!(tally.is_conserved(), "{tally:?}");
            let (sent, lost) = (tally.sent(), tally.dropped_by(DropReason::ThreadEnded));
            // Where our own destructor ran first there is no log left to write an end to.
            assert_eq!(sent + lost, 5, "{tally:?}\n{}", tracer.tree());
            assert_eq!(tracer.open_spans().len(), 0);
            let tally = tracer.shutdown(Duration::ZERO);
            assert_eq!(tally.recorded(), 5, "each span is counted once: {tally:?}\n{}", tracer.tree());
        }
    }

    #[test]
    fn with_open_spans_report_them_unfinished() {
        let (built, sent) = built(1 << 20);
        let handle = built.clone();
        thread::spawn(move || {
            handle.context().run(|| {
                std::mem::forget(span!("outer"));
                std::mem::forget(span!("inner"));
            });
        })
        .join()
        .expect("no panic");
        let tally = built.shutdown(Duration::from_secs(60));
        assert_eq!((tally.recorded(), tally.sent()), (2, 2), "{tally:?}");
        assert_eq!(sent.load(Ordering::Relaxed), 2);
    }
}

mod depth {
    use super::*;

    fn nested(depth: u32, reached: &mut u32) {
        let _span = span!("nested");
        *reached += 1;
        if depth > 1 {
            nested(depth - 1, reached);
        }
    }

    const NESTED: u32 = 5_000;

    #[test]
    fn beyond_the_limit_is_counted_and_overruns_nothing() {
        let tracer = Checked::with(testing::Tracer::options().log_bytes(64 << 20));
        tracer.run(|| nested(NESTED, &mut 0));
        let tally = tracer.flush(Duration::ZERO);
        assert_eq!(tally.sent(), u64::from(limits::DEPTH), "{tally:?}");
        assert_eq!(tally.dropped_by(DropReason::TooDeep), u64::from(NESTED - limits::DEPTH), "{tally:?}");
        tracer.clear();
        tracer.run(leaf);
        tracer.assert_tree("leaf");
    }

    #[test]
    fn beyond_the_limit_is_counted_on_the_hot_path() {
        let (tracer, sent) = built(64 << 20);
        tracer.context().run(|| nested(NESTED, &mut 0));
        tracer.context().run(leaf);
        let tally = tracer.shutdown(Duration::from_secs(60));
        assert!(tally.is_conserved(), "{tally:?}");
        assert_eq!(tally.recorded(), u64::from(NESTED) + 1, "{tally:?}");
        assert_eq!(sent.load(Ordering::Relaxed), tally.sent());
        assert_eq!(tally.dropped_by(DropReason::TooDeep), u64::from(NESTED - limits::DEPTH), "{tally:?}");
    }

    #[test]
    fn a_deep_span_that_is_not_recorded_is_transparent() {
        let tracer = Checked::with(testing::Tracer::options().log_bytes(64 << 20));
        let mut context = Context::none();
        fn at(depth: u32, context: &mut Context) {
            let _span = span!("nested");
            if depth > 1 {
                at(depth - 1, context);
            } else {
                *context = Context::current();
                // A context of its own starts a count of its own in no way: the thread's spans are open all the same.
                Span::start("explicit").finish();
            }
        }
        tracer.run(|| at(limits::DEPTH + 10, &mut context));
        let explicit = tracer.span("explicit");
        assert_eq!(explicit.parent_id(), context.span_id());
        let spans = tracer.spans();
        let parent = spans.iter().find(|span| Some(span.id()) == context.span_id());
        assert!(parent.is_some_and(|parent| parent.outcome() == Outcome::Returned));
    }
}
