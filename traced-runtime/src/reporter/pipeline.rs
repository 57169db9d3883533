//! What becomes of a tracer's finished spans, and the count of it.
//!
//! ```text
//! drain: ended ─► held ─► offer ─► queue ─► in flight ─► sent        one mutex; recorded is the sum of all of them
//!                           └────────┴──────────┴──────► dropped
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use crate::reporter::backend::Reporter;
use crate::reporter::notice::NoticeHook;
use crate::reporter::queue::Queue;
use crate::reporter::record::SpanRecord;
use crate::reporter::send::Sender;
use crate::reporter::stats::{DropReason, Stats, Tally};
use crate::reporter::thread::spawn_quiet;
use crate::reporter::worker::{Backoff, Worker};
use crate::tracer::id::TraceId;

/// How a tracer's spans leave the process.
pub(crate) struct PipelineConfig {
    /// Names the thread.
    pub(crate) service: String,
    pub(crate) output: Output,
    /// Bytes of finished spans that wait or are being sent. Beyond it a span is dropped when it ends.
    pub(crate) queue_bytes: usize,
    /// Bytes of one request, or of the spans given to a reporter at once. A span larger than that loses tags.
    pub(crate) batch_bytes: usize,
    /// How long a span waits for others to fill its batch.
    pub(crate) linger: Duration,
    pub(crate) notice: NoticeHook,
    /// Called on the thread with the traces of local roots that a collector has accepted.
    pub(crate) accepted: Option<AcceptHook>,
    /// Called first on the thread.
    pub(crate) thread_start: fn(),
}

/// Who wants to know which traces were accepted.
pub(crate) type AcceptHook = Box<dyn Fn(Vec<TraceId>) + Send>;

/// Where a tracer's spans go.
pub(crate) enum Output {
    /// Encoded, to a Zipkin collector.
    Zipkin(Box<dyn Sender>),
    /// As they are, to the user's own backend.
    Reporter(Box<dyn Reporter>),
}

