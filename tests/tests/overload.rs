//! More than anybody takes: memory stays bounded, what is lost is counted, and what is left is right.

use std::collections::{HashMap, HashSet};

use std::time::Duration;

use traced_runtime::{SpanId, SpanRecord, Tracer, span};
use traced_tests::{Keep, Program};

/// For how long, unless `TRACED_FLOOD_SECONDS` says so.
const SECONDS: u64 = 5;

fn seconds() -> u64 {
    std::env::var("TRACED_FLOOD_SECONDS")
        .map_or(SECONDS, |number| number.parse().expect("TRACED_FLOOD_SECONDS is a number"))
}

/// A process of its own, because it measures its memory.
fn flood(scenario: &str, number: u64) {
    let program = Program::example_of("traced-tests", "flood").arg(scenario).arg(number);
    let output = program.run(Duration::from_secs(180 + 2 * seconds())).success();
    eprint!("{scenario}: {}", output.stdout);
}

#[test]
fn producers_that_never_rest() {
    flood("fast", seconds());
}

#[test]
fn producers_that_never_rest_and_a_slow_backend() {
    flood("slow", seconds());
}

#[test]
fn a_log_that_is_full_is_told_at_once() {
    flood("told", 0);
}

#[test]
fn a_million_traces_that_never_end() {
    flood("never finished", 1_000_000);
}

#[test]
fn tags_by_the_ten_thousand_and_by_the_megabyte() {
    flood("large tags", 40);
}

#[test]
fn a_hundred_thousand_spans_in_one_trace() {
    const DEADLINE: Duration = Duration::from_secs(60);
    let kept = Keep::default();
    let builder = Tracer::builder("overload").reporter(kept.clone()).queue_bytes(256 << 20).linger(Duration::ZERO);
    let tracer = builder.build().expect("a tracer");
    tracer.context().run(|| {
        let _root = span!("root");
        for hundred in 0..1_000 {
            for _ in 0..33 {
                let _outer = span!("outer");
                let _middle = span!("middle");
                let _inner = span!("inner");
            }
            // The log is read now and then, or it would be full.
            if hundred % 50 == 0 {
                assert!(tracer.flush(DEADLINE).is_conserved());
            }
        }
    });
    let tally = tracer.shutdown(DEADLINE);
    assert_eq!((tally.recorded(), tally.sent()), (99_001, 99_001), "{tally:?}");
    let spans = kept.spans();
    assert_eq!(spans.iter().map(SpanRecord::trace_id).collect::<HashSet<_>>().len(), 1);
    let names: HashMap<SpanId, String> = spans.iter().map(|span| (span.id(), span.name().into_owned())).collect();
    assert_eq!(names.len(), spans.len(), "no id twice");
    for span in spans.iter() {
        let parent = span.parent_id().and_then(|parent| names.get(&parent)).map(String::as_str);
        let expected = match span.name().as_ref() {
            "root" => None,
            "outer" => Some("root"),
            "middle" => Some("outer"),
            _ => Some("middle"),
        };
        assert_eq!(parent, expected, "{span:?}");
    }
}
