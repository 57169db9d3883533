//! Random schedules of what the threads do, one step at a time: each span is followed by its number, from the queue to its end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

const SCHEDULES: u64 = 3_000;

/// What the thread that sends is at.
enum Sending {
    Nothing,
    /// These are taken, and not encoded.
    Encoding(Vec<u64>),
    /// These are encoded or read back, and not settled.
    Batch(VecDeque<u64>),
    /// Nothing for ever: the backend is given up, or the pipeline closed.
    Over,
}

/// What the thread that writes is at.
enum Writing {
    Nothing,
    Encoding(u64, Vec<SpanRecord>),
    /// Encoded, of which so many were too large.
    Batch(u64, Vec<SpanRecord>, usize),
    InFlight(u64),
}

struct Schedule {
    shared: Arc<Shared>,
    folder: Arc<Folder>,
    rng: SmallRng,
    /// The number of the span that is queued next: they count from 1.
    next: u64,
    /// Neither sent nor dropped.
    open: BTreeSet<u64>,
    /// What is open of each batch on the disk.
    disk: BTreeMap<u64, Vec<u64>>,
    /// Tickets of flushes that are not done, and how many spans had been queued before them.
    flushes: VecDeque<(u64, u64)>,
    sending: Sending,
    writing: Writing,
    steps: Vec<String>,
}

fn ids(spans: &[SpanRecord]) -> Vec<u64> {
    spans.iter().map(|span| span.id.get()).collect()
}

