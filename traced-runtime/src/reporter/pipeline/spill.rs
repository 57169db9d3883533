//! The part of the shared state that knows of the spool.

use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::model::loss::DropReason;
use crate::reporter::encode::Body;
use crate::reporter::pipeline::shared::{Cost, LONGEST_WAIT, Shared, State};
use crate::reporter::record::SpanRecord;
use crate::reporter::spool::{Aside, Folder, Index, Left, Place, SpoolSettings, Stored};
use crate::reporter::stats::Stats;

/// Time between two looks for folders whose tracers are gone.
const ADOPT_EVERY: Duration = Duration::from_secs(60);

/// Time without another attempt to write after one failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// How long before the deadline of a shutdown what is left is spooled, at most; never more than a quarter of its time.
const RESERVE: Duration = Duration::from_millis(500);

/// What waits on the disk, and what is on its way there.
#[derive(Debug)]
pub(super) struct Spilling {
    index: Index,
    directory: PathBuf,
    /// Batches taken from the queue so far: their numbers are the order in which they came.
    taken: u64,
    in_hand: InHand,
    /// Spans that are being written.
    writing: u64,
    /// How many spans were queued before the first of these, or a few less.
    writing_after: u64,
    /// This tracer's own spans on the disk, without those that are still in flight.
    spooled: u64,
    adopted: u64,
    /// Sending has failed for a while.
    lasting: bool,
    given_up: bool,
    /// After a failure to write: not before this time.
    not_before: Option<Instant>,
    /// When a shutdown that waits has to save what is left.
    save_at: Option<Instant>,
    adopt_at: Instant,
    /// Whether it is an adopted batch's turn, if the queue has one, too.
    adopted_next: bool,
    /// What is on the disk was looked at since the shutdown began.
    checked: bool,
}

/// The batch that the sending thread is at.
#[derive(Debug)]
enum InHand {
    Nothing,
    /// From the queue, encoded.
    Queue {
        number: u64,
        body: Arc<Body>,
        saved: bool,
    },
    /// From the disk.
    Stored {
        place: Place,
        /// Its file is gone: it is sent or dropped, and not left.
        gone: bool,
    },
}

/// What the spool's thread is to do next.
pub(crate) enum Spill {
    /// Write the batch that is being sent.
    InFlight {
        number: u64,
        body: Arc<Body>,
    },
    /// Write spans from the queue.
    Queue {
        number: u64,
        spans: Vec<SpanRecord>,
    },
    /// Look for folders whose tracers are gone.
    Adopt,
    /// Look whether all that was written is still there: the end tells how much it is.
    Check,
    Stop,
}

/// What went to make room: its files are to be removed.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) aside: Vec<Aside>,
    pub(crate) batches: Vec<Stored>,
    /// Spans in the batches.
    pub(crate) spans: u64,
}

/// Where a written batch is.
pub(crate) struct Written {
    pub(crate) folder: Arc<Folder>,
    pub(crate) number: u64,
    pub(crate) bytes: usize,
}

impl Spilling {
    pub(super) fn new(settings: &SpoolSettings) -> Self {
        Self {
            index: Index::new(settings.bytes),
            directory: settings.directory.clone(),
            taken: 0,
            in_hand: InHand::Nothing,
            writing: 0,
            writing_after: 0,
            spooled: 0,
            adopted: 0,
            lasting: false,
            given_up: false,
            not_before: None,
            save_at: None,
            adopt_at: Instant::now(),
            adopted_next: false,
            checked: false,
        }
    }

    /// A number for a batch from the queue.
    const fn next_number(&mut self) -> u64 {
        self.taken = self.taken.saturating_add(1);
        self.taken
    }

    const fn saved_in_flight(&self) -> Option<u64> {
        match self.in_hand {
            InHand::Queue { number, saved: true, .. } => Some(number),
            _ => None,
        }
    }

