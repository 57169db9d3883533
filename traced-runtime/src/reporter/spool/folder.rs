//! One tracer's folder below the spool's directory.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::TryRng as _;

use crate::reporter::encode::Body;
use crate::reporter::spool::BLOCK;
use crate::reporter::spool::aside::Aside;
use crate::reporter::spool::base::Base;
use crate::reporter::spool::directory::{Directory, Entry};
use crate::reporter::spool::file::{self, Damage, HEADER, Header};
use crate::reporter::spool::heir::Left;
use crate::reporter::spool::lock::Lock;
use crate::reporter::spool::name::{self, LOCK};
use crate::reporter::spool::rights::Foreign;

/// A folder that is ours as long as this value lives. When it is dropped and nothing is left inside, it goes.
///
/// The directory is locked, and so is a file in it. Files are removed by those who clean up, and then the directory's lock
/// still holds. It holds on this machine alone where the directory is another one's: there the file's is seen by all.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Given back after the folder is gone, as the directory's is: nobody adopts one that is being removed.
    lock: Lock,
    directory: Directory,
}

/// A batch that was found in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) number: u64,
    pub(crate) header: Header,
}

/// Why a batch cannot be read back.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    Damage(Damage),
}

impl ReadError {
    /// Whether the process, or the machine, has too little of something just now: the file may be whole all the same, and is
    /// read another time.
    pub(crate) fn is_shortage(&self) -> bool {
        let Self::Io(error) = self else { return false };
        #[cfg(unix)]
        if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOLCK)) {
            return true;
        }
        matches!(error.kind(), io::ErrorKind::OutOfMemory | io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Damage(damage) => damage.fmt(f),
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Damage> for ReadError {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

impl Folder {
    /// Makes a folder of a new name, and the spool's directory with it. What spans say is nobody else's business: only this
    /// user may look inside.
    pub(crate) fn create(spool: &Path) -> io::Result<Self> {
        let base = Base::make(spool)?;
        // Somebody who adopts folders may find it before it is locked, and take it for an orphan's. They look once a minute.
        for _ in 0..64 {
            let name = name::folder(rand::rngs::SysRng.try_next_u64().map_err(io::Error::other)?);
            match base.directory.make(&name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            match Self::own(&base, &name) {
                Ok(Some(folder)) => {
                    base.directory.sync()?;
                    return Ok(folder);
                }
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    // Where there are no locks each attempt would leave one.
                    base.directory.remove_folder(&name).ok();
                    return Err(error);
                }
            }
        }
        Err(io::Error::other("folders vanish as soon as they are made"))
    }

    /// Locks a folder that was made just now; `None` when somebody else was faster.
    fn own(base: &Base, name: &str) -> io::Result<Option<Self>> {
        let directory = base.directory.child(name)?;
        // Not on each disk a file is its maker's, with the rights that it was made with.
        directory.rights()?.check_folder(base.rights, base.user).map_err(|foreign| {
            let text = format!("a folder that was made there is of no use: {}", foreign.reason);
            io::Error::new(io::ErrorKind::PermissionDenied, text)
        })?;
        // Where directories have no locks, that of the file is enough until somebody removes it.
        if matches!(directory.lock(), Ok(false)) {
            return Ok(None);
        }
        match directory.new_lock(LOCK) {
            Ok(Some(lock)) if directory.is_in_place() => Ok(Some(Self { lock, directory })),
            Ok(_) => Ok(None),
            Err(error) => {
                directory.remove_own(LOCK);
                Err(error)
            }
        }
    }

    /// Takes a folder over; `None` when it is in use, or nothing was left in it. One that is not this user's alone is left as it
    /// is. It is called as a folder is.
    pub(crate) fn adopt(base: &Base, name: &str) -> Result<Option<Self>, Foreign> {
        let foreign = |reason: &str| Err(Foreign { is_own: true, reason: reason.to_owned() });
        match base.directory.entry(name) {
            Err(_) => return Ok(None),
            Ok(Entry::Foreign) => return Err(Foreign { is_own: false, reason: "it is another user's".to_owned() }),
            Ok(Entry::OwnFile | Entry::OwnOther) => return foreign("it is no folder"),
            Ok(Entry::Folder) => {}
        }
        let Ok(directory) = base.directory.child(name) else { return Ok(None) };
        let Ok(rights) = directory.rights() else { return Ok(None) };
        rights.check_folder(base.rights, base.user)?;
        let has_lock = match directory.lock() {
            Ok(false) => return Ok(None),
            held => held.is_ok(),
        };
        let lock = match directory.lock_file(LOCK) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return foreign("its lock is no file of this user");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // It was never locked, or somebody has cleaned up. The directory is locked as long as its tracer lives.
                if directory.names().all(|name| name::batch_number(&name).is_none()) {
                    // One that is just being made goes, too, and its tracer makes another.
                    base.directory.remove_folder(name).ok();
                    return Ok(None);
                }
                if !has_lock {
                    return foreign("its lock is gone, and it may be in use");
                }
                directory.new_lock(LOCK).ok().flatten()
            }
            Err(_) => None,
        };
        // Its tracer may have removed it before it gave the lock back.
        Ok(lock.filter(|_| directory.is_in_place()).map(|lock| Self { lock, directory }))
    }

    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Whether its path still leads to it.
    pub(crate) fn is_in_place(&self) -> bool {
        self.directory.is_in_place()
    }

    /// Whether a batch that was written is still there.
    pub(crate) fn holds(&self, number: u64) -> bool {
        // An error that says nothing of the file is no proof that it is gone.
        !matches!(self.directory.entry(&name::batch(number)), Err(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Makes its lock look used.
    pub(crate) fn touch(&self) {
        self.lock.touch();
    }

    /// The batches inside, the oldest first, by what their headers say. What is none is set aside, and what is no file of this
    /// user is left alone. None at all where something is missing to read them just now: another look finds them.
    pub(crate) fn batches(&self, left: &mut Left) -> Vec<Found> {
        self.batches_by(left, |number| self.header(number))
    }

    /// When the oldest batch inside was written, by its header: what [`batches`](Self::batches) would begin with, for less reading.
    pub(crate) fn written(&self) -> Option<u64> {
        self.numbers().into_iter().find_map(|number| self.header(number).ok()).map(|header| header.written)
    }

    /// The numbers of all that is called as a batch is, the smallest first.
    fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<_> = self.directory.names().filter_map(|name| name::batch_number(&name)).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The greatest number of anything that is called as a batch is.
    pub(crate) fn last(&self) -> u64 {
        self.numbers().last().copied().unwrap_or_default()
    }

    fn batches_by(&self, left: &mut Left, header: impl Fn(u64) -> Result<Header, ReadError>) -> Vec<Found> {
        let (mut batches, mut unread) = (Vec::new(), Vec::new());
        for number in self.numbers() {
            match header(number) {
                Ok(header) => batches.push(Found { number, header }),
                Err(error) if error.is_shortage() => return Vec::new(),
                Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::InvalidInput => {
                    left.alone.add(&self.directory.path().join(name::batch(number)), &error.to_string());
                }
                Err(ReadError::Damage(Damage::Version(_)) | ReadError::Io(_)) => unread.push(number),
                Err(ReadError::Damage(_)) => self.put_aside(number, left),
            }
        }
        for number in unread {
            if batches.is_empty() {
                // Of another release's tracer, whose folder it stays: one tracer writes one format.
                left.aside.extend(Aside::batch(self.directory.path().join(name::batch(number))));
            } else {
                self.put_aside(number, left);
            }
        }
        batches
    }

    fn put_aside(&self, number: u64, left: &mut Left) {
        let aside = self.set_aside(number);
        left.bad += u64::from(aside.is_some());
        left.aside.extend(aside);
    }

    fn header(&self, number: u64) -> Result<Header, ReadError> {
        let file = self.directory.file(&name::batch(number))?;
        let length = file.metadata()?.len();
        let mut start = Vec::with_capacity(HEADER);
        file.take(HEADER as u64).read_to_end(&mut start)?;
        Ok(file::parse_header(&start, length)?)
    }

    /// Writes a batch, and returns when it is on the disk: file, name and all. A file that could not be written whole is removed.
    pub(crate) fn write(&self, number: u64, body: &[u8], spans: usize) -> io::Result<()> {
        let name = name::batch(number);
        // What is there already is not ours to remove.
        let file = self.directory.new_file(&name)?;
        let written = self.write_file(file, body, spans);
        if written.is_err() {
            self.directory.remove_file(&name).ok();
        }
        written
    }

    fn write_file(&self, mut file: File, body: &[u8], spans: usize) -> io::Result<()> {
        let spans = u32::try_from(spans).map_err(io::Error::other)?;
        file.write_all(&file::header(body, spans, milliseconds()))?;
        file.write_all(body)?;
        file.sync_all()?;
        self.directory.sync()
    }

    /// Reads a batch into `body`.
    pub(crate) fn read(&self, number: u64, body: &mut Body) -> Result<(), ReadError> {
        let file = self.directory.file(&name::batch(number))?;
        let mut bytes = Vec::new();
        file.take(file::LONGEST_BODY + HEADER as u64 + 1).read_to_end(&mut bytes)?;
        let (header, list) = file::parse(&bytes)?;
        if !body.load(list) || body.spans() as u64 != u64::from(header.spans) {
            return Err(Damage::NoList.into());
        }
        Ok(())
    }

    /// Removes a batch that was sent, or is dropped; whether it is gone. One that cannot be removed is sent once more by the tracer that
    /// adopts it.
    pub(crate) fn remove(&self, number: u64) -> bool {
        self.directory.remove_own(&name::batch(number))
    }

    /// Moves a batch to another folder, under a number that nothing has there.
    pub(crate) fn give(&self, number: u64, to: &Self, new: u64) -> io::Result<()> {
        self.directory.give(&name::batch(number), &to.directory, &name::batch(new))
    }

    /// Makes sure that the names inside are on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.directory.sync()
    }

    /// Keeps a file that cannot be read back, out of the way.
    pub(crate) fn set_aside(&self, number: u64) -> Option<Aside> {
        let name = name::batch(number);
        if !matches!(self.directory.entry(&name), Ok(Entry::OwnFile | Entry::OwnOther)) {
            return None;
        }
        let base = Base::open(self.directory.path().parent()?).ok()?.directory;
        let own = self.directory.path().file_name()?.to_str()?;
        // An earlier one may have had that number: an heir counts on from what is left in the folder.
        for number in [number, rand::rngs::SysRng.try_next_u64().ok()?] {
            let new = name::aside(own, number);
            match self.directory.give(&name, &base, &new) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) => return None,
                Ok(()) => return Aside::bad(base.path().join(new)),
            }
        }
        None
    }
}

