//! The HTTP layers between real servers and clients.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod server;

mod names;
