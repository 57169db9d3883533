//! A wall clock that is set back in the middle of a trace moves nothing in it.
//!
//! The clock of this process is a function of its own, which takes the place of the C library's.

#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "there is no safe way to stand in for the system's clock")]

use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use traced_runtime::{SpanRecord, Tracer, span};
use traced_tests::Keep;

/// Seconds that the wall clock is ahead of the system's.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// What the standard library calls for the time.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let result = libc::syscall(libc::SYS_clock_gettime, clock, time);
        if clock == libc::CLOCK_REALTIME && result == 0 {
            (*time).tv_sec += AHEAD.load(Ordering::Relaxed);
        }
        i32::try_from(result).unwrap_or(-1)
    }
}

const DEADLINE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// With the clock of the process, and once more, in a process of its own, without the time stamp counter.
#[test]
fn set_back_by_an_hour_leaves_a_trace_in_order() {
    set_back();
    if std::env::var_os("TRACED_CLOCK").is_none() {
        let test = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "set_back_by_an_hour_leaves_a_trace_in_order"])
            .env("TRACED_CLOCK", "os")
            .output()
            .expect("it runs");
        assert!(test.status.success(), "{}", String::from_utf8_lossy(&test.stdout));
    }
}

fn set_back() {
    AHEAD.store(0, Ordering::Relaxed);
    let now = SystemTime::now();
    let kept = Keep::default();
    let tracer = Tracer::builder("clock").reporter(kept.clone()).build().expect("a tracer");
    tracer.context().run(|| {
        let _outer = span!("outer");
        drop(span!("before"));
        assert!(tracer.flush(DEADLINE).is_conserved());
        AHEAD.store(-3_600, Ordering::Relaxed);
        // The step is seen between two rounds.
        assert!(tracer.flush(DEADLINE).is_conserved());
        drop(span!("after"));
    });
    assert!(tracer.flush(DEADLINE).is_conserved());
    tracer.context().run(|| drop(span!("next trace")));
    assert_eq!(tracer.shutdown(DEADLINE).sent(), 4);
    let spans = kept.spans();
    let find = |name: &str| spans.iter().find(|span| span.name() == name).expect("it was sent");
    let (outer, before, after, next) = (find("outer"), find("before"), find("after"), find("next trace"));
    let end = |span: &SpanRecord| span.start() + span.duration().expect("it ended");
    assert!(outer.start() <= before.start() && end(before) <= after.start(), "{outer:?} {before:?} {after:?}");
    assert!(end(after) <= end(outer), "{after:?} {outer:?}");
    assert!(outer.duration() < Some(HOUR / 2), "{outer:?}");
    assert!(outer.start() + HOUR / 2 > now, "it began before the step: {outer:?}");
    assert!(next.start() + HOUR / 2 < now, "a later trace has the new time: {next:?}");
}