/// The time, in milliseconds since 1970.
pub(crate) fn milliseconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// The bytes that a batch takes of the disk.
pub(crate) const fn blocks(body: u64) -> u64 {
    (body + HEADER as u64).div_ceil(BLOCK) * BLOCK
}

impl Drop for Folder {
    fn drop(&mut self) {
        // One that was moved is not ours to tidy up.
        if !self.directory.is_in_place() || !self.directory.has_only(LOCK) {
            return;
        }
        let path = self.directory.path();
        let Some((base, name)) = path.parent().zip(path.file_name().and_then(|name| name.to_str())) else { return };
        self.directory.remove_own(LOCK);
        if let Ok(base) = Directory::open(base) {
            base.remove_folder(name).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::reporter::spool::heir::Heir;

    const LIST: &[u8] = b"[{}]";

    /// A folder with three batches, whose tracer is gone.
    fn left_behind(spool: &Path) -> PathBuf {
        let folder = Folder::create(spool).unwrap();
        for number in 1..=3 {
            folder.write(number, LIST, 1).unwrap();
        }
        folder.path().to_owned()
    }

    fn look(spool: &Path) -> (Vec<usize>, u64, usize) {
        let left = Heir::default().look(spool);
        (left.orphans.iter().map(|(_, batches)| batches.len()).collect(), left.bad, left.aside.len())
    }

    /// Too many open files in the middle of a look.
    #[cfg(unix)]
    #[test]
    fn a_folder_is_left_alone_while_its_batches_cannot_be_read() {
        let spool = tempfile::tempdir().unwrap();
        let path = left_behind(spool.path());
        let base = Base::open(spool.path()).unwrap();
        let folder = Folder::adopt(&base, path.file_name().unwrap().to_str().unwrap()).unwrap().unwrap();
        let mut left = Left::default();
        let none = folder.batches_by(&mut left, |number| match number {
            2 => Err(io::Error::from_raw_os_error(libc::EMFILE).into()),
            _ => folder.header(number),
        });
        assert_eq!((none.len(), left.bad, left.aside.len()), (0, 0, 0));
        drop(folder);
        assert_eq!(look(spool.path()), (vec![3], 0, 0), "all are there for the next look");
    }

    /// Whoever opens one waits for the other end, if he does not take care.
    #[cfg(unix)]
    #[test]
    fn pipes_hold_nobody_up() {
        let spool = tempfile::tempdir().unwrap();
        let pipe = |path: PathBuf| {
            let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
            assert!(made.success());
        };
        pipe(left_behind(spool.path()).join(format!("{:016x}.spool", 4)));
        let foreign = spool.path().join("00c0ffee00c0ffee");
        fs::create_dir(&foreign).unwrap();
        pipe(foreign.join(LOCK));
        assert_eq!(look(spool.path()), (vec![3], 0, 0), "nobody made them here: they are left alone");
        assert!(foreign.exists());
    }

    #[test]
    fn a_file_of_another_format_among_batches_is_damaged_and_alone_it_is_another_releases() {
        let spool = tempfile::tempdir().unwrap();
        let path = left_behind(spool.path());
        let spoil = |number: u64| {
            let file = path.join(format!("{number:016x}.spool"));
            let mut bytes = fs::read(&file).unwrap();
            bytes[8] = 9;
            fs::write(&file, bytes).unwrap();
            file
        };
        let damaged = spoil(1);
        assert_eq!(look(spool.path()), (vec![2], 1, 1));
        assert!(!damaged.exists(), "it was renamed");
        let newer = [spoil(2), spoil(3)];
        let left = Heir::default().look(spool.path());
        assert_eq!((left.orphans.len(), left.bad, left.aside.len()), (0, 0, 3));
        // Nobody has its folder: they can go when there is no room.
        assert!(left.aside.iter().all(Aside::remove));
        assert!(newer.iter().all(|file| !file.exists()) && !path.exists());
    }
}
