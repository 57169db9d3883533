//! `std::process::exit` runs no destructors, and so ends tracing without a word: shut it down before.

use std::process;
use std::time::Duration;

use traced_runtime::{Tracer, traced};

#[traced]
fn import(rows: u32) -> i32 {
    traced_runtime::tag("rows", rows);
    0
}

/// Far from `main`, where the guard is out of reach.
fn exit(code: i32) -> ! {
    if let Some(tracer) = Tracer::installed() {
        println!("{}", tracer.shutdown(Duration::from_secs(3)));
    }
    process::exit(code)
}

fn main() {
    let _tracing = traced_runtime::init("exit");
    let code = import(3);
    exit(code);
}
