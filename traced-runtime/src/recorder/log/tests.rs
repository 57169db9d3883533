use super::*;
use crate::recorder::position::OF_PROCESS;

fn log(budget: usize) -> Arc<Log> {
    with_budget(Arc::new(Budget::new(budget)))
}

fn with_budget(budget: Arc<Budget>) -> Arc<Log> {
    Arc::new(Log::new(&OF_PROCESS, 7, Clock::Os, budget, Arc::default()).expect("the budget has room"))
}

fn write(writer: &Writer, log: &Log, word: u64) -> bool {
    // SAFETY: the only writer of this log, attached by the test.
    unsafe {
        if !writer.has_room(1) && !writer.extend(log, 1, Need::Start) {
            return false;
        }
        writer.space().put(0, word);
        writer.commit(writer.space(), 1);
    }
    true
}

fn read(reader: &mut Reader) -> Vec<u64> {
    let tail = reader.tail();
    let mut words = Vec::new();
    reader.read_to(&tail, |chunk, at, _| {
        words.push(chunk.get(at));
        1
    });
    words
}

#[test]
fn a_reader_sees_what_was_committed_in_order_across_chunks() {
    let log = log(1 << 20);
    let writer = Writer::detached();
    // SAFETY: the only writer; the log outlives it.
    unsafe { writer.attach(&log) };
    let mut reader = Reader::new(log.clone());
    let mut expected = 0;
    for round in 1..40_u64 {
        for n in 0..round * 100 {
            assert!(write(&writer, &log, expected + n));
        }
        let words = read(&mut reader);
        assert_eq!(words, (expected..expected + round * 100).collect::<Vec<_>>());
        expected += round * 100;
    }
}

#[test]
fn positions_grow_and_agree_between_writer_and_reader() {
    let log = log(1 << 20);
    let writer = Writer::detached();
    // SAFETY: the only writer; the log outlives it.
    unsafe { writer.attach(&log) };
    let mut reader = Reader::new(log.clone());
    let mut written = Vec::new();
    for n in 0..5000 {
        if writer.has_room(1) {
            written.push(writer.position());
        } else {
            // SAFETY: attached above.
            assert!(unsafe { writer.extend(&log, 1, Need::Start) });
            written.push(writer.position());
        }
        assert!(write(&writer, &log, n));
    }
    let mut seen = Vec::new();
    let tail = reader.tail();
    reader.read_to(&tail, |_, _, position| {
        seen.push(position);
        1
    });
    assert_eq!(seen, written);
    assert!(seen.is_sorted());
}

#[test]
fn a_reader_stops_at_the_tail_it_noted() {
    let log = log(1 << 20);
    let writer = Writer::detached();
    // SAFETY: the only writer; the log outlives it.
    unsafe { writer.attach(&log) };
    let mut reader = Reader::new(log.clone());
    assert!(write(&writer, &log, 1));
    let tail = reader.tail();
    for n in 2..3000 {
        assert!(write(&writer, &log, n));
    }
    let mut words = Vec::new();
    reader.read_to(&tail, |chunk, at, _| {
        words.push(chunk.get(at));
        1
    });
    assert_eq!(words, [1]);
    assert_eq!(read(&mut reader), (2..3000).collect::<Vec<_>>());
}

#[test]
fn the_budget_holds_and_comes_back() {
    let budget = Arc::new(Budget::new(64 << 10));
    let log = with_budget(budget.clone());
    let writer = Writer::detached();
    // SAFETY: the only writer; the log outlives it.
    unsafe { writer.attach(&log) };
    let mut written = 0_u64;
    while write(&writer, &log, written) {
        written += 1;
    }
    assert!(budget.used() <= 64 << 10, "{} bytes used", budget.used());
    assert!(written > 4000, "only {written} words fitted");
    // SAFETY: attached above.
    assert!(unsafe { writer.extend(&log, 1, Need::End) }, "ends may use the last part");
    let before = budget.returned();
    let mut reader = Reader::new(log.clone());
    assert_eq!(read(&mut reader).len() as u64, written);
    assert_ne!(budget.returned(), before);
    drop((reader, log));
    assert_eq!(budget.used(), 0, "every chunk was given back once");
}

