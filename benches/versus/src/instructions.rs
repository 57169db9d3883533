//! Instructions that a span costs the thread that makes it, counted by valgrind's callgrind: a measure that does not depend
//! on what else the machine does.
//!
//! Each scenario runs twice, with few and with many traces; the difference of the counts, by the difference of the spans, is
//! what a span costs once everything is set up. Counted is only what happens inside `measure::counted`, on its thread.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::contestants::Entry;
use crate::scenario::Scenario;

/// Spans of the two runs.
const SPANS: [u32; 2] = [5_000, 20_000];

/// Instructions per span; `None`: there is no such scenario, no valgrind, or the program does not run in it. `program` is
/// `measure`.
pub fn per_span(program: &Path, entry: &Entry, scenario: Scenario) -> Option<f64> {
    let traces = SPANS.map(|spans| spans / scenario.spans());
    let [few, many] = traces.map(|traces| count(program, entry, scenario, traces));
    let spans = f64::from((traces[1] - traces[0]) * scenario.spans());
    Some(many?.checked_sub(few?)? as f64 / spans)
}

fn count(program: &Path, entry: &Entry, scenario: Scenario, traces: u32) -> Option<u64> {
    let file = format!("counts.{}.{}.{traces}", entry.name, scenario.name());
    let file = program.with_file_name(file);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=versus::measure::counted*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args([entry.name, scenario.name(), &traces.to_string()])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    if !output.status.success() || output.stdout.starts_with(b"none") {
        return None;
    }
    let counts = fs::read_to_string(&file).ok()?;
    let total = counts.lines().rev().find_map(|line| {
        let rest = line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:"))?;
        rest.trim().parse().ok()
    });
    total.filter(|&total| total > 0)
}
