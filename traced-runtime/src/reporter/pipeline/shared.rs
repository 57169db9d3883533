//! What a pipeline's thread and everybody else share: the counts, under one lock.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::reporter::pipeline::flushes::{Flush, Flushes};
use crate::reporter::queue::Queue;
use crate::reporter::record::SpanRecord;
use crate::reporter::stats::{DropReason, Stats, Tally};

/// What the pipeline's thread and everybody else share.
pub(crate) struct Shared {
    pub(super) state: Mutex<State>,
    /// There may be something to do for the thread.
    pub(super) work: Condvar,
    /// There may be an end for those who wait for the thread.
    pub(super) settled: Condvar,
    pub(crate) batch_bytes: usize,
    pub(super) linger: Duration,
    pub(super) collects: bool,
}

/// Everything that is counted, under one lock: its sums hold whenever somebody looks.
pub(super) struct State {
    pub(super) stats: Stats,
    /// Recorded, and not offered yet.
    pub(super) held: u64,
    pub(super) queue: Queue,
    /// Taken from the queue, and neither sent nor dropped yet.
    pub(super) in_flight: u64,
    pub(super) collected: Vec<SpanRecord>,
    /// Spans that were ever queued, and those of them that were sent or dropped; spans leave in the order they came.
    pub(super) offered: u64,
    pub(super) settled: u64,
    /// Dropped because the queue was full, since the thread last told.
    pub(super) overflow: u64,
    /// Whether the last attempt to send failed in a way that may pass.
    pub(super) trouble: bool,
    pub(super) flushes: Flushes,
    /// The deadline of a shutdown that has begun.
    pub(super) closing: Option<Instant>,
    /// Nothing is queued or counted as sent any more.
    pub(super) closed: bool,
    /// The thread has ended.
    pub(super) stopped: bool,
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
    pub(super) fn new(queue_bytes: usize) -> Self {
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

    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.tally.queued = self.held + self.queue.len() as u64 + self.in_flight;
        stats.queued_bytes = self.queue.bytes() as u64;
        stats
    }

    pub(super) fn tally(&self) -> Tally {
        self.stats().tally
    }

    pub(super) fn drop_spans(&mut self, reason: DropReason, spans: u64) {
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
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the thread until `done` or the deadline.
    pub(super) fn wait<'a>(
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
    pub(super) fn close(&self) {
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
