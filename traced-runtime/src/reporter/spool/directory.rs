//! A directory that was opened: what is done in it is done there, even if its path leads elsewhere by now.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::path::Path;

#[cfg(not(unix))]
mod paths;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use paths::Directory;
#[cfg(unix)]
pub(crate) use unix::Directory;

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A regular file of this user.
    OwnFile,
    /// Something else of this user, as a link or a pipe.
    OwnOther,
    Folder,
    /// Another user's.
    #[cfg_attr(not(unix), expect(dead_code, reason = "who owns what is not looked at there"))]
    Foreign,
}

impl Directory {
    /// Makes a directory, with those above it, for this user alone. One that is there stays as it is.
    pub(crate) fn make_all(path: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(path)
    }

    /// All names inside, as far as they can be read. They are read by the path: a name is a hint, and what stands under it is
    /// looked at by the handle.
    pub(crate) fn names(&self) -> impl Iterator<Item = OsString> + use<> {
        fs::read_dir(self.path()).into_iter().flatten().flatten().map(|entry| entry.file_name())
    }

    /// Whether nothing is inside but what is called so, for certain.
    pub(crate) fn has_only(&self, name: &str) -> bool {
        fs::read_dir(self.path())
            .is_ok_and(|mut all| all.all(|entry| entry.is_ok_and(|entry| entry.file_name() == name)))
    }

    /// Removes what this user has under a name, unless it is a folder. What a link leads to stays. Whether it is gone.
    pub(crate) fn remove_own(&self, name: &str) -> bool {
        matches!(self.entry(name), Ok(Entry::OwnFile | Entry::OwnOther)) && self.remove_file(name).is_ok()
    }

    /// Moves a file to another directory, where nothing has its new name.
    pub(crate) fn give(&self, name: &str, to: &Self, new: &str) -> io::Result<()> {
        match to.entry(new) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.rename(name, to, new),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }
}
