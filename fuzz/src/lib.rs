//! Fuzz targets: what parses foreign input, and what others parse of ours.
//!
//! A target is a function of bytes that panics when something does not hold.

pub mod headers;
pub mod json;
pub mod mutate;
pub mod spool;

/// A target, and what its inputs are made of.
#[derive(Debug)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Valid inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What is worth putting in.
    pub words: &'static [&'static [u8]],
}

pub const TARGETS: [Target; 3] = [
    Target { name: "headers", run: headers::run, seeds: headers::seeds, words: headers::WORDS },
    Target { name: "json", run: json::run, seeds: json::seeds, words: json::WORDS },
    Target { name: "spool", run: spool::run, seeds: spool::seeds, words: spool::WORDS },
];
