//! The example `logging`: each line of its log leads to the trace in Zipkin.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use traced_tests::{Program, TraceTree, Zipkin};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn the_lines_of_a_request_have_the_id_of_its_trace_in_zipkin() {
    let Some(zipkin) = Zipkin::shared() else {
        return;
    };
    let program = Program::example_of("traced-logging-example", "logging");
    let output = program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", zipkin.spans_url()).run(SOON).success();

    // Per request its trace, and which span said what.
    let mut requests = BTreeMap::<&str, (&str, Vec<(&str, &str)>)>::new();
    let mut lines = output.stderr.lines();
    assert_eq!(lines.next(), Some("INFO [-] no trace here"));
    for line in lines.filter(|line| !line.starts_with("traced: ")) {
        let (level, rest) = line.split_once(" [").unwrap();
        let (context, text) = rest.split_once("] ").unwrap();
        assert_eq!(level, if text.ends_with("finds nothing") { "WARN" } else { "INFO" });
        let (trace, span) = context.split_once('-').unwrap();
        let (request, what) = text.strip_prefix("request ").unwrap().split_once(' ').unwrap();
        let (of, said) = requests.entry(request).or_insert((trace, Vec::new()));
        assert_eq!(*of, trace, "{line}");
        said.push((what, span));
    }
    assert_eq!(requests.len(), 2);
    assert_ne!(requests["1"].0, requests["2"].0);

    for (request, (trace, said)) in requests {
        let spans = zipkin.wait_for_trace(trace, 2);
        let tree = TraceTree::of(&spans);
        assert_eq!(tree.to_string(), "handle [@logging]\n  look_up [@logging]\n");
        let id = |name| tree.span(name)["id"].as_str().unwrap();
        let (handle, look_up) = (id("handle"), id("look_up"));
        let mut expected = vec![
            ("begins", handle),
            ("asks the database", look_up),
            ("has its answer", look_up),
            ("finds nothing", handle),
            ("ends", handle),
        ];
        if request == "1" {
            expected.remove(3);
        }
        assert_eq!(said, expected);
    }
}
