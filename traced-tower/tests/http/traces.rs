//! One trace through several services, each with a tracer of its own.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use tower::{Layer as _, ServiceExt as _};
use traced_runtime::{
    Context, InContext as _, Kind, RemoteSampling, Sampler, Sampling, ServerSpan, Span, SpanRecord, span, testing,
};
use traced_tests::Checked;
use traced_tower::{Layer, http};

use crate::server::{Server, ended, tracer};

/// What the server answers to a client of reqwest, traced in the current context.
async fn fetch(url: String) -> String {
    let client = traced_tower::reqwest::client().layer(reqwest::Client::new());
    let request = reqwest::Request::new(reqwest::Method::GET, url.parse().unwrap());
    client.oneshot(request).await.unwrap().text().await.unwrap()
}

fn of_kind(spans: &[SpanRecord], kind: Kind) -> &SpanRecord {
    spans.iter().find(|span| span.kind() == Some(kind)).unwrap()
}

/// The `shop` asks the `gateway`, which asks for `prices`.
async fn through_three(form: Option<ServerSpan>) -> [Vec<SpanRecord>; 3] {
    let [shop, gateway, prices] = ["shop", "gateway", "prices"].map(tracer);
    let layer = |tracer: &Checked| {
        let layer = http::server().tracer(tracer);
        match form {
            Some(form) => layer.server_span(form),
            None => layer,
        }
    };
    let price = || async {
        let _query = span!("db query");
        "30"
    };
    let prices_server = Server::start(Router::new().route("/price/{item}", get(price)).layer(layer(&prices))).await;
    let cart = |State(url): State<Arc<str>>| async move {
        drop(span!("look up"));
        fetch(url.to_string()).await
    };
    let app = Router::new().route("/cart", get(cart)).layer(layer(&gateway));
    let gateway_server = Server::start(app.with_state(prices_server.url("/price/7").into())).await;
    let checkout = async { fetch(gateway_server.url("/cart")).in_span(Span::start("checkout")).await };
    assert_eq!(shop.run_async(checkout).await, "30");

    let spans = [ended(&shop, 2).await, ended(&gateway, 3).await, ended(&prices, 2).await];
    shop.assert_tree(
        "
        checkout
        └─ GET  [client]  http.method=GET  http.path=/cart
    ",
    );
    gateway.assert_tree(
        "
        GET /cart  [server]  http.method=GET  http.path=/cart
        ├─ look up
        └─ GET  [client]  http.method=GET  http.path=/price/7
    ",
    );
    prices.assert_tree(
        "
        GET /price/{item}  [server]  http.method=GET  http.path=/price/7
        └─ db query
    ",
    );
    spans
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_and_server_are_halves_of_one_span() {
    let [shop, gateway, prices] = through_three(None).await;
    let trace = shop[0].trace_id();
    assert!([&shop, &gateway, &prices].iter().all(|spans| spans.iter().all(|span| span.trace_id() == trace)));
    for (near, far) in [(&shop, &gateway), (&gateway, &prices)] {
        let (client, server) = (of_kind(near, Kind::Client), of_kind(far, Kind::Server));
        assert_eq!(client.id(), server.id());
        assert_eq!(client.parent_id(), server.parent_id());
        assert!(server.is_shared() && !client.is_shared() && server.is_local_root());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_may_make_children_instead() {
    let [shop, gateway, prices] = through_three(Some(ServerSpan::Child)).await;
    for (near, far) in [(&shop, &gateway), (&gateway, &prices)] {
        let (client, server) = (of_kind(near, Kind::Client), of_kind(far, Kind::Server));
        assert_eq!(client.trace_id(), server.trace_id());
        assert_eq!(Some(client.id()), server.parent_id());
        assert!(!server.is_shared() && server.is_local_root());
    }
}

/// A server that asks a second one, which answers with the headers that it has received: trace id, span id, decision.
async fn echo_behind(layer: Layer<http::Server>) -> (Server, Server) {
    let echo = |headers: HeaderMap| async move {
        let text = |name: &str| headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
        ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"].map(text).join(" ")
    };
    let second = Server::start(Router::new().route("/", get(echo))).await;
    let url: Arc<str> = second.url("/").into();
    let pass_on = |State(url): State<Arc<str>>| fetch(url.to_string());
    let app = Router::new().route("/users", get(pass_on)).route("/health", get(pass_on)).layer(layer);
    (Server::start(app.with_state(url)).await, second)
}

async fn ask(server: &Server, path: &str, headers: &[(&str, &str)]) -> String {
    let mut request = reqwest::Client::new().get(server.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().text().await.unwrap()
}

const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";
const SPAN: &str = "a2fb4a1d1a96d312";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unsampled_is_passed_on_and_not_recorded() {
    let prices = tracer("prices");
    let (server, _second) = echo_behind(http::server().tracer(&prices)).await;
    let single = format!("{TRACE}-{SPAN}-0");
    assert_eq!(ask(&server, "/users", &[("b3", &single)]).await, format!("{TRACE} {SPAN} 0 -"));
    // A decision alone.
    let passed = ask(&server, "/users", &[("b3", "0")]).await;
    let passed: Vec<_> = passed.split(' ').collect();
    assert_eq!((passed[0].len(), passed[1].len(), passed[2]), (32, 16, "0"), "{passed:?}");
    assert_eq!(prices.tree().to_string(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_sampler_decides_where_nobody_did_before() {
    let prices = tracer("prices");
    let layer = http::server().tracer(&prices).sampler(|request| match request.uri.path() {
        "/health" => Sampling::Unsampled,
        _ => Sampling::Deferred,
    });
    let (server, _second) = echo_behind(layer).await;

    let passed = ask(&server, "/health", &[]).await;
    let passed: Vec<_> = passed.split(' ').collect();
    assert_eq!((passed[0].len(), passed[1].len(), passed[2]), (32, 16, "0"), "it propagates: {passed:?}");
    let deferred = format!("{TRACE}-{SPAN}");
    assert_eq!(ask(&server, "/health", &[("b3", &deferred)]).await, format!("{TRACE} {SPAN} 0 -"));
    assert_eq!(prices.tree().to_string(), "");

    assert!(ask(&server, "/users", &[]).await.ends_with(" 1 -"));
    assert_eq!(ended(&prices, 2).await.len(), 2, "the server's span, and its client's");
    prices.clear();

    let sampled = format!("{TRACE}-{SPAN}-1");
    assert!(ask(&server, "/health", &[("b3", &sampled)]).await.starts_with(TRACE));
    let spans = ended(&prices, 2).await;
    assert_eq!(of_kind(&spans, Kind::Server).trace_id().to_string(), TRACE, "an upstream decision is not asked again");
    prices.clear();

    let debug = format!("{TRACE}-{SPAN}-d");
    assert!(ask(&server, "/health", &[("b3", &debug)]).await.ends_with(" 1 1"));
    assert!(ended(&prices, 2).await.iter().all(SpanRecord::is_debug));
}

/// Headers of strangers: B3 in one header and in several, W3C, and decisions alone.
fn strangers(trace: &str) -> Vec<(Vec<(&'static str, String)>, Sampling)> {
    let ids = [("x-b3-traceid", trace.to_owned()), ("x-b3-spanid", SPAN.to_owned())];
    let mut all = Vec::new();
    for (multi, single, w3c, decision) in [
        (("x-b3-flags", "1"), "d", None, Sampling::Debug),
        (("x-b3-sampled", "1"), "1", Some("01"), Sampling::Sampled),
        (("x-b3-sampled", "0"), "0", Some("00"), Sampling::Unsampled),
    ] {
        let multi = [(multi.0, multi.1.to_owned())];
        all.push(([&ids[..], &multi].concat(), decision));
        all.push((multi.to_vec(), decision));
        all.push((vec![("b3", format!("{trace}-{SPAN}-{single}"))], decision));
        all.extend(w3c.map(|flags| (vec![("traceparent", format!("00-{trace}-{SPAN}-{flags}"))], decision)));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_decide_as_far_as_a_server_lets_them() {
    let mut decided = Vec::new();
    for (sampler, traces) in [(Sampler::never(), 1), (Sampler::ratio(0.5), 8)] {
        for remote in [RemoteSampling::Trust, RemoteSampling::RefuseDebug, RemoteSampling::DecideAnew] {
            let tracer = Checked::with(testing::Tracer::options().service("edge").sampler(sampler.clone()));
            let (server, _second) = echo_behind(http::server().tracer(&tracer).remote_sampling(remote)).await;
            for trace in 1..=traces {
                let trace = format!("463ac35c9f6413ad{trace:016x}");
                let undecided = tracer.extract(&vec![("b3", format!("{trace}-{SPAN}"))]);
                let own = Span::server("undecided", undecided).context().sampling();
                tracer.clear();
                decided.push(own);
                for (headers, decision) in strangers(&trace) {
                    let has_ids = headers.iter().any(|(_, value)| value.contains(&trace));
                    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                    let passed = ask(&server, "/users", &headers).await;
                    let recorded = passed.ends_with(" 1 -") || passed.ends_with(" 1 1");
                    let spans = if recorded { ended(&tracer, 2).await } else { tracer.spans() };
                    tracer.clear();
                    let left = match (remote, decision) {
                        // A trace without ids is a new one, for which the ratio decides as it
                        // likes.
                        (RemoteSampling::DecideAnew, _) if !has_ids && traces > 1 => continue,
                        (RemoteSampling::DecideAnew, _) => own,
                        (RemoteSampling::RefuseDebug, Sampling::Debug) => Sampling::Sampled,
                        _ => decision,
                    };
                    let case = format!("{sampler:?} {remote:?} {headers:?}: {passed}");
                    let next = match left {
                        Sampling::Debug => " 1 1",
                        Sampling::Sampled => " 1 -",
                        _ => " 0 -",
                    };
                    assert!(passed.ends_with(next), "{case}");
                    assert!(!has_ids || passed.starts_with(&trace), "one trace: {case}");
                    let count = if left == Sampling::Unsampled { 0 } else { 2 };
                    assert_eq!(spans.len(), count, "{case}");
                    assert!(spans.iter().all(|span| span.is_debug() == (left == Sampling::Debug)), "{case}");
                }
            }
        }
    }
    assert!(decided.contains(&Sampling::Sampled) && decided.contains(&Sampling::Unsampled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_sampler_is_asked_at_an_edge_as_if_nobody_had_decided() {
    let tracer = Checked::with(testing::Tracer::options().service("edge").sampler(Sampler::never()));
    let (single, unsampled) = (format!("{TRACE}-{SPAN}-d"), format!("{TRACE}-{SPAN}-0"));
    let layer = http::server().tracer(&tracer).remote_sampling(RemoteSampling::DecideAnew);
    let (server, _second) = echo_behind(layer.sampler(|_| Sampling::Sampled)).await;
    assert!(ask(&server, "/users", &[("b3", &unsampled)]).await.ends_with(" 1 -"));
    assert_eq!(of_kind(&ended(&tracer, 2).await, Kind::Server).trace_id().to_string(), TRACE);
    tracer.clear();

    let layer = http::server().tracer(&tracer).remote_sampling(RemoteSampling::RefuseDebug);
    let (server, _second) = echo_behind(layer.sampler(|_| Sampling::Unsampled)).await;
    assert!(ask(&server, "/users", &[("b3", &single)]).await.ends_with(" 1 -"), "what is left of debug is a decision");
    drop(ended(&tracer, 2).await);
}

/// A server that passes a request on with the headers that it came with, as a gateway does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_edge_refuses_is_not_in_the_headers_that_it_passes_on() {
    let tracer = Checked::with(testing::Tracer::options().service("edge").sampler(Sampler::never()));
    let echo = |headers: HeaderMap| async move {
        let mut names: Vec<_> = headers.iter().filter(|(name, _)| is_of_trace(name.as_str())).collect();
        names.sort_by_key(|(name, _)| name.as_str());
        let lines = names.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        lines.collect::<Vec<_>>().join("\n")
    };
    let second = Server::start(Router::new().route("/", get(echo))).await;
    let url: Arc<str> = second.url("/").into();
    let pass_on = |State(url): State<Arc<str>>, headers: HeaderMap| async move {
        let client = traced_tower::reqwest::client().layer(reqwest::Client::new());
        let mut request = reqwest::Request::new(reqwest::Method::GET, url.parse().unwrap());
        request.headers_mut().extend(
            headers.into_iter().filter(|(name, _)| name.as_ref().is_some_and(|name| is_of_trace(name.as_str()))),
        );
        client.oneshot(request).await.unwrap().text().await.unwrap()
    };
    let layer = http::server().tracer(&tracer).remote_sampling(RemoteSampling::DecideAnew);
    let server = Server::start(Router::new().route("/", get(pass_on)).layer(layer).with_state(url)).await;
    let headers = [("b3", format!("{TRACE}-{SPAN}-d")), ("x-b3-flags", "1".into()), ("x-b3-sampled", "1".into())];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(
        ask(&server, "/", &headers).await,
        format!("traceparent: 00-{TRACE}-{SPAN}-00\nx-b3-sampled: 0\nx-b3-spanid: {SPAN}\nx-b3-traceid: {TRACE}")
    );
}

fn is_of_trace(name: &str) -> bool {
    name.contains("b3") || name.starts_with("trace")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_of_a_trace_passes_two_services_of_ours() {
    let [gateway, prices] = ["gateway", "prices"].map(tracer);
    let echo = |headers: HeaderMap| async move {
        let text = |name: &str| headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
        ["tracestate", "traceparent"].map(text).join(" ")
    };
    let last = Server::start(Router::new().route("/", get(echo))).await;
    let pass_on = |State(url): State<Arc<str>>| fetch(url.to_string());
    let behind = |url: String, tracer: &Checked| {
        let app = Router::new().route("/", get(pass_on)).layer(http::server().tracer(tracer));
        Server::start(app.with_state(url.into()))
    };
    let second = behind(last.url("/"), &prices).await;
    let first = behind(second.url("/"), &gateway).await;
    let headers = [("traceparent", format!("00-{TRACE}-{SPAN}-03")), ("tracestate", "other=1".to_owned())];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let passed = ask(&first, "/", &headers).await;
    assert!(passed.starts_with(&format!("other=1 00-{TRACE}-")) && passed.ends_with("-03"), "{passed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_a_request_sampler_for_traces_that_begin_there() {
    let shop = tracer("shop");
    let (server, _second) = echo_behind(http::server()).await;
    let client = traced_tower::reqwest::client()
        .tracer(&shop)
        .sampler(|request| if request.url().path() == "/health" { Sampling::Unsampled } else { Sampling::Deferred })
        .layer(reqwest::Client::new());
    let get = |path: &str| reqwest::Request::new(reqwest::Method::GET, server.url(path).parse().unwrap());
    drop(client.clone().oneshot(get("/health")).await.unwrap());
    assert_eq!(shop.tree().to_string(), "");
    drop(client.clone().oneshot(get("/users")).await.unwrap());
    drop(ended(&shop, 1).await);
    shop.clear();
    // Below a span that is recorded nothing is decided again.
    let below = async { client.oneshot(get("/health")).in_span(Span::start("job")).await };
    drop(shop.run_async(below).await.unwrap());
    drop(ended(&shop, 2).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_tracer_nothing_is_recorded_or_sent() {
    let (server, _second) = echo_behind(http::server()).await;
    assert_eq!(ask(&server, "/users", &[("b3", &format!("{TRACE}-{SPAN}-1"))]).await, "- - - -");
    assert!(Context::current().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baggage_goes_through() {
    use traced_runtime::{Propagation, testing};
    let options = testing::Tracer::options().propagation(Propagation::default().baggage(["tenant"]));
    let prices = Checked::with(options);
    let tenant = || async { Context::current().baggage("tenant").unwrap_or("none").to_owned() };
    let app = Router::new().route("/", get(tenant)).layer(http::server().tracer(&prices));
    let server = Server::start(app).await;
    assert_eq!(ask(&server, "/", &[("baggage", "tenant=acme,other=x")]).await, "acme");
    assert_eq!(ask(&server, "/", &[]).await, "none", "no request sees what another one carried");
}
