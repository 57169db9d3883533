//! A fork without exec: the child's first record starts a tracer of its own, repeats nothing, and waits for nobody.

#![cfg(unix)]

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use traced_tests::{Collector, Output, Program};

const SOON: Duration = Duration::from_secs(120);

/// What the program wrote, and the spans that it and its children sent.
fn run(scenario: &str) -> (Output, Vec<Value>) {
    let collector = Collector::start();
    let program = Program::example_of("traced-tests", "forks").arg(scenario);
    let output = program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", collector.url()).run(SOON).success();
    (output, collector.accepted_spans())
}

fn distinct<'a>(spans: &'a [Value], field: &str) -> HashSet<&'a str> {
    spans.iter().filter_map(|span| span[field].as_str()).collect()
}

fn named<'a>(spans: &'a [Value], name: &str) -> Vec<&'a Value> {
    spans.iter().filter(|span| span["name"] == name).collect()
}

#[test]
fn a_child_goes_on_with_threads_of_its_own() {
    let (output, spans) = run("goes on");
    assert_eq!(spans.len(), 2 + 3 + 1, "{spans:#?}");
    assert_eq!(distinct(&spans, "id").len(), spans.len(), "no id twice");
    assert_eq!(distinct(&spans, "traceId").len(), spans.len());
    assert!(spans.iter().all(|span| span["localEndpoint"]["serviceName"] == "forks"));
    assert_eq!(
        output.stderr.matches("traced:").count(),
        1,
        "children that end by _exit say nothing: {}",
        output.stderr
    );
}

#[test]
fn what_is_open_is_the_parents_and_what_follows_is_in_its_trace() {
    let (_, spans) = run("inside");
    assert_eq!(spans.len(), 4 + 4, "{spans:#?}");
    assert_eq!(distinct(&spans, "id").len(), spans.len(), "no id twice");
    assert_eq!(distinct(&spans, "traceId").len(), 1);
    let id = |name| named(&spans, name)[0]["id"].as_str();
    // Guards of the parent's spans change nothing in the child until their context is left.
    let of_child: Vec<_> = named(&spans, "work").iter().map(|span| span["parentId"].as_str()).collect();
    assert_eq!(of_child, [id("inner"), id("inner"), id("inner"), id("outer")]);
    assert_eq!(named(&spans, "outer")[0]["tags"]["told by"], "the parent");
    assert!(named(&spans, "inner")[0]["tags"].is_null());
}

#[test]
fn a_backend_of_ones_own_stays_behind_and_that_is_counted_and_told() {
    let (output, spans) = run("left behind");
    assert!(spans.is_empty(), "{spans:?}");
    let told: Vec<_> = output.stderr.lines().collect();
    assert_eq!(
        told,
        [
            "traced: 2 spans dropped: the reporter failed: this process was forked, and a reporter or sender of your own \
          stays in the parent; install a tracer in the child"
        ]
    );
}

#[test]
fn a_child_of_any_moment_waits_for_no_lock_of_its_parent() {
    let (output, spans) = run("locks");
    assert_eq!(output.stdout, "children 100\n");
    assert_eq!(spans.len(), 100, "one of each child");
    assert_eq!(distinct(&spans, "id").len(), 100, "no id twice");
    assert_eq!(distinct(&spans, "traceId").len(), 100);
}

/// Both would wait for their own thread for ever, if locks were held while the user's code runs.
#[test]
fn a_childs_start_waits_for_nothing_that_the_users_code_does_meanwhile() {
    let (_, spans) = run("not started");
    assert!(spans.is_empty(), "{spans:?}");
    let (_, spans) = run("allocator");
    assert_eq!(named(&spans, "work").len(), 2, "{spans:#?}");
}
