//! A fork without exec: the child starts without tracers, repeats nothing, and may install its own.

#![cfg(unix)]
#![allow(unsafe_code, clippy::unwrap_used, reason = "there is no safe fork, and tests fail by panicking")]

use std::sync::mpsc;
use std::time::Duration;

use traced_runtime::{Context, ReportError, Reporter, Span, SpanRecord, Tracer, traced};

struct Names(mpsc::Sender<(String, u128)>);

impl Reporter for Names {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        for span in batch {
            self.0.send((span.name().into_owned(), span.trace_id().get())).map_err(ReportError::new)?;
        }
        Ok(())
    }
}

#[traced]
fn work() -> u128 {
    Context::current().trace_id().map_or(0, |trace| trace.get())
}

/// What the child does; the number of the first check that fails, or 0.
fn child(of_parent: &Tracer, parents_trace: u128) -> i32 {
    let checks: [&dyn Fn() -> bool; 6] = [
        &|| Tracer::installed().is_none(),
        &|| work() == 0,
        // The parent's handles are harmless here: they neither wait nor touch a lock.
        &|| of_parent.flush(Duration::from_secs(60)).recorded() == 0,
        &|| of_parent.stats().tally().recorded() == 0,
        &|| Span::start("nothing").context().is_none(),
        &|| {
            let (reported, names) = mpsc::channel();
            let Ok(tracing) = Tracer::builder("child").reporter(Names(reported)).summary(false).install() else {
                return false;
            };
            let trace = work();
            let tally = tracing.shutdown(Duration::from_secs(10));
            tally.sent() == 1 && trace != parents_trace && names.recv() == Ok(("work".to_owned(), trace))
        },
    ];
    let failed = checks.iter().position(|check| !check());
    failed.map_or(0, |at| i32::try_from(at).unwrap_or(99) + 1)
}

#[test]
fn a_forked_child_starts_anew() {
    let (reported, names) = mpsc::channel();
    let tracing = Tracer::builder("parent").reporter(Names(reported)).summary(false).install().unwrap();
    let before = work();
    let open = Span::start("open across the fork");
    // SAFETY: the child only runs the code above, and leaves by `_exit`.
    let process = unsafe { libc::fork() };
    assert!(process >= 0, "cannot fork");
    if process == 0 {
        let code = child(&tracing, before);
        // SAFETY: ends the child without running the test's destructors a second time.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for the child that was started above.
    assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
    assert!(libc::WIFEXITED(status), "the child died of {status}");
    assert_eq!(libc::WEXITSTATUS(status), 0, "the number of the check that failed in the child");

    let after = work();
    assert_ne!(before, after);
    open.finish();
    let tally = tracing.shutdown(Duration::from_secs(10));
    assert_eq!((tally.recorded(), tally.sent()), (3, 3), "{tally}");
    let mut seen: Vec<_> = names.iter().map(|(name, _)| name).collect();
    seen.sort();
    assert_eq!(seen, ["open across the fork", "work", "work"]);
}
