//! Spans as a tree of text: for the terminal, and for tests.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::reporter::attributes::TagValue;
use crate::reporter::record::SpanRecord;
use crate::tracer::id::{SpanId, TraceId};
use crate::tracer::kind::{Kind, Outcome};

/// Spans of the terminal's tree. The rest of them are a number in its last line.
const ROWS: usize = 200;

/// Characters of a name, tag, annotation or error in the terminal. The rest of them are an ellipsis.
const TEXT: usize = 120;

/// Tags and annotations of one span in the terminal. The rest of them are an ellipsis.
const PIECES: usize = 20;

/// Spans without children, alike and next to each other, from which on the terminal shows one line for all.
const REPEATS: usize = 4;

/// Columns of the terminal's tree up to the durations. A longer name pushes its own duration to the right.
const COLUMN: usize = 48;

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

    /// Puts siblings in the order of their text, with what is below them: the same for the same spans, whichever came
    /// first.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn sort_by_text(&mut self) {
        let mut below: Vec<String> = vec![String::new(); self.spans.len()];
        let mut order = Vec::with_capacity(self.spans.len());
        self.walk(|_, at| {
            order.push(at);
            ControlFlow::Continue(())
        });
        // From the leaves up: a span's key is its line and the keys of its children. Lines contain no control
        // characters, so that these cannot be mistaken for text.
        for at in order.into_iter().rev() {
            let mut children = std::mem::take(&mut self.children[at]);
            children.sort_by(|a, b| below[*a].cmp(&below[*b]));
            let mut key = plain_line(self.spans[at]);
            for child in &children {
                key.push('\u{1}');
                key.push_str(&std::mem::take(&mut below[*child]));
            }
            key.push('\0');
            below[at] = key;
            self.children[at] = children;
        }
        self.roots.sort_by(|a, b| below[*a].cmp(&below[*b]));
    }

    /// The tree as tests write it: no ids, no times.
    ///
    /// ```text
    /// checkout
    /// ├─ load_cart  [client]  rows=3  note="two words"  @ cache miss
    /// └─ pay  cancelled  error: declined
    /// ```
    ///
    /// A line is the span's name, its kind, its tags, its annotations behind `@`, how it ended (`panicked`, `cancelled`,
    /// `unfinished`; `error` when there is no text), and the tag `error`. A tag with white space, quotes or nothing in it is
    /// quoted. Control characters are escaped.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn plain(&self) -> String {
        let mut text = String::new();
        self.walk(|indent, at| {
            text.push_str(indent);
            text.push_str(&plain_line(self.spans[at]));
            text.push('\n');
            ControlFlow::Continue(())
        });
        text
    }

    /// The tree as the terminal shows it, below a line about the whole; `note` is added to that.
    ///
    /// ```text
    /// trace 4e441824ec2b6a44ffdc9bb9a6453df3 · 48.2 ms · 5 spans · 1 error
    ///   checkout           48.2 ms
    ///   ├─ load_cart  ×3    9.1 ms
    ///   └─ pay             39.0 ms  attempts=2  error: declined
    /// ```
    ///
    /// Its size is bounded: by [`ROWS`], by [`TEXT`] and [`PIECES`] for each of them, and spans that repeat are one line.
    pub(crate) fn printed(mut self, note: Option<&str>) -> String {
        let mut text = self.headline();
        if let Some(note) = note {
            text.push_str(" · ");
            text.push_str(note);
        }
        text.push('\n');
        let repeats = self.fold_repeats();

        let mut rows: Vec<(String, usize)> = Vec::new();
        self.walk(|indent, at| {
            if rows.len() == ROWS {
                return ControlFlow::Break(());
            }
            let mut start = format!("  {indent}");
            head(&mut start, self.spans[at], TEXT);
            if let Some(repeats) = repeats.get(&at) {
                write!(start, "  ×{}", grouped(repeats.count)).ok();
            }
            rows.push((start, at));
            ControlFlow::Continue(())
        });

        let column =
            rows.iter().map(|(start, _)| width(start)).filter(|width| *width <= COLUMN).max().unwrap_or(COLUMN);
        let mut shown = 0;
        for (start, at) in rows {
            let span = self.spans[at];
            let (count, duration) = match repeats.get(&at) {
                Some(repeats) => (repeats.count, Some(repeats.duration)),
                None => (1, span.duration()),
            };
            shown += count;
            text.push_str(&start);
            text.extend(std::iter::repeat_n(' ', column.saturating_sub(width(&start))));
            write!(text, "  {:>8}", duration.map_or_else(|| "-".to_owned(), human)).ok();
            if count == 1 {
                details(&mut text, span, TEXT, PIECES);
            }
            text.push('\n');
        }
        if shown < self.spans.len() {
            writeln!(text, "  … {} more", grouped(self.spans.len() - shown)).ok();
        }
        text
    }

    /// `trace <id> · 48.2 ms · 5 spans · 1 error`
    fn headline(&self) -> String {
        let spans = || self.spans.iter();
        let start = spans().map(|span| span.start).min().unwrap_or(0);
        let end = spans().map(|span| span.start.saturating_add(span.duration.unwrap_or(0))).max().unwrap_or(0);
        let errors = spans().filter(|span| failed(span)).count();
        let mut text = String::from("trace ");
        if let Some(span) = spans().next() {
            write!(text, "{}", span.trace).ok();
        }
        write!(text, " · {} · {}", human(Duration::from_nanos(end - start)), counted(self.spans.len(), "span")).ok();
        if errors > 0 {
            write!(text, " · {}", counted(errors, "error")).ok();
        }
        text
    }

    /// Lets the first of [`REPEATS`] or more siblings that are alike and next to each other stand for all.
    fn fold_repeats(&mut self) -> HashMap<usize, Repeats> {
        let mut repeats = HashMap::new();
        let leaf: Vec<bool> = self.children.iter().map(Vec::is_empty).collect();
        for list in self.children.iter_mut().chain([&mut self.roots]) {
            let mut folded = Vec::with_capacity(list.len());
            for run in list.chunk_by(|a, b| leaf[*a] && leaf[*b] && alike(self.spans[*a], self.spans[*b])) {
                if run.len() < REPEATS {
                    folded.extend_from_slice(run);
                } else {
                    let duration = run.iter().filter_map(|at| self.spans[*at].duration()).sum();
                    repeats.insert(run[0], Repeats { count: run.len(), duration });
                    folded.push(run[0]);
                }
            }
            *list = folded;
        }
        repeats
    }

    /// Visits each span after its parent, with the branches to draw before it. It does not recurse: depth is the
    /// program's.
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

