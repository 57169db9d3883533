#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::spans::OPEN_SPANS;
use super::{Assembler, FREE_LOGS, Replay};
use crate::model::callsite::EXPLICIT;
use crate::model::ids::Ids;
use crate::recorder::clock::Clock;
use crate::recorder::event::{self, Event};
use crate::recorder::registry::Registry;
use crate::{DropReason, Outcome, Span, span, testing};

/// The log of the thread that ends the span is read before that of the thread where it began.
#[test]
fn a_span_that_moves_to_another_thread_is_one_span_and_not_open_any_more() {
    let tracer = testing::Tracer::new();
    tracer.run(|| drop(span!("has the first log")));
    let context = tracer.context();
    let moved = std::thread::spawn(move || context.run(|| [Span::start("moved"), Span::start("forgotten")]));
    let [moved, forgotten] = moved.join().unwrap();
    moved.finish();
    forgotten.abandon();
    tracer.assert_tree(
        "
        has the first log
        moved
        ",
    );
    assert_eq!(tracer.open_spans().len(), 0);
    assert_eq!(tracer.shutdown(Duration::ZERO).recorded(), 2);
}

/// It owns the drain, which must not own it in turn.
#[test]
fn of_a_tests_tracer_that_is_dropped_nothing_is_left() {
    for rounds in 0..3 {
        let tracer = testing::Tracer::new();
        let core = Arc::downgrade(tracer.core());
        let open = tracer.run(|| [Span::start("open"), Span::start("ends")]);
        drop(tracer.run(|| span!("sync")));
        (0..rounds).for_each(|_| drop(tracer.spans()));
        drop(tracer);
        assert!(core.upgrade().is_none(), "{rounds} rounds");
        drop(open);
    }
}

/// A tracer with so many open spans of which the reader was told, and logs that have no room left, for an end either; and
/// how many other spans ended there.
fn with_full_logs(spans: usize) -> (testing::Tracer, Vec<Span>, u64) {
    const MANY: usize = 100;
    let tracer = testing::Tracer::options().log_bytes(16 << 10).build().unwrap();
    let mut open = Vec::new();
    while open.len() < spans {
        let more = MANY.min(spans - open.len());
        tracer.run(|| open.extend((0..more).map(|_| Span::start("open"))));
        tracer.flush(Duration::ZERO);
    }
    let mut others = 0;
    while tracer.stats().tally().dropped_by(DropReason::LogFull) == 0 {
        // Those that found no room to begin end first: their ends take what is left.
        let many: Vec<_> = tracer.run(|| (0..MANY).map(|_| Span::start("other")).collect());
        many.into_iter().rev().for_each(Span::finish);
        others += MANY as u64;
    }
    (tracer, open, others)
}

fn unfinished(tracer: &testing::Tracer) -> usize {
    tracer.spans().iter().filter(|span| span.outcome() == Outcome::Unfinished).count()
}

#[test]
fn a_span_whose_end_found_no_room_is_lost_once_and_not_unfinished() {
    let (tracer, open, others) = with_full_logs(20);
    open.into_iter().for_each(Span::finish);
    assert!(tracer.stats().tally().is_conserved());
    assert_eq!(tracer.open_spans().len(), 0);
    let tally = tracer.shutdown(Duration::ZERO);
    assert!(tally.is_conserved(), "{tally:?}");
    assert_eq!(tally.recorded(), others + 20);
    assert_eq!(tally.dropped(), tally.dropped_by(DropReason::LogFull), "{tally:?}");
    assert_eq!(unfinished(&tracer), 0);
    assert!(tracer.spans().iter().all(|span| span.name() == "other"));
    let late = tracer.stats().late_tags();
    assert!(late < 20, "{late} names of spans that were lost did not go with them");
}

#[test]
fn a_span_that_is_abandoned_without_room_is_forgotten() {
    let (tracer, open, others) = with_full_logs(20);
    open.into_iter().for_each(Span::abandon);
    assert_eq!(tracer.open_spans().len(), 0);
    assert_eq!(tracer.shutdown(Duration::ZERO).recorded(), others);
}

#[test]
fn what_was_told_as_unfinished_is_not_lost_as_well() {
    let (tracer, mut open, others) = with_full_logs(2);
    open.remove(0).finish();
    let tally = tracer.shutdown(Duration::ZERO);
    assert_eq!((tally.recorded(), unfinished(&tracer)), (others + 2, 1), "{tally:?}");
    open.remove(0).finish();
    assert_eq!(tracer.shutdown(Duration::ZERO), tally);
}

/// They cannot be told as unfinished.
#[test]
fn a_span_beyond_those_that_are_listed_is_lost_once_too() {
    const BEYOND: usize = 10;
    let (tracer, mut open, others) = with_full_logs(OPEN_SPANS + BEYOND);
    open.drain(OPEN_SPANS..).for_each(Span::finish);
    let tally = tracer.shutdown(Duration::ZERO);
    assert_eq!(tally.recorded(), others + (OPEN_SPANS + BEYOND) as u64, "{tally:?}");
    assert_eq!(unfinished(&tracer), OPEN_SPANS);
}

