//! What may be shown of a URL.

/// A URL without what may be secret: user, password and query are replaced by `***`.
///
/// What is no URL is treated alike, so that a slip of the pen does not print a password: all up to the last `@` is
/// taken for credentials, and where that may be part of a query nothing is shown.
pub(crate) fn redacted(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
        _ => (None, url),
    };
    let (credentials, rest) = match rest.rsplit_once('@') {
        Some((before, _)) if before.contains(['?', '#']) => ("", "***"),
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    let (rest, query) = match rest.find(['?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let query = query.get(..1).map_or(String::new(), |mark| format!("{mark}***"));
    let scheme = scheme.map_or(String::new(), |scheme| format!("{scheme}://"));
    format!("{scheme}{credentials}{rest}{query}")
}

/// Whether this is what a URL may begin with.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (url, shown) in [
            ("http://localhost:9411/api/v2/spans", "http://localhost:9411/api/v2/spans"),
            ("https://user:secret@zipkin/api", "https://***@zipkin/api"),
            ("https://user:se@cr/et@zipkin/api?key=secret#secret", "https://***@zipkin/api?***"),
            ("https://user:se?cret@zipkin", "https://***"),
            ("https://zipkin/?key=sec@ret", "https://***"),
            ("https://zipkin/#secret", "https://zipkin/#***"),
            ("user:secret@zipkin:9411", "***@zipkin:9411"),
            ("user:secret://@zipkin", "***@zipkin"),
            ("user@secret://zipkin", "***@secret://zipkin"),
            ("?", "?***"),
            ("", ""),
        ] {
            assert_eq!(redacted(url), shown, "{url}");
        }
    }
}
