//! Why a tracer cannot be set up as asked.

use std::fmt;
use std::time::Duration;

/// A tracer cannot be set up as asked: its message says which setting or variable, with its value, and what to do.
///
/// Only settings that were written in the program give one: a malformed environment variable is told as a notice, and the
/// default takes its place.
pub struct ConfigError {
    kind: Kind,
}

/// What is wrong.
#[derive(Debug)]
pub(crate) enum Kind {
    #[cfg(any(test, feature = "collector"))]
    /// The collector's URL cannot be used.
    Collector {
        /// With the URL, without what is secret in it, and what to do.
        problem: String,
    },
    /// A tracer without a service name.
    NoServiceName,
    /// A service name longer than storage behind Zipkin takes.
    LongServiceName { bytes: usize, limit: usize },
    /// A sampler's ratio that is no share.
    Ratio { share: f64 },
    /// A field of baggage whose name cannot be a header.
    Baggage { problem: String },
    /// A bound or time of nothing.
    Zero { setting: &'static str },
    /// A time that can only be a mistake.
    TooLong { setting: &'static str, given: Duration, limit: Duration },
    /// A full batch would not fit into the queue.
    BatchOverQueue { batch: usize, queue: usize },
    /// Two places for spans to go to.
    TwoBackends { first: &'static str, second: &'static str },
    /// A spool without a directory.
    #[cfg(feature = "spool")]
    NoSpool,
    /// A spool in which everybody may move and remove what is in it.
    #[cfg(feature = "spool")]
    OpenSpool { directory: std::path::PathBuf, problem: String },
    /// A full batch would make a file that is not read back.
    #[cfg(feature = "spool")]
    BatchOverFile { batch: usize, most: u64 },
    /// A spool that does not hold two batches.
    #[cfg(feature = "spool")]
    SmallSpool { bytes: u64, least: u64 },
    /// The process's default tracer is there already.
    Installed { service: String },
    /// The process's log has another size already.
    LogBytes { given: usize, set: usize },
    /// All slots for tracers are taken.
    TooManyTracers { limit: usize },
    /// A background thread did not start.
    Thread { name: &'static str, source: std::io::Error },
}

impl From<Kind> for ConfigError {
    fn from(kind: Kind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            #[cfg(any(test, feature = "collector"))]
            Kind::Collector { problem } => write!(f, "cannot send spans: {problem}"),
            Kind::NoServiceName => {
                f.write_str("cannot build a tracer for the service \"\": Zipkin lists services by name; give it one")
            }
            Kind::LongServiceName { bytes, limit } => write!(
                f,
                "cannot build a tracer for a service whose name has {bytes} bytes: storage behind Zipkin takes {limit}; \
                 shorten it"
            ),
            Kind::Ratio { share } => write!(
                f,
                "cannot sample by Sampler::ratio({share:?}): it is a share of the traces; give a number from 0.0 (none) to 1.0 \
                 (all)"
            ),
            Kind::Baggage { problem } => {
                write!(f, "cannot let a field of baggage cross: {problem}; name the field or its header otherwise")
            }
            Kind::Zero { setting } => {
                write!(
                    f,
                    "cannot build a tracer with {setting}(0): nothing could ever pass; leave it out for the default"
                )
            }
            Kind::TooLong { setting, given, limit } => {
                write!(
                    f,
                    "cannot build a tracer with {setting}({given:?}): the longest is {limit:?}; give a shorter time"
                )
            }
            Kind::BatchOverQueue { batch, queue } => write!(
                f,
                "cannot build a tracer with batch_bytes({batch}) and queue_bytes({queue}): a batch has to fit into the queue; \
                 give queue_bytes of at least {batch}, or smaller batches"
            ),
            Kind::TwoBackends { first, second } => {
                write!(
                    f,
                    "cannot build a tracer with both {first} and {second}: spans go to one place; remove one of them"
                )
            }
            #[cfg(feature = "spool")]
            Kind::NoSpool => f.write_str(
                "cannot build a tracer with spool(\"\"): spans are kept in a directory; name one, or leave it out",
            ),
            #[cfg(feature = "spool")]
            Kind::OpenSpool { directory, problem } => {
                write!(f, "cannot build a tracer with spool({}): {problem}", quoted(&directory.to_string_lossy()))
            }
            #[cfg(feature = "spool")]
            Kind::BatchOverFile { batch, most } => write!(
                f,
                "cannot build a tracer with batch_bytes({batch}) and a spool: a batch is one file there, and the longest that \
                 is read back holds {most}; give at most {most}, or leave the spool out"
            ),
            #[cfg(feature = "spool")]
            Kind::SmallSpool { bytes, least } => write!(
                f,
                "cannot build a tracer with spool_bytes({bytes}): the spool has to hold two batches; give at least {least}, \
                 or smaller batches"
            ),
            Kind::Installed { service } => write!(
                f,
                "cannot install a second tracer: the one for {} is the process's default; use build() for others, or \
                 Tracer::installed() to reach it",
                quoted(service)
            ),
            Kind::LogBytes { given, set } => write!(
                f,
                "cannot build a tracer with log_bytes({given}): the log is the process's, and its first tracer set \
                 {set}; give the same, or leave it out"
            ),
            Kind::TooManyTracers { limit } => {
                write!(
                    f,
                    "cannot build another tracer: {limit} are alive, or this process has had two thousand million; shut \
                     down those that are not needed any more, and keep one instead of building it again and again"
                )
            }
            Kind::Thread { name, source } => write!(
                f,
                "cannot start the thread {name}: {source}; raise the limit on the process's threads, or trace without \
                 a backend"
            ),
        }
    }
}

/// The message, so that `fn main() -> Result<(), ConfigError>` prints it.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigError({self})")
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Thread { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A value as messages show it: quoted, control characters escaped, no longer than [`SHOWN`] characters.
pub(crate) fn quoted(value: &str) -> impl fmt::Display {
    let cut = value.char_indices().nth(SHOWN).map_or(value.len(), |(at, _)| at);
    let more = if cut < value.len() { "…" } else { "" };
    format!("{:?}{more}", &value[..cut])
}

/// Characters of a value that a message shows.
const SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn messages_say_what_where_and_what_to_do() {
        let thread = || std::io::Error::other("no more");
        for (kind, message) in [
            (
                Kind::Collector { problem: "the collector's URL \"zipkin\" has no scheme; write it".into() },
                "cannot send spans: the collector's URL \"zipkin\" has no scheme; write it",
            ),
            (
                Kind::Zero { setting: "linger" },
                "cannot build a tracer with linger(0): nothing could ever pass; leave it out for the default",
            ),
            (
                Kind::TooLong { setting: "linger", given: Duration::from_secs(7200), limit: Duration::from_secs(3600) },
                "cannot build a tracer with linger(7200s): the longest is 3600s; give a shorter time",
            ),
            (
                Kind::LogBytes { given: 1, set: 2 },
                "cannot build a tracer with log_bytes(1): the log is the process's, and its first tracer set 2; give the \
                 same, or leave it out",
            ),
            (
                Kind::Thread { name: "traced-drain", source: thread() },
                "cannot start the thread traced-drain: no more; raise the limit on the process's threads, or trace without a \
                 backend",
            ),
        ] {
            assert_eq!(ConfigError::from(kind).to_string(), message);
        }
        let error = ConfigError::from(Kind::Thread { name: "x", source: thread() });
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("no more"));
        let error = ConfigError::from(Kind::Ratio { share: 1.5 });
        assert_eq!(format!("{error:?}"), format!("ConfigError({error})"));
        assert!(error.source().is_none());
    }

    #[test]
    fn values_are_escaped_and_cut() {
        assert_eq!(quoted("a\u{1b}[2J\n\"").to_string(), r#""a\u{1b}[2J\n\"""#);
        let long = "ü".repeat(SHOWN + 1);
        assert_eq!(quoted(&long).to_string(), format!("\"{}\"…", "ü".repeat(SHOWN)));
        assert_eq!(quoted(&long[2..]).to_string().chars().count(), SHOWN + 2);
    }
}
