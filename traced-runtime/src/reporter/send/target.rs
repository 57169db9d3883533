//! A collector's URL.

use std::fmt;

use ureq::http::{HeaderValue, Uri};

use crate::model::redacted::redacted;
use crate::reporter::send::host;

/// Why a URL is no place to send spans to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EndpointError(String);

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EndpointError {}

/// A collector's URL, taken apart.
pub(crate) struct Target {
    /// Without user and password.
    pub(crate) uri: Uri,
    pub(crate) authorization: Option<HeaderValue>,
    /// Without anything secret.
    pub(crate) shown: String,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.shown).finish()
    }
}

impl Target {
    /// Takes a URL apart as curl does. What a request could not carry, or what nobody could be reached by, is an error.
    pub(crate) fn parse(url: &str) -> Result<Self, EndpointError> {
        let url = url.trim();
        let error = |what: &str| EndpointError(format!("the collector's URL {:?} {what}", redacted(url)));
        if url.is_empty() {
            return Err(EndpointError(format!("the collector's URL is empty; {EXAMPLE}")));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(error(&format!("has no scheme; {EXAMPLE}")));
        };
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => {
                return Err(error("needs TLS, which is not compiled in; enable the feature `tls` of traced-runtime"));
            }
            _ => return Err(error("has a scheme that is neither http nor https")),
        }
        // A fragment is nobody's but the reader's.
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, place) = authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place));
        let authorization = user.map(basic).transpose().map_err(|what| error(&what))?;
        // A password may hold what ends an authority; then what is taken for the host is secret.
        let is_secret = path.contains('@');
        let unreadable = || format!("has a host or port that cannot be read; {EXAMPLE}");
        let place = place_of(place).map_err(|what| error(&if is_secret { unreadable() } else { what }))?;
        let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        let path = if path.is_empty() { "/" } else { path };
        check(path, "path").map_err(|what| error(&what))?;
        check(query, "query").map_err(|what| error(&what))?;
        if path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(error("has a part . or .. in its path; write the path that is meant"));
        }
        let uri = Uri::builder().scheme(scheme.as_str()).authority(&*place).path_and_query(format!("{path}{query}"));
        let uri = uri.build().map_err(|cause| error(&format!("cannot be read: {cause}; {EXAMPLE}")))?;
        let query = if query.is_empty() { "" } else { "?***" };
        Ok(Self { uri, authorization, shown: format!("{scheme}://{place}{path}{query}") })
    }
}

/// The end of a message about a URL that cannot be read.
pub(super) const EXAMPLE: &str = "write it like http://localhost:9411/api/v2/spans";

/// `host:port` in its normal form, or the host alone. The error is the end of a sentence about the URL.
fn place_of(place: &str) -> Result<String, String> {
    // The colons of an IPv6 address stand in brackets.
    let from = place.rfind(']').unwrap_or(0);
    let (host, port) = match place[from..].split_once(':') {
        Some((before, port)) => (&place[..from + before.len()], port),
        None => (place, ""),
    };
    if host.is_empty() {
        return Err(format!("has no host; {EXAMPLE}"));
    }
    let host = host::normal(host)?;
    if port.is_empty() {
        return Ok(host);
    }
    // A sign is no digit.
    if port.bytes().any(|b| !b.is_ascii_digit()) {
        return Err(format!("has a port that is no number; {EXAMPLE}"));
    }
    match port.parse::<u16>() {
        Ok(number @ 1..) => Ok(format!("{host}:{number}")),
        _ => Err(format!("has the port {port:?}; a port is a number from 1 to 65535")),
    }
}

/// Whether all characters may stand in this part of a URL.
fn check(part: &str, name: &str) -> Result<(), String> {
    let is_odd = |c: &char| !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}');
    match part.chars().find(is_odd) {
        Some(odd) => {
            let encoded: String = odd.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")).collect();
            Err(format!("has {odd:?} in its {name}; write {encoded} instead"))
        }
        None => Ok(()),
    }
}

/// The header for `user:password`, both percent-encoded as in a URL. Without a colon it is all user, and the password empty: RFC
/// 7617 has a colon in any case. The error is the end of a sentence about the URL, and does not show them.
fn basic(user: &str) -> Result<HeaderValue, String> {
    if user.contains('@') {
        return Err("has more than one @ before its host; write %40 for one in a user or password".to_owned());
    }
    let mut credentials = percent_decoded(user);
    if !user.contains(':') {
        credentials.push(b':');
    }
    // By RFC 7617, too.
    if credentials.iter().any(u8::is_ascii_control) {
        return Err("has a control character in its user or password, which no header carries; remove it".to_owned());
    }
    let value = HeaderValue::from_str(&format!("Basic {}", base64(&credentials)));
    let mut value = value.map_err(|_| "has a user or password that no header carries".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// A `%` that is not followed by two hex digits stands for itself.
fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                decoded.push(code);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for letter in 0..4 {
            if letter > three.len() {
                text.push('=');
            } else {
                text.push(char::from(LETTERS[(bits >> (18 - 6 * letter) & 63) as usize]));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_url_that_is_no_collectors_says_why() {
        for (url, message) in [
            ("", "the collector's URL is empty; write it like http://localhost:9411/api/v2/spans"),
            (
                "localhost:9411",
                "the collector's URL \"localhost:9411\" has no scheme; write it like http://localhost:9411/api/v2/spans",
            ),
            ("ftp://h/", "the collector's URL \"ftp://h/\" has a scheme that is neither http nor https"),
            (
                "http://h:0/",
                "the collector's URL \"http://h:0/\" has the port \"0\"; a port is a number from 1 to 65535",
            ),
            (
                "http://u:secret@h:99999/?key=secret",
                "the collector's URL \"http://***@h:99999/?***\" has the port \"99999\"; a port is a number from 1 to 65535",
            ),
        ] {
            assert_eq!(Target::parse(url).unwrap_err().to_string(), message);
        }
        for url in
            ["http://", "http:///x", "http://:80/", "http://u@/", "http://[::1", "http://a b/", "http://u:s?x@h y/"]
        {
            let message = Target::parse(url).unwrap_err().to_string();
            assert!(message.ends_with("write it like http://localhost:9411/api/v2/spans"), "{message}");
            assert!(!message.contains("u:s"), "{message}");
        }
        for url in ["http://[::1]:9411/api/v2/spans", "HTTP://h", " http://h:9411 ", "http://ü.example/"] {
            let result = Target::parse(url);
            assert_eq!(result.is_ok(), url.is_ascii(), "{url}: {result:?}");
        }
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn https_without_the_feature_is_an_error_at_once() {
        assert_eq!(
            Target::parse("https://h/").unwrap_err().to_string(),
            "the collector's URL \"https://h/\" needs TLS, which is not compiled in; enable the feature `tls` of \
             traced-runtime"
        );
    }

    #[test]
    fn base64_is_padded() {
        for (plain, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
