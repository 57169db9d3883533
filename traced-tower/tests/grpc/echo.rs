//! A service for the tests, written by hand: a message is a string.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream;
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codec::CompressionEncoding;
use tonic::server::{Grpc, NamedService};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use traced_tower::BoxError;

/// The server's part: `Say` gives back what is said, or what it would send on for `next`; `Count`
/// counts up to it.
#[derive(Clone, Debug)]
pub(crate) struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

type Codec = ProstCodec<String, String>;

async fn say(request: Request<String>) -> Result<Response<String>, Status> {
    let text = request.get_ref();
    if let Some(code) = text.strip_prefix("code:") {
        return Err(Status::new(Code::from_i32(code.parse().unwrap()), "as asked"));
    }
    match text.as_str() {
        "wait" => std::future::pending().await,
        "panic" => std::panic::resume_unwind(Box::new("as asked")),
        "headers" => {
            let headers: &http::HeaderMap = request.metadata().as_ref();
            let names = headers.keys().map(http::HeaderName::as_str);
            let mut names: Vec<_> = names.filter(|name| name.contains("b3") || *name == "traceparent").collect();
            names.sort_unstable();
            Ok(Response::new(names.join(" ")))
        }
        "next" => {
            let mut headers = http::HeaderMap::new();
            traced_runtime::Context::current().inject(&mut headers);
            let sent = |name: &str| headers.get(name).map_or("-", |value| value.to_str().unwrap());
            Ok(Response::new(format!("{} {}", sent("x-b3-sampled"), sent("x-b3-flags"))))
        }
        _ => Ok(Response::new(request.into_inner())),
    }
}

async fn count(
    request: Request<String>,
) -> Result<Response<stream::Iter<impl Iterator<Item = Result<String, Status>>>>, Status> {
    let up_to: u64 = request.into_inner().parse().unwrap();
    Ok(Response::new(stream::iter((1..=up_to).map(|number| Ok(number.to_string())))))
}

impl<B> tower::Service<http::Request<B>> for Echo
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let mut grpc = Grpc::new(Codec::default()).accept_compressed(CompressionEncoding::Gzip);
        Box::pin(async move {
            Ok(if request.uri().path().ends_with("/Count") {
                grpc.server_streaming(tower::service_fn(count), request).await
            } else {
                grpc.unary(tower::service_fn(say), request).await
            })
        })
    }
}

/// The client's part.
#[derive(Debug)]
pub(crate) struct Client<S>(tonic::client::Grpc<S>);

impl<S> Client<S>
where
    S: GrpcService<Body, Error = BoxError>,
    S::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<BoxError> + Send,
{
    pub(crate) fn new(service: S) -> Self {
        Self(tonic::client::Grpc::new(service))
    }

    pub(crate) fn with_origin(service: S, origin: http::Uri) -> Self {
        Self(tonic::client::Grpc::with_origin(service, origin))
    }

    pub(crate) fn compressed(self, encoding: CompressionEncoding) -> Self {
        Self(self.0.send_compressed(encoding))
    }

    pub(crate) async fn say(&mut self, text: &str) -> Result<String, Status> {
        self.call("/test.Echo/Say", text).await
    }

    pub(crate) async fn call(&mut self, path: &'static str, text: &str) -> Result<String, Status> {
        self.0.ready().await.unwrap();
        let request = Request::new(text.to_owned());
        Ok(self.0.unary(request, PathAndQuery::from_static(path), Codec::default()).await?.into_inner())
    }

    pub(crate) async fn count(&mut self, up_to: &str) -> Result<Streaming<String>, Status> {
        self.0.ready().await.unwrap();
        let (request, path) = (Request::new(up_to.to_owned()), PathAndQuery::from_static("/test.Echo/Count"));
        Ok(self.0.server_streaming(request, path, Codec::default()).await?.into_inner())
    }
}
