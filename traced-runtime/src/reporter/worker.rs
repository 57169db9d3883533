//! The sending thread of a pipeline: takes batches from the queue and the spool, and gets them to the backend, whatever that
//! takes.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::id::TraceId;
use crate::model::loss::DropReason;
use crate::model::numbers::{Count, Number};
use crate::process::notice::{CAUSES, Cause, NoticeHook, NoticeKind, Notices, contain};
use crate::reporter::backend::Reporter;
use crate::reporter::backoff::Backoff;
use crate::reporter::block::Batch;
use crate::reporter::buffers::Buffers;
use crate::reporter::encode::{Bare, Body, Filled};
use crate::reporter::pipeline::{AcceptHook, Attempt, Cost, Output, Pause, Shared, Task};
use crate::reporter::record::SpanRecord;
use crate::reporter::redaction::{Redaction, failed_text};
use crate::reporter::send::{Fate, SendError, Sender};
#[cfg(feature = "spool")]
use crate::reporter::spool::Stored;

/// Requests that may be spent on finding the spans of one batch that a collector rejects. Beyond it the parts in which they
/// are get dropped whole: a collector that rejects everything is not asked about every span.
const BISECT_REQUESTS: usize = 64;

/// Requests that may be spent on sending one batch in parts to a collector that finds it too large. Beyond it the parts are
/// dropped as too large: one that finds everything too large is not asked about every span.
const SPLIT_REQUESTS: usize = 256;

/// The end of a line about a backend that did not answer. One that did is where spans are to go, and its own text says more.
const WHAT_TO_DO: &str =
    " Check that the backend runs there; collector() or OTEL_EXPORTER_ZIPKIN_ENDPOINT says where spans go";

/// The longest `Retry-After` that is heeded.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(300);

/// A pause from which on trouble is told at its first failure, not at the second one in a row.
const TELLING_PAUSE: Duration = Duration::from_secs(1);

/// The state of the thread that sends.
///
/// It tells before it counts: whoever waited for the count, and perhaps ends the process then, was told.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    output: Live,
    redaction: Option<Redaction>,
    notices: Notices,
    accepted: Option<AcceptHook>,
    /// Places in the body and traces of the local roots that are encoded, if somebody wants to know of them.
    roots: Vec<(usize, TraceId)>,
    /// Buffers of spans that are encoded, until the drain gets them.
    spent: Buffers,
    backoff: Backoff,
    trouble: Option<Trouble>,
    given_up: Option<GivenUp>,
}

/// An output that has a thread.
enum Live {
    Zipkin {
        sender: Box<dyn Sender>,
        /// Shared with the spool's thread, which may write it while it is being sent.
        body: Arc<Body>,
        scratch: Vec<u8>,
    },
    Reporter(Box<dyn Reporter>),
}

/// The backend has taken nothing since it failed, and may work again later.
struct Trouble {
    since: Instant,
    /// Spans that the backend had not taken before it began.
    dropped: u64,
    /// It is more than a slip: a connection that the server closed while it was idle is none.
    lasting: bool,
    /// Causes that were told: each once, [`CAUSES`] at most.
    told: Vec<Cause>,
    /// Why the last attempt failed, and how many in a row did for that.
    cause: Cause,
    in_a_row: u32,
}

/// A shutdown does not wait for the backend, and what that costs is not told yet: the spool is being written.
struct GivenUp {
    /// What the last attempt failed by.
    failure: Failure,
    /// Spans that the backend had not taken before.
    dropped: u64,
}

/// What becomes of spans while there is trouble.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// They wait; the trouble may pass.
    Wait,
    /// They are dropped; somebody has to change something.
    Dropped,
}

