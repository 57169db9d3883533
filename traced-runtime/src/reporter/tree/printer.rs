//! Prints each trace when its local root has ended.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use crate::model::id::{SpanId, TraceId};
use crate::reporter::record::SpanRecord;
use crate::reporter::tree::layout::Beside;
use crate::reporter::tree::look::Look;
use crate::reporter::tree::pace::Pace;
use crate::reporter::tree::recent::Recent;
use crate::reporter::tree::{Tree, parents};

/// Bytes of spans that wait for their root. Beyond it the trace that waits longest is printed as far as it is known.
const WAITING_BYTES: usize = 16 << 20;

/// Printed spans whose children are recognised when they end later. A child that ends after so many others waits
/// until the end of the program.
const PRINTED_SPANS: usize = 1 << 15;

/// Traces that were printed and not accepted yet, and traces that were accepted and not printed yet. What is forgotten
/// gets no link.
const LINKS: usize = 1024;

/// Collects finished spans by trace, and prints each trace as a tree when its local root has ended, in one write.
///
/// A local root whose parent is open in this process, too, waits for that: both are one tree. Spans that end after their
/// root, as those of spawned tasks may, are printed as they come, marked *late*. What waits for a root that never ends is
/// printed when [`WAITING_BYTES`] are waiting, or by [`finish`](Self::finish). A tree's link is part of it, or follows as a line
/// of its own when a collector has accepted the trace.
#[derive(Debug)]
pub(super) struct TreePrinter<W> {
    out: W,
    pub(super) look: Look,
    pace: Pace,
    waiting: HashMap<TraceId, Waiting>,
    waiting_bytes: usize,
    /// Counts spans, and has the arrival of each trace's first: to find the one that waits longest.
    arrivals: u64,
    by_arrival: BTreeMap<u64, TraceId>,
    /// Traces of which something that makes it whole has ended.
    ready: Vec<TraceId>,
    printed: Recent<(TraceId, SpanId), ()>,
    /// Printed without a link.
    unlinked: Recent<TraceId, ()>,
    /// Accepted before they were printed, with the address of their collector's traces.
    accepted: Recent<TraceId, Arc<str>>,
}

#[derive(Debug)]
struct Waiting {
    /// Of its first span.
    arrival: u64,
    bytes: usize,
    spans: Vec<SpanRecord>,
    /// Whether it is in the list of those that are ready.
    is_ready: bool,
}

impl<W: Write> TreePrinter<W> {
    /// A printer to `out`; what cannot be written is lost.
    pub(super) fn new(out: W, look: Look) -> Self {
        Self {
            out,
            look,
            pace: Pace::default(),
            waiting: HashMap::new(),
            waiting_bytes: 0,
            arrivals: 0,
            by_arrival: BTreeMap::new(),
            ready: Vec::new(),
            printed: Recent::new(PRINTED_SPANS),
            unlinked: Recent::new(LINKS),
            accepted: Recent::new(LINKS),
        }
    }

    /// Takes finished spans. Nothing is printed yet: a child may stand behind its root.
    pub(super) fn take(&mut self, batch: Vec<SpanRecord>) {
        for span in batch {
            let is_ready = span.local_root || self.is_late(&span);
            self.arrivals += 1;
            self.wait(span, self.arrivals, is_ready);
        }
    }

    /// The parents, not seen yet, of local roots that have ended: whether they are open in this process has to be known
    /// before anything is printed.
    pub(super) fn asks(&self) -> HashSet<(TraceId, SpanId)> {
        let mut asked = HashSet::new();
        for waiting in self.ready.iter().filter_map(|trace| self.waiting.get(trace)) {
            let ids = |shared| waiting.spans.iter().filter(move |span| span.shared == shared).map(|span| span.id);
            let (own, shared): (HashSet<_>, HashSet<_>) = (ids(false).collect(), ids(true).collect());
            for span in waiting.spans.iter().filter(|span| span.local_root && !self.is_late(span)) {
                let seen = |id: &SpanId| own.contains(id) || (!span.shared && shared.contains(id));
                asked.extend(awaited(span).filter(|(_, id)| !seen(id)));
            }
        }
        asked
    }

