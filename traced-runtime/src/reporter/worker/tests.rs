//! A pipeline from end to end, with senders and reporters that do as they are told.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, and senders may")]
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::process::notice::Notice;
use crate::reporter::backend::ReportError;
use crate::reporter::block::Block;
use crate::reporter::pipeline::{Patience, Pipeline, PipelineConfig};
use crate::reporter::stats::Tally;

const HOUR: Duration = Duration::from_secs(3_600);

/// A sender that is a function of the ids in the body.
struct Fake<F>(F);

impl<F: FnMut(Vec<u64>) -> Result<(), SendError> + Send + 'static> Sender for Fake<F> {
    fn send(&mut self, body: &[u8]) -> Result<(), SendError> {
        let spans: Vec<serde_json::Value> = serde_json::from_slice(body).unwrap();
        (self.0)(spans.iter().map(|span| u64::from_str_radix(span["id"].as_str().unwrap(), 16).unwrap()).collect())
    }
}

pub(crate) type Notes = Arc<Mutex<Vec<String>>>;

/// Limits that nothing reaches, and pauses that take no time.
pub(crate) fn config(output: Output) -> (PipelineConfig, Notes) {
    let notes = Notes::default();
    let sink = Arc::clone(&notes);
    let notice = NoticeHook::new(move |notice: &Notice| sink.lock().unwrap().push(notice.to_string()));
    let config = PipelineConfig {
        service: "test".to_owned(),
        output,
        redaction: None,
        queue_bytes: usize::MAX,
        batch_bytes: 1 << 20,
        linger: HOUR,
        notice,
        accepted: None,
        #[cfg(feature = "spool")]
        spool: None,
    };
    (config, notes)
}

fn start(config: PipelineConfig) -> Arc<Pipeline> {
    let backoff = Backoff::new(Duration::from_micros(10), Duration::from_micros(50));
    Pipeline::start_with(config, backoff).unwrap()
}

fn with_sender(send: impl FnMut(Vec<u64>) -> Result<(), SendError> + Send + 'static) -> (Arc<Pipeline>, Notes) {
    let (config, notes) = config(Output::Zipkin(Box::new(Fake(send))));
    (start(config), notes)
}

fn spans(ids: std::ops::RangeInclusive<u64>) -> Vec<SpanRecord> {
    ids.map(|id| SpanRecord::sample("span", 1, id, 0)).collect()
}

fn offer(pipeline: &Pipeline, ids: std::ops::RangeInclusive<u64>) {
    let spans = spans(ids);
    pipeline.ended(spans.len() as u64);
    hand_on(pipeline, spans);
}

