//! Follow one request through every function of a service, and see it in [Zipkin](https://zipkin.io).
//!
//! ```
//! use traced_runtime::traced;
//!
//! #[traced(tags("user.id" = id))]
//! async fn load_user(id: u64) -> Result<String, std::fmt::Error> {
//!     Ok(format!("user {id}"))
//! }
//!
//! fn main() {
//!     let _tracing = traced_runtime::init("user-service");
//!     // … an executor that runs `load_user(7)`
//! }
//! ```
//!
//! [`traced`] opens a span around a function. Its parent is the span that is current when it is called: of the thread, or of
//! the task while that is polled. Where nothing is current it starts a trace, as the installed tracer's [`Sampler`]
//! decides. The span ends with the function, and knows whether it returned, failed, panicked or was cancelled.
//!
//! | for | there is |
//! |---|---|
//! | setting up | [`init`], [`Tracer::builder`], [`Installed`] |
//! | functions | [`traced`] |
//! | a part of a function | [`span!`] |
//! | work that is no function | [`Span`] |
//! | what happened inside | [`tag`], [`annotate`], [`error`], [`remote`], [`Context::current`] |
//! | other threads | [`Context::wrap`], [`Context::run`], [`Context::attach`] |
//! | futures and streams | [`InContext`] |
//! | other processes | [`Context::inject`], [`Tracer::extract`], [`Span::client`], [`Span::server`], [`Propagation`] |
//! | log lines | [`Context`] displays as `trace-span` |
//! | a backend of one's own | [`Reporter`], [`Sender`] |
//! | tests | the module `testing` (feature `testing`) |
//!
//! # What it promises to the traced program
//! Recording does not panic, block or grow without bound on the program's threads: what cannot be recorded is counted, by
//! reason, in [`Tally`]. Nothing is recorded that is not named. Recording a span allocates nothing, but for texts over
//! 512 bytes; [`limits`] has the bounds of what a span may hold.
//!
//! # What it does not do
//! It knows no levels, no links between spans and no filters by callsite; it records no argument by itself. With `panic = "abort"` a panic loses what is not sent. `std::process::exit`
//! runs no destructors: see [`Tracer::shutdown`]. Recording is not for signal handlers, because it may allocate: what a
//! handler records while its thread records is dropped, as [`DropReason::Reentrant`].
//!
//! Not in this release, with the seams kept: Kafka as a transport (implement [`Sender`]), Zipkin's proto3 encoding, and policies
//! that decide when the local root ends (keep errors, keep what is slow).
//!
//! # Other names
//! Generated code names `::traced_runtime`. A crate that knows it under another name says so in its root, `extern crate traced
//! as traced_runtime;`, or in an attribute, `#[traced(crate = ::acme::traced)]`.
//!
//! # Features
//! `collector` (default): sends to a Zipkin collector over HTTP. `gzip`: compresses what is sent. `spool`: keeps in files what
//! cannot be sent. `tree` (default): prints finished traces in the terminal. `tls`: collectors behind `https://`, with the system's roots. `http`: `http::HeaderMap` as a [`Carrier`].
//! `stream`: [`InContext`] for streams. `testing`: the test kit. A library that only annotates needs none
//! of them.

// Generated code names this crate by its own name, here, too.
extern crate self as traced_runtime;

#[doc(hidden)]
#[path = "private/mod.rs"]
pub mod __private;
mod context;
#[cfg(traced_fuzz)]
#[doc(hidden)]
pub mod fuzz;
mod model;
mod process;
mod propagation;
mod recorder;
mod reporter;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tracer;

/// The bounds of what is kept of a span. What is beyond them is counted, in [`Stats`] or [`Tally`].
pub mod limits {
    pub use crate::model::limits::{DEPTH, KEY_BYTES, VALUE_BYTES};
    pub use crate::propagation::baggage::{BAGGAGE_BYTES, BAGGAGE_FIELDS, SENT_BAGGAGE_BYTES};
    pub use crate::propagation::w3c::{TRACE_STATE_BYTES, TRACE_STATE_MEMBERS};
    pub use crate::reporter::details::SPAN_BYTES;
}

pub use context::future::{InContext, WithContext, WithSpan};
pub use context::span::{Span, SpanScope};
pub use context::value::{Tag, Value};
pub use context::{Context, Parent, Sampling, Scope, annotate, error, remote, tag};
pub use model::endpoint::Endpoint;
pub use model::id::{SpanId, TraceId};
pub use model::kind::{Kind, Outcome};
pub use model::loss::DropReason;
pub use process::notice::{Notice, NoticeKind};
pub use propagation::baggage::BaggageField;
pub use propagation::carrier::{Carrier, CarrierMut};
pub use propagation::{Propagation, RemoteSampling, ServerSpan};
pub use recorder::sampler::Sampler;
pub use reporter::attributes::TagValue;
pub use reporter::backend::{ReportError, Reporter};
pub use reporter::open::OpenSpan;
pub use reporter::record::SpanRecord;
pub use reporter::send::{SendError, Sender};
pub use reporter::stats::{Adopted, Stats, Tally};
#[doc(inline)]
pub use traced_macros::traced;
pub use tracer::builder::Builder;
pub use tracer::error::ConfigError;
pub use tracer::handle::{Installed, Tracer, init};
