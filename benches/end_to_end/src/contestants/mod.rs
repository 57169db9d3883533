//! Who is measured, each with what its documentation recommends for Zipkin.

#[cfg(feature = "peers")]
mod batches;
#[cfg(feature = "peers")]
mod fastrace;
mod traced;
#[cfg(feature = "peers")]
mod tracing;
#[cfg(feature = "peers")]
mod zipkin;

/// How a contestant is called, and how it is started.
pub struct Entry {
    pub name: &'static str,
    /// What the table says it is.
    pub title: &'static str,
    /// Starts it, with the collector's address. What it gives hands over everything, and stops.
    pub start: fn(&str) -> Box<dyn FnOnce()>,
    /// Makes one trace.
    pub trace: fn(),
}

/// All of them.
pub const ALL: &[Entry] = &[
    Entry { name: "traced", title: "traced", start: traced::start, trace: traced::trace },
    #[cfg(feature = "peers")]
    Entry {
        name: "fastrace",
        title: "fastrace, with a reporter of ours",
        start: fastrace::start,
        trace: fastrace::trace,
    },
    #[cfg(feature = "peers")]
    Entry {
        name: "zipkin",
        title: "palantir zipkin, with a reporter of ours",
        start: zipkin::start,
        trace: zipkin::trace,
    },
    #[cfg(feature = "peers")]
    Entry {
        name: "tracing",
        title: "tracing + OpenTelemetry, opentelemetry-zipkin",
        start: tracing::start,
        trace: tracing::trace,
    },
];
