//! A program with a spool, to be killed. Collector and spool are those of the environment.
//!
//! `keep N` records N spans one after the other, tells when all are on the disk, and waits for its end. `send` sends what it
//! finds in the spool, tells each time that some of it was sent, and ends when nothing is left.

use std::env;
use std::thread;
use std::time::Duration;

use traced_runtime::{Tracer, span};

const A_MOMENT: Duration = Duration::from_millis(2);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let builder = Tracer::builder("spools").linger(Duration::ZERO).timeout(Duration::from_secs(2));
    let tracing = builder.shutdown_deadline(Duration::from_secs(20)).install()?;
    match arguments.next().as_deref() {
        Some("keep") => {
            let spans: u64 = arguments.next().unwrap_or_default().parse()?;
            for number in 1..=spans {
                drop(span!("kept", "number" = number));
                // So that there are many batches: each of them is one that can be lost or sent twice.
                while number % 10 == 0 && tracing.stats().tally().spooled() < number {
                    let failures = tracing.stats().spool_failures();
                    if failures > 0 {
                        println!("failed {failures}");
                        thread::park();
                    }
                    tracing.flush(A_MOMENT);
                }
            }
            println!("spooled {}", tracing.stats().tally().spooled());
            loop {
                thread::park();
            }
        }
        _ => loop {
            let adopted = tracing.stats().adopted();
            println!("sent {} of {}", adopted.sent(), adopted.found());
            if adopted.found() > 0 && adopted.queued() == 0 {
                return Ok(());
            }
            thread::sleep(A_MOMENT);
        },
    }
}
