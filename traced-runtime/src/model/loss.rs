//! Why spans are lost.

use std::fmt;

/// Why a span was recorded and not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DropReason {
    /// The byte budget of the process's logs was used up (`log_bytes`).
    LogFull,
    /// Too many spans were open on one thread.
    TooDeep,
    /// Its thread had ended, or was just ending.
    ThreadEnded,
    /// It was recorded inside a recording of the same thread: by an allocator, or by a signal handler that interrupted one.
    Reentrant,
    /// The queue was full although the backend answered (`queue_bytes`): it is too slow, or the spans are too many.
    QueueFull,
    /// The backend could not be reached, or failed for a while.
    Unreachable,
    /// The collector answered that it cannot take spans now, as HTTP's 429 and 503 say.
    Unavailable,
    /// The backend read the span and refused it.
    Rejected,
    /// It alone was too large for a request (`batch_bytes`), even without all tags and annotations, or for the collector.
    TooLarge,
    /// The spool was full, and it was the oldest in it (`spool_bytes`).
    SpoolFull,
    /// It was in the spool, and its file could not be read back, or somebody removed it.
    SpoolDamaged,
    /// A reporter returned an error that is not to be retried, or panicked.
    ReporterFailed,
    /// The builder's `redact` hook panicked on it.
    RedactionFailed,
    /// It was not sent when the deadline of shutdown passed, or it ended after shutdown.
    Deadline,
}

impl DropReason {
    /// Every reason, in the order in which [`Tally`](crate::Tally) lists them.
    pub const ALL: [Self; 14] = [
        Self::LogFull,
        Self::TooDeep,
        Self::ThreadEnded,
        Self::Reentrant,
        Self::QueueFull,
        Self::Unreachable,
        Self::Unavailable,
        Self::Rejected,
        Self::TooLarge,
        Self::SpoolFull,
        Self::SpoolDamaged,
        Self::ReporterFailed,
        Self::RedactionFailed,
        Self::Deadline,
    ];

    /// The reason in a few words, as summaries print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LogFull => "log full",
            Self::TooDeep => "too deep",
            Self::ThreadEnded => "thread ended",
            Self::Reentrant => "reentrant",
            Self::QueueFull => "queue full",
            Self::Unreachable => "unreachable",
            Self::Unavailable => "unavailable",
            Self::Rejected => "rejected",
            Self::TooLarge => "too large",
            Self::SpoolFull => "spool full",
            Self::SpoolDamaged => "spool damaged",
            Self::ReporterFailed => "reporter failed",
            Self::RedactionFailed => "redaction failed",
            Self::Deadline => "shutdown deadline",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