/// As the drain does, but without patience.
fn hand_on(pipeline: &Pipeline, spans: Vec<SpanRecord>) {
    pipeline.offer(vec![Block::new(spans)], &mut Buffers::default(), &mut Patience::default());
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn drops(tally: &Tally) -> Vec<(DropReason, u64)> {
    assert!(tally.is_conserved(), "{tally:?}");
    tally.drops().collect()
}

#[test]
fn a_full_batch_is_sent_at_once_and_the_rest_lingers() {
    let (tell, sent) = channel();
    let (mut config, _) = config(Output::Zipkin(Box::new(Fake(move |ids| {
        tell.send(ids).unwrap();
        Ok(())
    }))));
    config.batch_bytes = 1_000;
    let pipeline = start(config);
    offer(&pipeline, 1..=1);
    assert_eq!(pipeline.tally().queued(), 1);
    // Two of a hundred and fifty bytes of JSON each are more than enough in memory.
    offer(&pipeline, 2..=8);
    assert!(sent.recv().unwrap().starts_with(&[1, 2]));
    let tally = pipeline.flush(soon());
    assert_eq!((tally.sent(), tally.queued()), (8, 0));
    assert!(tally.batches() > 1, "{tally}");
}

#[test]
fn a_batch_that_is_not_full_is_sent_after_it_lingered() {
    let (tell, sent) = channel();
    let (mut config, _) = config(Output::Zipkin(Box::new(Fake(move |ids| {
        tell.send(ids).unwrap();
        Ok(())
    }))));
    config.linger = Duration::from_millis(1);
    let pipeline = start(config);
    offer(&pipeline, 1..=2);
    assert_eq!(sent.recv().unwrap(), [1, 2]);
    offer(&pipeline, 3..=3);
    assert_eq!(sent.recv().unwrap(), [3]);
}

#[test]
fn held_spans_are_queued_and_a_flush_does_not_wait_for_them() {
    let (pipeline, _) = with_sender(|_| Ok(()));
    pipeline.ended(3);
    hand_on(&pipeline, spans(1..=1));
    let tally = pipeline.flush(soon());
    assert_eq!((tally.recorded(), tally.sent(), tally.queued()), (3, 1, 2));
    pipeline.lost(DropReason::LogFull, 5);
    let tally = pipeline.shutdown(soon());
    assert_eq!(drops(&tally), [(DropReason::LogFull, 5), (DropReason::Deadline, 2)]);
}

#[test]
fn trouble_is_retried_and_told_once_for_each_cause_and_once_when_it_ends() {
    let mut tries = 0;
    let (pipeline, notes) = with_sender(move |_| {
        tries += 1;
        match tries {
            1..=4 => Err(SendError::unreachable("cannot reach HOST")),
            5..=8 => Err(SendError::retry("HOST answered 503")),
            _ => Ok(()),
        }
    });
    offer(&pipeline, 1..=3);
    let tally = pipeline.flush(soon());
    assert_eq!((tally.sent(), tally.batches()), (3, 1));
    assert_eq!(pipeline.stats().retries(), 8);
    assert_eq!(
        *notes.lock().unwrap(),
        [
            "cannot reach HOST; spans wait in the queue, 3 by now; what finds no room is dropped. Check that the backend \
             runs there; collector() or OTEL_EXPORTER_ZIPKIN_ENDPOINT says where spans go",
            "HOST answered 503; spans wait in the queue, 3 by now; what finds no room is dropped.",
            "the backend takes spans again after 0 seconds; 0 spans dropped meanwhile, 0 waiting"
        ]
    );
}

/// What a collector does next, which a test says.
type Answer = Box<dyn FnMut() -> Result<(), SendError> + Send>;
type Next = Arc<Mutex<Answer>>;

fn with_answers() -> (Arc<Pipeline>, Notes, Next) {
    let next: Next = Arc::new(Mutex::new(Box::new(|| Ok(()))));
    let answers = Arc::clone(&next);
    let (pipeline, notes) = with_sender(move |_| (answers.lock().unwrap())());
    (pipeline, notes, next)
}

fn refused_with(status: u16) -> SendError {
    SendError::refused(format!("HOST answered {status}")).with_status(status)
}

#[test]
fn each_cause_of_an_outage_is_named_when_spans_begin_to_be_lost_for_it() {
    let (pipeline, notes, next) = with_answers();
    let mut first = 1;
    // Until so many notices were told.
    let mut ten = |told: usize, answer: Answer| {
        *next.lock().unwrap() = answer;
        offer(&pipeline, first..=first + 9);
        first += 10;
        let deadline = soon();
        while pipeline.flush(Instant::now()).queued() > 0 && notes.lock().unwrap().len() < told {
            assert!(Instant::now() < deadline, "{:?}", notes.lock().unwrap());
            std::thread::yield_now();
        }
    };
    ten(1, Box::new(|| Err(SendError::unreachable("cannot reach HOST"))));
    for (told, status) in [(2, 302), (3, 401), (4, 404)] {
        ten(told, Box::new(move || Err(refused_with(status))));
        ten(usize::MAX, Box::new(move || Err(refused_with(status))));
    }
    ten(5, Box::new(|| Err(SendError::retry("HOST answered 503").with_status(503))));
    // That somebody answers does not mean that spans are taken.
    ten(usize::MAX, Box::new(|| Err(SendError::rejected("HOST answered 400").with_status(400))));
    ten(usize::MAX, Box::new(|| Err(refused_with(404))));
    ten(usize::MAX, Box::new(|| Ok(())));
    let tally = pipeline.shutdown(soon());
    assert_eq!(drops(&tally), [(DropReason::Rejected, tally.recorded() - tally.sent())]);
    let notes = notes.lock().unwrap();
    let starts = [
        "cannot reach HOST; spans wait in the queue, ",
        "HOST answered 302; ",
        "HOST answered 401; ",
        "HOST answered 404; ",
        "HOST answered 503; spans wait in the queue, ",
        "10 spans dropped: HOST answered 400; ",
        "the backend takes spans again after ",
    ];
    assert_eq!(notes.len(), starts.len(), "{notes:?}");
    for (note, start) in notes.iter().zip(starts) {
        assert!(note.starts_with(start), "{note:?} instead of {start:?}");
    }
}

#[test]
fn a_backend_that_fails_in_ever_new_ways_is_no_flood_of_notices() {
    let mut tries = 0_u32;
    let (pipeline, notes) = with_sender(move |_| {
        tries += 1;
        // Two causes in turn, twice each, and then ever new ones.
        match tries {
            1..=400 => Err(SendError::retry(["reset", "closed"][(tries / 2 % 2) as usize])),
            401..=800 => Err(SendError::retry("x".repeat(tries as usize / 2 - 199))),
            _ => Ok(()),
        }
    });
    offer(&pipeline, 1..=3);
    assert_eq!(pipeline.flush(soon()).sent(), 3);
    let notes = notes.lock().unwrap();
    assert_eq!(notes.len(), CAUSES + 1, "{notes:?}");
    assert_eq!(notes.iter().filter(|note| note.starts_with("reset") || note.starts_with("closed")).count(), 2);
}

#[test]
fn a_shutdown_within_a_pause_that_the_collector_asked_for_tries_once_and_says_what_it_was() {
    for works in [false, true] {
        let (gate, send) = gate();
        let (pipeline, notes) = with_sender(send);
        offer(&pipeline, 1..=2);
        pipeline.flush(Instant::now());
        let busy = || Err(SendError::retry_after("HOST answered 429", HOUR));
        assert_eq!(gate.arrived.recv().unwrap(), [1, 2]);
        gate.go.send(busy()).unwrap();
        // The answer of the one last attempt.
        gate.go.send(if works { Ok(()) } else { busy() }).unwrap();
        let tally = pipeline.shutdown(Instant::now() + Duration::from_secs(200));
        assert_eq!(gate.arrived.try_iter().collect::<Vec<_>>(), [[1, 2]]);
        let notes = notes.lock().unwrap();
        assert!(notes[0].starts_with("HOST answered 429; spans wait in the queue, 2 by now"), "{notes:?}");
        if works {
            assert_eq!((tally.sent(), tally.dropped()), (2, 0));
        } else {
            assert_eq!(drops(&tally), [(DropReason::Unavailable, 2)]);
            assert_eq!(tally.to_string(), "sent 0 spans, 2 dropped (2 unavailable)");
        }
    }
}

#[test]
fn the_last_attempt_of_a_shutdown_is_named_though_another_cause_was_told_before() {
    let (gate, send) = gate();
    let (config, notes) = config(Output::Zipkin(Box::new(Fake(send))));
    let pipeline = Pipeline::start_with(config, Backoff::new(TELLING_PAUSE, HOUR)).unwrap();
    offer(&pipeline, 1..=2);
    pipeline.flush(Instant::now());
    gate.arrived.recv().unwrap();
    gate.go.send(Err(SendError::unreachable("cannot reach HOST"))).unwrap();
    gate.go.send(Err(SendError::retry_after("HOST answered 503", HOUR))).unwrap();
    let tally = pipeline.shutdown(Instant::now() + Duration::from_secs(200));
    assert_eq!(drops(&tally), [(DropReason::Unavailable, 2)]);
    let notes = notes.lock().unwrap();
    assert!(notes.last().unwrap().starts_with("HOST answered 503; "), "{notes:?}");
}

/// Whoever gets an answer need not look where spans go, nor whether anybody is there.
#[test]
fn a_backend_that_answered_is_not_looked_for() {
    let mut tries = 0;
    let (pipeline, notes) = with_sender(move |_| {
        tries += 1;
        if tries < 5 { Err(SendError::retry("HOST answered 503")) } else { Ok(()) }
    });
    offer(&pipeline, 1..=3);
    assert_eq!(pipeline.flush(soon()).sent(), 3);
    assert_eq!(
        notes.lock().unwrap()[0],
        "HOST answered 503; spans wait in the queue, 3 by now; what finds no room is dropped."
    );
    // It asks for more time than there is.
    let (pipeline, notes) = with_sender(|_| Err(SendError::retry_after("HOST answered 429", TELLING_PAUSE * 4 / 5)));
    offer(&pipeline, 1..=3);
    pipeline.shutdown(Instant::now() + TELLING_PAUSE / 2);
    assert_eq!(*notes.lock().unwrap(), ["HOST answered 429; 3 spans dropped at shutdown."]);
}

#[test]
fn one_failure_is_not_told() {
    let mut tries = 0;
    let (pipeline, notes) = with_sender(move |_| {
        tries += 1;
        if tries == 1 { Err(SendError::retry("Peer disconnected")) } else { Ok(()) }
    });
    offer(&pipeline, 1..=3);
    assert_eq!(pipeline.flush(soon()).sent(), 3);
    assert_eq!(*notes.lock().unwrap(), [""; 0]);
}

#[test]
fn a_rejected_batch_is_halved_until_the_spans_at_fault_are_found() {
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&accepted);
    let (pipeline, notes) = with_sender(move |ids| {
        if ids.iter().any(|id| [7, 8, 90].contains(id)) {
            return Err(SendError::rejected("HOST answered 400"));
        }
        sink.lock().unwrap().extend(ids);
        Ok(())
    });
    offer(&pipeline, 1..=100);
    let tally = pipeline.flush(soon());
    assert_eq!(drops(&tally), [(DropReason::Rejected, 3)]);
    let expected: Vec<u64> = (1..=100).filter(|id| ![7, 8, 90].contains(id)).collect();
    assert_eq!(*accepted.lock().unwrap(), expected);
    assert_eq!(
        *notes.lock().unwrap(),
        ["3 spans dropped: HOST answered 400; the first is span (0000000000000001-0000000000000007)"]
    );
}

