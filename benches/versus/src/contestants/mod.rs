//! Who is measured: each module writes the scenarios in its library's own way, as its documentation recommends.

#[cfg(feature = "peers")]
pub mod fastrace;
pub mod floor;
#[cfg(feature = "peers")]
pub mod micromegas;
#[cfg(feature = "peers")]
pub mod opentelemetry;
#[cfg(feature = "peers")]
pub mod puffin;
pub mod traced;
#[cfg(feature = "peers")]
pub mod tracing;
#[cfg(feature = "peers")]
pub mod tracy;
#[cfg(feature = "peers")]
pub mod zipkin;

use std::fmt;

use crate::scenario::Scenario;

/// A library, or a floor, made ready for a scenario.
pub struct Contestant {
    /// Runs so many traces.
    pub run: fn(traces: u32),
    /// Hands everything that has ended to the backend, and waits until it is there.
    pub settle: fn(),
    /// Stops, and tells what arrived.
    pub finish: Box<dyn FnOnce() -> Arrived>,
}

/// What became of the spans.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrived {
    /// Spans that the backend was given; `None` where nobody knows.
    pub delivered: Option<u64>,
    /// Spans that the library says it dropped; what it does not count shows in `delivered`.
    pub dropped: u64,
}

/// How a contestant is called, and how it is started; `None`: it has no such scenario.
pub struct Entry {
    pub name: &'static str,
    /// What the table says it is.
    pub title: &'static str,
    /// Crates whose versions the table tells.
    pub crates: &'static [&'static str],
    pub start: fn(Scenario) -> Option<Contestant>,
}

/// All of them, in the order of the table.
pub const ALL: &[Entry] = &[
    Entry { name: "F1", title: "F1", crates: &[], start: floor::f1 },
    Entry { name: "F4", title: "F4", crates: &[], start: floor::f4 },
    Entry { name: "traced", title: "traced", crates: &["traced-runtime"], start: traced::start },
    #[cfg(feature = "peers")]
    Entry {
        name: "micromegas",
        title: "micromegas-tracing",
        crates: &["micromegas-tracing"],
        start: micromegas::start,
    },
    #[cfg(feature = "peers")]
    Entry { name: "fastrace", title: "fastrace", crates: &["fastrace"], start: fastrace::start },
    #[cfg(feature = "peers")]
    Entry { name: "puffin", title: "puffin", crates: &["puffin"], start: puffin::start },
    #[cfg(feature = "peers")]
    Entry { name: "tracy", title: "Tracy", crates: &["tracy-client"], start: tracy::start },
    #[cfg(feature = "peers")]
    Entry { name: "zipkin", title: "palantir zipkin", crates: &["zipkin"], start: zipkin::start },
    #[cfg(feature = "peers")]
    Entry {
        name: "opentelemetry",
        title: "OpenTelemetry SDK",
        crates: &["opentelemetry_sdk"],
        start: opentelemetry::start,
    },
    #[cfg(feature = "peers")]
    Entry {
        name: "tracing",
        title: "tracing + OpenTelemetry",
        crates: &["tracing", "tracing-opentelemetry"],
        start: tracing::start,
    },
];

/// The contestant of this name.
pub fn named(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name)
}

/// What the formatted tag formats: two integers and a dot.
#[derive(Clone, Copy, Debug)]
pub struct Version(pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}
