//! The measurements of a run, as Markdown.

use std::fmt::Write;

use crate::contestants::{self, Entry};
use crate::machine;
use crate::measure::{Measured, median};
use crate::scenario::{Floor, Scenario};

/// All rounds of one scenario of one contestant.
#[derive(Debug)]
pub struct Cell {
    pub contestant: &'static str,
    pub scenario: Scenario,
    pub rounds: Vec<Measured>,
    /// Allocations per span, from the run that counts them.
    pub allocations: f64,
}

impl Cell {
    /// Whether it is that contestant's in that scenario.
    pub fn is(&self, entry: &Entry, scenario: Scenario) -> bool {
        self.contestant == entry.name && self.scenario == scenario
    }

    fn cpu(&self) -> (f64, f64, f64) {
        let mut values: Vec<f64> = self.rounds.iter().map(|round| round.cpu_ns).collect();
        let middle = median(&mut values);
        (middle, values.first().copied().unwrap_or(f64::NAN), values.last().copied().unwrap_or(f64::NAN))
    }

    /// The share of spans that did not arrive.
    fn lost(&self) -> f64 {
        let sum = |of: fn(&Measured) -> u64| self.rounds.iter().map(of).sum::<u64>() as f64;
        let expected = sum(|round| round.expected);
        if expected == 0.0 { 0.0 } else { 1.0 - sum(|round| round.delivered) / expected }
    }
}

/// The whole section: what was run where, times, allocations.
pub fn section(cells: &[Cell], rounds: usize, command: &str) -> String {
    let peers = || contestants::ALL.iter().filter(|entry| !entry.crates.is_empty());
    let find = |name: &str, scenario| cells.iter().find(|cell| cell.contestant == name && cell.scenario == scenario);
    let mut text = String::new();
    let versions: Vec<String> = peers()
        .flat_map(|entry| entry.crates)
        .map(|name| format!("{name} {}", machine::version_of(name).unwrap_or("?")))
        .collect();
    let _ = writeln!(text, "{}: {}.  ", machine::today(), machine::describe());
    let _ = writeln!(text, "{}.  ", versions.join(", "));
    let _ = writeln!(text, "`{command}`\n");
    let _ =
        writeln!(text, "CPU nanoseconds of the calling thread per span: median of {rounds} processes (min–max), and");
    let _ =
        writeln!(text, "the ratio to the floor. F1 is two reads of the time stamp counter and a record of 32 bytes;");
    let _ = writeln!(text, "F4 is a thread-local load and a branch.\n");

    let titles: Vec<&str> = peers().map(|entry| entry.title).collect();
    let _ = writeln!(text, "| | floor | {} |", titles.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(titles.len()));
    for scenario in Scenario::ALL {
        let floor = scenario.floor();
        let Some(base) = find(floor.name(), scenario) else { continue };
        let _ = write!(text, "| {} | {} {} |", scenario.title(), floor.name(), time(base, floor));
        for entry in peers() {
            match find(entry.name, scenario) {
                Some(cell) => {
                    let ratio = cell.cpu().0 / base.cpu().0;
                    let _ = write!(text, " **{ratio:.2}×** {}{} |", time(cell, floor), loss(cell));
                }
                None => text.push_str(" – |"),
            }
        }
        text.push('\n');
    }

    text.push_str("\nAllocations of the calling thread per span, counted in a run of its own:\n\n");
    let _ = writeln!(text, "| | {} |", titles.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(titles.len()));
    for scenario in Scenario::ALL {
        let _ = write!(text, "| {} |", scenario.title());
        for entry in peers() {
            match find(entry.name, scenario) {
                Some(cell) => {
                    let _ = write!(text, " {:.3} |", cell.allocations);
                }
                None => text.push_str(" – |"),
            }
        }
        text.push('\n');
    }
    text
}

fn time(cell: &Cell, floor: Floor) -> String {
    let (middle, low, high) = cell.cpu();
    // A floor of two nanoseconds needs the second digit.
    if floor == Floor::F4 && middle < 100.0 {
        format!("{middle:.2} ({low:.2}–{high:.2})")
    } else {
        format!("{middle:.1} ({low:.1}–{high:.1})")
    }
}

fn loss(cell: &Cell) -> String {
    let lost = cell.lost() * 100.0;
    if lost == 0.0 { String::new() } else { format!(", {lost:.2} % lost") }
}

/// `document` with its part between the two marker lines replaced by `section`; `None`: it has no such lines.
pub fn between_markers(document: &str, marker: &str, section: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {marker}: begin -->\n"), format!("<!-- {marker}: end -->"));
    let (head, rest) = document.split_once(&begin)?;
    let (_, tail) = rest.split_once(&end)?;
    Some(format!("{head}{begin}\n{section}\n{end}{tail}"))
}
