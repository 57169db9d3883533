//! The server's side of a gRPC call.

use std::borrow::Cow;
use std::fmt::Display;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, response};
use tonic::body::Body as TonicBody;
use tonic::transport::server::TcpConnectInfo;
use traced_runtime::{Endpoint, Span};

use super::convention::Convention;
use super::exchange::Exchange;
use super::options::{Options, Role, sealed};
use crate::body::Body;
use crate::call::{BoxError, Call, Side, Told};
use crate::hooks::{Hooks, TakesRequest, TakesResult};
use crate::http::caller;
use crate::layer::Layer;
use crate::role::Callers;
use crate::service::ResponseFuture;
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
    type Response = response::Parts;
}

/// A layer for gRPC servers, for `tonic::transport::Server::builder().layer(…)`: each call is a span of kind `SERVER`,
/// joined to the caller's trace. A call of a method that is not there is none: what tonic answers then, `Unimplemented` without
/// a message and without a body, leaves no span, also where a handler gives that answer.
///
/// The caller's address is known of connections without TLS, and below `axum::serve` as with
/// [`http::server`](crate::http#who-calls). One request is to pass one such layer: two join the same span.
#[must_use]
pub fn server() -> Layer<Server> {
    Layer::of(Server::default())
}

/// The response of a gRPC server, to come.
pub type ServerFuture<F> = ResponseFuture<F, Server>;

impl Hooks for Server {
    type Exchange = Exchange;

    fn traces(settings: &Settings<Self>, request: &Parts) -> bool {
        settings.role.options.traces(request)
    }

    fn name<'a>(settings: &Settings<Self>, request: &'a Parts) -> Cow<'a, str> {
        settings.role.options.convention.name(request.uri.path()).into()
    }

    fn start(settings: &Settings<Self>, name: &str, request: &Parts) -> Span {
        settings.server_span(settings.role.callers, name, &request.headers, request)
    }

    fn on_request(settings: &Settings<Self>, request: &Parts, span: &Span) {
        let convention = settings.role.options.convention;
        convention.tell_request(request.uri.path(), span);
        let by_tonic = || request.extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        let address = by_tonic().or_else(|| caller::connection(request));
        // otgrpc's spans name nobody.
        if let (Some(address), Convention::Brave) = (address, convention) {
            span.remote(Endpoint::new().ip(address.ip().to_canonical()).port(address.port()));
        }
    }

    fn exchange(settings: &Settings<Self>, request: &Parts, span: &Span) -> Exchange {
        let options = &settings.role.options;
        Exchange::new(Side::Server, options.convention, options.payloads(span), request.uri.path())
    }

    fn on_response(_: &Settings<Self>, Call { span, exchange }: &mut Call<Exchange>, response: &response::Parts) {
        exchange.answered(response, span);
    }
}

impl<B> TakesRequest<Request<B>> for Server
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Body = B;
    type Sent = Request<TonicBody>;

    fn split(request: Request<B>) -> (Parts, B) {
        request.into_parts()
    }

    fn join(settings: &Settings<Self>, request: Parts, body: B, call: Option<&Call<Exchange>>) -> Request<TonicBody> {
        let body = match call {
            Some(call) => settings.role.options.body(body, &request, &call.span),
            None => TonicBody::new(body),
        };
        Request::from_parts(request, body)
    }
}

impl<B: http_body::Body, E: Display> TakesResult<Response<B>, E> for Server {
    type Body = B;
    type Output = Response<Body<B>>;
    type Error = E;

    fn split(response: Response<B>) -> (response::Parts, B) {
        response.into_parts()
    }

    fn join(call: Option<Call<Exchange>>, response: response::Parts, body: B) -> Response<Body<B>> {
        let body = Body::go_on(call.and_then(Exchange::go_on), &response, body);
        Response::from_parts(response, body)
    }

    fn error(error: E) -> E {
        error
    }

    fn on_failure(call: Option<Call<Exchange>>, error: E) -> E {
        if let Some(call) = call {
            call.failed(&Told(error.to_string()));
        }
        error
    }
}
