//! gRPC with Brave: our layers in their usual style.

use std::sync::{Arc, OnceLock};

use serde_json::json;
use traced_runtime::{Sampling, ServerSpan};
use traced_tests::peers::{self, Brave, Server, call};

use super::*;
use crate::ours::{Ours, Style, ask, ask_until};

/// The server with Brave that tests share which leave it as it was.
pub(crate) fn peers() -> Option<(&'static Brave, &'static Zipkin, &'static Server)> {
    static SHARED: OnceLock<Server> = OnceLock::new();
    let (brave, zipkin) = (Brave::find()?, Zipkin::shared()?);
    Some((brave, zipkin, SHARED.get_or_init(|| Server::start(brave.grpc_server(zipkin).arg(TENANT)))))
}

#[track_caller]
fn ask_of_brave(brave: &Brave, zipkin: &Zipkin, address: &str, arguments: &[&str]) -> Value {
    call(brave.grpc_client(zipkin, address), arguments)
}

/// A stream, some endings of a unary call, and a stream that fails at its last item; each with the number of its spans.
const CALLS: [(&[&str], usize); 6] = [
    (&["dump"], 3),
    (&["get", "231"], 4),
    (&["get", "code:5"], 4),
    (&["get", "code:13"], 4),
    (&["store", "code:14", ""], 3),
    (&["dump"], 3),
];

#[test]
fn a_client_with_brave_finds_our_server_as_it_finds_its_own() {
    let Some((brave, zipkin, _)) = peers() else { return };
    let theirs = Server::start(brave.grpc_server(zipkin));
    let ours = Ours::start(Style::Brave, tracer(zipkin, "cache server"));
    for (arguments, spans) in CALLS {
        let reference = ask_of_brave(brave, zipkin, theirs.address(), arguments);
        let told = ask_of_brave(brave, zipkin, &ours.address(), arguments);
        assert_eq!((&told["code"], &told["value"]), (&reference["code"], &reference["value"]));
        assert_eq!(shape(zipkin, &told, spans), shape(zipkin, &reference, spans), "{arguments:?}");
    }
}

#[test]
fn a_server_with_brave_finds_our_client_as_it_finds_its_own() {
    let Some((brave, zipkin, _)) = peers() else { return };
    let theirs = Server::start(brave.grpc_server(zipkin));
    let tracer = tracer(zipkin, "cache service client").build().unwrap();
    for (arguments, spans) in CALLS {
        let reference = ask_of_brave(brave, zipkin, theirs.address(), arguments);
        let told = ask(Style::Brave, &tracer, &tracer.context(), theirs.address(), arguments);
        assert_eq!(told["value"], reference["value"]);
        assert_eq!(shape(zipkin, &told, spans), shape(zipkin, &reference, spans), "{arguments:?}");
    }
}

#[test]
fn debug_and_unsampled_are_understood_both_ways() {
    let Some((brave, zipkin, theirs)) = peers() else { return };
    let ours = Ours::start(Style::Brave, tracer(zipkin, "cache server"));
    let tracer = tracer(zipkin, "cache service client").build().unwrap();
    let decided = |sampling| {
        let context = tracer.context().with_sampling(sampling);
        ask(Style::Brave, &tracer, &context, theirs.address(), &["get", "231"])
    };
    let unsampled =
        [ask_of_brave(brave, zipkin, &ours.address(), &["--sample=false", "get", "231"]), decided(Sampling::Unsampled)];
    let debug = ["--debug", "get", "231"];
    let reference = shape(zipkin, &ask_of_brave(brave, zipkin, theirs.address(), &debug), 4);
    assert_eq!(reference.to_string().matches("debug ").count(), 4, "{reference}");
    assert_eq!(shape(zipkin, &ask_of_brave(brave, zipkin, &ours.address(), &debug), 4), reference);
    assert_eq!(shape(zipkin, &decided(Sampling::Debug), 4), reference);
    // Both servers have reported what came later.
    for told in unsampled {
        assert_eq!(zipkin.trace(told["trace"].as_str().unwrap()), None);
    }
}

