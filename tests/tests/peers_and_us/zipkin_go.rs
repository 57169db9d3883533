//! HTTP with zipkin-go. Its names and tags are not Brave's, so each half is as it is among its own kind.

use serde_json::json;
use traced_runtime::Sampling;
use traced_tests::peers::{Server, ZipkinGo, call};

use super::*;
use crate::http::{Ours, request};

#[test]
fn client_and_server_share_a_span_both_ways() {
    let (Some(peer), Some(zipkin)) = (ZipkinGo::find(), Zipkin::shared()) else { return };
    let theirs = Server::start(peer.server(zipkin));
    let ours = Ours::start(tracer(zipkin, "web server"));
    let tracer = tracer(zipkin, "web client").build().unwrap();
    let path = "/users/7";
    let ask = |address: &str, flags: &[&str]| call(peer.client(zipkin, address), &[flags, &["get", path]].concat());
    let half = |told: &Value, service: &str| shape(zipkin, told, 4).of_service(service);
    let server = "
        web server: SERVER shared get /users/{id} < callget, joined
            http.method=GET
            http.path=/users/7
        web server: db query user < get /users/{id}
    ";
    let client = "
        web client: callget
        web client: CLIENT get < callget, joined
            http.method=GET
            http.path=/users/7
    ";

    for flags in [&[][..], &["--trace-id-128"], &["--debug"]] {
        let (reference, told) = (ask(theirs.address(), flags), ask(&ours.address(), flags));
        assert_eq!(half(&told, "web client"), half(&reference, "web client"));
        let debug = if flags == ["--debug"] { "debug " } else { "" };
        let expected = server.replace("get /users/{id} <", &format!("{debug}get /users/{{id}} <"));
        half(&told, "web server").assert(&expected.replace("db query", &format!("{debug}db query")));
    }
    let reference = ask(theirs.address(), &[]);
    for sixty_four in [false, true] {
        let tracer = super::tracer(zipkin, "web client");
        let tracer = if sixty_four { tracer.trace_id_64() } else { tracer }.build().unwrap();
        let told = request(&tracer, &tracer.context(), theirs.address(), path);
        half(&told, "web client").assert(client);
        assert_eq!(half(&told, "web server"), half(&reference, "web server"));
    }
    let debug = request(&tracer, &tracer.context().with_sampling(Sampling::Debug), theirs.address(), path);
    assert_eq!(half(&debug, "web server"), half(&ask(theirs.address(), &["--debug"]), "web server"));

    let told = call(peer.client(zipkin, &ours.address()), &["--tenant=acme", "get", "/tenant"]);
    assert_eq!(told["body"], "acme");
    let told = request(&tracer, &tracer.context().with_baggage("tenant", "acme"), theirs.address(), path);
    assert_eq!(theirs.received(told["trace"].as_str().unwrap())["baggage"], json!({"tenant": "acme"}));
}

#[test]
fn what_is_not_sampled_is_reported_by_nobody() {
    let (Some(peer), Some(zipkin)) = (ZipkinGo::find(), Zipkin::shared()) else { return };
    let theirs = Server::start(peer.server(zipkin));
    let ours = Ours::start(tracer(zipkin, "web server"));
    let tracer = tracer(zipkin, "web client").build().unwrap();
    let ask = |flags: &[&str]| call(peer.client(zipkin, &ours.address()), &[flags, &["get", "/users/7"]].concat());
    let decided = |sampling| {
        let context = tracer.context().with_sampling(sampling);
        request(&tracer, &context, theirs.address(), "/users/7")
    };
    let unsampled = [ask(&["--sample=false"]), decided(Sampling::Unsampled)];
    for later in [ask(&[]), decided(Sampling::Sampled)] {
        drop(trace(zipkin, &later, 4));
    }
    for told in unsampled {
        assert_eq!(zipkin.trace(told["trace"].as_str().unwrap()), None);
    }
}
