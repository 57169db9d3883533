//! The example `quickstart`: what a newcomer runs first, with and without a Zipkin, in all kinds of environments.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use traced_tests::{Collector, Output, Program, TraceTree, Zipkin};

const SOON: Duration = Duration::from_secs(60);
const NOT_PAID: &str = "no money: 45 is too much";

fn quickstart(endpoint: &str) -> Program {
    let program = Program::example("quickstart").env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", endpoint);
    program.env("LC_ALL", "C.UTF-8").env("COLUMNS", "").env("CLICOLOR_FORCE", "").env("TRACED_TREE", "")
}

/// The lines of standard error that are the tracer's, without the `traced: ` before them.
fn told(output: &Output) -> Vec<&str> {
    output.stderr.lines().filter_map(|line| line.strip_prefix("traced: ")).collect()
}

/// The rows of the printed tree without times and bars.
fn tree(output: &Output) -> Vec<String> {
    let rows = output.stderr.lines().skip(2).take_while(|line| !line.starts_with("critical path  load_cart "));
    let is_time = |word: &&str| {
        !word.starts_with(|c: char| c.is_ascii_digit() || "█░".contains(c)) && !["ms", "µs", "s", "ns"].contains(word)
    };
    rows.map(|line| line.split_whitespace().filter(is_time).collect::<Vec<_>>().join(" ")).collect()
}

const TREE: [&str; 5] = [
    "✗ checkout user=ann",
    "├─ load_cart C @ cache miss",
    "├─ total items=3",
    "✗ └─ pay amount=45",
    "error: no money: is too much",
];

/// The id in the link to the trace, which is told where its spans were accepted.
fn trace_id(output: &Output) -> &str {
    let link = output.stderr.lines().find_map(|line| line.strip_prefix("open  ")).unwrap();
    link.rsplit('/').next().unwrap()
}

fn micros(span: &Value, field: &str) -> u64 {
    span[field].as_u64().unwrap()
}

/// A span without what differs from run to run.
fn lasting(span: &Value) -> Value {
    let mut span = span.clone();
    for field in ["traceId", "id", "parentId", "timestamp", "duration"] {
        span.as_object_mut().unwrap().remove(field);
    }
    if let Some(annotation) = span.get_mut("annotations").and_then(|list| list.get_mut(0)) {
        annotation.as_object_mut().unwrap().remove("timestamp");
    }
    span
}

/// With the time stamp counter, where the machine has one that can be trusted, and without.
#[test]
fn its_trace_is_in_zipkin_as_one_tree_whichever_the_clock() {
    let Some(zipkin) = Zipkin::start() else {
        return;
    };
    for clock in ["", "os"] {
        let before = now();
        let output = quickstart(&zipkin.spans_url()).env("TRACED_CLOCK", clock).run(SOON).success();
        let after = now();
        assert_eq!(output.stdout, format!("not paid: {NOT_PAID}\n"));
        assert_eq!(tree(&output), TREE);
        assert_eq!(told(&output), ["sent 4 spans in 1 batch, 0 dropped"]);

        let id = trace_id(&output);
        let spans = zipkin.wait_for_trace(id, 4);
        let tree = TraceTree::of(&spans);
        let expected = format!(
            "\
checkout [@quickstart] error={NOT_PAID}
  load_cart [CLIENT @quickstart]
  total [@quickstart]
  pay [@quickstart] error={NOT_PAID}
"
        );
        assert_eq!(tree.to_string(), expected);

        let checkout = tree.span("checkout");
        let here = checkout["localEndpoint"].clone();
        let ip: Ipv4Addr = here["ipv4"].as_str().unwrap().parse().unwrap();
        assert!(!ip.is_unspecified());
        assert_eq!(here, json!({"serviceName": "quickstart", "ipv4": ip.to_string()}));
        let local = |tags: Value| json!({"name": "", "localEndpoint": here, "tags": tags});
        let named = |mut span: Value, name: &str| {
            span["name"] = name.into();
            span
        };
        assert_eq!(lasting(checkout), named(local(json!({"user": "ann", "error": NOT_PAID})), "checkout"));
        assert_eq!(lasting(tree.span("total")), named(local(json!({"items": "3"})), "total"));
        assert_eq!(lasting(tree.span("pay")), named(local(json!({"amount": "45", "error": NOT_PAID})), "pay"));
        let load_cart = tree.span("load_cart");
        assert_eq!(
            lasting(load_cart),
            json!({
                "name": "load_cart", "kind": "CLIENT", "localEndpoint": here,
                "remoteEndpoint": {"serviceName": "mysql"}, "annotations": [{"value": "cache miss"}],
            })
        );

        assert!(checkout["traceId"].as_str().unwrap().len() == 32);
        let start = micros(checkout, "timestamp");
        let end = start + micros(checkout, "duration");
        // Our wall clock is that of the trace's beginning, the end is measured: a step of the clock may lie between.
        assert!(before <= start + 1_000 && end <= after + 50_000, "{before} {start} {end} {after}");
        for span in tree.spans() {
            // Beginning and duration are rounded down on their own.
            let (from, to) = (micros(span, "timestamp"), micros(span, "timestamp") + micros(span, "duration"));
            assert!(start <= from && to <= end + 1, "{span} in {checkout}");
        }
        assert!((20_000..10_000_000).contains(&micros(load_cart, "duration")), "{load_cart}");
        let note = micros(&load_cart["annotations"][0], "timestamp");
        assert!(note >= micros(load_cart, "timestamp") + 20_000 && note <= end, "{load_cart}");
    }
    // Queries merge what came twice; the counter does not.
    let metrics = zipkin.metrics();
    assert_eq!((metrics.spans, metrics.spans_dropped, metrics.messages_dropped), (8, 0, 0));
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros().try_into().unwrap()
}

