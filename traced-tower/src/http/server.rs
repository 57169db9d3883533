//! The server's side of an HTTP call.

use std::borrow::Cow;
use std::fmt::Display;

use http::request::Parts;
use http::{Request, Response, response};
use traced_runtime::{Endpoint, Span};

use super::caller::{self, Forwarded};
use super::exchange::Exchange;
use super::policy;
use crate::body::Body;
use crate::call::{Call, Side, Told};
use crate::hooks::{Hooks, TakesRequest, TakesResult};
use crate::layer::Layer;
use crate::role::{Callers, Role, sealed};
use crate::service::ResponseFuture;
use crate::settings::Settings;

/// The role of an HTTP server.
#[derive(Clone, Debug, Default)]
pub struct Server {
    forwarded: Forwarded,
    callers: Callers,
}

impl sealed::Sealed for Server {}

impl sealed::Serves for Server {
    fn callers(&mut self) -> &mut Callers {
        &mut self.callers
    }
}

impl Role for Server {
    type Request = Parts;
    type Response = response::Parts;
}

/// A layer for HTTP servers: each request is a span of kind `SERVER`, joined to the caller's trace.
///
/// In axum it stands after the routes, in `Router::layer`: see [Routes](crate::http#routes).
#[must_use]
pub fn server() -> Layer<Server> {
    Layer::of(Server::default())
}

impl Layer<Server> {
    /// Takes the address of the caller from the first entry of `X-Forwarded-For`, if it is one. Anybody can send that
    /// header: only for servers that nobody but a proxy can reach, which sets it itself.
    #[must_use]
    pub fn trust_forwarded(mut self) -> Self {
        self.role().forwarded = Forwarded::Trusted;
        self
    }
}

/// The template of the route that matches, as far as axum says so.
#[cfg(feature = "axum")]
fn route(request: &Parts) -> Option<&str> {
    request.extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str)
}

#[cfg(not(feature = "axum"))]
const fn route(_: &Parts) -> Option<&str> {
    None
}

/// Whether a router has looked for a route: every one of axum's leaves the address with the request.
#[cfg(feature = "axum")]
fn is_routed(request: &Parts) -> bool {
    request.extensions.get::<axum::extract::OriginalUri>().is_some()
}

#[cfg(not(feature = "axum"))]
const fn is_routed(_: &Parts) -> bool {
    false
}

/// The path that the caller has asked for, of which a nested router sees a part.
fn path(request: &Parts) -> &str {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(uri)) = request.extensions.get() {
        return uri.path();
    }
    request.uri.path()
}

/// The response of an HTTP server, to come.
pub type ServerFuture<F> = ResponseFuture<F, Server>;

impl Hooks for Server {
    type Exchange = Exchange;

    fn name<'a>(_: &Settings<Self>, request: &'a Parts) -> Cow<'a, str> {
        policy::server_name(&request.method, route(request))
    }

    fn start(settings: &Settings<Self>, name: &str, request: &Parts) -> Span {
        settings.server_span(settings.role.callers, name, &request.headers, request)
    }

    fn on_request(settings: &Settings<Self>, request: &Parts, span: &Span) {
        policy::tell_request(&request.method, path(request), span);
        if let Some((ip, port)) = caller::address(request, settings.role.forwarded) {
            span.remote(Endpoint::new().ip(ip).port(port.unwrap_or(0)));
        }
    }

    fn exchange(_: &Settings<Self>, request: &Parts, _: &Span) -> Exchange {
        let mut exchange = Exchange::new(Side::Server, request.method.clone());
        exchange.is_unrouted = is_routed(request) && route(request).is_none();
        exchange
    }

    fn on_response(settings: &Settings<Self>, call: &mut Call<Exchange>, response: &response::Parts) {
        let Call { span, exchange } = call;
        policy::tell_status(response.status, span);
        if settings.name.is_none() && exchange.is_unrouted {
            if let Some(name) = policy::unmatched_name(&exchange.method, response.status) {
                span.name(&name);
            }
        }
    }
}

impl<B> TakesRequest<Request<B>> for Server {
    type Body = B;
    type Sent = Request<B>;

    fn split(request: Request<B>) -> (Parts, B) {
        request.into_parts()
    }

    fn join(_: &Settings<Self>, request: Parts, body: B, _: Option<&Call<Exchange>>) -> Request<B> {
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
        let body = Body::go_on(call, &response, body);
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
