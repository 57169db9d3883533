//! What a pipeline's threads and everybody else share: the counts, under one lock.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::model::loss::DropReason;
use crate::reporter::block::{Batch, Block};
use crate::reporter::buffers::Buffers;
use crate::reporter::encode::Body;
use crate::reporter::pipeline::flushes::{Flush, Flushes};
#[cfg(feature = "spool")]
use crate::reporter::pipeline::spill::Spilling;
use crate::reporter::pipeline::sync::{Condvar, Mutex, MutexGuard};
use crate::reporter::queue::Queue;
use crate::reporter::record::SpanRecord;
#[cfg(feature = "spool")]
use crate::reporter::spool::Stored;
use crate::reporter::stats::{Stats, Tally};

/// What a pipeline's threads and everybody else share.
pub(crate) struct Shared {
    pub(super) state: Mutex<State>,
    /// There may be something to do for the threads.
    pub(super) work: Condvar,
    /// There may be an end for those who wait for the threads.
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
    /// Somebody waits for room: what is there is sent, however little it is.
    pub(super) wants_room: bool,
    /// Of spans that were encoded, for the drain.
    pub(super) spent: Buffers,
    /// A thread has taken spans from the queue and may put some back: nobody else takes any.
    pub(super) encoding: bool,
    /// Taken from the queue to be sent, and neither sent nor dropped yet.
    pub(super) in_flight: u64,
    /// How many spans were queued before the first of these, or a few less.
    pub(super) in_flight_after: u64,
    pub(super) collected: Vec<SpanRecord>,
    /// Spans that were ever queued.
    pub(super) offered: u64,
    /// Dropped because the queue was full, since the thread last told.
    pub(super) overflow: u64,
    /// Dropped because the log was full, since the thread last told.
    pub(super) log_full: u64,
    /// Whether the last attempt to send failed in a way that may pass.
    pub(super) trouble: bool,
    /// Why spans are lost while there is trouble.
    pub(super) loss: DropReason,
    pub(super) flushes: Flushes,
    /// The deadline of a shutdown that has begun.
    pub(super) closing: Option<Instant>,
    /// Nothing is queued or counted as sent any more.
    pub(super) closed: bool,
    /// Threads that have not ended.
    pub(super) threads: u32,
    /// All threads have ended, and nothing of theirs is left.
    pub(super) stopped: bool,
    /// What waits on the disk, if there is a spool.
    #[cfg(feature = "spool")]
    pub(super) spill: Option<Spilling>,
}

/// What the sending thread is to do next.
pub(crate) enum Task {
    Send(Batch),
    /// Send a batch from the spool.
    #[cfg(feature = "spool")]
    SendStored(Stored),
    Flush(Flush),
    /// Tell that this many spans were dropped because the queue was full.
    TellOverflow(u64),
    /// The same of the log.
    TellLogFull(u64),
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

/// What trouble has cost so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Spans dropped because the backend did not take them.
    pub(crate) dropped: u64,
    /// Spans that wait, in memory or on the disk.
    pub(crate) waiting: u64,
    /// Those of them on the disk.
    pub(crate) spooled: u64,
    /// Spans of the batch that was sent last.
    pub(crate) in_hand: u64,
    /// Spans on the disk, whether they wait or are being sent: they outlive the process.
    pub(crate) kept: u64,
}

/// The longest pause between attempts while a shutdown waits.
const CLOSING_PAUSE: Duration = Duration::from_millis(250);

/// The longest wait without a look around; longer times are waited for in steps.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

