//! The client's side of an HTTP call.

use std::borrow::Cow;

use http::request::Parts;
use http::{HeaderMap, Request, Response, response};
use traced_runtime::Span;

use super::exchange::Exchange;
use super::{callee, policy};
use crate::body::Body;
use crate::call::{BoxError, Call, Side};
use crate::hooks::{Hooks, TakesRequest, TakesResult};
use crate::layer::Layer;
use crate::role::{Role, sealed};
use crate::service::ResponseFuture;
use crate::settings::Settings;

/// The role of an HTTP client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client {
    _private: (),
}

impl sealed::Sealed for Client {}

impl Role for Client {
    type Request = Parts;
    type Response = response::Parts;
}

/// A layer for HTTP clients: each request is a span of kind `CLIENT`, and its headers carry it to the server.
///
/// It takes any service of `http::Request`; its errors become [`BoxError`]s, so that their causes can be told.
///
/// ```
/// use http_body_util::Empty;
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use tower::ServiceBuilder;
///
/// let client = Client::builder(TokioExecutor::new()).build_http::<Empty<&[u8]>>();
/// let client = ServiceBuilder::new().layer(traced_tower::http::client().remote("prices")).service(client);
/// ```
#[must_use]
pub fn client() -> Layer<Client> {
    Layer::of(Client::default())
}

/// The response to an HTTP client, to come.
pub type ClientFuture<F> = ResponseFuture<F, Client>;

impl Hooks for Client {
    type Exchange = Exchange;

    fn name<'a>(_: &Settings<Self>, request: &'a Parts) -> Cow<'a, str> {
        request.method.as_str().into()
    }

    fn start(settings: &Settings<Self>, name: &str, request: &Parts) -> Span {
        settings.client_span(name, request)
    }

    fn on_request(_: &Settings<Self>, request: &Parts, span: &Span) {
        policy::tell_request(&request.method, request.uri.path(), span);
        if let Some(server) = callee::of_uri(&request.uri) {
            span.remote(server);
        }
    }

    fn outgoing(request: &mut Parts) -> Option<&mut HeaderMap> {
        Some(&mut request.headers)
    }

    fn exchange(_: &Settings<Self>, request: &Parts, _: &Span) -> Exchange {
        Exchange::new(Side::Client, request.method.clone())
    }

    fn on_response(_: &Settings<Self>, call: &mut Call<Exchange>, response: &response::Parts) {
        policy::tell_status(response.status, &call.span);
    }
}

impl<B> TakesRequest<Request<B>> for Client {
    type Body = B;
    type Sent = Request<B>;

    fn split(request: Request<B>) -> (Parts, B) {
        request.into_parts()
    }

    fn join(_: &Settings<Self>, request: Parts, body: B, _: Option<&Call<Exchange>>) -> Request<B> {
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
        let body = Body::go_on(call, &response, body);
        Response::from_parts(response, body)
    }

    fn error(error: E) -> BoxError {
        error.into()
    }

    fn on_failure(call: Option<Call<Exchange>>, error: E) -> BoxError {
        let error = error.into();
        if let Some(call) = call {
            call.failed(&*error);
        }
        error
    }
}