/// Room is kept for the ends of guards. Those in the wrong order may take what is kept for others.
#[test]
fn guards_in_the_wrong_order_whose_ends_found_no_room_are_unfinished_once() {
    let tracer = testing::Tracer::options().log_bytes(16 << 10).build().unwrap();
    let mut started = 4;
    tracer.run(|| {
        let root = span!("root");
        let [first, second, third] = [span!("first"), span!("second"), span!("third")];
        drop(first);
        let is_full = || tracer.stats().tally().dropped_by(DropReason::LogFull) > 0;
        while !is_full() {
            let many: Vec<_> = (0..100).map(|_| Span::start("other")).collect();
            many.into_iter().rev().for_each(Span::finish);
            started += 100;
        }
        for _ in 0..event::EXIT_WORDS {
            // What fits between the last one and the reserve.
            drop(span!("small"));
            started += 1;
        }
        drop([third, second]);
        drop(root);
    });
    let open = tracer.open_spans();
    assert_eq!((open.len(), open[0].name()), (1, "root"));
    let tally = tracer.shutdown(Duration::ZERO);
    assert!(tally.is_conserved(), "{tally:?}");
    assert_eq!((tally.recorded(), unfinished(&tracer)), (started, 1), "{tally:?}");
}

/// A thread writes on for the tracer that it knew last.
#[test]
fn a_span_that_begins_after_its_tracer_has_gone_takes_no_place_among_the_open_ones() {
    let tracer = testing::Tracer::new();
    let outlets = tracer.core().outlets();
    let mut assembler = Assembler::new(&Registry::of_test(Clock::Os, 0, 0), outlets);
    let mut begin = |tracer| {
        let ids = Ids { trace_low: 1, span: 1, key: 1, tracer, ..Ids::NONE };
        let (mut scope, mut inner, mut open, mut last) = (Ids::NONE, 0, Vec::new(), 0);
        let (scope, inner, open, last) = (&mut scope, &mut inner, &mut open, &mut last);
        let mut replay = Replay { scope, inner, open, last, key: 0 };
        replay.apply(Event::Begin { site: &EXPLICIT, ids, start: 1 }, 8, &mut assembler.spans);
        assembler.spans.forget_tracer();
        assembler.spans.begun.drain().count()
    };
    let reference = tracer.core().reference();
    assert_eq!(begin(reference), 1);
    drop(tracer);
    assert_eq!(begin(reference), 0);
}

/// What is told by key counts as long as it waits, and no longer, whatever else waits beside it.
#[test]
fn what_waits_for_its_span_is_counted_in_bytes_that_come_and_go() {
    let tracer = testing::Tracer::new();
    let spans = |count| {
        for _ in 0..count {
            let span = tracer.run(|| Span::start("tagged"));
            for key in ["a", "b", "c"] {
                span.tag(key, "a value");
            }
            span.finish();
        }
        tracer.flush(Duration::ZERO);
    };
    let waiting = || tracer.loose_bytes();
    spans(1);
    assert_eq!(waiting(), 0);
    // One whose span has gone.
    let gone = tracer.run(|| Span::start("gone"));
    let context = gone.context();
    gone.finish();
    tracer.flush(Duration::ZERO);
    context.tag("late", 1);
    tracer.flush(Duration::ZERO);
    let late = waiting();
    assert!(late > 0);
    spans(1_000);
    assert_eq!(waiting(), late);
}

/// A log keeps its last chunk, and the drain looks at each: those of a crowd of threads go with it.
#[test]
fn logs_of_ended_threads_are_kept_for_as_many_as_there_are_and_a_few() {
    const CROWD: usize = 300;
    let tracer = testing::Tracer::options().log_bytes(4 << 20).build().unwrap();
    let together = std::sync::Barrier::new(CROWD);
    let crowd = || {
        std::thread::scope(|scope| {
            for _ in 0..CROWD {
                scope.spawn(|| {
                    tracer.run(|| drop(span!("one of many")));
                    together.wait();
                });
            }
        });
    };
    for round in 1..=3 {
        crowd();
        // A scope does not wait for the ends of thread locals.
        let late = Instant::now() + Duration::from_secs(20);
        while tracer.flush(Duration::ZERO).recorded() < CROWD as u64 * round || tracer.logs() > 2 * FREE_LOGS {
            assert!(Instant::now() < late, "{} logs", tracer.logs());
        }
    }
    assert_eq!(tracer.shutdown(Duration::ZERO).sent(), CROWD as u64 * 3);
}

/// Threads take over the logs of ended ones while these are read: no log may have two writers.
#[test]
fn logs_change_hands_while_they_are_read() {
    const THREADS: u64 = 4;
    const LIVES: u64 = 60;
    const SPANS: usize = 40;
    let tracer = testing::Tracer::options().log_bytes(256 << 20).build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..LIVES {
                    let context = tracer.context();
                    let span = |number| {
                        let _span = span!("short", "number" = number);
                        // The lives of several threads are to overlap.
                        std::thread::yield_now();
                    };
                    let spans = move || context.run(|| (0..SPANS).for_each(span));
                    std::thread::spawn(spans).join().unwrap();
                }
            });
        }
        while tracer.flush(Duration::ZERO).recorded() < THREADS * LIVES * SPANS as u64 {}
    });
    let mut numbers = [0; SPANS];
    for span in tracer.spans() {
        let Some(crate::TagValue::Unsigned(number)) = span.tag("number") else { unreachable!("{span:?}") };
        numbers[usize::try_from(number).unwrap()] += 1;
    }
    assert_eq!(numbers, [THREADS * LIVES; SPANS]);
}