#[test]
fn a_collector_that_rejects_everything_is_not_asked_about_every_span() {
    let (tell, asked) = channel();
    let (pipeline, notes) = with_sender(move |ids| {
        tell.send(ids.len()).unwrap();
        Err(SendError::rejected("no"))
    });
    offer(&pipeline, 1..=1_000);
    assert_eq!(drops(&pipeline.flush(soon())), [(DropReason::Rejected, 1_000)]);
    let asked = asked.try_iter().count();
    // Beyond the bound each part that is left is asked about once.
    assert!((BISECT_REQUESTS..BISECT_REQUESTS + 12).contains(&asked), "{asked}");
    assert_eq!(
        *notes.lock().unwrap(),
        ["1,000 spans dropped: no; the first is span (0000000000000001-0000000000000001)"]
    );
}

#[test]
fn refused_batches_are_dropped_whole_and_told_once_with_an_end() {
    let (tell, asked) = channel();
    let (pipeline, notes) = with_sender(move |ids| {
        tell.send(ids.len()).unwrap();
        if ids[0] < 31 { Err(SendError::refused("HOST answered 404; check the path")) } else { Ok(()) }
    });
    for first in [1, 11, 21, 31] {
        offer(&pipeline, first..=first + 9);
        pipeline.flush(soon());
    }
    assert_eq!(drops(&pipeline.tally()), [(DropReason::Rejected, 30)]);
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), [10; 4]);
    assert_eq!(
        *notes.lock().unwrap(),
        [
            "HOST answered 404; check the path; 10 spans dropped, and so are all to come until that is set right.",
            "the backend takes spans again after 0 seconds; 30 spans dropped meanwhile, 0 waiting"
        ]
    );
}

