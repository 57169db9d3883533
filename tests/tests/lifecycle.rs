//! How tracing ends: in time, wherever it is, whatever the collector does.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use traced_runtime::{DropReason, Tally, Tracer, span, tag, traced};
use traced_tests::{Answer, Collector, Program};

#[traced]
fn leaf() {}

mod ends {
    use super::*;

    /// Of a program that ends so the spans were sent, all of them, before it ended.
    fn sends(scenario: &str, code: i32, names: &[&str]) {
        let collector = Collector::start();
        let program = Program::example_of("traced-tests", "drops").arg(scenario);
        let output = program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", collector.url()).run(Duration::from_secs(60));
        assert_eq!(output.status.code(), Some(code), "{scenario}: {output:?}");
        let spans = collector.accepted_spans();
        let mut sent: Vec<_> = spans.iter().filter_map(|span| span["name"].as_str()).collect();
        sent.sort_unstable();
        assert_eq!(sent, names, "{scenario}");
        let said = format!("{}{}", output.stdout, output.stderr);
        let count = names.len();
        assert!(said.contains(&format!("sent {count} spans in 1 batch, 0 dropped")), "{scenario}: {said}");
    }

    #[test]
    fn without_a_runtime() {
        sends("no runtime", 0, &["request", "step"]);
        sends("on another thread", 0, &["request", "step"]);
    }

    #[test]
    fn around_a_runtime() {
        sends("around a runtime", 0, &["request", "step"]);
        sends("after a runtime that has tasks", 0, &["request", "request", "step"]);
    }

    #[test]
    fn inside_a_runtime() {
        sends("inside block_on, current thread", 0, &["request", "step"]);
        sends("inside block_on, many threads", 0, &["request", "step"]);
        sends("inside a task", 0, &["request", "step"]);
    }

    #[test]
    fn in_a_panic() {
        sends("in a panic hook", 3, &["request", "step", "step"]);
        sends("while panicking", 101, &["request", "step"]);
    }
}

/// Standard error is a pipe that is full, and whose reader stands still.
mod with_a_stuck_terminal {
    use super::*;

    /// A program that prints trees, notices and a summary, with two seconds for each flush and for its end.
    fn ends(url: &str) -> String {
        let program = Program::example_of("traced-tests", "ends").arg("return").stuck_stderr();
        let program = program.env("TRACED_TREE", "1").env("ENDS_DEADLINE_MS", 2_000);
        let start = Instant::now();
        let output = program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", url).run(Duration::from_secs(60));
        let time = start.elapsed();
        assert!(output.status.success(), "{output:?}");
        // A flush and an end, and what starting takes on a busy machine.
        assert!(time < Duration::from_secs(10), "{time:?}");
        output.stdout
    }

    #[test]
    fn spans_are_sent_all_the_same() {
        let collector = Collector::start();
        assert_eq!(ends(&collector.url()), "sent 1 span in 1 batch, 0 dropped\n");
        assert_eq!(collector.accepted_spans().len(), 2);
    }

    #[test]
    fn trouble_is_not_told_and_the_program_ends() {
        assert_eq!(ends(&Collector::absent().url()), "sent 0 spans, 1 still queued, 0 dropped\n");
    }
}

/// Somebody has standard error's lock, and keeps it: the thread that ends the tracing, or one that stands still.
#[test]
fn the_summary_is_printed_though_standard_error_is_locked() {
    for how in ["locked", "locked elsewhere"] {
        let collector = Collector::start();
        let program = Program::example_of("traced-tests", "ends").arg(how);
        let start = Instant::now();
        let output = program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", collector.url()).run(Duration::from_secs(60));
        let time = start.elapsed();
        assert!(output.status.success(), "{how}: {output:?}");
        assert_eq!(output.stderr, "traced: sent 2 spans in 2 batches, 0 dropped\n", "{how}");
        // What starting takes on a busy machine; the deadline, which nothing here waits for, is in 20 s.
        assert!(time < Duration::from_secs(10), "{how}: {time:?}");
    }
}

mod deadlines {
    use super::*;

    /// How long somebody waits at most.
    const DEADLINE: Duration = Duration::from_millis(400);
    /// And how much longer it may take.
    const WITHIN: Duration = Duration::from_millis(100);
    /// Each of so many is in time.
    const TRIES: usize = 3;
    /// Threads that have to be woken one after the other before somebody who waits goes on: the drain, the tracer's, and the
    /// waiting one itself. On a machine that does other things, too, each may be as late as one that only sleeps.
    const WOKEN: u32 = 3;

