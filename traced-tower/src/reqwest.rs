//! Clients of [`reqwest`](https://docs.rs/reqwest): `reqwest::Client` is a service of its own requests and responses.
//!
//! ```
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # async fn fetch() -> reqwest::Result<String> {
//! let mut client = ServiceBuilder::new()
//!     .layer(traced_tower::reqwest::client().remote("prices"))
//!     .service(reqwest::Client::new());
//!
//! let request = reqwest::Request::new(reqwest::Method::GET, "http://prices/42".parse().unwrap());
//! let response = client.ready().await?.call(request).await?;
//! response.text().await
//! # }
//! ```
//!
//! The layer stands directly around the client. What the client does by itself is one span: it follows redirects, and it
//! may retry. A response is the client's own, with its `url()`, `remote_addr()` and extensions; the span goes on until its body is
//! read or dropped. A body of the request that is a stream is polled inside the span.

use std::borrow::Cow;

use ::http::HeaderMap;
use ::reqwest::{Body, Error, Request, Response, ResponseBuilderExt as _};
use traced_runtime::{Endpoint, Span};

use crate::body::{self, InContext};
use crate::call::{Call, Side};
use crate::hooks::{Hooks, TakesRequest, TakesResult};
use crate::http::exchange::Exchange;
use crate::http::{callee, policy};
use crate::layer::Layer;
use crate::role::{Role, sealed};
use crate::service::ResponseFuture;
use crate::settings::Settings;

/// The role of a `reqwest::Client`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client {
    _private: (),
}

impl sealed::Sealed for Client {}

impl Role for Client {
    type Request = Request;
    type Response = Response;
}

/// A layer for `reqwest::Client`: each request is a span of kind `CLIENT`, and its headers carry it to the server.
#[must_use]
pub fn client() -> Layer<Client> {
    Layer::of(Client::default())
}

/// The response to a `reqwest::Client`, to come.
pub type ClientFuture<F> = ResponseFuture<F, Client>;

impl Hooks for Client {
    type Exchange = Exchange;

    fn name<'a>(_: &Settings<Self>, request: &'a Request) -> Cow<'a, str> {
        request.method().as_str().into()
    }

    fn start(settings: &Settings<Self>, name: &str, request: &Request) -> Span {
        settings.client_span(name, request)
    }

    fn on_request(_: &Settings<Self>, request: &Request, span: &Span) {
        let url = request.url();
        policy::tell_request(request.method(), url.path(), span);
        if let Some(server) = url.host_str().and_then(|host| callee::of_host(host, url.port_or_known_default())) {
            span.remote(server);
        }
    }

    fn outgoing(request: &mut Request) -> Option<&mut HeaderMap> {
        Some(request.headers_mut())
    }

    fn exchange(_: &Settings<Self>, request: &Request, _: &Span) -> Exchange {
        Exchange::new(Side::Client, request.method().clone())
    }

    fn on_response(settings: &Settings<Self>, call: &mut Call<Exchange>, response: &Response) {
        policy::tell_status(response.status(), &call.span);
        // Of a proxy, say: the address that the user has set is not to be lost for it.
        let is_set = settings.remote.as_ref().is_some_and(|remote| remote.ip_addr().is_some());
        if let Some(peer) = response.remote_addr().filter(|_| !is_set) {
            call.span.remote(Endpoint::new().ip(peer.ip().to_canonical()).port(peer.port()));
        }
    }
}

impl TakesRequest<Request> for Client {
    type Body = ();
    type Sent = Request;

    fn split(request: Request) -> (Request, ()) {
        (request, ())
    }

    fn join(_: &Settings<Self>, mut request: Request, (): (), call: Option<&Call<Exchange>>) -> Request {
        if let Some(call) = call {
            if let Some(body) = request.body_mut().take_if(|body| body.as_bytes().is_none()) {
                *request.body_mut() = Some(Body::wrap(InContext::new(body, call.span.context())));
            }
        }
        request
    }
}

impl TakesResult<Response, Error> for Client {
    type Body = ();
    type Output = Response;
    type Error = Error;

    fn split(response: Response) -> (Response, ()) {
        (response, ())
    }

    fn join(call: Option<Call<Exchange>>, response: Response, (): ()) -> Response {
        match call {
            Some(call) => with_body_of(call, response),
            None => response,
        }
    }

    fn error(error: Error) -> Error {
        error
    }

    /// Tells the span of the error, without the address: its query may hold what must not be recorded.
    fn on_failure(call: Option<Call<Exchange>>, error: Error) -> Error {
        let Some(call) = call else { return error };
        let url = error.url().cloned();
        let error = error.without_url();
        call.failed(&error);
        match url {
            Some(url) => error.with_url(url),
            None => error,
        }
    }
}

/// The same response, whose body the call goes on with.
fn with_body_of(call: Call<Exchange>, response: Response) -> Response {
    let url = ::http::Response::builder().url(response.url().clone()).body(());
    let (mut parts, rest) = ::http::Response::<Body>::from(response).into_parts();
    if let Ok(url) = url {
        // Where the conversion into a response of reqwest's looks for it.
        parts.extensions.extend(url.into_parts().0.extensions);
    }
    let body = body::Body::go_on(Some(call), &parts, rest);
    ::http::Response::from_parts(parts, Body::wrap(body)).into()
}
