//! A request's body, of which the messages are recorded while it passes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use super::message::Direction;
use super::messages::{Messages, encoding};
use super::payloads::Payloads;
use crate::grpc::convention::Convention;

pin_project! {
    /// A request's body, of which the messages are recorded while it passes.
    #[derive(Debug)]
    pub(crate) struct Recorded<B> {
        #[pin]
        inner: B,
        recording: Option<Recording>,
    }

    impl<B> PinnedDrop for Recorded<B> {
        fn drop(this: Pin<&mut Self>) {
            // Whoever needs one message does not ask for another.
            let recording = this.project().recording.take();
            if !std::thread::panicking() {
                recording.into_iter().for_each(Recording::tell);
            }
        }
    }
}

#[derive(Debug)]
struct Recording {
    messages: Messages,
    payloads: Payloads,
    convention: Convention,
    method: Box<str>,
    encoding: Option<Box<str>>,
    span: traced_runtime::Context,
}

impl Recording {
    fn tell(self) {
        let Self { messages, payloads, convention, method, encoding, span } = self;
        let text = payloads.annotation(convention, &method, Direction::Request, encoding.as_deref(), &messages);
        if let Some(text) = text {
            span.annotate(&text);
        }
    }
}

impl<B> Recorded<B> {
    /// Records into this span, unless the method is known to be a stream.
    pub(crate) fn new(
        inner: B,
        payloads: &Payloads,
        convention: Convention,
        request: &http::request::Parts,
        span: traced_runtime::Context,
    ) -> Self {
        let method = request.uri.path();
        let recording = payloads.messages(method).map(|messages| Recording {
            messages,
            payloads: payloads.clone(),
            convention,
            method: method.into(),
            encoding: encoding(&request.headers),
            span,
        });
        Self { inner, recording }
    }
}

impl<B: http_body::Body<Data = Bytes>> http_body::Body for Recorded<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = std::task::ready!(this.inner.as_mut().poll_frame(task));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(recording), Some(data)) = (this.recording.as_mut(), frame.data_ref()) {
                    recording.messages.push(data);
                }
                if this.inner.is_end_stream() {
                    this.recording.take().into_iter().for_each(Recording::tell);
                }
            }
            Some(Err(_)) => *this.recording = None,
            None => this.recording.take().into_iter().for_each(Recording::tell),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
