//! Calls of one protocol through layers of the other, and answers that are not gRPC's.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full};
use tonic::Code;
use tower::{Layer as _, ServiceExt as _};
use traced_runtime::{Kind, Outcome, SpanRecord, testing};
use traced_tower::{Layer, grpc, http as http_layers};

use crate::echo::{self, Echo};
use crate::{Sides, ended, tag};

/// What a gRPC server's layer says of a call below which this answer is given.
async fn told<B>(layer: Layer<grpc::Server>, answer: Response<B>) -> SpanRecord
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Clone,
{
    let tracer = testing::Tracer::new();
    let service = tower::service_fn(move |_: Request<tonic::body::Body>| {
        let answer = answer.clone();
        async { Ok::<_, Infallible>(answer) }
    });
    let request = Request::post("/health").body(Empty::<Bytes>::new()).unwrap();
    let response = layer.tracer(&tracer).layer(service).oneshot(request).await.unwrap();
    // A server does not poll a body that is at its end.
    if !http_body::Body::is_end_stream(response.body()) {
        drop(response.into_body().collect().await.unwrap());
    }
    ended(&tracer, Kind::Server).await
}

#[tokio::test]
async fn an_answer_without_a_body_or_a_status_has_ended_by_its_http_status() {
    for (http, code) in [(200, "UNKNOWN"), (401, "UNAUTHENTICATED"), (503, "UNAVAILABLE")] {
        let answer = || Response::builder().status(http);
        for span in [
            told(grpc::server(), answer().body(Empty::new()).unwrap()).await,
            told(grpc::server(), answer().body(Full::from("fine")).unwrap()).await,
        ] {
            assert_eq!(span.outcome(), Outcome::Error, "{http}");
            assert_eq!(tag(&span, "rpc.error_code").as_deref(), Some(code));
            assert_eq!(tag(&span, "error"), Some(format!("no grpc-status, HTTP status {http}")));
        }
    }
}

#[tokio::test]
async fn a_tag_of_the_user_s_beats_that_of_a_status_in_headers() {
    let answer = Response::builder().header("grpc-status", "5").body(Empty::new()).unwrap();
    let layer = grpc::server().response_tags(|_, span| span.tag("rpc.error_code", "mine"));
    let span = told(layer, answer).await;
    assert_eq!((tag(&span, "rpc.error_code").as_deref(), span.outcome()), (Some("mine"), Outcome::Error));
}

#[tokio::test]
async fn a_grpc_call_through_a_layer_of_http_is_the_http_call_that_it_is() {
    let sides = Sides::new();
    let server = tower::ServiceBuilder::new().layer(http_layers::server().tracer(&sides.server)).service(Echo);
    let client = tower::ServiceBuilder::new().layer(http_layers::client().tracer(&sides.client)).service(server);
    let mut client = echo::Client::with_origin(client, "http://echo".parse().unwrap());
    assert_eq!(client.say("code:5").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.say("hi").await.unwrap(), "hi");
    let mut stream = client.count("1000000").await.unwrap();
    assert_eq!(stream.message().await.unwrap().as_deref(), Some("1"));
    drop(stream);
    for (tracer, last) in [(&sides.client, Outcome::Returned), (&sides.server, Outcome::Cancelled)] {
        let spans = tracer.spans();
        assert_eq!(
            spans.iter().map(SpanRecord::outcome).collect::<Vec<_>>(),
            [Outcome::Returned, Outcome::Returned, last]
        );
        for span in &spans {
            assert_eq!((span.name().as_ref(), tag(span, "http.method").as_deref()), ("POST", Some("POST")));
            assert!(tag(span, "http.path").is_some_and(|path| path.starts_with("/test.Echo/")));
            assert_eq!(tag(span, "rpc.service"), None);
        }
    }
}

#[tokio::test]
async fn an_http_call_beside_grpc_is_left_out_if_it_is_said_to_be() {
    let tracer = testing::Tracer::new();
    let answer = tower::service_fn(|_: Request<tonic::body::Body>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("fine")))
    });
    let layer = grpc::server().tracer(&tracer).only(|request| request.uri.path() != "/health");
    let request = Request::get("/health").body(Empty::<Bytes>::new()).unwrap();
    let response = layer.layer(answer).oneshot(request).await.unwrap();
    assert_eq!(
        (response.status(), response.into_body().collect().await.unwrap().to_bytes()),
        (StatusCode::OK, "fine".into())
    );
    assert!(tracer.spans().is_empty() && tracer.open_spans().is_empty());
}

#[tokio::test]
async fn a_grpc_call_through_layers_of_both_is_a_span_of_each() {
    let tracer = testing::Tracer::new();
    let layers = tower::ServiceBuilder::new()
        .layer(http_layers::server().tracer(&tracer))
        .layer(grpc::server().tracer(&tracer))
        .service(Echo);
    let mut client = echo::Client::with_origin(
        tower::util::MapErr::new(layers, |never: Infallible| match never {}),
        "http://echo".parse().unwrap(),
    );
    assert_eq!(client.say("code:5").await.unwrap_err().code(), Code::NotFound);
    tracer.assert_tree(
        "
        POST  [server]  http.method=POST  http.path=/test.Echo/Say
        └─ test.Echo/Say  [server]  rpc.service=test.Echo  rpc.method=Say  rpc.error_code=NOT_FOUND  error: NOT_FOUND
    ",
    );
}

#[tokio::test]
async fn a_server_below_axum_s_knows_its_caller() {
    let tracer = testing::Tracer::new();
    let answer = tower::service_fn(|_: Request<tonic::body::Body>| async {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let address = SocketAddr::from(([192, 0, 2, 1], 4711));
    let mut request = Request::post("/test.Echo/Say").body(Empty::<Bytes>::new()).unwrap();
    request.extensions_mut().insert(ConnectInfo(address));
    drop(grpc::server().tracer(&tracer).layer(answer).oneshot(request).await.unwrap());
    let span = ended(&tracer, Kind::Server).await;
    let remote = span.remote_endpoint().unwrap();
    assert_eq!((remote.ip_addr(), remote.port_number()), (Some(address.ip()), Some(address.port())));
}
