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

#[cfg(feature = "tonic")]
use crate::grpc;
use crate::http::exchange::Exchange;

/// An error of any type, as [`tower`](https://docs.rs/tower) has it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Which side of the call this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// A call that goes on: its span, and what its protocol knows. It ends once, by whichever of these comes first.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) span: Span,
    pub(crate) protocol: Protocol,
}

/// What the rest of a response means.
#[derive(Debug)]
pub(crate) enum Protocol {
    Http(Exchange),
    #[cfg(feature = "tonic")]
    Grpc(grpc::exchange::Exchange),
}

impl Call {
    /// The response of an HTTP call is there, with a body of so many bytes if that is known.
    pub(crate) fn expect(&mut self, response: &Parts, exact: Option<u64>) {
        match &mut self.protocol {
            Protocol::Http(exchange) => exchange.expect(response, exact),
            #[cfg(feature = "tonic")]
            Protocol::Grpc(_) => {}
        }
    }

    /// A part of the body has passed.
    pub(crate) fn data(&mut self, data: &impl Buf) {
        match &mut self.protocol {
            Protocol::Http(exchange) => exchange.data(data.remaining()),
            #[cfg(feature = "tonic")]
            Protocol::Grpc(exchange) => exchange.data(data),
        }
    }

    /// The trailers, after which nothing comes.
    pub(crate) fn trailers(self, trailers: &HeaderMap) {
        match self.protocol {
            Protocol::Http(_) => {
                let _ = trailers;
                self.span.finish();
            }
            #[cfg(feature = "tonic")]
            Protocol::Grpc(exchange) => exchange.complete(Some(trailers), self.span),
        }
    }

    /// The body has passed as a whole.
    pub(crate) fn complete(self) {
        match self.protocol {
            Protocol::Http(_) => self.span.finish(),
            #[cfg(feature = "tonic")]
            Protocol::Grpc(exchange) => exchange.complete(None, self.span),
        }
    }

    /// Neither a response nor the rest of one will come.
    pub(crate) fn failed(self, error: &(dyn Error + 'static)) {
        match self.protocol {
            Protocol::Http(_) => self.span.error(error),
            #[cfg(feature = "tonic")]
            Protocol::Grpc(exchange) => exchange.failed(error, self.span),
        }
    }

    /// Nobody waits for the response any more.
    pub(crate) fn abandoned(self) {
        match self.protocol {
            // The destructor of a span sees the panic.
            _ if std::thread::panicking() => drop(self.span),
            Protocol::Http(_) => self.span.cancel(),
            #[cfg(feature = "tonic")]
            Protocol::Grpc(exchange) => exchange.cancelled(self.span),
        }
    }

    /// The body was dropped before its end.
    pub(crate) fn cut(self) {
        match self.protocol {
            _ if std::thread::panicking() => drop(self.span),
            Protocol::Http(exchange) if exchange.ends_well_when_cut() => self.span.finish(),
            Protocol::Http(_) => self.span.cancel(),
            #[cfg(feature = "tonic")]
            Protocol::Grpc(exchange) => exchange.cancelled(self.span),
        }
    }
}

pin_project! {
    /// A future or a body of a call. It is polled and dropped inside the call's span; a panic ends the call.
    #[derive(Debug)]
    pub(crate) struct Inside<T> {
        // There until it is dropped, if it ever was.
        #[pin]
        inner: Option<T>,
        call: Option<Call>,
        ending: fn(Call),
    }

    impl<T> PinnedDrop for Inside<T> {
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

impl<T> Inside<T> {
    /// `inner` inside the span of `call`; what happens to it when `inner` is dropped before its end, `ending` says.
    pub(crate) const fn new(inner: T, call: Option<Call>, ending: fn(Call)) -> Self {
        Self { inner: Some(inner), call, ending }
    }

    /// Nothing, in no call.
    pub(crate) const fn empty() -> Self {
        Self { inner: None, call: None, ending: drop::<Call> }
    }

    /// Polls a future inside the span; with what it gives comes the call, which the future has outlived.
    pub(crate) fn poll_call(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<(T::Output, Option<Call>)>
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
    pub(crate) fn call(self: Pin<&mut Self>) -> &mut Option<Call> {
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
struct Unwinding<'a> {
    call: Option<&'a mut Option<Call>>,
}

impl Drop for Unwinding<'_> {
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
