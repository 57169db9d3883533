//! The thread that writes to the spool.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::model::loss::DropReason;
use crate::model::numbers::Count;
use crate::process::notice::{NoticeHook, NoticeKind, Notices};
use crate::reporter::encode::Body;
use crate::reporter::pipeline::{Shared, Spill, Written};
use crate::reporter::record::SpanRecord;
use crate::reporter::redaction::{Redaction, failed_text};
use crate::reporter::spool::base::Base;
use crate::reporter::spool::heir::Alone;
use crate::reporter::spool::rights::Sharing;
use crate::reporter::spool::{Aside, Folder, Heir};
use crate::reporter::worker::tell_filled;

/// The state of the spool's thread.
pub(crate) struct Spooler {
    shared: Arc<Shared>,
    directory: PathBuf,
    redaction: Option<Redaction>,
    notices: Notices,
    body: Body,
    /// Made when there is something to keep.
    folder: Option<Arc<Folder>>,
    heir: Heir,
    /// Whether the last attempt to write failed, which is told once.
    failing: bool,
    /// How many entries were left alone when that was told.
    alone: u64,
}

/// How many batches are looked for at once, whether they are still there.
const CHECKED_AT_ONCE: usize = 256;

impl Spooler {
    /// The state of a thread that is to start.
    pub(crate) fn new(shared: Arc<Shared>, redaction: Option<Redaction>, hook: NoticeHook) -> Self {
        let body = Body::new(shared.batch_bytes);
        let directory = shared.spool_directory();
        let (notices, heir) = (Notices::new(hook), Heir::default());
        Self { shared, directory, redaction, notices, body, folder: None, heir, failing: false, alone: 0 }
    }

    /// Works until the pipeline is closed.
    pub(crate) fn run(mut self) {
        self.tell_sharing();
        loop {
            match self.shared.next_spill() {
                Spill::InFlight { number, body } => self.save(number, &body),
                Spill::Queue { number, spans } => self.spill(number, spans),
                Spill::Adopt => {
                    self.check(|_| true);
                    self.adopt();
                }
                Spill::Check => {
                    // What was moved is sent as long as somebody holds it, and found by nobody afterwards.
                    self.check(Folder::is_in_place);
                    self.shared.checked();
                }
                Spill::Stop => break,
            }
        }
    }

    /// Writes the batch that is being sent.
    fn save(&mut self, number: u64, body: &Body) {
        match self.write(number, body.list(), body.spans()) {
            Ok(None) => {}
            Ok(Some(written)) => {
                let folder = Arc::clone(&written.folder);
                if !self.shared.saved(written) {
                    folder.remove(number);
                }
            }
            Err(error) => {
                self.tell_failure(&error);
                self.shared.spill_failed(Vec::new(), 0);
            }
        }
    }

    /// Encodes spans, and writes them.
    fn spill(&mut self, number: u64, mut spans: Vec<SpanRecord>) {
        if let Some((failed, panic)) = self.redaction.as_ref().and_then(|redaction| redaction.apply(&mut spans)) {
            self.notices
                .tell(NoticeKind::RedactionFailed, failed as u64, Instant::now(), |spans| failed_text(spans, &panic));
            self.shared.dropped_instead(failed, DropReason::RedactionFailed);
        }
        let mut body = std::mem::replace(&mut self.body, Body::new(0));
        body.clear();
        let filled = body.fill(spans.iter_mut(), |_, _| ());
        let encoded = body.spans();
        self.shared.spill_encoded(spans.split_off(filled.taken));
        let written = if encoded == 0 { Ok(None) } else { self.write(number, body.list(), encoded) };
        self.body = body;
        match written {
            Ok(written) => {
                tell_filled(&mut self.notices, filled);
                self.shared.spilled(written, encoded, filled.too_large, filled.cut_tags);
            }
            Err(error) => {
                self.tell_failure(&error);
                self.shared.spill_failed(spans, filled.cut_tags);
            }
        }
    }

    /// Writes a batch, after room was made for it; `None` when the pipeline is closed.
    fn write(&mut self, number: u64, body: &[u8], spans: usize) -> io::Result<Option<Written>> {
        let Some(room) = self.shared.make_room(body.len()) else { return Ok(None) };
        self.remove(&room.aside);
        for batch in &room.batches {
            batch.folder.remove(batch.number);
        }
        if room.spans > 0 {
            self.notices.tell(NoticeKind::Spool, room.spans, Instant::now(), |spans| {
                format!(
                    "{} dropped, the oldest in the spool, because it is full; raise spool_bytes, or sample less",
                    Count(spans, "span")
                )
            });
        }
        // Kept only when it works: whatever is wrong with a folder, the next attempt makes a new one.
        let folder = match self.folder.take() {
            Some(folder) if folder.is_in_place() => folder,
            gone => {
                if gone.is_some() {
                    self.check(|_| true);
                }
                Arc::new(Folder::create(&self.directory)?)
            }
        };
        folder.write(number, body, spans)?;
        self.folder = Some(Arc::clone(&folder));
        self.failing = false;
        Ok(Some(Written { folder, number, bytes: body.len() }))
    }

