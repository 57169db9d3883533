//! HTTP with Brave: axum with our layer, reqwest with ours.

use std::net::{SocketAddr, TcpListener};

use ::http::{StatusCode, header};
use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;
use tokio::runtime::Runtime;
use tower::{ServiceBuilder, ServiceExt};
use traced_runtime::{InContext, Sampling, ServerSpan, Span, traced};
use traced_tests::peers::{Brave, Server, call};

use super::*;

/// A server of ours; it ends with this value.
pub(crate) struct Ours {
    tracer: Tracer,
    address: SocketAddr,
    _runtime: Runtime,
}

impl Ours {
    /// The routes of Brave's server, and one that tells the caller's baggage.
    pub(crate) fn start(builder: Builder) -> Ours {
        let tracer = builder.build().unwrap();
        let redirect = || async { (StatusCode::FOUND, [(header::LOCATION, "/users/7")]) };
        let router = Router::new()
            .route("/users/{id}", get(user))
            .route("/err", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "err") }))
            .route("/redir", get(redirect))
            .route("/tenant", get(|| async { Context::current().baggage("tenant").unwrap_or("none").to_owned() }))
            .layer(traced_tower::http::server().tracer(&tracer));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let runtime = runtime();
        runtime.spawn(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await
        });
        Ours { tracer, address, _runtime: runtime }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.tracer.shutdown(SOON);
    }
}

async fn user(axum::extract::Path(id): axum::extract::Path<String>) -> impl IntoResponse {
    query();
    id
}

#[traced(name = "db query user")]
fn query() {}

/// Makes a request as Brave's client does, in a span of its own, below `context`.
#[track_caller]
pub(crate) fn request(tracer: &Tracer, context: &Context, address: &str, path: &str) -> Value {
    let span = context.run(|| Span::start("callGet"));
    let trace = trace_id(&span.context());
    let url = format!("http://{address}{path}").parse().unwrap();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let client = ServiceBuilder::new().layer(traced_tower::reqwest::client()).service(client);
    let exchange = async {
        let response = client.oneshot(reqwest::Request::new(reqwest::Method::GET, url)).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, body) = runtime().block_on(exchange.in_span(span));
    let tally = tracer.flush(SOON);
    assert_eq!(tally.recorded(), tally.sent(), "{tally:?}");
    json!({ "trace": trace, "status": status, "body": body })
}

/// A path, and how many spans the two services report for it.
const PATHS: [(&str, usize); 4] = [("/users/7?page=2", 4), ("/nope", 3), ("/err", 3), ("/redir", 3)];

#[test]
fn a_client_with_brave_finds_our_server_as_it_finds_its_own() {
    let (Some(brave), Some(zipkin)) = (Brave::find(), Zipkin::shared()) else { return };
    let theirs = Server::start(brave.http_server(zipkin));
    let ours = Ours::start(tracer(zipkin, "web server"));
    let ask = |address: &str, path| call(brave.http_client(zipkin, address), &["get", path]);
    for (path, spans) in PATHS {
        let (reference, told) = (ask(theirs.address(), path), ask(&ours.address(), path));
        assert_eq!(told["status"], reference["status"]);
        assert_eq!(shape(zipkin, &told, spans), shape(zipkin, &reference, spans), "{path}");
    }
}

#[test]
fn a_server_with_brave_finds_our_client_as_it_finds_its_own() {
    let (Some(brave), Some(zipkin)) = (Brave::find(), Zipkin::shared()) else { return };
    let server = Server::start(brave.http_server(zipkin));
    let tracer = tracer(zipkin, "web client").build().unwrap();
    for (path, spans) in PATHS {
        let reference = call(brave.http_client(zipkin, server.address()), &["get", path]);
        let told = request(&tracer, &tracer.context(), server.address(), path);
        assert_eq!((&told["status"], &told["body"]), (&reference["status"], &reference["body"]));
        assert_eq!(shape(zipkin, &told, spans), shape(zipkin, &reference, spans), "{path}");
    }
}

