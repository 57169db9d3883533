//! Where a trace can be seen.

use std::cell::Cell;

use crate::reporter::pipeline::AcceptHook;
use crate::reporter::tree::terminal::{Asks, Terminal};

/// What is known of the page that shows a trace.
#[derive(Clone, Copy)]
enum Known {
    /// Nothing, after so many questions without an answer.
    Nothing(u8),
    IsThere,
    /// As beside a collector of Jaeger's, which takes Zipkin's spans and shows none.
    IsNot,
}

/// Questions that may stay without an answer; then there are no links.
const QUESTIONS: u8 = 3;

/// What has links printed to traces that this collector accepts, where they can be seen. Whether they can be is asked once, when
/// the first one is accepted, and on the thread that sends.
pub(super) fn printed_by(trees: &Terminal, collector: &str, asks: Asks) -> Option<AcceptHook> {
    let at = traces_at(collector)?;
    let (known, print) = (Cell::new(Known::Nothing(0)), trees.link(at.clone()));
    Some(Box::new(move |traces| {
        if let (Known::Nothing(asked @ ..QUESTIONS), Some(trace)) = (known.get(), traces.first()) {
            known.set(match asks(&format!("{at}{trace}")) {
                Some(true) => Known::IsThere,
                Some(false) => Known::IsNot,
                None => Known::Nothing(asked + 1),
            });
        }
        if matches!(known.get(), Known::IsThere) {
            print(traces);
        }
    }))
}

/// The address of the traces that a Zipkin collector accepts at this URL, up to their id, without what is secret in it.
/// `None`: the URL's path is not Zipkin's, and nobody knows what is there.
fn traces_at(collector: &str) -> Option<String> {
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
