//! The counts of what is on the disk, step by step: what the threads would do is called here in turn.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use tempfile::TempDir;

use super::*;
use crate::reporter::block::Block;
use crate::reporter::buffers::Buffers;
use crate::reporter::pipeline::Task;
use crate::reporter::stats::Tally;

mod schedules;

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
        self.shared.spill_encoded(spans.split_off(filled.taken));
        self.shared.spilled(Some(self.write(number, &body)), body.spans(), 0, 0);
    }

    fn write(&self, number: u64, body: &Body) -> Written {
        let folder = Arc::new(Folder::create(self.directory.path()).unwrap());
        folder.write(number, body.list(), body.spans()).unwrap();
        Written { folder, number, bytes: body.list().len() }
    }

    /// Asks for a flush of what was offered so far.
    fn ask_to_flush(&self) {
        let mut state = self.shared.lock();
        let offered = state.offered;
        state.flushes.ask(offered, Instant::now());
    }

    fn flush_is_done(&self) -> bool {
        self.shared.lock().flush_is_ready().is_some()
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

/// A disk that stands still holds up no collector that does not.
#[test]
fn while_a_batch_is_written_the_rest_is_sent() {
    let steps = Steps::new(4_096);
    steps.offer(10);
    steps.ask_to_flush();
    steps.shared.trouble(true, true);
    let Spill::Queue { mut spans, .. } = steps.shared.next_spill() else { panic!("spans wait in the queue") };
    steps.shared.spill_encoded(spans.split_off(8));
    steps.offer(5);
    steps.take(0);
    assert_eq!((steps.tally().queued(), steps.tally().recorded()), (15, 15));
    steps.shared.sent(7, 1_000);
    drop(steps.shared.finished());
    assert!(!steps.flush_is_done(), "eight are being written");
    // And then the disk fails: they are sent, too.
    steps.shared.spill_failed(spans, 3);
    assert_eq!((steps.tally().queued(), steps.shared.lock().stats().cut_tags()), (8, 3));
    assert!(!steps.flush_is_done());
    steps.take(0);
    assert!(!steps.flush_is_done());
    steps.shared.sent(8, 1_000);
    drop(steps.shared.finished());
    assert!(steps.flush_is_done());
    assert_eq!(steps.tally().sent(), 15);
}

/// Spans do not leave in the order they came: those that are lost beside older ones settle nothing for these.
#[test]
fn a_flush_waits_for_what_is_on_the_disk_whatever_is_lost_beside_it() {
    let steps = Steps::new(2 * 4_096);
    steps.offer(2);
    steps.spill();
    steps.ask_to_flush();
    assert!(matches!(steps.shared.next(), Task::SendStored(batch) if batch.spans == 2));
    // Later ones are lost on their way to the disk, or because it is full.
    steps.offer(5);
    let Spill::Queue { .. } = steps.shared.next_spill() else { panic!("spans wait in the queue") };
    steps.shared.dropped_instead(5, DropReason::RedactionFailed);
    steps.shared.spill_encoded(Vec::new());
    steps.shared.spilled(None, 0, 0, 0);
    steps.offer(3);
    steps.spill();
    assert_eq!(steps.shared.make_room(4_096).unwrap().spans, 3);
    assert!(!steps.flush_is_done());
    steps.shared.sent(1, 1_000);
    assert!(!steps.flush_is_done());
    steps.shared.sent(1, 1_000);
    drop(steps.shared.finished());
    assert!(steps.flush_is_done());
    assert_eq!((steps.tally().sent(), steps.tally().dropped()), (2, 8));
}

/// What was accepted of a batch is not sent once more by the one who gave it up.
#[test]
fn a_batch_that_was_sent_in_part_is_not_sent_whole_after_it_was_given_up() {
    let steps = Steps::new(1 << 20);
    steps.offer(10);
    steps.take(0);
    steps.save();
    steps.shared.sent(6, 1_000);
    steps.offer(3);
    let Spill::Queue { spans, .. } = steps.shared.next_spill() else { panic!("spans wait in the queue") };
    steps.shared.spill_encoded(Vec::new());
    steps.shared.spill_failed(spans, 0);
    steps.shared.lock().closing = Some(Instant::now());
    steps.ask_to_flush();
    assert!(!steps.shared.spool_instead(), "the disk failed just now");
    steps.shared.give_up();
    assert!(matches!(steps.shared.next_spill(), Spill::Check));
    steps.shared.checked();
    assert!(matches!(steps.shared.next(), Task::Flush(_)));
    steps.shared.close();
    assert!(matches!(steps.shared.next(), Task::Stop));
    let tally = steps.tally();
    assert_eq!((tally.sent(), tally.spooled(), tally.dropped_by(DropReason::Unreachable)), (6, 4, 3));
}

/// Sends a batch in full.
fn send_all(steps: &Steps) -> u64 {
    let spans = steps.take(0).spans();
    steps.shared.sent(spans, 1);
    drop(steps.shared.finished());
    spans as u64
}

/// Whatever goes round on the disk beside it, a flush does not wait for what came after it, but for a batch.
#[test]
fn a_flush_does_not_wait_for_what_overtook_failed_writes() {
    let mut steps = Steps::new(1 << 20);
    let size = SpanRecord::sample("span", 1, 1, 0).size();
    Arc::get_mut(&mut steps.shared).unwrap().batch_bytes = 10 * size;
    steps.offer(10);
    for _ in 0..100 {
        steps.shared.lock().spill.as_mut().unwrap().not_before = None;
        steps.shared.trouble(true, true);
        let Spill::Queue { spans, .. } = steps.shared.next_spill() else { panic!("spans wait in the queue") };
        steps.shared.spill_encoded(Vec::new());
        steps.offer(20);
        send_all(&steps);
        steps.shared.spill_failed(spans, 0);
        send_all(&steps);
    }
    steps.shared.trouble(false, false);
    let queued = steps.tally().queued();
    steps.ask_to_flush();
    let mut sent = 0;
    while !steps.flush_is_done() {
        sent += send_all(&steps);
        steps.offer(10);
    }
    assert!(sent <= queued + 10, "{queued} were queued, {sent} had to be sent");
}

/// The end may come between the answer and the removal of the file.
#[test]
fn what_counts_as_sent_is_not_left_for_the_next_start() {
    for is_stored in [true, false] {
        let steps = Steps::new(1 << 20);
        steps.offer(10);
        if is_stored {
            steps.spill();
            assert!(matches!(steps.shared.next(), Task::SendStored(_)));
        } else {
            steps.take(0);
            steps.save();
        }
        steps.shared.sent(10, 1);
        steps.shared.close();
        assert_eq!((steps.tally().sent(), steps.tally().spooled()), (10, 0));
        assert!(steps.shared.finished().is_some(), "from the disk: {is_stored}");
    }
}

/// A number names a file and a place: each is used once, and the last one not at all.
#[test]
fn batches_after_the_last_number_wait_in_memory() {
    let steps = Steps::new(1 << 20);
    steps.shared.lock().spill.as_mut().unwrap().taken = u64::MAX - 3;
    for _ in 0..2 {
        steps.offer(10);
        steps.spill();
    }
    let numbers = steps.shared.stored_after(None, 10).iter().map(|(_, stored)| stored.number).collect::<Vec<_>>();
    assert_eq!(numbers, [u64::MAX - 2, u64::MAX - 1]);
    let nothing_is_written = || {
        let next = steps.shared.lock().next_spill(1 << 20, Duration::ZERO);
        assert!(matches!(next, Err(_) | Ok(Spill::Adopt)));
    };
    steps.offer(10);
    nothing_is_written();
    for _ in 0..2 {
        assert!(matches!(steps.shared.next(), Task::SendStored(batch) if batch.spans == 10));
        steps.shared.sent(10, 1);
        drop(steps.shared.finished());
    }
    for _ in 0..3 {
        steps.take(0);
        nothing_is_written();
        steps.shared.sent(10, 1);
        assert!(steps.shared.finished().is_none());
        steps.offer(10);
    }
    let tally = steps.tally();
    assert_eq!((tally.sent(), tally.queued(), tally.spooled(), tally.dropped()), (50, 10, 0, 0));
    // And at the end what is in memory is dropped, as where the disk fails.
    assert!(!steps.shared.spool_instead());
    steps.shared.give_up();
    assert_eq!((steps.tally().queued(), steps.tally().dropped()), (0, 10));
}

/// Somebody removes its file while it is on its way: it is sent, or counts as dropped when it is given up.
#[test]
fn a_batch_in_hand_whose_file_is_gone_is_not_left_in_the_spool() {
    for (is_stored, is_sent) in [(true, true), (true, false), (false, true), (false, false)] {
        let steps = Steps::new(1 << 20);
        steps.offer(10);
        if is_stored {
            steps.spill();
            assert!(matches!(steps.shared.next(), Task::SendStored(_)));
        } else {
            steps.take(0);
            steps.save();
        }
        let places: Vec<_> = steps.shared.stored_after(None, 10).into_iter().map(|(place, _)| place).collect();
        let stored = if is_stored { 10 } else { 0 };
        assert_eq!(steps.shared.vanished(&places), stored);
        assert_eq!(steps.shared.vanished(&places), 0, "it is told once");
        assert_eq!((steps.tally().queued(), steps.tally().spooled()), (10, stored));
        if is_sent {
            steps.shared.sent(10, 1);
            drop(steps.shared.finished());
        }
        steps.shared.close();
        let tally = steps.tally();
        let expected = if is_sent { (10, 0, 0) } else { (0, 0, 10) };
        assert_eq!((tally.sent(), tally.spooled(), tally.dropped()), expected, "stored {is_stored}");
        assert_eq!(tally.dropped_by(DropReason::SpoolDamaged), if is_sent { 0 } else { stored });
    }
}