    /// Prints the traces that are whole now; these of the parents that were [asked](Self::asks) for are not open here.
    pub(super) fn print(&mut self, elsewhere: &HashSet<(TraceId, SpanId)>, now: Instant) {
        self.turn(now);
        for trace in std::mem::take(&mut self.ready) {
            self.print_whole(trace, elsewhere);
        }
        while self.waiting_bytes > WAITING_BYTES {
            let Some(trace) = self.oldest() else { break };
            self.print_rest(trace, "incomplete: too many spans wait for their roots");
        }
    }

    /// When there is something to print, even if nothing comes until then.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pace.due()
    }

    /// Prints what was summed up until the second that is over now.
    pub(super) fn turn(&mut self, now: Instant) {
        if let Some(sum) = self.pace.turn(now, &self.look) {
            self.write(&sum);
        }
    }

    /// Prints what was summed up until now.
    pub(super) fn flush(&mut self) {
        if let Some(sum) = self.pace.take_sum(&self.look) {
            self.write(&sum);
        }
    }

    /// Prints what still waits.
    pub(super) fn finish(&mut self) {
        while let Some(trace) = self.oldest() {
            self.print_rest(trace, "incomplete: its root did not end");
        }
        self.flush();
    }

    /// A collector has accepted the local roots of these traces; they can be seen at this address with their id behind it.
    pub(super) fn accepted(&mut self, traces: &[TraceId], at: &Arc<str>) {
        let mut lines = String::new();
        for trace in traces {
            if self.unlinked.remove(trace).is_some() {
                writeln!(lines, "open  {at}{trace}").ok();
            } else {
                self.accepted.insert(*trace, at.clone());
            }
        }
        if !lines.is_empty() {
            self.write(&lines);
        }
    }

    /// Writes lines at once, so that nothing comes between them.
    pub(super) fn write(&mut self, lines: &str) {
        self.out.write_all(lines.as_bytes()).ok();
    }

    /// Keeps a span with those of its trace, of which the first came at `arrival`.
    fn wait(&mut self, span: SpanRecord, arrival: u64, is_ready: bool) {
        let trace = span.trace;
        let order = &mut self.by_arrival;
        let waiting = self.waiting.entry(trace).or_insert_with(|| {
            order.insert(arrival, trace);
            Waiting { arrival, bytes: 0, spans: Vec::new(), is_ready: false }
        });
        waiting.bytes += span.size();
        self.waiting_bytes += span.size();
        waiting.spans.push(span);
        if is_ready && !std::mem::replace(&mut waiting.is_ready, true) {
            self.ready.push(trace);
        }
    }

    fn is_late(&self, span: &SpanRecord) -> bool {
        awaited(span).is_some_and(|parent| self.printed.contains(&parent))
    }

    fn oldest(&self) -> Option<TraceId> {
        self.by_arrival.first_key_value().map(|(_, trace)| *trace)
    }

    /// Prints the spans below an ended root or a printed span; the others go on waiting.
    fn print_whole(&mut self, trace: TraceId, elsewhere: &HashSet<(TraceId, SpanId)>) {
        let Some((arrival, waiting)) = self.take_trace(trace) else { return };
        let refs: Vec<&SpanRecord> = waiting.iter().collect();
        let parents = parents(&refs);
        let (mut root_ended, mut root_waits) = (false, false);
        // What the top of each span's branch tells; found by climbing, and noted all the way.
        let mut whole: Vec<Option<bool>> = vec![None; waiting.len()];
        for start in 0..waiting.len() {
            let (mut at, mut path) = (start, Vec::new());
            let answer = loop {
                path.push(at);
                match (whole[at], parents[at]) {
                    (Some(answer), _) => break answer,
                    (None, Some(parent)) => at = parent,
                    (None, None) => {
                        let top = &waiting[at];
                        let is_late = self.is_late(top);
                        let is_root = awaited(top).is_none_or(|parent| elsewhere.contains(&parent));
                        root_waits |= top.local_root && !is_root && !is_late;
                        root_ended |= top.local_root && is_root;
                        break (top.local_root && is_root) || is_late;
                    }
                }
            };
            for at in path {
                whole[at] = Some(answer);
            }
        }
        let mut print = Vec::new();
        for (span, whole) in waiting.into_iter().zip(whole) {
            if whole == Some(true) {
                print.push(span);
            } else {
                self.wait(span, arrival, root_waits);
            }
        }
        self.print_tree(&print, if root_ended { None } else { Some("late") });
    }

    fn print_rest(&mut self, trace: TraceId, note: &str) {
        if let Some((_, spans)) = self.take_trace(trace) {
            self.print_tree(&spans, Some(note));
        }
    }

    /// A trace's spans, and when the first one arrived.
    fn take_trace(&mut self, trace: TraceId) -> Option<(u64, Vec<SpanRecord>)> {
        let waiting = self.waiting.remove(&trace)?;
        self.by_arrival.remove(&waiting.arrival);
        self.waiting_bytes -= waiting.bytes;
        Some((waiting.arrival, waiting.spans))
    }

    fn print_tree(&mut self, spans: &[SpanRecord], note: Option<&str>) {
        let Some(trace) = spans.first().map(|span| span.trace) else { return };
        let accepted = self.accepted.remove(&trace);
        if self.pace.admits(spans) {
            let link = accepted.map(|at| format!("{at}{trace}"));
            if link.is_none() {
                self.unlinked.insert(trace, ());
            }
            let text = Tree::new(spans).printed(Beside { note, link: link.as_deref() }, &self.look);
            self.write(&text);
        }
        for span in spans {
            self.printed.insert((span.trace, span.id), ());
        }
    }
}

