//! How far a gRPC call has come.

use std::error::Error;

use bytes::Buf;
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use traced_runtime::Span;

use super::code::Code;
use super::convention::Convention;
use super::payload::{Direction, Messages, Payloads, encoding};
use super::status::Status;
use crate::call::{Call, Protocol, Side};

/// How far a gRPC call has come, and what is known of its response.
#[derive(Debug)]
pub struct Exchange {
    side: Side,
    convention: Convention,
    http: StatusCode,
    is_stream: bool,
    response: Option<Recording>,
    answer: Option<Answer>,
}

/// What the headers of a response say of the end of its call.
#[derive(Debug)]
enum Answer {
    Status,
    /// There is no such method: the call is none.
    NoMethod,
}

/// The response's messages.
#[derive(Debug)]
struct Recording {
    payloads: Payloads,
    messages: Messages,
    method: Box<str>,
    encoding: Option<Box<str>>,
}

impl Exchange {
    /// A request is on its way.
    pub(crate) fn new(side: Side, convention: Convention, payloads: Option<&Payloads>, method: &str) -> Self {
        let response = payloads.and_then(|payloads| {
            let messages = payloads.messages(method)?;
            Some(Recording { payloads: payloads.clone(), messages, method: method.into(), encoding: None })
        });
        let is_stream = payloads.is_some_and(|payloads| payloads.streams(method) == Some(true));
        Self { side, convention, http: StatusCode::OK, is_stream, response, answer: None }
    }

    /// Tells a span of the status that the headers of its response say, if they do. There is no
    /// message then.
    pub(crate) fn answered(&mut self, response: &Parts, span: &Span) {
        let Some(status) = Status::of_headers(&response.headers) else { return };
        if is_unknown_method(self.side, &status, response) {
            self.answer = Some(Answer::NoMethod);
        } else {
            self.convention.tell(self.side, &status, span);
            self.answer = Some(Answer::Status);
        }
    }

    /// A call that goes on; `None` if the headers of its response have ended it.
    pub(crate) fn go_on(call: Call<Self>) -> Option<Call<Self>> {
        match call.exchange.answer {
            None => return Some(call),
            Some(Answer::Status) => call.span.finish(),
            Some(Answer::NoMethod) => call.span.abandon(),
        }
        None
    }

    /// The call has ended with this status.
    fn end(self, status: &Status, span: Span) {
        if let (Some(recording), Code::OK) = (self.response, status.code) {
            let Recording { payloads, messages, method, encoding } = recording;
            let of = Direction::Response;
            if let Some(text) = payloads.annotation(self.convention, &method, of, encoding.as_deref(), &messages) {
                span.annotate(&text);
            }
        }
        self.convention.end(self.side, status, span);
    }
}

impl Protocol for Exchange {
    fn expect(&mut self, response: &Parts, _: Option<u64>) {
        self.http = response.status;
        if let Some(recording) = &mut self.response {
            recording.encoding = encoding(&response.headers);
        }
    }

    fn data(&mut self, data: &impl Buf) {
        if let Some(recording) = &mut self.response {
            let mut rest = data.remaining();
            let mut parts = [std::io::IoSlice::new(&[]); 16];
            let filled = data.chunks_vectored(&mut parts);
            for part in &parts[..filled] {
                rest = rest.saturating_sub(part.len());
                recording.messages.push(part);
            }
            if rest > 0 {
                // In more pieces than are looked at: what would follow could not be told apart.
                self.response = None;
            }
        }
    }

    fn complete(self, trailers: Option<&HeaderMap>, span: Span) {
        let status = trailers.and_then(Status::of_headers).unwrap_or_else(|| Status::missing(self.http, self.side));
        self.end(&status, span);
    }

    fn failed(self, error: &(dyn Error + 'static), span: Span) {
        let of_transport = match self.side {
            Side::Client => Status::of_transport(error, self.convention),
            Side::Server => None,
        };
        match of_transport.or_else(|| status_in(error)) {
            Some(status) => self.end(&status, span),
            None => self.convention.end_thrown(self.side, &error.to_string(), span),
        }
    }

    fn abandoned(self, span: Span) {
        self.convention.end_cancelled(self.side, self.is_stream, span);
    }

    fn cut(self, span: Span) {
        self.abandoned(span);
    }
}

/// The status that is the cause of an error, at whatever depth.
fn status_in(error: &(dyn Error + 'static)) -> Option<Status> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(status) = error.downcast_ref::<tonic::Status>() {
            return Some(Status::of(status));
        }
        cause = error.source();
    }
    None
}

/// Whether a server says at once that it has no such method. As with the peers, whose interceptors stand behind the table of
/// methods, that is no span.
fn is_unknown_method(side: Side, status: &Status, response: &Parts) -> bool {
    side == Side::Server
        && status.code == Code::UNIMPLEMENTED
        && status.message.is_empty()
        && response.status == StatusCode::OK
}
