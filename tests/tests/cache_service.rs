//! The example `cache_service`: a client and a server, two processes, one trace.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use serde_json::{Value, json};
use traced_tests::{Collector, Output, Program, Running, TraceTree, Zipkin};

const SOON: Duration = Duration::from_secs(60);

fn program() -> Program {
    Program::example_of("traced-cache-service-example", "cache_service")
}

/// The trace that the client names in its last line.
fn trace(output: &Output) -> &str {
    let last = output.stdout.lines().last().unwrap();
    let (trace, place) = last.strip_prefix("trace ").unwrap().split_once(": ").unwrap();
    assert!(place.ends_with(&format!("/zipkin/traces/{trace}")), "{last}");
    trace
}

/// A server with this Zipkin, and its address.
fn server(zipkin: &Zipkin, arguments: &[&str]) -> (Running, String) {
    let program = program().arg("server").arg("--listen").arg("127.0.0.1:0");
    let program = arguments.iter().fold(program, Program::arg);
    let mut server = program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", zipkin.spans_url()).start();
    let port = server.line("127.0.0.1:", SOON);
    (server, format!("http://127.0.0.1:{port}"))
}

fn client(zipkin: &Zipkin, address: &str, arguments: &[&str]) -> Output {
    let program = program().arg("client").arg("--connect").arg(address);
    let program = arguments.iter().fold(program, Program::arg);
    program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", zipkin.spans_url()).run(SOON).success()
}

fn annotations(span: &Value) -> Vec<&str> {
    span["annotations"].as_array().into_iter().flatten().filter_map(|annotation| annotation["value"].as_str()).collect()
}

#[test]
fn both_processes_are_in_one_trace_and_share_a_span() {
    let Some(zipkin) = Zipkin::shared() else { return };
    let started = program().env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", zipkin.spans_url());
    let output = started.env("OTEL_SERVICE_NAME", "one name for both").run(SOON).success();
    assert_eq!(output.stdout.lines().next(), Some("231: [231]"));
    let trace = trace(&output);
    let lines: Vec<_> = output.stderr.lines().filter(|line| line.contains("get \"231\"")).collect();
    assert_eq!(lines.len(), 2, "each process logs the call: {}", output.stderr);
    assert!(lines.iter().all(|line| line.starts_with(&format!("[{trace}-"))), "{lines:?}");

    let tree = TraceTree::of(&zipkin.wait_for_trace(trace, 4));
    let name = "grpc1.cacheservice/get";
    let (client, server) = (tree.span_of_kind(name, "CLIENT"), tree.span_of_kind(name, "SERVER"));
    assert_eq!((&client["id"], &client["parentId"]), (&server["id"], &server["parentId"]));
    assert_eq!((&client["shared"], &server["shared"]), (&Value::Null, &json!(true)));
    let service = |span: &Value| span["localEndpoint"]["serviceName"].clone();
    assert_eq!((service(client), service(server)), (json!("cache service client"), json!("cache server")));
    for span in [client, server] {
        assert_eq!(span["tags"], json!({"rpc.service": "grpc1.CacheService", "rpc.method": "Get"}));
        assert_eq!(annotations(span), [""; 0]);
    }
    assert_eq!(tree.span("db query user")["parentId"], server["id"]);
    assert_eq!(tree.span("callget")["id"], client["parentId"]);
}

#[test]
fn without_a_zipkin_it_does_its_work_and_ends() {
    let absent = Collector::absent();
    let output = program().env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", absent.url()).run(SOON).success();
    assert_eq!(output.stdout.lines().next(), Some("231: [231]"));
    assert!(!trace(&output).is_empty());
    assert_eq!(output.stderr.matches("sent 0 spans, 2 dropped (2 unreachable)").count(), 2, "{}", output.stderr);
}

#[test]
fn its_commands_store_get_and_dump() {
    let Some(zipkin) = Zipkin::shared() else { return };
    let (mut server, address) = server(zipkin, &[]);
    let first_line = |arguments: &[&str]| {
        let output = client(zipkin, &address, arguments);
        let lines: Vec<_> = output.stdout.lines().collect();
        lines[..lines.len() - 1].join("\n")
    };
    assert_eq!(first_line(&["get", "123"]), "123: [123]");
    assert_eq!(first_line(&["get", "nobody"]), "nobody: []", "an unknown key is an empty value");
    assert_eq!(first_line(&["store", "7", "AB"]), "");
    assert_eq!(first_line(&["get", "7"]), "7: [65, 66]");
    assert_eq!(first_line(&["dump"]), "123: [123]\n231: [231]\n7: [65, 66]");
    server.signal("TERM");
    let output = server.wait(SOON).success();
    assert!(output.stderr.contains("0 dropped"), "what it recorded is sent when it ends: {}", output.stderr);
}

#[test]
fn in_the_style_of_otgrpc_messages_are_annotations() {
    let Some(zipkin) = Zipkin::shared() else { return };
    let (mut server, address) = server(zipkin, &["--otgrpc"]);
    let get = client(zipkin, &address, &["--otgrpc", "get", "231"]);
    let store = client(zipkin, &address, &["--otgrpc", "store", "é", "\""]);
    let dump = client(zipkin, &address, &["--otgrpc", "dump"]);
    server.signal("TERM");
    drop(server.wait(SOON).success());

    let check = |output: &Output, spans: usize, name: &str, expected: &[&str]| {
        let tree = TraceTree::of(&zipkin.wait_for_trace(trace(output), spans));
        for kind in ["CLIENT", "SERVER"] {
            let span = tree.span_of_kind(name, kind);
            assert_eq!(span["tags"], json!({"component": "gRPC"}));
            assert_eq!(annotations(span), expected, "{kind}");
        }
    };
    check(&get, 4, "/grpc1.cacheservice/get", &[r#"gRPCrequest="key:\"231\" ""#, r#"gRPCresponse="value:\"\\347\" ""#]);
    let request = r#"gRPCrequest="key:\"\\303\\251\" value:\"\\\"\" ""#;
    check(&store, 2, "/grpc1.cacheservice/store", &[request, "gRPCresponse="]);
    check(&dump, 2, "/grpc1.cacheservice/dump", &[]);
}

#[test]
fn a_mistake_on_the_command_line_says_what_can_be_written() {
    for (arguments, problem) in [
        (&["serve"][..], "nothing to do"),
        (&["client", "get"], "nothing to do"),
        (&["client", "--port", "7"], "\"--port\" is not known here"),
        (&["server", "--listen"], "--listen needs an address"),
    ] {
        let output = arguments.iter().fold(program(), Program::arg).run(SOON);
        assert!(!output.status.success());
        assert!(output.stderr.contains(problem) && output.stderr.contains("usage: cache_service"), "{}", output.stderr);
    }
}
