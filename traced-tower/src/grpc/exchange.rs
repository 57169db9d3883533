//! How far a gRPC call has come.

use std::error::Error;

use bytes::Buf;
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use traced_runtime::Span;

use super::code::Code;
use super::convention::Convention;
use super::payload::{Direction, Messages, Payloads};
use super::status::Status;
use crate::body::Body;
use crate::call::{Call, Protocol, Side};

/// How far a gRPC call has come, and what is known of its response.
#[derive(Debug)]
pub(crate) struct Exchange {
    side: Side,
    convention: Convention,
    http: StatusCode,
    is_stream: bool,
    response: Option<Recording>,
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
        Self { side, convention, http: StatusCode::OK, is_stream, response }
    }

    /// A part of the response has passed.
    pub(crate) fn data(&mut self, data: &impl Buf) {
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

    /// The call has ended with this status.
    pub(crate) fn end(self, status: &Status, span: Span) {
        if let (Some(recording), Code::OK) = (self.response, status.code) {
            let Recording { payloads, messages, method, encoding } = recording;
            let of = Direction::Response;
            if let Some(text) = payloads.annotation(self.convention, &method, of, encoding.as_deref(), &messages) {
                span.annotate(&text);
            }
        }
        self.convention.end(self.side, status, span);
    }

    /// The response has ended with these trailers, or without any.
    pub(crate) fn complete(self, trailers: Option<&HeaderMap>, span: Span) {
        let status = trailers.and_then(Status::of_headers).unwrap_or_else(|| Status::missing(self.http));
        self.end(&status, span);
    }

    /// There will be no response, or no rest of one.
    pub(crate) fn failed(self, error: &(dyn Error + 'static), span: Span) {
        let of_transport = match self.side {
            Side::Client => Status::of_transport(error, self.convention),
            Side::Server => None,
        };
        match of_transport.or_else(|| status_in(error)) {
            Some(status) => self.end(&status, span),
            None => self.convention.end_thrown(self.side, &error.to_string(), span),
        }
    }

    /// The client has left.
    pub(crate) fn cancelled(self, span: Span) {
        self.convention.end_cancelled(self.side, self.is_stream, span);
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

/// A response whose call goes on until its trailers. Where the headers say how it has ended, it ends here.
pub(crate) fn respond<B: http_body::Body>(
    call: Option<Call>,
    response: Response<B>,
    tell: impl FnOnce(&Parts, &Span),
) -> Response<Body<B>> {
    let (parts, body) = response.into_parts();
    let Some(Call { span, protocol: Protocol::Grpc(mut exchange) }) = call else {
        return Response::from_parts(parts, Body::new(body, None));
    };
    tell(&parts, &span);
    let call = match Status::of_headers(&parts.headers) {
        Some(status) if is_unknown_method(exchange.side, &status, &parts) => {
            span.abandon();
            None
        }
        Some(status) => {
            exchange.end(&status, span);
            None
        }
        None => {
            exchange.http = parts.status;
            if let Some(recording) = &mut exchange.response {
                recording.encoding = super::payload::encoding(&parts.headers);
            }
            Some(Call { span, protocol: Protocol::Grpc(exchange) })
        }
    };
    Response::from_parts(parts, Body::new(body, call))
}

/// Whether a server says at once that it has no such method. As with the peers, whose interceptors stand behind the table of
/// methods, that is no span.
fn is_unknown_method(side: Side, status: &Status, response: &Parts) -> bool {
    side == Side::Server
        && status.code == Code::UNIMPLEMENTED
        && status.message.is_empty()
        && response.status == StatusCode::OK
}
