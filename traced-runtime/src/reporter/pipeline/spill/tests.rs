//! The counts of what is on the disk, step by step: what the threads would do is called here in turn.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use tempfile::TempDir;

use super::*;
use crate::reporter::block::Block;
use crate::reporter::buffers::Buffers;
use crate::reporter::pipeline::Task;
use crate::reporter::stats::Tally;

/// A pipeline's state without its threads.
struct Steps {
    shared: Arc<Shared>,
    directory: TempDir,
}

impl Steps {
    fn new(spool_bytes: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::new(usize::MAX);
        state.spill =
            Some(Spilling::new(&SpoolSettings { directory: directory.path().to_owned(), bytes: spool_bytes }));
        Self { shared: Shared::new(state, 1 << 20, Duration::ZERO, false), directory }
    }

    /// Offers spans.
    fn offer(&self, spans: u64) {
        let mut state = self.shared.lock();
        state.stats.tally.recorded += spans;
        state.held += spans;
        let records = (1..=spans).map(|id| SpanRecord::sample("span", 1, id, 0)).collect();
        assert!(state.queue_block(Block::new(records), Instant::now()).is_none());
    }

    /// Takes all spans from the queue to send them, of which so many are too large for a request.
    fn take(&self, too_large: usize) -> Arc<Body> {
        let Task::Send(mut batch) = self.shared.next() else { panic!("there is something to send") };
        let mut body = Body::new(1 << 20);
        let filled = body.fill(batch.spans_mut(), |_, _| ());
        let mut spent = Buffers::default();
        let rest = batch.spend(filled.taken, &mut spent);
        let body = Arc::new(body);
        self.shared.encoded(rest, 0, too_large, &body, &mut spent);
        body
    }

    /// Writes the batch in flight.
    fn save(&self) {
        self.shared.trouble(true, true);
        let Spill::InFlight { number, body } = self.shared.next_spill() else { panic!("a batch is in flight") };
        assert!(self.shared.saved(self.write(number, &body)));
    }

    /// Writes what is in the queue.
    fn spill(&self) {
        self.shared.trouble(true, true);
        let Spill::Queue { number, mut spans } = self.shared.next_spill() else { panic!("spans wait in the queue") };
        let mut body = Body::new(1 << 20);
        let filled = body.fill(spans.iter_mut(), |_, _| ());
        let rest = spans.split_off(filled.taken);
        self.shared.spilled(Some(self.write(number, &body)), body.spans(), 0, 0, rest);
    }

    fn write(&self, number: u64, body: &Body) -> Written {
        let folder = Arc::new(Folder::create(self.directory.path()).unwrap());
        folder.write(number, body.list(), body.spans()).unwrap();
        Written { folder, number, bytes: body.list().len() }
    }

    fn tally(&self) -> Tally {
        let tally = self.shared.lock().tally();
        assert!(tally.is_conserved(), "{tally:?}");
        tally
    }
}

#[test]
fn what_was_sent_of_a_batch_that_is_given_up_is_not_dropped_with_it() {
    let steps = Steps::new(4_096);
    steps.offer(10);
    steps.take(0);
    steps.save();
    assert_eq!((steps.tally().queued(), steps.tally().spooled()), (10, 10));
    steps.shared.sent(6, 1_000);
    assert_eq!((steps.tally().sent(), steps.tally().spooled()), (6, 4));
    assert!(steps.shared.spool_instead());
    assert_eq!((steps.tally().sent(), steps.tally().spooled()), (6, 4));
    let room = steps.shared.make_room(1_000).unwrap();
    assert_eq!((room.batches.len(), room.spans), (1, 4));
    let tally = steps.tally();
    assert_eq!(
        (tally.recorded(), tally.sent(), tally.dropped_by(DropReason::SpoolFull), tally.queued()),
        (10, 6, 4, 0)
    );
}

#[test]
fn what_was_sent_of_a_batch_from_the_disk_is_not_dropped_with_it() {
    let steps = Steps::new(4_096);
    steps.offer(10);
    steps.spill();
    assert!(matches!(steps.shared.next(), Task::SendStored(batch) if batch.spans == 10));
    steps.shared.sent(6, 1_000);
    assert!(steps.shared.spool_instead());
    assert_eq!((steps.tally().sent(), steps.tally().spooled()), (6, 4));
    // What comes next is not of that batch.
    steps.offer(5);
    steps.spill();
    assert_eq!((steps.tally().spooled(), steps.tally().queued()), (9, 9));
    assert_eq!(steps.shared.make_room(1_000).unwrap().spans, 9);
    assert_eq!((steps.tally().dropped(), steps.tally().queued()), (9, 0));
}

/// Whoever writes the batch just when it is encoded counts those that are in it.
#[test]
fn spans_too_large_for_a_request_are_never_in_a_saved_batch() {
    let steps = Steps::new(4_096);
    steps.offer(10);
    steps.take(3);
    steps.save();
    let tally = steps.tally();
    assert_eq!((tally.dropped_by(DropReason::TooLarge), tally.spooled()), (3, 7));
    assert!(steps.shared.spool_instead());
    assert_eq!(steps.shared.make_room(1_000).unwrap().spans, 7);
    assert_eq!((steps.tally().dropped(), steps.tally().queued()), (10, 0));
}

/// Nothing moves after the end: what was told then is what the next start finds.
#[test]
fn a_batch_that_comes_after_the_end_drops_no_other() {
    let steps = Steps::new(4_096);
    steps.offer(10);
    steps.spill();
    steps.offer(5);
    steps.shared.trouble(true, true);
    let Spill::Queue { .. } = steps.shared.next_spill() else { panic!("spans wait in the queue") };
    steps.shared.close();
    let end = steps.tally();
    assert_eq!((end.spooled(), end.queued(), end.dropped_by(DropReason::Unreachable)), (10, 10, 5));
    assert!(steps.shared.make_room(1_000).is_none());
    assert_eq!(steps.tally(), end);
}
