//! The example `web`: two services in one trace, with Zipkin and without.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use traced_tests::{Collector, Output, Program, TraceTree, Zipkin};

const SOON: Duration = Duration::from_secs(60);

fn run(collector: &str) -> Output {
    let program = Program::example_of("traced-web-example", "web").env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", collector);
    program.run(SOON).success()
}

/// The trace of each request.
fn traces(output: &Output) -> Vec<&str> {
    output.stdout.lines().filter_map(|line| Some(line.split_once("/zipkin/traces/")?.1)).collect()
}

#[test]
fn each_request_is_one_trace_of_both_services() {
    let Some(zipkin) = Zipkin::shared() else {
        return;
    };
    let output = run(&zipkin.spans_url());
    let expected = [
        "\
look up [@shop]
  get [CLIENT @shop]
    get /prices/{item} [SERVER shared @prices]
      query [CLIENT @prices]
",
        "\
look up [@shop]
  get [CLIENT @shop] error=404
    get /prices/{item} [SERVER shared @prices] error=404
      query [CLIENT @prices]
",
    ];
    let traces = traces(&output);
    assert_eq!(traces.len(), 5, "{}", output.stdout);
    for (trace, expected) in traces.iter().zip(expected) {
        let spans = zipkin.wait_for_trace(trace, 4);
        assert_eq!(TraceTree::of(&spans).to_string(), expected);
    }
    // A redirect that the client follows is one span of its own, and two of the server.
    let redirected = zipkin.wait_for_trace(traces[2], 5);
    let named = |name: &str| redirected.iter().filter(|span| span["name"] == name).count();
    assert_eq!((named("get"), named("get /old/{item}"), named("get /prices/{item}")), (1, 1, 1));
    // The download: four queries, made while it is sent.
    let download = TraceTree::of(&zipkin.wait_for_trace(traces[3], 7));
    let served = download.span_of_kind("get /prices", "SERVER");
    let end = |span: &serde_json::Value| span["timestamp"].as_u64().unwrap() + span["duration"].as_u64().unwrap();
    let queries: Vec<_> = download.spans().filter(|span| span["name"] == "query").collect();
    assert_eq!(queries.len(), 4);
    assert!(queries.iter().all(|query| end(query) <= end(served)), "{download}");
    assert!(!zipkin.spans("prices").iter().any(|name| name.contains("health")));
    let nowhere = TraceTree::of(&zipkin.wait_for_trace(traces[4], 3));
    assert_eq!(nowhere.span("get not_found")["tags"]["http.path"], "/nowhere");
}

#[test]
fn it_ends_by_itself_without_a_collector() {
    let unreachable = {
        let collector = Collector::start();
        collector.url()
    };
    let output = run(&unreachable);
    assert_eq!(traces(&output).len(), 5, "{}", output.stdout);
    assert!(output.stderr.contains("GET /prices/{item}"), "{}", output.stderr);
}
