//! One tracer's folder below the spool's directory.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rand::TryRng as _;

use crate::reporter::encode::Body;
use crate::reporter::spool::BLOCK;
use crate::reporter::spool::aside::{Aside, BAD};
use crate::reporter::spool::file::{self, Damage, HEADER, Header};
use crate::reporter::spool::heir::Left;
use crate::reporter::spool::lock::Lock;

const LOCK: &str = "lock";
const BATCH: &str = "spool";

/// A folder that is ours as long as this value lives. When it is dropped and nothing is left inside, it goes.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Given back after the folder is gone: nobody adopts one that is being removed.
    _lock: Lock,
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
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(spool)?;
        builder.recursive(false);
        // Somebody who adopts folders may find it before it is locked, and take it for an orphan's.
        for _ in 0..8 {
            let name = rand::rngs::SysRng.try_next_u64().map_err(io::Error::other)?;
            let path = spool.join(format!("{name:016x}"));
            match builder.create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            let file = path.join(LOCK);
            match Lock::create(&file) {
                Ok(Some(lock)) if file.exists() => {
                    let folder = Self { path, _lock: lock };
                    sync_folder(spool)?;
                    return Ok(folder);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    // Where there are no locks each attempt would leave one.
                    fs::remove_file(&file).ok();
                    fs::remove_dir(&path).ok();
                    return Err(error);
                }
            }
        }
        Err(io::Error::other("folders vanish as soon as they are made"))
    }

    /// Takes a folder over; `None` when it is in use, or no folder of a spool.
    pub(crate) fn adopt(path: PathBuf) -> Option<Self> {
        match Lock::existing(&path.join(LOCK)) {
            Ok(lock) => Some(Self { path, _lock: lock? }),
            Err(error) => {
                // Its tracer ended before it could lock it. One that is just about to finds it gone, and makes another.
                let is_ours = path.file_name().and_then(|name| name.to_str()).is_some_and(is_folder_name);
                if is_ours && error.kind() == io::ErrorKind::NotFound {
                    fs::remove_dir(&path).ok();
                }
                None
            }
        }
    }

    /// The batches inside, the oldest first, by what their headers say. What is none is set aside. None at all where
    /// something is missing to read them just now: another look finds them.
    pub(crate) fn batches(&self, left: &mut Left) -> Vec<Found> {
        self.batches_by(left, |number| self.header(number))
    }

    /// When the oldest batch inside was written, by its header: what [`batches`](Self::batches) would begin with, for less reading.
    pub(crate) fn written(&self) -> Option<u64> {
        let names = fs::read_dir(&self.path).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut numbers: Vec<_> = names.filter_map(|name| number(stem(&name)?)).collect();
        numbers.sort_unstable();
        numbers.into_iter().find_map(|number| self.header(number).ok()).map(|header| header.written)
    }

    fn batches_by(&self, left: &mut Left, header: impl Fn(u64) -> Result<Header, ReadError>) -> Vec<Found> {
        let (mut batches, mut unread) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(stem) = stem(&name) else { continue };
            match number(stem).map(|number| (number, header(number))) {
                Some((number, Ok(header))) => batches.push(Found { number, header }),
                Some((_, Err(error))) if error.is_shortage() => return Vec::new(),
                Some((_, Err(ReadError::Damage(Damage::Version(_)) | ReadError::Io(_)))) => unread.push(entry.path()),
                _ => self.put_aside(&entry.path(), left),
            }
        }
        for file in unread {
            if batches.is_empty() {
                // Of another release's tracer, whose folder it stays: one tracer writes one format.
                left.aside.extend(Aside::batch(file));
            } else {
                self.put_aside(&file, left);
            }
        }
        batches.sort_by_key(|batch| batch.number);
        batches
    }

    fn put_aside(&self, file: &Path, left: &mut Left) {
        let aside = file.file_stem().and_then(|stem| self.set_aside_file(file, &stem.to_string_lossy()));
        left.bad += u64::from(aside.is_some());
        left.aside.extend(aside);
    }

    fn header(&self, number: u64) -> Result<Header, ReadError> {
        let (file, length) = open(&self.batch(number))?;
        let mut start = Vec::with_capacity(HEADER);
        file.take(HEADER as u64).read_to_end(&mut start)?;
        Ok(file::parse_header(&start, length)?)
    }

    /// Writes a batch, and returns when it is on the disk: file, name and all. A file that could not be written whole is removed.
    pub(crate) fn write(&self, number: u64, body: &[u8], spans: usize) -> io::Result<()> {
        let path = self.batch(number);
        let written = self.write_file(&path, body, spans);
        if written.is_err() {
            fs::remove_file(&path).ok();
        }
        written
    }

    fn write_file(&self, path: &Path, body: &[u8], spans: usize) -> io::Result<()> {
        let spans = u32::try_from(spans).map_err(io::Error::other)?;
        let header = file::header(body, spans, milliseconds());
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.write(true).create_new(true).open(path)?;
        file.write_all(&header)?;
        file.write_all(body)?;
        file.sync_all()?;
        sync_folder(&self.path)
    }

    /// Reads a batch into `body`.
    pub(crate) fn read(&self, number: u64, body: &mut Body) -> Result<(), ReadError> {
        let (file, _) = open(&self.batch(number))?;
        let mut bytes = Vec::new();
        file.take(file::LONGEST_BODY + HEADER as u64 + 1).read_to_end(&mut bytes)?;
        let (header, list) = file::parse(&bytes)?;
        if !body.load(list) || body.spans() as u64 != u64::from(header.spans) {
            return Err(Damage::NoList.into());
        }
        Ok(())
    }

    /// Removes a batch that was sent, or is dropped. One that cannot be removed is sent once more by whoever adopts it.
    pub(crate) fn remove(&self, number: u64) {
        fs::remove_file(self.batch(number)).ok();
    }

    /// Moves a batch to another folder, under another number.
    pub(crate) fn give(&self, number: u64, to: &Self, new: u64) -> io::Result<()> {
        fs::rename(self.batch(number), to.batch(new))
    }

    /// Makes sure that the names inside are on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        sync_folder(&self.path)
    }

    /// Keeps a file that cannot be read back, out of the way.
    pub(crate) fn set_aside(&self, number: u64) -> Option<Aside> {
        self.set_aside_file(&self.batch(number), &format!("{number:016x}"))
    }

    fn set_aside_file(&self, file: &Path, stem: &str) -> Option<Aside> {
        let (spool, name) = self.path.parent().zip(self.path.file_name())?;
        let path = spool.join(format!("{}-{stem}.{BAD}", name.to_string_lossy()));
        fs::rename(file, &path).ok()?;
        Aside::bad(path)
    }

    fn batch(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:016x}.{BATCH}"))
    }
}