    /// Takes over the folders of tracers that are gone.
    fn adopt(&mut self) {
        let mut left = self.heir.look(&self.directory);
        if left.bad > 0 {
            let directory = self.directory.display();
            self.notices.tell(NoticeKind::Spool, 0, Instant::now(), |_| {
                format!(
                    "{} in the spool {directory}: no batches, or not written to their end; renamed to *.bad, and removed \
                     when there is no room for them",
                    Count(left.bad, "file")
                )
            });
        }
        self.tell_alone(&left.alone);
        let aside = self.shared.adopted(&mut left);
        self.remove(&aside);
    }

    /// Looks whether what was written is still there: others may remove files, as those do who clean up. What is gone is
    /// counted, and so is what is in a folder that is not kept.
    fn check(&mut self, is_kept: impl Fn(&Folder) -> bool) {
        let (mut last, mut lost) = (None, 0);
        let mut folder: Option<(Arc<Folder>, bool)> = None;
        loop {
            let batches = self.shared.stored_after(last, CHECKED_AT_ONCE);
            let Some((place, _)) = batches.last() else { break };
            last = Some(*place);
            let mut gone = Vec::new();
            for (place, stored) in &batches {
                let kept = match &folder {
                    Some((same, kept)) if Arc::ptr_eq(same, &stored.folder) => *kept,
                    _ => {
                        stored.folder.touch();
                        let kept = is_kept(&stored.folder);
                        folder = Some((Arc::clone(&stored.folder), kept));
                        kept
                    }
                };
                if !kept || !stored.folder.holds(stored.number) {
                    gone.push(*place);
                }
            }
            lost += self.shared.vanished(&gone);
        }
        if lost > 0 {
            let directory = self.directory.display();
            self.notices.tell(NoticeKind::Spool, lost, Instant::now(), |spans| {
                format!(
                    "the files of {} in the spool {directory} are gone, and the spans are lost: somebody removed or moved them; give \
                     a directory that nobody cleans up",
                    Count(spans, "span")
                )
            });
        }
    }

    /// Tells that others may write to the spool's directory.
    fn tell_sharing(&mut self) {
        let Some(Sharing::Some(problem)) = Base::sharing(&self.directory) else { return };
        let directory = self.directory.display();
        self.notices.tell(NoticeKind::Settings, 0, Instant::now(), |_| {
            format!(
                "the spool {directory} is shared: {problem}. Only folders of this user are used there; give a directory of this \
                 user alone, where nobody can take them away"
            )
        });
    }

    /// Tells what is called as if it was ours, and is none of ours, when there is more of it.
    fn tell_alone(&mut self, alone: &Alone) {
        if alone.count > self.alone {
            let directory = self.directory.display();
            let told = self.notices.tell(NoticeKind::Spool, 0, Instant::now(), |_| {
                format!(
                    "{} in the spool {directory} left alone, though called as by this program: {}; spans are sent from folders \
                     that this user alone may write to: remove it, or set it right with chown and chmod 700",
                    Count(alone.count, "item"),
                    alone.first
                )
            });
            if !told {
                return;
            }
        }
        self.alone = alone.count;
    }

    /// Removes files that are not to be sent, for want of room.
    fn remove(&mut self, aside: &[Aside]) {
        let removed = aside.iter().filter(|aside| aside.remove()).count() as u64;
        if removed > 0 {
            let directory = self.directory.display();
            self.notices.tell(NoticeKind::Spool, 0, Instant::now(), |_| {
                format!(
                    "{} in the spool {directory} removed, set aside or of another release of traced, because it is full; \
                     raise spool_bytes to keep more",
                    Count(removed, "file")
                )
            });
        }
    }

    fn tell_failure(&mut self, error: &io::Error) {
        if !self.failing {
            let directory = self.directory.display();
            self.failing = self.notices.tell(NoticeKind::Spool, 0, Instant::now(), |_| {
                format!(
                    "cannot write to the spool {directory}: {error}; spans wait in memory alone, and are dropped when the \
                     queue is full. Make room there, or give a directory that this program may write to"
                )
            });
        }
    }
}