    /// The batch on the disk that must stay there.
    fn pinned(&self) -> Option<Place> {
        match self.in_hand {
            InHand::Nothing => None,
            InHand::Queue { number, .. } => Some(Place::own(number)),
            InHand::Stored { place, .. } => Some(place),
        }
    }

    fn can_write(&self, now: Instant) -> bool {
        // No two batches on the disk may have one number. When they are used up, all in memory have the last one.
        self.taken < u64::MAX - 1 && self.not_before.is_none_or(|not_before| now >= not_before)
    }

    /// Whether everything is to be written as soon as possible.
    fn is_urgent(&self, closing: bool, now: Instant) -> bool {
        self.given_up || (closing && self.lasting) || self.save_at.is_some_and(|at| now >= at)
    }
}

/// For the parts that look the same with and without a spool. Each does nothing where there is none.
impl State {
    /// Counts what is on the disk, and on its way there.
    pub(super) fn add_spilled(&self, stats: &mut Stats) {
        let Some(spill) = &self.spill else { return };
        stats.tally.queued += spill.writing + spill.spooled;
        stats.tally.spooled = spill.spooled + spill.saved_in_flight().map_or(0, |_| self.in_flight);
        stats.spooled_bytes += spill.index.bytes();
        stats.adopted.queued = spill.adopted;
    }

    /// Counts what waits on the disk, without the batch in hand.
    pub(super) fn with_spooled(&self, mut cost: Cost) -> Cost {
        let Some(spill) = &self.spill else { return cost };
        cost.spooled = spill.spooled;
        if let InHand::Stored { place, .. } = spill.in_hand {
            let spans = if place.is_own() { spill.index.get(place).map_or(0, |stored| stored.spans) } else { 0 };
            cost.in_hand = spans.min(spill.spooled);
            cost.spooled -= cost.in_hand;
        }
        cost.waiting += spill.writing + cost.spooled;
        cost
    }

    /// Settles spans of a batch from the disk: whether they are this tracer's own. `None`: the batch is from the queue.
    pub(super) fn settle_stored(&mut self, spans: u64) -> Option<bool> {
        let spill = self.spill.as_mut()?;
        let InHand::Stored { place, .. } = spill.in_hand else { return None };
        if let Some(counted) = spill.index.spans_mut(place) {
            *counted = counted.saturating_sub(spans);
        }
        if place.is_own() {
            spill.spooled = spill.spooled.saturating_sub(spans);
        } else {
            spill.adopted = spill.adopted.saturating_sub(spans);
        }
        Some(place.is_own())
    }

    /// The batch in hand is the disk's from now on, if it is there.
    pub(super) fn keep_saved(&mut self) {
        let Some(spill) = &mut self.spill else { return };
        if let InHand::Stored { place, gone } = spill.in_hand {
            // One that is settled stays in hand: its file is about to be removed.
            if spill.index.get(place).is_none_or(|stored| stored.spans > 0) {
                spill.in_hand = InHand::Nothing;
                // Its folder outlives this: the sending thread has it.
                if let Some(stored) = gone.then(|| spill.index.remove(place)).flatten() {
                    spill.forget(place, stored.spans, DropReason::SpoolDamaged, &mut self.stats);
                }
            }
        } else if let Some(number) = spill.saved_in_flight().filter(|_| self.in_flight > 0) {
            spill.in_hand = InHand::Nothing;
            let spans = mem::take(&mut self.in_flight);
            spill.spooled += spans;
            // Some of it may have been sent or dropped since it was written.
            if let Some(counted) = spill.index.spans_mut(Place::own(number)) {
                *counted = spans;
            }
            self.queue.release();
        }
    }

    /// How many spans were queued before the oldest of this tracer's own that is in the spool, or on its way there.
    pub(super) fn settled_of_spool(&self) -> Option<u64> {
        let spill = self.spill.as_ref()?;
        let stored = spill.index.oldest_own().and_then(|place| spill.index.get(place)).map(|stored| stored.after);
        let writing = (spill.writing > 0).then_some(spill.writing_after);
        stored.into_iter().chain(writing).min()
    }

