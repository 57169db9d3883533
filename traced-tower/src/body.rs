//! The body of a response, inside the span of its call.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::HeaderMap;
use ::http::response::Parts;
use bytes::Buf;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use traced_runtime::Span;

use crate::call::{BoxError, Call, Inside, Protocol};
#[cfg(feature = "tonic")]
use crate::grpc::exchange as grpc;
use crate::http::exchange as http;

pin_project! {
    /// The body of a response whose call goes on until its last byte.
    ///
    /// The span of the call is current while the body is polled, so that what a stream does to make its next part belongs to the
    /// trace. It ends once: with the body, with an error, or when the body is dropped. A default body is empty and has no span.
    #[derive(Debug)]
    pub struct Body<B> {
        #[pin]
        inside: Inside<B, Exchange>,
    }
}

impl<B: http_body::Body> Body<B> {
    /// The body that `call` goes on with, as this response has it. Where nothing is to come, the call
    /// ends here: nobody polls such a body.
    pub(crate) fn go_on<X: Protocol + Into<Exchange>>(call: Option<Call<X>>, response: &Parts, inner: B) -> Self {
        let Some(Call { span, mut exchange }) = call else { return Self::untraced(inner) };
        exchange.expect(response, inner.size_hint().exact());
        let call = Call { span, exchange: exchange.into() };
        if inner.is_end_stream() {
            call.complete(None);
            return Self::untraced(inner);
        }
        Self { inside: Inside::new(inner, Some(call), Call::cut) }
    }
}

impl<B> Body<B> {
    /// A body of no call, or of one that has ended.
    pub(crate) const fn untraced(inner: B) -> Self {
        Self { inside: Inside::new(inner, None, drop) }
    }
}

/// Empty, whatever `B` is: layers that answer by themselves do so with a default body.
impl<B> Default for Body<B> {
    fn default() -> Self {
        Self { inside: Inside::empty() }
    }
}

impl<B> http_body::Body for Body<B>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut inside = self.project().inside;
        if inside.inner().is_none() {
            return Poll::Ready(None);
        }
        let polled = inside.as_mut().poll(|body| body.poll_frame(task));
        let result = std::task::ready!(polled).map(|frame| frame.map_err(Into::into));
        let is_end = inside.inner().is_none_or(http_body::Body::is_end_stream);
        let call = inside.call();
        match (&result, call.take()) {
            (_, None) => {}
            (Some(Ok(frame)), Some(mut ongoing)) => {
                if let Some(data) = frame.data_ref() {
                    ongoing.exchange.data(data);
                }
                let trailers = frame.trailers_ref();
                if trailers.is_some() || is_end {
                    ongoing.complete(trailers);
                } else {
                    *call = Some(ongoing);
                }
            }
            (Some(Err(error)), Some(call)) => call.failed(&**error),
            (None, Some(call)) => call.complete(None),
        }
        Poll::Ready(result)
    }

    fn is_end_stream(&self) -> bool {
        self.inside.inner().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inside.inner().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

/// What is known of a call of either protocol: the type of a body does not say which it is.
#[derive(Debug)]
pub(crate) enum Exchange {
    Http(http::Exchange),
    #[cfg(feature = "tonic")]
    Grpc(grpc::Exchange),
}

impl From<http::Exchange> for Exchange {
    fn from(exchange: http::Exchange) -> Self {
        Self::Http(exchange)
    }
}

#[cfg(feature = "tonic")]
impl From<grpc::Exchange> for Exchange {
    fn from(exchange: grpc::Exchange) -> Self {
        Self::Grpc(exchange)
    }
}

/// Does the same with whichever it is.
macro_rules! either {
    ($exchange:expr, $inner:ident => $what:expr) => {
        match $exchange {
            Exchange::Http($inner) => $what,
            #[cfg(feature = "tonic")]
            Exchange::Grpc($inner) => $what,
        }
    };
}

impl Protocol for Exchange {
    fn expect(&mut self, response: &Parts, exact: Option<u64>) {
        either!(self, exchange => exchange.expect(response, exact));
    }

    fn data(&mut self, data: &impl Buf) {
        either!(self, exchange => exchange.data(data));
    }

    fn complete(self, trailers: Option<&HeaderMap>, span: Span) {
        either!(self, exchange => exchange.complete(trailers, span));
    }

    fn failed(self, error: &(dyn Error + 'static), span: Span) {
        either!(self, exchange => exchange.failed(error, span));
    }

    fn abandoned(self, span: Span) {
        either!(self, exchange => exchange.abandoned(span));
    }

    fn cut(self, span: Span) {
        either!(self, exchange => exchange.cut(span));
    }
}

pin_project! {
    /// The body of a request, polled inside a context by its sender.
    #[derive(Debug)]
    pub(crate) struct InContext<B> {
        #[pin]
        inner: B,
        context: traced_runtime::Context,
    }
}

impl<B> InContext<B> {
    #[cfg(any(feature = "reqwest", feature = "tonic"))]
    pub(crate) const fn new(inner: B, context: traced_runtime::Context) -> Self {
        Self { inner, context }
    }
}

impl<B: http_body::Body> http_body::Body for InContext<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let _scope = this.context.attach();
        this.inner.poll_frame(task)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
