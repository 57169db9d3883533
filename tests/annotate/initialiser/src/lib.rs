//! Installs a tracer in whatever program it is linked into, before `main`, and writes down at exit what was recorded.
//!
//! `extern crate traced_initialiser as _;` is all that a crate needs; every program that links the crate has the tracer.
//! Where the variable [`FOLDER`] names a folder, each process leaves a file in it:
//!
//! ```text
//! recorded 1207
//! lost 0
//! ran src/lib.rs:12 800
//! ran src/lib.rs:30 407
//! ```
//!
//! A process that ends without `exit`, by a signal or `abort`, leaves none; neither does a forked child. Linux alone.
#![expect(unsafe_code, reason = "a function in `.init_array`, and `atexit`")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use std::{env, fs, process};

use traced_runtime::{Installed, ReportError, Reporter, SpanRecord, Tracer};

/// The variable that names the folder for the counts.
pub const FOLDER: &str = "TRACED_PROOF_FOLDER";

/// How long the end of a process waits for the last spans.
const AT_EXIT: Duration = Duration::from_secs(10);

/// How often each function was recorded, by source file and line.
type Counts = Arc<Mutex<BTreeMap<(&'static str, u32), u64>>>;

static STARTED: OnceLock<Started> = OnceLock::new();

struct Started {
    tracing: Installed,
    counts: Counts,
    process: u32,
}

struct Count(Counts);

impl Reporter for Count {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        if let Ok(mut counts) = self.0.lock() {
            for span in batch {
                *counts.entry((span.file().unwrap_or_default(), span.line().unwrap_or_default())).or_default() += 1;
            }
        }
        Ok(())
    }
}

// SAFETY: the section holds pointers to functions of this type, which the C library calls once before `main`.
#[unsafe(link_section = ".init_array")]
#[used]
static INITIALISER: extern "C" fn() = start;

extern "C" fn start() {
    let counts = Counts::default();
    match Tracer::builder("proof").reporter(Count(Arc::clone(&counts))).summary(false).install() {
        Ok(tracing) => {
            STARTED.get_or_init(|| Started { tracing, counts, process: process::id() });
            // SAFETY: the function may be called at any exit.
            unsafe { libc::atexit(finish) };
        }
        Err(error) => eprintln!("traced-initialiser: {error}"),
    }
}

extern "C" fn finish() {
    let Some(started) = STARTED.get() else { return };
    // A forked child has the parent's handler, but no tracer.
    if started.process != process::id() {
        return;
    }
    let tally = started.tracing.shutdown(AT_EXIT);
    let Some(folder) = env::var_os(FOLDER) else { return };
    let mut text = format!("recorded {}\nlost {}\n", tally.recorded(), tally.dropped() + tally.queued());
    if let Ok(counts) = started.counts.lock() {
        for ((file, line), spans) in counts.iter() {
            writeln!(text, "ran {file}:{line} {spans}").ok();
        }
    }
    let program = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let path = PathBuf::from(folder).join(format!("{program}.{}", started.process));
    if let Err(error) = fs::write(&path, text) {
        eprintln!("traced-initialiser: {}: {error}", path.display());
    }
}