impl State {
    pub(super) fn new(queue_bytes: usize) -> Self {
        Self {
            stats: Stats::default(),
            held: 0,
            queue: Queue::new(queue_bytes),
            wants_room: false,
            spent: Buffers::default(),
            encoding: false,
            in_flight: 0,
            in_flight_after: 0,
            collected: Vec::new(),
            offered: 0,
            overflow: 0,
            log_full: 0,
            trouble: false,
            loss: DropReason::Unreachable,
            flushes: Flushes::default(),
            closing: None,
            closed: false,
            threads: 0,
            stopped: false,
            #[cfg(feature = "spool")]
            spill: None,
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.tally.queued = self.held + self.queue.len() as u64 + self.in_flight;
        stats.queued_bytes = self.queue.bytes() as u64;
        #[cfg(feature = "spool")]
        self.add_spilled(&mut stats);
        stats
    }

    pub(super) fn tally(&self) -> Tally {
        self.stats().tally
    }

    pub(super) fn drop_spans(&mut self, reason: DropReason, spans: u64) {
        self.stats.tally.dropped[reason as usize] += spans;
    }

    /// Drops spans that the backend, which is in trouble, did not take.
    pub(super) fn drop_lost(&mut self, spans: u64) {
        self.drop_spans(self.loss, spans);
    }

    /// Queues the spans of a block that are held; those for which there is no room stay held, and come back.
    pub(super) fn queue_block(&mut self, mut block: Block, now: Instant) -> Option<Block> {
        let spans = block.len();
        block = block.queued_after(self.offered);
        self.queue.push(&mut block, now);
        let queued = (spans - block.len()) as u64;
        self.offered += queued;
        self.held = self.held.saturating_sub(queued);
        (!block.is_empty()).then_some(block)
    }

    /// How many spans were queued before the oldest one that is neither sent nor dropped, or a few less; `None`: there is no
    /// such.
    fn settled(&self) -> Option<u64> {
        let queued = self.queue.after();
        let in_flight = (self.in_flight > 0).then_some(self.in_flight_after);
        let in_memory = queued.into_iter().chain(in_flight).min();
        #[cfg(feature = "spool")]
        let in_memory = in_memory.into_iter().chain(self.settled_of_spool()).min();
        in_memory
    }

    /// Counts held spans as dropped for want of room, and gives them back to be freed.
    pub(super) fn drop_block(&mut self, block: Block) -> Block {
        let spans = block.len() as u64;
        self.held = self.held.saturating_sub(spans);
        if self.trouble {
            self.drop_lost(spans);
        } else {
            self.drop_spans(DropReason::QueueFull, spans);
            self.overflow += spans;
        }
        block
    }

    /// Whether the queue is full of what will soon be gone, and then there will be room for the first span of a block.
    pub(super) fn can_get_room(&self, block: &Block) -> bool {
        let fits = block.spans().first().is_some_and(|span| span.size() <= self.queue.bound());
        let empties = !self.trouble;
        #[cfg(feature = "spool")]
        let empties = empties || self.spool_takes();
        empties && self.queue.bytes() > 0 && fits
    }

    /// Whether the threads have something to do, or to wait for.
    pub(super) fn has_work(&self, batch_bytes: usize) -> bool {
        let waiting = self.queue.waiting_bytes();
        #[cfg(feature = "spool")]
        if waiting > self.queue.bound() / 2 {
            return true;
        }
        waiting >= batch_bytes
    }

    /// Spans of the batch in hand are sent or dropped. Whether they are this tracer's own, and not adopted.
    fn settle(&mut self, spans: u64) -> bool {
        #[cfg(feature = "spool")]
        if let Some(own) = self.settle_stored(spans) {
            return own;
        }
        self.in_flight = self.in_flight.saturating_sub(spans);
        if self.in_flight == 0 {
            self.queue.release();
        }
        true
    }

    /// Empties the queue and forgets what is in flight, except for what is safe on the disk; returns how many spans that
    /// were.
    pub(super) fn abandon(&mut self) -> (u64, VecDeque<Block>) {
        #[cfg(feature = "spool")]
        self.keep_saved();
        let spans = self.queue.len() as u64 + self.in_flight;
        #[cfg(feature = "spool")]
        let spans = spans + self.abandon_spilling();
        self.in_flight = 0;
        (spans, self.queue.empty())
    }

    /// Whether a flush needs wait no longer: all before it are settled, or it is known that no more will be.
    pub(super) fn flush_is_ready(&mut self) -> Option<Flush> {
        #[cfg(feature = "spool")]
        if self.has_given_up() {
            let all_safe = self.in_flight == 0 && self.queue.is_empty() && !self.is_spilling();
            let all_safe = all_safe && self.spool_is_checked();
            return if all_safe { self.flushes.ready(u64::MAX) } else { None };
        }
        let settled = self.settled().unwrap_or(u64::MAX);
        self.flushes.ready(settled)
    }
}

impl Shared {
    /// Of no thread yet.
    pub(super) fn new(state: State, batch_bytes: usize, linger: Duration, collects: bool) -> Arc<Self> {
        let (state, work, settled) = (Mutex::new(state), Condvar::new(), Condvar::new());
        Arc::new(Self { state, work, settled, batch_bytes, linger, collects })
    }

    /// A panic while the lock is held would be a bug of ours; the counts are whole numbers either way.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the threads until `done` or the deadline.
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

