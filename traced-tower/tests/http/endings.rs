//! Calls that do not end with a response.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tower::{Layer as _, Service as _, ServiceExt as _};
use traced_runtime::{Outcome, span};
use traced_tower::http;

use crate::server::{Server, ended, tracer};

/// Tells when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _rollback = span!("roll back");
        self.0.notify_one();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_whose_client_goes_away_is_cancelled() {
    let prices = tracer("prices");
    let [started, gone] = [(); 2].map(|()| Arc::new(Notify::new()));
    let handler = {
        let (started, gone) = (started.clone(), gone.clone());
        move || async move {
            let _transaction = Dropped(gone);
            started.notify_one();
            std::future::pending::<()>().await;
        }
    };
    let server = Server::start(Router::new().route("/", get(handler)).layer(http::server().tracer(&prices))).await;
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    connection.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    started.notified().await;
    drop(connection);
    gone.notified().await;
    drop(ended(&prices, 2).await);
    prices.assert_tree(
        "
        GET /  [server]  http.method=GET  http.path=/  cancelled
        └─ roll back
    ",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_waiting_is_cancelled() {
    let shop = tracer("shop");
    let started = Arc::new(Notify::new());
    let handler = {
        let started = started.clone();
        move || async move {
            started.notify_one();
            std::future::pending::<()>().await;
        }
    };
    let server = Server::start(Router::new().route("/", get(handler))).await;
    let client = traced_tower::reqwest::client().tracer(&shop).layer(reqwest::Client::new());
    let request = reqwest::Client::new().get(server.url("/")).build().unwrap();
    tokio::select! {
        _ = client.oneshot(request) => panic!("nothing answers"),
        () = started.notified() => {}
    }
    assert_eq!(ended(&shop, 1).await[0].outcome(), Outcome::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_ends_its_span_as_panicked() {
    let prices = tracer("prices");
    let handler = || async {
        let _step = span!("step");
        if true {
            panic!("on purpose");
        }
    };
    let layer = http::server().tracer(&prices);
    let server = Server::start(Router::new().route("/", get(handler)).layer(layer.clone())).await;
    assert!(reqwest::get(server.url("/")).await.is_err());
    drop(ended(&prices, 2).await);
    prices.assert_tree(
        "
        GET /  [server]  http.method=GET  http.path=/  panicked
        └─ step  panicked
    ",
    );
    prices.clear();

    // Caught inside of ours, it is a response like any other.
    let caught = Router::new().route("/", get(handler)).layer(tower_http::catch_panic::CatchPanicLayer::new());
    let server = Server::start(caught.layer(layer.clone())).await;
    assert_eq!(reqwest::get(server.url("/")).await.unwrap().status(), 500);
    drop(ended(&prices, 2).await);
    prices.assert_tree(
        "
        GET /  [server]  http.method=GET  http.path=/  http.status_code=500  error: 500
        └─ step  panicked
    ",
    );
    prices.clear();

    // A service may panic before it has a future.
    let broken = tower::service_fn(
        |_: axum::extract::Request| -> std::future::Ready<Result<axum::response::Response, Infallible>> {
            panic!("on purpose")
        },
    );
    let mut broken = layer.layer(broken);
    let call = std::panic::AssertUnwindSafe(|| broken.call(axum::extract::Request::default()));
    assert!(std::panic::catch_unwind(call).is_err());
    assert_eq!(ended(&prices, 1).await[0].outcome(), Outcome::Panicked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_panics_ends_the_span_as_panicked_once() {
    use futures_util::stream::{self, StreamExt as _};
    let prices = tracer("prices");
    let handler = || async {
        axum::body::Body::from_stream(stream::iter(["some", "more"]).map(|part| {
            let _part = span!("part");
            assert_ne!(part, "more", "on purpose");
            Ok::<_, Infallible>(part)
        }))
    };
    let server = Server::start(Router::new().route("/", get(handler)).layer(http::server().tracer(&prices))).await;
    // What came before the panic may have been sent or not.
    if let Ok(response) = reqwest::get(server.url("/")).await {
        assert!(response.text().await.is_err());
    }
    drop(ended(&prices, 3).await);
    prices.assert_tree(
        "
        GET /  [server]  http.method=GET  http.path=/  panicked
        ├─ part
        └─ part  panicked
    ",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_in_the_middle_of_a_call_is_an_error_with_its_causes() {
    let shop = tracer("shop");
    let client = traced_tower::reqwest::client().tracer(&shop).layer(reqwest::Client::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let get = || reqwest::Client::new().get(format!("http://{address}/price?token=secret")).build().unwrap();

    let dying = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 16];
        connection.read_exact(&mut request).await.unwrap();
    });
    let error = client.clone().oneshot(get()).await.unwrap_err();
    assert!(error.url().unwrap().as_str().contains("secret"), "the caller's error is as it was");
    dying.await.unwrap();
    let spans = ended(&shop, 1).await;
    let text = spans[0].tag("error").unwrap().to_string();
    assert_eq!(spans[0].outcome(), Outcome::Error);
    assert!(text.starts_with("error sending request: client error (SendRequest): "), "{text}");
    assert!(!text.contains("secret"), "{text}");
    shop.clear();

    // Nobody listens any more.
    assert!(client.oneshot(get()).await.unwrap_err().is_connect());
    let spans = ended(&shop, 1).await;
    let text = spans[0].tag("error").unwrap().to_string();
    assert!(text.contains("Connection refused"), "{text}");
}

/// The error of a body that breaks off, and the length that was promised.
async fn broken_off<S>(client: S) -> (reqwest::Error, Option<u64>)
where
    S: tower::Service<reqwest::Request, Response = reqwest::Response, Error = reqwest::Error>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let dying = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        assert_ne!(connection.read(&mut request).await.unwrap(), 0);
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome").await.unwrap();
    });
    let response = client.oneshot(reqwest::Client::new().get(url).build().unwrap()).await.unwrap();
    dying.await.unwrap();
    let length = response.content_length();
    (response.bytes().await.unwrap_err(), length)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_breaks_off_is_the_error_that_it_is_without_a_layer() {
    let shop = tracer("shop");
    let (plain, _) = broken_off(reqwest::Client::new()).await;
    let client = traced_tower::reqwest::client().tracer(&shop).layer(reqwest::Client::new());
    let (traced, length) = broken_off(client).await;
    assert_eq!(length, Some(100));
    let facts = |error: reqwest::Error| {
        (error.is_body(), error.is_decode(), error.is_timeout(), error.without_url().to_string())
    };
    assert_eq!(facts(traced), facts(plain));
    assert_eq!(ended(&shop, 1).await[0].outcome(), Outcome::Error);
}
