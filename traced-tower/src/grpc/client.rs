//! The client's side of a gRPC call.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;

use super::convention::Convention;
use super::exchange::{self, Exchange};
use super::options::{Options, Role, sealed};
use super::payload::Recorded;
use crate::body::{Body, InContext};
use crate::call::{BoxError, Call, Inside, Protocol, Side};
use crate::http::callee;
use crate::layer::Layer;
use crate::service::Service;
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
    type Response = http::response::Parts;
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

impl<S, Q, B> tower_service::Service<Request<Q>> for Service<S, Client>
where
    S: tower_service::Service<Request<tonic::body::Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    Q: http_body::Body<Data = Bytes> + Send + 'static,
    Q::Error: Into<BoxError>,
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
        let options = &self.settings.role.options;
        if !options.traces(&parts) {
            let request = Request::from_parts(parts, tonic::body::Body::new(body));
            let inside = Inside::new(self.inner.call(request), None, Call::abandoned);
            return ClientFuture { inside, settings: Arc::clone(&self.settings) };
        }
        let path = parts.uri.path();
        let name = self.settings.name(&parts);
        let span = self.settings.client_span(name.as_deref().unwrap_or(options.convention.name(path)), &parts);
        if span.is_recorded() {
            options.convention.tell_request(path, &span);
            // otgrpc's spans name nobody.
            if let (Some(server), Convention::Brave) = (callee::of_uri(&parts.uri), options.convention) {
                span.remote(server);
            }
            self.settings.tell_request(&parts, &span);
        }
        let context = span.context();
        context.inject(&mut parts.headers);
        let payloads = options.payloads.as_ref().filter(|_| span.is_recorded());
        let exchange = Exchange::new(Side::Client, options.convention, payloads, parts.uri.path());
        let body = match payloads {
            Some(payloads) => {
                let body = Recorded::new(body, payloads, options.convention, &parts, context.clone());
                tonic::body::Body::new(InContext::new(body, context))
            }
            None => tonic::body::Body::new(InContext::new(body, context)),
        };
        let future = {
            let _scope = span.attach();
            self.inner.call(Request::from_parts(parts, body))
        };
        let call = Call { span, protocol: Protocol::Grpc(exchange) };
        let inside = Inside::new(future, Some(call), Call::abandoned);
        ClientFuture { inside, settings: Arc::clone(&self.settings) }
    }
}

pin_project! {
    /// The response to a gRPC client, to come.
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
                // What the transport says becomes a status here, as it would in the client behind.
                let error = match tonic::Status::try_from_error(error.into()) {
                    Ok(status) => status.into(),
                    Err(error) => error,
                };
                if let Some(call) = call {
                    call.failed(&*error);
                }
                Err(error)
            }
        })
    }
}