#[test]
fn chunks_that_were_read_serve_other_logs_and_count_as_free() {
    let budget = Arc::new(Budget::new(4 << 20));
    let [first, second] = [0, 1].map(|_| with_budget(budget.clone()));
    let mut readers = [&first, &second].map(|log| Reader::new(log.clone()));
    let writer = Writer::detached();
    // SAFETY: the only writer; the log outlives it.
    unsafe { writer.attach(&first) };
    let mut filled = 0;
    while write(&writer, &first, filled) {
        filled += 1;
    }
    assert!(budget.is_filling());
    let most = budget.used();
    assert_eq!(read(&mut readers[0]).len() as u64, filled);
    assert!(!budget.is_filling(), "what is kept is free");
    assert!(budget.used() > most / 2, "chunks are kept");
    let other = Writer::detached();
    // SAFETY: the only writer; the log outlives it.
    unsafe { other.attach(&second) };
    let mut again = 0;
    while write(&other, &second, again) {
        again += 1;
    }
    assert!(again > filled * 9 / 10, "{again} words instead of {filled}");
    assert!(budget.used() <= 4 << 20, "{} bytes", budget.used());
    assert_eq!(read(&mut readers[1]), (0..again).collect::<Vec<_>>());
    budget.free_kept();
    assert!(budget.used() < 200 << 10, "{} bytes: of each log the last chunk and a spare", budget.used());
    drop((readers, first, second));
    assert_eq!(budget.used(), 0);
}

#[test]
fn many_threads_that_sit_idle_leave_something_to_the_next() {
    let budget = Arc::new(Budget::new(8 << 20));
    let mut logs = Vec::new();
    for thread in 0..512 {
        let log = with_budget(budget.clone());
        let writer = Writer::detached();
        // SAFETY: the only writer; the log outlives it.
        unsafe { writer.attach(&log) };
        let mut reader = Reader::new(log.clone());
        // So much that it asks for large chunks in the end. All is read, and the last chunk stays with the thread.
        for n in 0..16_000 {
            assert!(write(&writer, &log, n), "thread {thread} has no room after {n} words");
            if n % 1_000 == 999 {
                assert_eq!(read(&mut reader).len(), 1_000);
            }
        }
        log.free_spare();
        logs.push((log, reader));
    }
    assert!(budget.used() <= 8 << 20, "{} bytes", budget.used());
}

#[test]
fn bytes_are_packed_without_a_gap() {
    let log = log(1 << 20);
    let writer = Writer::detached();
    let text = b"abcdefghijklmnopqrstuvwxyz0123456789";
    for (first, second) in (0..20_usize).flat_map(|first| (0..15_usize).map(move |second| (first, second))) {
        // SAFETY: the only writer; the log outlives it; the words are within a new chunk.
        unsafe {
            writer.attach(&log);
            assert!(writer.has_room(8) || writer.extend(&log, 8, Need::Start));
            let words = (first + second).div_ceil(8);
            writer.space().put_bytes(0, [&text[..first], &text[first..first + second]]);
            writer.commit(writer.space(), words);
        }
        let mut reader = Reader::new(log.clone());
        let tail = reader.tail();
        let mut bytes = Vec::new();
        reader.read_to(&tail, |words, at, _| {
            bytes.extend(words.get(at).to_ne_bytes());
            1
        });
        let padded = (first + second).div_ceil(8) * 8;
        let mut expected = text[..first + second].to_vec();
        expected.resize(padded, 0);
        assert_eq!(bytes[bytes.len() - padded..], expected, "{first} and {second} bytes");
    }
}

