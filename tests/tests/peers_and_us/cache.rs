//! The cache service with tonic, as the peers in `tests/peers` have it: nothing in it knows of the layers around it.
//!
//! Two kinds of keys are never looked up, so that clients can ask for every ending of a call: `code:5` ends it with that
//! code, `wait` when the client cancels. Dump meets those that were stored. `tenant` gives the caller's baggage, and
//! `forward:231` is asked of the next server.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context as Task, Poll};

use ::http::uri::PathAndQuery;
use axum::body::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, Stream, StreamExt as _};
use prost::Message;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, StdError};
use tonic::server::{Grpc, NamedService};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;
use traced_runtime::{Context, traced};

#[derive(Clone, PartialEq, Message)]
struct GetReq {
    #[prost(string, tag = "1")]
    key: String,
}

#[derive(Clone, PartialEq, Message)]
struct GetResp {
    #[prost(bytes = "vec", tag = "1")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StoreReq {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StoreResp {}

#[derive(Clone, PartialEq, Message)]
struct DumpReq {}

#[derive(Clone, PartialEq, Message)]
struct DumpItem {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(bytes = "vec", tag = "2")]
    val: Vec<u8>,
}

const GET: &str = "/grpc1.CacheService/Get";
const STORE: &str = "/grpc1.CacheService/Store";
const DUMP: &str = "/grpc1.CacheService/Dump";

pub(crate) type Items = BTreeMap<String, Vec<u8>>;

/// Asks the next server for a key.
pub(crate) type Forward = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Vec<u8>, Status>> + Send + Sync>;

/// The server's part.
#[derive(Clone)]
pub(crate) struct Cache {
    values: Arc<Mutex<Items>>,
    calls: mpsc::Sender<String>,
    next: Option<Forward>,
}

impl NamedService for Cache {
    const NAME: &'static str = "grpc1.CacheService";
}

impl Cache {
    /// With it come the keys of gets, and "dump", as they are received.
    pub(crate) fn new(next: Option<Forward>) -> (Cache, mpsc::Receiver<String>) {
        let values = [("123", vec![123]), ("231", vec![231])].map(|(key, value)| (key.to_owned(), value));
        let (calls, received) = mpsc::channel();
        (Cache { values: Arc::new(Mutex::new(values.into())), calls, next }, received)
    }

    async fn get(self, request: Request<GetReq>) -> Result<Response<GetResp>, Status> {
        let key = request.into_inner().key;
        let value = query(&self.values, &key);
        self.calls.send(key.clone()).ok();
        ending(&key).await?;
        let value = match (key.strip_prefix("forward:"), &self.next) {
            (Some(key), Some(next)) => next(key.to_owned()).await?,
            _ => value,
        };
        Ok(Response::new(GetResp { value }))
    }

    async fn store(self, request: Request<StoreReq>) -> Result<Response<StoreResp>, Status> {
        let StoreReq { key, value } = request.into_inner();
        self.values.lock().unwrap().insert(key, value);
        Ok(Response::new(StoreResp {}))
    }

    async fn dump(self, _: Request<DumpReq>) -> Result<Response<impl Stream<Item = Result<DumpItem, Status>>>, Status> {
        let items = self.values.lock().unwrap().clone();
        self.calls.send("dump".to_owned()).ok();
        Ok(Response::new(stream::iter(items).then(|(key, val)| async move {
            ending(&key).await?;
            Ok(DumpItem { key, val })
        })))
    }
}

#[traced(name = "db query user")]
fn query(values: &Mutex<Items>, key: &str) -> Vec<u8> {
    if key == "tenant" {
        return Context::current().baggage("tenant").unwrap_or_default().into();
    }
    values.lock().unwrap().get(key).cloned().unwrap_or_default()
}

/// How a key asks a call to end.
async fn ending(key: &str) -> Result<(), Status> {
    if key == "wait" {
        std::future::pending::<()>().await;
    }
    match key.strip_prefix("code:") {
        Some(code) => Err(Status::new(Code::from_i32(code.parse().unwrap()), "as asked")),
        None => Ok(()),
    }
}

impl<B> tower::Service<::http::Request<B>> for Cache
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = ::http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ::http::Request<B>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                GET => {
                    let method = service_fn(|request| this.clone().get(request));
                    Grpc::new(ProstCodec::default()).unary(method, request).await
                }
                STORE => {
                    let method = service_fn(|request| this.clone().store(request));
                    Grpc::new(ProstCodec::default()).unary(method, request).await
                }
                DUMP => {
                    let method = service_fn(|request| this.clone().dump(request));
                    Grpc::new(ProstCodec::default()).server_streaming(method, request).await
                }
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// A free port that a server of ours takes.
pub(crate) fn listen() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    (listener.local_addr().unwrap(), listener)
}

/// The client's part, over whatever sends its requests.
#[derive(Debug)]
pub(crate) struct Client<S>(tonic::client::Grpc<S>);

impl<S> Client<S>
where
    S: GrpcService<Body>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    pub(crate) fn new(service: S) -> Self {
        Client(tonic::client::Grpc::new(service))
    }

    async fn ready(&mut self) -> Result<(), Status> {
        let ready = self.0.ready().await;
        ready.map_err(|error| Status::unavailable(format!("not ready: {}", error.into())))
    }

    pub(crate) async fn get(&mut self, key: &str) -> Result<Vec<u8>, Status> {
        self.ready().await?;
        let request = Request::new(GetReq { key: key.to_owned() });
        let reply = self.0.unary(request, PathAndQuery::from_static(GET), ProstCodec::default()).await?;
        let GetResp { value } = reply.into_inner();
        Ok(value)
    }

    pub(crate) async fn store(&mut self, key: &str, value: &[u8]) -> Result<(), Status> {
        self.ready().await?;
        let request = Request::new(StoreReq { key: key.to_owned(), value: value.to_vec() });
        let reply = self.0.unary(request, PathAndQuery::from_static(STORE), ProstCodec::default()).await?;
        let StoreResp {} = reply.into_inner();
        Ok(())
    }

    pub(crate) async fn dump(&mut self) -> Result<Items, Status> {
        self.ready().await?;
        let request = Request::new(DumpReq {});
        let reply = self.0.server_streaming(request, PathAndQuery::from_static(DUMP), ProstCodec::default()).await?;
        let mut stream = reply.into_inner();
        let mut items = Items::new();
        while let Some(DumpItem { key, val }) = stream.message().await? {
            items.insert(key, val);
        }
        Ok(items)
    }
}
