//! Where a trace can be seen.

/// The address of the traces that a Zipkin collector accepts at this URL, up to their id, without what is secret in it.
/// `None`: the URL's path is not Zipkin's, and nobody knows what is there.
pub(crate) fn traces_at(collector: &str) -> Option<String> {
    let (scheme, rest) = collector.trim().split_once("://")?;
    let (authority, path) = rest.split(['?', '#']).next()?.split_once('/')?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let base = path.trim_end_matches('/').strip_suffix("api/v2/spans")?;
    // Zipkin takes spans below its UI's path, too.
    let base = base.strip_suffix("zipkin/").unwrap_or(base);
    let whole = base.is_empty() || base.ends_with('/');
    whole.then(|| format!("{}://{host}/{base}zipkin/traces/", scheme.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipkins_ui_is_beside_its_collector() {
        for (collector, traces) in [
            ("http://localhost:9411/api/v2/spans", Some("http://localhost:9411/zipkin/traces/")),
            (" HTTP://localhost:9411/api/v2/spans/ ", Some("http://localhost:9411/zipkin/traces/")),
            ("https://ann:secret@z.example/api/v2/spans?key=1", Some("https://z.example/zipkin/traces/")),
            ("http://[::1]:9411/zipkin/api/v2/spans", Some("http://[::1]:9411/zipkin/traces/")),
            ("http://x/tools/api/v2/spans", Some("http://x/tools/zipkin/traces/")),
            ("http://x/api/v1/spans", None),
            ("http://x/myapi/v2/spans", None),
            ("http://x/collect", None),
            ("http://x", None),
            ("x", None),
        ] {
            assert_eq!(traces_at(collector).as_deref(), traces, "{collector}");
        }
    }
}