/// Why an attempt failed.
#[derive(Clone)]
struct Failure {
    fate: Fate,
    cause: Cause,
    /// Why spans are lost if no later attempt works.
    loss: DropReason,
    /// What to do, if the text does not say it: the end of the line.
    advice: &'static str,
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
        accepted: Option<AcceptHook>,
        backoff: Backoff,
    ) -> Self {
        let output = match output {
            Output::Zipkin(sender) => {
                let body = Arc::new(Body::new(shared.batch_bytes));
                Live::Zipkin { sender, body, scratch: Vec::new() }
            }
            Output::Reporter(reporter) => Live::Reporter(reporter),
        };
        let (notices, roots, spent) = (Notices::new(hook), Vec::new(), Buffers::default());
        Self { shared, output, redaction, notices, accepted, roots, spent, backoff, trouble: None, given_up: None }
    }

    /// Works until the pipeline is closed.
    pub(crate) fn run(mut self) {
        loop {
            match self.shared.next() {
                Task::Send(mut batch) => {
                    self.redact(&mut batch);
                    match &self.output {
                        _ if batch.is_empty() => self.shared.taken_whole(),
                        Live::Zipkin { .. } => self.send(batch),
                        Live::Reporter(_) => self.report(batch),
                    }
                }
                #[cfg(feature = "spool")]
                Task::SendStored(batch) => self.send_stored(&batch),
                Task::Flush(flush) => {
                    self.tell_given_up(0);
                    self.flush(flush.deadline);
                    self.shared.flushed(flush);
                }
                Task::TellOverflow(spans) => {
                    self.tell_full(NoticeKind::QueueFull, spans, ["queue", "taken", "queue_bytes"]);
                }
                Task::TellLogFull(spans) => self.tell_full(NoticeKind::LogFull, spans, ["log", "read", "log_bytes"]),
                Task::Stop => break,
            }
        }
        // The time of the shutdown was not enough.
        self.tell_given_up(0);
        // The user's destructors.
        contain(move || drop(self)).ok();
    }

    /// Lets the user's hook change spans before anything else sees them.
    fn redact(&mut self, batch: &mut Batch) {
        let Some(redaction) = &self.redaction else { return };
        let (mut failed, mut last_panic) = (0, String::new());
        batch.change(|spans| {
            if let Some((spans, panic)) = redaction.apply(spans) {
                failed += spans;
                last_panic = panic;
            }
        });
        if failed > 0 {
            self.tell(NoticeKind::RedactionFailed, failed as u64, |spans| failed_text(spans, &last_panic));
            self.shared.dropped(failed, DropReason::RedactionFailed);
        }
    }

    /// Gives spans to the reporter.
    fn report(&mut self, batch: Batch) {
        self.shared.taken_whole();
        let spans = batch.into_spans();
        match self.persist(|output| output.report(&spans)) {
            Delivery::Done => self.shared.sent(spans.len(), 0),
            Delivery::Failed(failure) => self.drop_failed(spans.len(), &failure, None),
            Delivery::Ended => {}
        }
    }

    /// Encodes spans, as many as fit into one request, and sends them.
    fn send(&mut self, mut batch: Batch) {
        let batch_bytes = self.shared.batch_bytes;
        let Live::Zipkin { body, .. } = &mut self.output else { return };
        // The spool's thread may still have the last one.
        if Arc::get_mut(body).is_none() {
            *body = Arc::new(Body::new(batch_bytes));
        }
        let Some(list) = Arc::get_mut(body) else { return };
        list.clear();
        let (roots, told) = (&mut self.roots, self.accepted.is_some());
        roots.clear();
        let filled = list.fill(batch.spans_mut(), |at, span| {
            if told && span.local_root {
                roots.push((at, span.trace));
            }
        });
        let rest = batch.spend(filled.taken, &mut self.spent);
        tell_filled(&mut self.notices, filled);
        self.shared.encoded(rest, filled.cut_tags, filled.too_large, body, &mut self.spent);
        self.deliver();
    }

    /// Sends a batch that was spooled.
    #[cfg(feature = "spool")]
    fn send_stored(&mut self, batch: &Stored) {
        // Whose roots they are is not in the file.
        self.roots.clear();
        let mut list = Body::new(self.shared.batch_bytes);
        let mut read = batch.folder.read(batch.number, &mut list);
        if matches!(&read, Err(error) if error.is_shortage()) {
            // Too many open files, say: nothing is wrong with the batch.
            let again = self.persist(|_| {
                read = batch.folder.read(batch.number, &mut list);
                match &read {
                    Err(error) if error.is_shortage() => {
                        let text = format!("cannot read a batch of the spool: {error}");
                        Err(Failure::new(Fate::Retry { after: None }, text))
                    }
                    _ => Ok(()),
                }
            });
            if !matches!(again, Delivery::Done) {
                return;
            }
        }
        let Live::Zipkin { body, .. } = &mut self.output else { return };
        *body = Arc::new(list);
        if let Err(error) = read {
            self.tell(NoticeKind::Spool, batch.spans, |spans| {
                format!("{} in the spool lost: a file cannot be read back: {error}", Count(spans, "span"))
            });
            self.shared.damaged(batch.spans, batch.folder.set_aside(batch.number));
            drop(self.shared.finished());
            return;
        }
        self.deliver();
    }

    /// Sends what is encoded, in parts if need be.
    fn deliver(&mut self) {
        let Live::Zipkin { body, .. } = &self.output else { return };
        let body = Arc::clone(body);
        // Oldest first: the last part is the next.
        let mut parts = vec![(0..body.spans(), None)];
        let mut requests = 0;
        let mut rejected = 0;
        // The first one that is found to be at fault, and why.
        let mut cause: Option<(Failure, Option<String>)> = None;
        while let Some((part, bare)) = parts.pop().filter(|(part, _)| !part.is_empty()) {
            let spans = part.len();
            requests += 1;
            let mut bytes = 0;
            match self.persist(|output| output.send(&body, part.clone(), bare.as_ref(), &mut bytes)) {
                Delivery::Done => {
                    if let Some(bare) = &bare {
                        self.shared.cut(bare.parts);
                    }
                    self.tell_accepted(&part);
                    self.shared.sent(spans, bytes);
                }
                Delivery::Ended => return,
                Delivery::Failed(failure) => {
                    let divisible = match failure.fate {
                        Fate::Rejected => requests < BISECT_REQUESTS,
                        Fate::TooLarge => requests < SPLIT_REQUESTS,
                        _ => false,
                    };
                    if divisible && spans > 1 {
                        let middle = part.start + spans / 2;
                        parts.extend([(middle..part.end, None), (part.start..middle, None)]);
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
                        let named = (spans == 1).then(|| body.describe(part.start));
                        match &mut cause {
                            None => cause = Some((failure, named)),
                            Some((first, name @ None)) if named.is_some() => (*first, *name) = (failure, named),
                            Some(_) => {}
                        }
                    } else {
                        let is_whole = failure.fate == Fate::TooLarge && spans == 1 && bare.is_none();
                        match body.bare(part.start).filter(|_| is_whole) {
                            Some(bare) => {
                                self.tell_bare(&failure, bare.parts);
                                parts.push((part, Some(bare)));
                            }
                            None => self.drop_failed(spans, &failure, None),
                        }
                    }
                }
            }
        }
        // One notice for all that was found in this batch.
        if let Some((failure, name)) = cause {
            self.drop_failed(rejected, &failure, name.as_deref());
        }
        #[cfg(feature = "spool")]
        if let Some(batch) = self.shared.finished() {
            batch.folder.remove(batch.number);
        }
    }

    /// Tells that the collector finds a span too large by itself.
    fn tell_bare(&mut self, failure: &Failure, parts: u64) {
        let Failure { cause, text, .. } = failure;
        self.notices.tell_cause(NoticeKind::Cut, cause, parts, Instant::now(), |parts| {
            let parts = Number(parts);
            format!("{text}; spans that are too large alone are sent without their {parts} tags and annotations: annotate less")
        });
    }

    /// Tells whose local roots are in an accepted part of the body.
    fn tell_accepted(&self, part: &Range<usize>) {
        let Some(hook) = &self.accepted else { return };
        let mut traces: Vec<TraceId> =
            self.roots.iter().filter(|(at, _)| part.contains(at)).map(|(_, trace)| *trace).collect();
        traces.dedup();
        if !traces.is_empty() {
            hook(traces);
        }
    }

    /// Tries until it works, fails for good, or the pipeline closes.
    fn persist(&mut self, mut call: impl FnMut(&mut Live) -> Result<(), Failure>) -> Delivery {
        let mut failures = 0_u32;
        let mut attempts = 0_u32;
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
            let (after, hopeless) = match failure.fate {
                Fate::Retry { after } => (after, false),
                Fate::Unreachable => (None, true),
                // What waits in the spool can wait for somebody to set things right, too.
                Fate::Refused if self.shared.spools() => (None, true),
                Fate::Refused => {
                    self.trouble_goes_on(&failure, true, Meanwhile::Dropped);
                    return Delivery::Failed(failure);
                }
                Fate::Rejected | Fate::TooLarge | Fate::Failed => {
                    self.trouble_changes();
                    return Delivery::Failed(failure);
                }
            };
            failures = failures.saturating_add(1);
            attempts = attempts.saturating_add(1);
            let pause = self.backoff.pause().max(after.unwrap_or_default().min(RETRY_AFTER_MOST));
            // A program that flushes again and again has only first attempts made: what fails three times goes to the spool.
            let lasting = failures > 1 || pause >= TELLING_PAUSE || (attempts > 2 && self.shared.spools());
            self.trouble_goes_on(&failure, lasting, Meanwhile::Wait);
            match self.pause(pause, after.is_some(), hopeless, attempt, &failure) {
                Pause::Over => {}
                Pause::Hurried => {
                    failures = 0;
                    self.backoff.reset();
                }
                Pause::GiveUp | Pause::Closed => return Delivery::Ended,
            }
        }
    }

    fn pause(&mut self, pause: Duration, heed: bool, hopeless: bool, attempt: Attempt, failure: &Failure) -> Pause {
        let end = self.shared.pause(pause, heed, hopeless, attempt);
        if end == Pause::GiveUp {
            let cost = self.shared.trouble(true, true);
            self.given_up = Some(GivenUp { failure: failure.clone(), dropped: cost.dropped });
            #[cfg(feature = "spool")]
            if self.shared.spool_instead() {
                return end;
            }
            self.tell_given_up((cost.waiting + cost.in_hand).saturating_sub(cost.kept));
            self.shared.give_up();
        }
        end
    }

    /// Tells what became of the spans that a backend did not take before a shutdown; so many more are dropped now.
    fn tell_given_up(&mut self, now: u64) {
        let Some(GivenUp { failure, dropped }) = self.given_up.take() else { return };
        let cost = self.shared.trouble(true, true);
        let lost = cost.dropped.saturating_sub(dropped) + now;
        let kept = Count(cost.kept, "span");
        let Failure { cause, text, advice, .. } = &failure;
        self.notices.tell_cause(NoticeKind::Unreachable, cause, 0, Instant::now(), |_| {
            let fate = match (cost.kept, lost) {
                (0, lost) => format!("{} dropped", Count(lost, "span")),
                (_, 0) => format!("{kept} left in the spool"),
                (_, lost) => format!("{kept} left in the spool, and {} dropped,", Number(lost)),
            };
            format!("{text}; {fate} at shutdown.{advice}")
        });
    }

    /// The backend failed in a way that may pass, or takes nothing from here. The first cause is told at the second failure in a
    /// row, or before a long pause, each other one when it is the cause twice in a row, and what drops spans at once.
    fn trouble_goes_on(&mut self, failure: &Failure, lasting: bool, meanwhile: Meanwhile) {
        // Those who wait for a flush have attempts made that are the first ones again; the trouble is the same.
        let lasting = lasting || self.trouble.as_ref().is_some_and(|trouble| trouble.lasting);
        let cost = match meanwhile {
            Meanwhile::Wait => self.shared.trouble_for(failure.loss, lasting),
            Meanwhile::Dropped => self.shared.trouble(false, lasting),
        };
        let mut trouble = self.trouble.take().unwrap_or_else(|| Trouble {
            since: Instant::now(),
            dropped: cost.dropped,
            lasting,
            told: Vec::new(),
            cause: failure.cause.clone(),
            in_a_row: 0,
        });
        trouble.lasting = lasting;
        if trouble.cause == failure.cause {
            trouble.in_a_row = trouble.in_a_row.saturating_add(1);
        } else {
            (trouble.cause, trouble.in_a_row) = (failure.cause.clone(), 1);
        }
        let is_lasting = trouble.told.is_empty()
            || trouble.in_a_row > 1
            || meanwhile == Meanwhile::Dropped
            || matches!(failure.fate, Fate::Retry { after: Some(after) } if after >= TELLING_PAUSE);
        let is_new = trouble.told.len() < CAUSES && !trouble.told.contains(&failure.cause);
        if lasting && is_lasting && is_new && self.tell_trouble(failure, cost, meanwhile) {
            trouble.told.push(failure.cause.clone());
        }
        self.trouble = Some(trouble);
    }

    /// Tells why the backend takes nothing, and what becomes of the spans.
    fn tell_trouble(&mut self, failure: &Failure, cost: Cost, meanwhile: Meanwhile) -> bool {
        let spans = cost.waiting + cost.in_hand;
        let (kind, fate) = match meanwhile {
            Meanwhile::Wait if self.shared.spools() => {
                let spans = Number(spans);
                let fate = format!("spans wait in the spool, {spans} by now; when it is full, the oldest are dropped");
                (NoticeKind::Unreachable, fate)
            }
            Meanwhile::Wait => {
                let fate = format!("spans wait in the queue, {} by now; what finds no room is dropped", Number(spans));
                (NoticeKind::Unreachable, fate)
            }
            Meanwhile::Dropped => {
                // What waits may be taken: nobody has asked about it yet.
                let spans = Count(cost.in_hand, "span");
                (NoticeKind::Rejected, format!("{spans} dropped, and so are all to come until that is set right"))
            }
        };
        let Failure { cause, text, advice, .. } = failure;
        self.notices.tell_cause(kind, cause, 0, Instant::now(), |_| format!("{text}; {fate}.{advice}"))
    }

    /// The backend can be reached, and did not take what it was sent. That it takes spans again is not known.
    fn trouble_changes(&mut self) {
        self.backoff.reset();
        if self.trouble.is_some() {
            self.shared.trouble(false, false);
        }
    }

    /// The backend has taken spans.
    fn trouble_ends(&mut self) {
        self.backoff.reset();
        let Some(trouble) = self.trouble.take() else { return };
        let cost = self.shared.trouble(false, false);
        if !trouble.told.is_empty() {
            let seconds = trouble.since.elapsed().as_secs();
            let dropped = cost.dropped.saturating_sub(trouble.dropped);
            self.tell(NoticeKind::Recovered, dropped, |dropped| {
                let spooled = if cost.spooled > 0 { " in the spool" } else { "" };
                format!(
                    "the backend takes spans again after {}; {} dropped meanwhile, {} waiting{spooled}",
                    Count(seconds, "second"),
                    Count(dropped, "span"),
                    Number(cost.waiting)
                )
            });
        }
    }

    /// Drops spans in flight that will never be taken; `name` is one of them, if one was found.
    fn drop_failed(&mut self, spans: usize, failure: &Failure, name: Option<&str>) {
        let (reason, kind) = match failure.fate {
            Fate::TooLarge => (DropReason::TooLarge, NoticeKind::TooLarge),
            Fate::Failed => (DropReason::ReporterFailed, NoticeKind::ReporterFailed),
            _ => (DropReason::Rejected, NoticeKind::Rejected),
        };
        // Refusals are trouble: told at its beginning and at its end.
        if failure.fate != Fate::Refused {
            let Failure { cause, text, .. } = failure;
            let name = match name {
                Some(name) if spans == 1 => format!("; it is {name}"),
                Some(name) => format!("; the first is {name}"),
                None => String::new(),
            };
            self.notices.tell_cause(kind, cause, spans as u64, Instant::now(), |spans| {
                format!("{} dropped: {text}{name}", Count(spans, "span"))
            });
        }
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

    /// Tells of spans that found no room: in what, how they leave it, and which setting makes it larger.
    fn tell_full(&mut self, kind: NoticeKind, spans: u64, [what, left, setting]: [&str; 3]) {
        self.tell(kind, spans, |spans| {
            let spans = Count(spans, "span");
            format!(
                "{spans} dropped because the {what} was full: they end faster than they are {left}; raise {setting}, or sample \
                 less"
            )
        });
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
                // Whoever wrote it knows where its spans go.
                Failure::new(fate, format!("the reporter failed: {error}"))
            })
        });
        result.unwrap_or_else(|panic| Err(Failure::panicked("reporter", &panic)))
    }

    /// One attempt to send some of the encoded spans, or what is left of one.
    fn send(&mut self, body: &Body, part: Range<usize>, bare: Option<&Bare>, bytes: &mut usize) -> Result<(), Failure> {
        let Self::Zipkin { sender, scratch, .. } = self else { return Ok(()) };
        let part = bare.map_or_else(|| body.part(part, scratch), |bare| &bare.list);
        *bytes = part.len();
        let result = contain(|| sender.send(part).map_err(|error| Failure::sending(&error)));
        result.unwrap_or_else(|panic| Err(Failure::panicked("sender", &panic)))
    }
}

