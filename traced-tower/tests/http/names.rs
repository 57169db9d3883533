//! Names and tags of spans.

use axum::Router;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::{any_service, get};
use traced_tower::http;

use crate::server::{Server, ended, tracer};

/// One of each kind of route.
fn routes() -> Router {
    let inner = Router::new().route("/items/{item}", get(|| async { "item" }));
    Router::new()
        .route("/users/{id}", get(|| async { "ann" }).post(|| async { (StatusCode::CREATED, "ann") }))
        .route("/gone", get(|| async { StatusCode::NOT_FOUND }))
        .route("/err", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/redir", get(|| async { Redirect::temporary("/users/7") }))
        .nest("/shop", inner)
        .nest_service(
            "/files",
            any_service(tower::service_fn(|_| async {
                Ok::<_, std::convert::Infallible>(axum::response::IntoResponse::into_response(StatusCode::NOT_FOUND))
            })),
        )
        .fallback(|uri: axum::http::Uri| async move {
            match uri.path() {
                "/moved" => StatusCode::MOVED_PERMANENTLY,
                "/odd" => StatusCode::IM_A_TEAPOT,
                _ => StatusCode::NOT_FOUND,
            }
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_spans_are_named_by_method_and_route() {
    let prices = tracer("prices");
    let server = Server::start(routes().layer(http::server().tracer(&prices))).await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (at, (method, path, expected)) in [
        ("GET", "/users/7?token=secret", "GET /users/{id}  [server]  http.method=GET  http.path=/users/7"),
        ("POST", "/users/7", "POST /users/{id}  [server]  http.method=POST  http.path=/users/7"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = client.request(method.parse().unwrap(), server.url(path));
        drop(request.send().await.unwrap().bytes().await.unwrap());
        drop(ended(&prices, 1).await);
        assert_eq!(prices.tree().to_string(), format!("{expected}\n"), "{at}");
        prices.clear();
    }
}
