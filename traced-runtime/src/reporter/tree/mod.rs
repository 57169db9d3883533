//! Spans as a tree of text: for the terminal, and for tests.

#[cfg(feature = "tree")]
mod critical;
mod escape;
#[cfg(feature = "tree")]
mod fold;
#[cfg(feature = "tree")]
mod layout;
#[cfg(feature = "tree")]
mod link;
#[cfg(feature = "tree")]
mod look;
#[cfg(feature = "tree")]
mod pace;
#[cfg(any(test, feature = "testing"))]
mod plain;
#[cfg(feature = "tree")]
mod printer;
#[cfg(feature = "tree")]
mod recent;
mod tags;
#[cfg(feature = "tree")]
pub(crate) mod terminal;
#[cfg(feature = "tree")]
mod time;
#[cfg(feature = "tree")]
mod width;

use std::collections::HashMap;
#[cfg(any(test, feature = "testing"))]
use std::ops::ControlFlow;

use crate::model::id::{SpanId, TraceId};
use crate::reporter::record::SpanRecord;

/// Finished spans, each below its parent: siblings by start, then by id.
///
/// Any list makes a tree. A span whose parent is not in the list is a root, and so is the earliest of a cycle. A span that
/// is there twice is shown twice, and the first one has the children. A server's span that shares the id of a client's is
/// below it, and has the children that started in its process after it.
pub(crate) struct Tree<'a> {
    /// In order of start.
    spans: Vec<&'a SpanRecord>,
    /// Where the children of each span are.
    children: Vec<Vec<usize>>,
    roots: Vec<usize>,
}

impl<'a> Tree<'a> {
    pub(crate) fn new(spans: impl IntoIterator<Item = &'a SpanRecord>) -> Self {
        let mut spans: Vec<&SpanRecord> = spans.into_iter().collect();
        spans.sort_by_key(|span| (span.start, span.id));
        let parents = parents(&spans);
        let mut children = vec![Vec::new(); spans.len()];
        let mut roots = Vec::new();
        for (at, parent) in parents.into_iter().enumerate() {
            match parent {
                Some(parent) => children[parent].push(at),
                None => roots.push(at),
            }
        }
        Self { spans, children, roots }
    }

    /// Visits each span after its parent, with the branches to draw before it. It does not recurse: depth is the
    /// program's.
    #[cfg(any(test, feature = "testing"))]
    fn walk(&self, mut visit: impl FnMut(&str, usize) -> ControlFlow<()>) {
        let mut indent = String::new();
        // What is to be visited, with the length of the branches above it.
        let mut stack: Vec<(usize, usize, Branch)> =
            self.roots.iter().rev().map(|root| (*root, 0, Branch::Root)).collect();
        while let Some((at, above, branch)) = stack.pop() {
            let (own, below) = match branch {
                Branch::Root => ("", ""),
                Branch::Middle => ("├─ ", "│  "),
                Branch::Last => ("└─ ", "   "),
            };
            indent.truncate(above);
            indent.push_str(own);
            if visit(&indent, at).is_break() {
                return;
            }
            indent.truncate(above);
            indent.push_str(below);
            for (place, child) in self.children[at].iter().rev().enumerate() {
                stack.push((*child, indent.len(), if place == 0 { Branch::Last } else { Branch::Middle }));
            }
        }
    }
}

#[cfg(any(test, feature = "testing"))]
enum Branch {
    Root,
    Middle,
    Last,
}

