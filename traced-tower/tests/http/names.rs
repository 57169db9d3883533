//! Names and tags of spans.

use std::convert::Infallible;

use axum::Router;
use axum::http::{HeaderName, StatusCode, Uri};
use axum::response::Redirect;
use axum::routing::{get, post};
use tower::ServiceBuilder;
use traced_tests::Checked;
use traced_tower::http;

use crate::server::{Server, ended, tracer};

/// Asks, and gives the line of the server's span.
async fn line(server: &Server, tracer: &Checked, method: &str, path: &str) -> String {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = client.request(method.parse().unwrap(), server.url(path));
    drop(request.send().await.unwrap().bytes().await.unwrap());
    drop(ended(tracer, 1).await);
    let line = tracer.tree().to_string().trim_end().to_owned();
    tracer.clear();
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_spans_are_named_by_method_and_route() {
    let files = tower::service_fn(|_: axum::extract::Request| async {
        Ok::<_, Infallible>(axum::response::IntoResponse::into_response(StatusCode::NOT_FOUND))
    });
    let app = Router::new()
        .route("/users/{id}", get(|| async { "ann" }).post(|| async { (StatusCode::CREATED, "ann") }))
        .route("/gone", get(|| async { StatusCode::NOT_FOUND }))
        .route("/err", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/redir", get(|| async { Redirect::temporary("/users/7") }))
        .nest("/shop", Router::new().route("/items/{item}", get(|| async { "item" })))
        .nest_service("/files", files)
        .fallback(|uri: Uri| async move {
            match uri.path() {
                "/moved" => StatusCode::MOVED_PERMANENTLY,
                "/odd" => StatusCode::IM_A_TEAPOT,
                _ => StatusCode::NOT_FOUND,
            }
        });
    let prices = tracer("prices");
    let server = Server::start(app.layer(http::server().tracer(&prices))).await;
    for (method, path, expected) in [
        ("GET", "/users/7?token=secret", "GET /users/{id}  [server]  http.method=GET  http.path=/users/7"),
        ("POST", "/users/7", "POST /users/{id}  [server]  http.method=POST  http.path=/users/7"),
        ("HEAD", "/users/7", "HEAD /users/{id}  [server]  http.method=HEAD  http.path=/users/7"),
        (
            "PUT",
            "/users/7",
            "PUT /users/{id}  [server]  http.method=PUT  http.path=/users/7  http.status_code=405  error: 405",
        ),
        ("GET", "/gone", "GET /gone  [server]  http.method=GET  http.path=/gone  http.status_code=404  error: 404"),
        ("GET", "/err", "GET /err  [server]  http.method=GET  http.path=/err  http.status_code=500  error: 500"),
        ("GET", "/redir", "GET /redir  [server]  http.method=GET  http.path=/redir  http.status_code=307"),
        ("GET", "/shop/items/5", "GET /shop/items/{item}  [server]  http.method=GET  http.path=/shop/items/5"),
        (
            "GET",
            "/files/a/b",
            "GET not_found  [server]  http.method=GET  http.path=/files/a/b  http.status_code=404  error: 404",
        ),
        (
            "GET",
            "/none?q",
            "GET not_found  [server]  http.method=GET  http.path=/none  http.status_code=404  error: 404",
        ),
        ("GET", "/moved", "GET redirected  [server]  http.method=GET  http.path=/moved  http.status_code=301"),
        ("GET", "/odd", "GET  [server]  http.method=GET  http.path=/odd  http.status_code=418  error: 418"),
    ] {
        assert_eq!(line(&server, &prices, method, path).await, expected, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn around_a_router_and_in_a_nested_one_names_are_what_the_layer_can_see() {
    let prices = tracer("prices");
    let layer = http::server().tracer(&prices);
    let app = Router::new().route("/users/{id}", get(|| async { "ann" }));
    let around = Router::new().fallback_service(ServiceBuilder::new().layer(layer.clone()).service(app.clone()));
    let server = Server::start(around).await;
    // A fallback of a router, as far as it can see.
    let expected = "GET not_found  [server]  http.method=GET  http.path=/none  http.status_code=404  error: 404";
    assert_eq!(line(&server, &prices, "GET", "/none").await, expected);
    assert_eq!(line(&server, &prices, "GET", "/users/7").await, "GET  [server]  http.method=GET  http.path=/users/7");

    let nested = Router::new().nest("/v1/{tenant}", app.layer(layer.clone()));
    let server = Server::start(nested).await;
    let expected = "GET /v1/{tenant}/users/{id}  [server]  http.method=GET  http.path=/v1/acme/users/7";
    assert_eq!(line(&server, &prices, "GET", "/v1/acme/users/7").await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_tags_are_as_the_user_says() {
    let tenant = HeaderName::from_static("x-tenant");
    let prices = tracer("prices");
    let layer = http::server()
        .tracer(&prices)
        .name(|request| format!("{} anything", request.version == axum::http::Version::HTTP_11))
        .tags(move |request, span| {
            let tenant = request.headers.get(&tenant).and_then(|tenant| tenant.to_str().ok());
            span.tag("tenant", tenant.unwrap_or("none"));
            span.tag("http.path", "/hidden");
        })
        .response_tags(|response, span| {
            span.tag("answered", response.status.as_str());
            span.tag("error", "of the user's");
        })
        .remote("gateway");
    let app = Router::new().route("/users/{id}", post(|| async { StatusCode::BAD_REQUEST })).layer(layer);
    let server = Server::start(app).await;
    let client = reqwest::Client::new();
    drop(client.post(server.url("/users/7")).header("x-tenant", "acme").send().await.unwrap());
    let spans = ended(&prices, 1).await;
    prices.assert_tree(
        "true anything  [server]  http.method=POST  http.path=/hidden  tenant=acme  http.status_code=400  \
         answered=400  error: of the user's",
    );
    let remote = spans[0].remote_endpoint().unwrap();
    assert_eq!(remote.service_name(), Some("gateway"));
    assert!(remote.ip_addr().unwrap().is_loopback() && remote.port_number().is_some());
}
