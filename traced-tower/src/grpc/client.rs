//! The client's side of a gRPC call.

use std::borrow::Cow;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, response};
use tonic::body::Body as TonicBody;
use traced_runtime::Span;

use super::convention::Convention;
use super::exchange::Exchange;
use super::options::{Options, Role, sealed};
use crate::body::{Body, InContext};
use crate::call::{BoxError, Call, Side};
use crate::hooks::{Hooks, TakesRequest, TakesResult};
use crate::http::callee;
use crate::layer::Layer;
use crate::service::ResponseFuture;
use crate::settings::Settings;

/// The role of a gRPC client.
#[derive(Clone, Debug, Default)]
pub struct Client {
    options: Options,
}

impl sealed::Sealed for Client {
    fn options(&mut self) -> &mut Options {
        &mut self.options
    }
}

impl Role for Client {}

impl crate::role::sealed::Sealed for Client {}

impl crate::role::Role for Client {
    type Request = Parts;
    type Response = response::Parts;
}

/// A layer for gRPC clients, around a `tonic::transport::Channel`: each call is a span of kind `CLIENT`, and its metadata
/// carry it to the server.
///
/// Who the server is, [`remote`](Layer::remote) says: a channel keeps to itself what it is
/// connected to. An address that is a number is known of clients with an origin, as
/// `CacheServiceClient::with_origin` makes them; otgrpc's spans name nobody.
///
/// A connection that breaks ends the span as it ends those of the peers, most often as unavailable.
/// What the caller gets is tonic's own status all the same, which is `Unknown` then.
///
/// ```no_run
/// use tower::ServiceBuilder;
///
/// let channel = tonic::transport::Endpoint::from_static("http://localhost:5051").connect_lazy();
/// let channel = ServiceBuilder::new().layer(traced_tower::grpc::client().remote("cache server")).service(channel);
/// // CacheServiceClient::new(channel)
/// ```
#[must_use]
pub fn client() -> Layer<Client> {
    Layer::of(Client::default())
}

/// The response to a gRPC client, to come.
pub type ClientFuture<F> = ResponseFuture<F, Client>;

impl Hooks for Client {
    type Exchange = Exchange;

    fn traces(settings: &Settings<Self>, request: &Parts) -> bool {
        settings.role.options.traces(request)
    }

    fn name<'a>(settings: &Settings<Self>, request: &'a Parts) -> Cow<'a, str> {
        settings.role.options.convention.name(request.uri.path()).into()
    }

    fn start(settings: &Settings<Self>, name: &str, request: &Parts) -> Span {
        settings.client_span(name, request)
    }

    fn on_request(settings: &Settings<Self>, request: &Parts, span: &Span) {
        let convention = settings.role.options.convention;
        convention.tell_request(request.uri.path(), span);
        // otgrpc's spans name nobody.
        if let (Some(server), Convention::Brave) = (callee::of_uri(&request.uri), convention) {
            span.remote(server);
        }
    }

    fn outgoing(request: &mut Parts) -> Option<&mut HeaderMap> {
        Some(&mut request.headers)
    }

    fn exchange(settings: &Settings<Self>, request: &Parts, span: &Span) -> Exchange {
        let options = &settings.role.options;
        Exchange::new(Side::Client, options.convention, options.payloads(span), request.uri.path())
    }

    fn on_response(_: &Settings<Self>, Call { span, exchange }: &mut Call<Exchange>, response: &response::Parts) {
        exchange.answered(response, span);
    }
}

impl<B> TakesRequest<Request<B>> for Client
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
            Some(call) => {
                let body = settings.role.options.body(body, &request, &call.span);
                TonicBody::new(InContext::new(body, call.span.context()))
            }
            None => TonicBody::new(body),
        };
        Request::from_parts(request, body)
    }
}

impl<B: http_body::Body, E: Into<BoxError>> TakesResult<Response<B>, E> for Client {
    type Body = B;
    type Output = Response<Body<B>>;
    type Error = BoxError;

    fn split(response: Response<B>) -> (response::Parts, B) {
        response.into_parts()
    }

    fn join(call: Option<Call<Exchange>>, response: response::Parts, body: B) -> Response<Body<B>> {
        let body = Body::go_on(call.and_then(Exchange::go_on), &response, body);
        Response::from_parts(response, body)
    }

    fn error(error: E) -> BoxError {
        error.into()
    }

    /// What the transport says becomes a status here, as it would in the client behind.
    fn on_failure(call: Option<Call<Exchange>>, error: E) -> BoxError {
        let error = match tonic::Status::try_from_error(error.into()) {
            Ok(status) => status.into(),
            Err(error) => error,
        };
        if let Some(call) = call {
            call.failed(&*error);
        }
        error
    }
}
