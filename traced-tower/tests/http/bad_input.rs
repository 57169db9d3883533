//! Headers that are wrong, hostile or contradict each other: never an error or a delay for the request.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer as _, ServiceExt as _};
use traced_runtime::{Context, InContext as _, Propagation, testing};
use traced_tests::Checked;
use traced_tower::http;

use crate::server::{Server, ended, tracer};

/// Bytes of headers that this server takes: more than axum's, so that what is too much reaches the layer.
const HEADER_BYTES: usize = 4 << 20;

const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";
const SPAN: &str = "a2fb4a1d1a96d312";
const OTHER: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Sends these lines, and gives what a handler saw: its trace, and the length of its baggage `tenant`.
async fn seen(prices: &Checked, lines: &[Vec<u8>]) -> (String, usize) {
    let handler = || async {
        let current = Context::current();
        let tenant = current.baggage("tenant").map_or(0, str::len);
        format!("trace {} tenant {tenant}.", current.trace_id().unwrap())
    };
    let app = Router::new().route("/", get(handler)).layer(http::server().tracer(prices));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (connection, _) = listener.accept().await.unwrap();
        let mut server = hyper::server::conn::http1::Builder::new();
        server.max_buf_size(HEADER_BYTES);
        server.serve_connection(TokioIo::new(connection), TowerToHyperService::new(app)).await.unwrap();
    });
    let mut connection = TcpStream::connect(address).await.unwrap();
    let mut request = b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n".to_vec();
    for line in lines {
        request.extend_from_slice(line);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    connection.write_all(&request).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    serving.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let (trace, tenant) = body.strip_prefix("trace ").unwrap().split_once(" tenant ").unwrap();
    let spans = ended(prices, 1).await;
    assert_eq!(spans[0].trace_id().to_string(), trace);
    prices.clear();
    (trace.to_owned(), tenant.trim_end_matches('.').parse().unwrap())
}

fn with_baggage() -> Checked {
    Checked::with(testing::Tracer::options().propagation(Propagation::default().baggage(["tenant"])))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_are_malformed_begin_a_trace() {
    let prices = with_baggage();
    let b3 = |value: &[u8]| [b"b3: ", value].concat();
    for lines in [
        vec![b3(b"")],
        vec![b3(b"\xff\xfe")],
        vec![b3(&vec![b'a'; 1 << 20])],
        vec![b3(format!("{TRACE}-{SPAN}-1-{SPAN}-1").as_bytes())],
        vec![b3(TRACE.to_uppercase().as_bytes())],
        vec![format!("x-b3-traceid: {TRACE}").into()],
        vec![format!("x-b3-traceid: {TRACE}").into(), b"x-b3-spanid: \xe9".to_vec()],
        vec![format!("x-b3-traceid: {TRACE}0").into(), format!("x-b3-spanid: {SPAN}").into()],
        vec![b"traceparent: 00-\xc3\xa9".to_vec()],
        vec![format!("traceparent: ff-{TRACE}-{SPAN}-01").into()],
        vec![format!("traceparent: 00-{TRACE}-{SPAN}-01").into(), format!("traceparent: 00-{OTHER}-{SPAN}-01").into()],
        vec![format!("traceparent: 00-{}-{SPAN}-01", "0".repeat(32)).into()],
    ] {
        let (trace, _) = seen(&prices, &lines).await;
        let case = lines.iter().map(|line| String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned());
        assert!(trace != TRACE && trace != OTHER, "{:?}", case.collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_headers_that_contradict_each_other_the_first_well_formed_counts() {
    let prices = with_baggage();
    let single = format!("b3: {TRACE}-{SPAN}-1").into_bytes();
    let multi = |trace: &str| [format!("x-b3-traceid: {trace}").into(), format!("x-b3-spanid: {SPAN}").into()];
    let parent = format!("traceparent: 00-{OTHER}-{SPAN}-01").into_bytes();
    let broken = b"b3: nonsense".to_vec();
    for lines in [
        vec![single.clone(), parent.clone()],
        [vec![parent.clone()], multi(TRACE).to_vec()].concat(),
        [vec![single.clone()], multi(OTHER).to_vec()].concat(),
        [vec![broken.clone()], multi(TRACE).to_vec(), vec![parent]].concat(),
        [multi(TRACE).to_vec(), multi(OTHER).to_vec()].concat(),
        vec![broken.clone(), format!("traceparent: 00-{TRACE}-{SPAN}-01").into()],
        vec![format!("traceparent: cc-{TRACE}-{SPAN}-01-what-comes").into()],
    ] {
        let case = lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>();
        assert_eq!(seen(&prices, &lines).await.0, TRACE, "{case:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baggage_beyond_its_bounds_is_left_out() {
    let prices = with_baggage();
    let trace = format!("b3: {TRACE}-{SPAN}-1").into_bytes();
    for (baggage, expected) in [
        (vec![b"baggage: tenant=acme".to_vec()], 4),
        (vec![[b"baggage: tenant=".as_slice(), &vec![b'a'; 1 << 20]].concat()], 0),
        (vec![[b"tenant: ".as_slice(), &vec![b'a'; 1 << 20]].concat()], 0),
        (vec![[b"baggage: ".as_slice(), b"x=1,".repeat(1 << 18).as_slice()].concat()], 0),
        // Read as U+FFFD, as W3C has it: three bytes.
        (vec![b"baggage: tenant=\xff".to_vec()], 3),
        (vec![b"baggage: other=1".to_vec(); 90], 0),
    ] {
        let lines = [vec![trace.clone()], baggage].concat();
        let shown = String::from_utf8_lossy(&lines[1][..lines[1].len().min(40)]).into_owned();
        let (of, tenant) = seen(&prices, &lines).await;
        assert_eq!((of.as_str(), tenant), (TRACE, expected), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_ends_in_baggage_that_is_sent_split_no_request() {
    let shop = with_baggage();
    let echo = |headers: HeaderMap| async move { format!("{headers:?}") };
    let server = Server::start(Router::new().route("/", get(echo))).await;
    let client = traced_tower::reqwest::client().layer(reqwest::Client::new());
    let request = reqwest::Client::new().get(server.url("/")).build().unwrap();
    let context = shop.context().with_baggage("tenant", "acme\r\nx-evil: 1\r\n\r\n");
    let headers = async { client.oneshot(request).await.unwrap().text().await.unwrap() }.in_context(context).await;
    assert!(headers.contains("x-b3-traceid"), "{headers}");
    assert!(!headers.contains("\"x-evil\""), "{headers}");
    drop(ended(&shop, 1).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_a_request_that_is_passed_on_are_replaced() {
    let shop = tracer("shop");
    let echo = |headers: HeaderMap| async move {
        let values = |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        format!("{:?} {:?} {:?}", values("b3"), values("x-b3-traceid"), values("x-b3-parentspanid"))
    };
    let server = Server::start(Router::new().route("/", get(echo))).await;
    let client = traced_tower::reqwest::client().tracer(&shop).layer(reqwest::Client::new());
    let stale = reqwest::Client::new()
        .get(server.url("/"))
        .header("b3", format!("{TRACE}-{SPAN}-1"))
        .header("x-b3-traceid", TRACE)
        .header("x-b3-traceid", OTHER)
        .header("x-b3-parentspanid", SPAN);
    let seen = client.oneshot(stale.build().unwrap()).await.unwrap().text().await.unwrap();
    let spans = ended(&shop, 1).await;
    assert_eq!(seen, format!("[] [\"{}\"] []", spans[0].trace_id()));
}
