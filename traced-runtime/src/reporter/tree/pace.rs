//! How many trees people can read: beyond it, traces are summed up.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::model::numbers::{Count, Number};
use crate::reporter::record::SpanRecord;
use crate::reporter::tree::escape::Quotes;
use crate::reporter::tree::look::{Colour, Look};
use crate::reporter::tree::tags::{Limits, failed};
use crate::reporter::tree::width::{cut, width};

/// Trees of one second. The traces beyond it are summed up, and so are all of the next second.
const TREES: u64 = 10;

const SECOND: Duration = Duration::from_secs(1);

/// Names of roots in one sum, and characters of each. Traces with other names are counted together.
const NAMES: usize = 64;
const NAME: usize = 120;

/// Names that are shown.
const ROWS: usize = 5;

/// Counts traces by the second, and sums up those that are not shown.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the second began that is counted.
    began: Option<Instant>,
    traces: u64,
    /// Whether there were too many in the second before.
    crowded: bool,
    sum: Sum,
}

#[derive(Debug, Default)]
struct Sum {
    traces: u64,
    spans: u64,
    errors: u64,
    by_root: HashMap<String, Root>,
    others: u64,
}

/// Traces whose roots have one name.
#[derive(Debug, Default)]
struct Root {
    traces: u64,
    errors: u64,
    total: u64,
    longest: u64,
}

impl Pace {
    /// When the second ends whose sum is to be shown, if there is any.
    pub(super) fn due(&self) -> Option<Instant> {
        self.began.filter(|_| self.sum.traces > 0).map(|began| began + SECOND)
    }

    /// Ends the second if it is over by now; returns its sum, if there is any.
    pub(super) fn turn(&mut self, now: Instant, look: &Look) -> Option<String> {
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began);
        (passed >= SECOND).then(|| {
            // Nothing came in a second that passed unseen.
            self.crowded = self.traces > TREES && passed < 2 * SECOND;
            self.traces = 0;
            self.began = Some(now);
            self.take_sum(look)
        })?
    }

    /// What was summed up until now, if there is any.
    pub(super) fn take_sum(&mut self, look: &Look) -> Option<String> {
        let sum = std::mem::take(&mut self.sum);
        (sum.traces > 0).then(|| sum.text(look))
    }

    /// Counts one trace. `false`: it is one too many, and summed up.
    pub(super) fn admits(&mut self, spans: &[SpanRecord]) -> bool {
        self.traces += 1;
        let admitted = !self.crowded && self.traces <= TREES;
        if !admitted {
            self.sum.add(spans);
        }
        admitted
    }
}

impl Sum {
    fn add(&mut self, spans: &[SpanRecord]) {
        let errors = spans.iter().filter(|span| failed(span)).count() as u64;
        self.traces += 1;
        self.spans += spans.len() as u64;
        self.errors += errors;
        let Some(span) = spans.iter().find(|span| span.local_root).or_else(|| spans.first()) else { return };
        let name: String = span.name().chars().take(NAME).collect();
        if self.by_root.len() == NAMES && !self.by_root.contains_key(&name) {
            self.others += 1;
            return;
        }
        let duration = span.duration.unwrap_or(0);
        let root = self.by_root.entry(name).or_default();
        root.traces += 1;
        root.errors += errors;
        root.total = root.total.saturating_add(duration);
        root.longest = root.longest.max(duration);
    }

