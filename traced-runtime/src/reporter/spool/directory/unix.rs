//! Names below a descriptor. The standard library knows paths alone.
#![expect(unsafe_code, reason = "calls to the C library, of which std has only those that take paths")]

use std::ffi::{CString, c_int, c_uint};
use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::reporter::spool::directory::Entry;
use crate::reporter::spool::lock::{Lock, try_lock, unlock};
use crate::reporter::spool::rights::{Rights, User};

/// See [the module](super). Its lock, if it has one, is given back with it.
#[derive(Debug)]
pub(crate) struct Directory {
    handle: File,
    path: PathBuf,
}

impl Directory {
    /// Opens the directory to which a path leads, over links, too.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let handle = File::options().read(true).custom_flags(libc::O_DIRECTORY).open(path)?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// Opens a directory inside, which is no link.
    pub(crate) fn child(&self, name: &str) -> io::Result<Self> {
        let handle = self.open_at(name, libc::O_RDONLY | libc::O_DIRECTORY)?;
        Ok(Self { handle, path: self.path.join(name) })
    }

    /// Makes a directory inside, for this user alone.
    pub(crate) fn make(&self, name: &str) -> io::Result<()> {
        let name = c_name(name)?;
        // SAFETY: the descriptor is open, and the name ends with a zero; both outlive the call.
        done(unsafe { libc::mkdirat(self.handle.as_raw_fd(), name.as_ptr(), 0o700) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Who may do what in it.
    pub(crate) fn rights(&self) -> io::Result<Rights> {
        self.handle.metadata().map(|data| Rights::of(&data))
    }

    /// Whether its path still leads here, without a link at its end.
    pub(crate) fn is_in_place(&self) -> bool {
        let there = fs::symlink_metadata(&self.path);
        let same = there.and_then(|there| {
            let here = self.handle.metadata()?;
            Ok((there.dev(), there.ino()) == (here.dev(), here.ino()))
        });
        same.unwrap_or(false)
    }

    /// Locks the directory itself, until it is closed. `false`: somebody else has it.
    pub(crate) fn lock(&self) -> io::Result<bool> {
        try_lock(&self.handle)
    }

    /// Makes a file and locks it.
    pub(crate) fn new_lock(&self, name: &str) -> io::Result<Option<Lock>> {
        Lock::hold(self.new_file(name)?)
    }

    /// Locks a file that is there; `None` when somebody else holds it.
    pub(crate) fn lock_file(&self, name: &str) -> io::Result<Option<Lock>> {
        Lock::hold(self.own_file(name, libc::O_WRONLY)?)
    }

    /// Opens a regular file of this user to read it. Anything else is [`InvalidInput`](io::ErrorKind::InvalidInput).
    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        self.own_file(name, libc::O_RDONLY)
    }

    fn own_file(&self, name: &str, access: c_int) -> io::Result<File> {
        let foreign = || io::Error::new(io::ErrorKind::InvalidInput, "it is no file of this user");
        // Opening has effects on some devices, and fails on links in as many ways as there are systems.
        if self.entry(name)? != Entry::OwnFile {
            return Err(foreign());
        }
        // Another one may be there by now. A pipe has no other end that could be waited for.
        let file = self.open_at(name, access | libc::O_NONBLOCK)?;
        let data = file.metadata()?;
        if data.is_file() && data.uid() == User::this().uid { Ok(file) } else { Err(foreign()) }
    }

    /// Makes a file of a name that nothing has, for this user alone.
    pub(crate) fn new_file(&self, name: &str) -> io::Result<File> {
        self.open_at(name, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL)
    }

    fn open_at(&self, name: &str, flags: c_int) -> io::Result<File> {
        const MODE: c_uint = 0o600;
        let (name, flags) = (c_name(name)?, flags | libc::O_NOFOLLOW | libc::O_CLOEXEC);
        // SAFETY: the descriptor is open, and the name ends with a zero; both outlive the call.
        let descriptor = unsafe { libc::openat(self.handle.as_raw_fd(), name.as_ptr(), flags, MODE) };
        done(descriptor)?;
        // SAFETY: it was opened just now, and nobody else knows of it.
        Ok(unsafe { File::from_raw_fd(descriptor) })
    }

    /// What stands under this name. Links are not followed.
    pub(crate) fn entry(&self, name: &str) -> io::Result<Entry> {
        let name = c_name(name)?;
        let mut data = MaybeUninit::<libc::stat>::uninit();
        let (at, flags) = (self.handle.as_raw_fd(), libc::AT_SYMLINK_NOFOLLOW);
        // SAFETY: the descriptor is open, the name ends with a zero, and `data` has room for what is written.
        done(unsafe { libc::fstatat(at, name.as_ptr(), data.as_mut_ptr(), flags) })?;
        // SAFETY: the call has filled it.
        let data = unsafe { data.assume_init() };
        let kind = wide(data.st_mode) & wide(libc::S_IFMT);
        Ok(if data.st_uid != User::this().uid {
            Entry::Foreign
        } else if kind == wide(libc::S_IFREG) {
            Entry::OwnFile
        } else if kind == wide(libc::S_IFDIR) {
            Entry::Folder
        } else {
            Entry::OwnOther
        })
    }

    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        self.unlink(name, 0)
    }

    /// Removes a directory inside in which nothing is.
    pub(crate) fn remove_folder(&self, name: &str) -> io::Result<()> {
        self.unlink(name, libc::AT_REMOVEDIR)
    }

    fn unlink(&self, name: &str, flags: c_int) -> io::Result<()> {
        let name = c_name(name)?;
        // SAFETY: the descriptor is open, and the name ends with a zero; both outlive the call.
        done(unsafe { libc::unlinkat(self.handle.as_raw_fd(), name.as_ptr(), flags) })
    }

    pub(super) fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<()> {
        let (name, new) = (c_name(name)?, c_name(new)?);
        let (from, to) = (self.handle.as_raw_fd(), to.handle.as_raw_fd());
        // SAFETY: both descriptors are open, and both names end with a zero; all outlive the call.
        done(unsafe { libc::renameat(from, name.as_ptr(), to, new.as_ptr()) })
    }

    /// Makes sure that the names inside are on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        unlock(&self.handle);
    }
}

fn c_name(name: &str) -> io::Result<CString> {
    CString::new(name).map_err(io::Error::other)
}

fn done(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A mode's type differs between systems, and on some between its parts.
fn wide(mode: impl Into<u32>) -> u32 {
    mode.into()
}
