use super::*;
use crate::recorder::position::OF_PROCESS;

/// Two-word events over three chunks, with a reader that runs meanwhile: it sees whole events, in order, once.
#[test]
fn loom_reader_sees_whole_events_in_order() {
    loom::model(|| {
        let budget = Arc::new(Budget::new(1 << 20));
        let log = Arc::new(Log::new(&OF_PROCESS, 7, Clock::Os, budget, Arc::default()).expect("room"));
        let writing = log.clone();
        let thread = loom::thread::spawn(move || {
            let writer = Writer::detached();
            // SAFETY: the only writer; the log outlives it.
            unsafe {
                writer.attach(&writing);
                for n in 0..3_u64 {
                    // A new chunk for each: the hand-over is what is to be explored.
                    assert!(n == 0 || writer.extend(&writing, 2, Need::Start));
                    writer.space().put(0, n);
                    writer.space().put(1, n + 100);
                    writer.commit(writer.space(), 2);
                }
                writing.close();
            }
        });
        let mut reader = Reader::new(log);
        let mut next = 0;
        let mut rounds = 0;
        loop {
            let tail = reader.tail();
            reader.read_to(&tail, |words, at, _| {
                assert_eq!(words.get(at), next);
                assert_eq!(words.get(at + 1), next + 100);
                next += 1;
                2
            });
            if tail.ended().is_some() {
                break;
            }
            rounds += 1;
            if rounds == 2 {
                // Bounded: the rest after the thread has ended.
                break;
            }
            loom::thread::yield_now();
        }
        thread.join().expect("the writer ends");
        let tail = reader.tail();
        reader.read_to(&tail, |words, at, _| {
            assert_eq!((words.get(at), words.get(at + 1)), (next, next + 100));
            next += 1;
            2
        });
        assert_eq!(next, 3);
    });
}

/// A word that is committed, by a writer that makes a mistake, and read. Loom must object.
fn racy(write: fn(&Writer)) {
    loom::model(move || {
        let budget = Arc::new(Budget::new(1 << 20));
        let log = Arc::new(Log::new(&OF_PROCESS, 7, Clock::Os, budget, Arc::default()).expect("room"));
        let writing = log.clone();
        let thread = loom::thread::spawn(move || {
            let writer = Writer::detached();
            // SAFETY: the only writer; the log outlives it.
            unsafe { writer.attach(&writing) };
            write(&writer);
        });
        let mut reader = Reader::new(log);
        let tail = reader.tail();
        reader.read_to(&tail, |words, at, _| {
            let _ = words.get(at);
            1
        });
        thread.join().expect("the writer ends");
    });
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_catches_a_commit_before_the_write() {
    racy(|writer| {
        // SAFETY: none: this is the mistake that the model is to find.
        unsafe {
            let word = writer.cursor.get();
            writer.commit(writer.space(), 1);
            (*word).0.write(1);
        }
    });
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_catches_a_commit_that_releases_nothing() {
    racy(|writer| {
        // SAFETY: none: this is the mistake that the model is to find.
        unsafe {
            writer.space().put(0, 1);
            (*writer.committed.get()).store(writer.cursor.get().add(1).cast_mut(), Ordering::Relaxed);
        }
    });
}

/// Two threads write a log one after the other, the second one when the reader has given it back: each event is read
/// once, and nobody gets the log while another writes it. `ended` tells what of a tail the reader goes by.
fn taken_over(ended: fn(&Log, &Tail) -> Option<usize>) {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use crate::recorder::stack::Stack;

    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let budget = Arc::new(Budget::new(1 << 20));
        let log = Arc::new(Log::new(&OF_PROCESS, 7, Clock::Os, budget, Arc::default()).expect("room"));
        let free: Arc<Stack<Arc<Log>>> = Arc::default();
        // Not loom's: it checks, and is no part of what is explored.
        let owned = Arc::new(AtomicBool::new(true));
        let write = |log: &Log, owned: &AtomicBool, n: u64| {
            let writer = Writer::detached();
            // SAFETY: the only writer, as the model checks; the log outlives it.
            unsafe {
                writer.attach(log);
                writer.space().put(0, n);
                writer.commit(writer.space(), 1);
            }
            owned.store(false, SeqCst);
            log.close();
        };
        let first = {
            let (log, owned) = (log.clone(), owned.clone());
            loom::thread::spawn(move || write(&log, &owned, 1))
        };
        let second = {
            let (free, owned) = (free.clone(), owned.clone());
            loom::thread::spawn(move || {
                let Some(log) = free.take_all().pop() else { return 0 };
                assert!(!owned.swap(true, SeqCst), "two threads write one log");
                log.reopen();
                write(&log, &owned, 2);
                1
            })
        };
        let mut reader = Reader::new(log.clone());
        let (mut released, mut read) = (0, Vec::new());
        let mut round = || {
            let tail = reader.tail();
            reader.read_to(&tail, |words, at, _| {
                read.push(words.get(at));
                1
            });
            if let Some(ended) = ended(&log, &tail).filter(|ended| *ended != released) {
                released = ended;
                assert!(!owned.load(SeqCst), "a log was given away while a thread writes it");
                free.push(log.clone());
            }
        };
        round();
        round();
        first.join().expect("no panic");
        let more = second.join().expect("no panic");
        round();
        assert_eq!(read, (1..=1 + more).collect::<Vec<u64>>());
    });
}

#[test]
fn loom_a_log_is_taken_over_by_one_thread_at_a_time() {
    taken_over(|_, tail| tail.ended());
}

/// The racy twin: whose end it was is asked for after the tail.
#[test]
#[should_panic(expected = "a log was given away")]
fn loom_catches_a_log_that_is_given_away_twice() {
    taken_over(|log, tail| tail.ended().map(|_| log.generation.load(Ordering::Acquire) | 1));
}
