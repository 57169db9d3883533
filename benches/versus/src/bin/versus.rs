//! Runs everything against everything, interleaved, and writes the table into `BENCHMARKS.md`.
//!
//! `cargo run --release --bin versus -- [--rounds N] [--only NAME]… [--dry]`: `--only` picks scenarios and contestants by
//! name, floors are always in; `--dry` prints the table and writes no file.

use std::path::Path;
use std::process::{Command, exit};

use versus::contestants::{self, Entry};
use versus::instructions;
use versus::measure::Measured;
use versus::programs;
use versus::scenario::{Floor, Scenario};
use versus::table::{self, Cell};

/// Processes per scenario and contestant.
const ROUNDS: usize = 5;

struct Options {
    rounds: usize,
    only: Vec<String>,
    dry: bool,
}

fn main() {
    let options = options().unwrap_or_else(|problem| {
        eprintln!("{problem}\nusage: versus [--rounds N] [--only NAME]… [--dry]");
        exit(2);
    });
    let programs = programs::build(&["measure", "allocations"]);
    let mut cells = Vec::new();
    // Rounds are the outer loop: what disturbs the machine for a while disturbs everyone.
    for round in 0..options.rounds {
        for scenario in Scenario::ALL.into_iter().filter(|scenario| options.wants_scenario(*scenario)) {
            for entry in contestants::ALL.iter().filter(|entry| options.wants_contestant(entry)) {
                eprint!("\rround {} of {}: {:<16} {:<16}", round + 1, options.rounds, scenario.name(), entry.name);
                let Some(measured) = measure(&programs.join("measure"), entry, scenario) else { continue };
                let at = cells.iter().position(|cell: &Cell| cell.is(entry, scenario));
                let at = at.unwrap_or_else(|| {
                    let counted = measure(&programs.join("allocations"), entry, scenario);
                    let allocations = counted.map_or(f64::NAN, |counted| counted.allocations);
                    let instructions = instructions::per_span(&programs.join("measure"), entry, scenario);
                    cells.push(Cell {
                        contestant: entry.name,
                        scenario,
                        rounds: Vec::new(),
                        allocations,
                        instructions,
                    });
                    cells.len() - 1
                });
                cells[at].rounds.push(measured);
            }
        }
    }
    eprintln!();
    let command = format!("cargo run --release --bin versus -- --rounds {}", options.rounds);
    let section = table::section(&cells, options.rounds, &command);
    print!("{section}");
    if !options.dry && options.only.is_empty() {
        write(&section);
    }
}

impl Options {
    /// Names that choose among `all`; if there are none, everything is chosen.
    fn wants(&self, name: &str, mut all: impl Iterator<Item = &'static str>) -> bool {
        let chosen = |name: &str| self.only.iter().any(|only| only == name);
        chosen(name) || !all.any(chosen)
    }

    fn wants_scenario(&self, scenario: Scenario) -> bool {
        self.wants(scenario.name(), Scenario::ALL.into_iter().map(Scenario::name))
    }

    fn wants_contestant(&self, entry: &Entry) -> bool {
        let is_floor = [Floor::F1, Floor::F4].into_iter().any(|floor| floor.name() == entry.name);
        is_floor || self.wants(entry.name, contestants::ALL.iter().map(|entry| entry.name))
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options { rounds: ROUNDS, only: Vec::new(), dry: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--rounds" => options.rounds = value()?.parse().map_err(|error| format!("--rounds: {error}"))?,
            "--only" => options.only.push(value()?),
            "--dry" => options.dry = true,
            _ => return Err(format!("unknown argument {argument}")),
        }
    }
    let known = |name: &String| Scenario::named(name).is_some() || contestants::named(name).is_some();
    match options.only.iter().find(|name| !known(name)) {
        Some(name) => Err(format!("no scenario or contestant is called {name}")),
        None => Ok(options),
    }
}

fn measure(program: &Path, entry: &Entry, scenario: Scenario) -> Option<Measured> {
    let output = Command::new(program).args([entry.name, scenario.name()]).output();
    let line = match &output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout),
        other => {
            eprintln!("\n{} {} failed: {other:?}", entry.name, scenario.name());
            exit(1);
        }
    };
    Measured::parse(&line)
}

fn write(section: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../BENCHMARKS.md");
    let document = std::fs::read_to_string(&path).unwrap_or_default();
    let written = match table::between_markers(&document, "versus", section) {
        Some(document) => std::fs::write(&path, document).map_err(|error| error.to_string()),
        None => Err("it has no markers".to_owned()),
    };
    if let Err(problem) = written {
        eprintln!("BENCHMARKS.md is as it was: {problem}");
        exit(1);
    }
}
