//! What becomes of a tracer's finished spans, and the count of it.
//!
//! ```text
//! drain: ended ─► held ─► offer ─► queue ─► in flight ─► sent        one mutex; recorded is the sum of all of them
//!                           ├────────┼──────────┴──────► dropped
//!                           └────────┴────► spool ─► in flight        with a spool: what cannot be sent waits on the disk
//! ```

mod flushes;
#[cfg(all(loom, test))]
mod model;
mod patience;
mod shared;
#[cfg(feature = "spool")]
mod spill;

use std::fmt;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use crate::model::id::TraceId;
use crate::model::loss::DropReason;
use crate::process::notice::NoticeHook;
use crate::process::thread::spawn_quiet;
use crate::reporter::backend::Reporter;
use crate::reporter::backoff::Backoff;
use crate::reporter::block::Block;
use crate::reporter::buffers::Buffers;
pub(crate) use crate::reporter::pipeline::patience::Patience;
use crate::reporter::pipeline::shared::State;
pub(crate) use crate::reporter::pipeline::shared::{Attempt, Cost, Pause, Shared, Task};
#[cfg(feature = "spool")]
use crate::reporter::pipeline::spill::Spilling;
#[cfg(feature = "spool")]
pub(crate) use crate::reporter::pipeline::spill::{Spill, Written};
#[cfg(any(test, feature = "testing"))]
use crate::reporter::record::SpanRecord;
use crate::reporter::redaction::Redaction;
use crate::reporter::send::Sender;
#[cfg(feature = "spool")]
use crate::reporter::spool::{SpoolSettings, Spooler};
use crate::reporter::stats::{Stats, Tally};
use crate::reporter::worker::Worker;

/// The lock and the conditions in use: loom's in its model, else the standard library's.
mod sync {
    #[cfg(loom)]
    pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};
    #[cfg(not(loom))]
    pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
}

