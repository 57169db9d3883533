//! The HTTP layers between real servers and clients.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod server;

mod bad_input;
mod bodies;
mod callers;
mod clients;
mod endings;
mod layers;
mod names;
mod redirects;
mod traces;
