//! Measures what a span costs the thread that makes it: traced beside floors and peers, all in one run.
//!
//! Every measurement is a process of its own (`measure`, and `allocations` with a counting allocator); the driver
//! (`versus`) interleaves them and writes the table. A new scenario is a variant of [`scenario::Scenario`] and an arm in
//! each contestant; a new peer is a module in [`contestants`] and a line in [`contestants::ALL`].

pub mod contestants;
pub mod executor;
pub mod instructions;
pub mod machine;
pub mod measure;
pub mod programs;
pub mod scenario;
pub mod table;