/// The span that this one is to stand below: its parent, or the client's half of a span that it shares.
fn awaited(span: &SpanRecord) -> Option<(TraceId, SpanId)> {
    let id = if span.shared { Some(span.id) } else { span.parent };
    Some((span.trace, id?))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::model::kind::Outcome;
    use crate::reporter::attributes::TagValue;

    /// What each call wrote.
    #[derive(Default)]
    struct Writes(Vec<String>);

    impl Write for &mut Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn span(name: &'static str, trace: u128, id: u64, parent: u64) -> SpanRecord {
        let mut span = SpanRecord::sample(name, trace, id, parent);
        span.start += id;
        span
    }

    fn remote_root(name: &'static str, trace: u128, id: u64, parent: u64) -> SpanRecord {
        SpanRecord { local_root: true, ..span(name, trace, id, parent) }
    }

    impl TreePrinter<&mut Writes> {
        /// Takes spans and prints what is whole, where these of the parents asked for are open.
        fn report_while(&mut self, open: &[(u128, u64)], batch: &[SpanRecord], now: Instant) {
            self.take(batch.to_vec());
            let mut asked = self.asks();
            for (trace, id) in open {
                let open = SpanRecord::sample("", *trace, *id, 0);
                assert!(asked.remove(&(open.trace, open.id)), "asks for {trace}, {id}: {asked:?}");
            }
            self.print(&asked, now);
        }

        fn report(&mut self, batch: &[SpanRecord]) {
            self.report_while(&[], batch, Instant::now());
        }
    }

    /// The names of each printed tree in order, with the note; other lines as they are.
    fn printed(report: impl FnOnce(&mut TreePrinter<&mut Writes>)) -> Vec<String> {
        let mut writes = Writes::default();
        report(&mut TreePrinter::new(&mut writes, Look::plain(100)));
        let tree = |text: &String| {
            let (headline, rows) = text.split_once('\n').unwrap_or((text, ""));
            if !headline.starts_with("trace ") {
                return text.trim_end().to_owned();
            }
            let rows =
                rows.lines().filter(|row| !row.trim_start().starts_with("0 ") && !row.starts_with("critical path"));
            let rows = rows.map(|row| match row.strip_prefix("open  http") {
                Some(_) => "linked",
                None => {
                    row.trim_start_matches('…').split_whitespace().find(|word| !"├─└─│".contains(word)).unwrap_or("")
                }
            });
            let note = headline.split(" · ").nth(3).unwrap_or("whole");
            format!("{} ({note})", rows.collect::<Vec<_>>().join(" "))
        };
        writes.0.iter().map(tree).collect()
    }

    #[test]
    fn a_trace_is_printed_when_its_local_root_has_ended() {
        let trees = printed(|printer| {
            printer.report(&[span("b", 1, 2, 1), span("y", 2, 2, 1)]);
            printer.report(&[span("c", 1, 3, 1), span("a", 1, 1, 0), span("d", 1, 4, 2)]);
            printer.report(&[]);
            printer.report(&[remote_root("x", 2, 1, 77)]);
            printer.finish();
        });
        assert_eq!(trees, ["a b d c (whole)", "x y (whole)"]);
    }

    #[test]
    fn two_roots_of_one_trace_are_two_trees_if_their_parents_are_elsewhere() {
        let trees = printed(|printer| {
            printer.report(&[span("in client", 1, 2, 1), span("query", 1, 11, 10)]);
            printer.report(&[remote_root("server", 1, 10, 3)]);
            printer.report(&[remote_root("other", 1, 20, 3), remote_root("again", 1, 30, 20)]);
            printer.report(&[span("client", 1, 1, 0)]);
        });
        assert_eq!(trees, ["server query (whole)", "other again (whole)", "client in (whole)"]);
    }

    #[test]
    fn a_root_whose_parent_is_open_here_is_part_of_its_tree() {
        let now = Instant::now();
        let trees = printed(|printer| {
            printer.report_while(&[(1, 3)], &[remote_root("server", 1, 10, 3), span("query", 1, 11, 10)], now);
            // Asked again whenever something comes.
            printer.report_while(&[(1, 3)], &[span("other", 2, 1, 0)], now);
            printer.report(&[span("call", 1, 3, 1)]);
            printer.report(&[span("client", 1, 1, 0)]);
        });
        assert_eq!(trees, ["other (whole)", "client call server query (whole)"]);
    }

    #[test]
    fn a_root_that_shares_its_id_waits_for_the_other_half() {
        let now = Instant::now();
        let server = SpanRecord { shared: true, ..remote_root("server", 1, 3, 1) };
        let trees = printed(|printer| {
            printer.report_while(&[(1, 3)], &[server, span("query", 1, 11, 3)], now);
            printer.report(&[span("call", 1, 3, 1), span("client", 1, 1, 0)]);
        });
        assert_eq!(trees, ["client call server query (whole)"]);
    }

    #[test]
    fn a_root_whose_parent_is_gone_after_all_is_printed() {
        let now = Instant::now();
        let trees = printed(|printer| {
            printer.report_while(&[(1, 3)], &[remote_root("abandoned", 1, 10, 3)], now);
            printer.report(&[]);
            printer.report_while(&[(1, 4)], &[remote_root("open", 1, 11, 4)], now);
            printer.finish();
        });
        assert_eq!(trees, ["abandoned (whole)", "open (incomplete: its root did not end)"]);
    }

    #[test]
    fn nobody_decides_about_a_root_that_was_not_asked_for() {
        let trees = printed(|printer| {
            printer.take(vec![remote_root("first", 1, 10, 3)]);
            let asked = printer.asks();
            printer.take(vec![remote_root("second", 1, 11, 4)]);
            printer.print(&asked, Instant::now());
            printer.report(&[]);
        });
        assert_eq!(trees, ["first (whole)", "second (whole)"]);
    }

    #[test]
    fn spans_that_end_after_their_root_are_late() {
        let trees = printed(|printer| {
            printer.report(&[span("root", 1, 1, 0)]);
            printer.report(&[span("below", 1, 3, 2)]);
            printer.report(&[span("task", 1, 2, 1), span("unknown", 1, 5, 4)]);
            printer.finish();
        });
        assert_eq!(trees, ["root (whole)", "task below (late)", "unknown (incomplete: its root did not end)"]);
    }

    #[test]
    fn a_link_is_printed_when_the_trace_is_both_printed_and_accepted() {
        let at: Arc<str> = "http://z/".into();
        let trace = |number| SpanRecord::sample("", number, 1, 0).trace;
        let trees = printed(|printer| {
            printer.report(&[span("first", 1, 1, 0)]);
            printer.accepted(&[trace(2), trace(1), trace(1)], &at);
            printer.report(&[span("second", 2, 1, 0)]);
            printer.accepted(&[trace(1), trace(9)], &at);
        });
        assert_eq!(trees, ["first (whole)", "open  http://z/0000000000000001", "second linked (whole)"]);
    }

    #[test]
    fn too_many_traces_are_summed_up() {
        let trees = printed(|printer| {
            let now = Instant::now();
            for number in 1..=30 {
                printer.report_while(&[], &[span("root", number, 1, 0)], now);
                printer.accepted(&[SpanRecord::sample("", number, 1, 0).trace], &"http://z/".into());
            }
            let due = printer.due();
            assert!(due > Some(now));
            printer.turn(due.unwrap_or(now));
            assert_eq!(printer.due(), None);
            printer.report_while(&[], &[span("late", 30, 2, 1)], now);
            printer.finish();
        });
        assert_eq!(trees.iter().filter(|tree| *tree == "root (whole)").count(), 10);
        assert_eq!(trees.iter().filter(|tree| tree.starts_with("open ")).count(), 10, "{trees:?}");
        assert!(trees[20].starts_with("20 more traces · 20 spans\n  root  ×20 "), "{trees:?}");
        assert!(trees[21].starts_with("1 more trace · 1 span\n  late  ×1 "), "{trees:?}");
        assert_eq!(trees.len(), 22);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut large = span("large", 1, 2, 1);
        large.attributes.tag(0, "x", TagValue::Text(&"x".repeat(WAITING_BYTES / 2)));
        let mut second = large.clone();
        second.trace = span("", 2, 1, 0).trace;
        let trees = printed(|printer| {
            printer.report(&[large, span("small", 1, 3, 1)]);
            printer.report(&[second]);
            assert!(printer.waiting_bytes <= WAITING_BYTES);
            assert_eq!((printer.waiting.len(), printer.by_arrival.len()), (1, 1));
            printer.report(&[span("root", 1, 1, 0)]);
        });
        assert_eq!(trees, ["large small (incomplete: too many spans wait for their roots)", "root (whole)"]);
    }

    #[test]
    fn nothing_is_left_of_what_was_printed() {
        printed(|printer| {
            for id in 1..=1000 {
                printer.report(&[span("below", id.into(), id + 1, id), span("root", id.into(), id, 0)]);
            }
            assert_eq!((printer.waiting.len(), printer.waiting_bytes), (0, 0));
            assert_eq!((printer.by_arrival.len(), printer.ready.len()), (0, 0));
        });
    }

    #[test]
    fn an_unfinished_root_is_a_root() {
        let mut root = span("root", 1, 1, 0);
        root.outcome = Outcome::Unfinished;
        root.duration = None;
        assert_eq!(printed(|printer| printer.report(&[root])), ["root (whole)"]);
    }
}