    /// Whether spans are on their way to the disk.
    pub(super) fn is_spilling(&self) -> bool {
        self.spill.as_ref().is_some_and(|spill| spill.writing > 0)
    }

    /// Forgets what is being written; returns how many spans that are.
    pub(super) fn abandon_spilling(&mut self) -> u64 {
        self.spill.as_mut().map_or(0, |spill| mem::take(&mut spill.writing))
    }

    /// Whether the backend is given up: everything goes to the disk.
    pub(super) fn has_given_up(&self) -> bool {
        self.spill.as_ref().is_some_and(|spill| spill.given_up)
    }

    /// Whether what is in memory is on its way to the disk.
    pub(super) fn spool_takes(&self) -> bool {
        let waiting = self.queue.waiting_bytes();
        self.spill.as_ref().is_some_and(|spill| {
            let lasting = spill.lasting || spill.given_up;
            let in_flight = self.in_flight > 0 && matches!(spill.in_hand, InHand::Queue { saved: false, .. });
            let begins = waiting > self.queue.bound() / 2 || (lasting && (waiting > 0 || in_flight));
            spill.writing > 0 || (begins && spill.can_write(Instant::now()))
        })
    }

    /// Whether nothing of what is on the disk may have gone without a count.
    pub(super) fn spool_is_checked(&self) -> bool {
        self.spill.as_ref().is_none_or(|spill| spill.checked || spill.index.is_empty())
    }

    /// Gives the backend up, if what is in memory can be spooled.
    pub(super) fn spool_instead(&mut self) -> bool {
        let Some(spill) = &mut self.spill else { return false };
        if !spill.can_write(Instant::now()) {
            return false;
        }
        spill.given_up = true;
        self.keep_saved();
        true
    }

    /// The backend is given up, and what is in memory cannot be spooled.
    pub(super) fn stop_sending(&mut self) {
        if let Some(spill) = &mut self.spill {
            spill.given_up = true;
        }
    }

    /// Notes whether sending has failed for a while; whether that is news.
    pub(super) fn spill_from_now(&mut self, lasting: bool) -> bool {
        self.spill.as_mut().is_some_and(|spill| mem::replace(&mut spill.lasting, lasting) != lasting)
    }

    /// Takes the oldest batch on the disk in hand. Adopted ones wait while somebody waits for this tracer's own, and take turns
    /// with the queue.
    pub(super) fn take_stored(&mut self, queue_is_ready: bool) -> Option<Stored> {
        let waited_for = self.flushes.current.is_some() || self.closing.is_some();
        let spill = self.spill.as_mut()?;
        let (own, adopted) = (spill.index.oldest_own(), spill.index.oldest_adopted().filter(|_| !waited_for));
        let place = spill.index.older(adopted, own)?;
        if own.is_none() && queue_is_ready {
            spill.adopted_next = !spill.adopted_next;
            if !spill.adopted_next {
                return None;
            }
        }
        spill.take(place)
    }

    /// The batch taken from the queue last is encoded.
    pub(super) fn show_in_flight(&mut self, body: &Arc<Body>) {
        let Some(spill) = &mut self.spill else { return };
        spill.in_hand = InHand::Queue { number: spill.next_number(), body: Arc::clone(body), saved: false };
    }

    /// A shutdown has begun, and has time until the deadline.
    pub(super) fn save_before(&mut self, deadline: Instant) {
        let Some(spill) = &mut self.spill else { return };
        let time = deadline.saturating_duration_since(Instant::now());
        spill.save_at = Some(deadline.checked_sub(RESERVE.min(time / 4)).unwrap_or(deadline));
    }

    /// When no thread is left, others may have what is on the disk. The counts stay as they are. The caller drops the index
    /// without the lock: folders that are empty go then.
    pub(super) fn give_back_folders(&mut self) -> Option<Index> {
        let spill = self.spill.as_mut()?;
        self.stats.spooled_bytes = spill.index.bytes();
        Some(mem::replace(&mut spill.index, Index::new(0)))
    }

