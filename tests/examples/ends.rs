//! A program that ends as its argument says: `return`, `panic`, `exit`, or `shutdown`, which exits as documented.
//!
//! Its collector is that of the environment, and `ENDS_DEADLINE_MS` shortens what it waits for that. No span is sent before somebody asks for it: the linger is an hour.

use std::env;
use std::process;
use std::time::Duration;

use traced_runtime::{Tracer, traced};

const DEADLINE: Duration = Duration::from_secs(20);

#[traced]
fn flushed() {}

#[traced]
#[expect(clippy::panic, reason = "one of the ways to end")]
fn last(how: &str) {
    match how {
        "panic" => panic!("as told"),
        "exit inside" => process::exit(3),
        _ => {}
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let how = env::args().nth(1).unwrap_or_default();
    let deadline =
        env::var("ENDS_DEADLINE_MS").ok().and_then(|ms| ms.parse().ok()).map_or(DEADLINE, Duration::from_millis);
    let builder = Tracer::builder("ends").linger(Duration::from_secs(3600)).shutdown_deadline(deadline);
    let tracing = builder.install()?;
    flushed();
    println!("{}", tracing.flush(deadline));
    last(&how);
    match how.as_str() {
        "exit" => process::exit(3),
        "shutdown" => {
            if let Some(tracer) = Tracer::installed() {
                println!("{}", tracer.shutdown(DEADLINE));
            }
            process::exit(3);
        }
        _ => Ok(()),
    }
}
