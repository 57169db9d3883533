//! gRPC with the Go peer: our layers in the style of otgrpc.

use std::sync::{Arc, OnceLock};

use serde_json::json;
use traced_runtime::{Sampling, ServerSpan};
use traced_tests::TraceTree;
use traced_tests::peers::{self, Go, Server, call};

use super::*;
use crate::ours::{Ours, Style, ask, ask_until};

/// The Go server that tests share which leave it as it was.
pub(crate) fn peers() -> Option<(&'static Go, &'static Zipkin, &'static Server)> {
    static SHARED: OnceLock<Server> = OnceLock::new();
    let (go, zipkin) = (Go::find()?, Zipkin::shared()?);
    Some((go, zipkin, SHARED.get_or_init(|| Server::start(go.server(zipkin)))))
}

/// What a Go client tells of a call in a span `callGet`.
#[track_caller]
fn ask_of_go(go: &Go, zipkin: &Zipkin, address: &str, arguments: &[&str]) -> Value {
    call(go.client(zipkin, address).arg("--under=callGet"), arguments)
}

/// Every ending of a unary call, and the number of its spans; then a stream.
const CALLS: [(&[&str], usize); 11] = [
    (&["get", "231"], 4),
    (&["get", "unknown"], 4),
    (&["store", "k", "é"], 3),
    (&["get", "code:1"], 4),
    (&["get", "code:2"], 4),
    (&["get", "code:3"], 4),
    (&["get", "code:5"], 4),
    (&["get", "code:13"], 4),
    (&["get", "code:16"], 4),
    (&["store", "code:14", ""], 3),
    // Fails at the last item.
    (&["dump"], 3),
];

#[test]
fn a_client_in_go_finds_our_server_as_it_finds_its_own() {
    let Some((go, zipkin, _)) = peers() else { return };
    let theirs = Server::start(go.server(zipkin));
    let ours = Ours::start(Style::Otgrpc, tracer(zipkin, "cache server"));
    let dump = [(&["dump"][..], 3)];
    for (arguments, spans) in dump.into_iter().chain(CALLS) {
        let reference = ask_of_go(go, zipkin, theirs.address(), arguments);
        let told = ask_of_go(go, zipkin, &ours.address(), arguments);
        assert_eq!((&told["code"], &told["value"]), (&reference["code"], &reference["value"]));
        assert_eq!(shape(zipkin, &told, spans), shape(zipkin, &reference, spans), "{arguments:?}");
    }
}

#[test]
fn a_server_in_go_finds_our_client_as_it_finds_its_own() {
    let Some((go, zipkin, _)) = peers() else { return };
    let server = Server::start(go.server(zipkin));
    let tracer = tracer(zipkin, "cache service client").build().unwrap();
    let dump = [(&["dump"][..], 3)];
    for (arguments, spans) in dump.into_iter().chain(CALLS) {
        let reference = ask_of_go(go, zipkin, server.address(), arguments);
        let told = ask(Style::Otgrpc, &tracer, &tracer.context(), server.address(), arguments);
        assert_eq!(told["value"], reference["value"]);
        assert_eq!(shape(zipkin, &told, spans), shape(zipkin, &reference, spans), "{arguments:?}");
    }
}

#[test]
fn debug_and_unsampled_are_understood_both_ways() {
    let Some((go, zipkin, theirs)) = peers() else { return };
    let ours = Ours::start(Style::Otgrpc, tracer(zipkin, "cache server"));
    let tracer = tracer(zipkin, "cache service client").build().unwrap();
    let get = ["get", "231"];
    let decided = |sampling| {
        let context = tracer.context().with_sampling(sampling);
        ask(Style::Otgrpc, &tracer, &context, theirs.address(), &get)
    };

    let unsampled =
        [ask_of_go(go, zipkin, &ours.address(), &["--sample=false", "get", "231"]), decided(Sampling::Unsampled)];
    let reference = shape(zipkin, &ask_of_go(go, zipkin, theirs.address(), &["--debug", "get", "231"]), 4);
    assert_eq!(reference.to_string().matches("debug ").count(), 4, "{reference}");
    let told = ask_of_go(go, zipkin, &ours.address(), &["--debug", "get", "231"]);
    assert_eq!(shape(zipkin, &told, 4), reference);
    assert_eq!(shape(zipkin, &decided(Sampling::Debug), 4), reference);
    // Both servers have reported what came later.
    for told in unsampled {
        assert_eq!(zipkin.trace(told["trace"].as_str().unwrap()), None);
    }
}

