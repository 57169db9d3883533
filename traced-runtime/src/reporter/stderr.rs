//! Standard error, which may be a pipe that nobody reads, a terminal that is halted, or locked by a thread that waits for one
//! of these.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use crate::reporter::thread::spawn_quiet;
use crate::tracer::fork::PerProcess;
use crate::tracer::local::{self, Local};

/// Threads that wait for standard error at once. Beyond it nothing is printed: it is stuck.
const WAITING: usize = 8;

/// How long lines are waited for that could be written at once: on a busy machine a thread may come late.
const LATE: Duration = Duration::from_secs(1);

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
/// A thread of its own writes them, and goes on waiting: only it is held up. Where none can be started the caller writes, since
/// what cannot be started is what it has to tell.
pub(crate) fn print_within(lines: String, deadline: Instant) {
    let printing = PRINTING.get_or_make(AtomicUsize::default);
    if printing.fetch_add(1, Ordering::AcqRel) >= WAITING {
        printing.fetch_sub(1, Ordering::AcqRel);
        return;
    }
    let (done, out) = sync_channel(1);
    let text = lines.clone();
    let thread = spawn_quiet("traced-notice".to_owned(), move || {
        local::with(Local::suppress);
        print(&text);
        printing.fetch_sub(1, Ordering::AcqRel);
        done.send(()).ok();
    });
    if thread.is_err() {
        print(&lines);
        printing.fetch_sub(1, Ordering::AcqRel);
    } else {
        let now = Instant::now();
        let deadline = if is_writable() { deadline.max(now + LATE) } else { deadline };
        out.recv_timeout(deadline.saturating_duration_since(now)).ok();
    }
}

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

/// Nothing at all when it is closed.
fn print(lines: &str) {
    io::stderr().write_all(lines.as_bytes()).ok();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_locked_one_holds_up_each_caller_for_a_while_and_a_few_threads() {
        // Locked, but not full: each waits for a while, and all of them at once.
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