    /// What is to be written now, or when to look again.
    fn next_spill(&mut self, batch_bytes: usize, linger: Duration) -> Result<Spill, Duration> {
        let Some(spill) = &mut self.spill else { return Ok(Spill::Stop) };
        let now = Instant::now();
        let closing = self.closing.is_some();
        let mut wake = if closing { None } else { Some(spill.adopt_at) };
        if spill.can_write(now) {
            let urgent = spill.is_urgent(closing, now);
            if let InHand::Queue { number, body, saved: false } = &spill.in_hand {
                if (urgent || spill.lasting) && self.in_flight > 0 {
                    return Ok(Spill::InFlight { number: *number, body: Arc::clone(body) });
                }
            }
            if let Some(since) = self.queue.since().filter(|_| !self.encoding) {
                let waiting = self.queue.waiting_bytes();
                let hurry = urgent || self.wants_room || self.flushes.current.is_some();
                let hurry = hurry || waiting >= batch_bytes || now >= since + linger;
                if waiting > self.queue.bound() / 2 || urgent || (spill.lasting && hurry) {
                    let number = spill.next_number();
                    let batch = self.queue.take_to_spill(batch_bytes, now);
                    (spill.writing, spill.writing_after) = (batch.len() as u64, batch.after());
                    let spans = batch.into_spans();
                    self.encoding = true;
                    return Ok(Spill::Queue { number, spans });
                }
                if spill.lasting {
                    wake = Some(wake.map_or(since + linger, |wake| wake.min(since + linger)));
                }
            }
            if let Some(at) = spill.save_at.filter(|at| *at > now) {
                wake = Some(wake.map_or(at, |wake| wake.min(at)));
            }
        } else if let Some(at) = spill.not_before {
            wake = Some(wake.map_or(at, |wake| wake.min(at)));
        }
        if !closing && now >= spill.adopt_at {
            spill.adopt_at = now + ADOPT_EVERY;
            spill.index.begin_look();
            return Ok(Spill::Adopt);
        }
        if closing && !spill.checked && !spill.index.is_empty() {
            return Ok(Spill::Check);
        }
        Err(wake.map_or(LONGEST_WAIT, |wake| wake.saturating_duration_since(now).min(LONGEST_WAIT)))
    }
}

impl Spilling {
    /// Counts spans of a batch that was taken out of the index as dropped.
    fn forget(&mut self, place: Place, spans: u64, reason: DropReason, stats: &mut Stats) {
        if place.is_own() {
            self.spooled = self.spooled.saturating_sub(spans);
            stats.tally.dropped[reason as usize] += spans;
        } else {
            self.adopted = self.adopted.saturating_sub(spans);
            stats.adopted.dropped += spans;
        }
    }

    fn take(&mut self, place: Place) -> Option<Stored> {
        let stored = self.index.get(place)?.clone();
        self.in_hand = InHand::Stored { place, gone: false };
        Some(stored)
    }
}

