//! What the redaction hook removes leaves the process by no way.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use traced_runtime::{DropReason, NoticeKind, Outcome, Span, SpanRecord, Tracer, annotate, span, tag, traced};
use traced_tests::Collector;

const DEADLINE: Duration = Duration::from_secs(60);

/// No span may bring it to the collector.
const SECRET: &str = "hunter2";

fn hide(span: &mut SpanRecord) {
    span.retain_tags(|key, _| key != "password");
    span.replace_texts(|text| text.contains(SECRET).then(|| text.replace(SECRET, "***")));
    span.set_tag("seen", traced_runtime::TagValue::Bool(true));
}

fn tracer(collector: &Collector, hook: impl Fn(&mut SpanRecord) + Send + Sync + 'static) -> Tracer {
    let builder = Tracer::builder("redaction").collector(collector.url()).redact(hook);
    builder.on_notice(|_| ()).build().expect("a tracer")
}

#[traced(tags(password))]
fn log_in(password: &str) -> io::Result<()> {
    annotate(&format!("{password} is tried"));
    Err(io::Error::other(format!("{password} is wrong")))
}

#[test]
fn sees_every_span_the_unfinished_ones_included() {
    let collector = Collector::start();
    let tracer = tracer(&collector, hide);
    let open = tracer.context().run(|| {
        log_in(SECRET).expect_err("it is wrong");
        let named = Span::start("named later");
        named.name(&format!("of {SECRET}"));
        let open = Span::start("open");
        open.tag("about", SECRET);
        open
    });
    assert_eq!(tracer.flush(DEADLINE).sent(), 2);
    let tally = tracer.shutdown(DEADLINE);
    assert_eq!((tally.recorded(), tally.sent()), (3, 3), "{tally:?}");
    drop(open);
    for request in collector.received() {
        assert!(!request.text().contains(SECRET), "{}", request.text());
    }
    let spans = collector.accepted_spans();
    assert_eq!(spans.len(), 3);
    assert!(spans.iter().all(|span| span["tags"]["seen"] == "true"), "{spans:#?}");
    let find = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap_or(&Value::Null);
    assert_eq!(find("log_in")["tags"]["error"], "*** is wrong");
    assert_eq!(find("log_in")["annotations"][0]["value"], "*** is tried");
    assert_eq!(find("of ***")["tags"]["seen"], "true");
    assert_eq!(find("open")["tags"]["about"], "***");
}

/// All files below.
fn files(directory: &Path) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(std::fs::read(&path).expect("a file"));
        }
    }
    files
}

fn holds(file: &[u8], text: &str) -> bool {
    file.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Neither a batch that was being sent when the outage began, nor what was never tried, nor what was open at the end.
#[test]
fn comes_before_the_spool_too() {
    let mut collector = Collector::start();
    collector.down();
    let spool = tempfile::tempdir().expect("a directory");
    let url = collector.url();
    let tracer = |hook: fn(&mut SpanRecord)| {
        let builder = Tracer::builder("redaction").collector(&url).redact(hook).spool(spool.path());
        builder.linger(Duration::ZERO).on_notice(|_| ()).build().expect("a tracer")
    };
    let first = tracer(hide);
    let mut recorded = 0;
    let open = first.context().run(|| {
        while first.stats().tally().spooled() < 20 {
            log_in(SECRET).expect_err("it is wrong");
            recorded += 1;
            first.flush(Duration::from_millis(2));
        }
        let open = Span::start("open");
        open.tag("about", SECRET);
        open
    });
    let tally = first.shutdown(DEADLINE);
    assert_eq!((tally.recorded(), tally.spooled()), (recorded + 1, recorded + 1), "{tally:?}");
    drop(open);
    let batches: Vec<_> = files(spool.path()).into_iter().filter(|file| holds(file, "traceId")).collect();
    assert!(batches.len() > 2, "{} files", batches.len());
    for file in &batches {
        assert!(holds(file, "***") && !holds(file, SECRET), "{}", String::from_utf8_lossy(file));
    }
    // What is on the disk is sent as it is: the hook of whoever sends it has not to know what the secret was.
    collector.up();
    let second = tracer(|_| ());
    collector.wait_for_spans(usize::try_from(recorded + 1).expect("a few"));
    second.shutdown(DEADLINE);
    assert!(collector.received().iter().all(|request| !request.text().contains(SECRET)));
}

#[test]
fn that_panics_costs_its_own_span_alone() {
    let collector = Collector::start();
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    let tracer = Tracer::builder("redaction")
        .collector(collector.url())
        .redact(|span| {
            if span.tag("bad").is_some() {
                std::panic::resume_unwind(Box::new("no"));
            }
        })
        .on_notice(move |notice| {
            let line = (notice.kind(), notice.to_string());
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        })
        .build()
        .expect("a tracer");
    tracer.context().run(|| {
        for n in 0..10 {
            let _span = span!("span", "n" = n);
            if n % 5 == 0 {
                tag("bad", SECRET);
            }
        }
    });
    let tally = tracer.flush(DEADLINE);
    assert_eq!((tally.sent(), tally.dropped_by(DropReason::RedactionFailed)), (8, 2), "{tally:?}");
    // A batch of nothing else, and one after it.
    tracer.context().run(|| {
        let _span = span!("span", "bad" = 1);
    });
    assert_eq!(tracer.flush(DEADLINE).dropped_by(DropReason::RedactionFailed), 3);
    tracer.context().run(|| drop(span!("span")));
    let tally = tracer.shutdown(DEADLINE);
    assert!(tally.is_conserved(), "{tally:?}");
    assert_eq!((tally.recorded(), tally.sent(), tally.dropped()), (12, 9, 3), "{tally:?}");
    assert_eq!(collector.accepted_spans().len(), 9);
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(
        told,
        [(NoticeKind::RedactionFailed, "2 spans dropped because the redaction hook panicked: no".to_owned())]
    );
}

/// What does not fit into one request waits for the next, and the hook does not see it again.
#[test]
fn is_called_once_for_each_span() {
    let collector = Collector::start();
    let tracer = Tracer::builder("redaction").collector(collector.url()).batch_bytes(4_000).redact(|span| {
        let seen = span.tag("seen").map_or(0, |seen| seen.to_string().parse().unwrap_or(0)) + 1;
        span.set_tag("seen", traced_runtime::TagValue::Unsigned(seen));
        // Larger than the queue knew: some do not fit.
        span.set_tag("large", traced_runtime::TagValue::Text(&"x".repeat(900)));
    });
    let tracer = tracer.build().expect("a tracer");
    tracer.context().run(|| {
        for _ in 0..100 {
            drop(span!("span"));
        }
    });
    let tally = tracer.shutdown(DEADLINE);
    assert_eq!((tally.recorded(), tally.sent()), (100, 100), "{tally:?}");
    assert!(collector.accepted_spans().iter().all(|span| span["tags"]["seen"] == "1"));
}

#[test]
fn an_unfinished_span_is_marked_when_the_hook_sees_it() {
    let collector = Collector::start();
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let sink = outcomes.clone();
    let tracer = tracer(&collector, move |span| {
        sink.lock().unwrap_or_else(PoisonError::into_inner).push((span.outcome(), span.duration().is_some()));
    });
    let open = tracer.context().run(|| Span::start("open"));
    assert_eq!(tracer.shutdown(DEADLINE).sent(), 1);
    drop(open);
    assert_eq!(*outcomes.lock().unwrap_or_else(PoisonError::into_inner), [(Outcome::Unfinished, false)]);
}
