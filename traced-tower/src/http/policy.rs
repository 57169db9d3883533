//! What an HTTP call is called and which tags it has: the [policy of Brave][brave], as it runs.
//!
//! [brave]: https://github.com/openzipkin/brave/tree/master/instrumentation/http

use std::borrow::Cow;
use std::fmt;

use http::{Method, StatusCode};
use traced_runtime::Span;

/// Tag: the request's method.
const METHOD: &str = "http.method";
/// Tag: the request's path, without its query, which may hold what must not be recorded.
const PATH: &str = "http.path";
/// Tag: the response's status, unless it is 2xx.
const STATUS: &str = "http.status_code";

/// The name of a server's span as the request comes in, by its route: a template such as `/users/{id}`.
pub(crate) fn server_name<'a>(method: &'a Method, route: Option<&str>) -> Cow<'a, str> {
    match route {
        Some(route) if !route.is_empty() => format!("{method} {route}").into(),
        _ => method.as_str().into(),
    }
}

/// The name of a server's span for which no route of the server matched; `None` if it keeps the one it has.
pub(crate) fn unmatched_name(method: &Method, status: StatusCode) -> Option<String> {
    match status.as_u16() {
        404 => Some(format!("{method} not_found")),
        301 | 302 | 303 | 305 | 306 | 307 => Some(format!("{method} redirected")),
        _ => None,
    }
}

/// Tells a span of its request.
pub(crate) fn tell_request(method: &Method, path: &str, span: &Span) {
    span.tag(METHOD, method.as_str());
    span.tag(PATH, path);
}

/// Tells a span how its call has gone.
pub(crate) fn tell_status(status: StatusCode, span: &Span) {
    if let Some(status) = status_tag(status) {
        span.tag(STATUS, status);
    }
    if let Some(failed) = FailedStatus::of(status) {
        span.error(&failed);
    }
}

/// The value of the tag [`STATUS`].
fn status_tag(status: StatusCode) -> Option<u16> {
    (!status.is_success()).then_some(status.as_u16())
}

/// A status that says the call has failed.
#[derive(Debug, PartialEq, Eq)]
struct FailedStatus(u16);

impl FailedStatus {
    /// `None` for a status that is no failure.
    fn of(status: StatusCode) -> Option<Self> {
        (!(100..=399).contains(&status.as_u16())).then_some(Self(status.as_u16()))
    }
}

impl fmt::Display for FailedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for FailedStatus {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_spans_are_named_by_method_and_route() {
        for (method, route, name) in [
            (Method::GET, Some("/users/{id}"), "GET /users/{id}"),
            (Method::POST, Some("/"), "POST /"),
            (Method::GET, Some(""), "GET"),
            (Method::DELETE, None, "DELETE"),
        ] {
            assert_eq!(server_name(&method, route), name, "{method} {route:?}");
        }
    }

    #[test]
    fn spans_without_a_route_are_named_by_some_statuses() {
        for (method, status, name) in [
            (Method::GET, 200, None),
            (Method::GET, 404, Some("GET not_found")),
            (Method::DELETE, 404, Some("DELETE not_found")),
            (Method::GET, 300, None),
            (Method::GET, 301, Some("GET redirected")),
            (Method::GET, 302, Some("GET redirected")),
            (Method::GET, 303, Some("GET redirected")),
            (Method::GET, 304, None),
            (Method::GET, 305, Some("GET redirected")),
            (Method::GET, 306, Some("GET redirected")),
            (Method::GET, 307, Some("GET redirected")),
            (Method::GET, 308, None),
            (Method::GET, 405, None),
            (Method::GET, 500, None),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(unmatched_name(&method, status).as_deref(), name, "{method} {status}");
        }
    }

    #[test]
    fn a_status_is_a_tag_unless_2xx_and_an_error_above_399() {
        for (status, tag, error) in [
            (101, Some(101), None),
            (200, None, None),
            (204, None, None),
            (299, None, None),
            (302, Some(302), None),
            (399, Some(399), None),
            (400, Some(400), Some("400")),
            (404, Some(404), Some("404")),
            (500, Some(500), Some("500")),
            (999, Some(999), Some("999")),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(status_tag(status), tag, "{status}");
            let failed = FailedStatus::of(status).map(|failed| failed.to_string());
            assert_eq!(failed.as_deref(), error, "{status}");
        }
    }
}
