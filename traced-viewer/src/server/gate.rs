//! Who may ask: pages of the viewer itself, and programs of this machine; no page of another site.
//!
//! A browser sends requests to any address for any page. `Host` tells a name that was made to lead here (DNS rebinding),
//! `Origin` and `Sec-Fetch-Site` tell a page of another site.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Why a request is refused: the answer's status and text.
pub(super) type Refusal = (StatusCode, String);

/// Checks where a request comes from, and where it meant to go.
pub(super) fn check(request: &Parts) -> Result<(), Refusal> {
    let host = host(request)?;
    let headers = &request.headers;
    let foreign = |what: String| {
        let text = format!("{what} may not ask this viewer: only its own pages and programs of this machine may");
        Err((StatusCode::FORBIDDEN, text))
    };
    if let Some(origin) = text(headers, &header::ORIGIN) {
        if origin.strip_prefix("http://") != Some(&*host) {
            return foreign(format!("the origin {}", shown(origin)));
        }
    }
    match text(headers, &FETCH_SITE) {
        None | Some("same-origin" | "none") => Ok(()),
        // A link that somebody follows, to a page.
        Some(_) if is_link(request) => Ok(()),
        Some(_) => foreign("a page of another site".to_owned()),
    }
}

/// The authority that the request is for, when it is a name of this machine.
fn host(request: &Parts) -> Result<String, Refusal> {
    let uri = request.uri.authority().map(|authority| authority.as_str());
    let Some(host) = uri.or_else(|| text(&request.headers, &header::HOST)) else {
        return Err((StatusCode::BAD_REQUEST, "the request has no header Host, which HTTP/1.1 asks for".to_owned()));
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let ip = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let local = name.eq_ignore_ascii_case("localhost") || ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if local {
        return Ok(host.to_ascii_lowercase());
    }
    let text = format!("the viewer does not answer for the host {}: use localhost or 127.0.0.1", shown(host));
    Err((StatusCode::FORBIDDEN, text))
}

fn is_link(request: &Parts) -> bool {
    request.method == Method::GET
        && text(&request.headers, &FETCH_MODE) == Some("navigate")
        && text(&request.headers, &FETCH_DEST) == Some("document")
        && !request.uri.path().contains("/api/")
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    // One that is not ASCII is none of ours, but it is one.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// A header as an answer shows it.
fn shown(header: &str) -> String {
    header.chars().take(100).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use hyper::Request;

    fn asks(method: &str, path: &str, headers: &[(&str, &str)]) -> Result<(), StatusCode> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0).map_err(|refusal| refusal.0)
    }

    #[test]
    fn only_names_of_this_machine_are_answered_for() {
        for host in ["localhost", "LOCALHOST:9411", "127.0.0.1:1", "127.0.0.2", "[::1]:9411", "[::1]"] {
            assert_eq!(asks("GET", "/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example:9411", "10.0.0.1", "", "127.0.0.1.nip.io", "[::2]", "a@localhost"]
        {
            assert_eq!(asks("GET", "/", &[("host", host)]), Err(StatusCode::FORBIDDEN), "{host}");
        }
        assert_eq!(asks("GET", "/", &[]), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn an_origin_is_the_viewers_own() {
        let asks = |origin| asks("POST", "/api/v2/spans", &[("host", "localhost:9411"), ("origin", origin)]);
        assert_eq!(asks("http://localhost:9411"), Ok(()));
        for foreign in
            ["http://localhost:3000", "http://evil.example", "null", "https://localhost:9411", "http://127.0.0.1:9411"]
        {
            assert_eq!(asks(foreign), Err(StatusCode::FORBIDDEN), "{foreign}");
        }
    }

    #[test]
    fn other_sites_may_link_to_pages_and_do_nothing_else() {
        let ask = |method, path, more: &[(&str, &str)]| {
            asks(method, path, &[&[("host", "localhost"), ("sec-fetch-site", "cross-site")], more].concat())
        };
        let link = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert_eq!(ask("GET", "/zipkin/traces/1", &link), Ok(()));
        for (method, path, more) in [
            ("GET", "/zipkin/", &[][..]),
            ("GET", "/api/v2/traces", &link),
            ("POST", "/zipkin/api/private/clear", &link),
            ("GET", "/zipkin/", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]),
        ] {
            assert_eq!(ask(method, path, more), Err(StatusCode::FORBIDDEN), "{method} {path}");
        }
        for site in ["same-origin", "none"] {
            assert_eq!(asks("POST", "/", &[("host", "localhost"), ("sec-fetch-site", site)]), Ok(()));
        }
        assert!(asks("POST", "/", &[("host", "localhost"), ("sec-fetch-site", "same-site")]).is_err());
    }
}