#[test]
fn a_refusal_tells_of_what_it_drops_and_not_of_what_waits() {
    let (asked, asks) = channel();
    let (answer, answers) = channel::<()>();
    let (pipeline, notes) = with_sender(move |ids| {
        if ids[0] > 10 {
            return Ok(());
        }
        asked.send(()).unwrap();
        answers.recv().unwrap();
        Err(SendError::refused("HOST answered 404; check the path"))
    });
    std::thread::scope(|scope| {
        offer(&pipeline, 1..=10);
        scope.spawn(|| pipeline.flush(soon()));
        asks.recv().unwrap();
        offer(&pipeline, 11..=20);
        answer.send(()).unwrap();
    });
    let tally = pipeline.flush(soon());
    assert_eq!((tally.sent(), drops(&tally)), (10, vec![(DropReason::Rejected, 10)]));
    assert_eq!(
        *notes.lock().unwrap(),
        [
            "HOST answered 404; check the path; 10 spans dropped, and so are all to come until that is set right.",
            "the backend takes spans again after 0 seconds; 10 spans dropped meanwhile, 0 waiting"
        ]
    );
}

#[test]
fn a_request_that_is_too_large_is_sent_in_parts() {
    let (pipeline, _) =
        with_sender(|ids| if ids.len() > 3 || ids.contains(&5) { Err(SendError::too_large("413")) } else { Ok(()) });
    offer(&pipeline, 1..=20);
    let tally = pipeline.flush(soon());
    assert_eq!(tally.sent(), 19);
    assert_eq!(drops(&tally), [(DropReason::TooLarge, 1)]);
}

#[test]
fn a_span_too_large_for_the_collector_is_sent_without_what_it_was_given() {
    struct Narrow(Arc<Mutex<Vec<serde_json::Value>>>);
    impl Sender for Narrow {
        fn send(&mut self, body: &[u8]) -> Result<(), SendError> {
            if body.len() > 400 {
                return Err(SendError::too_large("HOST answered 413").with_status(413));
            }
            self.0.lock().unwrap().extend(serde_json::from_slice::<Vec<_>>(body).unwrap());
            Ok(())
        }
    }
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (config, notes) = config(Output::Zipkin(Box::new(Narrow(Arc::clone(&sent)))));
    let pipeline = start(config);
    let mut large = spans(1..=4);
    for text in ["a", "b", "c"] {
        large[1].attributes.annotation(1, &text.repeat(500));
    }
    large[2].attributes.tag(1, "error", crate::reporter::attributes::TagValue::Text(&"x".repeat(500)));
    // Nothing can be left out of this one.
    large[3].name = Some("x".repeat(500).into());
    pipeline.ended(4);
    hand_on(&pipeline, large);
    let tally = pipeline.flush(soon());
    assert_eq!((tally.sent(), drops(&tally)), (3, vec![(DropReason::TooLarge, 1)]));
    assert_eq!(pipeline.stats().cut_tags(), 4);
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[1]["tags"]["traced.cut"], "3 annotations, 1597 bytes");
    assert_eq!(sent[2]["tags"]["error"], "error");
    let notes = notes.lock().unwrap();
    assert!(
        notes.iter().any(|note| note.contains("sent without their 3 tags and annotations: annotate less")),
        "{notes:?}"
    );
    assert!(notes.iter().any(|note| note.starts_with("1 span dropped: HOST answered 413")), "{notes:?}");
}

#[test]
fn a_span_that_no_request_holds_is_dropped_and_others_go_through() {
    let (mut config, notes) = config(Output::Zipkin(Box::new(Fake(|_| Ok(())))));
    config.batch_bytes = 1_000;
    let pipeline = start(config);
    let mut large = spans(1..=3);
    large[0].local = crate::model::endpoint::Endpoint::named("x".repeat(1_000)).interned();
    large[0].attributes.annotation(1, "x");
    large[1].attributes.tag(1, "x", crate::reporter::attributes::TagValue::Text(&"x".repeat(1_000)));
    large[2].attributes.annotation(1, &"x".repeat(1_000));
    pipeline.ended(3);
    hand_on(&pipeline, large);
    let tally = pipeline.flush(soon());
    assert_eq!(tally.sent(), 2);
    assert_eq!(drops(&tally), [(DropReason::TooLarge, 1)]);
    assert_eq!(pipeline.stats().cut_tags(), 2);
    assert_eq!(
        *notes.lock().unwrap(),
        [
            "1 span dropped, too large for a request even without tags and annotations; raise batch_bytes",
            "spans too large for a request lost 1 of their tags, annotations and names, as their tag traced.cut says; raise \
             batch_bytes, or annotate less"
        ]
    );
}

