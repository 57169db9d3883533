//! Answers: bodies that hold their share of the memory until they are sent, and the headers that every answer has.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::{PERMIT, Viewer};

/// The answer to a request.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Bytes that are handed to a connection at one time. What it has not asked for yet is counted as held.
const SLICE: usize = 64 << 10;

/// Bodies below this are not counted: there are no more of them than connections.
const SMALL: usize = 16 << 10;

/// What a page may load and do. Everything is compiled in, so nothing comes from anywhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

impl Viewer {
    /// An answer with this body.
    pub(super) fn answer(&self, status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
        let body = body.into();
        let permit = if body.len() < SMALL {
            None
        } else {
            let permits = u32::try_from(body.len().div_ceil(PERMIT)).unwrap_or(u32::MAX);
            let Ok(permit) = self.memory.clone().try_acquire_many_owned(permits) else { return self.busy() };
            Some(permit)
        };
        let mut answer = Response::new(Held { rest: body, _permit: permit }.boxed_unsync());
        *answer.status_mut() = status;
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        answer
    }

    /// An answer without a body.
    pub(super) fn empty(&self, status: StatusCode) -> Answer {
        let mut answer = self.answer(status, "text/plain", Bytes::new());
        answer.headers_mut().remove(header::CONTENT_TYPE);
        answer
    }

    pub(super) fn text(&self, status: StatusCode, text: impl Into<String>) -> Answer {
        self.answer(status, "text/plain; charset=utf-8", text.into())
    }

    pub(super) fn json(&self, value: &impl Serialize) -> Answer {
        match serde_json::to_vec(value) {
            Ok(body) => self.answer(StatusCode::OK, "application/json", body),
            Err(error) => self.text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    /// What was asked for cannot be had now.
    pub(super) fn busy(&self) -> Answer {
        let text = "the viewer is busy: other requests hold all memory that it may use; try again";
        let mut answer = self.text(StatusCode::SERVICE_UNAVAILABLE, text);
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        answer
    }

    pub(super) fn not_found(&self) -> Answer {
        self.text(StatusCode::NOT_FOUND, "404 Not Found")
    }
}

/// Adds what every answer has.
pub(super) fn finish(mut answer: Answer) -> Answer {
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Traces change, and another viewer may be on the port tomorrow.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

/// A body whose memory is counted until the connection has asked for the last of it.
struct Held {
    rest: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let slice = self.rest.len().min(SLICE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(slice)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