/// What one line of the terminal stands for, if it is more than a span.
struct Repeats {
    count: usize,
    /// Of all together.
    duration: Duration,
}

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

fn failed(span: &SpanRecord) -> bool {
    matches!(span.outcome, Outcome::Error | Outcome::Panicked) || span.tag("error").is_some()
}

/// Whether two spans say the same in the terminal but for times and tags.
fn alike(a: &SpanRecord, b: &SpanRecord) -> bool {
    let ordinary = |span: &SpanRecord| span.outcome == Outcome::Returned && !failed(span);
    ordinary(a) && ordinary(b) && a.kind() == b.kind() && a.name() == b.name()
}

#[cfg(any(test, feature = "testing"))]
fn plain_line(span: &SpanRecord) -> String {
    let mut line = String::new();
    head(&mut line, span, usize::MAX);
    details(&mut line, span, usize::MAX, usize::MAX);
    line
}

/// Name and kind; no text longer than `limit`.
fn head(line: &mut String, span: &SpanRecord, limit: usize) {
    push_escaped(line, &span.name(), Quotes::None, limit);
    if let Some(kind) = span.kind() {
        line.push_str(match kind {
            Kind::Client => "  [client]",
            Kind::Server => "  [server]",
            Kind::Producer => "  [producer]",
            Kind::Consumer => "  [consumer]",
        });
    }
}

