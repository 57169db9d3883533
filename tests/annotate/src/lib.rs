//! Puts `#[traced]` on every function of a crate, and proves with the crate's own tests that nothing else changed.
//!
//! - [`Source`]: one file: where the attributes go, and what is left out
//! - [`Package`]: a crate in a folder: its files, its `Cargo.toml`
//! - [`Run`]: what `cargo test` said: each test, each warning, the spans
//! - [`Proof`]: a run before and a run after, and what differs
//! - [`crates`]: the list of crates from the registry
//! - [`report`]: all proofs as text
#![expect(clippy::missing_errors_doc, reason = "an error says what was attempted")]

pub mod crates;
mod package;
mod proof;
pub mod report;
mod run;
mod source;

pub use package::{Annotated, Package, Traced};
pub use proof::{Difference, Proof};
pub use run::{Outcome, Run, Spans, TestName};
pub use source::{LeftOut, Source};

/// What went wrong, where.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// An error with the place where it happened in front.
fn at(place: impl std::fmt::Display, error: impl std::fmt::Display) -> Error {
    format!("{place}: {error}").into()
}