#[test]
fn a_log_can_be_taken_over() {
    let log = log(1 << 20);
    let mut reader = Reader::new(log.clone());
    for thread in 0..10 {
        let writer = Writer::detached();
        // SAFETY: the writer before it is gone; the log outlives it.
        unsafe { writer.attach(&log) };
        for n in 0..300 {
            assert!(write(&writer, &log, thread * 1000 + n));
        }
        log.close();
        assert_eq!(reader.tail().ended(), Some(2 * usize::try_from(thread).expect("small") + 1));
        assert_eq!(read(&mut reader), (0..300).map(|n| thread * 1000 + n).collect::<Vec<_>>());
        log.reopen();
    }
}

#[test]
fn two_threads_agree() {
    let log = log(1 << 20);
    let mut reader = Reader::new(log.clone());
    std::thread::scope(|scope| {
        let shared = &log;
        scope.spawn(move || {
            let writer = Writer::detached();
            // SAFETY: the only writer; the log outlives it.
            unsafe { writer.attach(shared) };
            for n in 0..200_000 {
                while !write(&writer, shared, n) {
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < 200_000 {
            for word in read(&mut reader) {
                assert_eq!(word, next);
                next += 1;
            }
        }
    });
}

/// Positions whose ranges have room for a few chunks.
fn short_ranges() -> &'static Positions {
    let positions: &'static Positions = Box::leak(Box::new(Positions::new(1)));
    positions.begin_before_the_end(48 << 10);
    positions
}

#[test]
fn a_log_goes_on_across_the_ends_of_its_ranges() {
    let budget = Arc::new(Budget::new(8 << 20));
    let log = Arc::new(Log::new(short_ranges(), 7, Clock::Os, budget, Arc::default()).expect("room"));
    let writer = Writer::detached();
    // SAFETY: the only writer; the log outlives it.
    unsafe { writer.attach(&log) };
    let mut reader = Reader::new(log.clone());
    let (mut written, mut seen) = (Vec::new(), Vec::new());
    for n in 0..100_000 {
        assert!(write(&writer, &log, n));
        written.push(writer.position() - 8);
        if n % 1000 == 0 {
            let tail = reader.tail();
            reader.read_to(&tail, |words, at, position| {
                assert_eq!(words.get(at), seen.len() as u64);
                seen.push(position);
                1
            });
        }
    }
    assert_eq!(seen, written[..seen.len()]);
    assert!(written.is_sorted());
    let ranges: std::collections::BTreeSet<u64> = written.iter().map(|&position| range_of(position)).collect();
    assert!(ranges.len() > 20, "{ranges:?}");
}

#[test]
fn a_log_without_positions_for_more_is_full() {
    let positions: &'static Positions = Box::leak(Box::new(Positions::last()));
    positions.begin_before_the_end(48 << 10);
    let budget = Arc::new(Budget::new(8 << 20));
    let log = Arc::new(Log::new(positions, 7, Clock::Os, budget.clone(), Arc::default()).expect("room"));
    let writer = Writer::detached();
    // SAFETY: the only writer; the log outlives it.
    unsafe { writer.attach(&log) };
    let mut written = 0;
    while write(&writer, &log, written) {
        written += 1;
    }
    assert!(written * 8 > 24 << 10 && written * 8 < 48 << 10, "{written} words in the last range");
    let used = budget.used();
    assert!(!write(&writer, &log, written));
    assert_eq!(budget.used(), used, "what found no positions is given back");
    assert_eq!(read(&mut Reader::new(log.clone())), (0..written).collect::<Vec<_>>());
    assert!(Log::new(positions, 8, Clock::Os, budget, Arc::default()).is_none());
}

#[test]
fn a_log_is_handed_over_at_the_end_of_its_count_too() {
    let log = log(1 << 20);
    log.generation.store(usize::MAX - 1, Ordering::Relaxed);
    assert!(!log.is_closed());
    log.close();
    assert!(log.is_closed());
    let reader = Reader::new(log.clone());
    assert_eq!(reader.tail().ended(), Some(usize::MAX));
    log.reopen();
    assert!(!log.is_closed());
    assert_eq!(reader.tail().ended(), None);
}
