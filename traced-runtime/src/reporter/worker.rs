//! The thread of a pipeline: takes batches from the queue and gets them to the backend, whatever that takes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::reporter::backend::Reporter;
use crate::reporter::backoff::Backoff;
use crate::reporter::encode::{Added, Body};
use crate::reporter::notice::{NoticeHook, NoticeKind, Notices, contain};
use crate::reporter::pipeline::{Attempt, Output, Pause, Shared, Task};
use crate::reporter::record::SpanRecord;
use crate::reporter::redaction::Redaction;
use crate::reporter::send::{Fate, Sender};
use crate::reporter::stats::{Count, DropReason, Number};

/// Requests that may be spent on finding the spans of one batch that a collector rejects. Beyond it the parts in which they
/// are get dropped whole: a collector that rejects everything is not asked about every span.
const BISECT_REQUESTS: usize = 64;

/// The end of every line about a backend that cannot be reached.
const WHAT_TO_DO: &str =
    "Check that the backend runs there; collector() or OTEL_EXPORTER_ZIPKIN_ENDPOINT says where spans go";

/// The longest `Retry-After` that is heeded.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(300);

/// A pause from which on trouble is told at its first failure, not at the second one in a row.
const TELLING_PAUSE: Duration = Duration::from_secs(1);

/// The state of a pipeline's thread.
///
/// It tells before it counts: whoever waited for the count, and perhaps ends the process then, was told.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    output: Live,
    redaction: Option<Redaction>,
    notices: Notices,
    backoff: Backoff,
    trouble: Option<Trouble>,
}

/// An output that has a thread.
enum Live {
    Zipkin { sender: Box<dyn Sender>, body: Body, scratch: Vec<u8> },
    Reporter(Box<dyn Reporter>),
}

/// The backend has failed, and may work again later.
#[derive(Clone, Copy)]
struct Trouble {
    since: Instant,
    /// Spans dropped as unreachable before it began.
    dropped: u64,
    told: bool,
}

/// Why an attempt failed.
struct Failure {
    fate: Fate,
    text: String,
}

/// How the attempts to deliver something ended.
enum Delivery {
    Done,
    Failed(Failure),
    /// The pipeline was closed or has given up: all spans are counted.
    Ended,
}

impl Worker {
    /// The state of a thread that is to start.
    pub(crate) fn new(
        shared: Arc<Shared>,
        output: Output,
        redaction: Option<Redaction>,
        hook: NoticeHook,
        backoff: Backoff,
    ) -> Self {
        let output = match output {
            Output::Zipkin(sender) => Live::Zipkin { sender, body: Body::new(shared.batch_bytes), scratch: Vec::new() },
            Output::Reporter(reporter) => Live::Reporter(reporter),
        };
        Self { shared, output, redaction, notices: Notices::new(hook), backoff, trouble: None }
    }

    /// Works until the pipeline is closed.
    pub(crate) fn run(mut self) {
        loop {
            match self.shared.next() {
                Task::Send(mut spans) => {
                    self.redact(&mut spans);
                    match &self.output {
                        _ if spans.is_empty() => {}
                        Live::Zipkin { .. } => self.send(spans),
                        Live::Reporter(_) => self.report(&spans),
                    }
                }
                Task::Flush(flush) => {
                    self.flush(flush.deadline);
                    self.shared.flushed(flush);
                }
                Task::TellOverflow(spans) => {
                    self.tell(NoticeKind::QueueFull, spans, |spans| {
                        format!(
                            "{} dropped because the queue was full: they end faster than they are taken; raise \
                             queue_bytes, or sample less",
                            Count(spans, "span")
                        )
                    });
                }
                Task::Stop => break,
            }
        }
        // The user's destructors.
        contain(move || drop(self)).ok();
    }

    /// Lets the user's hook change spans before anything else sees them.
    fn redact(&mut self, spans: &mut Vec<SpanRecord>) {
        let failed = self.redaction.as_ref().and_then(|redaction| redaction.apply(spans));
        if let Some((failed, panic)) = failed {
            self.tell(NoticeKind::RedactionFailed, failed as u64, |spans| {
                format!("{} dropped because the redaction hook panicked: {panic}", Count(spans, "span"))
            });
            self.shared.dropped(failed, DropReason::RedactionFailed);
        }
    }

