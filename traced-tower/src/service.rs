//! The frame of a call, the same for all roles: the span begins, the service below is called and
//! polled inside of it, and the body of the response goes on with it.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::call::{Call, Inside};
use crate::hooks::{Hooks, TakesRequest, TakesResult};
use crate::role::Role;
use crate::settings::Settings;

/// A service whose calls are spans; made by [`Layer`](crate::Layer).
///
/// | role | takes | the service below gives | errors |
/// |---|---|---|---|
/// | [`http::Server`](crate::http::Server) | any `http::Request` | an `http::Response` | `Display`, passed on |
/// | [`http::Client`](crate::http::Client) | any `http::Request` | an `http::Response` | become [`BoxError`](crate::BoxError)s |
/// | `grpc::Server` | an `http::Request` with a body of `Bytes` | an `http::Response` | `Display`, passed on |
/// | `grpc::Client` | an `http::Request` with a body of `Bytes` | an `http::Response` | become [`BoxError`](crate::BoxError)s |
/// | `reqwest::Client` | a `reqwest::Request` | a `reqwest::Response` | reqwest's, passed on |
///
/// The service below a gRPC layer is called with a `tonic::body::Body`. The body of an
/// `http::Response` becomes a [`Body`](crate::Body).
pub struct Service<S, R: Role> {
    inner: S,
    settings: Arc<Settings<R>>,
}

impl<S, R: Role> Service<S, R> {
    pub(crate) fn new(inner: S, settings: Settings<R>) -> Self {
        Self { inner, settings: Arc::new(settings) }
    }
}

impl<S, Q, R> tower_service::Service<Q> for Service<S, R>
where
    S: tower_service::Service<R::Sent>,
    R: TakesRequest<Q> + TakesResult<S::Response, S::Error>,
{
    type Response = R::Output;
    type Error = R::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), R::Error>> {
        self.inner.poll_ready(task).map_err(R::error)
    }

    fn call(&mut self, request: Q) -> ResponseFuture<S::Future, R> {
        let settings = Arc::clone(&self.settings);
        let (mut request, body) = <R as TakesRequest<Q>>::split(request);
        let call = R::traces(&settings, &request).then(|| begin(&settings, &mut request));
        let request = <R as TakesRequest<Q>>::join(&settings, request, body, call.as_ref());
        let future = {
            let _scope = call.as_ref().map(|call| call.span.attach());
            self.inner.call(request)
        };
        ResponseFuture { inside: Inside::new(future, call, Call::abandoned), settings }
    }
}

fn begin<R: Hooks>(settings: &Settings<R>, request: &mut R::Request) -> Call<R::Exchange> {
    let name: Cow<'_, str> = settings.name(request).unwrap_or_else(|| R::name(settings, request));
    let span = R::start(settings, &name, request);
    drop(name);
    if span.is_recorded() {
        R::on_request(settings, request, &span);
        settings.tell_request(request, &span);
    }
    if let Some(headers) = R::outgoing(request) {
        span.context().inject(headers);
    }
    let exchange = R::exchange(settings, request, &span);
    Call { span, exchange }
}

pin_project! {
    /// The response of a service, to come.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, R: Hooks> {
        #[pin]
        inside: Inside<F, R::Exchange>,
        settings: Arc<Settings<R>>,
    }
}

impl<F, P, E, R> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<P, E>>,
    R: TakesResult<P, E>,
{
    type Output = Result<R::Output, R::Error>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let settings = this.settings;
        this.inside.poll_call(task).map(|(result, mut call)| match result {
            Ok(response) => {
                let (response, body) = R::split(response);
                if let Some(call) = call.as_mut().filter(|call| call.span.is_recorded()) {
                    R::on_response(settings, call, &response);
                    settings.tell_response(&response, &call.span);
                }
                Ok(R::join(call, response, body))
            }
            Err(error) => Err(R::on_failure(call.filter(|call| call.span.is_recorded()), error)),
        })
    }
}

impl<S: Clone, R: Role> Clone for Service<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), settings: Arc::clone(&self.settings) }
    }
}

impl<S: fmt::Debug, R: Role> fmt::Debug for Service<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("role", &self.settings.role).field("inner", &self.inner).finish()
    }
}

impl<F: fmt::Debug, R: Hooks> fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("inside", &self.inside).field("settings", &self.settings).finish()
    }
}
