//! Bodies, and what of them ends a span.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, Response, StatusCode, header};
use axum::routing::any;
use futures_util::stream::{self, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower::{Layer as _, ServiceExt as _};
use traced_runtime::{Outcome, span};
use traced_tests::Checked;
use traced_tower::http;

use crate::server::{SOON, Server, ended, tracer};

type Part = Result<Bytes, std::io::Error>;

/// A body of `parts`, each of which is made inside a span `part`.
fn parts(count: usize) -> Body {
    Body::from_stream(stream::iter(0..count).map(|at| {
        let _part = span!("part", "at" = at);
        Part::Ok(Bytes::from_static(b"part"))
    }))
}

/// A body that gives what it is sent.
fn channel() -> (mpsc::Sender<Part>, Body) {
    let (sender, mut receiver) = mpsc::channel(1);
    (sender, Body::from_stream(stream::poll_fn(move |task| receiver.poll_recv(task))))
}

/// A connection on which a request for `/` was sent.
async fn raw(server: &Server, method: &str) -> TcpStream {
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    let request = format!("{method} / HTTP/1.1\r\nhost: test\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

/// Reads until `text` has come.
async fn read_until(connection: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let more = tokio::time::timeout(SOON, connection.read_buf(&mut read)).await;
        assert!(matches!(more, Ok(Ok(1..))), "{more:?} after {}", String::from_utf8_lossy(&read));
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// A server that answers once, with this response.
async fn serve(tracer: &Checked, response: Response<Body>) -> Server {
    let response = Arc::new(Mutex::new(Some(response)));
    let handler = move || {
        let response = response.lock().unwrap().take().unwrap();
        async { response }
    };
    Server::start(Router::new().route("/", any(handler)).layer(http::server().tracer(tracer))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_made_inside_the_span_which_ends_with_it() {
    let prices = tracer("prices");
    let server = serve(&prices, Response::new(parts(3))).await;
    assert_eq!(reqwest::get(server.url("/")).await.unwrap().text().await.unwrap(), "partpartpart");
    drop(ended(&prices, 4).await);
    prices.assert_tree(
        "
        GET /  [server]  http.method=GET  http.path=/
        ├─ part  at=0
        ├─ part  at=1
        └─ part  at=2
    ",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_span_of_a_stream_goes_on_until_its_end() {
    let prices = tracer("prices");
    let (sender, body) = channel();
    let server = serve(&prices, Response::new(body)).await;
    let mut connection = raw(&server, "GET").await;
    sender.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
    drop(read_until(&mut connection, "first").await);
    assert_eq!(prices.spans().len(), 0, "it goes on");
    drop(sender);
    drop(read_until(&mut connection, "0\r\n\r\n").await);
    assert_eq!(ended(&prices, 1).await[0].outcome(), Outcome::Returned);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_fails_marks_both_spans() {
    let [shop, prices] = ["shop", "prices"].map(tracer);
    let (sender, body) = channel();
    let server = serve(&prices, Response::new(body)).await;
    let client = traced_tower::reqwest::client().tracer(&shop).layer(reqwest::Client::new());
    let request = reqwest::Client::new().get(server.url("/")).build().unwrap();
    let mut response = client.oneshot(request).await.unwrap();
    sender.send(Ok(Bytes::from_static(b"some"))).await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "some");
    sender.send(Err(std::io::Error::other("the disk is full"))).await.unwrap();
    assert!(response.chunk().await.is_err());
    let spans = ended(&prices, 1).await;
    assert_eq!(spans[0].outcome(), Outcome::Error);
    prices.assert_tree("GET /  [server]  http.method=GET  http.path=/  error: the disk is full");
    let spans = ended(&shop, 1).await;
    assert_eq!(spans[0].outcome(), Outcome::Error);
    let error = spans[0].tag("error").unwrap().to_string();
    assert!(error.contains("error reading a body") && !error.contains("http://"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nobody_reads_to_its_end_is_cancelled() {
    let prices = tracer("prices");
    let (sender, body) = channel();
    let server = serve(&prices, Response::new(body)).await;
    let mut connection = raw(&server, "GET").await;
    sender.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
    drop(read_until(&mut connection, "first").await);
    drop(connection);
    // The server drops the body when it sees that the client is gone, and with it the receiver.
    sender.closed().await;
    assert_eq!(ended(&prices, 1).await[0].outcome(), Outcome::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_less_than_all_ends_well() {
    let [shop, prices] = ["shop", "prices"].map(tracer);
    let (sender, body) = channel();
    let server = serve(&prices, Response::new(body)).await;
    let client = traced_tower::reqwest::client().tracer(&shop).layer(reqwest::Client::new());
    let request = reqwest::Client::new().get(server.url("/")).build().unwrap();
    let mut response = client.oneshot(request).await.unwrap();
    sender.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "first");
    assert_eq!(shop.spans().len(), 0, "it goes on");
    drop(response);
    drop(ended(&shop, 1).await);
    shop.assert_tree("GET  [client]  http.method=GET  http.path=/");
    sender.closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_a_server_does_not_poll_to_their_end_end_well() {
    let known = || Body::from("known");
    let chunks = |text: &'static str| Body::from_stream(stream::iter([Part::Ok(Bytes::from_static(text.as_bytes()))]));
    let with_length = |length: u64| Response::builder().header(header::CONTENT_LENGTH, length);
    let status = |status: StatusCode| Response::builder().status(status);
    // A stream without an end: what is dropped unread has not ended by itself.
    let endless = || Body::from_stream(stream::pending::<Part>());
    for (case, method, response, ends) in [
        ("a known length", Method::GET, Response::new(known()), "known"),
        ("a stream with a content-length", Method::GET, with_length(5).body(chunks("known")).unwrap(), "known"),
        ("nothing", Method::GET, Response::new(Body::empty()), "content-length: 0"),
        ("HEAD", Method::HEAD, with_length(5).body(endless()).unwrap(), "content-length: 5"),
        ("204", Method::GET, status(StatusCode::NO_CONTENT).body(endless()).unwrap(), "204 No Content"),
        ("304", Method::GET, status(StatusCode::NOT_MODIFIED).body(endless()).unwrap(), "304 Not Modified"),
    ] {
        let prices = tracer("prices");
        let server = serve(&prices, response).await;
        let mut connection = raw(&server, method.as_str()).await;
        drop(read_until(&mut connection, ends).await);
        assert_eq!(ended(&prices, 1).await[0].outcome(), Outcome::Returned, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_a_stream_is_made_inside_the_clients_span() {
    let shop = tracer("shop");
    let echo = |body: String| async { body };
    let server = Server::start(Router::new().route("/", any(echo))).await;
    let client = traced_tower::reqwest::client().layer(reqwest::Client::new());
    let stream = stream::iter(0..2).map(|at| {
        let _part = span!("part", "at" = at);
        Part::Ok(Bytes::from_static(b"part"))
    });
    let upload = reqwest::Client::new().post(server.url("/")).body(reqwest::Body::wrap_stream(stream)).build().unwrap();
    let call = async { client.oneshot(upload).await.unwrap().text().await.unwrap() };
    assert_eq!(shop.run_async(call).await, "partpart");
    drop(ended(&shop, 3).await);
    shop.assert_tree(
        "
        POST  [client]  http.method=POST  http.path=/
        ├─ part  at=0
        └─ part  at=1
    ",
    );
}
