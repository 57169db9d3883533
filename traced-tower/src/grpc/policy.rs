//! What a gRPC call is called, and which tags it has: as Brave does it, or as otgrpc does, each as it runs.

use std::fmt;

use traced_runtime::Span;

use super::code::Code;
use super::convention::Convention;
use super::status::Status;
use crate::call::Side;

/// What `error` says.
struct Failed<'a>(&'a str);

impl Convention {
    /// The name of the span of a call of this path, `/pkg.Service/Method`.
    pub(crate) fn name(self, path: &str) -> &str {
        match self {
            Self::Brave => path.strip_prefix('/').unwrap_or(path),
            Self::Otgrpc => path,
        }
    }

    /// Tells a span about its request.
    pub(crate) fn tell_request(self, path: &str, span: &Span) {
        match self {
            Self::Otgrpc => span.tag("component", "gRPC"),
            Self::Brave => match self.name(path).rsplit_once('/') {
                Some((service, method)) => {
                    span.tag("rpc.service", service);
                    span.tag("rpc.method", method);
                }
                None => span.tag("rpc.method", self.name(path)),
            },
        }
    }

    /// Ends a span by the status of its call.
    pub(crate) fn end(self, side: Side, status: &Status, span: Span) {
        self.tell(side, status, &span);
        span.finish();
    }

    /// Tells a span of the status of its call.
    pub(crate) fn tell(self, side: Side, status: &Status, span: &Span) {
        if status.code == Code::OK {
            return;
        }
        match self {
            Self::Brave => {
                let code = status.code.in_java();
                span.tag("rpc.error_code", code);
                span.error(&Failed(status.cause.as_deref().unwrap_or(code)));
            }
            Self::Otgrpc => {
                span.tag("response_code", status.code.in_go().as_str());
                span.tag("response_class", status.code.class());
                let message = format!("rpc error: code = {} desc = {}", status.code.in_go(), status.message);
                span.annotate(&logfmt(&[("event", "error"), ("message", &message)]));
                if side == Side::Client || status.code.is_of_server() {
                    span.error(&Failed("true"));
                }
            }
        }
    }

    /// Ends the span of a call for which the service gave an error instead of a response.
    pub(crate) fn end_thrown(self, side: Side, message: &str, span: Span) {
        match self {
            Self::Brave => span.error(&Failed(message)),
            Self::Otgrpc => self.end(side, &Status::new(Code::UNKNOWN, message), span),
        }
    }

    /// Ends the span of a call that its client has left.
    pub(crate) fn end_cancelled(self, side: Side, is_stream: bool, span: Span) {
        match (self, side) {
            (Self::Brave, Side::Server) => span.cancel(),
            (Self::Brave, Side::Client) => {
                span.tag("rpc.error_code", Code::CANCELLED.in_java());
                span.tag("error", Code::CANCELLED.in_java());
                span.cancel();
            }
            // That stack knows no cancelled spans: what it knows of them are tags. A stream's error is that of its context, which
            // is no status.
            (Self::Otgrpc, side) if is_stream => {
                span.tag("response_code", Code::UNKNOWN.in_go().as_str());
                span.tag("response_class", Code::UNKNOWN.class());
                span.annotate(&logfmt(&[("event", "error"), ("message", "context canceled")]));
                if side == Side::Client {
                    span.error(&Failed("true"));
                }
            }
            (Self::Otgrpc, side) => self.end(side, &Status::new(Code::CANCELLED, "context canceled"), span),
        }
    }
}

/// Pairs as Go's logfmt writes them: a value is quoted if it holds what would end it.
pub(crate) fn logfmt(pairs: &[(&str, &str)]) -> String {
    let mut line = String::new();
    for (key, value) in pairs {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(key);
        line.push('=');
        let is_plain = |character| character > ' ' && !matches!(character, '=' | '"' | '\u{fffd}' | '\u{7f}');
        if *value != "null" && value.chars().all(is_plain) {
            line.push_str(value);
            continue;
        }
        line.push('"');
        for character in value.chars() {
            match character {
                '"' | '\\' => line.extend(['\\', character]),
                '\n' => line.push_str("\\n"),
                '\r' => line.push_str("\\r"),
                '\t' => line.push_str("\\t"),
                control if control < ' ' => line.push_str(&format!("\\u{:04x}", u32::from(control))),
                other => line.push(other),
            }
        }
        line.push('"');
    }
    line
}

impl fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Failed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Failed<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_with_or_without_the_first_slash() {
        let path = "/grpc1.CacheService/Get";
        assert_eq!(Convention::Brave.name(path), "grpc1.CacheService/Get");
        assert_eq!(Convention::Otgrpc.name(path), path);
    }

    #[test]
    fn values_are_quoted_as_go_does() {
        for (value, line) in [
            ("", "k="),
            ("plain", "k=plain"),
            ("é", "k=é"),
            ("null", r#"k="null""#),
            ("two words", r#"k="two words""#),
            (r#"key:"231" "#, r#"k="key:\"231\" ""#),
            (r#"value:"\347" "#, r#"k="value:\"\\347\" ""#),
            ("a=b", r#"k="a=b""#),
            ("a\nb\u{1}", r#"k="a\nb\u0001""#),
        ] {
            assert_eq!(logfmt(&[("k", value)]), line);
        }
        assert_eq!(logfmt(&[("event", "error"), ("message", "a b")]), r#"event=error message="a b""#);
    }
}
