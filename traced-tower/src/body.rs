//! The body of a response, inside the span of its call.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::call::{BoxError, Call, Inside};

pin_project! {
    /// The body of a response whose call goes on until its last byte.
    ///
    /// The span of the call is current while the body is polled, so that what a stream does to make its next part belongs to the
    /// trace. It ends once: with the body, with an error, or when the body is dropped. A default body is empty and has no span.
    #[derive(Debug)]
    pub struct Body<B> {
        #[pin]
        inside: Inside<B>,
    }
}

impl<B> Body<B> {
    /// A body which ends `call`; `None` if that has ended.
    pub(crate) const fn new(inner: B, call: Option<Call>) -> Self {
        Self { inside: Inside::new(inner, call, Call::cut) }
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
                    ongoing.data(data);
                }
                if let Some(trailers) = frame.trailers_ref() {
                    ongoing.trailers(trailers);
                } else if is_end {
                    ongoing.complete();
                } else {
                    *call = Some(ongoing);
                }
            }
            (Some(Err(error)), Some(call)) => call.failed(&**error),
            (None, Some(call)) => call.complete(),
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

pin_project! {
    /// The body of a request, polled inside a context by whoever sends it.
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
