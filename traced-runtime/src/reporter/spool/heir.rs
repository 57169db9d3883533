//! Who takes over what tracers that are gone left in a spool.

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use crate::reporter::spool::aside::Aside;
use crate::reporter::spool::base::Base;
use crate::reporter::spool::directory::Entry;
use crate::reporter::spool::folder::{Folder, Found};
use crate::reporter::spool::name;

/// Takes over folders. The first one is kept, and the batches of all others move there: however many tracers have come and
/// gone, one folder is held, which is two descriptors of the program's.
#[derive(Debug, Default)]
pub(crate) struct Heir {
    /// Gone when all that was in it is.
    folder: Weak<Folder>,
    /// The greatest number in it, of what is called as a batch is.
    last: u64,
}

/// What is called as if it was ours, and is left as it is.
#[derive(Debug, Default)]
pub(crate) struct Alone {
    pub(crate) count: u64,
    /// The first one's path, and why.
    pub(crate) first: String,
}

impl Alone {
    pub(crate) fn add(&mut self, path: &Path, reason: &str) {
        if self.count == 0 {
            self.first = format!("{} ({reason})", path.display());
        }
        self.count += 1;
    }
}

/// What tracers that are gone left in a spool.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// What is to be sent, and where it is now: for each tracer its batches, the one with the oldest first.
    pub(crate) orphans: Vec<(Arc<Folder>, Vec<Found>)>,
    /// Files that were set aside now.
    pub(crate) bad: u64,
    /// All that was ever set aside, and batches that this release cannot read; the first to go is the last one.
    pub(crate) aside: Vec<Aside>,
    pub(crate) alone: Alone,
}

impl Heir {
    /// Takes over all folders whose tracers are gone. Folders in which nothing is left go.
    pub(crate) fn look(&mut self, spool: &Path) -> Left {
        let mut left = Left::default();
        let base = match Base::open(spool) {
            Ok(base) => base,
            Err(error) => {
                // A directory that is not there yet, or cannot be read, has none for us.
                if error.kind() == io::ErrorKind::PermissionDenied {
                    left.alone.add(spool, &error.to_string());
                }
                return left;
            }
        };
        let (mut folders, mut names) = (Vec::new(), Vec::new());
        for name in base.directory.names() {
            // All our names are text.
            let Some(name) = name.to_str() else { continue };
            if name::is_aside(name) {
                let is_ours = matches!(base.directory.entry(name), Ok(Entry::OwnFile | Entry::OwnOther));
                names.extend(is_ours.then(|| base.directory.path().join(name)));
            } else if name::is_folder(name) {
                match Folder::adopt(&base, name) {
                    Ok(None) => {}
                    Ok(Some(folder)) => folders.push((folder.written(), name.to_owned())),
                    // Others may have a spool in the same place.
                    Err(foreign) if !foreign.is_own && base.is_shared() => {}
                    Err(foreign) => left.alone.add(&base.directory.path().join(name), &foreign.reason),
                }
            }
        }
        folders.sort_unstable();
        // Whoever took one in between has it.
        for folder in folders.into_iter().filter_map(|(_, name)| Folder::adopt(&base, &name).ok()?) {
            let batches = folder.batches(&mut left);
            let orphan = self.take(folder, batches);
            left.orphans.extend(orphan);
        }
        left.aside.extend(names.into_iter().filter_map(Aside::bad));
        left.aside.sort_unstable_by(|one, other| other.cmp(one));
        // One that was set aside by this look may have been listed, too.
        left.aside.dedup();
        left
    }

    fn take(&mut self, folder: Folder, batches: Vec<Found>) -> Option<(Arc<Folder>, Vec<Found>)> {
        let last = batches.last()?.number.max(folder.last());
        let Some(own) = self.folder.upgrade().filter(|_| self.last < u64::MAX) else {
            let folder = Arc::new(folder);
            (self.folder, self.last) = (Arc::downgrade(&folder), last);
            return Some((folder, batches));
        };
        let mut moved = Vec::new();
        for Found { number, header } in batches {
            // What cannot be moved is left for another look.
            let Some(next) = self.give(&folder, number, &own) else { break };
            moved.push(Found { number: next, header });
        }
        if moved.is_empty() {
            return None;
        }
        own.sync().ok();
        Some((own, moved))
    }

    /// Moves a batch behind all others; returns its number there.
    fn give(&mut self, from: &Folder, number: u64, to: &Folder) -> Option<u64> {
        loop {
            self.last = self.last.checked_add(1)?;
            match from.give(number, to, self.last) {
                Ok(()) => return Some(self.last),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::fs;

    use super::*;
    use crate::reporter::encode::Body;

    const LIST: &[u8] = b"[{}]";

    fn leave(spool: &Path, numbers: impl IntoIterator<Item = u64>) {
        let folder = Folder::create(spool).unwrap();
        for number in numbers {
            folder.write(number, LIST, 1).unwrap();
        }
    }

    fn folders(spool: &Path) -> usize {
        fs::read_dir(spool).unwrap().count()
    }

    #[test]
    fn all_that_is_left_is_in_one_folder_then() {
        let spool = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            leave(spool.path(), [3, 7]);
        }
        let mut heir = Heir::default();
        let left = heir.look(spool.path());
        assert_eq!((left.orphans.len(), left.bad, left.aside.len()), (20, 0, 0));
        assert_eq!(folders(spool.path()), 1);
        let all: Vec<_> =
            left.orphans.iter().flat_map(|(folder, batches)| batches.iter().map(move |b| (folder, b))).collect();
        // The first one's stay as they are.
        let numbers: Vec<_> = all.iter().map(|(_, batch)| batch.number).collect();
        assert_eq!(numbers, [3].into_iter().chain(7..=45).collect::<Vec<_>>());
        assert!(left.orphans.iter().is_sorted_by_key(|(_, batches)| batches[0].header.written));
        for (folder, batch) in all {
            folder.read(batch.number, &mut Body::new(64)).unwrap();
        }
        // What comes later moves there, too.
        leave(spool.path(), [1]);
        let later = heir.look(spool.path());
        assert_eq!((later.orphans.len(), later.orphans[0].1[0].number, folders(spool.path())), (1, 46, 1));
        // And all of it is somebody's again when this one is gone.
        drop((left, later));
        assert_eq!(Heir::default().look(spool.path()).orphans[0].1.len(), 41);
    }

    #[test]
    fn another_folder_is_kept_when_the_first_one_is_gone() {
        let spool = tempfile::tempdir().unwrap();
        let mut heir = Heir::default();
        for _ in 0..3 {
            leave(spool.path(), [2]);
            let left = heir.look(spool.path());
            let (folder, batches) = &left.orphans[0];
            assert_eq!(batches[0].number, 2);
            folder.remove(2);
            drop(left);
            assert_eq!(folders(spool.path()), 0);
        }
    }

    #[test]
    fn numbers_do_not_wrap() {
        let spool = tempfile::tempdir().unwrap();
        leave(spool.path(), [u64::MAX - 1]);
        let mut heir = Heir::default();
        let first = heir.look(spool.path());
        leave(spool.path(), [1, 2, 3]);
        let second = heir.look(spool.path());
        assert_eq!(second.orphans[0].1.iter().map(|batch| batch.number).collect::<Vec<_>>(), [u64::MAX]);
        let third = heir.look(spool.path());
        assert_eq!(
            third.orphans[0].1.iter().map(|batch| batch.number).collect::<Vec<_>>(),
            [2, 3],
            "in their own folder"
        );
        drop((first, second, third));
    }
}
