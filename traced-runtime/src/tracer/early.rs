//! A guard that was not bound: tracing ended where it began, and the program goes on and wants to be traced.

use std::sync::Mutex;
use std::time::Duration;

use crate::process::notice::{Notice, NoticeHook, NoticeKind};
use crate::process::thread::spawn_quiet;
use crate::recorder::slot::Slot;

/// A guard that is dropped later than this after it was made was bound.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(100);

/// The last early end, until it is told. It is tried, never waited for: in a forked child its holder may be gone.
static EARLY: Mutex<Option<EarlyEnd>> = Mutex::new(None);

struct EarlyEnd {
    life: Duration,
    notice: NoticeHook,
}

/// Nothing was recorded, and tracing lasted so long. A short program that ends now has done all right, so it is not told before
/// the first span that would start.
pub(crate) fn ended(life: Duration, notice: NoticeHook) {
    if let Ok(mut early) = EARLY.try_lock() {
        *early = Some(EarlyEnd { life, notice });
        drop(early);
        Slot::watch_for_roots(missed);
    }
}

/// A span would start here, if a tracer was installed. Tells, on a thread of its own, if that ended early.
fn missed() {
    let Some(EarlyEnd { life, notice }) = EARLY.try_lock().ok().and_then(|mut early| early.take()) else { return };
    let told = spawn_quiet("traced-notice".to_owned(), move || {
        let text = format!(
            "tracing ended {life:.0?} after install, and spans start that are not recorded; bind it to `_tracing`: \
             `let _tracing = …`"
        );
        notice.tell(&Notice::new(NoticeKind::Settings, text));
    });
    // Without a thread it stays untold: this one is the program's.
    drop(told);
}