    /// Gives spans to the reporter.
    fn report(&mut self, spans: &[SpanRecord]) {
        match self.persist(|output| output.report(spans)) {
            Delivery::Done => self.shared.sent(spans.len(), 0),
            Delivery::Failed(failure) => self.drop_failed(spans.len(), &failure),
            Delivery::Ended => {}
        }
    }

    /// Encodes spans and sends them, in parts if need be.
    fn send(&mut self, spans: Vec<SpanRecord>) {
        let batch = self.encode(spans);
        // Oldest first: the last part is the next.
        let mut parts = Vec::new();
        parts.push(0..batch);
        let mut requests = 0;
        let mut cause = None;
        let mut rejected = 0;
        while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
            let spans = part.len();
            requests += 1;
            let mut bytes = 0;
            match self.persist(|output| output.send(part.clone(), &mut bytes)) {
                Delivery::Done => self.shared.sent(spans, bytes),
                Delivery::Ended => return,
                Delivery::Failed(failure) => {
                    let divisible = match failure.fate {
                        Fate::Rejected => requests < BISECT_REQUESTS,
                        Fate::TooLarge => true,
                        _ => false,
                    };
                    if divisible && spans > 1 {
                        let middle = part.start + spans / 2;
                        parts.extend([middle..part.end, part.start..middle]);
                        if failure.fate == Fate::TooLarge {
                            self.tell(NoticeKind::TooLarge, 0, |_| {
                                format!(
                                    "{}; the request is sent in parts: lower batch_bytes to send it once",
                                    failure.text
                                )
                            });
                        }
                    } else if failure.fate == Fate::Rejected {
                        rejected += spans;
                        cause = Some(failure);
                    } else {
                        self.drop_failed(spans, &failure);
                    }
                }
            }
        }
        // One notice for all that was found in this batch.
        if let Some(failure) = cause {
            self.drop_failed(rejected, &failure);
        }
    }

    /// Encodes as many spans as fit into one request; returns how many that are.
    fn encode(&mut self, spans: Vec<SpanRecord>) -> usize {
        let Live::Zipkin { body, .. } = &mut self.output else { return 0 };
        body.clear();
        let (mut cut_tags, mut too_large) = (0, 0);
        let mut rest = spans.into_iter();
        let mut first = None;
        for mut span in rest.by_ref() {
            match body.add(&mut span) {
                Added::Fits { cut_tags: cut } => cut_tags += cut,
                Added::TooLarge => too_large += 1,
                Added::Full => {
                    first = Some(span);
                    break;
                }
            }
        }
        let encoded = body.spans();
        let rest: Vec<SpanRecord> = first.into_iter().chain(rest).collect();
        self.shared.encoded(rest.into_iter(), cut_tags);
        if too_large > 0 {
            self.tell(NoticeKind::TooLarge, too_large as u64, |spans| {
                format!(
                    "{} dropped, too large for a request even without tags; raise batch_bytes, or annotate less",
                    Count(spans, "span")
                )
            });
            self.shared.dropped(too_large, DropReason::TooLarge);
        }
        encoded
    }

    /// Tries until it works, fails for good, or the pipeline closes.
    fn persist(&mut self, mut call: impl FnMut(&mut Live) -> Result<(), Failure>) -> Delivery {
        let mut failures = 0_u32;
        let mut again = false;
        loop {
            let Some(attempt) = self.shared.attempt(again) else { return Delivery::Ended };
            again = true;
            let failure = match call(&mut self.output) {
                Ok(()) => {
                    self.trouble_ends();
                    return Delivery::Done;
                }
                Err(failure) => failure,
            };
            let (after, unreachable) = match failure.fate {
                Fate::Retry { after } => (after, false),
                Fate::Unreachable => (None, true),
                Fate::Rejected | Fate::TooLarge | Fate::Refused | Fate::Failed => {
                    self.trouble_ends();
                    return Delivery::Failed(failure);
                }
            };
            failures = failures.saturating_add(1);
            let pause = self.backoff.pause(failures).max(after.unwrap_or_default().min(RETRY_AFTER_MOST));
            self.trouble_goes_on(&failure, failures > 1 || pause >= TELLING_PAUSE);
            match self.pause(pause, after.is_some(), unreachable, attempt, &failure) {
                Pause::Over => {}
                Pause::Hurried => failures = 0,
                Pause::GiveUp | Pause::Closed => return Delivery::Ended,
            }
        }
    }

    fn pause(&mut self, pause: Duration, heed: bool, unreachable: bool, attempt: Attempt, failure: &Failure) -> Pause {
        let end = self.shared.pause(pause, heed, unreachable, attempt);
        if end == Pause::GiveUp {
            let text = &failure.text;
            let spans = self.shared.unsettled();
            self.tell(NoticeKind::Unreachable, spans, |spans| {
                format!("{text}; {} dropped at shutdown. {WHAT_TO_DO}", Count(spans, "span"))
            });
            self.shared.give_up();
        }
        end
    }

    /// The backend failed in a way that may pass: tells so at the second failure in a row, or before a long pause. A
    /// connection that the server closed while it was idle is no trouble.
    fn trouble_goes_on(&mut self, failure: &Failure, tell: bool) {
        let (dropped, _) = self.shared.trouble(true);
        let mut trouble = self.trouble.unwrap_or(Trouble { since: Instant::now(), dropped, told: false });
        if tell && !trouble.told {
            let text = &failure.text;
            trouble.told = self.tell(NoticeKind::Unreachable, 0, |_| {
                format!("{text}; spans wait in the queue and are dropped when it is full. {WHAT_TO_DO}")
            });
        }
        self.trouble = Some(trouble);
    }

    fn trouble_ends(&mut self) {
        let Some(trouble) = self.trouble.take() else { return };
        let (dropped, waiting) = self.shared.trouble(false);
        if trouble.told {
            let seconds = trouble.since.elapsed().as_secs();
            let dropped = dropped.saturating_sub(trouble.dropped);
            self.tell(NoticeKind::Recovered, dropped, |dropped| {
                format!(
                    "the backend takes spans again after {}; {} dropped meanwhile, {} waiting",
                    Count(seconds, "second"),
                    Count(dropped, "span"),
                    Number(waiting)
                )
            });
        }
    }

    /// Drops spans in flight that will never be taken.
    fn drop_failed(&mut self, spans: usize, failure: &Failure) {
        let (reason, kind) = match failure.fate {
            Fate::TooLarge => (DropReason::TooLarge, NoticeKind::TooLarge),
            Fate::Failed => (DropReason::ReporterFailed, NoticeKind::ReporterFailed),
            _ => (DropReason::Rejected, NoticeKind::Rejected),
        };
        let text = &failure.text;
        self.tell(kind, spans as u64, |spans| format!("{} dropped: {text}", Count(spans, "span")));
        self.shared.dropped(spans, reason);
    }

    fn flush(&mut self, deadline: Instant) {
        let Live::Reporter(reporter) = &mut self.output else { return };
        let result = contain(|| reporter.flush(deadline).map_err(|error| error.to_string()));
        if let Err(text) = result.unwrap_or_else(|panic| Err(format!("it panicked: {panic}"))) {
            self.tell(NoticeKind::ReporterFailed, 0, |_| {
                format!("the reporter could not be flushed, and may have lost what it held: {text}")
            });
        }
    }

    fn tell(&mut self, kind: NoticeKind, spans: u64, text: impl FnOnce(u64) -> String) -> bool {
        self.notices.tell(kind, spans, Instant::now(), text)
    }
}

impl Live {
    /// One attempt to report; the user's code, and the user's errors.
    fn report(&mut self, spans: &[SpanRecord]) -> Result<(), Failure> {
        let Self::Reporter(reporter) = self else { return Ok(()) };
        let result = contain(|| {
            reporter.report(spans).map_err(|error| {
                let fate = if error.is_retry() { Fate::Retry { after: None } } else { Fate::Failed };
                Failure { fate, text: format!("the reporter failed: {error}") }
            })
        });
        result.unwrap_or_else(|panic| Err(Failure::panicked("reporter", &panic)))
    }

    /// One attempt to send some of the encoded spans.
    fn send(&mut self, part: std::ops::Range<usize>, bytes: &mut usize) -> Result<(), Failure> {
        let Self::Zipkin { sender, body, scratch } = self else { return Ok(()) };
        let part = body.part(part, scratch);
        *bytes = part.len();
        let result =
            contain(|| sender.send(part).map_err(|error| Failure { fate: error.fate, text: error.to_string() }));
        result.unwrap_or_else(|panic| Err(Failure::panicked("sender", &panic)))
    }
}

impl Failure {
    fn panicked(who: &str, message: &str) -> Self {
        Self { fate: Fate::Failed, text: format!("the {who} panicked: {message}") }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
