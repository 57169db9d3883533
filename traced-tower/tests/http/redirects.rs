//! Redirects: one span where the client follows them, one for each request where a layer does.

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _};
use tower_http::follow_redirect::FollowRedirectLayer;
use traced_runtime::{InContext as _, Span};

use crate::server::{Server, ended, tracer};

async fn moved() -> Server {
    let app = Router::new()
        .route("/old", get(|| async { Redirect::permanent("/new") }))
        .route("/new", get(|| async { "here" }));
    Server::start(app).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_client_follows_by_itself_is_one_span() {
    let shop = tracer("shop");
    let server = moved().await;
    let client = traced_tower::reqwest::client().tracer(&shop).layer(reqwest::Client::new());
    let request = reqwest::Client::new().get(server.url("/old")).build().unwrap();
    let response = client.oneshot(request).await.unwrap();
    assert_eq!(response.url().as_str(), server.url("/new"));
    assert_eq!(response.remote_addr(), Some(server.address));
    assert_eq!(response.content_length(), Some(4));
    assert_eq!(response.text().await.unwrap(), "here");
    drop(ended(&shop, 1).await);
    shop.assert_tree("GET  [client]  http.method=GET  http.path=/old");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_layer_around_ours_follows_is_a_span_for_each_request() {
    let shop = tracer("shop");
    let server = moved().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<axum::body::Bytes>>();
    let client =
        ServiceBuilder::new().layer(FollowRedirectLayer::new()).layer(traced_tower::http::client()).service(client);
    let request = axum::http::Request::get(server.url("/old")).body(Empty::new()).unwrap();
    let call = async { client.oneshot(request).in_span(Span::start("checkout")).await };
    let response = shop.run_async(call).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "here");
    drop(ended(&shop, 3).await);
    shop.assert_tree(
        "
        checkout
        ├─ GET  [client]  http.method=GET  http.path=/old  http.status_code=308
        └─ GET  [client]  http.method=GET  http.path=/new
    ",
    );
}
