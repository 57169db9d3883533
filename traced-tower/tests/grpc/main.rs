//! The gRPC layers between real servers and clients of tonic.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod echo;
mod others;

use std::net::SocketAddr;
use std::time::Duration;

use echo::Echo;
use http::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use traced_runtime::{
    Context, InContext as _, Kind, Outcome, Propagation, RemoteSampling, Sampler, Sampling, Span, SpanRecord, Tracer,
    testing,
};
use traced_tests::Collector;
use traced_tower::grpc::{self, Direction, Payloads};
use traced_tower::{Layer, Service};

type Client = echo::Client<Service<Channel, grpc::Client>>;

/// A server with this layer, and a channel to it.
async fn serve(tracer: &Tracer, layer: Layer<grpc::Server>) -> (SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tonic::transport::Server::builder().layer(layer.tracer(tracer)).add_service(Echo);
    tokio::spawn(server.serve_with_incoming_shutdown(TcpIncoming::from(listener), async {
        stopped.await.ok();
    }));
    (address, stop)
}

fn connect(address: SocketAddr, tracer: &Tracer, layer: Layer<grpc::Client>) -> Client {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    echo::Client::new(tower::Layer::layer(&layer.tracer(tracer), channel))
}

/// The two tracers of a call.
struct Sides {
    client: testing::Tracer,
    server: testing::Tracer,
}

impl Sides {
    fn new() -> Self {
        let tracer = |name: &str| testing::Tracer::options().service(name).build().unwrap();
        Self { client: tracer("client"), server: tracer("server") }
    }

    async fn connect(&self, client: Layer<grpc::Client>, server: Layer<grpc::Server>) -> (Client, oneshot::Sender<()>) {
        let (address, stop) = serve(&self.server, server).await;
        (connect(address, &self.client, client), stop)
    }
}

