//! The server's side of an HTTP call.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Method, Request, Response};
use pin_project_lite::pin_project;
use traced_runtime::{Endpoint, Span};

use super::caller::{self, Forwarded};
use super::exchange::{self, Exchange};
use super::policy;
use crate::body::Body;
use crate::call::{Call, Inside, Protocol, Side, Told};
use crate::layer::Layer;
use crate::role::{Callers, Role, sealed};
use crate::service::Service;
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
    type Response = http::response::Parts;
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

/// The span of a request, and its method if the response's status can tell more of the name.
fn start(settings: &Settings<Server>, request: &Parts) -> (Span, Option<Method>) {
    let start = |name: &str| settings.server_span(settings.role.callers, name, &request.headers, request);
    let (span, unnamed) = match settings.name(request) {
        Some(name) => (start(&name), None),
        None => {
            let route = route(request);
            let unnamed = (route.is_none() && is_routed(request)).then(|| request.method.clone());
            (start(&policy::server_name(&request.method, route)), unnamed)
        }
    };
    if span.is_recorded() {
        span.tag(policy::METHOD, request.method.as_str());
        span.tag(policy::PATH, path(request));
        if let Some((ip, port)) = caller::address(request, settings.role.forwarded) {
            span.remote(Endpoint::new().ip(ip).port(port.unwrap_or(0)));
        }
        settings.tell_request(request, &span);
    }
    (span, unnamed)
}

impl<S, Q, B> tower_service::Service<Request<Q>> for Service<S, Server>
where
    S: tower_service::Service<Request<Q>, Response = Response<B>>,
    S::Error: fmt::Display,
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
        let (span, unnamed) = start(&self.settings, &parts);
        let exchange = Exchange::new(Side::Server, parts.method.clone());
        let future = {
            let _scope = span.attach();
            self.inner.call(Request::from_parts(parts, body))
        };
        let call = Call { span, protocol: Protocol::Http(exchange) };
        let inside = Inside::new(future, Some(call), Call::abandoned);
        ServerFuture { inside, settings: Arc::clone(&self.settings), unnamed }
    }
}

pin_project! {
    /// The response of an HTTP server, to come.
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct ServerFuture<F> {
        #[pin]
        inside: Inside<F>,
        settings: Arc<Settings<Server>>,
        unnamed: Option<Method>,
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
        let (settings, unnamed) = (this.settings, this.unnamed);
        this.inside.poll_call(task).map(|(result, call)| match result {
            Ok(response) => Ok(exchange::respond(call, response, |response, span| {
                if let Some(name) = unnamed.as_ref().and_then(|method| policy::unmatched_name(method, response.status))
                {
                    span.name(&name);
                }
                settings.tell_response(response, span);
            })),
            Err(error) => {
                if let Some(call) = call {
                    call.failed(&Told(error.to_string()));
                }
                Err(error)
            }
        })
    }
}