#[test]
fn a_panicking_sender_loses_its_batch_and_goes_on() {
    let (pipeline, notes) = with_sender(|ids| {
        assert!(!ids.contains(&1), "boom");
        Ok(())
    });
    offer(&pipeline, 1..=2);
    assert_eq!(drops(&pipeline.flush(soon())), [(DropReason::ReporterFailed, 2)]);
    offer(&pipeline, 3..=4);
    assert_eq!(pipeline.flush(soon()).sent(), 2);
    assert_eq!(*notes.lock().unwrap(), ["2 spans dropped: the sender panicked: boom"]);
}

/// A sender that stops at a gate until it is told how to go on.
struct Gate {
    arrived: Receiver<Vec<u64>>,
    go: std::sync::mpsc::Sender<Result<(), SendError>>,
}

fn gate() -> (Gate, impl FnMut(Vec<u64>) -> Result<(), SendError> + Send + 'static) {
    let (tell, arrived) = channel();
    let (go, answer) = channel();
    let send = move |ids| {
        tell.send(ids).ok();
        answer.recv().unwrap_or(Ok(()))
    };
    (Gate { arrived, go }, send)
}

#[test]
fn a_full_queue_drops_the_newest_and_says_so() {
    let (gate, send) = gate();
    let (mut config, notes) = config(Output::Zipkin(Box::new(Fake(send))));
    config.queue_bytes = 3 * spans(1..=1)[0].size();
    config.linger = Duration::ZERO;
    let pipeline = start(config);
    offer(&pipeline, 1..=1);
    assert_eq!(gate.arrived.recv().unwrap(), [1]);
    offer(&pipeline, 2..=5);
    let tally = pipeline.tally();
    assert_eq!((tally.queued(), drops(&tally)), (3, vec![(DropReason::QueueFull, 2)]));
    gate.go.send(Err(SendError::unreachable("gone"))).unwrap();
    // The second attempt shows that trouble is known.
    assert_eq!(gate.arrived.recv().unwrap(), [1]);
    offer(&pipeline, 6..=6);
    let tally = pipeline.tally();
    assert_eq!(drops(&tally), [(DropReason::QueueFull, 2), (DropReason::Unreachable, 1)]);
    gate.go.send(Ok(())).unwrap();
    gate.go.send(Ok(())).unwrap();
    assert_eq!(pipeline.flush(soon()).sent(), 3);
    assert_eq!(
        *notes.lock().unwrap(),
        ["2 spans dropped because the queue was full: they end faster than they are taken; raise queue_bytes, or \
          sample less"]
    );
}

#[test]
fn a_shutdown_gives_a_dead_collector_one_last_attempt_and_does_not_wait() {
    let (tell, asked) = channel();
    let (pipeline, notes) = with_sender(move |_| {
        tell.send(()).unwrap();
        Err(SendError::unreachable("cannot reach HOST"))
    });
    offer(&pipeline, 1..=2);
    let before = Instant::now();
    let tally = pipeline.shutdown(before + HOUR);
    assert_eq!(drops(&tally), [(DropReason::Unreachable, 2)]);
    assert_eq!(asked.try_iter().count(), 1);
    assert_eq!(
        *notes.lock().unwrap(),
        ["cannot reach HOST; 2 spans dropped at shutdown. Check that the backend runs there; collector() or \
          OTEL_EXPORTER_ZIPKIN_ENDPOINT says where spans go"]
    );
}

#[test]
fn a_shutdown_wakes_a_pause_for_its_last_attempt() {
    let (gate, send) = gate();
    let (config, _) = config(Output::Zipkin(Box::new(Fake(send))));
    let pipeline = Pipeline::start_with(config, Backoff::new(HOUR, HOUR)).unwrap();
    offer(&pipeline, 1..=2);
    assert_eq!(pipeline.flush(Instant::now()).queued(), 2);
    gate.arrived.recv().unwrap();
    gate.go.send(Err(SendError::unreachable("x"))).unwrap();
    gate.go.send(Ok(())).unwrap();
    assert_eq!(pipeline.shutdown(Instant::now() + HOUR).sent(), 2);
}

#[test]
fn a_shutdown_tries_until_its_deadline_when_the_collector_is_only_slow() {
    let mut tries = 0;
    let (pipeline, _) = with_sender(move |_| {
        tries += 1;
        if tries < 50 { Err(SendError::retry("503")) } else { Ok(()) }
    });
    offer(&pipeline, 1..=2);
    assert_eq!(pipeline.shutdown(soon()).sent(), 2);
}

#[test]
fn a_shutdown_does_not_wait_for_what_comes_after_its_deadline() {
    let (pipeline, notes) = with_sender(|_| Err(SendError::retry_after("429", HOUR)));
    offer(&pipeline, 1..=2);
    let tally = pipeline.shutdown(Instant::now() + Duration::from_secs(200));
    assert_eq!(drops(&tally), [(DropReason::Unavailable, 2)]);
    // Told at the first failure already, because the pause is long.
    let notes = notes.lock().unwrap();
    assert!(notes.len() == 1 && notes[0].starts_with("429; spans wait"), "{notes:?}");
}

