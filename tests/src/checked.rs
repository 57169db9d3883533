//! A tracer for one test, which is checked when the test is over.

use std::collections::HashSet;
use std::future::Future;
use std::ops::Deref;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use traced_runtime::testing::{Options, Tracer};
use traced_runtime::{SpanRecord, Stats};

/// A test's tracer. When it is dropped it is shut down, and then every span must have been counted and reported once.
#[derive(Debug, Default)]
pub struct Checked(Tracer);

impl Checked {
    /// One that records everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One with these settings.
    ///
    /// # Panics
    /// Too many tracers are alive.
    #[must_use]
    pub fn with(options: Options) -> Self {
        Self(options.build().unwrap_or_else(|error| panic!("{error}")))
    }

    /// The only span of this name.
    ///
    /// # Panics
    /// There is none, or there are several.
    #[must_use]
    #[track_caller]
    pub fn span(&self, name: &str) -> SpanRecord {
        let spans = self.spans();
        let mut found = spans.iter().filter(|span| span.name() == name);
        let span = found.next().unwrap_or_else(|| panic!("no span {name} in\n{}", self.tree()));
        assert!(found.next().is_none(), "several spans {name} in\n{}", self.tree());
        span.clone()
    }

    /// The names of all spans in the order in which their ends were read.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.spans().iter().map(|span| span.name().into_owned()).collect()
    }

    /// Shuts down, checks, and tells how things stand.
    ///
    /// # Panics
    /// The counts do not add up, or a span was reported twice.
    #[track_caller]
    pub fn end(&self) -> Stats {
        let before = self.flush(Duration::ZERO);
        assert!(before.is_conserved(), "{before:?}");
        let tally = self.shutdown(Duration::ZERO);
        assert!(tally.is_conserved(), "{tally:?}");
        assert_eq!(tally.queued(), 0, "nothing is left behind: {tally:?}");
        let spans = self.spans();
        let mut seen = HashSet::new();
        for span in &spans {
            let id = (span.trace_id(), span.id(), span.is_shared());
            assert!(seen.insert(id), "{} was reported twice:\n{}", span.name(), self.tree());
        }
        assert!(spans.len() as u64 <= tally.sent(), "{} spans, {tally:?}", spans.len());
        self.stats()
    }
}

impl Deref for Checked {
    type Target = Tracer;

    fn deref(&self) -> &Tracer {
        &self.0
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

/// Polls a future until it is ready: for one that waits for nobody.
pub fn now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(out) = future.as_mut().poll(&mut context) {
            return out;
        }
    }
}
