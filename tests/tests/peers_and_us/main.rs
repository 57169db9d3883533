//! Calls between us and peers: each must leave in Zipkin what two peers of that kind leave there.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod brave;
mod broken;
mod cache;
mod example;
mod go;
mod http;
mod ours;
mod wire;
mod zipkin_go;

use std::time::Duration;

use serde_json::Value;
use traced_runtime::{BaggageField, Builder, Context, Propagation, Tracer};
use traced_tests::Zipkin;
use traced_tests::peers::Shape;

const SOON: Duration = Duration::from_secs(60);

/// The header that baggage crosses in, for Brave: OpenTracing's.
const TENANT: &str = "--baggage-key=tenant=ot-baggage-tenant";

/// One thread and the test's.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A tracer that reports to Zipkin, and lets baggage cross in the headers of OpenTracing and of older Brave.
fn tracer(zipkin: &Zipkin, service: &str) -> Builder {
    let tenant = BaggageField::new("tenant").header("ot-baggage-tenant").header("baggage-tenant");
    Tracer::builder(service)
        .collector(zipkin.spans_url())
        .linger(Duration::from_millis(10))
        .propagation(Propagation::b3().and(Propagation::w3c()).baggage([tenant]))
}

/// The spans of the trace that a client tells of.
#[track_caller]
fn trace(zipkin: &Zipkin, told: &Value, spans: usize) -> Vec<Value> {
    zipkin.wait_for_trace(told["trace"].as_str().unwrap(), spans)
}

#[track_caller]
fn shape(zipkin: &Zipkin, told: &Value, spans: usize) -> Shape {
    Shape::of(&trace(zipkin, told, spans))
}

/// The id of a context's trace, as a peer would tell of it.
fn trace_id(context: &Context) -> String {
    context.trace_id().unwrap().to_string()
}