    /// A collector that takes connections in its kernel, and never looks at them.
    fn deaf() -> (TcpListener, String) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let url = format!("http://{}/api/v2/spans", listener.local_addr().expect("its address"));
        (listener, url)
    }

    fn tracer(url: &str) -> Tracer {
        let builder = Tracer::builder("deadlines").collector(url).linger(Duration::ZERO).on_notice(|_| ());
        builder.build().expect("a tracer")
    }

    /// Several requests.
    fn fill(tracer: &Tracer) {
        tracer.context().run(|| {
            for _ in 0..SPANS {
                let _span = span!("large");
                for n in 0..7 {
                    tag(&format!("key {n}"), "x".repeat(16 << 10));
                }
            }
        });
    }

    const SPANS: u64 = 10;

    /// How long work takes, and how late the machine wakes a thread meanwhile, at worst.
    fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration, Duration) {
        const NAP: Duration = Duration::from_millis(1);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let sleeping = scope.spawn(|| {
                let mut late = Duration::ZERO;
                while !done.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    thread::sleep(NAP);
                    late = late.max(start.elapsed().saturating_sub(NAP));
                }
                late
            });
            let start = Instant::now();
            let result = work();
            let time = start.elapsed();
            done.store(true, Ordering::Relaxed);
            (result, time, sleeping.join().expect("it only sleeps"))
        })
    }

    /// `prepared` is what happens before anybody waits.
    fn keeps<T>(what: &str, mut prepared: impl FnMut() -> T, wait: impl Fn(T) -> Tally) {
        for _ in 0..TRIES {
            let subject = prepared();
            let (tally, time, late) = timed(|| wait(subject));
            assert!(tally.is_conserved(), "{what}: {tally:?}");
            let within = DEADLINE + WITHIN + WOKEN * late;
            assert!(time < within, "{what} took {time:?}, where threads were {late:?} late");
        }
    }

    #[test]
    fn are_kept_whatever_the_collector_does() {
        let silent = Collector::start();
        silent.answer(Answer::silence());
        let slow = Collector::start();
        slow.answer(Answer::status(202).after(Duration::from_secs(3)));
        let busy = Collector::start();
        busy.answer(Answer::status(503).header("retry-after", 30));
        let resetting = Collector::start();
        resetting.answer(Answer::reset());
        let garbage = Collector::start();
        garbage.answer(Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nx"));
        let (_listener, deaf) = deaf();
        let absent = Collector::absent();
        for (what, url) in [
            ("absent", absent.url()),
            ("deaf", deaf),
            ("silent", silent.url()),
            ("slow", slow.url()),
            ("busy", busy.url()),
            ("resetting", resetting.url()),
            ("lying about its length", garbage.url()),
        ] {
            let filled = || {
                let tracer = tracer(&url);
                fill(&tracer);
                tracer
            };
            let first = filled();
            keeps(&format!("flush, {what}"), || &first, |first| first.flush(DEADLINE));
            keeps(&format!("shutdown, {what}"), filled, |tracer| {
                let tally = tracer.shutdown(DEADLINE);
                assert_eq!((tally.recorded(), tally.queued()), (SPANS, 0), "{what}: {tally:?}");
                tally
            });
            keeps(&format!("shutdown after a flush, {what}"), || &first, |first| first.shutdown(DEADLINE));
            assert_eq!(first.shutdown(DEADLINE), first.flush(DEADLINE), "{what}");
            let installed = || {
                let builder = Tracer::builder("deadlines").collector(&url).on_notice(|_| ()).summary(false);
                let installed = builder.shutdown_deadline(DEADLINE).install().expect("nothing is installed");
                fill(&installed);
                installed
            };
            keeps(&format!("drop, {what}"), installed, |installed| {
                let tracer = Tracer::clone(&installed);
                drop(installed);
                tracer.stats().tally()
            });
        }
        // Nothing to wait for: no deadline is used up.
        let tracer = tracer(&silent.url());
        assert_eq!(tracer.flush(Duration::from_secs(3600)), Tally::default());
        assert_eq!(tracer.shutdown(Duration::from_secs(3600)), Tally::default());
    }

    #[test]
    fn that_have_passed_lose_what_is_left_and_count_it() {
        let silent = Collector::start();
        silent.answer(Answer::silence());
        let tracer = tracer(&silent.url());
        tracer.context().run(leaf);
        silent.wait_for(1);
        tracer.context().run(leaf);
        let tally = tracer.shutdown(Duration::ZERO);
        assert!(tally.is_conserved(), "{tally:?}");
        assert_eq!((tally.recorded(), tally.dropped_by(DropReason::Deadline)), (2, 2), "{tally:?}");
        tracer.context().run(leaf);
        assert_eq!(tracer.stats().tally(), tally, "after its end it records nothing");
    }
}
