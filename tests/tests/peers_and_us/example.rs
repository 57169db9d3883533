//! The example `cache_service` as a user runs it, with peers on the other side.

use serde_json::json;
use traced_tests::Program;
use traced_tests::peers::{Server, call};

use super::*;

/// The example's processes take their service's name from the program, and all else from the environment.
fn example(zipkin: &Zipkin) -> Program {
    Program::example_of("traced-cache-service-example", "cache_service")
        .env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", zipkin.spans_url())
        .env("OTEL_SERVICE_NAME", "")
}

fn serve(zipkin: &Zipkin, flags: &[&str]) -> Server {
    let server = example(zipkin).arg("server").arg("--listen").arg("127.0.0.1:0");
    Server::start(flags.iter().fold(server, |server, flag| server.arg(flag)))
}

/// Runs the client, and reads from its last line which trace it made.
#[track_caller]
fn ask(zipkin: &Zipkin, address: &str, arguments: &[&str]) -> Value {
    let client = example(zipkin).arg("client").arg("--connect").arg(format!("http://{address}"));
    let output = arguments.iter().fold(client, |client, argument| client.arg(argument)).run(SOON).success();
    let last = output.stdout.lines().next_back().unwrap_or_default();
    let trace = last.strip_prefix("trace ").and_then(|rest| rest.split_once(':'));
    let (trace, place) = trace.expect("the client ends with its trace");
    assert_eq!(place.trim(), format!("{}/zipkin/traces/{trace}", zipkin.url()));
    // Beside the tracer's own summary.
    for line in output.stderr.lines().filter(|line| !line.starts_with("traced: ")) {
        assert!(line.starts_with(&format!("[{trace}-")), "a line of the log without its trace: {line}");
    }
    json!({ "trace": trace })
}

#[test]
fn is_a_server_in_go_to_a_client_in_go() {
    let Some((go, zipkin, _)) = go::peers() else { return };
    let (ours, theirs) = (serve(zipkin, &["--otgrpc"]), Server::start(go.server(zipkin)));
    for (arguments, spans) in [(&["get", "231"][..], 4), (&["store", "k", "é"], 2), (&["get", "k"], 4), (&["dump"], 2)]
    {
        let [told, reference] = [&ours, &theirs].map(|server| call(go.client(zipkin, server.address()), arguments));
        assert_eq!(
            (&told["code"], &told["value"], &told["items"]),
            (&reference["code"], &reference["value"], &reference["items"])
        );
        assert_eq!(shape(zipkin, &told, spans), shape(zipkin, &reference, spans), "{arguments:?}");
    }
}

#[test]
fn is_a_client_in_go_to_a_server_in_go() {
    let Some((go, zipkin, _)) = go::peers() else { return };
    let server = Server::start(go.server(zipkin));
    for (arguments, spans) in [(&["get", "231"][..], 4), (&["store", "k", "é"], 2), (&["dump"], 2)] {
        let reference = call(go.client(zipkin, server.address()), arguments);
        let told = ask(zipkin, server.address(), &[&["--otgrpc"], arguments].concat());
        assert_eq!(shape(zipkin, &told, spans), shape(zipkin, &reference, spans), "{arguments:?}");
    }
}

#[test]
fn is_both_sides_to_brave() {
    let Some((brave, zipkin, theirs)) = brave::peers() else { return };
    let ours = serve(zipkin, &[]);
    let get = ["get", "231"];
    let [told, reference] =
        [ours.address(), theirs.address()].map(|server| call(brave.grpc_client(zipkin, server), &get));
    assert_eq!(told["value"], reference["value"]);
    let reference = shape(zipkin, &reference, 4);
    assert_eq!(shape(zipkin, &told, 4), reference);
    assert_eq!(shape(zipkin, &ask(zipkin, theirs.address(), &get), 4), reference);
    assert_eq!(shape(zipkin, &ask(zipkin, ours.address(), &get), 4), reference, "and to itself");
}