#[test]
fn the_collectors_own_pause_is_not_shortened_by_a_flush() {
    let (tell, asked) = channel();
    let (pipeline, _) = with_sender(move |_| {
        tell.send(()).unwrap();
        Err(SendError::retry_after("429", HOUR))
    });
    offer(&pipeline, 1..=2);
    pipeline.flush(Instant::now());
    asked.recv().unwrap();
    let tally = pipeline.flush(Instant::now() + Duration::from_millis(5));
    assert_eq!(tally.queued(), 2);
    assert_eq!(asked.try_iter().count(), 0);
}

#[test]
fn a_blocked_sender_does_not_hold_a_shutdown_and_is_not_counted_twice() {
    let (gate, send) = gate();
    let (pipeline, _) = with_sender(send);
    offer(&pipeline, 1..=3);
    assert_eq!(pipeline.flush(Instant::now()).queued(), 3);
    gate.arrived.recv().unwrap();
    pipeline.ended(2);
    offer(&pipeline, 4..=4);
    let tally = pipeline.shutdown(Instant::now() + Duration::from_millis(2));
    assert_eq!((tally.sent(), tally.queued()), (0, 0));
    assert_eq!(drops(&tally), [(DropReason::Deadline, 6)]);
    gate.go.send(Ok(())).unwrap();
    // Now the thread can end, and its return is waited for.
    assert_eq!(pipeline.shutdown(soon()), tally);
    offer(&pipeline, 5..=6);
    hand_on(&pipeline, spans(7..=8));
    let tally = pipeline.flush(soon());
    assert_eq!((tally.recorded(), drops(&tally)), (8, vec![(DropReason::Deadline, 8)]));
}

/// A reporter that is a function of the ids, and tells of its flushes.
struct FakeReporter<F> {
    report: F,
    flushed: std::sync::mpsc::Sender<Instant>,
}

impl<F: FnMut(Vec<u64>) -> Result<(), ReportError> + Send + 'static> Reporter for FakeReporter<F> {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        (self.report)(batch.iter().map(|span| span.id.get()).collect())
    }

    fn flush(&mut self, deadline: Instant) -> Result<(), ReportError> {
        self.flushed.send(deadline)?;
        Ok(())
    }
}

fn with_reporter(
    report: impl FnMut(Vec<u64>) -> Result<(), ReportError> + Send + 'static,
) -> (Arc<Pipeline>, Notes, Receiver<Instant>) {
    let (flushed, flushes) = channel();
    let (config, notes) = config(Output::Reporter(Box::new(FakeReporter { report, flushed })));
    (start(config), notes, flushes)
}

#[test]
fn a_reporter_gets_spans_and_is_flushed_after_them() {
    let (tell, reported) = channel();
    let (pipeline, _, flushes) = with_reporter(move |ids| {
        tell.send(ids)?;
        Ok(())
    });
    let deadline = soon();
    offer(&pipeline, 1..=3);
    let tally = pipeline.flush(deadline);
    assert_eq!((tally.sent(), tally.batches()), (3, 1));
    assert_eq!(reported.try_iter().collect::<Vec<_>>(), [[1, 2, 3]]);
    assert_eq!(flushes.try_iter().collect::<Vec<_>>(), [deadline]);
    pipeline.shutdown(deadline);
    assert_eq!(flushes.iter().collect::<Vec<_>>(), [deadline]);
}

#[test]
fn a_reporters_error_keeps_or_drops_the_batch_as_it_says() {
    let mut tries = 0;
    let (pipeline, notes, _flushes) = with_reporter(move |ids| {
        tries += 1;
        match ids[0] {
            1 => Err(ReportError::new("disk full")),
            2 => panic!("boom"),
            _ if tries < 10 => Err(ReportError::retry("busy")),
            _ => Ok(()),
        }
    });
    for id in 1..=3 {
        offer(&pipeline, id..=id);
        pipeline.flush(soon());
    }
    let tally = pipeline.tally();
    assert_eq!((tally.sent(), drops(&tally)), (1, vec![(DropReason::ReporterFailed, 2)]));
    let notes = notes.lock().unwrap();
    assert_eq!(notes[0], "1 span dropped: the reporter failed: disk full");
    assert_eq!(notes[1], "1 span dropped: the reporter panicked: boom");
    assert!(notes[2].starts_with("the reporter failed: busy; spans wait"), "{}", notes[2]);
    assert_eq!(notes.len(), 4);
}

#[test]
fn a_reporter_may_use_its_own_tracer() {
    let own: Arc<OnceLock<Arc<Pipeline>>> = Arc::default();
    let inner = Arc::clone(&own);
    let (pipeline, _, _flushes) = with_reporter(move |_| {
        let pipeline = inner.get().unwrap();
        pipeline.flush(Instant::now() + HOUR);
        assert!(pipeline.tally().is_conserved());
        Ok(())
    });
    own.set(Arc::clone(&pipeline)).unwrap();
    offer(&pipeline, 1..=2);
    assert_eq!(pipeline.shutdown(soon()).sent(), 2);
}

