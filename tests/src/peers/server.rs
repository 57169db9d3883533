//! A server that is a program.

use serde_json::Value;

use super::SOON;
use crate::{Program, Running, eventually};

/// A server that was started, and listens; it is killed when it is dropped.
///
/// Its first line of output is its address. For each call a line of JSON follows, if it is one of `tests/peers`: `method`,
/// `headers`, and the `baggage` that the server sees.
#[derive(Debug)]
pub struct Server {
    running: Running,
    address: String,
}

impl Server {
    /// Starts a server and waits until it listens.
    ///
    /// # Panics
    /// When it does not, within a minute.
    #[track_caller]
    #[must_use]
    pub fn start(program: Program) -> Server {
        let mut running = program.start();
        let port = running.line("127.0.0.1:", SOON);
        Server { running, address: format!("127.0.0.1:{port}") }
    }

    /// Where it listens, as `127.0.0.1:40123`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits until the server has received a call that it told of with this text in the line, a trace id for example, and
    /// returns what it told.
    ///
    /// # Panics
    /// When it has not, within a minute.
    #[track_caller]
    #[must_use]
    pub fn received(&self, text: &str) -> Value {
        eventually(&format!("a call with {text} to the server"), SOON, || {
            let lines = self.running.lines();
            let call = lines.iter().find(|line| line.starts_with('{') && line.contains(text));
            serde_json::from_str(call?).ok()
        })
    }
}