#[test]
fn debug_and_unsampled_are_understood_both_ways() {
    let (Some(brave), Some(zipkin)) = (Brave::find(), Zipkin::shared()) else { return };
    let theirs = Server::start(brave.http_server(zipkin));
    let ours = Ours::start(tracer(zipkin, "web server"));
    let tracer = tracer(zipkin, "web client").build().unwrap();
    let path = "/users/7";
    let ask =
        |address: &str, flags: &[&str]| call(brave.http_client(zipkin, address), &[flags, &["get", path]].concat());
    let decided = |sampling| request(&tracer, &tracer.context().with_sampling(sampling), theirs.address(), path);

    let unsampled = [ask(&ours.address(), &["--sample=false"]), decided(Sampling::Unsampled)];
    let reference = shape(zipkin, &ask(theirs.address(), &["--debug"]), 4);
    assert_eq!(reference.to_string().matches("debug ").count(), 4, "{reference}");
    for flags in [&["--debug"][..], &["--debug", "--b3=single"]] {
        assert_eq!(shape(zipkin, &ask(&ours.address(), flags), 4), reference);
    }
    assert_eq!(shape(zipkin, &decided(Sampling::Debug), 4), reference);
    // Both servers have reported what came later.
    for told in unsampled {
        assert_eq!(zipkin.trace(told["trace"].as_str().unwrap()), None);
    }
}

#[test]
fn ids_of_both_lengths_and_the_single_header_join() {
    let (Some(brave), Some(zipkin)) = (Brave::find(), Zipkin::shared()) else { return };
    let theirs = Server::start(brave.http_server(zipkin));
    let ours = Ours::start(tracer(zipkin, "web server"));
    for (flags, digits) in
        [(&["--b3=single"][..], 16), (&["--trace-id-128"], 32), (&["--trace-id-128", "--b3=single"], 32)]
    {
        let told = call(brave.http_client(zipkin, &ours.address()), &[flags, &["get", "/users/7"]].concat());
        assert_eq!(told["trace"].as_str().unwrap().len(), digits);
        assert!(
            shape(zipkin, &told, 4).to_string().contains("web server: SERVER shared get /users/{id} < callget, joined")
        );
    }
    for (builder, digits) in [(tracer(zipkin, "web client"), 32), (tracer(zipkin, "web client").trace_id_64(), 16)] {
        let tracer = builder.build().unwrap();
        let told = request(&tracer, &tracer.context(), theirs.address(), "/users/7");
        assert_eq!(told["trace"].as_str().unwrap().len(), digits);
        let received = theirs.received(told["trace"].as_str().unwrap());
        assert_eq!(received["headers"]["x-b3-traceid"], told["trace"]);
        assert!(
            shape(zipkin, &told, 4).to_string().contains("web server: SERVER shared get /users/{id} < callget, joined")
        );
    }
}

#[test]
fn a_server_of_ours_that_makes_children_is_as_one_with_brave() {
    let (Some(brave), Some(zipkin)) = (Brave::find(), Zipkin::shared()) else { return };
    let theirs = Server::start(brave.http_server(zipkin).arg("--join=false"));
    let ours = Ours::start(tracer(zipkin, "web server").server_span(ServerSpan::Child));
    let ask = |address: &str| shape(zipkin, &call(brave.http_client(zipkin, address), &["get", "/users/7"]), 4);
    assert_eq!(ask(&ours.address()), ask(theirs.address()));
}

#[test]
fn baggage_crosses_both_ways() {
    let (Some(brave), Some(zipkin)) = (Brave::find(), Zipkin::shared()) else { return };
    let ours = Ours::start(tracer(zipkin, "web server"));
    for key in ["tenant", "baggage-tenant", "ot-baggage-tenant"] {
        let client = brave.http_client(zipkin, &ours.address()).arg(format!("--baggage-key=tenant={key}"));
        let told = call(client, &["--baggage=tenant=acme", "get", "/tenant"]);
        assert_eq!(told["body"], "acme", "{key}");
    }

    let tracer = tracer(zipkin, "web client").build().unwrap();
    let context = tracer.context().with_baggage("tenant", "acme");
    for key in [TENANT, "--baggage-key=tenant=baggage-tenant"] {
        let theirs = Server::start(brave.http_server(zipkin).arg(key));
        let told = request(&tracer, &context, theirs.address(), "/users/7");
        assert_eq!(theirs.received(told["trace"].as_str().unwrap())["baggage"], json!({"tenant": "acme"}), "{key}");
    }
}
