//! Prints each trace when its local root has ended.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Write;

use crate::reporter::record::SpanRecord;
use crate::reporter::tree::{Tree, parents};
use crate::tracer::id::{SpanId, TraceId};

/// Bytes of spans that wait for their root. Beyond it the trace that waits longest is printed as far as it is known.
const WAITING_BYTES: usize = 1 << 20;

/// Printed spans whose children are recognised when they end later. A child that ends after so many others waits
/// until the end of the program.
const PRINTED_SPANS: usize = 4096;

/// Collects finished spans by trace, and prints each trace as a tree when its local root has ended, in one write.
///
/// Spans that end after their root, as those of spawned tasks may, are printed as they come, marked *late*. It knows no time:
/// what waits for a root that never ends is printed when [`WAITING_BYTES`] are waiting, or by [`finish`](Self::finish).
#[derive(Debug)]
pub(crate) struct TreePrinter<W> {
    out: W,
    waiting: HashMap<TraceId, Waiting>,
    waiting_bytes: usize,
    /// Counts spans, to find the trace that waits longest.
    arrivals: u64,
    printed: HashSet<(TraceId, SpanId)>,
    /// The order in which they were printed.
    printed_order: VecDeque<(TraceId, SpanId)>,
}

#[derive(Debug)]
struct Waiting {
    /// Of its first span.
    arrival: u64,
    bytes: usize,
    spans: Vec<SpanRecord>,
}

impl<W: Write> TreePrinter<W> {
    /// A printer to `out`; what cannot be written is lost.
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            waiting: HashMap::new(),
            waiting_bytes: 0,
            arrivals: 0,
            printed: HashSet::new(),
            printed_order: VecDeque::new(),
        }
    }

    /// Takes finished spans, and prints the traces that are whole now.
    ///
    /// The spans of one batch are looked at together: a child may stand behind its root.
    pub(crate) fn report(&mut self, batch: &[SpanRecord]) {
        let mut ready: Vec<TraceId> = Vec::new();
        for span in batch {
            self.wait(span.clone());
            let is_ready = span.local_root || self.is_late(span);
            if is_ready && !ready.contains(&span.trace) {
                ready.push(span.trace);
            }
        }
        for trace in ready {
            self.print_whole(trace);
        }
        while self.waiting_bytes > WAITING_BYTES {
            let Some(trace) = self.oldest() else { break };
            self.print_rest(trace, "incomplete: too many spans wait for their roots");
        }
    }

    /// Prints what still waits.
    pub(crate) fn finish(&mut self) {
        while let Some(trace) = self.oldest() {
            self.print_rest(trace, "incomplete: its root did not end");
        }
    }

    fn wait(&mut self, span: SpanRecord) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let new = || Waiting { arrival, bytes: 0, spans: Vec::new() };
        let waiting = self.waiting.entry(span.trace).or_insert_with(new);
        waiting.bytes += span.size();
        self.waiting_bytes += span.size();
        waiting.spans.push(span);
    }

    fn is_late(&self, span: &SpanRecord) -> bool {
        span.parent.is_some_and(|parent| self.printed.contains(&(span.trace, parent)))
    }

    fn oldest(&self) -> Option<TraceId> {
        self.waiting.iter().min_by_key(|(_, waiting)| waiting.arrival).map(|(trace, _)| *trace)
    }

    /// Prints the spans below an ended root or a printed span; the others go on waiting.
    fn print_whole(&mut self, trace: TraceId) {
        let Some((arrival, waiting)) = self.take(trace) else { return };
        let refs: Vec<&SpanRecord> = waiting.iter().collect();
        let parents = parents(&refs);
        let mut root_ended = false;
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
                        root_ended |= waiting[at].local_root;
                        break waiting[at].local_root || self.is_late(&waiting[at]);
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
                self.wait(span);
            }
        }
        if let Some(rest) = self.waiting.get_mut(&trace) {
            rest.arrival = arrival;
        }
        self.print(&print, if root_ended { None } else { Some("late") });
    }

    fn print_rest(&mut self, trace: TraceId, note: &str) {
        if let Some((_, spans)) = self.take(trace) {
            self.print(&spans, Some(note));
        }
    }

    /// A trace's spans, and when the first one arrived.
    fn take(&mut self, trace: TraceId) -> Option<(u64, Vec<SpanRecord>)> {
        let waiting = self.waiting.remove(&trace)?;
        self.waiting_bytes -= waiting.bytes;
        Some((waiting.arrival, waiting.spans))
    }

    fn print(&mut self, spans: &[SpanRecord], note: Option<&str>) {
        if spans.is_empty() {
            return;
        }
        self.out.write_all(Tree::new(spans).printed(note).as_bytes()).ok();
        for span in spans {
            let id = (span.trace, span.id);
            if self.printed.insert(id) {
                self.printed_order.push_back(id);
            }
        }
        while self.printed_order.len() > PRINTED_SPANS {
            if let Some(forgotten) = self.printed_order.pop_front() {
                self.printed.remove(&forgotten);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::reporter::attributes::TagValue;
    use crate::tracer::kind::Outcome;

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

    /// The names of each printed tree in order, with the note.
    fn printed(report: impl FnOnce(&mut TreePrinter<&mut Writes>)) -> Vec<String> {
        let mut writes = Writes::default();
        report(&mut TreePrinter::new(&mut writes));
        let tree = |text: &String| {
            let (headline, rows) = text.split_once('\n').unwrap_or((text, ""));
            let names = rows.lines().filter_map(|row| row.split_whitespace().find(|word| !"├─└─│".contains(word)));
            let note = headline.split(" · ").nth(3).unwrap_or("whole");
            format!("{} ({note})", names.collect::<Vec<_>>().join(" "))
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
    fn two_roots_of_one_trace_are_two_trees() {
        let trees = printed(|printer| {
            printer.report(&[span("in client", 1, 2, 1), span("query", 1, 11, 10)]);
            printer.report(&[remote_root("server", 1, 10, 3)]);
            printer.report(&[span("call", 1, 3, 1), span("client", 1, 1, 0)]);
        });
        assert_eq!(trees, ["server query (whole)", "client in call (whole)"]);
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
    fn what_waits_is_bounded() {
        let mut large = span("large", 1, 2, 1);
        large.attributes.tag(0, "x", TagValue::Text(&"x".repeat(WAITING_BYTES / 2)));
        let mut second = large.clone();
        second.trace = span("", 2, 1, 0).trace;
        let trees = printed(|printer| {
            printer.report(&[large, span("small", 1, 3, 1)]);
            printer.report(&[second]);
            assert!(printer.waiting_bytes <= WAITING_BYTES);
            assert_eq!(printer.waiting.len(), 1);
            printer.report(&[span("root", 1, 1, 0)]);
        });
        assert_eq!(trees, ["large small (incomplete: too many spans wait for their roots)", "root (whole)"]);
    }

    #[test]
    fn what_was_printed_is_forgotten_in_time() {
        printed(|printer| {
            for id in 1..=2 * PRINTED_SPANS as u64 {
                printer.report(&[span("root", id.into(), id, 0)]);
            }
            assert_eq!((printer.printed.len(), printer.printed_order.len()), (PRINTED_SPANS, PRINTED_SPANS));
            assert_eq!((printer.waiting.len(), printer.waiting_bytes), (0, 0));
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