impl Schedule {
    fn new(seed: u64, folder: &Arc<Folder>) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let size = SpanRecord::sample("span", 1, 1, 0).size();
        let mut state = State::new(if rng.random() { usize::MAX } else { 30 * size });
        let bytes = if rng.random() { 3 * 4_096 } else { 1 << 30 };
        state.spill = Some(Spilling::new(&SpoolSettings { directory: PathBuf::new(), bytes }));
        let batch_bytes = [5 * size, 20 * size, 1 << 20][rng.random_range(0..3)];
        Self {
            shared: Shared::new(state, batch_bytes, Duration::ZERO, false),
            folder: Arc::clone(folder),
            rng,
            next: 1,
            open: BTreeSet::new(),
            disk: BTreeMap::new(),
            flushes: VecDeque::new(),
            sending: Sending::Nothing,
            writing: Writing::Nothing,
            steps: vec![format!("seed {seed}")],
        }
    }

    fn told(&mut self, step: String) {
        self.steps.push(step);
    }

    fn settle(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            assert!(self.open.remove(&id), "{id} twice: {:#?}", self.steps);
        }
    }

    fn in_memory(&self) -> Vec<u64> {
        let disk: BTreeSet<u64> = self.disk.values().flatten().copied().collect();
        self.open.difference(&disk).copied().collect()
    }

    /// Whatever is in memory was dropped.
    fn lose_memory(&mut self) {
        let lost = self.in_memory();
        self.settle(lost);
    }

    fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    fn has_given_up(&self) -> bool {
        self.shared.lock().has_given_up()
    }

    fn mend_disk(&self) {
        self.shared.lock().spill.as_mut().unwrap().not_before = None;
    }

    /// One of up to so many, or none of none.
    fn some(&mut self, of: usize) -> usize {
        if of == 0 || self.rng.random_ratio(2, 3) { of } else { self.rng.random_range(1..=of) }
    }

    /// A few of so many, seldom.
    fn few(&mut self, of: usize) -> usize {
        if self.rng.random_ratio(1, 10) { self.rng.random_range(0..=of) } else { 0 }
    }

    fn check(&self) {
        let state = self.shared.lock();
        let tally = state.tally();
        assert!(tally.is_conserved(), "{tally:?} {:#?}", self.steps);
        assert_eq!(tally.queued(), self.open.len() as u64, "{tally:?} {:#?}", self.steps);
        if !state.closed && state.in_flight == 0 && matches!(self.writing, Writing::Nothing) {
            assert_eq!(state.queue.bytes(), state.queue.waiting_bytes(), "{:#?}", self.steps);
        }
        assert!(state.queue.ids().is_sorted(), "{:#?}", self.steps);
    }

    fn offer(&mut self) {
        let spans = self.rng.random_range(1..20);
        let records = (self.next..self.next + spans).map(|id| SpanRecord::sample("span", 1, id, 0)).collect();
        let mut state = self.shared.lock();
        if state.closed {
            return;
        }
        state.stats.tally.recorded += spans;
        state.held += spans;
        let no_room = state.queue_block(Block::new(records), Instant::now());
        let lost = no_room.map_or(0, |block| state.drop_block(block).len() as u64);
        state.overflow = 0;
        drop(state);
        let queued = spans - lost;
        self.open.extend(self.next..self.next + queued);
        self.next += queued;
        self.told(format!("offer {spans}, {lost} without room"));
    }

    fn ask_to_flush(&mut self) {
        let mut state = self.shared.lock();
        let offered = state.offered;
        assert_eq!(offered, self.next - 1);
        let ticket = state.flushes.ask(offered, Instant::now());
        drop(state);
        self.flushes.push_back((ticket, offered));
        self.told(format!("flush {ticket} of {offered}"));
    }

    fn close(&mut self) {
        if !self.is_closed() {
            self.told("close".to_owned());
            self.shared.close();
            self.lose_gone();
            self.lose_memory();
        }
    }

    /// A step of the thread that sends.
    fn send(&mut self) {
        match mem::replace(&mut self.sending, Sending::Nothing) {
            Sending::Nothing if self.is_closed() => self.sending = Sending::Over,
            Sending::Nothing => self.begin_to_send(),
            Sending::Encoding(mut sent) => {
                let taken = self.some(sent.len());
                let too_large = self.few(taken);
                let back = sent.split_off(taken);
                self.told(format!("encoded {taken}, {too_large} too large, back {back:?}"));
                let is_closed = self.is_closed();
                let rest = back.into_iter().map(|id| SpanRecord::sample("span", 1, id, 0)).collect();
                self.shared.encoded(rest, 0, too_large, &Arc::new(Body::new(0)), &mut Buffers::default());
                let lost: Vec<_> = sent.drain(..too_large).collect();
                if !is_closed {
                    self.settle(lost);
                }
                self.sending = Sending::Batch(sent.into());
            }
            Sending::Batch(left) if left.is_empty() => {
                if let Some(stored) = self.shared.finished() {
                    self.disk.remove(&stored.number);
                }
            }
            Sending::Batch(_) if self.is_closed() => self.sending = Sending::Over,
            Sending::Batch(_) if self.rng.random_ratio(1, 150) => self.give_up(),
            Sending::Batch(mut left) => {
                let spans = self.some(left.len());
                let gone: Vec<_> = left.drain(..spans).collect();
                if self.rng.random_ratio(1, 5) {
                    self.shared.dropped(spans, DropReason::Rejected);
                } else {
                    self.shared.sent(spans, 1);
                }
                self.told(format!("sent {gone:?}"));
                self.disk.values_mut().for_each(|ids| ids.retain(|id| !gone.contains(id)));
                self.settle(gone);
                self.sending = Sending::Batch(left);
            }
            Sending::Over => self.sending = Sending::Over,
        }
    }

    fn begin_to_send(&mut self) {
        let mut state = self.shared.lock();
        let given_up = state.has_given_up();
        if let Some(flush) = state.flush_is_ready() {
            drop(state);
            while self.flushes.front().is_some_and(|(ticket, _)| *ticket <= flush.ticket) {
                let (ticket, offered) = self.flushes.pop_front().unwrap();
                let oldest = self.open.first().copied().unwrap_or(u64::MAX);
                assert!(given_up || oldest > offered, "flush {ticket} is early: {oldest} is open, {:#?}", self.steps);
            }
            self.shared.flushed(flush);
            return;
        }
        let has_stored = state.spill.as_ref().unwrap().index.oldest_own().is_some();
        let has_queued = state.queue.since().is_some() && !state.encoding;
        drop(state);
        if given_up || !(has_stored || has_queued) {
            // It would wait.
            return;
        }
        match self.shared.next() {
            Task::Send(batch) => {
                let mut taken = ids(&batch.into_spans());
                let redacted = self.few(taken.len());
                let gone: Vec<_> = taken.drain(..redacted).collect();
                self.told(format!("take {taken:?}, {redacted} are gone"));
                self.shared.dropped(redacted, DropReason::RedactionFailed);
                self.settle(gone);
                if taken.is_empty() {
                    self.shared.taken_whole();
                } else {
                    self.sending = Sending::Encoding(taken);
                }
            }
            Task::SendStored(stored) => {
                self.told(format!("read {}", stored.number));
                let ids = self.disk[&stored.number].clone();
                assert_eq!(ids.len() as u64, stored.spans, "{:#?}", self.steps);
                self.sending = Sending::Batch(ids.into());
            }
            _ => panic!("there is something to send: {:#?}", self.steps),
        }
    }

    fn give_up(&mut self) {
        self.shared.lock().closing = Some(Instant::now());
        self.shared.trouble(true, true);
        let spools = self.shared.spool_instead();
        self.told(format!("give up, to the disk: {spools}"));
        if !spools {
            self.shared.give_up();
        }
        self.lose_gone();
        if !spools {
            self.lose_memory();
        }
    }

    /// A step of the thread that writes.
    fn write(&mut self) {
        match mem::replace(&mut self.writing, Writing::Nothing) {
            Writing::Nothing if self.is_closed() => {}
            Writing::Nothing if self.rng.random_ratio(1, 100) => self.vanish(),
            Writing::Nothing => self.begin_to_write(),
            Writing::Encoding(number, mut spans) => {
                let taken = self.some(spans.len());
                let too_large = self.few(taken);
                let back = spans.split_off(taken);
                self.told(format!("{number} encoded, {too_large} too large, back {:?}", ids(&back)));
                self.shared.spill_encoded(back);
                self.writing = Writing::Batch(number, spans, too_large);
            }
            Writing::Batch(number, spans, too_large) => self.end_batch(number, spans, too_large),
            Writing::InFlight(number) => self.end_in_flight(number),
        }
    }

    fn begin_to_write(&mut self) {
        let task = self.shared.lock().next_spill(self.shared.batch_bytes, Duration::ZERO);
        match task {
            Ok(Spill::Queue { number, mut spans }) => {
                assert!(!spans.is_empty());
                let redacted = self.few(spans.len());
                let gone: Vec<_> = spans.drain(..redacted).collect();
                self.told(format!("{number} to be written: {:?}, {redacted} are gone", ids(&spans)));
                self.shared.dropped_instead(redacted, DropReason::RedactionFailed);
                self.settle(ids(&gone));
                self.writing = Writing::Encoding(number, spans);
            }
            Ok(Spill::InFlight { number, .. }) => self.writing = Writing::InFlight(number),
            Ok(Spill::Adopt) => self.vanish(),
            Ok(Spill::Check) => {
                self.vanish();
                self.shared.checked();
            }
            Ok(Spill::Stop) => panic!("it is not closed"),
            Err(wait) => assert!(wait > Duration::from_millis(1), "a busy loop: {wait:?} {:#?}", self.steps),
        }
    }

    /// Somebody else removes files, and the thread that writes finds out.
    fn vanish(&mut self) {
        let stored = self.shared.stored_after(None, usize::MAX);
        let gone: Vec<_> = stored.iter().map(|(place, _)| *place).filter(|_| self.rng.random_ratio(1, 4)).collect();
        self.told(format!("{gone:?} vanish"));
        self.shared.vanished(&gone);
        let in_hand = match self.shared.lock().spill.as_ref().unwrap().in_hand {
            InHand::Queue { number, .. } => Some(number),
            _ => None,
        };
        let is_there = |number| self.shared.lock().spill.as_ref().unwrap().index.get(Place::own(number)).is_some();
        if let Some(number) = in_hand.filter(|number| !is_there(*number)) {
            // It is in memory again.
            self.disk.remove(&number);
        }
        self.lose_gone();
    }

    /// What was on the disk, and is not now, was dropped.
    fn lose_gone(&mut self) {
        let stored = self.shared.stored_after(None, usize::MAX);
        let is_there = |number: &u64| stored.iter().any(|(_, stored)| stored.number == *number);
        let (kept, gone) = mem::take(&mut self.disk).into_iter().partition(|(number, _)| is_there(number));
        self.disk = kept;
        let gone: BTreeMap<u64, Vec<u64>> = gone;
        self.settle(gone.into_values().flatten());
    }

    fn end_batch(&mut self, number: u64, spans: Vec<SpanRecord>, too_large: usize) {
        let is_closed = self.is_closed();
        let mut written = ids(&spans);
        let lost: Vec<_> = written.drain(..too_large).collect();
        let encoded = written.len();
        if encoded > 0 && !self.make_room() {
            self.shared.spilled(None, encoded, too_large, 0);
            return;
        }
        if encoded > 0 && self.rng.random() {
            self.told(format!("{number} failed"));
            self.fail(spans);
            return;
        }
        self.told(format!("{number} written"));
        if !is_closed {
            self.settle(lost);
            if encoded > 0 {
                self.disk.insert(number, written);
            }
        }
        let file = (encoded > 0).then(|| self.file(number));
        self.shared.spilled(file, encoded, too_large, 0);
    }

    fn end_in_flight(&mut self, number: u64) {
        if !self.make_room() {
            return;
        }
        if self.rng.random() {
            self.told(format!("{number} failed in flight"));
            self.fail(Vec::new());
            return;
        }
        let queued = self.shared.lock().queue.ids();
        // Where nobody sends any more, it is what is neither in the queue nor on the disk.
        let in_flight = match &self.sending {
            Sending::Batch(left) => left.iter().copied().collect(),
            _ => self.in_memory().into_iter().filter(|id| !queued.contains(id)).collect(),
        };
        let saved = self.shared.saved(self.file(number));
        self.told(format!("{number} saved: {saved}"));
        if saved {
            self.disk.insert(number, in_flight);
        }
    }

    fn fail(&mut self, taken: Vec<SpanRecord>) {
        let loses = self.has_given_up() && !self.is_closed();
        self.shared.spill_failed(taken, 0);
        if loses {
            self.lose_memory();
        }
    }

    fn make_room(&mut self) -> bool {
        let Some(room) = self.shared.make_room(100) else { return false };
        for batch in room.batches {
            let ids = self.disk.remove(&batch.number).unwrap();
            self.settle(ids);
        }
        true
    }

    /// No file is touched.
    fn file(&self, number: u64) -> Written {
        Written { folder: Arc::clone(&self.folder), number, bytes: 100 }
    }

    fn run(&mut self) {
        for _ in 0..self.rng.random_range(20..400) {
            match self.rng.random_range(0..2_000) {
                0..300 => self.offer(),
                300..400 => self.ask_to_flush(),
                400..1_200 => self.send(),
                1_200..1_840 => self.write(),
                1_840..1_920 => self.mend_disk(),
                1_920..1_999 => {
                    let lasting = self.rng.random();
                    self.shared.trouble(lasting, lasting);
                }
                _ => self.close(),
            }
            self.check();
        }
        self.end();
    }

    /// When both threads go on, everything is settled and every flush done.
    fn end(&mut self) {
        for _ in 0..20_000 {
            let over = if self.has_given_up() { self.flushes.is_empty() } else { self.open.is_empty() };
            if self.is_closed() || (over && self.flushes.is_empty()) {
                return;
            }
            self.mend_disk();
            self.send();
            if matches!(self.sending, Sending::Over) && !self.is_closed() {
                self.sending = Sending::Nothing;
            }
            self.write();
            self.check();
        }
        panic!("not done: {:?}, open {:?}, {:#?}", self.flushes, self.open, self.steps);
    }
}

/// Conservation at every step, no span settled twice, no flush too early or never, the bytes of the queue come back.
#[test]
fn hold_at_every_step() {
    let directory = tempfile::tempdir().unwrap();
    let folder = Arc::new(Folder::create(directory.path()).unwrap());
    let schedules = std::env::var("TRACED_STEPS").map_or(SCHEDULES, |number| number.parse().unwrap());
    for seed in 0..schedules {
        Schedule::new(seed, &folder).run();
    }
}
