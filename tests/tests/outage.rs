//! Outages, with a program that goes on recording 10,000 spans a second: with a spool none is lost, without one every loss is
//! counted; and the real Zipkin frozen, killed and started again.
//!
//! The outage lasts 5 s. With `TRACED_SOAK=1` it lasts 60 s, which is for a release build:
//! `TRACED_SOAK=1 cargo test --release -p traced-tests --test outage`.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use traced_runtime::{Builder, DropReason, Tally, Tracer, span};
use traced_tests::{Answer, Collector, Zipkin};

const SOON: Duration = Duration::from_secs(120);

/// Spans per second.
const RATE: u64 = 10_000;

fn outage() -> Duration {
    let soak = std::env::var_os("TRACED_SOAK").is_some_and(|value| value == "1");
    Duration::from_secs(if soak { 60 } else { 5 })
}

struct Program {
    tracer: Tracer,
    notes: Arc<Mutex<Vec<String>>>,
    recorded: u64,
}

impl Program {
    fn start(url: String, set: impl FnOnce(Builder) -> Builder) -> Self {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&notes);
        let builder = Tracer::builder("outage").collector(url).timeout(Duration::from_secs(2));
        let builder = builder.on_notice(move |notice| sink.lock().unwrap().push(notice.to_string()));
        Self { tracer: set(builder).build().unwrap(), notes, recorded: 0 }
    }

    /// Records at the rate, for this time; checks the sums all the while.
    fn run(&mut self, time: Duration) {
        let (start, mut spans) = (Instant::now(), 0);
        while start.elapsed() < time {
            let due = u64::try_from(start.elapsed().as_millis()).unwrap() * RATE / 1_000;
            self.tracer.context().run(|| {
                for _ in spans..due {
                    drop(span!("work"));
                }
            });
            if spans / RATE < due / RATE {
                assert!(self.tracer.stats().tally().is_conserved());
                let stats = self.tracer.stats();
                assert!(stats.queued_bytes() <= Builder::QUEUE_BYTES as u64, "{stats:?}");
            }
            spans = due;
            // The pace of a program that has something else to do, too.
            thread::sleep(Duration::from_millis(1));
        }
        self.recorded += spans;
    }

    fn end(&self) -> Tally {
        let tally = self.tracer.shutdown(SOON);
        assert!(tally.is_conserved(), "{tally:?}");
        assert_eq!(tally.recorded(), self.recorded);
        println!("{tally}; {:?}", self.tracer.stats());
        tally
    }

    #[track_caller]
    fn expect_notes(&self, starts: &[&str]) {
        let notes = self.notes.lock().unwrap();
        assert_eq!(notes.len(), starts.len(), "{notes:?}");
        for (note, start) in notes.iter().zip(starts) {
            assert!(note.starts_with(start), "{note:?} instead of {start:?}");
        }
    }
}

/// Each span arrived, and some perhaps twice: those of requests whose answers did not come.
#[track_caller]
fn assert_arrived(collector: &Collector, spans: u64) {
    let mut ids = collector.accepted_ids();
    ids.dedup();
    assert_eq!(ids.len() as u64, spans);
}

#[test]
fn with_a_spool_an_outage_loses_nothing() {
    let spool = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    let mut program = Program::start(collector.url(), |builder| builder.spool(spool.path()).spool_bytes(1 << 30));
    program.run(Duration::from_secs(1));
    collector.down();
    program.run(outage());
    let during = program.tracer.stats();
    assert!(during.tally().spooled() > RATE, "{during:?}");
    collector.up();
    program.run(Duration::from_secs(1));
    let tally = program.end();
    assert_eq!((tally.dropped(), tally.queued()), (0, 0), "{tally}");
    assert_arrived(&collector, program.recorded);
    program.expect_notes(&["cannot reach ", "the backend takes spans again after "]);
    assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0);
}

/// A collector that takes connections and answers nothing, as one does that is stopped: requests hang until their time is up.
#[test]
fn with_a_spool_a_hanging_collector_loses_nothing() {
    let spool = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    let mut program = Program::start(collector.url(), |builder| builder.spool(spool.path()).spool_bytes(1 << 30));
    collector.answer(Answer::silence());
    program.run(outage());
    collector.answer(Answer::status(202));
    // What hangs is let go.
    collector.down();
    collector.up();
    let tally = program.end();
    assert_eq!((tally.dropped(), tally.queued()), (0, 0), "{tally}");
    assert_arrived(&collector, program.recorded);
}

#[test]
fn without_a_spool_every_loss_is_counted() {
    let mut collector = Collector::start();
    let mut program = Program::start(collector.url(), |builder| builder);
    program.run(Duration::from_secs(1));
    collector.down();
    program.run(outage());
    collector.up();
    program.run(Duration::from_secs(1));
    let tally = program.end();
    assert_eq!(tally.queued(), 0, "{tally}");
    assert!(tally.dropped() > 0, "{tally}");
    let counted = [DropReason::Unreachable, DropReason::QueueFull].map(|reason| tally.dropped_by(reason));
    assert_eq!(counted.iter().sum::<u64>(), tally.dropped(), "{tally}");
    assert_arrived(&collector, tally.sent());
}

/// Frozen, going on, killed, and started again where it was. What it had stored is lost with it, as its storage is memory; what
/// it was not sent is not.
#[test]
fn zipkin_frozen_killed_and_started_again() {
    // What it counts is what came; it need not keep it, which in an outage of 60 s would be more than its heap holds.
    let Some(mut zipkin) = Zipkin::options().max_spans(100_000).start() else { return };
    let spool = tempfile::tempdir().unwrap();
    let mut program = Program::start(zipkin.spans_url(), |builder| builder.spool(spool.path()));
    let second = Duration::from_secs(1);
    program.run(second);
    assert_eq!(program.tracer.flush(SOON).queued(), 0);
    // More only if an answer took longer than the time for a request, as on a busy machine.
    let (spans, retries) = (zipkin.metrics().spans, program.tracer.stats().retries());
    assert!(spans == program.recorded || (retries > 0 && spans > program.recorded), "{spans} spans, {retries} retries");

    zipkin.signal("STOP");
    program.run(outage());
    zipkin.signal("CONT");
    let tally = program.tracer.flush(SOON);
    assert_eq!((tally.sent(), tally.dropped()), (program.recorded, 0), "{tally}");
    // What came while it stood still, it reads afterwards, and it was sent again: duplicates over loss.
    assert!(zipkin.metrics().spans >= program.recorded);

    let port = zipkin.port();
    let before = program.recorded;
    thread::scope(|scope| {
        // In the middle of batches.
        let recording = scope.spawn(|| program.run(second));
        thread::sleep(second / 2);
        zipkin.signal("KILL");
        recording.join().unwrap();
    });
    program.run(second);
    drop(zipkin);
    let sent_before = program.tracer.stats().tally().sent();
    let Some(zipkin) = Zipkin::options().port(port).start() else { return };
    let tally = program.end();
    assert_eq!((tally.sent(), tally.dropped()), (program.recorded, 0), "{tally}");
    let metrics = zipkin.metrics();
    assert!(metrics.spans >= program.recorded - sent_before && sent_before >= before, "{metrics:?}");
    assert_eq!((metrics.spans_dropped, metrics.messages_dropped), (0, 0));
}