/// For each span where its parent is, if that is in the list; without cycles. Spans are in order of their start.
pub(crate) fn parents(spans: &[&SpanRecord]) -> Vec<Option<usize>> {
    let mut own: HashMap<(TraceId, SpanId), usize> = HashMap::new();
    let mut shared: HashMap<(TraceId, SpanId), usize> = HashMap::new();
    for (at, span) in spans.iter().enumerate() {
        let map = if span.shared { &mut shared } else { &mut own };
        map.entry((span.trace, span.id)).or_insert(at);
    }
    let parent = |span: &SpanRecord| {
        if span.shared {
            if let Some(client) = own.get(&(span.trace, span.id)) {
                return Some(*client);
            }
        }
        let key = (span.trace, span.parent?);
        match (own.get(&key), shared.get(&key)) {
            (Some(client), Some(server)) => {
                let half = spans[*server];
                let belongs = half.local == span.local && half.start <= span.start;
                Some(if belongs { *server } else { *client })
            }
            (one, other) => one.or(other).copied(),
        }
    };
    let mut parents: Vec<Option<usize>> = spans.iter().map(|span| parent(span)).collect();

    // Climb from each span, marking the path. Who meets their own path is in a cycle: its earliest becomes a root.
    let mut seen_from: Vec<Option<usize>> = vec![None; spans.len()];
    for start in 0..spans.len() {
        let mut at = start;
        while seen_from[at].is_none() {
            seen_from[at] = Some(start);
            match parents[at] {
                Some(parent) => at = parent,
                None => break,
            }
        }
        if parents[at].is_some() && seen_from[at] == Some(start) {
            let mut earliest = at;
            let mut next = parents[at];
            while let Some(member) = next.filter(|member| *member != at) {
                earliest = earliest.min(member);
                next = parents[member];
            }
            parents[earliest] = None;
        }
    }
    parents
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::model::endpoint::Endpoint;
    use crate::model::kind::{Kind, Outcome};
    use crate::reporter::attributes::TagValue;

    /// A span of trace 1 that starts `start` milliseconds after the others.
    fn span(name: &'static str, id: u64, parent: u64, start: u64) -> SpanRecord {
        let mut span = SpanRecord::sample(name, 1, id, parent);
        span.start += start * 1_000_000;
        span
    }

    fn plain(spans: &[SpanRecord]) -> String {
        Tree::new(spans).plain()
    }

    fn lines(spans: &[SpanRecord]) -> Vec<String> {
        plain(spans).lines().map(str::to_owned).collect()
    }

    fn checkout() -> Vec<SpanRecord> {
        let mut pay = span("pay", 3, 1, 2);
        pay.outcome = Outcome::Error;
        pay.attributes.tag(0, "attempts", TagValue::Unsigned(2));
        pay.attributes.tag(0, "error", TagValue::Text("declined"));
        pay.duration = Some(39_000_000);
        let mut checkout = span("checkout", 1, 0, 0);
        checkout.duration = Some(48_200_000);
        vec![pay, span("load_cart", 2, 1, 1), span("query", 4, 2, 1), checkout]
    }

    #[test]
    fn children_are_below_their_parents_in_order_of_start() {
        assert_eq!(plain(&checkout()), "checkout\n├─ load_cart\n│  └─ query\n└─ pay  attempts=2  error: declined\n");
        assert_eq!(plain(&[]), "");
        assert_eq!(lines(&[span("b", 2, 0, 0), span("a", 3, 0, 0), span("c", 1, 0, 0)]), ["c", "b", "a"]);
    }

    #[test]
    fn sorted_trees_do_not_depend_on_who_came_first() {
        let tree = |starts: [u64; 3]| {
            let mut spans = vec![span("all", 1, 0, 0)];
            for (at, start) in (0_u64..).zip(starts) {
                spans.push(span("worker", 10 + at, 1, start));
                spans.push(span(["b", "a", "a"][usize::try_from(at).unwrap_or(0)], 20 + at, 10 + at, start));
            }
            spans.push(span("late", 30, 11, 100));
            let mut tree = Tree::new(&spans);
            tree.sort_by_text();
            tree.plain()
        };
        let sorted = "all\n├─ worker\n│  └─ a\n├─ worker\n│  ├─ a\n│  └─ late\n└─ worker\n   └─ b\n";
        for starts in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
            assert_eq!(tree(starts), sorted);
        }
    }

    #[test]
    fn a_line_says_what_the_span_was_given_and_how_it_ended() {
        let line = |change: &dyn Fn(&mut SpanRecord)| {
            let mut span = span("a", 1, 0, 0);
            change(&mut span);
            plain(&[span]).trim_end().to_owned()
        };
        assert_eq!(line(&|span| span.kind = Some(Kind::Client)), "a  [client]");
        assert_eq!(line(&|span| span.outcome = Outcome::Cancelled), "a  cancelled");
        assert_eq!(line(&|span| span.outcome = Outcome::Unfinished), "a  unfinished");
        assert_eq!(line(&|span| span.outcome = Outcome::Error), "a  error");
        let full = line(&|span| {
            span.outcome = Outcome::Panicked;
            span.attributes.tag(0, "error", TagValue::Text("out of luck"));
            span.attributes.tag(0, "empty", TagValue::Text(""));
            span.attributes.tag(0, "note", TagValue::Text("two \"words\""));
            span.attributes.tag(0, "path", TagValue::Text("C:\\x"));
            span.attributes.tag(0, "share", TagValue::Float(0.5));
            span.attributes.annotation(0, "cache miss");
        });
        assert_eq!(
            full,
            r#"a  empty=""  note="two \"words\""  path=C:\x  share=0.5  @ cache miss  panicked  error: out of luck"#
        );
    }

    #[test]
    fn what_is_no_text_is_escaped() {
        let mut bad = span("\u{1b}[2Jna\u{202e}me", 1, 0, 0);
        bad.attributes.tag(0, "k\n", TagValue::Text("\u{7}"));
        bad.attributes.tag(0, "error", TagValue::Text("one\ntwo"));
        bad.attributes.annotation(0, "\r");
        let escaped = r#"\u{1b}[2Jna\u{202e}me  "k\n"="\u{7}"  @ \r  error: one\ntwo"#;
        assert_eq!(plain(&[bad]).trim_end(), escaped);
    }

    #[test]
    fn missing_parents_leave_roots() {
        assert_eq!(lines(&[span("a", 2, 9, 0), span("b", 3, 2, 1), span("c", 4, 8, 2)]), ["a", "└─ b", "c"]);
        let mut other = span("other", 5, 2, 3);
        other.trace = SpanRecord::sample("", 2, 1, 0).trace;
        assert_eq!(lines(&[span("a", 2, 0, 0), other]), ["a", "other"], "ids count within a trace");
    }

    #[test]
    fn cycles_and_duplicates_survive() {
        assert_eq!(lines(&[span("self", 1, 1, 0)]), ["self"]);
        assert_eq!(lines(&[span("b", 2, 1, 1), span("a", 1, 2, 0)]), ["a", "└─ b"]);
        let tail = [span("c", 3, 2, 0), span("b", 2, 1, 2), span("a", 1, 2, 1), span("d", 4, 3, 3)];
        assert_eq!(lines(&tail), ["a", "└─ b", "   └─ c", "      └─ d"]);
        let twice = [span("a", 1, 0, 0), span("a", 1, 0, 0), span("b", 2, 1, 1), span("b", 2, 1, 1)];
        assert_eq!(lines(&twice), ["a", "├─ b", "└─ b", "a"]);
    }

    #[test]
    fn every_span_of_any_list_is_shown_once() {
        use rand::{RngExt, SeedableRng};
        let mut random = rand::rngs::SmallRng::seed_from_u64(1);
        for _ in 0..2000 {
            let spans: Vec<SpanRecord> = (0..random.random_range(0..12))
                .map(|_| {
                    let mut span =
                        span("x", random.random_range(1..8), random.random_range(0..8), random.random_range(0..4));
                    span.shared = random.random_bool(0.2);
                    span
                })
                .collect();
            let mut tree = Tree::new(&spans);
            assert_eq!(tree.plain().lines().count(), spans.len(), "{spans:#?}");
            tree.sort_by_text();
            assert_eq!(tree.plain().lines().count(), spans.len());
        }
    }

    #[test]
    fn a_server_is_below_the_client_whose_id_it_shares() {
        let mut client = span("call", 2, 1, 1);
        client.kind = Some(Kind::Client);
        let mut server = span("handle", 2, 1, 3);
        server.shared = true;
        server.local_root = true;
        let mut far = span("query", 5, 2, 4);
        let near = span("connect", 4, 2, 2);
        let spans = [span("a", 1, 0, 0), client, server, near, far.clone()];
        assert_eq!(lines(&spans), ["a", "└─ call  [client]", "   ├─ connect", "   └─ handle", "      └─ query"]);
        // A span of a third process that names the id belongs to the client's half.
        far.local = Endpoint::named("elsewhere").interned();
        let spans = [spans[1].clone(), spans[2].clone(), far];
        assert_eq!(lines(&spans), ["call  [client]", "├─ handle", "└─ query"]);
        assert_eq!(lines(&spans[1..]), ["handle", "└─ query"]);
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep: Vec<SpanRecord> = (1..=3000).map(|id| span("deep", id, id - 1, id)).collect();
        assert_eq!(plain(&deep).lines().count(), 3000);
        let mut tree = Tree::new(&deep);
        tree.sort_by_text();
        assert!(tree.plain().lines().last().is_some_and(|line| line.ends_with("└─ deep")));
    }
}
