//! How a call ended.

use std::borrow::Cow;
use std::error::Error;
use std::io::{self, ErrorKind};

use http::{HeaderMap, StatusCode};
use tonic::{ConnectError, TimeoutExpired};

use super::code::Code;
use super::convention::Convention;
use crate::call::Side;

/// How many causes of a failure are told.
const CAUSES: usize = 8;

/// How a call ended: the code, and what was said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// What lies behind it: of a transport that failed, say.
    pub(crate) cause: Option<String>,
}

impl Status {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), cause: None }
    }

    /// What trailers say, or the headers of a response that has nothing else; `None` if they say nothing.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let code = Code::of_header(headers.get("grpc-status")?.as_bytes());
        let message = headers.get("grpc-message").map(|value| percent_decoded(value.as_bytes()));
        Some(Self::new(code, message.unwrap_or_default()))
    }

    /// What a response without a status means, by [the specification's table][table].
    ///
    /// [table]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
    pub(crate) fn missing(http: StatusCode, side: Side) -> Self {
        let code = match http.as_u16() {
            400 => tonic::Code::Internal,
            401 => tonic::Code::Unauthenticated,
            403 => tonic::Code::PermissionDenied,
            404 => tonic::Code::Unimplemented,
            429 | 502 | 503 | 504 => tonic::Code::Unavailable,
            _ => tonic::Code::Unknown,
        };
        let message = format!("no grpc-status, HTTP status {}", http.as_u16());
        // A client tells what the peers' clients tell. No server of theirs sees such a call: it is
        // mostly no gRPC, and its span says so.
        let cause = (side == Side::Server).then(|| message.clone());
        Self { cause, ..Self::new(Code::of(code), message) }
    }

    /// What the peers' clients make of a connection or stream that broke; `None` for any other
    /// error. tonic's own status says `Unknown` of some.
    ///
    /// A connection that was never made, or a time-out, has a status of its own.
    pub(crate) fn of_transport(error: &(dyn Error + 'static), convention: Convention) -> Option<Self> {
        let (mut is_closed, mut by_system, mut next) = (false, None, Some(error));
        while let Some(cause) = next {
            if cause.is::<ConnectError>() || cause.is::<TimeoutExpired>() {
                return None;
            }
            if let Some(error) = cause.downcast_ref::<h2::Error>() {
                return Some(Self::of_http2(error, convention));
            }
            is_closed |= cause.is::<tonic::transport::Error>();
            by_system = by_system.or_else(|| cause.downcast_ref::<io::Error>());
            next = cause.source();
        }
        is_closed.then(|| Self::closed(by_system))
    }

    fn of_http2(error: &h2::Error, convention: Convention) -> Self {
        match (error.reason(), convention) {
            (Some(reason), _) if !error.is_go_away() => {
                let name = match u32::from(reason) {
                    0..=13 => format!("{reason:?}"),
                    other => format!("unknown error code {other:#x}"),
                };
                let message = format!("stream terminated by RST_STREAM with error code: {name}");
                Self::new(Code::of_http2(reason, convention), message)
            }
            // A connection that is closed is closed to grpc-go, whatever was said before.
            (Some(reason), Convention::Brave) => {
                Self { code: Code::of_http2(reason, convention), ..Self::closed(None) }
            }
            _ => Self::closed(error.get_io()),
        }
    }

    /// A connection that was there has gone, in the words of grpc-go. What the system said of it is
    /// the cause, but for an ordinary end.
    fn closed(error: Option<&io::Error>) -> Self {
        let error = error.filter(|error| !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof));
        let cause = error.map(io::Error::to_string);
        Self { cause, ..Self::new(Code::UNAVAILABLE, "transport is closing") }
    }

    pub(crate) fn of(status: &tonic::Status) -> Self {
        let mut texts: Vec<String> = Vec::new();
        let mut source = status.source();
        while let Some(cause) = source.filter(|_| texts.len() < CAUSES) {
            // Wrappers say what they wrap.
            let text = cause.to_string();
            if texts.last() != Some(&text) {
                texts.push(text);
            }
            source = cause.source();
        }
        let cause = (!texts.is_empty()).then(|| texts.join(": "));
        Self { cause, ..Self::new(Code::of(status.code()), status.message()) }
    }
}

/// Undoes the encoding of `grpc-message`; an escape that is broken stays as it is.
fn percent_decoded(value: &[u8]) -> String {
    let text: Cow<'_, [u8]> = if value.contains(&b'%') {
        let mut bytes = Vec::with_capacity(value.len());
        let mut rest = value;
        while let [first, after @ ..] = rest {
            let escape = match after {
                [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
                _ => None,
            };
            match escape {
                Some((high, low)) => {
                    bytes.push(high << 4 | low);
                    rest = &after[2..];
                }
                None => {
                    bytes.push(*first);
                    rest = after;
                }
            }
        }
        bytes.into()
    } else {
        value.into()
    };
    String::from_utf8_lossy(&text).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_status_is_read_from_headers() {
        let status = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|&(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
            Status::of_headers(&headers.collect())
        };
        assert_eq!(status(&[("grpc-message", "x")]), None);
        assert_eq!(status(&[("grpc-status", "0")]), Some(Status::new(Code::OK, "")));
        let decoded = status(&[("grpc-status", "1"), ("grpc-message", "Z%C3%BCrich 100%25 %zz %")]);
        assert_eq!(decoded, Some(Status::new(Code::CANCELLED, "Zürich 100% %zz %")));
    }
}
