//! Clients: hyper's, and services that are no network at all.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use tower::{Layer as _, ServiceExt as _};
use traced_runtime::{Context, Endpoint, Outcome, Sampling};
use traced_tests::{Checked, Collector};
use traced_tower::{Layer, http};

use crate::server::{Server, ended, tracer};

async fn line(shop: &Checked, status: StatusCode) -> String {
    let answer = tower::service_fn(move |_: Request<()>| async move {
        let mut response = Response::new(Empty::<Bytes>::new());
        *response.status_mut() = status;
        Ok::<_, std::io::Error>(response)
    });
    let request = Request::post("http://prices/price/7?token=secret").body(()).unwrap();
    drop(http::client().tracer(shop).layer(answer).oneshot(request).await.unwrap());
    drop(ended(shop, 1).await);
    let line = shop.tree().to_string().trim_end().to_owned();
    shop.clear();
    line
}

#[tokio::test]
async fn client_spans_are_named_by_the_method_and_know_the_status() {
    let shop = tracer("shop");
    let plain = "POST  [client]  http.method=POST  http.path=/price/7";
    for (status, tags) in [
        (200, ""),
        (204, ""),
        (302, "  http.status_code=302"),
        (404, "  http.status_code=404  error: 404"),
        (503, "  http.status_code=503  error: 503"),
    ] {
        assert_eq!(line(&shop, StatusCode::from_u16(status).unwrap()).await, format!("{plain}{tags}"));
    }
}