#[test]
fn a_collecting_pipeline_has_no_thread() {
    let pipeline = Pipeline::collecting();
    offer(&pipeline, 1..=2);
    let tally = pipeline.flush(Instant::now() + HOUR);
    assert_eq!(tally.to_string(), "sent 2 spans, 0 dropped");
    assert_eq!(pipeline.records().len(), 2);
    assert_eq!(pipeline.take().len(), 2);
    assert_eq!(pipeline.take().len(), 0);
    offer(&pipeline, 3..=3);
    assert_eq!(pipeline.shutdown(Instant::now() + HOUR).sent(), 3);
}

#[test]
fn the_traces_of_accepted_roots_are_told_before_they_are_counted() {
    let (mut config, _) =
        config(Output::Zipkin(Box::new(Fake(
            |ids: Vec<u64>| {
                if ids.contains(&3) { Err(SendError::rejected("x")) } else { Ok(()) }
            },
        ))));
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    config.accepted = Some(Box::new(move |traces| sink.lock().unwrap().extend(traces)));
    let pipeline = start(config);
    let mut roots = spans(1..=5);
    for (number, root) in (1_u128..).zip(&mut roots) {
        root.trace = TraceId::new(number).unwrap();
        root.local_root = number != 2;
    }
    let first = roots[0].clone();
    pipeline.ended(6);
    hand_on(&pipeline, std::iter::once(first).chain(roots).collect());
    assert_eq!(pipeline.flush(soon()).sent(), 5);
    let told: Vec<_> = told.lock().unwrap().iter().map(TraceId::to_string).collect();
    assert_eq!(told, ["1", "4", "5"].map(|trace| format!("{trace:0>16}")));
}

/// Whatever the backend does and whenever somebody looks: nothing is lost without a count, nothing counted twice.
#[test]
fn every_span_is_accounted_for_at_every_instant() {
    for seed in 0..300 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut faults = SmallRng::seed_from_u64(!seed);
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&accepted);
        let own: Arc<OnceLock<std::sync::Weak<Pipeline>>> = Arc::default();
        let inner = Arc::clone(&own);
        let send = move |ids: Vec<u64>| {
            if let Some(pipeline) = inner.get().and_then(std::sync::Weak::upgrade) {
                assert!(pipeline.tally().is_conserved());
            }
            match faults.random_range(0..10) {
                0 => Err(SendError::unreachable("x")),
                1 => Err(SendError::retry("x")),
                2 => Err(SendError::retry_after("x", Duration::from_micros(20))),
                3 if ids.iter().any(|id| id % 5 == 0) => Err(SendError::rejected("x")),
                4 if ids.len() > 2 => Err(SendError::too_large("x")),
                5 if ids.len() > 5 => Err(SendError::refused("x")),
                6 if ids[0] % 7 == 0 => panic!("expected by this test"),
                _ => {
                    sink.lock().unwrap().extend(ids);
                    Ok(())
                }
            }
        };
        let (mut config, _) = config(Output::Zipkin(Box::new(Fake(send))));
        config.queue_bytes = rng.random_range(1..40) * spans(1..=1)[0].size();
        config.batch_bytes = rng.random_range(1..4) * 700;
        config.linger = Duration::from_micros(rng.random_range(0..100));
        let pipeline = start(config);
        own.set(Arc::downgrade(&pipeline)).unwrap();

        let (mut next, mut held) = (1, Vec::new());
        let mut recorded = 0;
        for _ in 0..rng.random_range(1..60) {
            match rng.random_range(0..12) {
                0..5 => {
                    let count = rng.random_range(1..10);
                    pipeline.ended(count);
                    held.extend(spans(next..=next + count - 1));
                    next += count;
                    recorded += count;
                }
                5..9 => {
                    let count = rng.random_range(0..=held.len());
                    hand_on(&pipeline, held.drain(..count).collect());
                }
                9 => {
                    pipeline.lost(DropReason::TooDeep, 2);
                    recorded += 2;
                }
                10 => {
                    pipeline.flush(Instant::now() + Duration::from_micros(rng.random_range(0..500)));
                }
                _ if rng.random_range(0..10) == 0 => {
                    pipeline.shutdown(Instant::now() + Duration::from_micros(rng.random_range(0..500)));
                }
                _ => std::thread::yield_now(),
            }
            let tally = pipeline.tally();
            assert!(tally.is_conserved(), "seed {seed}: {tally:?}");
            assert_eq!(tally.recorded(), recorded, "seed {seed}");
            assert!(tally.queued() >= held.len() as u64 || lost_at_the_end(&tally) > 0, "seed {seed}: {tally:?}");
        }
        let patient = rng.random();
        let deadline = if patient { soon() } else { Instant::now() };
        let tally = pipeline.shutdown(deadline);
        assert!(tally.is_conserved(), "seed {seed}: {tally:?}");
        assert_eq!(tally.queued(), 0, "seed {seed}");
        // Ends the thread, if it did not end in time.
        assert_eq!(pipeline.shutdown(soon()), tally, "seed {seed}");
        let accepted = accepted.lock().unwrap();
        let mut once = accepted.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), accepted.len(), "seed {seed}: sent twice");
        // What the backend took after the deadline is counted as dropped.
        assert!(tally.sent() <= accepted.len() as u64, "seed {seed}: {tally}");
        if patient && lost_at_the_end(&tally) == 0 {
            assert_eq!(tally.sent(), accepted.len() as u64, "seed {seed}: {tally}");
        }
    }
}