/// One tracer's way to its backend: a bounded queue, and a thread that empties it.
///
/// No method but [`flush`](Self::flush) and [`shutdown`](Self::shutdown) waits for the backend, and these wait until their
/// deadline at most. User code runs on the pipeline's thread only, and never while the lock is held.
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    /// The thread that must not wait for itself.
    worker: Option<ThreadId>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Pipeline {
    /// Starts the pipeline's thread.
    pub(crate) fn start(config: PipelineConfig) -> io::Result<Arc<Self>> {
        Self::start_with(config, Backoff::default())
    }

    pub(crate) fn start_with(config: PipelineConfig, backoff: Backoff) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(config.queue_bytes)),
            work: Condvar::new(),
            settled: Condvar::new(),
            batch_bytes: config.batch_bytes,
            linger: config.linger,
            collects: false,
        });
        let worker = Worker::new(Arc::clone(&shared), config.output, config.notice, config.accepted, backoff);
        let thread_start = config.thread_start;
        let stopped = Stopped(Arc::clone(&shared));
        let thread = spawn_quiet(format!("traced {}", config.service), move || {
            let _stopped = stopped;
            thread_start();
            worker.run();
        })?;
        let worker = Some(thread.thread().id());
        Ok(Arc::new(Self { shared, worker, thread: Mutex::new(Some(thread)) }))
    }

    /// A pipeline to a list that a test reads: without a thread, and without a bound.
    pub(crate) fn collecting() -> Arc<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(0)),
            work: Condvar::new(),
            settled: Condvar::new(),
            batch_bytes: 0,
            linger: Duration::ZERO,
            collects: true,
        });
        Arc::new(Self { shared, worker: None, thread: Mutex::new(None) })
    }

    /// Counts spans whose end was read: they are recorded, and held until they are [offered](Self::offer).
    pub(crate) fn ended(&self, spans: u64) {
        let mut state = self.shared.lock();
        state.stats.tally.recorded += spans;
        if state.closed {
            state.drop_spans(DropReason::Deadline, spans);
        } else {
            state.held += spans;
        }
    }

    /// Takes spans that [`ended`](Self::ended) before: they are queued, or dropped for want of room.
    pub(crate) fn offer(&self, records: Vec<SpanRecord>) {
        let now = Instant::now();
        let mut no_room = Vec::new();
        let mut state = self.shared.lock();
        if state.closed {
            // Counted when they ended, or by the shutdown.
            drop(state);
            return;
        }
        let offered = records.len() as u64;
        state.stats.tally.recorded += offered.saturating_sub(state.held);
        state.held = state.held.saturating_sub(offered);
        if self.shared.collects {
            state.stats.tally.sent += offered;
            state.collected.extend(records);
            return;
        }
        let was_empty = state.queue.is_empty();
        for record in records {
            no_room.extend(state.queue.push(record, now));
        }
        let dropped = no_room.len() as u64;
        state.offered += offered - dropped;
        if state.trouble {
            state.drop_spans(DropReason::Unreachable, dropped);
        } else {
            state.drop_spans(DropReason::QueueFull, dropped);
            state.overflow += dropped;
        }
        let full = state.queue.waiting_bytes() >= self.shared.batch_bytes;
        if (was_empty && !state.queue.is_empty()) || full || dropped > 0 {
            self.shared.work.notify_one();
        }
        // Freed after the lock is given back.
        drop(state);
        drop(no_room);
    }

    /// Counts spans of which nothing is left but their number.
    pub(crate) fn lost(&self, reason: DropReason, spans: u64) {
        let mut state = self.shared.lock();
        state.stats.tally.recorded += spans;
        state.drop_spans(reason, spans);
    }

    /// Counts tags and annotations that came after their span was offered.
    pub(crate) fn count_late_tags(&self, tags: u64) {
        self.shared.lock().stats.late_tags += tags;
    }

    /// Counts tags and annotations that were left out because their span had too many.
    pub(crate) fn count_cut_tags(&self, tags: u64) {
        self.shared.lock().stats.cut_tags += tags;
    }

    /// Counts values that were cut because they were too long for the log.
    pub(crate) fn count_cut_values(&self, values: u64) {
        self.shared.lock().stats.cut_values += values;
    }

    /// Counts fields of baggage that could not be kept or sent.
    pub(crate) fn count_left_out_baggage(&self, fields: u64) {
        if fields > 0 {
            self.shared.lock().stats.left_out_baggage += fields;
        }
    }

    /// What became of the spans until now.
    pub(crate) fn tally(&self) -> Tally {
        self.shared.lock().tally()
    }

    /// The same, and what it cost.
    pub(crate) fn stats(&self) -> Stats {
        self.shared.lock().stats()
    }

    /// Waits until every span offered before the call is sent or dropped, and a reporter was flushed, but not beyond the
    /// deadline. On the pipeline's own thread, where user code may call it, it does not wait.
    pub(crate) fn flush(&self, deadline: Instant) -> Tally {
        let mut state = self.shared.lock();
        if !self.can_wait() || state.closed {
            return state.tally();
        }
        let offered = state.offered;
        let ticket = state.flushes.ask(offered, deadline);
        self.shared.work.notify_one();
        self.shared.wait(state, deadline, |state| state.closed || state.flushes.done >= ticket).tally()
    }

    /// Flushes, and ends the thread. What is left at the deadline is dropped, and so is whatever is offered later. A
    /// collector that refuses connections gets one last attempt, and the deadline is not waited for.
    ///
    /// Called again, it tells how things stand.
    pub(crate) fn shutdown(&self, deadline: Instant) -> Tally {
        if self.can_wait() {
            {
                let mut state = self.shared.lock();
                state.closing = Some(state.closing.map_or(deadline, |earlier| earlier.min(deadline)));
            }
            self.flush(deadline);
        }
        self.shared.close();
        if self.can_wait() {
            let state = self.shared.lock();
            let stopped = self.shared.wait(state, deadline, |state| state.stopped).stopped;
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread.filter(|_| stopped) {
                // It has nothing left to do but to end, and its panics were contained.
                thread.join().ok();
            }
        }
        self.tally()
    }

    /// The spans collected so far, of a [collecting](Self::collecting) pipeline.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn records(&self) -> Vec<SpanRecord> {
        self.shared.lock().collected.clone()
    }

    /// Takes the spans collected so far, of a [collecting](Self::collecting) pipeline.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn take(&self) -> Vec<SpanRecord> {
        mem::take(&mut self.shared.lock().collected)
    }

    fn can_wait(&self) -> bool {
        self.worker.is_some_and(|worker| worker != std::thread::current().id())
    }
}

impl Drop for Pipeline {
    /// Drops what is left, and lets the thread end by itself.
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Closes the pipeline when its thread ends, however it ends: nobody waits for a thread that is gone.
struct Stopped(Arc<Shared>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.close();
        self.0.lock().stopped = true;
        self.0.settled.notify_all();
    }
}

/// What the pipeline's thread and everybody else share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// There may be something to do for the thread.
    work: Condvar,
    /// There may be an end for those who wait for the thread.
    settled: Condvar,
    pub(crate) batch_bytes: usize,
    linger: Duration,
    collects: bool,
}

