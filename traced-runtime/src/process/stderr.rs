//! Standard error, which may be a pipe that nobody reads, a terminal that is halted, or locked by a thread that waits for one
//! of these, or for the very thread that has something to tell.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use crate::process::per_process::PerProcess;
use crate::process::thread::spawn_quiet;

/// Threads that wait for standard error at once. Beyond it whoever has something to tell does not wait for its lock.
const WAITING: usize = 8;

/// How long its lock is waited for where lines could be written at once: on a busy machine a thread may come late.
const LOCKED: Duration = Duration::from_millis(50);

/// Bytes that a pipe which takes any takes at once, at least: `_POSIX_PIPE_BUF`.
#[cfg(unix)]
const AT_ONCE: usize = 512;

/// A forked child's own number: its parent's threads are not there.
static PRINTING: PerProcess<AtomicUsize> = PerProcess::new();

/// In a forked child: nobody waits yet.
#[cfg(unix)]
pub(crate) fn forget_parents() {
    PRINTING.forget();
}

/// Writes lines at once, so that nothing comes between them, and waits until they are out. Where nobody takes them it does not
/// wait longer than until the deadline.
///
/// A thread of its own writes them, and goes on waiting: only it is held up. What its lock keeps from being written is written
/// without it, as far as nobody has to wait for that: then it may stand between the words of somebody else's line.
pub(crate) fn print_within(lines: String, deadline: Instant) {
    let printing = PRINTING.get_or_make(AtomicUsize::default);
    if printing.fetch_add(1, Ordering::AcqRel) >= WAITING {
        printing.fetch_sub(1, Ordering::AcqRel);
        return print_unlocked(&lines);
    }
    let (done, out) = sync_channel(1);
    let claim = Arc::new(AtomicBool::new(false));
    let (text, claimed) = (lines.clone(), Arc::clone(&claim));
    let thread = spawn_quiet("traced-notice".to_owned(), move || {
        let mut stderr = io::stderr().lock();
        if !claimed.swap(true, Ordering::AcqRel) {
            // Nothing at all when it is closed.
            stderr.write_all(text.as_bytes()).ok();
        }
        drop(stderr);
        printing.fetch_sub(1, Ordering::AcqRel);
        done.send(()).ok();
    });
    if thread.is_err() {
        // Not for want of a thread is it left untold that there are none.
        printing.fetch_sub(1, Ordering::AcqRel);
        return print_unlocked(&lines);
    }
    let left = || deadline.saturating_duration_since(Instant::now());
    let first = if is_writable() { LOCKED } else { left() };
    if out.recv_timeout(first).is_ok() {
        return;
    }
    if claim.load(Ordering::Acquire) {
        out.recv_timeout(left()).ok();
    } else if is_writable() && !claim.swap(true, Ordering::AcqRel) {
        print_unlocked(&lines);
    }
}

/// Writes what can be written without waiting, and without the lock.
#[cfg(unix)]
#[expect(
    unsafe_code,
    reason = "the standard library's way takes the lock, and its way around needs another file descriptor"
)]
fn print_unlocked(lines: &str) {
    for part in lines.as_bytes().chunks(AT_ONCE) {
        // Somebody else may fill it right after it was asked: nobody can tell.
        if !is_writable() {
            break;
        }
        // SAFETY: the bytes are there during the call.
        let written = unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
        if usize::try_from(written) != Ok(part.len()) {
            break;
        }
    }
}

/// Nobody knows whether it would have to wait.
#[cfg(not(unix))]
fn print_unlocked(_: &str) {}

/// Whether it takes a line without waiting. It is full when a thread has its lock and waits.
#[cfg(unix)]
#[expect(unsafe_code, reason = "there is no safe way to ask")]
fn is_writable() -> bool {
    let mut asked = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: it is one valid structure, on this stack, and a time of 0 asks for no waiting.
    unsafe { libc::poll(&raw mut asked, 1, 0) > 0 }
}

/// Nobody knows.
#[cfg(not(unix))]
fn is_writable() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_locked_one_holds_up_each_caller_for_a_while_and_a_few_threads() {
        // Locked, but not full: each waits for a while, and all of them at once, and then writes it, locked or not.
        let stuck = io::stderr().lock();
        std::thread::scope(|scope| {
            for _ in 0..WAITING {
                scope.spawn(|| print_within(String::new(), Instant::now()));
            }
        });
        // Whoever comes now does not wait at all: the deadline is an hour away.
        for _ in 0..100 {
            print_within(String::new(), Instant::now() + Duration::from_secs(3_600));
        }
        let printing = PRINTING.get_or_make(AtomicUsize::default);
        // Another test may be just looking.
        assert!(printing.load(Ordering::Acquire) <= WAITING + 1);
        drop(stuck);
        while printing.load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
    }
}
