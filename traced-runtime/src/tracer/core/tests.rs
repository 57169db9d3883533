#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::*;
use crate::Context;
use crate::reporter::backend::{ReportError, Reporter};
use crate::reporter::pipeline::Output;
use crate::reporter::record::SpanRecord;
use crate::reporter::worker::tests::{config, soon};
use crate::{Span, span, testing};

/// Tells when spans arrive, and takes them when it is let.
struct Gate {
    arrived: Sender<usize>,
    go: Receiver<()>,
}

impl Reporter for Gate {
    fn report(&mut self, spans: &[SpanRecord]) -> Result<(), ReportError> {
        self.arrived.send(spans.len()).ok();
        // When the test is over nothing is waited for.
        self.go.recv().ok();
        Ok(())
    }
}

/// A tracer without a drain's thread, with a queue for four spans and a backend that has the first one in its hands.
struct Held {
    core: Arc<Core>,
    arrived: Receiver<usize>,
    go: Sender<()>,
}

fn context_of(core: &Core) -> Context {
    Context::new(crate::model::ids::Ids::of_tracer(core.reference), None)
}

/// A tracer whose queue, and each batch, holds so many bytes.
fn of_pipeline(drain: &Arc<Drain>, reporter: impl Reporter, bytes: usize) -> Arc<Core> {
    let (mut config, _) = config(Output::Reporter(Box::new(reporter)));
    (config.queue_bytes, config.batch_bytes, config.linger) = (bytes, bytes, Duration::ZERO);
    let parts = Parts { drain: Arc::clone(drain), pipeline: Pipeline::start(config).unwrap(), trees: None };
    let settings = testing::Tracer::options().slot_settings();
    Core::of_parts(parts, settings, Endpoint::named("test"), Crossing::default()).unwrap()
}

impl Held {
    fn new() -> Self {
        let (tell, arrived) = channel();
        let (go, wait) = channel();
        let drain = Drain::new(Registry::of_test(Clock::Os, 64 << 20, 1));
        let bytes = 4 * SpanRecord::sample("span", 1, 1, 0).size();
        let core = of_pipeline(&drain, Gate { arrived: tell, go: wait }, bytes);
        let held = Self { core, arrived, go };
        held.context().run(|| drop(span!("first")));
        held.core.drain.flush(held.core.reference, soon());
        assert_eq!(held.arrived.recv().unwrap(), 1);
        held
    }

    fn context(&self) -> Context {
        context_of(&self.core)
    }

    /// The backend takes everything from now on.
    fn open(&self) {
        // When the tracer has ended there is nobody to let.
        (0..10_000).for_each(|_| self.go.send(()).unwrap_or_default());
    }
}

/// What found no room when a round had to end is no reason to hand on at once what ends later: late tags still find it.
#[test]
fn what_is_left_over_takes_no_other_span_its_time() {
    let held = Held::new();
    let _wanted = held.core.drain.wanted();
    held.context().run(|| (0..20_000).for_each(|_| drop(span!("too many"))));
    held.core.drain.flush(held.core.reference, Instant::now());
    assert!(held.core.stats().tally().dropped() > 0, "more than is kept");
    let span = held.context().run(|| Span::start("tagged later"));
    let context = span.context();
    span.finish();
    held.context().run(|| (0..500).for_each(|_| drop(span!("more than has room beside what is left over"))));
    held.core.drain.round_now();
    context.tag("late", 1);
    held.core.drain.round_now();
    held.open();
    held.core.shutdown(soon());
    assert_eq!(held.core.pipeline().stats().late_tags(), 0);
}

#[test]
fn a_shutdown_beside_others_who_read_waits_for_room() {
    let held = Held::new();
    let _wanted = held.core.drain.wanted();
    held.context().run(|| (0..500).for_each(|_| drop(span!("many"))));
    let open = held.context().run(|| Span::start("open"));
    held.open();
    let tally = held.core.shutdown(soon());
    assert_eq!((tally.recorded(), tally.sent()), (502, 502), "{tally}");
    drop(open);
}

#[test]
fn a_second_shutdown_takes_nothing_from_the_first() {
    let held = Held::new();
    held.context().run(|| (0..500).for_each(|_| drop(span!("many"))));
    thread::scope(|scope| {
        let first = scope.spawn(|| held.core.shutdown(soon()));
        while held.core.end.is_far() {
            thread::yield_now();
        }
        let impatient = held.core.shutdown(Instant::now());
        assert_eq!(impatient.sent(), 0, "{impatient}");
        assert!(impatient.is_conserved());
        let second = scope.spawn(|| held.core.shutdown(soon()));
        held.open();
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        assert_eq!((first.recorded(), first.sent()), (501, 501), "{first}");
        assert_eq!(second, first);
        assert_eq!(held.core.shutdown(Instant::now()), first);
    });
}

