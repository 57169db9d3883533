//! A file of the spool that this release does not send: one that was set aside, or a batch in another release's format.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::reporter::spool::BLOCK;
use crate::reporter::spool::base::Base;
use crate::reporter::spool::folder::Folder;
use crate::reporter::spool::name;

/// A file that takes room until somebody looks at it, sends it, or needs the room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Aside {
    /// Another release may send it: it goes after what nobody can use.
    is_batch: bool,
    modified: SystemTime,
    path: PathBuf,
    bytes: u64,
}

impl Aside {
    /// A file beside the folders, called as one that was set aside.
    pub(crate) fn bad(path: PathBuf) -> Option<Self> {
        Self::new(path, false)
    }

    /// A batch in a folder whose tracer is gone, which this release cannot read.
    pub(crate) fn batch(path: PathBuf) -> Option<Self> {
        Self::new(path, true)
    }

    fn new(path: PathBuf, is_batch: bool) -> Option<Self> {
        let data = fs::symlink_metadata(&path).ok().filter(|data| !data.is_dir())?;
        let modified = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Some(Self { is_batch, modified, bytes: data.len().div_ceil(BLOCK).saturating_mul(BLOCK), path })
    }

    /// One that is said to be so long; there is no such file.
    #[cfg(test)]
    pub(crate) const fn of_bytes(path: PathBuf, bytes: u64) -> Self {
        Self { is_batch: false, modified: SystemTime::UNIX_EPOCH, path, bytes }
    }

    /// What it takes of the disk.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Removes it, if it is this user's; not while somebody has its folder, who may be sending it.
    pub(crate) fn remove(&self) -> bool {
        self.try_remove().unwrap_or(false)
    }

    fn try_remove(&self) -> Option<bool> {
        let (place, name) = (self.path.parent()?, self.path.file_name()?);
        if !self.is_batch {
            return Some(Base::open(place).ok()?.directory.remove_own(name.to_str()?));
        }
        let (base, folder) = (Base::open(place.parent()?).ok()?, place.file_name()?.to_str()?);
        // The folder goes with its last batch.
        let number = name::batch_number(name)?;
        Folder::adopt(&base, folder).ok()?.map(|folder| folder.remove(number))
    }
}