/// Tells of spans that no request holds whole.
pub(crate) fn tell_filled(notices: &mut Notices, filled: Filled) {
    let now = Instant::now();
    if filled.too_large > 0 {
        notices.tell(NoticeKind::TooLarge, filled.too_large as u64, now, |spans| {
            let spans = Count(spans, "span");
            format!("{spans} dropped, too large for a request even without tags and annotations; raise batch_bytes")
        });
    }
    if filled.cut_tags > 0 {
        notices.tell(NoticeKind::Cut, filled.cut_tags, now, |parts| {
            let parts = Number(parts);
            format!(
                "spans too large for a request lost {parts} of their tags, annotations and names, as their tag traced.cut says; \
                 raise batch_bytes, or annotate less"
            )
        });
    }
}

impl Failure {
    fn new(fate: Fate, text: String) -> Self {
        Self { fate, cause: Cause::of_text(&text), loss: DropReason::Unreachable, advice: "", text }
    }

    fn sending(error: &SendError) -> Self {
        let failure = Self::new(error.fate, error.to_string());
        Self {
            cause: error.status.map_or(failure.cause, Cause::of_status),
            loss: if error.is_wish() { DropReason::Unavailable } else { failure.loss },
            advice: if error.no_answer { WHAT_TO_DO } else { "" },
            ..failure
        }
    }

    fn panicked(who: &str, message: &str) -> Self {
        Self::new(Fate::Failed, format!("the {who} panicked: {message}"))
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