/// How a tracer's spans leave the process.
pub(crate) struct PipelineConfig {
    /// Names the thread.
    pub(crate) service: String,
    pub(crate) output: Output,
    /// Changes spans before they leave the process.
    pub(crate) redaction: Option<Redaction>,
    /// Bytes of finished spans that wait or are being sent. Beyond it a span is dropped when it ends.
    pub(crate) queue_bytes: usize,
    /// Bytes of one request, or of the spans given to a reporter at once. A span larger than that is cut.
    pub(crate) batch_bytes: usize,
    /// How long a span waits for others to fill its batch.
    pub(crate) linger: Duration,
    pub(crate) notice: NoticeHook,
    /// Called on the thread with the traces of local roots that a collector has accepted.
    pub(crate) accepted: Option<AcceptHook>,
    /// Where spans wait that cannot be sent.
    #[cfg(feature = "spool")]
    pub(crate) spool: Option<SpoolSettings>,
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
    /// The threads that must not wait for themselves; none if there is nobody to wait for.
    own: Vec<ThreadId>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Pipeline {
    /// Starts the pipeline's threads.
    pub(crate) fn start(config: PipelineConfig) -> io::Result<Arc<Self>> {
        Self::start_with(config, Backoff::default())
    }

    pub(crate) fn start_with(config: PipelineConfig, backoff: Backoff) -> io::Result<Arc<Self>> {
        #[cfg_attr(not(feature = "spool"), expect(unused_mut, reason = "a spool is all that may be added"))]
        let mut state = State::new(config.queue_bytes);
        #[cfg(feature = "spool")]
        {
            state.spill = config.spool.as_ref().map(Spilling::new);
        }
        let shared = Shared::new(state, config.batch_bytes, config.linger, false);
        let mut pipeline = Self { shared, own: Vec::new(), threads: Mutex::default() };
        let name = format!("traced {}", config.service);
        #[cfg(feature = "spool")]
        if config.spool.is_some() {
            let spooler = Spooler::new(Arc::clone(&pipeline.shared), config.redaction.clone(), config.notice.clone());
            pipeline.spawn("traced-spool".to_owned(), || spooler.run())?;
        }
        let worker = Worker::new(
            Arc::clone(&pipeline.shared),
            config.output,
            config.redaction,
            config.notice,
            config.accepted,
            backoff,
        );
        // One that could not be started whole is dropped, and its other thread ends.
        pipeline.spawn(name, || worker.run())?;
        Ok(Arc::new(pipeline))
    }

    fn spawn(&mut self, name: String, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.shared.lock().threads += 1;
        let stopped = Stopped(Arc::clone(&self.shared));
        let thread = spawn_quiet(name, move || {
            let _stopped = stopped;
            run();
        })?;
        self.own.push(thread.thread().id());
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// A pipeline to a list that a test reads: without a thread, and without a bound.
    pub(crate) fn collecting() -> Arc<Self> {
        let shared = Shared::new(State::new(0), 0, Duration::ZERO, true);
        Arc::new(Self { shared, own: Vec::new(), threads: Mutex::default() })
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

    /// Takes spans that [`ended`](Self::ended) before: they are queued, or dropped for want of room, after some patience. Takes
    /// back buffers of spans that were sent. Gives back what found no room by the time that somebody wanted the round to end:
    /// that is still held.
    pub(crate) fn offer(&self, blocks: Vec<Block>, buffers: &mut Buffers, patience: &mut Patience) -> Vec<Block> {
        let now = Instant::now();
        let (mut no_room, mut left_over) = (Vec::new(), Vec::new());
        let mut state = self.shared.lock();
        if state.closed {
            // Counted when they ended, or by the shutdown.
            drop(state);
            return left_over;
        }
        buffers.take_over(&mut state.spent);
        let was_empty = state.queue.is_empty();
        let offered: u64 = blocks.iter().map(|block| block.len() as u64).sum();
        state.stats.tally.recorded += offered.saturating_sub(state.held);
        state.held = state.held.max(offered);
        for block in blocks {
            if self.shared.collects {
                state.held -= block.len() as u64;
                state.stats.tally.sent += block.len() as u64;
                state.collected.extend(block.into_spans());
                continue;
            }
            let mut rest = if left_over.is_empty() { state.queue_block(block, now) } else { Some(block) };
            while let Some(block) = rest {
                let can_wait = self.can_wait() && state.can_get_room(&block);
                let Some(time) = patience.next().filter(|_| can_wait) else {
                    if can_wait && patience.is_hurried() {
                        left_over.push(block);
                    } else {
                        no_room.push(state.drop_block(block));
                    }
                    break;
                };
                state.wants_room = true;
                self.shared.work.notify_all();
                let before = Instant::now();
                state = self.shared.settled.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0;
                state.wants_room = false;
                patience.wear(before.elapsed());
                if state.closed {
                    // What is held was counted by the shutdown.
                    drop(state);
                    return Vec::new();
                }
                rest = state.queue_block(block, now);
            }
        }
        let begins = was_empty && !state.queue.is_empty();
        if begins || state.has_work(self.shared.batch_bytes) || !no_room.is_empty() {
            self.shared.work.notify_all();
        }
        // Freed after the lock is given back.
        drop(state);
        drop(no_room);
        left_over
    }

    /// Drops what an [offer](Self::offer) gave back.
    pub(crate) fn no_room(&self, block: Block) {
        let mut state = self.shared.lock();
        if state.closed {
            // Counted by the shutdown.
            return;
        }
        let block = state.drop_block(block);
        self.shared.work.notify_all();
        drop(state);
        drop(block);
    }

    /// Counts spans of which nothing is left but their number.
    pub(crate) fn lost(&self, reason: DropReason, spans: u64) {
        let mut state = self.shared.lock();
        state.stats.tally.recorded += spans;
        state.drop_spans(reason, spans);
        if reason == DropReason::LogFull {
            state.log_full += spans;
            self.shared.work.notify_all();
        }
    }

    /// Counts tags and annotations that came after their span was offered.
    pub(crate) fn count_late_tags(&self, tags: u64) {
        self.shared.lock().stats.late_tags += tags;
    }

    /// Counts tags and annotations that were left out because their span had too many.
    pub(crate) fn count_cut_tags(&self, tags: u64) {
        self.shared.lock().stats.cut_tags += tags;
    }

    /// Counts values that were cut because they were too long for the log, and those for which it had no room.
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
    /// deadline. On the pipeline's own threads, where user code may call it, it does not wait.
    pub(crate) fn flush(&self, deadline: Instant) -> Tally {
        let mut state = self.shared.lock();
        if !self.can_wait() || state.closed {
            return state.tally();
        }
        let offered = state.offered;
        let ticket = state.flushes.ask(offered, deadline);
        self.shared.work.notify_all();
        self.shared.wait(state, deadline, |state| state.closed || state.flushes.done >= ticket).tally()
    }

    /// Flushes, and ends the threads. What is left at the deadline is dropped, and so is whatever is offered later. A
    /// collector that refuses connections gets one last attempt, and the deadline is not waited for. With a spool, what is left
    /// goes there; it counts as queued for ever.
    ///
    /// Called again, it waits for the threads to end, and tells how things stand.
    pub(crate) fn shutdown(&self, deadline: Instant) -> Tally {
        if self.can_wait() {
            {
                let mut state = self.shared.lock();
                let deadline = state.closing.map_or(deadline, |earlier| earlier.min(deadline));
                state.closing = Some(deadline);
                #[cfg(feature = "spool")]
                state.save_before(deadline);
            }
            self.flush(deadline);
        }
        self.shared.close();
        if self.can_wait() {
            self.join(deadline);
        }
        self.tally()
    }

    /// After a [shutdown](Self::shutdown) that could not wait itself: waits for the threads, but not beyond the deadline, nor
    /// beyond one that the shutdown had.
    pub(crate) fn wait_for_threads(&self, deadline: Instant) {
        let earlier = self.shared.lock().closing;
        self.join(earlier.map_or(deadline, |earlier| earlier.min(deadline)));
    }

    fn join(&self, deadline: Instant) {
        let state = self.shared.lock();
        let stopped = self.shared.wait(state, deadline, |state| state.stopped).stopped;
        let threads = mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads.into_iter().filter(|_| stopped) {
            // It has nothing left to do but to end, and its panics were contained.
            thread.join().ok();
        }
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

    /// Waits until things stand like this, or until the deadline; tells how they stand.
    #[cfg(all(test, feature = "spool"))]
    pub(crate) fn wait_until(&self, deadline: Instant, is_there: impl Fn(&Stats) -> bool) -> Stats {
        let mut state = self.shared.lock();
        while !is_there(&state.stats()) && Instant::now() < deadline {
            // Not every change wakes those who wait for work.
            let step = Duration::from_millis(5);
            state = self.shared.work.wait_timeout(state, step).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.stats()
    }

    /// Whether there is a thread to wait for, and the caller is none of the pipeline's own.
    pub(crate) fn can_wait(&self) -> bool {
        !self.own.is_empty() && !self.own.contains(&std::thread::current().id())
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

/// Closes the pipeline when one of its threads ends, however it ends: nobody waits for a thread that is gone.
struct Stopped(Arc<Shared>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.close();
        let mut state = self.0.lock();
        state.threads -= 1;
        if state.threads > 0 {
            return;
        }
        #[cfg(feature = "spool")]
        {
            // Given back before anybody hears of the end: whoever starts next finds them.
            let folders = state.give_back_folders();
            drop(state);
            drop(folders);
            state = self.0.lock();
        }
        state.stopped = true;
        self.0.settled.notify_all();
    }
}
