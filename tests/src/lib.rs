//! Helpers of the tests: real peers, programs of their own, and what came out of them.
//!
//! A helper that cannot do its work panics, and so fails the test that asked. A peer whose tools are missing is skipped
//! with one line on stderr, or, with `TRACED_REQUIRE_PEERS=1`, a panic.
//!
//! - [`Zipkin`]: the real server, started and stopped here, and its query API
//! - [`TraceTree`]: a trace of its JSON as a tree of text
//! - [`Collector`]: a collector that answers as it is told, and remembers what it received
//! - [`Program`]: an example of the workspace, run as a process of its own
//! - [`Process`]: any child process, which ends with its owner
//! - [`peer`]: what a test needs of the machine: tools and downloads
//! - [`peers`]: programs with other tracers, as servers and as clients
//! - [`Checked`]: a tracer for one test, which checks at its end that each span was counted and reported once
//! - [`Keep`]: a reporter that keeps what it is given
//! - [`random`]: random numbers that are the same in each run
//! - [`now`]: polls a future that waits for nobody
//! - [`fixture`]: packages that tests write, for the compiler to speak about
//! - [`eventually`]: the one place that waits by time
#![expect(clippy::panic, reason = "a helper that cannot do its work fails the test that asked")]

mod checked;
mod collector;
pub mod fixture;
mod keep;
pub mod peer;
pub mod peers;
mod process;
mod program;
pub mod random;
pub mod tags;
mod tree;
mod wait;
mod zipkin;

pub use checked::{Checked, now};
pub use collector::{Answer, Collector, Received};
pub use keep::Keep;
pub use process::Process;
pub use program::{Output, Program, Running};
pub use tree::TraceTree;
pub use wait::eventually;
pub use zipkin::{Metrics, Zipkin, ZipkinOptions};

/// The code of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
