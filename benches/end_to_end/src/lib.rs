//! What a span costs the process that makes it, on its way from the function to a collector that counts.
//!
//! Two threads make traces: a root and twenty children with two tags each. Spans go as Zipkin JSON over HTTP to another process
//! on the same machine ([`sink`]). The driver (`end_to_end`) starts both for each measurement and writes the table.

pub mod contestants;
pub mod produce;
pub mod sink;