/// It may have asked whether the tracer is there just before that ended, and come to read after it.
#[test]
fn a_flush_beside_a_shutdown_waits_for_the_last_spans_too() {
    for _ in 0..10 {
        let held = Held::new();
        held.context().run(|| (0..3_000).for_each(|_| drop(span!("many"))));
        thread::scope(|scope| {
            let first = scope.spawn(|| held.core.shutdown(soon()));
            while held.core.end.is_far() {
                thread::yield_now();
            }
            let flush = scope.spawn(|| held.core.flush(soon()));
            // A backend that is slow, and not stuck: a batch goes when the next one is asked for, until the tracer has ended.
            held.go.send(()).unwrap();
            while held.arrived.recv().is_ok() {
                held.go.send(()).unwrap_or_default();
            }
            let tally = flush.join().unwrap();
            assert_eq!((tally.recorded(), tally.queued()), (3_001, 0), "{tally:?}");
            first.join().unwrap();
        });
    }
}

/// Its destructor may be what writes the last of it.
#[test]
fn a_shutdown_after_one_by_the_reporter_waits_for_the_reporter() {
    struct Ends {
        core: Arc<OnceLock<Arc<Core>>>,
        called: Sender<()>,
        go: Receiver<()>,
        dropped: Arc<AtomicBool>,
    }
    impl Reporter for Ends {
        fn report(&mut self, _: &[SpanRecord]) -> Result<(), ReportError> {
            self.core.get().unwrap().shutdown(soon());
            self.called.send(()).unwrap();
            self.go.recv().unwrap();
            Ok(())
        }
    }
    impl Drop for Ends {
        fn drop(&mut self) {
            self.dropped.store(true, Ordering::Release);
        }
    }
    let (core, dropped, (called, was_called)) = (Arc::default(), Arc::new(AtomicBool::new(false)), channel());
    let (open, go) = channel();
    let reporter = Ends { core: Arc::clone(&core), called, go, dropped: Arc::clone(&dropped) };
    let mine = of_pipeline(&Drain::new(Registry::of_test(Clock::Os, 64 << 20, 1)), reporter, usize::MAX);
    core.set(Arc::clone(&mine)).unwrap();
    context_of(&mine).run(|| drop(span!("one")));
    mine.drain.flush(mine.reference, soon());
    was_called.recv().unwrap();
    // All of its time, as long as the reporter reports.
    let deadline = Instant::now() + Duration::from_millis(20);
    mine.shutdown(deadline);
    assert!(Instant::now() >= deadline, "the reporter still reports");
    open.send(()).unwrap();
    mine.shutdown(soon());
    assert!(dropped.load(Ordering::Acquire), "the reporter still reports");
}

struct Takes;

impl Reporter for Takes {
    fn report(&mut self, _: &[SpanRecord]) -> Result<(), ReportError> {
        Ok(())
    }
}

#[test]
fn flushes_do_not_wait_for_another_tracers_backend() {
    let hangs = Held::new();
    let takes = of_pipeline(&hangs.core.drain, Takes, usize::MAX);
    // Who hurries others, and is hurried, waits for no room: what is left over is the other tracer's.
    let _wanted = hangs.core.drain.wanted();
    hangs.context().run(|| (0..500).for_each(|_| drop(span!("many"))));
    context_of(&takes).run(|| drop(span!("one")));
    let deadline = soon();
    assert_eq!(takes.flush(deadline).sent(), 1);
    assert!(Instant::now() < deadline, "it waited for what is not its own");
    assert!(hangs.core.stats().tally().queued() > 4, "something is left over");
    hangs.open();
}

/// It runs on the thread that prints, too, which must not wait for itself.
#[test]
fn a_redaction_hook_that_flushes_does_not_wait_where_trees_are_printed() {
    let cell = Arc::new(OnceLock::<crate::Tracer>::new());
    let (hook, deadline) = (Arc::clone(&cell), Duration::from_secs(20));
    let tracer = crate::Tracer::builder("flushes")
        .reporter(Takes)
        .print_trees()
        .redact(move |_| _ = hook.get().unwrap().flush(deadline).sent())
        .build()
        .unwrap();
    cell.set(tracer.clone()).unwrap();
    tracer.context().run(|| drop(span!("one")));
    let began = Instant::now();
    assert_eq!(tracer.flush(deadline).sent(), 1);
    assert!(began.elapsed() < deadline, "{:?}", began.elapsed());
}
