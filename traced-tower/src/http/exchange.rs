//! How far the response of an HTTP call has come.

use std::error::Error;

use bytes::Buf;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{HeaderMap, Method, StatusCode};
use traced_runtime::Span;

use crate::call::{Protocol, Side};

/// How far the response of an HTTP call has come.
#[derive(Debug)]
pub struct Exchange {
    side: Side,
    pub(crate) method: Method,
    /// Whether a server's router has looked for a route and found none: the status tells more.
    pub(crate) is_unrouted: bool,
    /// Bytes of the body, where it is known how many there are.
    expected: Option<u64>,
    passed: u64,
}

impl Exchange {
    /// A request of this method is on its way.
    pub(crate) const fn new(side: Side, method: Method) -> Self {
        Self { side, method, is_unrouted: false, expected: None, passed: 0 }
    }

    const fn pass(&mut self, bytes: usize) {
        self.passed = self.passed.saturating_add(bytes as u64);
    }

    /// Whether all has passed that will, or this is the side that may stop reading when it likes.
    fn ends_well_when_cut(&self) -> bool {
        self.side == Side::Client || self.expected.is_some_and(|expected| self.passed >= expected)
    }
}

impl Protocol for Exchange {
    /// The response is there; its body is of so many bytes, if its type says so.
    ///
    /// A server that knows how long a body is does not poll it to the end, and drops the body of a response that has none
    /// (to HEAD; 1xx, 204, 304) unread.
    fn expect(&mut self, response: &Parts, exact: Option<u64>) {
        let length = || content_length(&response.headers);
        self.expected = if has_body(&self.method, response.status) { exact.or_else(length) } else { Some(0) };
    }

    fn data(&mut self, data: &impl Buf) {
        self.pass(data.remaining());
    }

    fn complete(self, _: Option<&HeaderMap>, span: Span) {
        span.finish();
    }

    fn failed(self, error: &(dyn Error + 'static), span: Span) {
        span.error(error);
    }

    fn abandoned(self, span: Span) {
        span.cancel();
    }

    fn cut(self, span: Span) {
        if self.ends_well_when_cut() {
            span.finish();
        } else {
            span.cancel();
        }
    }
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
            exchange.pass(1.min(passed));
            exchange.pass(passed.saturating_sub(1));
            assert_eq!(exchange.ends_well_when_cut(), well, "{case}");
        }
    }

    #[test]
    fn a_body_without_end_is_counted_to_the_end_of_numbers() {
        let mut exchange = exchange(Side::Server, Method::GET, 200, None, Some(u64::MAX));
        exchange.pass(usize::MAX - 1);
        assert!(!exchange.ends_well_when_cut());
        exchange.pass(usize::MAX);
        exchange.pass(1);
        assert!(exchange.ends_well_when_cut());
    }
}
