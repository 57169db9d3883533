//! A program that records more than anybody takes, as its arguments say: a scenario, and for how many seconds.
//!
//! It checks what its reporter gets, and prints what came of it; what it does not hold is a panic.
#![expect(clippy::panic, clippy::unwrap_used, reason = "what goes wrong ends the program, and is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use traced_runtime::{
    Context, DropReason, Notice, NoticeKind, ReportError, Reporter, SendError, Sender, Span, SpanRecord, Tracer, span,
    tag,
};
use traced_tests::tags;

const DEADLINE: Duration = Duration::from_secs(60);

/// Beyond what the program had before: the log (8 MiB), spans held for late tags (4), tags without span (1), open spans that are
/// listed (10), the queue (4), a batch as records; twice, for what allocators and growing tables take, and the stacks of threads.
const MEMORY: u64 = 64 << 20;

/// The most memory that the process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
}

/// Checks that each span is where it was when it was recorded, by its tags. Those for which the log had no room are missing,
/// and counted.
struct Checks {
    spans: Arc<AtomicU64>,
    missing: Arc<AtomicU64>,
    pause: Duration,
}

impl Reporter for Checks {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        for span in batch {
            let expected = [
                ("trace", Some(span.trace_id().to_string())),
                ("id", Some(span.id().to_string())),
                ("parent", span.parent_id().map(|parent| parent.to_string())),
            ];
            for (key, expected) in expected {
                match span.tag(key).map(|value| value.to_string()) {
                    None if expected.is_some() => _ = self.missing.fetch_add(1, Ordering::Relaxed),
                    said => assert_eq!(said, expected, "{key}: {span:?}"),
                }
            }
        }
        self.spans.fetch_add(batch.len() as u64, Ordering::Relaxed);
        thread::sleep(self.pause);
        Ok(())
    }
}

/// Tags the current span with what it is.
fn is_below(parent: Option<&Context>) {
    let context = Context::current();
    if parent.is_some_and(|parent| parent.span_id() == context.span_id()) {
        // The log was full, and the span was not recorded: the current one is its parent.
        return;
    }
    tag("trace", context.trace_id().unwrap());
    tag("id", context.span_id().unwrap());
    if let Some(parent) = parent {
        tag("parent", parent.span_id().unwrap());
    }
}

/// One trace: a root, two children, and a grandchild that is an explicit span.
fn trace() {
    let _root = span!("root");
    is_below(None);
    let root = Context::current();
    for _ in 0..2 {
        let _child = span!("child");
        is_below(Some(&root));
    }
    let explicit = Span::start("explicit");
    let _scope = explicit.attach();
    is_below(Some(&root));
}

const TRACE: u64 = 4;

/// Producers that never rest.
fn producers(seconds: u64, pause: Duration) {
    let (spans, missing) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let reporter = Checks { spans: spans.clone(), missing: missing.clone(), pause };
    let tracing = Tracer::builder("flood").reporter(reporter).on_notice(|_| ()).summary(false).install().unwrap();
    let before = peak();
    let done = AtomicBool::new(false);
    let traces: u64 = thread::scope(|scope| {
        let producer = || {
            let mut traces = 0;
            while !done.load(Ordering::Relaxed) {
                trace();
                traces += 1;
            }
            traces
        };
        let producers: Vec<_> = (0..4).map(|_| scope.spawn(producer)).collect();
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
            let tally = tracing.stats().tally();
            assert!(tally.is_conserved(), "{tally:?}");
        }
        done.store(true, Ordering::Relaxed);
        producers.into_iter().map(|producer| producer.join().unwrap()).sum()
    });
    let tally = tracing.shutdown(DEADLINE);
    let grown = peak() - before;
    let missing = missing.load(Ordering::Relaxed);
    println!("{traces} traces; {tally}; {missing} tags missing; {} KiB of memory", grown >> 10);
    assert_eq!(tally.recorded(), traces * TRACE, "{tally:?}");
    assert_eq!(tally.dropped_by(DropReason::ReporterFailed), 0, "a span is not what it was: {tally:?}");
    assert_eq!(tally.sent(), spans.load(Ordering::Relaxed), "{tally:?}");
    assert_eq!((tally.is_conserved(), tally.queued()), (true, 0), "{tally:?}");
    assert!(missing <= tracing.stats().cut_values(), "{missing} tags are missing, {:?}", tracing.stats());
    assert!(grown < MEMORY, "{grown} bytes");
}