/// The span of this kind, once it has ended.
async fn ended(tracer: &testing::Tracer, kind: Kind) -> SpanRecord {
    tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if let Some(span) = tracer.spans().into_iter().find(|span| span.kind() == Some(kind)) {
                return span;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap()
}

fn tag(span: &SpanRecord, key: &str) -> Option<String> {
    span.tag(key).map(|value| value.to_string())
}

fn annotations(span: &SpanRecord) -> Vec<String> {
    span.annotations().map(|(_, text)| text.to_owned()).collect()
}

#[tokio::test]
async fn a_call_is_one_span_of_two_halves() {
    let sides = Sides::new();
    let tell = |_: &http::response::Parts, span: &Span| span.tag("told", "response");
    let (mut client, _stop) =
        sides.connect(grpc::client().remote("echo").response_tags(tell), grpc::server().response_tags(tell)).await;
    assert_eq!(client.say("hello").await.unwrap(), "hello");
    let (client, server) = (ended(&sides.client, Kind::Client).await, ended(&sides.server, Kind::Server).await);
    assert_eq!((client.trace_id(), client.id()), (server.trace_id(), server.id()));
    assert!(server.is_shared() && !client.is_shared());
    for span in [&client, &server] {
        assert_eq!(span.name(), "test.Echo/Say");
        assert_eq!(tag(span, "rpc.service").as_deref(), Some("test.Echo"));
        assert_eq!(tag(span, "rpc.method").as_deref(), Some("Say"));
        assert_eq!(tag(span, "told").as_deref(), Some("response"));
        assert_eq!((span.outcome(), tag(span, "rpc.error_code")), (Outcome::Returned, None));
        assert_eq!(annotations(span), [""; 0], "no message is looked at unasked");
    }
    assert!(client.remote_endpoint().is_some_and(|remote| remote.service_name() == Some("echo")));
    assert!(server.remote_endpoint().is_some_and(|remote| remote.ip_addr().is_some_and(|ip| ip.is_loopback())));
}

#[tokio::test]
async fn a_status_is_told_on_both_sides() {
    let sides = Sides::new();
    let (mut client, _stop) = sides.connect(grpc::client(), grpc::server()).await;
    assert_eq!(client.say("code:5").await.unwrap_err().code(), Code::NotFound);
    for span in [ended(&sides.client, Kind::Client).await, ended(&sides.server, Kind::Server).await] {
        assert_eq!(span.outcome(), Outcome::Error);
        assert_eq!(tag(&span, "rpc.error_code").as_deref(), Some("NOT_FOUND"));
        assert_eq!(tag(&span, "error").as_deref(), Some("NOT_FOUND"));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_with_its_cause() {
    let client = testing::Tracer::new();
    let absent = Collector::absent();
    let status = connect(absent.address(), &client, grpc::client()).say("hello").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let span = ended(&client, Kind::Client).await;
    assert_eq!(tag(&span, "rpc.error_code").as_deref(), Some("UNAVAILABLE"));
    assert!(tag(&span, "error").is_some_and(|error| error.contains("refused")), "{:?}", tag(&span, "error"));
}

#[tokio::test]
async fn a_handler_that_panics_has_panicked() {
    let sides = Sides::new();
    let (mut client, _stop) = sides.connect(grpc::client(), grpc::server()).await;
    client.say("panic").await.unwrap_err();
    assert_eq!(ended(&sides.server, Kind::Server).await.outcome(), Outcome::Panicked);
    assert_eq!(ended(&sides.client, Kind::Client).await.outcome(), Outcome::Error);
}

#[tokio::test]
async fn a_method_that_is_not_there_is_a_client_s_span_alone() {
    let sides = Sides::new();
    let (mut client, _stop) = sides.connect(grpc::client(), grpc::server()).await;
    assert_eq!(client.call("/test.Nobody/Say", "hello").await.unwrap_err().code(), Code::Unimplemented);
    let span = ended(&sides.client, Kind::Client).await;
    assert_eq!(tag(&span, "rpc.error_code").as_deref(), Some("UNIMPLEMENTED"));
    assert!(sides.server.spans().is_empty());
    assert!(sides.server.open_spans().is_empty());
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_cancelled_on_both_sides() {
    let sides = Sides::new();
    let (mut client, _stop) = sides.connect(grpc::client(), grpc::server()).await;
    let call = client.say("wait");
    tokio::select! {
        answer = call => unreachable!("{answer:?}"),
        // The server has begun.
        () = async { while sides.server.open_spans().is_empty() { tokio::task::yield_now().await } } => {}
    }
    let (client, server) = (ended(&sides.client, Kind::Client).await, ended(&sides.server, Kind::Server).await);
    assert_eq!((client.outcome(), server.outcome()), (Outcome::Cancelled, Outcome::Cancelled));
    assert_eq!(tag(&client, "error").as_deref(), Some("CANCELLED"));
    assert_eq!(tag(&server, "error"), None);
}

#[tokio::test]
async fn a_stream_is_one_span_until_its_trailers_or_until_it_is_dropped() {
    let sides = Sides::new();
    let (mut client, _stop) = sides.connect(grpc::client(), grpc::server().payloads(Payloads::sizes())).await;
    let mut stream = client.count("3").await.unwrap();
    assert!(sides.client.spans().is_empty(), "it goes on while there are messages");
    let mut items = Vec::new();
    while let Some(item) = stream.message().await.unwrap() {
        items.push(item);
    }
    assert_eq!(items, ["1", "2", "3"]);
    assert_eq!(ended(&sides.client, Kind::Client).await.outcome(), Outcome::Returned);
    let server = ended(&sides.server, Kind::Server).await;
    assert_eq!(server.outcome(), Outcome::Returned);
    assert_eq!(annotations(&server), ["request <3 bytes>"], "several messages are not recorded");
    sides.client.clear();
    sides.server.clear();

    let mut stream = client.count("1000000000").await.unwrap();
    assert_eq!(stream.message().await.unwrap().as_deref(), Some("1"));
    drop(stream);
    assert_eq!(ended(&sides.client, Kind::Client).await.outcome(), Outcome::Cancelled);
    assert_eq!(ended(&sides.server, Kind::Server).await.outcome(), Outcome::Cancelled);
}

/// A server that reads a request and answers with these bytes of HTTP/2, and is gone. What our
/// client's span says then.
async fn broken(layer: Layer<grpc::Client>, answer: &[u8]) -> (Status, SpanRecord) {
    let client = testing::Tracer::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client_of_it = connect(listener.local_addr().unwrap(), &client, layer);
    let dying = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        // Empty SETTINGS, and an acknowledgement of the client's.
        connection.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0]).await.unwrap();
        let mut read = Vec::new();
        while !read.windows(5).any(|part| part == b"hello") {
            assert_ne!(connection.read_buf(&mut read).await.unwrap(), 0);
        }
        connection.write_all(answer).await.unwrap();
        if answer.is_empty() {
            return;
        }
        // What the client says to that. It may leave the connection open.
        let mut rest = [0; 64];
        tokio::select! {
            () = async { while connection.read(&mut rest).await.is_ok_and(|read| read > 0) {} } => {}
            () = async { while client.spans().is_empty() { tokio::task::yield_now().await } } => {}
        }
    };
    let (answer, ()) = tokio::join!(client_of_it.say("hello"), dying);
    (answer.unwrap_err(), ended(&client, Kind::Client).await)
}

/// What peers say of these was seen beside them, see `peers_and_us` in the tests of the workspace.
#[tokio::test]
async fn a_connection_that_breaks_ends_a_call_as_with_the_peers() {
    let reset = |code| [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, code];
    let go_away = |code| [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, code];
    for (answer, app, brave, go, text) in [
        (&[][..], Code::Unknown, "UNAVAILABLE", "Unavailable", "transport is closing"),
        // The last stream that was looked at is none.
        (&go_away(0), Code::Internal, "UNAVAILABLE", "Unavailable", "transport is closing"),
        (&go_away(11), Code::ResourceExhausted, "RESOURCE_EXHAUSTED", "Unavailable", "transport is closing"),
        (
            &reset(2),
            Code::Internal,
            "INTERNAL",
            "Internal",
            "stream terminated by RST_STREAM with error code: INTERNAL_ERROR",
        ),
        (&reset(3), Code::Internal, "INTERNAL", "ResourceExhausted", "FLOW_CONTROL_ERROR"),
        (&reset(8), Code::Cancelled, "CANCELLED", "Canceled", "CANCEL"),
        (&reset(99), Code::Unknown, "INTERNAL", "Unknown", "unknown error code 0x63"),
    ] {
        let (status, span) = broken(grpc::client(), answer).await;
        assert_eq!(status.code(), app, "the caller's status is tonic's");
        assert_eq!(span.outcome(), Outcome::Error);
        assert_eq!(tag(&span, "rpc.error_code").as_deref(), Some(brave), "{answer:?}");
        assert_eq!(tag(&span, "error").as_deref(), Some(brave), "{answer:?}");

        let (status, span) = broken(grpc::client().otgrpc(), answer).await;
        assert_eq!(status.code(), app);
        assert_eq!(tag(&span, "response_code").as_deref(), Some(go), "{answer:?}");
        let told = annotations(&span);
        assert!(told[0].starts_with(&format!("event=error message=\"rpc error: code = {go} desc = ")), "{told:?}");
        assert!(told[0].ends_with(&format!("{text}\"")), "{told:?}");
    }
}

#[tokio::test]
async fn a_server_is_known_by_an_origin_that_is_a_number() {
    let sides = Sides::new();
    let (address, _stop) = serve(&sides.server, grpc::server()).await;
    let remote = async |layer: Layer<grpc::Client>| {
        let origin: http::Uri = format!("http://{address}").parse().unwrap();
        let channel = Endpoint::from(origin.clone()).connect_lazy();
        let service = tower::Layer::layer(&layer.tracer(&sides.client), channel);
        echo::Client::with_origin(service, origin).say("hi").await.unwrap();
        let remote = ended(&sides.client, Kind::Client).await.remote_endpoint().map(std::borrow::Cow::into_owned);
        sides.client.clear();
        remote
    };
    let seen = remote(grpc::client().remote("echo")).await.unwrap();
    assert_eq!((seen.service_name(), seen.ip_addr()), (Some("echo"), Some(address.ip())));
    assert_eq!(seen.port_number(), Some(address.port()));
    assert_eq!(remote(grpc::client().otgrpc()).await, None, "otgrpc's spans name nobody");
}

#[tokio::test]
async fn messages_are_told_as_they_are_asked_for() {
    let rendered = || {
        Payloads::rendered(|payload| match payload.direction() {
            Direction::Request => format!("{} {:?}", payload.method(), payload.message()),
            Direction::Response => std::panic::resume_unwind(Box::new("cannot read it")),
        })
    };
    for (payloads, expected) in [
        (Payloads::sizes(), ["request <4 bytes>", "response <4 bytes>"]),
        (Payloads::sizes().limit(1), ["request <4 bytes>", "response <4 bytes>"]),
        (rendered(), ["request /test.Echo/Say [10, 2, 104, 105]", "response <4 bytes>"]),
        (rendered().limit(3), ["request <4 bytes>", "response <4 bytes>"]),
    ] {
        let sides = Sides::new();
        let (client, server) = (grpc::client().payloads(payloads.clone()), grpc::server().payloads(payloads));
        let (mut client, _stop) = sides.connect(client, server).await;
        client.say("hi").await.unwrap();
        for span in [ended(&sides.client, Kind::Client).await, ended(&sides.server, Kind::Server).await] {
            assert_eq!(annotations(&span), expected);
        }
    }
}

#[tokio::test]
async fn of_compressed_messages_the_size_on_the_wire_is_told() {
    let sides = Sides::new();
    let render = Payloads::rendered(|_| "never".to_owned());
    let (client, _stop) = sides.connect(grpc::client().payloads(render), grpc::server()).await;
    let mut client = client.compressed(CompressionEncoding::Gzip);
    client.say(&"x".repeat(1000)).await.unwrap();
    let told = annotations(&ended(&sides.client, Kind::Client).await);
    assert!(told[0].starts_with("request <gzip ") && told[0].ends_with(" bytes>"), "{told:?}");
}

#[tokio::test]
async fn what_is_left_out_has_neither_span_nor_headers_and_what_is_not_sampled_has_headers() {
    let sides = Sides::new();
    let (mut client, _stop) =
        sides.connect(grpc::client().only(|request| request.uri.path() != "/test.Echo/Say"), grpc::server()).await;
    assert_eq!(client.say("headers").await.unwrap(), "", "no header of a trace");
    assert!(sides.client.spans().is_empty());
    assert_eq!(ended(&sides.server, Kind::Server).await.parent_id(), None);

    let sides = Sides::new();
    let (mut client, _stop) =
        sides.connect(grpc::client().sampler(|_| Sampling::Unsampled), grpc::server().name(|_| "named")).await;
    assert_eq!(client.say("headers").await.unwrap(), "traceparent x-b3-sampled x-b3-spanid x-b3-traceid");
    assert!(sides.client.spans().is_empty() && sides.server.spans().is_empty());
}

/// What is left of a caller's decision; `own` is what the sampler says.
fn left(remote: RemoteSampling, decision: Sampling, own: Sampling) -> Sampling {
    match (remote, decision) {
        (RemoteSampling::DecideAnew, _) => own,
        (RemoteSampling::RefuseDebug, Sampling::Debug) => Sampling::Sampled,
        _ => decision,
    }
}

/// Calls of a client that writes this format and has decided, to a server with this sampler. What
/// the sampler says by itself.
async fn decided(
    calls: usize,
    sampler: &Sampler,
    format: &Propagation,
    remote: RemoteSampling,
    by: Sampling,
) -> Vec<Sampling> {
    let client = testing::Tracer::options().service("client").propagation(format.clone()).build().unwrap();
    let server = testing::Tracer::options().service("server").sampler(sampler.clone()).build().unwrap();
    let sides = Sides { client, server };
    let (mut client, _stop) = sides.connect(grpc::client(), grpc::server().remote_sampling(remote)).await;
    let mut seen = Vec::new();
    for _ in 0..calls {
        let parent = sides.client.context().with_sampling(by).run(|| Span::start("job"));
        let (trace, span) = (parent.context().trace_id().unwrap(), parent.context().span_id().unwrap());
        let undecided = Context::remote(trace, span, Sampling::Deferred);
        let own = sides.server.run(|| Span::server("undecided", undecided).context().sampling());
        sides.server.clear();
        seen.push(own);
        // W3C has no way to say debug.
        let sent = if *format == Propagation::w3c() && by == Sampling::Debug { Sampling::Sampled } else { by };
        let left = left(remote, sent, own);
        let next = match left {
            Sampling::Debug => "1 1",
            Sampling::Sampled => "1 -",
            _ => "0 -",
        };
        let case = format!("{sampler:?} {format:?} {remote:?} {by:?}");
        assert_eq!(client.say("next").in_span(parent).await.unwrap(), next, "{case}");
        if left == Sampling::Unsampled {
            assert!(sides.server.spans().is_empty() && sides.server.open_spans().is_empty(), "{case}");
        } else {
            let span = ended(&sides.server, Kind::Server).await;
            assert_eq!((span.trace_id(), span.is_debug()), (trace, left == Sampling::Debug), "{case}");
        }
        sides.server.clear();
    }
    seen
}

#[tokio::test]
async fn callers_decide_as_far_as_a_server_lets_them() {
    let mut seen = Vec::new();
    for (sampler, calls) in [(Sampler::never(), 1), (Sampler::ratio(0.5), 8)] {
        for format in [Propagation::b3(), Propagation::b3_single(), Propagation::w3c()] {
            for remote in [RemoteSampling::Trust, RemoteSampling::RefuseDebug, RemoteSampling::DecideAnew] {
                for by in [Sampling::Debug, Sampling::Sampled, Sampling::Unsampled] {
                    seen.extend(decided(calls, &sampler, &format, remote, by).await);
                }
            }
        }
    }
    assert!(seen.contains(&Sampling::Sampled) && seen.contains(&Sampling::Unsampled));
}

#[tokio::test]
async fn a_name_and_a_parent_are_the_user_s() {
    let sides = Sides::new();
    let (mut client, _stop) =
        sides.connect(grpc::client(), grpc::server().name(|_| "named").tags(|_, span| span.tag("mine", 1))).await;
    let outer = sides.client.run(|| Span::start("outer"));
    let id = outer.context().span_id();
    client.say("hi").in_span(outer).await.unwrap();
    assert_eq!(ended(&sides.client, Kind::Client).await.parent_id(), id);
    let server = ended(&sides.server, Kind::Server).await;
    assert_eq!((server.name().as_ref(), tag(&server, "mine").as_deref()), ("named", Some("1")));
}

#[tokio::test]
async fn metadata_is_a_carrier() {
    let tracer = testing::Tracer::new();
    let context = tracer.run(|| Span::client("call").context());
    let mut metadata = tonic::metadata::MetadataMap::new();
    context.inject(AsMut::<HeaderMap>::as_mut(&mut metadata));
    let read = tracer.extract(AsRef::<HeaderMap>::as_ref(&metadata));
    assert_eq!((read.trace_id(), read.span_id()), (context.trace_id(), context.span_id()));
    assert_eq!(Status::ok("").code(), Code::Ok);
}
