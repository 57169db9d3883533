//! Our layers among those of others, inside and outside of ours.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _};
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use traced_runtime::Outcome;
use traced_tower::http;

use crate::server::{Server, ended, tracer};

/// For what never answers. What answers under it must do so when it is polled first, as handlers here do.
const TIMEOUT: Duration = Duration::from_millis(50);

/// For what comes over a socket, however busy the machine is.
const LONG: Duration = Duration::from_secs(60);

fn timeout(limit: Duration) -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, limit)
}

const TEXT: &str = "a text that is long enough to be packed, a text that is long enough to be packed";

fn app() -> Router {
    Router::new().route("/text", get(|| async { TEXT })).route("/never", get(std::future::pending::<()>))
}

const TEXT_SPAN: &str = "GET /text  [server]  http.method=GET  http.path=/text";

// On one thread: tags that different ones tell a span have no order, and the time-out may wake the handler on another.
#[tokio::test]
async fn all_layers_inside_of_ours() {
    let prices = tracer("prices");
    let others =
        ServiceBuilder::new().layer(CorsLayer::permissive()).layer(CompressionLayer::new()).layer(timeout(TIMEOUT));
    let server = Server::start(app().layer(others).layer(http::server().tracer(&prices))).await;
    check(&server).await;
    let spans = ended(&prices, 3).await;
    let tree = prices.tree().sorted();
    tree.assert(
        "
        GET /never  [server]  http.method=GET  http.path=/never  http.status_code=408  error: 408
        GET /text  [server]  http.method=GET  http.path=/text
        OPTIONS /text  [server]  http.method=OPTIONS  http.path=/text
    ",
    );
    assert!(spans.iter().all(|span| span.outcome() != Outcome::Cancelled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_layers_outside_of_ours() {
    let prices = tracer("prices");
    let others =
        ServiceBuilder::new().layer(CorsLayer::permissive()).layer(CompressionLayer::new()).layer(timeout(TIMEOUT));
    let server = Server::start(app().layer(http::server().tracer(&prices)).layer(others)).await;
    check(&server).await;
    // Preflight requests are answered by the layer outside.
    drop(ended(&prices, 2).await);
    prices.tree().sorted().assert(&format!(
        "
        GET /never  [server]  http.method=GET  http.path=/never  cancelled
        {TEXT_SPAN}
    "
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_layer_takes_our_body_and_gives_it_one() {
    // Without a router between them, which makes each body one of its own.
    let prices = tracer("prices");
    let service = ServiceBuilder::new()
        .layer(http::server().tracer(&prices))
        .layer(CorsLayer::permissive())
        .layer(timeout(TIMEOUT))
        .layer(http::server().tracer(&prices))
        .service(app());
    let service = ServiceBuilder::new().layer(CompressionLayer::new()).layer(CorsLayer::permissive()).service(service);
    let server = Server::start(Router::new().fallback_service(service)).await;
    assert_eq!(reqwest::get(server.url("/text")).await.unwrap().text().await.unwrap(), TEXT);
    drop(ended(&prices, 2).await);
    prices.assert_tree(
        "
        GET  [server]  http.method=GET  http.path=/text
        └─ GET  [server]  http.method=GET  http.path=/text
    ",
    );
}

/// A request of each kind: a preflight, a text that is packed, one that times out.
async fn check(server: &Server) {
    let client = reqwest::Client::new();
    let preflight = client.request(reqwest::Method::OPTIONS, server.url("/text"));
    let preflight = preflight.header("origin", "http://a").header("access-control-request-method", "GET");
    assert_eq!(preflight.send().await.unwrap().headers()["access-control-allow-origin"], "*");
    let packed = client.get(server.url("/text")).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert!(packed.bytes().await.unwrap().starts_with(&[0x1f, 0x8b]));
    assert_eq!(client.get(server.url("/never")).send().await.unwrap().status(), 408);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_between_layers_of_others() {
    let shop = tracer("shop");
    let server = Server::start(app()).await;
    let hyper = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let client = |limit| {
        ServiceBuilder::new()
            .layer(timeout(limit))
            .layer(http::client().tracer(&shop))
            .layer(tower::timeout::TimeoutLayer::new(LONG))
            .service(hyper.clone())
    };
    let get = |path| Request::get(server.url(path)).body(Empty::new()).unwrap();
    let response = client(LONG).oneshot(get("/text")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), TEXT);
    assert_eq!(client(TIMEOUT).oneshot(get("/never")).await.unwrap().status(), 408);
    drop(ended(&shop, 2).await);
    shop.tree().sorted().assert(
        "
        GET  [client]  http.method=GET  http.path=/never  cancelled
        GET  [client]  http.method=GET  http.path=/text
    ",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_a_layer_inside_is_that_of_the_call() {
    let shop = tracer("shop");
    let never = tower::service_fn(|_: Request<()>| {
        std::future::pending::<Result<axum::http::Response<Empty<Bytes>>, std::io::Error>>()
    });
    let timing_out = tower::timeout::TimeoutLayer::new(Duration::from_millis(1)).layer(never);
    let client = http::client().tracer(&shop).layer(timing_out);
    let error = client.oneshot(Request::new(())).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>(), "{error}");
    drop(ended(&shop, 1).await);
    shop.assert_tree("GET  [client]  http.method=GET  http.path=/  error: request timed out");
}
