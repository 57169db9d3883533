//! A loom model of the pipeline: whoever records, who sends, who waits and who looks, in every order that matters.
//!
//! In loom a wait with a time ends by a notice alone. So nobody here is woken by time: a notice that is missing is a
//! deadlock, which loom finds.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use loom::thread;

use super::{Patience, Pipeline, Shared, State, Stopped, Task};
use crate::reporter::block::Block;
use crate::reporter::buffers::Buffers;
use crate::reporter::record::SpanRecord;
use crate::reporter::stats::{DropReason, Tally};

/// A thread that is none of those of a model: what calls the pipeline is not its own thread.
fn elsewhere() -> ThreadId {
    static ELSEWHERE: OnceLock<ThreadId> = OnceLock::new();
    *ELSEWHERE.get_or_init(|| std::thread::spawn(|| std::thread::current().id()).join().expect("it only tells its id"))
}

fn pipeline(queue_bytes: usize) -> Arc<Pipeline> {
    let shared = Shared::new(State::new(queue_bytes), 1 << 20, Duration::ZERO, false);
    shared.lock().threads = 1;
    Arc::new(Pipeline { shared, own: vec![elsewhere()], threads: Mutex::default() })
}

/// A pipeline, and its thread that sends.
fn running(queue_bytes: usize, takes: bool) -> (Arc<Pipeline>, thread::JoinHandle<()>) {
    let pipeline = pipeline(queue_bytes);
    let shared = Arc::clone(&pipeline.shared);
    (pipeline, thread::spawn(move || work(&shared, takes)))
}

/// The thread that sends, as `Worker` is, with a backend that takes everything or nothing.
fn work(shared: &Arc<Shared>, takes: bool) {
    let _stopped = Stopped(Arc::clone(shared));
    loop {
        match shared.next() {
            Task::Send(spans) => {
                shared.taken_whole();
                if shared.attempt(false).is_none() {
                    continue;
                }
                if takes {
                    shared.sent(spans.len(), 0);
                } else {
                    shared.dropped(spans.len(), DropReason::Rejected);
                }
            }
            Task::Flush(flush) => shared.flushed(flush),
            Task::Stop => break,
            _ => {}
        }
    }
}

fn offer(pipeline: &Pipeline, id: u64) {
    offer_with(pipeline, id, &mut Patience::default());
}

fn offer_with(pipeline: &Pipeline, id: u64, patience: &mut Patience) {
    pipeline.ended(1);
    let block = Block::new(vec![SpanRecord::sample("span", 1, id, 0)]);
    pipeline.offer(vec![block], &mut Buffers::default(), patience);
}

fn check(tally: Tally) -> Tally {
    assert!(tally.is_conserved(), "{tally:?}");
    tally
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

fn model(code: impl Fn() + Send + Sync + 'static) {
    elsewhere();
    let mut builder = loom::model::Builder::new();
    // A thread is interrupted so often where it does not wait: more finds nothing more in models of locks, and takes days.
    builder.preemption_bound = Some(2);
    builder.check(code);
}

/// A flush covers what was offered before it, and comes back.
#[test]
fn loom_a_flush_waits_for_what_was_offered_before() {
    for takes in [true, false] {
        model(move || {
            let (pipeline, worker) = running(1 << 20, takes);
            offer(&pipeline, 1);
            let tally = check(pipeline.flush(far()));
            assert_eq!((tally.recorded(), tally.sent() + tally.dropped()), (1, 1), "{tally:?}");
            let tally = check(pipeline.shutdown(far()));
            assert_eq!(tally.sent(), u64::from(takes), "{tally:?}");
            worker.join().expect("no panic");
        });
    }
}

/// Two threads record while a third shuts down: each span is in one place, whoever looks.
#[test]
fn loom_a_shutdown_counts_what_comes_meanwhile() {
    model(|| {
        let (pipeline, worker) = running(1 << 20, true);
        let recording = {
            let pipeline = Arc::clone(&pipeline);
            thread::spawn(move || {
                offer(&pipeline, 1);
                check(pipeline.tally());
            })
        };
        check(pipeline.shutdown(far()));
        recording.join().expect("no panic");
        worker.join().expect("no panic");
        let tally = check(pipeline.tally());
        assert_eq!((tally.recorded(), tally.queued()), (1, 0), "{tally:?}");
    });
}

/// A queue without room drops, and counts.
#[test]
fn loom_a_full_queue_counts_what_it_drops() {
    model(|| {
        let (pipeline, worker) = running(SpanRecord::sample("span", 1, 1, 0).size(), true);
        offer(&pipeline, 1);
        offer(&pipeline, 2);
        let tally = check(pipeline.flush(far()));
        assert_eq!((tally.recorded(), tally.queued()), (2, 0), "{tally:?}");
        assert_eq!(tally.dropped(), tally.dropped_by(DropReason::QueueFull), "{tally:?}");
        check(pipeline.shutdown(far()));
        worker.join().expect("no panic");
    });
}

/// Who waits for room gets it when the batch before is settled, or hears of the shutdown.
#[test]
fn loom_a_full_queue_is_waited_for() {
    for shuts_down in [false, true] {
        model(move || {
            let (pipeline, worker) = running(SpanRecord::sample("span", 1, 1, 0).size(), true);
            let recording = {
                let pipeline = Arc::clone(&pipeline);
                thread::spawn(move || {
                    offer(&pipeline, 1);
                    offer_with(&pipeline, 2, &mut Patience::of_a_round(&Arc::default()));
                })
            };
            if !shuts_down {
                recording.join().expect("no panic");
                assert_eq!(check(pipeline.flush(far())).sent(), 2);
                check(pipeline.shutdown(far()));
            } else {
                check(pipeline.shutdown(far()));
                recording.join().expect("no panic");
                let tally = check(pipeline.tally());
                assert_eq!(tally.queued(), 0, "{tally:?}");
            }
            worker.join().expect("no panic");
        });
    }
}

/// Two who flush at once: both come back.
#[test]
fn loom_two_flushes_come_back() {
    model(|| {
        let (pipeline, worker) = running(1 << 20, true);
        let other = {
            let pipeline = Arc::clone(&pipeline);
            thread::spawn(move || check(pipeline.flush(far())))
        };
        offer(&pipeline, 1);
        assert_eq!(check(pipeline.flush(far())).sent(), 1);
        other.join().expect("no panic");
        check(pipeline.shutdown(far()));
        worker.join().expect("no panic");
    });
}