/// Spans that a shutdown may have given up.
fn lost_at_the_end(tally: &Tally) -> u64 {
    use DropReason::{Deadline, Unavailable, Unreachable};
    [Deadline, Unavailable, Unreachable].into_iter().map(|reason| tally.dropped_by(reason)).sum()
}

#[cfg(feature = "spool")]
mod spool;

/// A pipeline of which 40 spans are held, with a queue that has room for four.
fn with_forty_held(sender: impl FnMut(Vec<u64>) -> Result<(), SendError> + Send + 'static) -> Arc<Pipeline> {
    let (mut config, _notes) = config(Output::Zipkin(Box::new(Fake(sender))));
    config.queue_bytes = 4 * spans(1..=1)[0].size();
    config.batch_bytes = config.queue_bytes;
    let pipeline = start(config);
    pipeline.ended(40);
    pipeline
}

/// Offers them, and tells how many were sent.
fn sent_of_forty(
    patience: &mut Patience,
    sender: impl FnMut(Vec<u64>) -> Result<(), SendError> + Send + 'static,
) -> u64 {
    let pipeline = with_forty_held(sender);
    let left_over = pipeline.offer(vec![Block::new(spans(1..=40))], &mut Buffers::default(), patience);
    assert!(left_over.is_empty());
    let tally = pipeline.shutdown(soon());
    assert_eq!((tally.recorded(), tally.sent() + tally.dropped()), (40, 40), "{tally:?}");
    tally.sent()
}

fn slow(_: Vec<u64>) -> Result<(), SendError> {
    std::thread::sleep(Duration::from_millis(2));
    Ok(())
}

#[test]
fn a_full_queue_is_waited_for_while_it_empties() {
    assert_eq!(sent_of_forty(&mut Patience::of_a_round(&Arc::default()), slow), 40);
    assert!(sent_of_forty(&mut Patience::default(), slow) < 40);
    assert!(sent_of_forty(&mut Patience::until(Instant::now(), &Arc::default()), slow) < 40);
}

/// Somebody wants to read, who must not wait for a queue: what has no room yet comes once more.
#[test]
fn what_finds_no_room_before_the_round_is_to_end_is_given_back_and_held() {
    let pipeline = with_forty_held(slow);
    let wanted = Arc::new(std::sync::atomic::AtomicUsize::new(1));
    let mut patience = Patience::of_a_round(&wanted);
    let blocks = vec![Block::new(spans(1..=20)), Block::new(spans(21..=40))];
    let left_over = pipeline.offer(blocks, &mut Buffers::default(), &mut patience);
    let ids: Vec<_> = left_over.iter().flat_map(Block::spans).map(|span| span.id.get()).collect();
    assert!(ids.len() >= 20 && ids == (41 - ids.len() as u64..=40).collect::<Vec<_>>(), "{ids:?}");
    assert_eq!((pipeline.tally().dropped(), pipeline.tally().sent() + pipeline.tally().queued()), (0, 40));
    wanted.store(0, std::sync::atomic::Ordering::Release);
    assert!(pipeline.offer(left_over, &mut Buffers::default(), &mut patience).is_empty());
    assert_eq!(pipeline.shutdown(soon()).sent(), 40);
}

#[test]
fn what_is_given_back_may_be_dropped_and_is_counted() {
    let pipeline = with_forty_held(slow);
    let wanted = Arc::new(std::sync::atomic::AtomicUsize::new(1));
    let mut patience = Patience::of_a_round(&wanted);
    let left_over = pipeline.offer(vec![Block::new(spans(1..=40))], &mut Buffers::default(), &mut patience);
    let left = left_over.iter().map(|block| block.len() as u64).sum();
    left_over.into_iter().for_each(|block| pipeline.no_room(block));
    let tally = pipeline.shutdown(soon());
    assert_eq!(drops(&tally), [(DropReason::QueueFull, left)]);
    assert_eq!(tally.sent(), 40 - left);
}

#[test]
fn a_backend_in_trouble_is_not_waited_for() {
    let began = Instant::now();
    let sent =
        sent_of_forty(&mut Patience::of_a_round(&Arc::default()), |_| Err(SendError::unreachable("nobody is there")));
    assert_eq!(sent, 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn who_waits_for_room_does_not_wait_for_a_batch_to_fill() {
    let (mut config, _notes) = config(Output::Zipkin(Box::new(Fake(|_| Ok(())))));
    // The queue is a little larger than three spans: it is full before a batch is.
    config.queue_bytes = 3 * spans(1..=1)[0].size() + 10;
    config.batch_bytes = config.queue_bytes;
    let pipeline = start(config);
    pipeline.ended(12);
    pipeline.offer(
        vec![Block::new(spans(1..=12))],
        &mut Buffers::default(),
        &mut Patience::of_a_round(&Arc::default()),
    );
    assert_eq!(pipeline.tally().dropped(), 0);
    assert_eq!(pipeline.shutdown(soon()).sent(), 12);
}