#[test]
fn without_a_collector_it_ends_well_and_at_once_with_one_warning() {
    let absent = Collector::absent();
    // Built before the time is taken.
    let program = quickstart(&absent.url());
    let start = Instant::now();
    let output = program.run(SOON).success();
    let took = start.elapsed();
    assert_eq!(output.stdout, format!("not paid: {NOT_PAID}\n"));
    assert_eq!(tree(&output), TREE);
    let told = told(&output);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with(&format!("cannot reach {}: ", absent.url())), "{told:?}");
    assert!(
        told[0].ends_with(
            "; 4 spans dropped at shutdown. Check that the backend runs there; collector() or \
             OTEL_EXPORTER_ZIPKIN_ENDPOINT says where spans go"
        ),
        "{told:?}"
    );
    assert_eq!(told[1], "sent 0 spans, 4 dropped (4 unreachable)");
    assert!(took < Duration::from_secs(2), "the deadline of shutdown was waited for: {took:?}");
}

#[test]
fn a_collector_that_does_not_answer_costs_the_deadline_and_no_more() {
    let collector = Collector::start();
    collector.answer(traced_tests::Answer::silence());
    let program = quickstart(&collector.url());
    let start = Instant::now();
    let output = program.run(SOON).success();
    let took = start.elapsed();
    assert_eq!(told(&output).last(), Some(&"sent 0 spans, 4 dropped (4 shutdown deadline)"));
    assert!((2_900..6_000).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn disabled_it_does_its_work_and_says_nothing() {
    let collector = Collector::start();
    let output = quickstart(&collector.url()).env("OTEL_SDK_DISABLED", "true").run(SOON).success();
    assert_eq!(output.stdout, format!("not paid: {NOT_PAID}\n"));
    assert_eq!(output.stderr, "");
    assert_eq!(collector.connections(), 0);
}

#[test]
fn a_malformed_endpoint_is_one_warning_and_the_default() {
    let output = quickstart("localhost:9411").run(SOON).success();
    let told = told(&output);
    assert_eq!(
        told[0],
        "cannot use OTEL_EXPORTER_ZIPKIN_ENDPOINT=\"localhost:9411\": the collector's URL \"localhost:9411\" has no scheme; \
         write it like http://localhost:9411/api/v2/spans; http://localhost:9411/api/v2/spans is used"
    );
    // There may be a Zipkin at the default, or not.
    match told[1..] {
        [sent] => assert_eq!(sent, "sent 4 spans in 1 batch, 0 dropped"),
        [unreachable, _] => {
            assert!(unreachable.starts_with("cannot reach http://localhost:9411/api/v2/spans: "), "{told:?}");
        }
        _ => unreachable!("{told:?}"),
    }
}

#[test]
fn an_unsampled_run_sends_nothing() {
    let collector = Collector::start();
    let output = quickstart(&collector.url()).env("OTEL_TRACES_SAMPLER", "always_off").run(SOON).success();
    assert_eq!(output.stdout, format!("not paid: {NOT_PAID}\n"));
    assert_eq!(output.stderr, "traced: no spans recorded: the sampler left out 1 trace\n");
    assert_eq!(collector.connections(), 0);
}

#[test]
fn a_name_given_to_the_builder_beats_the_environments() {
    let collector = Collector::start();
    let output = quickstart(&collector.url()).env("OTEL_SERVICE_NAME", "other").run(SOON).success();
    assert_eq!(told(&output), ["sent 4 spans in 1 batch, 0 dropped"]);
    let spans = collector.accepted_spans();
    assert_eq!(spans.len(), 4);
    assert!(spans.iter().all(|span| span["localEndpoint"]["serviceName"] == "quickstart"));
}
