//! A loom model of the pipeline: whoever records, who sends, who waits and who looks, in every order that matters.
//!
//! In loom a wait with a time ends by a notice alone. So nobody here is woken by time: a notice that is missing is a
//! deadlock, which loom finds.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use loom::thread;

use super::{Patience, Pipeline, Shared, State, Stopped, Task};
use crate::model::loss::DropReason;
use crate::reporter::block::Block;
use crate::reporter::buffers::Buffers;
use crate::reporter::record::SpanRecord;
use crate::reporter::stats::Tally;

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

/// With a spool: a thread that sends, to a backend that is there at last or never, one that writes, and the end.
#[cfg(feature = "spool")]
mod with_a_spool {
    use std::path::PathBuf;

    use super::*;
    use crate::reporter::encode::Body;
    use crate::reporter::pipeline::{Pause, Spill, Spilling, Written};
    use crate::reporter::spool::{Folder, Left, SpoolSettings};

    /// Every batch is in this one, which is gone: what is explored here is the counts, and no file is touched.
    fn folder() -> Arc<Folder> {
        static FOLDER: OnceLock<Arc<Folder>> = OnceLock::new();
        let create = || {
            let directory = tempfile::tempdir().expect("a directory");
            Arc::new(Folder::create(directory.path()).expect("a folder in it"))
        };
        Arc::clone(FOLDER.get_or_init(create))
    }

    /// The thread that sends, as `Worker` is. The backend is unreachable, until so many attempts were made.
    fn work(shared: &Arc<Shared>, mut failures: u32) {
        let _stopped = Stopped(Arc::clone(shared));
        loop {
            let spans = match shared.next() {
                Task::Send(mut batch) => {
                    let mut body = Body::new(1 << 20);
                    let filled = body.fill(batch.spans_mut(), |_, _| ());
                    let mut spent = Buffers::default();
                    let rest = batch.spend(filled.taken, &mut spent);
                    let spans = body.spans();
                    shared.encoded(rest, 0, 0, &Arc::new(body), &mut spent);
                    spans
                }
                Task::SendStored(batch) => usize::try_from(batch.spans).expect("a few"),
                Task::Flush(flush) => {
                    shared.flushed(flush);
                    continue;
                }
                Task::Stop => break,
                Task::TellOverflow(_) | Task::TellLogFull(_) => continue,
            };
            if persist(shared, &mut failures) {
                shared.sent(spans, 0);
                drop(shared.finished());
            }
        }
    }

    /// Whether the batch in hand was taken.
    fn persist(shared: &Shared, failures: &mut u32) -> bool {
        loop {
            let Some(attempt) = shared.attempt(false) else { return false };
            if *failures == 0 {
                shared.trouble(false, false);
                return true;
            }
            *failures -= 1;
            shared.trouble(true, true);
            match shared.pause(Duration::from_secs(3_600), false, true, attempt) {
                Pause::Over | Pause::Hurried => {}
                Pause::GiveUp => {
                    if !shared.spool_instead() {
                        shared.give_up();
                    }
                    return false;
                }
                Pause::Closed => return false,
            }
        }
    }

    /// The thread that writes, as `Spooler` is, to a disk that works or does not.
    fn write(shared: &Arc<Shared>, works: bool) {
        let _stopped = Stopped(Arc::clone(shared));
        let written = |number| Written { folder: folder(), number, bytes: 100 };
        loop {
            match shared.next_spill() {
                Spill::Adopt => drop(shared.adopted(&mut Left::default())),
                Spill::Check => shared.checked(),
                Spill::Stop => break,
                Spill::InFlight { .. } | Spill::Queue { .. } if shared.make_room(100).is_none() => {}
                Spill::InFlight { number, .. } if works => {
                    shared.saved(written(number));
                }
                Spill::Queue { number, spans } if works => {
                    shared.spill_encoded(Vec::new());
                    shared.spilled(Some(written(number)), spans.len(), 0, 0);
                }
                Spill::InFlight { .. } => shared.spill_failed(Vec::new(), 0),
                Spill::Queue { spans, .. } => {
                    shared.spill_encoded(Vec::new());
                    shared.spill_failed(spans, 0);
                }
            }
        }
    }

    fn explore(failures: u32, disk_works: bool, check_end: impl Fn(Tally) + Copy + Send + Sync + 'static) {
        // Not inside the model: each run of it is the same.
        drop(folder());
        model(move || {
            let mut state = State::new(1 << 20);
            let settings = SpoolSettings { directory: PathBuf::new(), bytes: 1 << 20 };
            state.spill = Some(Spilling::new(&settings));
            state.threads = 2;
            let shared = Shared::new(state, 1 << 20, Duration::ZERO, false);
            let pipeline = Pipeline { shared, own: vec![elsewhere()], threads: Mutex::default() };
            let (sends, writes) = (Arc::clone(&pipeline.shared), Arc::clone(&pipeline.shared));
            let sender = thread::spawn(move || work(&sends, failures));
            let writer = thread::spawn(move || write(&writes, disk_works));
            offer(&pipeline, 1);
            check(pipeline.tally());
            offer(&pipeline, 2);
            let end = check(pipeline.shutdown(far()));
            sender.join().expect("no panic");
            writer.join().expect("no panic");
            assert_eq!(check(pipeline.tally()), end, "nothing moves after the end");
            check_end(end);
        });
    }

    #[test]
    fn loom_what_nobody_takes_is_in_the_spool() {
        explore(u32::MAX, true, |end| assert_eq!((end.spooled(), end.queued(), end.dropped()), (2, 2, 0), "{end:?}"));
    }

    #[test]
    fn loom_what_is_taken_late_is_not_in_the_spool() {
        explore(1, true, |end| assert_eq!(end.sent() + end.spooled(), 2, "{end:?}"));
    }

    #[test]
    fn loom_what_no_disk_takes_is_dropped() {
        explore(u32::MAX, false, |end| assert_eq!((end.queued(), end.dropped()), (0, 2), "{end:?}"));
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
