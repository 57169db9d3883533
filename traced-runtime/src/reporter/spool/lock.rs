//! A lock that ends with its process, however that ends.

use std::fs::{File, FileTimes};
use std::io;
use std::time::SystemTime;

/// A locked file. The lock belongs to what was opened here: another tracer of this process does not get it either.
///
/// A forked child that does not `exec` shares it; dropping it gives it back for both.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Locks this file; `None` when somebody else holds it.
    #[cfg(unix)]
    pub(super) fn hold(file: File) -> io::Result<Option<Self>> {
        Ok(try_lock(&file)?.then(|| Self(file)))
    }

    /// Opened so that nobody else can open it.
    #[cfg(windows)]
    pub(super) fn open(options: &mut std::fs::OpenOptions, path: &std::path::Path) -> io::Result<Option<Self>> {
        use std::os::windows::fs::OpenOptionsExt as _;
        const SHARING_VIOLATION: i32 = 32;
        match options.share_mode(0).open(path) {
            Ok(file) => Ok(Some(Self(file))),
            Err(error) if error.raw_os_error() == Some(SHARING_VIOLATION) => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[cfg(not(any(unix, windows)))]
    pub(super) fn open(_: &mut std::fs::OpenOptions, _: &std::path::Path) -> io::Result<Option<Self>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes the file look used, to those who remove what is old.
    pub(crate) fn touch(&self) {
        let now = SystemTime::now();
        self.0.set_times(FileTimes::new().set_accessed(now).set_modified(now)).ok();
    }
}

#[cfg(unix)]
impl Drop for Lock {
    fn drop(&mut self) {
        unlock(&self.0);
    }
}

/// Locks a file or a directory, as long as what was opened here is open; `false` when somebody else holds it.
#[cfg(unix)]
#[expect(unsafe_code, reason = "File::try_lock is younger than the oldest compiler")]
pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    use std::os::fd::AsRawFd as _;
    // SAFETY: the descriptor is open as long as `file` lives, and the call touches no memory.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) }
}

/// Gives a lock back, if there is one, for a forked child that shares it, too.
#[cfg(unix)]
#[expect(unsafe_code, reason = "File::unlock is younger than the oldest compiler")]
pub(super) fn unlock(file: &File) {
    use std::os::fd::AsRawFd as _;
    // SAFETY: the descriptor is open as long as `file` lives, and the call touches no memory.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
}