#[test]
fn ids_of_both_lengths_and_the_single_header_join_with_their_baggage() {
    let Some((brave, zipkin, theirs)) = peers() else { return };
    let ours = Ours::start(Style::Brave, tracer(zipkin, "cache server"));
    let joined = "cache server: SERVER shared grpc1.cacheservice/get < callget, joined";
    for (flag, key, digits) in [("--b3=single", "tenant", 16), ("--trace-id-128", "ot-baggage-tenant", 32)] {
        let baggage = ["--baggage=tenant=acme", &format!("--baggage-key=tenant={key}")];
        let arguments = [&baggage[..], &[flag, "get", "tenant"]].concat();
        let told = ask_of_brave(brave, zipkin, &ours.address(), &arguments);
        assert_eq!(told["value"], json!("acme".as_bytes()));
        assert_eq!(told["trace"].as_str().unwrap().len(), digits);
        assert!(shape(zipkin, &told, 4).to_string().contains(joined));
    }
    for (builder, digits) in
        [(tracer(zipkin, "cache service client"), 32), (tracer(zipkin, "cache service client").trace_id_64(), 16)]
    {
        let tracer = builder.build().unwrap();
        let context = tracer.context().with_baggage("tenant", "acme");
        let told = ask(Style::Brave, &tracer, &context, theirs.address(), &["get", "231"]);
        assert_eq!(told["trace"].as_str().unwrap().len(), digits);
        let received = theirs.received(told["trace"].as_str().unwrap());
        assert_eq!(received["headers"]["x-b3-traceid"], told["trace"]);
        assert_eq!(received["baggage"], json!({"tenant": "acme"}));
        assert!(shape(zipkin, &told, 4).to_string().contains(joined));
    }
}

#[test]
fn a_server_of_ours_that_makes_children_is_as_one_with_brave() {
    let Some((brave, zipkin, _)) = peers() else { return };
    let theirs = Server::start(brave.grpc_server(zipkin).arg("--join=false"));
    let ours = Ours::start(Style::Brave, tracer(zipkin, "cache server").server_span(ServerSpan::Child));
    let ask = |address: &str| shape(zipkin, &ask_of_brave(brave, zipkin, address, &["get", "231"]), 4);
    assert_eq!(ask(&ours.address()), ask(theirs.address()));
}

#[test]
fn a_call_that_the_client_with_brave_cancels() {
    let Some((brave, zipkin, _)) = peers() else { return };
    let ours = Ours::start(Style::Brave, tracer(zipkin, "cache server"));
    let mut client = brave.grpc_client(zipkin, &ours.address()).arg("get").arg("wait").start();
    ours.wait_for("wait");
    client.signal("INT");
    let told = peers::told(client.wait(SOON));
    assert_eq!(told["code"], "CANCELLED");
    // As with Brave it is no error of the server's. Ours is dropped, and says so, where Brave waits for its handler.
    shape(zipkin, &told, 4).assert(
        "
        cache service client: callget
        cache service client: CLIENT grpc1.cacheservice/get < callget, joined
            error=CANCELLED
            rpc.error_code=CANCELLED
            rpc.method=Get
            rpc.service=grpc1.CacheService
        cache server: SERVER shared grpc1.cacheservice/get < callget, joined
            outcome=cancelled
            rpc.method=Get
            rpc.service=grpc1.CacheService
        cache server: db query user < grpc1.cacheservice/get
        ",
    );
}

#[test]
fn a_call_that_our_client_cancels() {
    let Some((brave, zipkin, _)) = peers() else { return };
    let server = Server::start(brave.grpc_server(zipkin));
    let mut client = brave.grpc_client(zipkin, server.address()).arg("get").arg("wait").start();
    drop(server.received("CacheService/Get"));
    client.signal("INT");
    let reference = shape(zipkin, &peers::told(client.wait(SOON)), 4);

    let tracer = tracer(zipkin, "cache service client").build().unwrap();
    let server = Arc::new(Server::start(brave.grpc_server(zipkin)));
    let received = {
        let server = Arc::clone(&server);
        async move { drop(tokio::task::spawn_blocking(move || server.received("CacheService/Get")).await) }
    };
    let told = ask_until(Style::Brave, &tracer, &tracer.context(), server.address(), &["get", "wait"], received);
    assert_eq!(told["code"], "Cancelled");
    // A span of ours that was dropped says so beside.
    let expected = reference.to_string().replace("error=CANCELLED\n", "error=CANCELLED\n    outcome=cancelled\n");
    shape(zipkin, &told, 4).assert(&expected);
}
