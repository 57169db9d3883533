//! A collector's URL.

use std::fmt;

use ureq::http::{HeaderValue, Uri};

use crate::tracer::error::redacted;

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
    pub(crate) fn parse(url: &str) -> Result<Self, EndpointError> {
        let url = url.trim();
        let example = "write it like http://localhost:9411/api/v2/spans";
        let error = |what: &str| EndpointError(format!("the collector's URL {:?} {what}", redacted(url)));
        if url.is_empty() {
            return Err(EndpointError(format!("the collector's URL is empty; {example}")));
        }
        let Some((scheme, _)) = url.split_once("://") else {
            return Err(error(&format!("has no scheme; {example}")));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => {
                return Err(error("needs TLS, which is not compiled in; enable the feature `tls` of traced-runtime"));
            }
            _ => return Err(error("has a scheme that is neither http nor https")),
        }
        let uri: Uri = url.parse().map_err(|cause| error(&format!("cannot be read: {cause}; {example}")))?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let (user, place) = authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place));
        let host = uri.host().unwrap_or_default();
        if matches!(host, "" | "[]") {
            return Err(error(&format!("has no host; {example}")));
        }
        if let Some(port) = place.strip_prefix(host).and_then(|port| port.strip_prefix(':')) {
            if !matches!(port.parse::<u16>(), Ok(1..)) {
                return Err(error(&format!("has the port {port:?}; a port is a number from 1 to 65535")));
            }
        }
        let authorization = match user {
            None => None,
            Some(user) => Some(basic(user).ok_or_else(|| error("has a user or password that is no valid header"))?),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let plain = Uri::builder().scheme(scheme).authority(place).path_and_query(path);
        let query = if uri.query().is_some() { "?***" } else { "" };
        let shown = format!("{}://{place}{}{query}", scheme.to_ascii_lowercase(), uri.path());
        let uri = plain.build().map_err(|cause| error(&format!("cannot be read: {cause}; {example}")))?;
        Ok(Self { uri, authorization, shown })
    }
}

/// The header for `user:password`, both percent-encoded as in a URL.
fn basic(user: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Basic {}", base64(&percent_decoded(user)))).ok()?;
    value.set_sensitive(true);
    Some(value)
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
