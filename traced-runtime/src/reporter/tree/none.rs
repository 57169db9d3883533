//! The terminal of a build without the feature `tree`: there is none.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::reporter::drain::Drain;
use crate::reporter::pipeline::AcceptHook;
use crate::reporter::record::SpanRecord;
use crate::reporter::redaction::Redaction;

/// No tracer has one.
#[derive(Debug)]
pub(crate) enum Terminal {}

/// Nothing is printed.
#[derive(Debug)]
pub(crate) enum Printed {}

impl Terminal {
    pub(crate) fn of_process(_: &Arc<Drain>, _: Option<Redaction>) -> io::Result<Self> {
        Err(io::Error::other("trees need the feature `tree` of traced-runtime"))
    }

    #[cfg(unix)]
    pub(crate) const fn forget_parents() {}

    pub(crate) fn print(&self, _: Vec<SpanRecord>) {
        match *self {}
    }

    pub(crate) fn links(&self, _: &str, _: Asks) -> Option<AcceptHook> {
        match *self {}
    }

    pub(crate) fn flush(&self) -> Printed {
        match *self {}
    }

    pub(crate) fn finish(&self) -> Printed {
        match *self {}
    }

    pub(crate) fn is_here(&self) -> bool {
        match *self {}
    }
}

impl Printed {
    pub(crate) fn wait(&self, _: Instant) {
        match *self {}
    }
}

/// Asks whether a page is there; `None` when no answer came.
pub(crate) type Asks = Box<dyn Fn(&str) -> Option<bool> + Send>;
