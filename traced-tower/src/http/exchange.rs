//! How far the response of an HTTP call has come.

use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use traced_runtime::Span;

use super::policy;
use crate::body::Body;
use crate::call::{Call, Side};

/// How far the response of an HTTP call has come.
#[derive(Debug)]
pub(crate) struct Exchange {
    side: Side,
    method: Method,
    /// Bytes of the body, where it is known how many there are.
    expected: Option<u64>,
    passed: u64,
}

impl Exchange {
    /// A request of this method is on its way.
    pub(crate) const fn new(side: Side, method: Method) -> Self {
        Self { side, method, expected: None, passed: 0 }
    }

    /// The response is there; its body is of so many bytes, if its type says so.
    ///
    /// A server that knows how long a body is does not poll it to the end, and drops the body of a response that has none
    /// (to HEAD; 1xx, 204, 304) unread.
    pub(crate) fn expect(&mut self, response: &Parts, exact: Option<u64>) {
        let length = || content_length(&response.headers);
        self.expected = if has_body(&self.method, response.status) { exact.or_else(length) } else { Some(0) };
    }

    /// Bytes of the body have passed.
    pub(crate) const fn data(&mut self, bytes: usize) {
        self.passed = self.passed.saturating_add(bytes as u64);
    }

    /// Whether all has passed that will, or this is the side that may stop reading when it likes.
    pub(crate) fn ends_well_when_cut(&self) -> bool {
        self.side == Side::Client || self.expected.is_some_and(|expected| self.passed >= expected)
    }
}

/// A response whose body the call goes on with; `tell` is called for what the user wants the span to be told.
pub(crate) fn respond<B: http_body::Body>(
    call: Option<Call>,
    response: Response<B>,
    tell: impl FnOnce(&Parts, &Span),
) -> Response<Body<B>> {
    let (parts, body) = response.into_parts();
    if let Some(call) = &call {
        tell_status(parts.status, &call.span);
        tell(&parts, &call.span);
    }
    let body = go_on(call, &parts, body);
    Response::from_parts(parts, body)
}

/// Tells the span how the call has gone.
pub(crate) fn tell_status(status: StatusCode, span: &Span) {
    if let Some(status) = policy::status_tag(status) {
        span.tag(policy::STATUS, status);
    }
    if let Some(failed) = policy::FailedStatus::of(status) {
        span.error(&failed);
    }
}

/// The body that the call goes on with. Where there is nothing to come, the call ends here.
pub(crate) fn go_on<B: http_body::Body>(call: Option<Call>, response: &Parts, body: B) -> Body<B> {
    let Some(mut call) = call else { return Body::new(body, None) };
    if body.is_end_stream() {
        call.complete();
        return Body::new(body, None);
    }
    call.expect(response, body.size_hint().exact());
    Body::new(body, Some(call))
}

/// Whether a response with this status, to a request of this method, can have a body.
fn has_body(request: &Method, status: StatusCode) -> bool {
    let without = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    *request != Method::HEAD && !status.is_informational() && !without.contains(&status)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(side: Side, method: Method, status: u16, length: Option<&str>, exact: Option<u64>) -> Exchange {
        let mut response = http::Response::builder().status(status);
        if let Some(length) = length {
            response = response.header(CONTENT_LENGTH, length);
        }
        let mut exchange = Exchange::new(side, method);
        exchange.expect(&response.body(()).expect("a response").into_parts().0, exact);
        exchange
    }

    #[test]
    fn a_body_that_is_cut_ends_well_when_all_of_it_has_passed() {
        use Side::{Client, Server};
        for (side, method, status, length, exact, passed, well) in [
            (Server, Method::GET, 200, None, None, 5, false),
            (Server, Method::GET, 200, None, Some(5), 4, false),
            (Server, Method::GET, 200, None, Some(5), 5, true),
            (Server, Method::GET, 200, Some("5"), None, 4, false),
            (Server, Method::GET, 200, Some("5"), None, 5, true),
            (Server, Method::GET, 200, Some("9"), Some(5), 5, true),
            (Server, Method::GET, 200, Some("many"), None, 5, false),
            (Server, Method::GET, 200, None, Some(0), 0, true),
            (Server, Method::HEAD, 200, Some("5"), None, 0, true),
            (Server, Method::GET, 101, None, None, 0, true),
            (Server, Method::GET, 204, None, None, 0, true),
            (Server, Method::GET, 304, Some("5"), None, 0, true),
            (Server, Method::GET, 500, None, None, 0, false),
            (Client, Method::GET, 200, Some("5"), None, 1, true),
            (Client, Method::GET, 200, None, None, 0, true),
        ] {
            let case = format!("{side:?} {method} {status} {length:?} {exact:?} {passed}");
            let mut exchange = exchange(side, method, status, length, exact);
            exchange.data(1.min(passed));
            exchange.data(passed.saturating_sub(1));
            assert_eq!(exchange.ends_well_when_cut(), well, "{case}");
        }
    }

    #[test]
    fn a_body_without_end_is_counted_to_the_end_of_numbers() {
        let mut exchange = exchange(Side::Server, Method::GET, 200, None, Some(u64::MAX));
        exchange.data(usize::MAX - 1);
        assert!(!exchange.ends_well_when_cut());
        exchange.data(usize::MAX);
        exchange.data(1);
        assert!(exchange.ends_well_when_cut());
    }
}
