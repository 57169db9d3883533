//! What cannot be sent waits in files, and survives the process.
//!
//! ```text
//! <spool>/                    any number of processes share it, and other programs may
//!   5f0c…e1/                  one tracer's folder, made when it first has something to keep, and locked as long as it lives
//!     lock                    locked as well: a process that gets both locks may have what is inside
//!     0000000000000001.spool  one batch, as file.rs says
//!     0000000000000002.spool
//!   5f0c…e1-000…1.bad         what was no batch, or a torn one: set aside
//! ```
//!
//! Only what is called so is touched, and only where it is this user's: `base.rs` opens the spool, and refuses one in which
//! everybody may move entries; `rights.rs` says which folders are taken over. All else is done by descriptors below it, over
//! no link (`directory.rs`), so that nothing changes between a look and what follows.
//!
//! What is set aside counts within the bound, and so do batches of other releases in folders that nobody has: when there is no
//! room they go before anything that can be sent, the oldest first.
//!
//! A thread of the pipeline's own writes: the one that sends may hang in a request for as long as its time-out. It begins
//! when sending has failed twice in a row, or the queue is half full, or a shutdown's time is nearly up. It syncs each file
//! and its folder before it counts the batch as spooled. The sending thread takes the oldest batch first, and removes its file after
//! the answer. So a kill repeats one batch at most, and loses none that was counted.
//!
//! Folders of tracers that are gone are adopted at the start and once a minute: one is locked, and what is in the others moves
//! there, so that a thousand of them take two descriptors. Their spans were recorded elsewhere, and are
//! counted apart. Adopted batches and own ones are sent by the time at which they were written; while somebody waits for a
//! flush or a shutdown, which is for what this tracer recorded, its own go first.
//!
//! Somebody may remove files here, as those do who clean up temporary directories. Once a minute, when a folder is gone, and as a
//! shutdown begins, it is looked whether all batches are there; what is gone is dropped, and told.

mod aside;
mod base;
mod directory;
#[cfg(not(traced_fuzz))]
mod file;
#[cfg(traced_fuzz)]
pub(crate) mod file;
mod folder;
mod heir;
mod index;
mod lock;
mod name;
mod rights;
mod spooler;

use std::path::{Path, PathBuf};

pub(crate) use crate::reporter::spool::aside::Aside;
pub(crate) use crate::reporter::spool::file::LONGEST_BODY;
pub(crate) use crate::reporter::spool::folder::Folder;
pub(crate) use crate::reporter::spool::heir::{Heir, Left};
pub(crate) use crate::reporter::spool::index::{Index, Place, Stored};
pub(crate) use crate::reporter::spool::spooler::Spooler;
use crate::reporter::spool::{base::Base, rights::Sharing};

/// Where spans wait that cannot be sent, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpoolSettings {
    pub(crate) directory: PathBuf,
    /// Bytes of files, each counted as whole blocks of [`BLOCK`]. Beyond it the oldest batch is dropped.
    pub(crate) bytes: u64,
}

/// Why a directory cannot be a spool, as a sentence that says what to do; `None`: it can, or is not there yet.
pub(crate) fn refusal(directory: &Path) -> Option<String> {
    let Sharing::Everybody(problem) = Base::sharing(directory)? else { return None };
    Some(format!(
        "{problem}; give a directory inside it, which is made for this user alone, or let others not write to it (chmod o-w)"
    ))
}

/// What a small file takes of the disk. It bounds the number of files, too.
pub(crate) const BLOCK: u64 = 4 << 10;

#[cfg(test)]
mod tests;
