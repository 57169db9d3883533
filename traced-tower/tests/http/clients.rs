//! Clients: hyper's, and services that are no network at all.

use axum::body::Bytes;
use axum::http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tower::{Layer as _, ServiceExt as _};
use traced_runtime::{Endpoint, Outcome};
use traced_tests::{Checked, Collector};
use traced_tower::{Layer, http};

use crate::server::{ended, tracer};

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
