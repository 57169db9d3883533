//! The cache service with our layers: a server and a client in the test's own process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use prost::Message as _;
use serde_json::json;
use tokio::runtime::Runtime;
use tonic::Status;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceBuilder;
use traced_runtime::{InContext, Span};
use traced_tower::Layer;
use traced_tower::grpc::{self, Payloads};

use super::*;
use crate::cache::{self, Cache, Client, Forward};

/// Whose names and tags the layers write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Brave's.
    Brave,
    /// Those of otgrpc, with payloads.
    Otgrpc,
}

/// The layer in this style.
fn styled<R: grpc::Role>(layer: Layer<R>, style: Style) -> Layer<R> {
    const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/cache_service");
    match style {
        Style::Brave => layer,
        Style::Otgrpc => {
            let descriptors = protox::compile(["cache.proto"], [EXAMPLE]).unwrap();
            layer.otgrpc().payloads(Payloads::described(&descriptors.encode_to_vec()).unwrap())
        }
    }
}

/// A server of ours; it ends with this value.
pub(crate) struct Ours {
    tracer: Tracer,
    address: SocketAddr,
    calls: Receiver<String>,
    _runtime: Runtime,
}

impl Ours {
    pub(crate) fn start(style: Style, builder: Builder) -> Ours {
        Ours::start_before(style, builder, None)
    }

    /// With a next server, at this address.
    pub(crate) fn start_before(style: Style, builder: Builder, next: Option<&str>) -> Ours {
        let tracer = builder.build().unwrap();
        let (service, calls) = Cache::new(next.map(|address| forward(style, address)));
        let (address, listener) = cache::listen();
        let runtime = runtime();
        let layer = styled(grpc::server(), style).tracer(&tracer);
        runtime.spawn(async move {
            let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener).unwrap());
            let server = tonic::transport::Server::builder().layer(layer).add_service(service);
            server.serve_with_incoming(incoming).await.unwrap();
        });
        Ours { tracer, address, calls, _runtime: runtime }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits for a get of `key`, or for a dump.
    pub(crate) fn wait_for(&self, key: &str) {
        while self.calls.recv_timeout(SOON).unwrap() != key {}
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.tracer.shutdown(SOON);
    }
}

type Traced = traced_tower::Service<Channel, grpc::Client>;

/// A client of the server at this address.
fn client(style: Style, address: &str) -> Client<Traced> {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    Client::new(ServiceBuilder::new().layer(styled(grpc::client(), style)).service(channel))
}

fn forward(style: Style, address: &str) -> Forward {
    let address = address.to_owned();
    Arc::new(move |key| {
        let mut client = client(style, &address);
        Box::pin(async move { client.get(&key).await })
    })
}

/// Makes a call as the peers' clients do, in a span `callGet` below `context`: `get KEY`, `store KEY VALUE` or `dump`.
#[track_caller]
pub(crate) fn ask(style: Style, tracer: &Tracer, context: &Context, address: &str, arguments: &[&str]) -> Value {
    ask_until(style, tracer, context, address, arguments, std::future::pending())
}

/// The same; the call is cancelled when `cancelled` ends.
#[track_caller]
pub(crate) fn ask_until(
    style: Style,
    tracer: &Tracer,
    context: &Context,
    address: &str,
    arguments: &[&str],
    cancelled: impl Future<Output = ()>,
) -> Value {
    let span = context.run(|| Span::start("callGet"));
    let trace = trace_id(&span.context());
    let exchange = async {
        let mut client = client(style, address);
        tokio::select! {
            result = call(&mut client, arguments) => result,
            () = cancelled => Err(Status::cancelled("by the test")),
        }
    };
    let result = runtime().block_on(exchange.in_span(span));
    let tally = tracer.flush(SOON);
    assert_eq!(tally.recorded(), tally.sent(), "{tally:?}");
    match result {
        Ok(mut told) => {
            told["trace"] = trace.into();
            told
        }
        Err(status) => json!({ "trace": trace, "code": format!("{:?}", status.code()) }),
    }
}

async fn call(client: &mut Client<Traced>, arguments: &[&str]) -> Result<Value, Status> {
    match *arguments {
        ["get", key] => Ok(json!({ "value": client.get(key).await? })),
        ["store", key, value] => client.store(key, value.as_bytes()).await.map(|()| json!({})),
        ["dump"] => Ok(json!({ "items": client.dump().await? })),
        _ => unreachable!("{arguments:?}"),
    }
}
