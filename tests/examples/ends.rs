//! A program that ends as its argument says: `return`, `panic`, `exit`, or `shutdown`, which exits as documented; `locked` and
//! `locked elsewhere` return while this thread, or one that never ends, has standard error's lock.
//!
//! Its collector is that of the environment, and `ENDS_DEADLINE_MS` shortens what it waits for that. No span is sent before
//! somebody asks for it: the linger is an hour.

use std::env;
use std::io;
use std::process;
use std::sync::mpsc;
use std::thread;
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
    // Given back after the tracer has ended.
    let _locked = (how == "locked").then(|| io::stderr().lock());
    if how == "locked elsewhere" {
        let (tell, is_locked) = mpsc::channel();
        thread::spawn(move || {
            let _locked = io::stderr().lock();
            tell.send(()).ok();
            loop {
                thread::park();
            }
        });
        is_locked.recv()?;
    }
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
