//! A backend of one's own: finished spans as lines. Nothing but `main` knows about it.

use std::error::Error;
use std::io::{self, Write as _};

use traced_runtime::{ReportError, Reporter, SpanRecord, Tracer, traced};

struct Lines;

impl Reporter for Lines {
    /// Runs on a thread of the tracer: it may take its time.
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        let mut out = io::stdout().lock();
        for span in batch {
            write!(out, "{} {}", span.trace_id(), span.name())?;
            for (key, value) in span.tags() {
                write!(out, " {key}={value}")?;
            }
            writeln!(out, " {:?}", span.duration().unwrap_or_default())?;
        }
        Ok(())
    }
}

#[traced(tags(n), ret)]
fn fibonacci(n: u64) -> u64 {
    if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let _tracing = Tracer::builder("custom_reporter").reporter(Lines).install()?;
    fibonacci(3);
    Ok(())
}
