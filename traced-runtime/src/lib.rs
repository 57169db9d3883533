//! Follow one request through every function and every process, and see it in Zipkin.

mod recorder;
mod reporter;
mod tracer;
