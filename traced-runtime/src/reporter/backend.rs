//! A backend of one's own: finished spans, handed over as they are.

use std::error::Error;
use std::fmt;
use std::time::Instant;

use crate::reporter::record::SpanRecord;

/// A backend that takes finished spans instead of a Zipkin collector.
///
/// Its methods run on the tracer's own thread, one at a time, and nothing is traced there. They may block: meanwhile
/// spans wait in the queue, which is bounded by `queue_bytes`. They may panic: the batch is dropped, counted, and the
/// next one is tried. Once the tracer's shutdown has given up on it, what it still returns is not counted any more.
///
/// ```
/// use traced_runtime::{ReportError, Reporter, SpanRecord, Tracer};
///
/// struct Stdout;
///
/// impl Reporter for Stdout {
///     fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
///         for span in batch {
///             println!("{} {:?}", span.name(), span.duration());
///         }
///         Ok(())
///     }
/// }
///
/// let _tracing = Tracer::builder("svc").reporter(Stdout).install()?;
/// # Ok::<(), traced_runtime::ConfigError>(())
/// ```
pub trait Reporter: Send + 'static {
    /// Takes a batch: one span or more, up to `batch_bytes` of memory. `Ok` counts all of them as sent.
    ///
    /// # Errors
    /// [`ReportError::retry`] keeps the batch, and it is reported again after a while; any other error drops it.
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError>;

    /// Passes on what the reporter itself still holds. Called for each flush of the tracer and once at its shutdown,
    /// after the spans of that flush were reported.
    ///
    /// # Errors
    /// An error is told to the notice hook; it changes no count, as the spans were counted by [`report`](Self::report).
    fn flush(&mut self, deadline: Instant) -> Result<(), ReportError> {
        let _ = deadline;
        Ok(())
    }
}

/// Why a [`Reporter`] could not take a batch, and whether it is worth another try.
#[derive(Debug)]
pub struct ReportError {
    source: Box<dyn Error + Send + Sync>,
    retry: bool,
}

impl ReportError {
    /// An error that another try would only repeat: the batch is dropped.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into(), retry: false }
    }

    /// An error that may pass: the batch is kept and reported again.
    #[must_use]
    pub fn retry(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into(), retry: true }
    }

    /// Whether the batch is to be reported again.
    #[must_use]
    pub const fn is_retry(&self) -> bool {
        self.retry
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

/// As for `Box<dyn Error>`, the price of this conversion is that `ReportError` itself is no [`Error`].
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for ReportError {
    fn from(source: E) -> Self {
        Self::new(source)
    }
}
