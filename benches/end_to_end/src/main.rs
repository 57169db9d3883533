//! `cargo run --release -p end_to_end [-- --rounds N] [--only NAME]… [--dry]` measures everyone, round after round, each
//! in a process of its own with a sink of its own, and writes the table into `BENCHMARKS.md`.
//!
//! `end_to_end sink` and `end_to_end produce NAME PORT RATE` are the two processes; a rate of 0 is as fast as can be.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio, exit};
use std::time::Duration;

use end_to_end::contestants::{self, Entry};
use end_to_end::produce::{self, Produced};
use end_to_end::sink;
use versus::machine;
use versus::measure::median;
use versus::table::between_markers;

/// Spans in a second where a pace is kept.
const RATE: u64 = 150_000;

/// What one process did, and how much of it arrived.
#[derive(Clone, Copy)]
struct Run {
    produced: Produced,
    delivered: u64,
}

struct Row {
    entry: &'static Entry,
    paced: Vec<Run>,
    flat_out: Vec<Run>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["sink"] => sink::run(),
        ["produce", name, port, rate] => {
            let entry = contestants::ALL.iter().find(|entry| entry.name == name).unwrap_or_else(|| usage());
            let rate: u64 = rate.parse().unwrap_or_else(|_| usage());
            let port = port.parse().unwrap_or_else(|_| usage());
            println!("{}", produce::run(entry, port, (rate != 0).then_some(rate)));
        }
        _ => drive(&words),
    }
}

fn usage() -> ! {
    eprintln!("usage: end_to_end [--rounds N] [--only NAME]… [--dry]");
    exit(2);
}

fn drive(mut words: &[&str]) {
    let (mut rounds, mut only, mut dry) = (3, Vec::new(), false);
    while let [word, rest @ ..] = words {
        words = rest;
        match (*word, rest) {
            ("--dry", _) => dry = true,
            ("--rounds", [value, rest @ ..]) => {
                rounds = value.parse().unwrap_or_else(|_| usage());
                words = rest;
            }
            ("--only", [value, rest @ ..]) => {
                only.push(*value);
                words = rest;
            }
            _ => usage(),
        }
    }
    let wanted = contestants::ALL.iter().filter(|entry| only.is_empty() || only.contains(&entry.name));
    let mut rows: Vec<Row> = wanted.map(|entry| Row { entry, paced: Vec::new(), flat_out: Vec::new() }).collect();
    // Rounds are the outer loop: what disturbs the machine for a while disturbs everyone.
    for _ in 0..rounds {
        for row in &mut rows {
            row.paced.push(run(row.entry, RATE));
            row.flat_out.push(run(row.entry, 0));
        }
    }
    let section = table(&rows, rounds);
    print!("{section}");
    if !dry && only.is_empty() && cfg!(feature = "peers") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../BENCHMARKS.md");
        let document = std::fs::read_to_string(&path).unwrap_or_default();
        match between_markers(&document, "end_to_end", &section) {
            Some(document) => std::fs::write(&path, document).expect("BENCHMARKS.md can be written"),
            None => eprintln!("BENCHMARKS.md is as it was: it has no markers"),
        }
    }
}

fn run(entry: &Entry, rate: u64) -> Run {
    let this = std::env::current_exe().expect("the program's own path");
    let mut sink =
        Command::new(&this).arg("sink").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a sink");
    let mut lines = BufReader::new(sink.stdout.take().expect("it is piped")).lines();
    let mut line = || lines.next().and_then(Result::ok).unwrap_or_default();
    let port = line();
    // Until the memory of the one before is given back, which takes others' time.
    std::thread::sleep(Duration::from_millis(500));
    let output = Command::new(&this)
        .args(["produce", entry.name, &port, &rate.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("a producer");
    let produced = Produced::parse(&String::from_utf8_lossy(&output.stdout));
    // The sink stops when its input ends.
    drop(sink.stdin.take());
    let delivered = line().parse().unwrap_or(0);
    sink.wait().ok();
    let produced = produced.unwrap_or_else(|| {
        eprintln!("{} failed: {output:?}", entry.name);
        exit(1);
    });
    Run { produced, delivered }
}

fn table(rows: &[Row], rounds: usize) -> String {
    use std::fmt::Write;

    let mut text = format!("{}: {}.  \n", machine::today(), machine::describe());
    let _ = writeln!(text, "`cargo run --release -p end_to_end -- --rounds {rounds}`, medians (min–max)\n");
    let _ = writeln!(
        text,
        "| | at {RATE} spans/s: process CPU ns per span | lost | flat out: delivered per second | process CPU ns per delivered \
         span | peak memory, MiB | start, µs |"
    );
    let _ = writeln!(text, "|---|---|---|---|---|---|---|");
    for Row { entry, paced, flat_out } in rows {
        let cpu = |run: &Run| run.produced.cpu_micros as f64 * 1000.0 / run.produced.spans.max(1) as f64;
        let lost = |run: &Run| 100.0 * (1.0 - run.delivered as f64 / run.produced.spans.max(1) as f64);
        let pace = |run: &Run| run.delivered as f64 / run.produced.micros.max(1) as f64 * 1e6;
        let per_delivered = |run: &Run| run.produced.cpu_micros as f64 * 1000.0 / run.delivered.max(1) as f64;
        let peak = |run: &Run| run.produced.peak_kib as f64 / 1024.0;
        let start = |run: &Run| run.produced.start_micros as f64;
        let _ = writeln!(
            text,
            "| {} | {} | {} % | {} | {} | {} | {} |",
            entry.title,
            spread(paced, cpu, 0),
            spread(paced, lost, 2),
            spread(flat_out, pace, 0),
            spread(flat_out, per_delivered, 0),
            spread(flat_out, peak, 1),
            spread(paced, start, 0),
        );
    }
    text
}

fn spread(runs: &[Run], of: impl Fn(&Run) -> f64, digits: usize) -> String {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    let middle = median(&mut values);
    let (low, high) = (values.first().copied().unwrap_or(f64::NAN), values.last().copied().unwrap_or(f64::NAN));
    format!("{middle:.digits$} ({low:.digits$}–{high:.digits$})")
}
