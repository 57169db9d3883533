//! Names below a path, where there are no handles of directories in `std`. Who owns what is not looked at.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::reporter::spool::directory::Entry;
use crate::reporter::spool::lock::Lock;
use crate::reporter::spool::rights::Rights;

/// See [the module](super).
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Opens the directory to which a path leads, over links, too.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() { Ok(Self { path: path.to_owned() }) } else { Err(not_that()) }
    }

    /// Opens a directory inside, which is no link.
    pub(crate) fn child(&self, name: &str) -> io::Result<Self> {
        let path = self.path.join(name);
        if fs::symlink_metadata(&path)?.is_dir() { Ok(Self { path }) } else { Err(not_that()) }
    }

    /// Makes a directory inside.
    pub(crate) fn make(&self, name: &str) -> io::Result<()> {
        fs::create_dir(self.path.join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Who may do what in it.
    pub(crate) fn rights(&self) -> io::Result<Rights> {
        Ok(Rights::default())
    }

    /// Whether its path still leads to a directory.
    pub(crate) fn is_in_place(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|data| data.is_dir())
    }

    /// There is no such lock: the file's is enough, which nobody can remove while it is held.
    pub(crate) fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Makes a file and locks it.
    pub(crate) fn new_lock(&self, name: &str) -> io::Result<Option<Lock>> {
        Lock::open(File::options().write(true).create_new(true), &self.path.join(name))
    }

    /// Locks a file that is there; `None` when somebody else holds it.
    pub(crate) fn lock_file(&self, name: &str) -> io::Result<Option<Lock>> {
        match self.entry(name)? {
            Entry::OwnFile => Lock::open(File::options().write(true), &self.path.join(name)),
            _ => Err(not_that()),
        }
    }

    /// Opens a regular file to read it. Anything else is [`InvalidInput`](io::ErrorKind::InvalidInput).
    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        if self.entry(name)? == Entry::OwnFile { File::open(self.path.join(name)) } else { Err(not_that()) }
    }

    /// Makes a file of a name that nothing has.
    pub(crate) fn new_file(&self, name: &str) -> io::Result<File> {
        File::create_new(self.path.join(name))
    }

    /// What stands under this name. Links are not followed.
    pub(crate) fn entry(&self, name: &str) -> io::Result<Entry> {
        let kind = fs::symlink_metadata(self.path.join(name))?.file_type();
        Ok(match (kind.is_file(), kind.is_dir()) {
            (true, _) => Entry::OwnFile,
            (_, true) => Entry::Folder,
            _ => Entry::OwnOther,
        })
    }

    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    /// Removes a directory inside in which nothing is.
    pub(crate) fn remove_folder(&self, name: &str) -> io::Result<()> {
        fs::remove_dir(self.path.join(name))
    }

    pub(super) fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<()> {
        fs::rename(self.path.join(name), to.path.join(new))
    }

    /// Windows has no such call, and keeps names in a journal.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn not_that() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is a link, or no file or directory as expected")
}