    /// ```text
    /// 34 more traces · 120 spans · 2 errors
    ///   checkout  ×30  mean  3.1 ms  longest  12.0 ms  2 errors
    /// ```
    fn text(self, look: &Look) -> String {
        let glyphs = look.glyphs;
        let mut text = String::new();
        let plural = if self.traces == 1 { "" } else { "s" };
        let mut pieces = vec![
            (Colour::Heading, format!("{} more trace{plural}", Number(self.traces))),
            (Colour::Plain, Count(self.spans, "span").to_string()),
        ];
        if self.errors > 0 {
            pieces.push((Colour::Error, Count(self.errors, "error").to_string()));
        }
        look.push_pieces(&mut text, pieces);

        let mut roots: Vec<(String, Root)> = self.by_root.into_iter().collect();
        roots.sort_by(|(name, root), (other, others)| others.traces.cmp(&root.traces).then_with(|| name.cmp(other)));
        let rest: u64 = roots.iter().skip(ROWS).map(|(_, root)| root.traces).sum::<u64>() + self.others;
        roots.truncate(ROWS);
        let limits = Limits { shown: glyphs.shown, text: NAME, pieces: 0, dots: glyphs.dots };
        let time = |nanos| look.time(Some(Duration::from_nanos(nanos)));
        let rows: Vec<[String; 4]> = roots
            .iter()
            .map(|(name, root)| {
                let mut shown = String::new();
                limits.push(&mut shown, name, Quotes::None);
                let mean = root.total / root.traces.max(1);
                [shown, format!("{}{}", glyphs.times, Number(root.traces)), time(mean), time(root.longest)]
            })
            .collect();
        let columns = |at: usize| rows.iter().map(|row| width(&row[at])).max().unwrap_or(0);
        let numbers = columns(1) + columns(2) + columns(3);
        let names = columns(0).min(look.columns().saturating_sub(numbers + "    mean   longest   ".len()).max(1));
        for (mut row, (_, root)) in rows.iter().cloned().zip(&roots) {
            cut(&mut row[0], names, glyphs.dots);
            let [name, traces, mean, longest] = &row;
            let pad = |text: &str, columns: usize| " ".repeat(columns.saturating_sub(width(text)));
            write!(text, "  {name}{}  {}{traces}", pad(name, names), pad(traces, columns(1))).ok();
            write!(text, "  mean {}{mean}  longest {}{longest}", pad(mean, columns(2)), pad(longest, columns(3))).ok();
            let errors = format!("  {}", Count(root.errors, "error"));
            let used = names + numbers + "    mean   longest   ".len() + errors.len();
            if root.errors > 0 && used <= look.columns() {
                look.paint(&mut text, Colour::Error, &errors);
            }
            text.push('\n');
        }
        if rest > 0 {
            writeln!(text, "  {} {}", glyphs.dots, Count(rest, "other")).ok();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kind::Outcome;

    fn trace(name: &'static str, millis: u64) -> Vec<SpanRecord> {
        let mut root = SpanRecord::sample(name, 1, 1, 0);
        root.duration = Some(millis * 1_000_000);
        vec![SpanRecord::sample("below", 1, 2, 1), root]
    }

    /// Of so many traces in each second, how many were shown; with the sums.
    fn seconds(traces: &[u64]) -> (Vec<usize>, Vec<String>) {
        let start = Instant::now();
        let look = Look::plain(80);
        let mut pace = Pace::default();
        let mut sums = Vec::new();
        let mut shown = Vec::new();
        for (second, traces) in (0..).zip(traces) {
            let now = start + second * SECOND;
            sums.extend(pace.turn(now, &look));
            shown.push((0..*traces).filter(|_| pace.admits(&trace("root", 1))).count());
            assert_eq!(pace.due().is_some(), shown[shown.len() - 1] < usize::try_from(*traces).unwrap_or(0));
        }
        sums.extend(pace.take_sum(&look));
        (shown, sums.iter().map(|sum| sum.lines().next().unwrap_or_default().to_owned()).collect())
    }

    #[test]
    fn ten_trees_a_second_and_none_in_the_second_after_too_many() {
        assert_eq!(seconds(&[10, 10, 0, 10]), (vec![10, 10, 0, 10], vec![]));
        let (shown, sums) = seconds(&[11, 30, 5, 5]);
        assert_eq!(shown, [10, 0, 0, 5]);
        assert_eq!(sums, ["1 more trace · 2 spans", "30 more traces · 60 spans", "5 more traces · 10 spans"]);
    }

    #[test]
    fn a_pause_forgets_the_crowd() {
        let start = Instant::now();
        let look = Look::plain(80);
        let mut pace = Pace::default();
        pace.turn(start, &look);
        assert!(!(0..20).all(|_| pace.admits(&trace("root", 1))));
        assert!(pace.turn(start + 5 * SECOND, &look).is_some());
        assert!(pace.admits(&trace("root", 1)));
    }

    #[test]
    fn a_sum_tells_of_the_roots_with_most_traces() {
        let mut sum = Sum::default();
        for millis in 1..=3 {
            sum.add(&trace("checkout", millis));
        }
        let mut failed = trace("a\n日本", 48);
        failed[0].outcome = Outcome::Error;
        sum.add(&failed);
        for name in ["b", "c", "d", "e", "f"] {
            sum.add(&trace(name, 1));
        }
        assert_eq!(
            sum.text(&Look::plain(80)),
            "\
9 more traces · 18 spans · 1 error
  checkout  ×3  mean  2.0 ms  longest  3.0 ms
  a\\n日本   ×1  mean 48.0 ms  longest 48.0 ms  1 error
  b         ×1  mean  1.0 ms  longest  1.0 ms
  c         ×1  mean  1.0 ms  longest  1.0 ms
  d         ×1  mean  1.0 ms  longest  1.0 ms
  … 2 others
"
        );
    }

    #[test]
    fn a_sum_is_bounded_and_fits() {
        let names: Vec<String> = (0..1000).map(|number| format!("{number}{}", "x".repeat(1000))).collect();
        for columns in [40, 80, 200] {
            let mut sum = Sum::default();
            for name in &names {
                let mut spans = trace("", 3_600_000);
                spans[1].name = Some(name.clone().into());
                spans[1].outcome = Outcome::Error;
                sum.add(&spans);
            }
            assert_eq!(sum.by_root.len(), NAMES);
            let text = sum.text(&Look::plain(columns));
            assert!(text.lines().all(|line| width(line) <= columns), "{text}");
            assert!(text.lines().count() <= 2 + ROWS + 1);
            assert!(text.ends_with("  … 995 others\n"), "{text}");
        }
    }
}