/// Everything that is counted, under one lock: its sums hold whenever somebody looks.
struct State {
    stats: Stats,
    /// Recorded, and not offered yet.
    held: u64,
    queue: Queue,
    /// Taken from the queue, and neither sent nor dropped yet.
    in_flight: u64,
    collected: Vec<SpanRecord>,
    /// Spans that were ever queued, and those of them that were sent or dropped; spans leave in the order they came.
    offered: u64,
    settled: u64,
    /// Dropped because the queue was full, since the thread last told.
    overflow: u64,
    /// Whether the last attempt to send failed in a way that may pass.
    trouble: bool,
    flushes: Flushes,
    /// The deadline of a shutdown that has begun.
    closing: Option<Instant>,
    /// Nothing is queued or counted as sent any more.
    closed: bool,
    /// The thread has ended.
    stopped: bool,
}

/// Requests to flush. However many there are, two are kept: the one that is worked on, and all later ones as one.
/// So nobody waits for more than what was offered before the call and the round before that.
#[derive(Default)]
struct Flushes {
    /// Requests that were ever made, and how many of them are done.
    asked: u64,
    done: u64,
    current: Option<Flush>,
    next: Option<Flush>,
}

/// A request to flush.
#[derive(Clone, Copy)]
pub(crate) struct Flush {
    /// Its number; those before it are done with it.
    ticket: u64,
    /// How many spans had been offered before it.
    offered: u64,
    pub(crate) deadline: Instant,
}

impl Flushes {
    /// Adds a request, and returns its number.
    fn ask(&mut self, offered: u64, deadline: Instant) -> u64 {
        self.asked += 1;
        let flush = Flush { ticket: self.asked, offered, deadline };
        if self.current.is_none() {
            self.current = Some(flush);
        } else {
            let deadline = self.next.map_or(deadline, |other| other.deadline.max(deadline));
            self.next = Some(Flush { deadline, ..flush });
        }
        self.asked
    }

    /// The current request, if this many spans are enough for it.
    fn ready(&mut self, settled: u64) -> Option<Flush> {
        let ready = self.current.filter(|flush| settled >= flush.offered)?;
        self.current = self.next.take();
        Some(ready)
    }
}

/// What the thread is to do next.
pub(crate) enum Task {
    Send(Vec<SpanRecord>),
    Flush(Flush),
    /// Tell that this many spans were dropped because the queue was full.
    TellOverflow(u64),
    Stop,
}

/// How things stood when an attempt to send began.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    closing: bool,
    flushes: u64,
}

/// How a pause between two attempts ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// By time.
    Over,
    /// Somebody waits for a flush, or the shutdown has begun.
    Hurried,
    /// Another attempt before the end of shutdown is of no use.
    GiveUp,
    /// The pipeline is closed.
    Closed,
}

/// The longest pause between attempts while a shutdown waits.
const CLOSING_PAUSE: Duration = Duration::from_millis(250);

/// The longest wait without a look around; longer times are waited for in steps.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

impl State {
    fn new(queue_bytes: usize) -> Self {
        Self {
            stats: Stats::default(),
            held: 0,
            queue: Queue::new(queue_bytes),
            in_flight: 0,
            collected: Vec::new(),
            offered: 0,
            settled: 0,
            overflow: 0,
            trouble: false,
            flushes: Flushes::default(),
            closing: None,
            closed: false,
            stopped: false,
        }
    }

    fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.tally.queued = self.held + self.queue.len() as u64 + self.in_flight;
        stats.queued_bytes = self.queue.bytes() as u64;
        stats
    }

    fn tally(&self) -> Tally {
        self.stats().tally
    }

    fn drop_spans(&mut self, reason: DropReason, spans: u64) {
        self.stats.tally.dropped[reason as usize] += spans;
    }

    /// Spans in flight are sent or dropped.
    fn settle(&mut self, spans: u64) {
        self.in_flight = self.in_flight.saturating_sub(spans);
        self.settled += spans;
        if self.in_flight == 0 {
            self.queue.release();
        }
    }

    /// Empties the queue and forgets what is in flight; returns how many spans that were.
    fn abandon(&mut self) -> (u64, VecDeque<SpanRecord>) {
        let spans = self.queue.len() as u64 + self.in_flight;
        self.in_flight = 0;
        self.settled = self.offered;
        (spans, self.queue.empty())
    }
}