/// All but name and kind: no text longer than `limit`, and no more tags and annotations than `pieces`.
fn details(line: &mut String, span: &SpanRecord, limit: usize, pieces: usize) {
    let tags = || span.tags().filter(|(key, _)| *key != "error");
    for (key, value) in tags().take(pieces) {
        line.push_str("  ");
        push_escaped(line, key, Quotes::for_text(key), limit);
        line.push('=');
        match value {
            TagValue::Text(text) => push_escaped(line, text, Quotes::for_text(text), limit),
            number => {
                write!(line, "{number}").ok();
            }
        }
    }
    let left = pieces.saturating_sub(tags().count());
    for (_, text) in span.annotations().take(left) {
        line.push_str("  @ ");
        push_escaped(line, text, Quotes::None, limit);
    }
    if tags().count() + span.annotations().count() > pieces {
        line.push_str("  …");
    }
    let error = span.tag("error");
    line.push_str(match span.outcome {
        Outcome::Error if error.is_none() => "  error",
        Outcome::Returned | Outcome::Error => "",
        Outcome::Panicked => "  panicked",
        Outcome::Cancelled => "  cancelled",
        Outcome::Unfinished => "  unfinished",
    });
    if let Some(error) = error {
        line.push_str("  error: ");
        push_escaped(line, &error.to_string(), Quotes::None, limit);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    Double,
}

impl Quotes {
    /// What a text needs to be seen as one.
    fn for_text(text: &str) -> Self {
        let strange = |c: char| c.is_whitespace() || c == '"' || c == '=' || is_unsafe(c);
        if text.is_empty() || text.contains(strange) { Self::Double } else { Self::None }
    }
}

/// Appends at most `limit` characters of a text, with those escaped that would do something to a terminal.
fn push_escaped(line: &mut String, text: &str, quotes: Quotes, limit: usize) {
    let quoted = quotes == Quotes::Double;
    if quoted {
        line.push('"');
    }
    for (count, c) in text.chars().enumerate() {
        if count == limit {
            line.push('…');
            break;
        }
        if is_unsafe(c) || (quoted && matches!(c, '"' | '\\')) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    if quoted {
        line.push('"');
    }
}

/// Control characters, ends of lines, and those that turn the direction of writing.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Columns, as far as counting characters tells.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// A time with three or so digits: `850 ns`, `9.1 µs`, `48.2 ms`, `900 ms`, `1.2 s`.
fn human(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (unit, size) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        // From here on 999.5 and more are rounded up to the next unit.
        1_000..999_500 => ("µs", 1_000),
        999_500..999_500_000 => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    let tenths = (nanos * 10 + size / 2) / size;
    if tenths < 1000 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", (nanos + size / 2) / size)
    }
}

/// `1 span`, `1,234 spans`.
fn counted(count: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// `1,234,567`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use super::*;
    use crate::tracer::endpoint::Endpoint;

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
    fn nothing_reaches_the_terminal_but_text() {
        let mut bad = span("\u{1b}[2Jna\u{202e}me", 1, 0, 0);
        bad.attributes.tag(0, "k\n", TagValue::Text("\u{7}"));
        bad.attributes.tag(0, "error", TagValue::Text("one\ntwo"));
        bad.attributes.annotation(0, "\r");
        let escaped = r#"\u{1b}[2Jna\u{202e}me  "k\n"="\u{7}"  @ \r  error: one\ntwo"#;
        assert_eq!(plain(&[bad.clone()]).trim_end(), escaped);
        let printed = Tree::new(&[bad]).printed(None);
        assert!(!printed.contains(|c: char| c != '\n' && is_unsafe(c)), "{printed:?}");
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
        far.local = Arc::new(Endpoint::named("elsewhere"));
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
        let printed = Tree::new(&deep).printed(None);
        assert_eq!(printed.lines().count(), 1 + ROWS + 1);
        assert!(printed.ends_with("  … 2,800 more\n"), "{printed}");
    }

    #[test]
    fn the_terminal_shows_times_and_a_headline() {
        assert_eq!(
            Tree::new(&checkout()).printed(None),
            "trace 0000000000000001 · 48.2 ms · 4 spans · 1 error
  checkout       48.2 ms
  ├─ load_cart    1.0 ms
  │  └─ query     1.0 ms
  └─ pay         39.0 ms  attempts=2  error: declined
"
        );
        let mut open = span("open", 1, 0, 0);
        open.duration = None;
        open.outcome = Outcome::Unfinished;
        assert_eq!(
            Tree::new(&[open]).printed(Some("incomplete")),
            "trace 0000000000000001 · 0 ns · 1 span · incomplete\n  open         -  unfinished\n"
        );
    }

    #[test]
    fn repeated_spans_are_one_line_in_the_terminal() {
        let mut spans = vec![span("import", 1, 0, 0)];
        spans.extend((10..1310).map(|id| span("insert", id, 1, id)));
        spans.push(span("commit", 5, 1, 5000));
        spans.push(span("commit", 6, 1, 5001));
        let mut failed = span("insert", 7, 1, 600);
        failed.outcome = Outcome::Error;
        spans.push(failed);
        let printed = Tree::new(&spans).printed(None);
        let rows: Vec<_> = printed.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "  import             1.0 ms",
                "  ├─ insert  ×590    590 ms",
                "  ├─ insert          1.0 ms  error",
                "  ├─ insert  ×710    710 ms",
                "  ├─ commit          1.0 ms",
                "  └─ commit          1.0 ms"
            ]
        );
    }

    #[test]
    fn a_line_of_the_terminal_is_bounded() {
        let mut large = span("large", 1, 0, 0);
        large.name = Some(Cow::Owned("n".repeat(1000)));
        for key in 0..1000 {
            large.attributes.tag(0, &key.to_string(), TagValue::Text(&"v".repeat(1000)));
            large.attributes.annotation(0, &"a".repeat(1000));
        }
        large.attributes.tag(0, "error", TagValue::Text(&"e".repeat(1000)));
        let printed = Tree::new(&[large.clone()]).printed(None);
        assert!(printed.len() < (TEXT + 20) * (PIECES + 3), "{}", printed.len());
        assert!(printed.contains(&format!("  …  error: {}…", "e".repeat(TEXT))), "{printed}");
        assert!(plain(&[large]).len() > 2_000_000);
    }

    #[test]
    fn times_read_as_people_write_them() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.0 µs"),
            (99_949, "99.9 µs"),
            (99_951, "100 µs"),
            (900_000, "900 µs"),
            (999_499, "999 µs"),
            (999_500, "1.0 ms"),
            (48_200_000, "48.2 ms"),
            (999_500_000, "1.0 s"),
            (12_345_000_000, "12.3 s"),
            (86_400_000_000_000, "86400 s"),
        ] {
            assert_eq!(human(Duration::from_nanos(nanos)), text);
        }
        assert_eq!([1, 999, 1000, 1_234_567].map(grouped), ["1", "999", "1,000", "1,234,567"]);
    }
}