#[tokio::test]
async fn a_server_that_is_named_by_number_is_the_other_side() {
    let shop = tracer("shop");
    let answer =
        tower::service_fn(|_: Request<()>| async { Ok::<_, std::io::Error>(Response::new(Empty::<Bytes>::new())) });
    let remote = async |layer: Layer<http::Client>, uri: &str| {
        drop(layer.tracer(&shop).layer(answer).oneshot(Request::get(uri).body(()).unwrap()).await.unwrap());
        let remote = ended(&shop, 1).await[0].remote_endpoint().map(std::borrow::Cow::into_owned);
        shop.clear();
        remote
    };
    let seen = remote(http::client().remote("prices"), "http://192.0.2.1:8080/").await.unwrap();
    assert_eq!(seen.service_name(), Some("prices"));
    assert_eq!((seen.ip_addr(), seen.port_number()), (Some([192, 0, 2, 1].into()), Some(8080)));
    assert_eq!(remote(http::client(), "http://prices/").await, None);
    let own = Endpoint::new().ip([192, 0, 2, 7].into()).port(1);
    let seen = remote(http::client().remote(own), "http://192.0.2.1:8080/").await.unwrap();
    assert_eq!((seen.ip_addr(), seen.port_number()), (Some([192, 0, 2, 7].into()), Some(1)), "what is set counts");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named_all_the_same() {
    let shop = tracer("shop");
    let absent = Collector::absent();
    let url = format!("http://{}/", absent.address()).parse().unwrap();
    let client = traced_tower::reqwest::client().tracer(&shop).layer(reqwest::Client::new());
    client.oneshot(reqwest::Request::new(reqwest::Method::GET, url)).await.unwrap_err();
    let spans = ended(&shop, 1).await;
    let remote = spans[0].remote_endpoint().unwrap();
    assert_eq!((remote.ip_addr(), remote.port_number()), (Some(absent.address().ip()), Some(absent.address().port())));
}

#[tokio::test]
async fn an_error_is_told_with_its_causes() {
    #[derive(Debug)]
    struct Outer(std::io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("no answer")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let shop = tracer("shop");
    let failing = tower::service_fn(|_: Request<()>| async {
        Err::<Response<Empty<Bytes>>, _>(Outer(std::io::Error::other("the cable is cut")))
    });
    let error = http::client().tracer(&shop).layer(failing).oneshot(Request::new(())).await.unwrap_err();
    assert!(error.is::<Outer>());
    let spans = ended(&shop, 1).await;
    assert_eq!(spans[0].outcome(), Outcome::Error);
    shop.assert_tree("GET  [client]  http.method=GET  http.path=/  error: no answer: the cable is cut");
}

#[tokio::test]
async fn a_server_may_fail_with_an_error_of_its_own() {
    let prices = tracer("prices");
    let failing = tower::service_fn(|_: Request<()>| async {
        Err::<Response<Empty<Bytes>>, traced_tower::BoxError>("no answer".into())
    });
    let error = http::server().tracer(&prices).layer(failing).oneshot(Request::new(())).await.unwrap_err();
    assert_eq!(error.to_string(), "no answer");
    drop(ended(&prices, 1).await);
    prices.assert_tree("GET  [server]  http.method=GET  http.path=/  error: no answer");
}

/// A body that tells what it is polled in.
fn telling(seen: &Arc<Mutex<Vec<Sampling>>>) -> reqwest::Body {
    let seen = Arc::clone(seen);
    reqwest::Body::wrap_stream(futures_util::stream::poll_fn(move |_| {
        seen.lock().unwrap().push(Context::current().sampling());
        std::task::Poll::Ready(None::<Result<Bytes, std::io::Error>>)
    }))
}

#[tokio::test]
async fn the_body_of_a_response_that_is_not_recorded_is_polled_in_its_context() {
    let shop = tracer("shop");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let body = Arc::clone(&seen);
    let answer = tower::service_fn(move |_: Request<()>| {
        let response = Response::new(telling(&body));
        async { Ok::<_, std::io::Error>(response) }
    });
    let client = http::client().tracer(&shop).sampler(|_| Sampling::Unsampled).layer(answer.clone());
    drop(client.oneshot(Request::new(())).await.unwrap().into_body().collect().await.unwrap());
    let server = http::server().tracer(&shop).sampler(|_| Sampling::Unsampled).layer(answer);
    drop(server.oneshot(Request::new(())).await.unwrap().into_body().collect().await.unwrap());

    let body = Arc::clone(&seen);
    let answer = tower::service_fn(move |_: reqwest::Request| {
        let response = reqwest::Response::from(Response::new(telling(&body)));
        async { Ok::<_, reqwest::Error>(response) }
    });
    let client = traced_tower::reqwest::client().tracer(&shop).sampler(|_| Sampling::Unsampled).layer(answer);
    let request = reqwest::Request::new(reqwest::Method::GET, "http://prices/".parse().unwrap());
    drop(client.oneshot(request).await.unwrap().bytes().await.unwrap());

    assert_eq!(*seen.lock().unwrap(), [Sampling::Unsampled; 3]);
    assert_eq!(shop.tree().to_string(), "");
}

#[tokio::test]
async fn an_error_of_a_call_that_is_not_recorded_is_not_printed() {
    #[derive(Debug)]
    struct Silent;
    impl std::fmt::Display for Silent {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("nobody reads it")
        }
    }
    let prices = tracer("prices");
    let failing = tower::service_fn(|_: Request<()>| async { Err::<Response<Empty<Bytes>>, _>(Silent) });
    let server = http::server().tracer(&prices).sampler(|_| Sampling::Unsampled).layer(failing);
    server.oneshot(Request::new(())).await.unwrap_err();

    let failing = tower::service_fn(|_: Request<_>| async { Err::<Response<Empty<Bytes>>, _>(Silent) });
    let server = traced_tower::grpc::server().tracer(&prices).sampler(|_| Sampling::Unsampled).layer(failing);
    server.oneshot(Request::new(Empty::<Bytes>::new())).await.unwrap_err();
}

/// Whom a span of reqwest's layer names, of a request to this address.
async fn peer(layer: Layer<traced_tower::reqwest::Client>, url: String) -> Endpoint {
    let shop = tracer("shop");
    let request = reqwest::Request::new(reqwest::Method::GET, url.parse().unwrap());
    drop(layer.tracer(&shop).layer(reqwest::Client::new()).oneshot(request).await.unwrap());
    ended(&shop, 1).await[0].remote_endpoint().unwrap().into_owned()
}

#[tokio::test]
async fn the_peer_of_a_response_gives_way_to_the_address_that_is_set() {
    let server = Server::start(Router::new()).await;
    let own = Endpoint::new().ip([192, 0, 2, 7].into()).port(1);
    assert_eq!(peer(traced_tower::reqwest::client().remote(own.clone()), server.url("/")).await, own);
    let seen = peer(traced_tower::reqwest::client().remote("prices"), server.url("/")).await;
    let address = Endpoint::new().ip(server.address.ip()).port(server.address.port());
    assert_eq!(seen, address.service("prices"), "a name is no address");
}

#[tokio::test]
async fn the_peer_of_a_response_is_an_address_of_the_kind_that_it_is() {
    let server = Server::start(Router::new()).await;
    let mapped = format!("http://[::ffff:127.0.0.1]:{}/", server.address.port());
    let seen = peer(traced_tower::reqwest::client(), mapped).await;
    assert_eq!(seen.ip_addr(), Some(server.address.ip()));
}
