//! A file of the spool that this release does not send: one that was set aside, or a batch in another release's format.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::reporter::spool::BLOCK;
use crate::reporter::spool::folder::{Folder, is_folder_name};

/// How the name of a file ends that is no batch, or a torn one.
pub(crate) const BAD: &str = "bad";

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
    /// A file beside the folders, if it is one that was set aside.
    pub(crate) fn bad(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (folder, rest) = name.split_once('-')?;
        let is_ours = is_folder_name(folder) && Path::new(rest).extension().is_some_and(|end| end == BAD);
        if is_ours { Self::new(path, false) } else { None }
    }

    /// A batch in a folder whose tracer is gone, which this release cannot read.
    pub(crate) fn batch(path: PathBuf) -> Option<Self> {
        Self::new(path, true)
    }

    fn new(path: PathBuf, is_batch: bool) -> Option<Self> {
        let data = fs::symlink_metadata(&path).ok().filter(|data| !data.is_dir())?;
        let modified = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Some(Self { is_batch, modified, bytes: data.len().div_ceil(BLOCK) * BLOCK, path })
    }

    /// What it takes of the disk.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Removes it; not while somebody has its folder, who may be sending it.
    pub(crate) fn remove(&self) -> bool {
        let folder = match self.path.parent().filter(|_| self.is_batch) {
            None => None,
            Some(folder) => match Folder::adopt(folder.to_owned()) {
                None => return false,
                folder => folder,
            },
        };
        let removed = fs::remove_file(&self.path).is_ok();
        // It goes with its last batch.
        drop(folder);
        removed
    }
}