/// What finds no room in the log is told while it happens, to a program that never asks.
fn told() {
    let (tell, notices) = channel();
    let hook = move |notice: &Notice| tell.send((notice.kind(), notice.to_string())).unwrap_or_default();
    let _tracing = Tracer::builder("flood").log_bytes(16 << 10).on_notice(hook).summary(false).install().unwrap();
    let end = Instant::now() + DEADLINE;
    let text = loop {
        trace();
        let told = notices.try_iter().find(|(kind, _)| *kind == NoticeKind::LogFull);
        if let Some((_, text)) = told {
            break text;
        }
        assert!(Instant::now() < end, "nothing was told");
    };
    let expected =
        " dropped because the log was full: they end faster than they are read; raise log_bytes, or sample less";
    assert!(text.ends_with(expected), "{text}");
    println!("{text}");
}

/// Traces of which each has a span that never ends, and tags on them.
fn never_finished(traces: u64) {
    struct Counts;
    impl Reporter for Counts {
        fn report(&mut self, _: &[SpanRecord]) -> Result<(), ReportError> {
            Ok(())
        }
    }
    let tracing = Tracer::builder("flood").reporter(Counts).on_notice(|_| ()).summary(false).install().unwrap();
    let before = peak();
    for number in 0..traces {
        let _none = Context::none().attach();
        if number % 2 == 0 {
            let span = Span::start("never");
            span.tag("number", number);
            std::mem::forget(span);
        } else {
            std::mem::forget(span!("never", "number" = number));
        }
        if number % 100_000 == 0 {
            let tally = tracing.stats().tally();
            assert!(tally.is_conserved(), "{tally:?}");
        }
    }
    let tally = tracing.shutdown(DEADLINE);
    let grown = peak() - before;
    println!("{traces} traces; {tally}; {} KiB of memory", grown >> 10);
    assert_eq!((tally.is_conserved(), tally.queued()), (true, 0), "{tally:?}");
    assert!(tally.recorded() <= traces, "{tally:?}");
    assert!(grown < MEMORY, "{grown} bytes");
}

/// Takes requests, and keeps the length of the longest.
struct Longest(Arc<AtomicU64>);

impl Sender for Longest {
    fn send(&mut self, body: &[u8]) -> Result<(), SendError> {
        self.0.fetch_max(body.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Spans with 10,000 tags each, and spans with tags of a megabyte: sync and explicit, and told by another thread.
fn large_tags(rounds: u64) {
    let longest = Arc::new(AtomicU64::new(0));
    let builder = Tracer::builder("flood").sender(Longest(longest.clone())).on_notice(|_| ()).summary(false);
    let tracing = builder.install().unwrap();
    let long = tags::mebibyte();
    let before = peak();
    for round in 0..rounds {
        let explicit = Span::start("explicit");
        {
            let _many = span!("many");
            tags::many();
            let _large = span!("large");
            tags::large(&long);
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..10_000 {
                    explicit.tag(&format!("key {n}"), n);
                }
                for n in 0..20 {
                    explicit.tag(&format!("large {n}"), long.as_str());
                }
            });
        });
        drop(explicit);
        if round % 4 == 0 {
            let tally = tracing.stats().tally();
            assert!(tally.is_conserved(), "{tally:?}");
        }
    }
    let tally = tracing.shutdown(DEADLINE);
    let (grown, stats) = (peak() - before, tracing.stats());
    println!("{rounds} rounds; {tally}; {} KiB of memory; {stats:?}", grown >> 10);
    assert_eq!(tally.recorded(), 3 * rounds, "{tally:?}");
    assert_eq!((tally.is_conserved(), tally.queued()), (true, 0), "{tally:?}");
    assert!(tally.sent() > 0 && stats.cut_values() > 0, "{stats:?}");
    let longest = longest.load(Ordering::Relaxed);
    assert!(longest <= traced_runtime::Builder::BATCH_BYTES as u64, "a request of {longest} bytes");
    assert!(grown < MEMORY, "{grown} bytes");
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let scenario = arguments.next();
    let number = arguments.next().map_or(1, |number| number.parse().unwrap());
    match scenario.as_deref() {
        Some("fast") => producers(number, Duration::ZERO),
        Some("told") => told(),
        Some("slow") => producers(number, Duration::from_millis(50)),
        Some("large tags") => large_tags(number),
        Some("never finished") => never_finished(number),
        other => panic!("no scenario {other:?}"),
    }
}
