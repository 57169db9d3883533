//! The server's side of a gRPC call.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::transport::server::TcpConnectInfo;
use traced_runtime::{Endpoint, Span};

use super::convention::Convention;
use super::exchange::{self, Exchange};
use super::options::{Options, Role, sealed};
use super::payload::Recorded;
use crate::body::Body;
use crate::call::{BoxError, Call, Inside, Protocol, Side};
use crate::layer::Layer;
use crate::role::Callers;
use crate::service::Service;
use crate::settings::Settings;

/// The role of a gRPC server.
#[derive(Clone, Debug, Default)]
pub struct Server {
    options: Options,
    callers: Callers,
}

impl sealed::Sealed for Server {
    fn options(&mut self) -> &mut Options {
        &mut self.options
    }
}

impl Role for Server {}

impl crate::role::sealed::Sealed for Server {}

impl crate::role::sealed::Serves for Server {
    fn callers(&mut self) -> &mut Callers {
        &mut self.callers
    }
}

impl crate::role::Role for Server {
    type Request = Parts;
    type Response = http::response::Parts;
}

/// A layer for gRPC servers, for `tonic::transport::Server::builder().layer(…)`: each call is a span of kind `SERVER`,
/// joined to the caller's trace. A call of a method that is not there is none: what tonic answers then, `Unimplemented` without
/// a message and without a body, leaves no span, whoever gives that answer.
///
/// The caller's address is known of connections without TLS. One request is to pass one such layer: two join the same span.
#[must_use]
pub fn server() -> Layer<Server> {
    Layer::of(Server::default())
}

fn start(settings: &Settings<Server>, request: &Parts) -> Span {
    let Server { options, callers } = &settings.role;
    let path = request.uri.path();
    let name = settings.name(request);
    let name = name.as_deref().unwrap_or(options.convention.name(path));
    let span = settings.server_span(*callers, name, &request.headers, request);
    if span.is_recorded() {
        options.convention.tell_request(path, &span);
        let address = request.extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        // otgrpc's spans name nobody.
        if let (Some(address), Convention::Brave) = (address, options.convention) {
            span.remote(Endpoint::new().ip(address.ip().to_canonical()).port(address.port()));
        }
        settings.tell_request(request, &span);
    }
    span
}

impl<S, Q, B> tower_service::Service<Request<Q>> for Service<S, Server>
where
    S: tower_service::Service<Request<tonic::body::Body>, Response = Response<B>>,
    S::Error: fmt::Display,
    Q: http_body::Body<Data = Bytes> + Send + 'static,
    Q::Error: Into<BoxError>,
    B: http_body::Body,
{
    type Response = Response<Body<B>>;
    type Error = S::Error;
    type Future = ServerFuture<S::Future>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<Q>) -> ServerFuture<S::Future> {
        let (parts, body) = request.into_parts();
        let options = &self.settings.role.options;
        if !options.traces(&parts) {
            let request = Request::from_parts(parts, tonic::body::Body::new(body));
            let inside = Inside::new(self.inner.call(request), None, Call::abandoned);
            return ServerFuture { inside, settings: Arc::clone(&self.settings) };
        }
        let span = start(&self.settings, &parts);
        let payloads = options.payloads.as_ref().filter(|_| span.is_recorded());
        let exchange = Exchange::new(Side::Server, options.convention, payloads, parts.uri.path());
        let body = match payloads {
            Some(payloads) => {
                tonic::body::Body::new(Recorded::new(body, payloads, options.convention, &parts, span.context()))
            }
            None => tonic::body::Body::new(body),
        };
        let future = {
            let _scope = span.attach();
            self.inner.call(Request::from_parts(parts, body))
        };
        let call = Call { span, protocol: Protocol::Grpc(exchange) };
        let inside = Inside::new(future, Some(call), Call::abandoned);
        ServerFuture { inside, settings: Arc::clone(&self.settings) }
    }
}

pin_project! {
    /// The response of a gRPC server, to come.
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct ServerFuture<F> {
        #[pin]
        inside: Inside<F>,
        settings: Arc<Settings<Server>>,
    }
}

impl<F, B, E> Future for ServerFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: fmt::Display,
    B: http_body::Body,
{
    type Output = Result<Response<Body<B>>, E>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let settings = this.settings;
        this.inside.poll_call(task).map(|(result, call)| match result {
            Ok(response) => {
                Ok(exchange::respond(call, response, |response, span| settings.tell_response(response, span)))
            }
            Err(error) => {
                if let Some(call) = call {
                    call.failed(&crate::call::Told(error.to_string()));
                }
                Err(error)
            }
        })
    }
}
