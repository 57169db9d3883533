//! The span of a call, from the request to the last byte of the response.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use http::HeaderMap;
use http::response::Parts;
use pin_project_lite::pin_project;
use traced_runtime::Span;

/// An error of any type, as [`tower`](https://docs.rs/tower) has it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Which side of the call this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// What a protocol knows of a call that goes on, and how it ends the call's span.
pub trait Protocol: fmt::Debug + Sized {
    /// The response is there, with a body of so many bytes if that is known.
    fn expect(&mut self, response: &Parts, exact: Option<u64>);

    /// A part of the body has passed.
    fn data(&mut self, data: &impl Buf);

    /// The body has passed as a whole, with these trailers or without any.
    fn complete(self, trailers: Option<&HeaderMap>, span: Span);

    /// Neither a response nor the rest of one will come.
    fn failed(self, error: &(dyn Error + 'static), span: Span);

    /// Nobody waits for the response any more.
    fn abandoned(self, span: Span);

    /// The body was dropped before its end.
    fn cut(self, span: Span);
}

/// A call that goes on: its span, and what its protocol knows. It ends once, by whichever of these
/// comes first.
#[derive(Debug)]
pub struct Call<X> {
    pub(crate) span: Span,
    pub(crate) exchange: X,
}

impl<X: Protocol> Call<X> {
    /// The body has passed as a whole, with these trailers or without any.
    pub(crate) fn complete(self, trailers: Option<&HeaderMap>) {
        self.end(|exchange, span| exchange.complete(trailers, span));
    }

    /// Neither a response nor the rest of one will come.
    pub(crate) fn failed(self, error: &(dyn Error + 'static)) {
        self.end(|exchange, span| exchange.failed(error, span));
    }

    /// Nobody waits for the response any more.
    pub(crate) fn abandoned(self) {
        self.dropped(X::abandoned);
    }

    /// The body was dropped before its end.
    pub(crate) fn cut(self) {
        self.dropped(X::cut);
    }

    fn dropped(self, end: impl FnOnce(X, Span)) {
        // The destructor of a span sees a panic.
        if !std::thread::panicking() {
            self.end(end);
        }
    }

    /// Ends the span as the protocol has it. One that is not recorded needs no words.
    fn end(self, end: impl FnOnce(X, Span)) {
        if self.span.is_recorded() {
            end(self.exchange, self.span);
        }
    }
}

pin_project! {
    /// A future or a body of a call. It is polled and dropped inside the call's span; a panic ends the call.
    #[derive(Debug)]
    pub(crate) struct Inside<T, X> {
        // There until it is dropped, if it ever was.
        #[pin]
        inner: Option<T>,
        call: Option<Call<X>>,
        ending: fn(Call<X>),
    }

    impl<T, X> PinnedDrop for Inside<T, X> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            {
                let _scope = this.call.as_ref().map(|call| call.span.context().attach());
                this.inner.set(None);
            }
            if let Some(call) = this.call.take() {
                (this.ending)(call);
            }
        }
    }
}

impl<T, X> Inside<T, X> {
    /// `inner` inside the span of `call`; what happens to it when `inner` is dropped before its end, `ending` says.
    pub(crate) const fn new(inner: T, call: Option<Call<X>>, ending: fn(Call<X>)) -> Self {
        Self { inner: Some(inner), call, ending }
    }

    /// Nothing, in no call.
    pub(crate) const fn empty() -> Self {
        Self { inner: None, call: None, ending: drop::<Call<X>> }
    }

    /// Polls a future inside the span; with what it gives comes the call, which the future has outlived.
    pub(crate) fn poll_call(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<(T::Output, Option<Call<X>>)>
    where
        T: Future,
    {
        self.as_mut().poll(|future| future.poll(task)).map(|output| (output, self.call().take()))
    }

    /// What is inside, until it is dropped.
    pub(crate) const fn inner(&self) -> Option<&T> {
        self.inner.as_ref()
    }

    /// The call, unless it has ended.
    pub(crate) fn call(self: Pin<&mut Self>) -> &mut Option<Call<X>> {
        self.project().call
    }

    /// Polls what is inside, in the span.
    pub(crate) fn poll<R>(self: Pin<&mut Self>, poll: impl FnOnce(Pin<&mut T>) -> Poll<R>) -> Poll<R> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Pending };
        let Some(context) = this.call.as_ref().map(|call| call.span.context()) else { return poll(inner) };
        let mut unwinding = Unwinding { call: Some(this.call) };
        let _scope = context.attach();
        let result = poll(inner);
        unwinding.call = None;
        result
    }
}

/// Ends the call of a poll that panics: its span sees that it is dropped by a panic.
struct Unwinding<'a, X> {
    call: Option<&'a mut Option<Call<X>>>,
}

impl<X> Drop for Unwinding<'_, X> {
    fn drop(&mut self) {
        if let Some(call) = &mut self.call {
            drop(call.take());
        }
    }
}

/// An error that is not known to be one, as a text.
#[derive(Debug)]
pub(crate) struct Told(pub(crate) String);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}
