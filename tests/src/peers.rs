//! Programs with other tracers, as servers and as clients: their sources are in `tests/peers`.
//!
//! Each is built when a test asks for it first. [`Go`], [`ZipkinGo`] and [`Brave`] give the programs, [`Server`] and [`call`] run them,
//! and [`Shape`] is what a trace has that two peers must agree in.

mod brave;
mod go;
mod server;
mod shape;

pub use brave::Brave;
pub use go::{Go, ZipkinGo};
pub use server::Server;
pub use shape::Shape;

use std::time::Duration;

use serde_json::Value;

use crate::{Output, Program};

/// How long a program may take to begin, or a call to end: a Java program starts in 1 s on two idle cores.
const SOON: Duration = Duration::from_secs(60);

/// Runs a client to its end, and returns what it tells of its call: the line of JSON that it ends with.
///
/// # Panics
/// When it fails, or tells nothing.
#[track_caller]
#[must_use]
pub fn call(client: Program, arguments: &[&str]) -> Value {
    let client = arguments.iter().fold(client, |client, argument| client.arg(argument));
    told(client.run(SOON))
}

/// What a client tells that has ended; see [`call`].
///
/// # Panics
/// As [`call`].
#[track_caller]
#[must_use]
pub fn told(output: Output) -> Value {
    let output = output.success();
    let last = output.stdout.lines().next_back().unwrap_or_default();
    match serde_json::from_str(last) {
        Ok(told) => told,
        Err(error) => panic!("the client's last line is no JSON: {error}: {}{}", output.stdout, output.stderr),
    }
}
