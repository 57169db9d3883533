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
    /// Instructions per span, if valgrind could count them.
    pub instructions: Option<f64>,
}

impl Cell {
    /// Whether it is that contestant's in that scenario.
    pub fn is(&self, entry: &Entry, scenario: Scenario) -> bool {
        self.contestant == entry.name && self.scenario == scenario
    }

    fn cpu(&self) -> (f64, f64, f64) {
        self.spread(|round| round.cpu_ns)
    }

    fn spread(&self, of: fn(&Measured) -> f64) -> (f64, f64, f64) {
        let mut values: Vec<f64> = self.rounds.iter().map(of).collect();
        let middle = median(&mut values);
        (middle, values.first().copied().unwrap_or(f64::NAN), values.last().copied().unwrap_or(f64::NAN))
    }

    /// The share of spans that did not arrive.
    fn lost(&self) -> f64 {
        let sum = |of: fn(&Measured) -> u64| self.rounds.iter().map(of).sum::<u64>() as f64;
        let expected = sum(|round| round.expected);
        let delivered = sum(|round| round.delivered.unwrap_or(round.expected));
        if expected == 0.0 { 0.0 } else { 1.0 - delivered / expected }
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

    let mut more = |title: &str, of: &dyn Fn(&Cell) -> Option<String>| {
        let _ = writeln!(text, "\n{title}:\n");
        let floor_title = "floor | ";
        let _ = writeln!(text, "| | {floor_title}{} |", titles.join(" | "));
        let _ = writeln!(text, "|---|---|{}", "---|".repeat(titles.len()));
        for scenario in Scenario::ALL {
            let _ = write!(text, "| {} |", scenario.title());
            let cells = std::iter::once(scenario.floor().name()).chain(peers().map(|entry| entry.name));
            for name in cells {
                let shown = find(name, scenario).and_then(of).unwrap_or_else(|| "–".to_owned());
                let _ = write!(text, " {shown} |");
            }
            text.push('\n');
        }
    };
    more("Instructions of the calling thread per span, counted by callgrind", &|cell| {
        Some(format!("{:.0}", cell.instructions?))
    });
    more("Nanoseconds that passed per span: median (min–max)", &|cell| {
        let (middle, low, high) = cell.spread(|round| round.wall_ns);
        Some(format!("{middle:.1} ({low:.1}–{high:.1})"))
    });
    more("Allocations of the calling thread per span, counted in a run of its own", &|cell| {
        Some(format!("{:.3}", cell.allocations))
    });
    more("The most memory that the process had, MiB, median", &|cell| {
        Some(format!("{:.1}", cell.spread(|round| round.peak_kib as f64).0 / 1024.0))
    });
    more("Spans that arrived, of those expected, per process", &|cell| {
        let round = cell.rounds.first()?;
        if round.expected == 0 {
            return None;
        }
        let delivered = round.delivered.map_or_else(|| "?".to_owned(), |delivered| delivered.to_string());
        Some(format!("{delivered} of {}", round.expected))
    });
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