    /// Drops what is left in memory; nothing is counted as sent from now on.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.closed = true;
        let reason = if state.trouble { state.loss } else { DropReason::Deadline };
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
            if state.log_full > 0 {
                return Task::TellLogFull(mem::take(&mut state.log_full));
            }
            if let Some(flush) = state.flush_is_ready() {
                return Task::Flush(flush);
            }
            #[cfg(feature = "spool")]
            if state.has_given_up() {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let now = Instant::now();
            let wait = state.queue.since().filter(|_| !state.encoding).map(|since| {
                let full = state.queue.waiting_bytes() >= self.batch_bytes;
                let hurry = full || state.wants_room || state.flushes.current.is_some() || state.closing.is_some();
                let wait = self.linger.saturating_sub(now.saturating_duration_since(since)).min(LONGEST_WAIT);
                if hurry { Duration::ZERO } else { wait }
            });
            #[cfg(feature = "spool")]
            if let Some(stored) = state.take_stored(wait.is_some_and(|wait| wait.is_zero())) {
                return Task::SendStored(stored);
            }
            state = match wait {
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    let spans = state.queue.take(self.batch_bytes, now);
                    (state.in_flight, state.in_flight_after) = (spans.len() as u64, spans.after());
                    state.encoding = true;
                    return Task::Send(spans);
                }
                Some(wait) => self.work.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// A flush, and those before it, are done.
    pub(crate) fn flushed(&self, flush: Flush) {
        self.lock().flushes.done = flush.ticket;
        self.settled.notify_all();
    }

    /// Puts back what found no room in the request, and counts what was lost of the rest. The encoded batch is shown, so that
    /// it can be spooled while it is being sent. `spent` are the buffers of what was encoded.
    pub(crate) fn encoded(
        &self,
        rest: Vec<SpanRecord>,
        cut_tags: u64,
        too_large: usize,
        body: &Arc<Body>,
        spent: &mut Buffers,
    ) {
        let mut state = self.lock();
        state.spent.take_over(spent);
        state.encoding = false;
        state.stats.cut_tags += cut_tags;
        if !state.closed {
            let back = rest.len() as u64;
            state.in_flight = state.in_flight.saturating_sub(back);
            let after = state.in_flight_after + state.in_flight;
            state.queue.put_back(rest, after, Instant::now());
            if too_large > 0 {
                state.settle(too_large as u64);
                state.drop_spans(DropReason::TooLarge, too_large as u64);
                self.settled.notify_all();
            }
        }
        #[cfg(feature = "spool")]
        {
            state.show_in_flight(body);
            self.work.notify_all();
        }
        #[cfg(not(feature = "spool"))]
        let _ = body;
    }

    /// Nothing of what was taken from the queue is put back.
    pub(crate) fn taken_whole(&self) {
        self.lock().encoding = false;
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

    /// Spans of the batch in hand were sent, in one request of this many bytes.
    pub(crate) fn sent(&self, spans: usize, bytes: usize) {
        let mut state = self.lock();
        if !state.closed {
            state.stats.bytes_sent += bytes as u64;
            if state.settle(spans as u64) {
                state.stats.tally.sent += spans as u64;
                state.stats.tally.batches += 1;
            } else {
                state.stats.adopted.sent += spans as u64;
            }
            self.settled.notify_all();
        }
    }

    /// Tags and annotations of the batch in hand were left out.
    pub(crate) fn cut(&self, parts: u64) {
        self.lock().stats.cut_tags += parts;
    }

    /// Spans of the batch in hand are dropped.
    pub(crate) fn dropped(&self, spans: usize, reason: DropReason) {
        let mut state = self.lock();
        if !state.closed {
            if state.settle(spans as u64) {
                state.drop_spans(reason, spans as u64);
            } else {
                state.stats.adopted.dropped += spans as u64;
            }
            self.settled.notify_all();
        }
    }

    /// Whether spans that cannot be sent are kept on the disk.
    pub(crate) fn spools(&self) -> bool {
        #[cfg(feature = "spool")]
        return self.lock().spill.is_some();
        #[cfg(not(feature = "spool"))]
        false
    }

    /// The backend takes nothing, and the shutdown does not wait for it: what is not on the disk is dropped.
    pub(crate) fn give_up(&self) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        #[cfg(feature = "spool")]
        state.stop_sending();
        let (spans, left) = state.abandon();
        state.drop_lost(spans);
        self.settled.notify_all();
        drop(state);
        drop(left);
    }

    /// Notes trouble, and why spans are lost in it.
    pub(crate) fn trouble_for(&self, loss: DropReason, lasting: bool) -> Cost {
        self.lock().loss = loss;
        self.trouble(true, lasting)
    }

    /// Notes whether the backend is in trouble, and since when it is more than a slip: then spans are spooled.
    pub(crate) fn trouble(&self, trouble: bool, lasting: bool) -> Cost {
        let mut state = self.lock();
        state.trouble = trouble;
        #[cfg(feature = "spool")]
        if state.spill_from_now(lasting) {
            self.work.notify_all();
        }
        #[cfg(not(feature = "spool"))]
        let _ = lasting;
        let tally = state.tally();
        let lost = [DropReason::Unreachable, DropReason::Unavailable, DropReason::Rejected, DropReason::SpoolFull];
        let dropped = lost.into_iter().map(|reason| tally.dropped_by(reason)).sum();
        let (waiting, in_hand, kept) = (state.queue.len() as u64, state.in_flight, tally.spooled());
        let cost = Cost { dropped, waiting, spooled: 0, in_hand, kept };
        #[cfg(feature = "spool")]
        let cost = state.with_spooled(cost);
        cost
    }

    /// Waits before another attempt. `heed`: the backend asked for this pause, and a flush does not shorten it; a shutdown does
    /// that would end before, for one last attempt. `unreachable`: nobody is there.
    pub(crate) fn pause(&self, wait: Duration, heed: bool, unreachable: bool, attempt: Attempt) -> Pause {
        let began = Instant::now();
        let mut state = self.lock();
        loop {
            if state.closed {
                return Pause::Closed;
            }
            let mut until = began + wait;
            if let Some(deadline) = state.closing {
                if !heed {
                    until = until.min(began + CLOSING_PAUSE);
                }
                if !attempt.closing && (!heed || until >= deadline) {
                    return Pause::Hurried;
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
