//! The client's side of an HTTP call.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;

use super::exchange::{self, Exchange};
use super::{callee, policy};
use crate::body::Body;
use crate::call::{BoxError, Call, Inside, Protocol, Side};
use crate::layer::Layer;
use crate::role::{Role, sealed};
use crate::service::Service;
use crate::settings::Settings;

/// The role of an HTTP client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client {
    _private: (),
}

impl sealed::Sealed for Client {}

impl Role for Client {
    type Request = Parts;
    type Response = http::response::Parts;
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

impl<S, Q, B> tower_service::Service<Request<Q>> for Service<S, Client>
where
    S: tower_service::Service<Request<Q>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body,
{
    type Response = Response<Body<B>>;
    type Error = BoxError;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(task).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Q>) -> ClientFuture<S::Future> {
        let (mut parts, body) = request.into_parts();
        let name = self.settings.name(&parts);
        let span = self.settings.client_span(name.as_deref().unwrap_or(parts.method.as_str()), &parts);
        if span.is_recorded() {
            span.tag(policy::METHOD, parts.method.as_str());
            span.tag(policy::PATH, parts.uri.path());
            if let Some(server) = callee::of_uri(&parts.uri) {
                span.remote(server);
            }
            self.settings.tell_request(&parts, &span);
        }
        span.context().inject(&mut parts.headers);
        let exchange = Exchange::new(Side::Client, parts.method.clone());
        let future = {
            let _scope = span.attach();
            self.inner.call(Request::from_parts(parts, body))
        };
        let call = Call { span, protocol: Protocol::Http(exchange) };
        let inside = Inside::new(future, Some(call), Call::abandoned);
        ClientFuture { inside, settings: Arc::clone(&self.settings) }
    }
}

pin_project! {
    /// The response to an HTTP client, to come.
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct ClientFuture<F> {
        #[pin]
        inside: Inside<F>,
        settings: Arc<Settings<Client>>,
    }
}

impl<F, B, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: http_body::Body,
{
    type Output = Result<Response<Body<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let settings = this.settings;
        this.inside.poll_call(task).map(|(result, call)| match result {
            Ok(response) => {
                Ok(exchange::respond(call, response, |response, span| settings.tell_response(response, span)))
            }
            Err(error) => {
                let error = error.into();
                if let Some(call) = call {
                    call.failed(&*error);
                }
                Err(error)
            }
        })
    }
}
