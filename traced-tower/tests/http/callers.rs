//! Who is on the other side.

use axum::Router;
use axum::routing::get;
use traced_tower::{Layer, http};

use crate::server::{Server, ended, tracer};

async fn caller(layer: Layer<http::Server>, forwarded_for: &str) -> String {
    let prices = tracer("prices");
    let app = Router::new().route("/", get(|| async {})).layer(layer.tracer(&prices));
    let server = Server::start(app).await;
    let request = reqwest::Client::new().get(server.url("/")).header("x-forwarded-for", forwarded_for);
    drop(request.send().await.unwrap());
    let spans = ended(&prices, 1).await;
    let remote = spans[0].remote_endpoint().unwrap();
    let port = if remote.port_number().is_some() { ":port" } else { "" };
    format!("{}{port}", remote.ip_addr().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_address_counts_when_the_server_trusts_it() {
    assert_eq!(caller(http::server(), "192.0.2.1").await, "127.0.0.1:port");
    assert_eq!(caller(http::server().trust_forwarded(), "192.0.2.1, 10.0.0.1").await, "192.0.2.1");
    assert_eq!(caller(http::server().trust_forwarded(), "[2001:db8::1]:80").await, "2001:db8::1:port");
    assert_eq!(caller(http::server().trust_forwarded(), "unknown, 192.0.2.1").await, "127.0.0.1:port");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_reqwest_knows_where_the_server_is() {
    use tower::{Layer as _, ServiceExt as _};
    let server = Server::start(Router::new().route("/", get(|| async {}))).await;
    let shop = tracer("shop");
    let client = traced_tower::reqwest::client().remote("prices").layer(reqwest::Client::new());
    let request = reqwest::Client::new().get(server.url("/")).build().unwrap();
    drop(shop.run_async(async { client.oneshot(request).await.unwrap() }).await);
    let spans = ended(&shop, 1).await;
    let remote = spans[0].remote_endpoint().unwrap();
    assert_eq!(remote.service_name(), Some("prices"));
    assert_eq!((remote.ip_addr(), remote.port_number()), (Some(server.address.ip()), Some(server.address.port())));
}