#[test]
fn ids_of_both_lengths_join() {
    let Some((go, zipkin, theirs)) = peers() else { return };
    let ours = Ours::start(Style::Otgrpc, tracer(zipkin, "cache server"));
    let joined = "cache server: SERVER shared /grpc1.cacheservice/get < callget, joined";
    for (flag, digits) in [("--trace-id-128=false", 16), ("--trace-id-128", 32)] {
        let told = ask_of_go(go, zipkin, &ours.address(), &[flag, "get", "231"]);
        assert_eq!(told["trace"].as_str().unwrap().len(), digits);
        assert!(shape(zipkin, &told, 4).to_string().contains(joined));
    }
    for (builder, digits) in
        [(tracer(zipkin, "cache service client"), 32), (tracer(zipkin, "cache service client").trace_id_64(), 16)]
    {
        let tracer = builder.build().unwrap();
        let told = ask(Style::Otgrpc, &tracer, &tracer.context(), theirs.address(), &["get", "231"]);
        assert_eq!(told["trace"].as_str().unwrap().len(), digits);
        let received = theirs.received(told["trace"].as_str().unwrap());
        assert_eq!(received["headers"]["x-b3-traceid"], json!([told["trace"]]));
        assert!(shape(zipkin, &told, 4).to_string().contains(joined));
    }
}

#[test]
fn baggage_crosses_both_ways() {
    let Some((go, zipkin, theirs)) = peers() else { return };
    let ours = Ours::start(Style::Otgrpc, tracer(zipkin, "cache server"));
    // OpenTracing's keys lose their case on the way, and its values are raw UTF-8.
    let told = ask_of_go(go, zipkin, &ours.address(), &["--baggage=Tenant=acmé", "get", "tenant"]);
    assert_eq!(told["value"], json!("acmé".as_bytes()));

    let tracer = tracer(zipkin, "cache service client").build().unwrap();
    let context = tracer.context().with_baggage("tenant", "acmé");
    let told = ask(Style::Otgrpc, &tracer, &context, theirs.address(), &["get", "231"]);
    assert_eq!(theirs.received(told["trace"].as_str().unwrap())["baggage"], json!({"tenant": "acmé"}));
}

#[test]
fn our_long_ids_come_back_through_a_server_in_go() {
    let Some((go, zipkin, _)) = peers() else { return };
    let last = Ours::start(Style::Otgrpc, tracer(zipkin, "last server"));
    let middle = Server::start(go.server(zipkin).arg(format!("--forward={}", last.address())));
    let tracer = tracer(zipkin, "cache service client").build().unwrap();
    let context = tracer.context().with_baggage("tenant", "acmé");
    let told = ask(Style::Otgrpc, &tracer, &context, middle.address(), &["get", "forward:tenant"]);
    assert_eq!(told["value"], json!("acmé".as_bytes()), "so does baggage");
    assert_eq!(told["trace"].as_str().unwrap().len(), 32);
    assert_one_way(zipkin, &told, ["cache server", "last server"]);
}

#[test]
fn short_ids_of_go_survive_a_server_of_ours() {
    let Some((go, zipkin, theirs)) = peers() else { return };
    let middle = Ours::start_before(Style::Otgrpc, tracer(zipkin, "middle server"), Some(theirs.address()));
    let told = ask_of_go(go, zipkin, &middle.address(), &["--baggage=tenant=acmé", "get", "forward:231"]);
    assert_eq!(told["value"], json!([231]));
    let trace = told["trace"].as_str().unwrap();
    let received = theirs.received(trace);
    assert_eq!(received["headers"]["x-b3-traceid"], json!([trace]));
    assert_eq!(received["baggage"], json!({"tenant": "acmé"}));
    assert_eq!(trace.len(), 16);
    assert_one_way(zipkin, &told, ["middle server", "cache server"]);
}

