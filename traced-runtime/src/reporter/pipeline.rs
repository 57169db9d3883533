//! What becomes of a tracer's finished spans, and the count of it.
//!
//! ```text
//! drain: ended ─► held ─► offer ─► queue ─► in flight ─► sent        one mutex; recorded is the sum of all of them
//!                           └────────┴──────────┴──────► dropped
//! ```

mod flushes;
mod shared;

use std::fmt;
use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use crate::reporter::backend::Reporter;
use crate::reporter::backoff::Backoff;
use crate::reporter::notice::NoticeHook;
use crate::reporter::pipeline::shared::State;
pub(crate) use crate::reporter::pipeline::shared::{Attempt, Pause, Shared, Task};
use crate::reporter::record::SpanRecord;
use crate::reporter::redaction::Redaction;
use crate::reporter::send::Sender;
use crate::reporter::stats::{DropReason, Stats, Tally};
use crate::reporter::thread::spawn_quiet;
use crate::reporter::worker::Worker;

/// How a tracer's spans leave the process.
pub(crate) struct PipelineConfig {
    /// Names the thread.
    pub(crate) service: String,
    pub(crate) output: Output,
    /// Changes spans before they leave the process.
    pub(crate) redaction: Option<Redaction>,
    /// Bytes of finished spans that wait or are being sent. Beyond it a span is dropped when it ends.
    pub(crate) queue_bytes: usize,
    /// Bytes of one request, or of the spans given to a reporter at once. A span larger than that loses tags.
    pub(crate) batch_bytes: usize,
    /// How long a span waits for others to fill its batch.
    pub(crate) linger: Duration,
    pub(crate) notice: NoticeHook,
    /// Called first on the thread.
    pub(crate) thread_start: fn(),
}

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
        let worker = Worker::new(Arc::clone(&shared), config.output, config.redaction, config.notice, backoff);
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
