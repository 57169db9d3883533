//! Which services call which, from the spans of traces: Zipkin's rules.

use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};
use serde::Serialize;

use crate::span::{Kind, Span};
use crate::steps::steps;
use crate::tree::Tree;

/// One service that calls another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Link<'a> {
    parent: &'a str,
    child: &'a str,
    call_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_count: Option<u64>,
}

/// Counts calls, trace by trace.
#[derive(Debug, Default)]
pub(crate) struct Linker {
    /// Each name once: a long one may be the end of many calls.
    names: IndexSet<Box<str>>,
    /// Calls and errors, by the places of the names of who calls and who is called.
    links: IndexMap<(usize, usize), (u64, u64)>,
}

impl Linker {
    /// What was counted.
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        let name = |at: usize| self.names.get_index(at).map(|name| &**name).unwrap_or_default();
        let link = |(&(parent, child), &(call_count, errors)): (&(usize, usize), &(u64, u64))| Link {
            parent: name(parent),
            child: name(child),
            call_count,
            error_count: (errors > 0).then_some(errors),
        };
        self.links.iter().map(link).collect()
    }

    fn call(&mut self, parent: usize, child: usize, failed: bool) {
        let (calls, errors) = self.links.entry((parent, child)).or_default();
        *calls += 1;
        *errors += u64::from(failed);
    }

    /// The place of a name.
    fn name(&mut self, name: Option<&str>) -> Option<usize> {
        let name = name?;
        steps(name.len());
        let known = self.names.get_index_of(name);
        Some(known.unwrap_or_else(|| self.names.insert_full(name.into()).0))
    }

    /// Counts the calls of one trace: its spans share the lower half of their trace ids.
    pub(crate) fn put(&mut self, spans: &[Arc<Span>]) {
        if spans.is_empty() {
            return;
        }
        // Zipkin keeps the spans of one millisecond together, and of two parts of a span the first one counts.
        let mut milliseconds: IndexMap<u64, Vec<Arc<Span>>> = IndexMap::new();
        for span in spans {
            milliseconds.entry(span.timestamp / 1000).or_default().push(span.clone());
        }
        let spans: Vec<_> = milliseconds.into_values().flatten().collect();
        let tree = Tree::of(&spans);
        let ancestors = tree.remote_ancestors();
        let sides: Vec<Sides> = (0..tree.len())
            .map(|at| {
                let span = tree.span(at);
                let mut name = |service: Option<&str>| self.name(service);
                Sides {
                    local: name(span.and_then(Span::local_service)),
                    remote: name(span.and_then(Span::remote_service)),
                }
            })
            .collect();
        for at in tree.breadth_first() {
            let ancestor = ancestors.get(at).copied().flatten();
            self.put_span(&tree, at, &sides, ancestor);
        }
    }

    fn put_span(&mut self, tree: &Tree, at: usize, sides: &[Sides], ancestor: Option<usize>) {
        let (Some(span), Some(Sides { local, remote })) = (tree.span(at), sides.get(at).copied()) else { return };
        // The server knows its own name better than its caller does.
        if span.kind == Some(Kind::Client) && !tree.children(at).is_empty() {
            return;
        }
        let kind = match span.kind {
            Some(kind) => kind,
            None if local.is_some() && remote.is_some() => Kind::Client,
            None => return,
        };
        let (mut parent, child) = match kind {
            Kind::Server | Kind::Consumer if at == tree.root() && remote.is_none() => return,
            Kind::Server | Kind::Consumer => (remote, local),
            Kind::Client | Kind::Producer => (local, remote),
        };
        let mut failed = span.failed();
        if matches!(kind, Kind::Producer | Kind::Consumer) {
            if let (Some(parent), Some(child)) = (parent, child) {
                self.call(parent, child, failed);
            }
            return;
        }
        let caller = ancestor.and_then(|at| Some((tree.span(at)?, sides.get(at)?.local?)));
        if let Some((ancestor, name)) = caller {
            // A client span with the name of the server: its caller is missing between.
            if let (Kind::Client, Some(local)) = (kind, local) {
                if local != name {
                    self.call(name, local, false);
                }
            }
            if kind == Kind::Server || parent.is_none() {
                parent = Some(name);
            }
            // The caller's half, which was passed over, may know of an error.
            if ancestor.kind == Some(Kind::Client) && span.parent_id == Some(ancestor.id) {
                failed |= ancestor.failed();
            }
        }
        if let (Some(parent), Some(child)) = (parent, child) {
            self.call(parent, child, failed);
        }
    }
}

/// The places of the names at the two sides of a span.
#[derive(Clone, Copy)]
struct Sides {
    local: Option<usize>,
    remote: Option<usize>,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::decode::Encoding;

    fn links(spans: &str) -> String {
        let spans: Vec<_> = Encoding::JsonV2.decode(spans.as_bytes()).unwrap().into_iter().map(Arc::new).collect();
        let mut linker = Linker::default();
        linker.put(&spans);
        serde_json::to_string(&linker.links()).unwrap()
    }

    #[test]
    fn a_call_is_counted_once_and_knows_the_errors_of_both_halves() {
        let call = r#"[
            {"traceId":"1","id":"1","kind":"SERVER","timestamp":1000,"localEndpoint":{"serviceName":"front"}},
            {"traceId":"1","id":"2","parentId":"1","timestamp":1001,"localEndpoint":{"serviceName":"front"}},
            {"traceId":"1","id":"3","parentId":"2","kind":"CLIENT","timestamp":1002,"localEndpoint":{"serviceName":"front"},"tags":{"error":""}},
            {"traceId":"1","id":"3","parentId":"2","kind":"SERVER","timestamp":1003,"localEndpoint":{"serviceName":"back"},"shared":true},
            {"traceId":"1","id":"4","parentId":"3","kind":"CLIENT","timestamp":1004,"localEndpoint":{"serviceName":"back"},
             "remoteEndpoint":{"serviceName":"mysql"}}]"#;
        let expected = concat!(
            r#"[{"parent":"front","child":"back","callCount":1},"#,
            r#"{"parent":"back","child":"mysql","callCount":1}]"#
        );
        assert_eq!(links(call), expected);
        // The query below the caller's half is taken for a call of a server that is missing.
        let split = call
            .replace(r#""id":"3","parentId":"2","kind":"SERVER""#, r#""id":"5","parentId":"3","kind":"SERVER""#)
            .replace(r#","shared":true"#, "");
        assert!(links(&split).starts_with(r#"[{"parent":"front","child":"back","callCount":2,"errorCount":1}"#));
    }

    #[test]
    fn a_cycle_without_a_root_has_no_links_and_an_end() {
        let cycle = r#"[
            {"traceId":"1","id":"1","parentId":"2","kind":"CLIENT","localEndpoint":{"serviceName":"a"},"remoteEndpoint":{"serviceName":"b"}},
            {"traceId":"1","id":"2","parentId":"1","kind":"SERVER","localEndpoint":{"serviceName":"b"}}]"#;
        assert_eq!(links(cycle), "[]");
    }
}
