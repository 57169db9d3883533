//! The spool's directory, in which each tracer has its folder. It may be shared with other programs and users.

use std::fs;
use std::io;
use std::path::Path;

use crate::reporter::spool::directory::Directory;
use crate::reporter::spool::rights::{Rights, Sharing, User};

/// The spool's directory, opened, of which is known who may write to it.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) directory: Directory,
    pub(crate) rights: Rights,
    pub(crate) user: User,
}

impl Base {
    /// Opens it. One in which everybody may move and remove what is in it is refused with
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied).
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let directory = Directory::open(path)?;
        let (rights, user) = (directory.rights()?, User::this());
        match rights.sharing(user) {
            Sharing::Everybody(problem) => Err(io::Error::new(io::ErrorKind::PermissionDenied, problem)),
            Sharing::Private | Sharing::Some(_) => Ok(Self { directory, rights, user }),
        }
    }

    /// The same of one that is made when it is missing, for this user alone.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        Directory::make_all(path)?;
        Self::open(path)
    }

    /// How a directory is shared; `None`: it is not there, or cannot be looked at.
    pub(crate) fn sharing(path: &Path) -> Option<Sharing> {
        let data = fs::metadata(path).ok().filter(fs::Metadata::is_dir)?;
        Some(Rights::of(&data).sharing(User::this()))
    }

    /// Whether entries of others are to be expected here, and are nothing to tell of.
    pub(crate) const fn is_shared(&self) -> bool {
        !self.rights.is_alone(self.user)
    }
}
