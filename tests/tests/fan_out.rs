//! The example `fan_out`: one trace over tasks, threads and channels, and the settings that `init` takes from the environment.

use std::time::Duration;

use serde_json::Value;
use traced_tests::{Collector, Output, Program, TraceTree, Zipkin, eventually};

const SOON: Duration = Duration::from_secs(60);
const SPANS: usize = 26;

fn fan_out(endpoint: &str) -> Program {
    Program::example("fan_out").env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", endpoint).env("RUST_BACKTRACE", 0)
}

const TREE: &str = "\
fan_out
  blocking
    step
  fetch_all
    fetch
    fetch
    fetch
  first_of_two
    quick
    slow
  joined
    left
    right
  panics
    careless error=panicked
  queued
    job
      step
    job
      step
  spawned
    step
  threads
    step
    step
    step
";

/// The tree without services; siblings of one name stand in the order of their time, which is not always the same.
fn tree(spans: &[Value]) -> String {
    let tree = TraceTree::of(spans).by_name().to_string();
    tree.lines().map(|line| format!("{}\n", line.replace(" [@others]", ""))).collect()
}

fn tags(tree: &TraceTree, name: &str, tag: &str) -> Vec<String> {
    let named = tree.spans().filter(|span| span["name"] == name);
    let mut tags: Vec<_> = named.filter_map(|span| span["tags"][tag].as_str().map(str::to_owned)).collect();
    tags.sort_unstable();
    tags
}

#[track_caller]
fn assert_sent(output: &Output) {
    let line = format!("traced: sent {SPANS} spans in 1 batch, 0 dropped");
    assert_eq!(output.stderr.lines().last(), Some(line.as_str()), "{}", output.stderr);
}

#[test]
fn everything_that_was_fanned_out_is_one_tree_in_zipkin() {
    let Some(zipkin) = Zipkin::start() else {
        return;
    };
    let output = fan_out(&zipkin.spans_url()).env("OTEL_SERVICE_NAME", "others").run(SOON).success();
    assert_eq!(output.stdout, "6 pages\nthe task failed: it panicked\n");
    assert_sent(&output);

    let spans = eventually("the trace", SOON, || {
        let mut traces = zipkin.traces("serviceName=others&limit=10");
        assert!(traces.len() <= 1, "{} traces", traces.len());
        traces.pop().filter(|trace| trace.len() >= SPANS)
    });
    assert_eq!(tree(&spans), TREE);
    let tree = TraceTree::of(&spans);
    assert_eq!(tree.span("careless")["tags"]["error"], "panicked");
    assert_eq!(tree.span("slow")["tags"]["outcome"], "cancelled");
    assert_eq!(tree.span("slow")["tags"]["error"], Value::Null, "cancelled is no error");
    assert_eq!(tree.span("panics")["tags"]["error"], Value::Null, "the task panicked, not who waited for it");
    assert_eq!(tags(&tree, "fetch", "page"), ["1", "2", "3"]);
    assert_eq!(tags(&tree, "job", "rows"), ["10", "20"]);
    assert_eq!(
        tags(&tree, "step", "what"),
        [
            "in a task",
            "in the job",
            "in the job",
            "on a blocking thread",
            "on a scoped thread",
            "on a thread",
            "on another"
        ]
    );
    assert!(tree.spans().all(|span| span["duration"].is_u64()), "nothing is unfinished:\n{tree}");
    let metrics = zipkin.metrics();
    assert_eq!((metrics.spans, metrics.spans_dropped), (SPANS as u64, 0));
}

/// Spans that begin on one thread and end on another are the ones that could come twice, or not at all.
#[test]
fn run_again_and_again_it_is_the_same_tree() {
    let collector = Collector::start();
    for run in 1..=20 {
        assert_sent(&fan_out(&collector.url()).env("OTEL_SERVICE_NAME", "others").run(SOON).success());
        let spans = collector.accepted_spans();
        assert_eq!(spans.len(), run * SPANS);
        assert_eq!(tree(&spans[(run - 1) * SPANS..]), TREE);
    }
}

#[test]
fn the_environment_names_the_service_and_prints_the_tree() {
    let collector = Collector::start();
    let service = |output: &Output| {
        assert_sent(output);
        let spans = collector.accepted_spans();
        spans.last().map(|span| span["localEndpoint"]["serviceName"].clone())
    };
    let output = fan_out(&collector.url()).run(SOON).success();
    assert_eq!(service(&output), Some("fan_out".into()));
    assert!(!output.stderr.contains("fetch_all"), "{}", output.stderr);

    let output =
        fan_out(&collector.url()).env("OTEL_SERVICE_NAME", "Renamed").env("TRACED_TREE", 1).run(SOON).success();
    assert_eq!(service(&output), Some("Renamed".into()));
    for line in ["─ fetch_all ", "─ slow ", "  cancelled", "  panicked", "what=\"in a task\""] {
        assert!(output.stderr.contains(line), "{line}: {}", output.stderr);
    }
}
