use super::*;
use crate::recorder::position::OF_PROCESS;

const EVENTS: u64 = 20_000;

/// How far the writer may be ahead: what is read is then not ordered by anything that comes after it.
const AHEAD: u64 = 20;

/// One thread writes, one reads, in chunks that go round between them.
fn share(commit: fn(&Writer, usize)) {
    // Relaxed: it orders nothing.
    let read = Arc::new(AtomicUsize::new(0));
    let progress = read.clone();
    let budget = Arc::new(Budget::new(1 << 20));
    let log = Arc::new(Log::new(&OF_PROCESS, 7, Clock::Os, budget, Arc::default()).expect("room"));
    let writing = log.clone();
    let thread = std::thread::spawn(move || {
        let writer = Writer::detached();
        // SAFETY: the only writer; the log outlives it; there is room.
        unsafe {
            writer.attach(&writing);
            for n in 0..EVENTS {
                while n > progress.load(Ordering::Relaxed) as u64 + AHEAD {
                    std::thread::yield_now();
                }
                while !writer.has_room(2) && !writer.extend(&writing, 2, Need::Start) {
                    std::hint::spin_loop();
                }
                writer.space().put(0, n);
                writer.space().put(1, !n);
                commit(&writer, 2);
            }
        }
        writing.close();
    });
    let mut reader = Reader::new(log);
    let mut next = 0;
    loop {
        let tail = reader.tail();
        reader.read_to(&tail, |words, at, _| {
            assert_eq!((words.get(at), words.get(at + 1)), (next, !next));
            next += 1;
            read.fetch_add(1, Ordering::Relaxed);
            2
        });
        if tail.ended().is_some() {
            break;
        }
        std::thread::yield_now();
    }
    assert_eq!(next, EVENTS);
    thread.join().expect("the writer ends");
}

#[test]
fn two_threads_share_a_log() {
    // SAFETY: all words were put.
    share(|writer, words| unsafe { writer.commit(writer.space(), words) });
}

#[test]
#[ignore = "a race, for the thread sanitizer to catch"]
fn a_race_is_caught() {
    // SAFETY: none: nothing orders the words with the reader's look at them.
    share(|writer, words| unsafe {
        let cursor = writer.cursor.get().add(words);
        writer.cursor.set(cursor);
        (*writer.committed.get()).store(cursor.cast_mut(), Ordering::Relaxed);
    });
}
