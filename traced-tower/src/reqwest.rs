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

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::reqwest::{Body, Error, Request, Response, ResponseBuilderExt as _};
use pin_project_lite::pin_project;
use traced_runtime::Endpoint;

use crate::body::InContext;
use crate::call::{Call, Inside, Protocol, Side};
use crate::http::exchange::{self, Exchange};
use crate::http::{callee, policy};
use crate::layer::Layer;
use crate::role::{Role, sealed};
use crate::service::Service;
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

impl<S> tower_service::Service<Request> for Service<S, Client>
where
    S: tower_service::Service<Request, Response = Response, Error = Error>,
{
    type Response = Response;
    type Error = Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: Request) -> ClientFuture<S::Future> {
        let name = self.settings.name(&request);
        let span = self.settings.client_span(name.as_deref().unwrap_or(request.method().as_str()), &request);
        if span.is_recorded() {
            span.tag(policy::METHOD, request.method().as_str());
            span.tag(policy::PATH, request.url().path());
            let (host, port) = (request.url().host_str(), request.url().port_or_known_default());
            if let Some(server) = host.and_then(|host| callee::of_host(host, port)) {
                span.remote(server);
            }
            self.settings.tell_request(&request, &span);
        }
        span.context().inject(request.headers_mut());
        let exchange = Exchange::new(Side::Client, request.method().clone());
        if let Some(body) = request.body_mut().take_if(|body| body.as_bytes().is_none()) {
            *request.body_mut() = Some(Body::wrap(InContext::new(body, span.context())));
        }
        let future = {
            let _scope = span.attach();
            self.inner.call(request)
        };
        let call = Call { span, protocol: Protocol::Http(exchange) };
        let inside = Inside::new(future, Some(call), Call::abandoned);
        ClientFuture { inside, settings: Arc::clone(&self.settings) }
    }
}

pin_project! {
    /// The response to a `reqwest::Client`, to come.
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct ClientFuture<F> {
        #[pin]
        inside: Inside<F>,
        settings: Arc<Settings<Client>>,
    }
}

impl<F: Future<Output = Result<Response, Error>>> Future for ClientFuture<F> {
    type Output = Result<Response, Error>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let settings = this.settings;
        this.inside.poll_call(task).map(|(result, call)| match (result, call) {
            (Ok(response), Some(call)) if call.span.is_recorded() => {
                exchange::tell_status(response.status(), &call.span);
                if let Some(peer) = response.remote_addr() {
                    call.span.remote(Endpoint::new().ip(peer.ip()).port(peer.port()));
                }
                settings.tell_response(&response, &call.span);
                Ok(with_body_of(call, response))
            }
            (Err(error), Some(call)) => Err(failed(call, error)),
            (result, _) => result,
        })
    }
}

/// The same response, whose body the call goes on with.
fn with_body_of(call: Call, response: Response) -> Response {
    let url = ::http::Response::builder().url(response.url().clone()).body(());
    let (mut parts, body) = ::http::Response::<Body>::from(response).into_parts();
    if let Ok(url) = url {
        // Where the conversion into a response of reqwest's looks for it.
        parts.extensions.extend(url.into_parts().0.extensions);
    }
    let body = exchange::go_on(Some(call), &parts, body);
    ::http::Response::from_parts(parts, Body::wrap(body)).into()
}

/// Tells the span of the error, without the address: its query may hold what must not be recorded.
fn failed(call: Call, error: Error) -> Error {
    let url = error.url().cloned();
    let error = error.without_url();
    call.failed(&error);
    match url {
        Some(url) => error.with_url(url),
        None => error,
    }
}
