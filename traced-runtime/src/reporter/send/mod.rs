//! From encoded spans to a transport.

use std::error::Error;
use std::fmt;
use std::time::Duration;

#[cfg(feature = "collector")]
mod host;
#[cfg(feature = "collector")]
pub(crate) mod http;
#[cfg(feature = "collector")]
mod http_date;
#[cfg(feature = "collector")]
pub(crate) mod page;
#[cfg(feature = "collector")]
mod target;

/// Takes encoded spans to a collector.
///
/// The default is HTTP. Its method runs on the tracer's own thread and may block or panic, as a
/// [`Reporter`](crate::reporter::backend::Reporter)'s may.
pub trait Sender: Send + 'static {
    /// Sends one body: a list of spans in Zipkin's JSON format, version 2, of at most `batch_bytes`.
    ///
    /// # Errors
    /// The error says what becomes of the spans: see the constructors of [`SendError`].
    fn send(&mut self, body: &[u8]) -> Result<(), SendError>;
}

/// Why a body was not delivered, and what is to become of its spans.
#[derive(Debug)]
pub struct SendError {
    pub(crate) fate: Fate,
    /// Nobody answered, as far as is known: the address may be wrong.
    pub(crate) no_answer: bool,
    /// The status of an HTTP collector's answer.
    pub(crate) status: Option<u16>,
    source: Box<dyn Error + Send + Sync>,
}

/// What becomes of the spans of a body that was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Sent again later; at shutdown as often as the deadline allows.
    Retry {
        /// The collector's own wish.
        after: Option<Duration>,
    },
    /// Sent again later; at shutdown once only.
    Unreachable,
    /// Some span of the body is at fault: halved until it is found.
    Rejected,
    /// Halved until it fits.
    TooLarge,
    /// Dropped, or spooled: whatever is sent there meets the same answer.
    Refused,
    /// Dropped: the sender or reporter itself failed.
    Failed,
}

impl SendError {
    fn new(fate: Fate, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { fate, no_answer: fate == Fate::Unreachable, status: None, source: source.into() }
    }

    /// An HTTP collector answered so.
    #[cfg(any(test, feature = "collector"))]
    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Whether the collector itself said that it cannot take spans now.
    pub(crate) const fn is_wish(&self) -> bool {
        match self.fate {
            Fate::Retry { after } => after.is_some() || self.status.is_some(),
            _ => false,
        }
    }

    /// Nobody is there: the body is kept and sent again with growing pauses. At shutdown there is one last attempt.
    #[must_use]
    pub fn unreachable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Fate::Unreachable, source)
    }

    /// It may work later, as after a time-out or HTTP's 429 and 503: the body is kept and sent again with growing pauses,
    /// at shutdown until its deadline.
    #[must_use]
    pub fn retry(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Fate::Retry { after: None }, source)
    }

    /// As [`retry`](Self::retry), and not before this time has passed. More than five minutes count as five. A shutdown that
    /// ends before that makes one last attempt; what it does not deliver is dropped as
    /// [unavailable](crate::DropReason::Unavailable).
    #[must_use]
    pub fn retry_after(source: impl Into<Box<dyn Error + Send + Sync>>, after: Duration) -> Self {
        Self::new(Fate::Retry { after: Some(after) }, source)
    }

    /// The collector does not like what the body says, as with HTTP's 400: the body is halved until the spans at fault are
    /// found, and they are dropped.
    #[must_use]
    pub fn rejected(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Fate::Rejected, source)
    }

    /// The body has too many bytes, as with HTTP's 413: it is halved until it fits. A span too large by itself is sent without
    /// its tags and annotations, and dropped if that is too large, too.
    #[must_use]
    pub fn too_large(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Fate::TooLarge, source)
    }

    /// The collector takes nothing from here, as with HTTP's 401 and 404: all spans of the body are dropped as rejected. With
    /// a spool they are kept, and sent again with growing pauses: somebody may set it right.
    #[must_use]
    pub fn refused(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Fate::Refused, source)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}
