//! What role a span plays between processes, and how it ended.

/// The role of a span in a conversation between processes; a span without one is local.
///
/// The four kinds are [Zipkin's](https://zipkin.io/zipkin-api/).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sends a request and waits for the response.
    Client,
    /// Handles a request.
    Server,
    /// Puts a message somewhere.
    Producer,
    /// Takes a message from somewhere.
    Consumer,
}

impl Kind {
    /// As Zipkin's wire format writes it: upper case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "CLIENT",
            Self::Server => "SERVER",
            Self::Producer => "PRODUCER",
            Self::Consumer => "CONSUMER",
        }
    }
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Its code ran to the end.
    #[default]
    Returned,
    /// It returned an error, or one was reported on it.
    Error,
    /// A panic began inside it and left through it.
    Panicked,
    /// Its future was dropped before it was done: an ordinary ending, not an error.
    Cancelled,
    /// It had not ended when it was reported: at shutdown, or when its thread ended.
    Unfinished,
}
