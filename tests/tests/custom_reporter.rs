//! The example `custom_reporter`: a backend of one's own, and nothing sent anywhere else.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use traced_tests::{Collector, Program};

#[test]
fn finished_spans_are_lines_and_nothing_goes_to_the_collector() {
    let collector = Collector::start();
    let program = Program::example("custom_reporter").env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", collector.url());
    let output = program.run(Duration::from_secs(60)).success();
    let lines: Vec<Vec<&str>> = output.stdout.lines().map(|line| line.split(' ').collect()).collect();
    let trace = lines[0][0];
    assert_eq!(trace.len(), 32);
    for line in &lines {
        assert!(line[0] == trace && line[4].ends_with('s') && line.len() == 5, "{}", output.stdout);
    }
    let said: Vec<_> = lines.iter().map(|line| line[1..4].join(" ")).collect();
    assert_eq!(
        said,
        [
            "fibonacci n=1 return=1",
            "fibonacci n=0 return=0",
            "fibonacci n=2 return=1",
            "fibonacci n=1 return=1",
            "fibonacci n=3 return=2"
        ]
    );
    assert_eq!(output.stderr.lines().last().unwrap(), "traced: sent 5 spans in 1 batch, 0 dropped");
    assert_eq!(collector.connections(), 0);
}
