//! For tests: a tracer of the test's own, with spans as records and as a tree.
//!
//! It has its own logs, clock and ids and no thread, so that tests run in parallel and give the same result each time.
//!
//! ```
//! use traced_runtime::{span, testing};
//!
//! let tracer = testing::Tracer::new();
//! tracer.run(|| {
//!     let _checkout = span!("checkout");
//!     let _pay = span!("pay", "attempts" = 2);
//! });
//! tracer.assert_tree("
//!     checkout
//!     └─ pay  attempts=2
//! ");
//! ```

mod diff;

use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::context::future::{InContext, WithContext};
use crate::model::endpoint::Endpoint;
use crate::propagation::Crossing;
use crate::propagation::{Propagation, ServerSpan};
use crate::recorder::clock::Clock;
use crate::recorder::position;
use crate::recorder::sampler::Sampler;
use crate::recorder::slot::SlotSettings;
use crate::reporter::record::SpanRecord;
use crate::reporter::tree;
use crate::tracer::builder::Builder;
use crate::tracer::core::Core;
use crate::tracer::error::ConfigError;
use crate::tracer::handle;

/// The time at which a test's clock stands at first: 2023-11-14 22:13:20 UTC, in nanoseconds since the epoch.
const START: u64 = 1_700_000_000_000_000_000;

/// Lets all logs of the process come to the ends of their ranges of positions every few chunks, where they would do so
/// once in a terabyte. For tests of this crate.
#[doc(hidden)]
pub fn shorten_ranges() {
    position::OF_PROCESS.begin_before_the_end(48 << 10);
}

/// A tracer for one test. It derefs to [`traced_runtime::Tracer`](crate::Tracer).
///
/// Its clock moves by [`advance`](Self::advance), and by a nanosecond at each reading. Its ids are the same in each run, as long as the test itself does
/// the same in the same order. Nothing of it is shared with other tests; no thread is started: spans are put together
/// where they are asked for.
#[derive(Debug)]
pub struct Tracer {
    tracer: handle::Tracer,
    clock: Arc<AtomicU64>,
}

/// How a test's tracer differs from [`Tracer::new`].
#[derive(Debug)]
pub struct Options {
    service: String,
    log_bytes: usize,
    settings: SlotSettings,
    crossing: Crossing,
}

impl Options {
    /// The name of the service. Tracers with different names make different ids.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = name.into();
        self
    }

    /// The sampler.
    #[must_use]
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.settings.sampler = sampler;
        self
    }

    /// What threads may log before it is read, in bytes.
    #[must_use]
    pub const fn log_bytes(mut self, bytes: usize) -> Self {
        self.log_bytes = bytes;
        self
    }

    /// Trace ids of 64 bits.
    #[must_use]
    pub const fn trace_id_64(mut self) -> Self {
        self.settings.short_trace_ids = true;
        self
    }

    /// The formats in which contexts are read and written.
    #[must_use]
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.crossing.propagation = propagation;
        self
    }

    /// Whether server spans join those of clients.
    #[must_use]
    pub const fn server_span(mut self, server_span: ServerSpan) -> Self {
        self.crossing.server_span = server_span;
        self
    }

    /// No function starts a trace by itself.
    #[must_use]
    pub const fn require_parent(mut self) -> Self {
        self.settings.require_parent = true;
        self
    }

    #[cfg(test)]
    pub(crate) fn slot_settings(self) -> SlotSettings {
        self.settings
    }

    /// The tracer.
    ///
    /// # Errors
    /// There are 1,024 tracers in this process already.
    pub fn build(mut self) -> Result<Tracer, ConfigError> {
        // Two services of one test do not share ids.
        let mut seed = std::hash::DefaultHasher::new();
        self.service.hash(&mut seed);
        self.settings.counted_ids = Some(seed.finish().max(1));
        let clock = Arc::new(AtomicU64::new(START));
        let endpoint = Endpoint::named(self.service);
        let core = Core::of_test(Clock::Manual(clock.clone()), self.log_bytes, self.settings, endpoint, self.crossing)?;
        Ok(Tracer { tracer: handle::Tracer::from_core(core), clock })
    }
}

impl Tracer {
    /// A tracer that records everything, for the service `test`.
    ///
    /// # Panics
    /// There are 1,024 tracers in this process already.
    #[must_use]
    #[expect(clippy::panic, reason = "in a test a panic is the message")]
    pub fn new() -> Self {
        Self::options().build().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Settings for a tracer that is not like [`new`](Self::new).
    #[must_use]
    pub fn options() -> Options {
        let settings = SlotSettings {
            sampler: Sampler::always(),
            require_parent: false,
            short_trace_ids: false,
            counted_ids: None,
            crosses_forks: false,
        };
        Options { service: "test".to_owned(), log_bytes: Builder::LOG_BYTES, settings, crossing: Crossing::default() }
    }

    /// Runs `code` with this tracer as the one that starts traces, on this thread.
    pub fn run<R>(&self, code: impl FnOnce() -> R) -> R {
        self.context().run(code)
    }

    /// Runs a future with this tracer as the one that starts traces, wherever it is polled.
    pub fn run_async<F: Future>(&self, future: F) -> WithContext<F> {
        future.in_context(self.context())
    }

    /// Moves the clock.
    pub fn advance(&self, time: Duration) {
        self.clock.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn loose_bytes(&self) -> usize {
        self.core().loose_bytes()
    }

    /// Logs that are kept.
    #[cfg(test)]
    pub(crate) fn logs(&self) -> usize {
        self.core().logs()
    }

    /// All spans that have ended so far, in the order in which their ends were read.
    #[must_use]
    pub fn spans(&self) -> Vec<SpanRecord> {
        self.core().flush(Instant::now());
        self.core().pipeline().records()
    }

    /// Forgets the spans so far.
    pub fn clear(&self) {
        self.core().flush(Instant::now());
        drop(self.core().pipeline().take());
    }

    /// All spans that have ended so far, as trees.
    #[must_use]
    pub fn tree(&self) -> Tree {
        Tree { spans: self.spans(), sorted: false }
    }

    /// Compares the spans so far with a tree written as text: one line for each span, with its name, kind, tags,
    /// annotations and error; indentation in common does not count.
    ///
    /// # Panics
    /// They differ; the message shows how.
    #[track_caller]
    pub fn assert_tree(&self, expected: &str) {
        self.tree().assert(expected);
    }
}

impl Default for Tracer {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Tracer {
    type Target = handle::Tracer;

    fn deref(&self) -> &handle::Tracer {
        &self.tracer
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.tracer.shutdown(Duration::ZERO);
    }
}

/// Spans as trees; it displays as text.
#[derive(Clone, Debug)]
pub struct Tree {
    spans: Vec<SpanRecord>,
    sorted: bool,
}

impl Tree {
    /// The same with siblings in the order of their text: for those that run at the same time.
    #[must_use]
    pub const fn sorted(mut self) -> Self {
        self.sorted = true;
        self
    }

    /// Compares it with a tree written as text.
    ///
    /// # Panics
    /// They differ; the message shows how.
    #[track_caller]
    #[expect(clippy::panic, reason = "in a test a panic is the message")]
    pub fn assert(&self, expected: &str) {
        if let Some(difference) = diff::difference(expected, &self.to_string()) {
            panic!("the trace is not as expected (- expected, + recorded):\n{difference}");
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tree = tree::Tree::new(&self.spans);
        if self.sorted {
            tree.sort_by_text();
        }
        f.write_str(&tree.plain())
    }
}