/// Through two servers: each call a shared span below the server before.
#[track_caller]
fn assert_one_way(zipkin: &Zipkin, told: &Value, servers: [&str; 2]) {
    let tree = TraceTree::of(&trace(zipkin, told, 7)).by_name();
    let [middle, last] = servers;
    let expected = format!(
        "\
callget [@cache service client]
  /grpc1.cacheservice/get [CLIENT @cache service client]
    /grpc1.cacheservice/get [SERVER shared @{middle}]
      /grpc1.cacheservice/get [CLIENT @{middle}]
        /grpc1.cacheservice/get [SERVER shared @{last}]
          db query user [@{last}]
      db query user [@{middle}]
"
    );
    assert!(tree.to_string() == expected, "the trace is\n{tree}and not\n{expected}");
}

#[test]
fn a_server_of_ours_that_makes_children_is_as_one_in_go() {
    let Some((go, zipkin, _)) = peers() else { return };
    let theirs = Server::start(go.server(zipkin).arg("--same-span=false"));
    let ours = Ours::start(Style::Otgrpc, tracer(zipkin, "cache server").server_span(ServerSpan::Child));
    let ask = |address: &str| shape(zipkin, &ask_of_go(go, zipkin, address, &["get", "231"]), 4);
    assert_eq!(ask(&ours.address()), ask(theirs.address()));
}

#[test]
fn a_call_that_the_client_in_go_cancels() {
    let Some((go, zipkin, _)) = peers() else { return };
    let theirs = Server::start(go.server(zipkin));
    let ours = Ours::start(Style::Otgrpc, tracer(zipkin, "cache server"));
    let cancelled = |address: &str, received: &dyn Fn()| {
        let mut client = go.client(zipkin, address).arg("get").arg("wait").start();
        received();
        client.signal("INT");
        shape(zipkin, &peers::told(client.wait(SOON)), 4)
    };
    let reference = cancelled(theirs.address(), &|| drop(theirs.received("CacheService/Get")));
    let shape = cancelled(&ours.address(), &|| ours.wait_for("wait"));
    let client = "cache service client";
    assert_eq!(shape.of_service(client), reference.of_service(client));
    // A handler in Go sees the end and returns an error without a code. Ours is dropped, and that was the client's wish.
    shape.of_service("cache server").assert(
        r#"
        cache server: SERVER shared /grpc1.cacheservice/get < callget, joined
            component=gRPC
            response_class=2xx
            response_code=Canceled
            @ gRPCrequest="key:\"wait\" "
            @ event=error message="rpc error: code = Canceled desc = context canceled"
        cache server: db query user < /grpc1.cacheservice/get
        "#,
    );
}

#[test]
fn a_call_that_our_client_cancels() {
    let Some((go, zipkin, _)) = peers() else { return };
    let server = Server::start(go.server(zipkin));
    let mut client = go.client(zipkin, server.address()).arg("get").arg("wait").start();
    drop(server.received("CacheService/Get"));
    client.signal("INT");
    let reference = shape(zipkin, &peers::told(client.wait(SOON)), 4);

    let tracer = tracer(zipkin, "cache service client").build().unwrap();
    let server = Arc::new(Server::start(go.server(zipkin)));
    let received = {
        let server = Arc::clone(&server);
        async move { drop(tokio::task::spawn_blocking(move || server.received("CacheService/Get")).await) }
    };
    let told = ask_until(Style::Otgrpc, &tracer, &tracer.context(), server.address(), &["get", "wait"], received);
    assert_eq!(told["code"], "Cancelled");
    assert_eq!(shape(zipkin, &told, 4), reference);
}