/// For the spool's thread.
impl Shared {
    /// Waits for something to write.
    pub(crate) fn next_spill(&self) -> Spill {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Spill::Stop;
            }
            match state.next_spill(self.batch_bytes, self.linger) {
                Ok(spill) => return spill,
                Err(wait) => {
                    state = self.work.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// Makes room for a body of this size: what is set aside goes, then the oldest batches are dropped. `None`: the pipeline is
    /// closed, the body's spans are counted as dropped, and it is not to be written.
    pub(crate) fn make_room(&self, body_bytes: usize) -> Option<Room> {
        let mut state = self.lock();
        let State { closed: false, spill: Some(spill), stats, .. } = &mut *state else { return None };
        let out = spill.index.make_room(body_bytes as u64, spill.pinned());
        let mut room = Room { aside: out.aside, ..Room::default() };
        for (place, stored) in out.batches {
            spill.forget(place, stored.spans, DropReason::SpoolFull, stats);
            room.spans += stored.spans;
            room.batches.push(stored);
        }
        self.settled.notify_all();
        Some(room)
    }

    /// The batch in flight is on the disk, unless it was sent meanwhile: then its file is to be removed, `false`.
    pub(crate) fn saved(&self, written: Written) -> bool {
        let mut state = self.lock();
        let (in_flight, after) = (state.in_flight, state.in_flight_after);
        let Some(spill) = &mut state.spill else { return false };
        spill.not_before = None;
        match &mut spill.in_hand {
            InHand::Queue { number, saved, .. } if *number == written.number => {
                *saved = true;
                spill.index.add(written.folder, written.number, after, in_flight, written.bytes as u64);
            }
            _ => return false,
        }
        let given_up = spill.given_up;
        // It is memory's no longer: whoever waits for room gets it.
        state.queue.release();
        self.settled.notify_all();
        if given_up {
            state.keep_saved();
        }
        self.work.notify_all();
        true
    }

    /// Spans that were taken to be spooled are encoded, but for these, which found no room in the batch. While the others are
    /// written, which may take long, the sending thread may have what is queued.
    pub(crate) fn spill_encoded(&self, rest: Vec<SpanRecord>) {
        let mut state = self.lock();
        state.encoding = false;
        let back = rest.len() as u64;
        if let State { closed: false, spill: Some(spill), queue, .. } = &mut *state {
            spill.writing = spill.writing.saturating_sub(back);
            queue.put_back_spilling(rest, spill.writing_after + spill.writing, Instant::now());
        }
        self.work.notify_all();
    }

    /// They are on the disk, but for those that are too large.
    pub(crate) fn spilled(&self, written: Option<Written>, spans: usize, too_large: usize, cut_tags: u64) {
        let mut state = self.lock();
        state.stats.cut_tags += cut_tags;
        if state.closed {
            // They were counted as dropped, when nobody knew what would become of them; the file is somebody else's to send.
            return;
        }
        state.queue.release_spilling();
        state.drop_spans(DropReason::TooLarge, too_large as u64);
        if let Some(spill) = &mut state.spill {
            spill.writing = 0;
            spill.not_before = None;
            if let Some(Written { folder, number, bytes }) = written {
                spill.spooled += spans as u64;
                spill.index.add(folder, number, spill.writing_after, spans as u64, bytes as u64);
            }
        }
        self.work.notify_all();
        self.settled.notify_all();
    }

    /// Nothing could be written: spans stay in memory, and those that were taken go back there.
    pub(crate) fn spill_failed(&self, taken: Vec<SpanRecord>, cut_tags: u64) {
        let mut state = self.lock();
        state.stats.spool_failures += 1;
        state.stats.cut_tags += cut_tags;
        let Some(spill) = &mut state.spill else { return };
        spill.not_before = Some(Instant::now() + AFTER_FAILURE);
        if mem::take(&mut spill.writing) > 0 {
            let after = spill.writing_after;
            state.queue.release_spilling();
            state.queue.put_back_spilling(taken, after, Instant::now());
        }
        let lost = (state.has_given_up() && !state.closed).then(|| state.abandon());
        if let Some((spans, _)) = lost {
            state.drop_lost(spans);
            self.settled.notify_all();
        }
        self.work.notify_all();
        // Spans are freed without the lock.
        drop(state);
        drop(lost);
    }

    /// Spans that were taken to be spooled are dropped instead.
    pub(crate) fn dropped_instead(&self, spans: usize, reason: DropReason) {
        let spans = spans as u64;
        let mut state = self.lock();
        let State { closed: false, spill: Some(spill), .. } = &mut *state else { return };
        spill.writing = spill.writing.saturating_sub(spans);
        state.drop_spans(reason, spans);
        self.settled.notify_all();
    }

    /// The next so many batches on the disk after this place, or the first ones.
    pub(crate) fn stored_after(&self, place: Option<Place>, count: usize) -> Vec<(Place, Stored)> {
        self.lock().spill.as_ref().map(|spill| spill.index.after(place, count)).unwrap_or_default()
    }

    /// The files of these batches are gone, though nobody sent them: they are dropped. Of the one in hand the sending thread has
    /// the spans: it may send them still. Returns how many spans that are, without those that are in memory as well.
    pub(crate) fn vanished(&self, places: &[Place]) -> u64 {
        let mut state = self.lock();
        let State { closed: false, spill: Some(spill), stats, .. } = &mut *state else { return 0 };
        let (mut spans, mut stored) = (0, Vec::new());
        for place in places.iter().copied() {
            match &mut spill.in_hand {
                InHand::Queue { number, saved, .. } if Place::own(*number) == place => {
                    // Not on the disk after all.
                    *saved = false;
                    stored.extend(spill.index.remove(place));
                }
                InHand::Stored { place: in_hand, gone } if *in_hand == place => {
                    if !mem::replace(gone, true) {
                        spans += spill.index.get(place).map_or(0, |stored| stored.spans);
                    }
                }
                _ => {
                    let Some(lost) = spill.index.remove(place) else { continue };
                    spill.forget(place, lost.spans, DropReason::SpoolDamaged, stats);
                    spans += lost.spans;
                    stored.push(lost);
                }
            }
        }
        self.work.notify_all();
        self.settled.notify_all();
        drop(state);
        // Folders in which nothing is left go without the lock.
        drop(stored);
        spans
    }

    /// What is on the disk was looked at, after the shutdown began.
    pub(crate) fn checked(&self) {
        let mut state = self.lock();
        if let Some(spill) = &mut state.spill {
            spill.checked = true;
        }
        self.work.notify_all();
    }

    /// The directory in which other tracers' folders are looked for.
    pub(crate) fn spool_directory(&self) -> PathBuf {
        self.lock().spill.as_ref().map(|spill| spill.directory.clone()).unwrap_or_default()
    }

    /// Takes over what was left by tracers that are gone; returns the files for which there is no room.
    pub(crate) fn adopted(&self, left: &mut Left) -> Vec<Aside> {
        let mut state = self.lock();
        state.stats.set_aside += left.bad;
        let Some(spill) = &mut state.spill else { return Vec::new() };
        let spans = left.orphans.drain(..).map(|(folder, found)| spill.index.adopt(&folder, found)).sum::<u64>();
        let out = spill.index.swap_aside(&mut left.aside);
        spill.adopted += spans;
        state.stats.adopted.found += spans;
        self.work.notify_all();
        out
    }
}

/// For the sending thread.
impl Shared {
    /// The backend cannot be reached, and the shutdown does not wait for it: everything goes to the disk. `false`: it cannot.
    pub(crate) fn spool_instead(&self) -> bool {
        let mut state = self.lock();
        let spools = !state.closed && state.spool_instead();
        self.work.notify_all();
        spools
    }

    /// The batch in hand is settled, unless it was left to the spool meanwhile: its file, if it has one, is to be removed. After
    /// the end, too: what counts as sent is nobody else's to send.
    pub(crate) fn finished(&self) -> Option<Stored> {
        let mut state = self.lock();
        let spill = state.spill.as_mut()?;
        let place = match mem::replace(&mut spill.in_hand, InHand::Nothing) {
            InHand::Nothing => return None,
            InHand::Queue { number, .. } => Place::own(number),
            InHand::Stored { place, .. } => place,
        };
        spill.index.remove(place)
    }

    /// A batch could not be read back, and its file was set aside or is gone.
    pub(crate) fn damaged(&self, spans: u64, aside: Option<Aside>) {
        let mut state = self.lock();
        state.stats.set_aside += u64::from(aside.is_some());
        if let Some((spill, aside)) = state.spill.as_mut().zip(aside) {
            spill.index.add_aside(aside);
        }
        drop(state);
        self.dropped(usize::try_from(spans).unwrap_or(usize::MAX), DropReason::SpoolDamaged);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
