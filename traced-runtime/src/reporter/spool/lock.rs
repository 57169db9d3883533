//! A lock that ends with its process, however that ends.

use std::fs::File;
use std::io;
use std::path::Path;

/// A locked file. The lock belongs to what was opened here: another tracer of this process does not get it either.
///
/// A forked child that does not `exec` shares it; dropping it gives it back for both.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Locks this file, which is created if it is missing; `None` when somebody else holds it.
    pub(crate) fn create(path: &Path) -> io::Result<Option<Self>> {
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        Self::open(&mut options, path)
    }

    /// Locks a file that is there.
    pub(crate) fn existing(path: &Path) -> io::Result<Option<Self>> {
        Self::open(File::options().write(true), path)
    }

    #[cfg(unix)]
    #[expect(unsafe_code, reason = "File::try_lock is younger than the oldest compiler")]
    fn open(options: &mut std::fs::OpenOptions, path: &Path) -> io::Result<Option<Self>> {
        use std::os::fd::AsRawFd as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        // A pipe has no end that we could wait for.
        let file = options.mode(0o600).custom_flags(libc::O_NONBLOCK).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("the lock is no file"));
        }
        // SAFETY: the descriptor is open as long as `file` lives, and the call touches no memory.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(Some(Self(file)));
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) }
    }

    /// Opened so that nobody else can open it.
    #[cfg(windows)]
    fn open(options: &mut std::fs::OpenOptions, path: &Path) -> io::Result<Option<Self>> {
        use std::os::windows::fs::OpenOptionsExt as _;
        const SHARING_VIOLATION: i32 = 32;
        match options.share_mode(0).open(path) {
            Ok(file) => Ok(Some(Self(file))),
            Err(error) if error.raw_os_error() == Some(SHARING_VIOLATION) => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[cfg(not(any(unix, windows)))]
    fn open(_: &mut std::fs::OpenOptions, _: &Path) -> io::Result<Option<Self>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "File::unlock is younger than the oldest compiler")]
impl Drop for Lock {
    fn drop(&mut self) {
        use std::os::fd::AsRawFd as _;
        // SAFETY: the descriptor is open as long as `self.0` lives, and the call touches no memory.
        unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) };
    }
}