impl Shared {
    /// A panic while the lock is held would be a bug of ours; the counts are whole numbers either way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the thread until `done` or the deadline.
    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        deadline: Instant,
        done: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let left = left.min(LONGEST_WAIT);
            state = self.settled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// Drops what is left; nothing is counted as sent from now on.
    fn close(&self) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.closed = true;
        let reason = if state.trouble { DropReason::Unreachable } else { DropReason::Deadline };
        let (mut spans, left) = state.abandon();
        spans += mem::take(&mut state.held);
        state.drop_spans(reason, spans);
        self.work.notify_all();
        self.settled.notify_all();
        drop(state);
        drop(left);
    }

    /// Waits for something to do.
    pub(crate) fn next(&self) -> Task {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Task::Stop;
            }
            if state.overflow > 0 {
                return Task::TellOverflow(mem::take(&mut state.overflow));
            }
            let settled = state.settled;
            if let Some(flush) = state.flushes.ready(settled) {
                return Task::Flush(flush);
            }
            let Some(since) = state.queue.since() else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let now = Instant::now();
            let wait = self.linger.saturating_sub(now.saturating_duration_since(since)).min(LONGEST_WAIT);
            let full = state.queue.waiting_bytes() >= self.batch_bytes;
            if full || state.flushes.current.is_some() || state.closing.is_some() || wait.is_zero() {
                let spans = state.queue.take(self.batch_bytes, now);
                state.in_flight = spans.len() as u64;
                return Task::Send(spans);
            }
            state = self.work.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A flush, and those before it, are done.
    pub(crate) fn flushed(&self, flush: Flush) {
        self.lock().flushes.done = flush.ticket;
        self.settled.notify_all();
    }

    /// Puts back what found no room in the request, and counts the tags that were cut from what did.
    pub(crate) fn encoded(&self, rest: impl DoubleEndedIterator<Item = SpanRecord> + ExactSizeIterator, cut_tags: u64) {
        let mut state = self.lock();
        state.stats.cut_tags += cut_tags;
        if !state.closed {
            state.in_flight = state.in_flight.saturating_sub(rest.len() as u64);
            state.queue.put_back(rest, Instant::now());
        }
    }

    /// Begins an attempt to send; `None` when the pipeline is closed.
    pub(crate) fn attempt(&self, again: bool) -> Option<Attempt> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        state.stats.retries += u64::from(again);
        Some(Attempt { closing: state.closing.is_some(), flushes: state.flushes.asked })
    }

    /// Spans in flight were sent, in one batch of this many bytes.
    pub(crate) fn sent(&self, spans: usize, bytes: usize) {
        let mut state = self.lock();
        if !state.closed {
            state.stats.tally.sent += spans as u64;
            state.stats.tally.batches += 1;
            state.stats.bytes_sent += bytes as u64;
            state.settle(spans as u64);
            self.settled.notify_all();
        }
    }

    /// Spans in flight are dropped.
    pub(crate) fn dropped(&self, spans: usize, reason: DropReason) {
        let mut state = self.lock();
        if !state.closed {
            state.drop_spans(reason, spans as u64);
            state.settle(spans as u64);
            self.settled.notify_all();
        }
    }

    /// How many spans wait or are in flight.
    pub(crate) fn unsettled(&self) -> u64 {
        let state = self.lock();
        state.queue.len() as u64 + state.in_flight
    }

    /// Drops everything that waits or is in flight, because the backend cannot be reached.
    pub(crate) fn give_up(&self) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let (spans, left) = state.abandon();
        state.drop_spans(DropReason::Unreachable, spans);
        self.settled.notify_all();
        drop(state);
        drop(left);
    }

    /// Notes whether the backend is in trouble. Returns the spans that were dropped because of that so far, and those that
    /// wait.
    pub(crate) fn trouble(&self, trouble: bool) -> (u64, u64) {
        let mut state = self.lock();
        state.trouble = trouble;
        (state.stats.tally.dropped_by(DropReason::Unreachable), state.queue.len() as u64)
    }

    /// Waits before another attempt. `heed`: the backend asked for this pause, and a flush does not shorten it.
    /// `unreachable`: nobody is there.
    pub(crate) fn pause(&self, wait: Duration, heed: bool, unreachable: bool, attempt: Attempt) -> Pause {
        let began = Instant::now();
        let mut state = self.lock();
        loop {
            if state.closed {
                return Pause::Closed;
            }
            let mut until = began + wait;
            if let Some(deadline) = state.closing {
                if !attempt.closing && !heed {
                    return Pause::Hurried;
                }
                if !heed {
                    until = until.min(began + CLOSING_PAUSE);
                }
                if unreachable || until >= deadline {
                    return Pause::GiveUp;
                }
            } else if !heed && state.flushes.asked > attempt.flushes {
                return Pause::Hurried;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Pause::Over;
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
