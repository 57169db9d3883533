//! Standard error, which may be a pipe that nobody reads, a terminal that is halted, or locked by a thread that waits for one
//! of these.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use crate::reporter::thread::spawn_quiet;
use crate::tracer::fork::PerProcess;
use crate::tracer::local::{self, Local};

/// Threads that wait for standard error at once. Beyond it nothing is printed: it is stuck.
const WAITING: usize = 8;

/// A forked child's own number: its parent's threads are not there.
static PRINTING: PerProcess<AtomicUsize> = PerProcess::new();

/// In a forked child: nobody waits yet.
#[cfg(unix)]
pub(crate) fn forget_parents() {
    PRINTING.forget();
}

/// Writes lines at once, so that nothing comes between them, and waits until they are out or the deadline has passed.
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
        out.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok();
    }
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
    fn a_stuck_one_holds_up_the_caller_until_the_deadline_and_a_few_threads() {
        const MOMENT: Duration = Duration::from_millis(5);
        let stuck = io::stderr().lock();
        let start = Instant::now();
        for _ in 0..WAITING {
            print_within(String::new(), Instant::now() + MOMENT);
        }
        assert!(start.elapsed() >= MOMENT * 4, "{:?}", start.elapsed());
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