/// Whether a tracer's folder is called so.
pub(crate) fn is_folder_name(name: &str) -> bool {
    number(name).is_some()
}

/// The number that is written so, as we write them.
fn number(name: &str) -> Option<u64> {
    u64::from_str_radix(name, 16).ok().filter(|number| format!("{number:016x}") == name)
}

/// What a batch's name has before its ending; `None`: it is called otherwise.
fn stem(name: &OsStr) -> Option<&str> {
    let (stem, end) = name.to_str()?.rsplit_once('.')?;
    (end == BATCH).then_some(stem)
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
        let empty =
            fs::read_dir(&self.path).is_ok_and(|mut left| left.all(|entry| entry.is_ok_and(|e| e.file_name() == LOCK)));
        if empty {
            fs::remove_file(self.path.join(LOCK)).ok();
            fs::remove_dir(&self.path).ok();
        }
    }
}

/// Opens a batch, of this many bytes. What is none must hold nobody up: a pipe would, until somebody writes.
fn open(path: &Path) -> Result<(File, u64), ReadError> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.read(true).open(path)?;
    let data = file.metadata()?;
    // Reading a folder fails by itself.
    if data.is_file() || data.is_dir() { Ok((file, data.len())) } else { Err(Damage::Foreign.into()) }
}

/// Makes sure that the names in a folder are on the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    // Windows has no such call, and keeps names in a journal.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::reporter::spool::heir::Heir;

    const LIST: &[u8] = b"[{}]";

    /// A folder with three batches, whose tracer is gone.
    fn left_behind(spool: &Path) -> PathBuf {
        let folder = Folder::create(spool).unwrap();
        for number in 1..=3 {
            folder.write(number, LIST, 1).unwrap();
        }
        folder.path.clone()
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
        let folder = Folder::adopt(left_behind(spool.path())).unwrap();
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
        assert_eq!(look(spool.path()), (vec![3], 1, 1), "one is set aside, the other one's folder is nobody's");
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
