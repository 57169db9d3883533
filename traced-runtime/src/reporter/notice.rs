//! What the tracer has to tell the people who run the program: rarely, in one line, with what to do.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::reporter::stderr::print_within;

/// The least time between two notices of one kind; what happens meanwhile is counted into the next.
pub(crate) const NOTICE_EVERY: Duration = Duration::from_secs(60);

/// How long a notice waits for standard error, at most. One that has to wait longer is printed later, or never.
const PATIENCE: Duration = Duration::from_millis(200);

/// One line for the people who run the program: what happened, what was lost, what to do.
///
/// It goes to the hook that the builder's `on_notice` sets, else to standard error as `traced: …`. Notices of one kind are at
/// least a minute apart; what happens meanwhile is counted into the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    kind: NoticeKind,
    text: String,
}

impl Notice {
    pub(crate) fn new(kind: NoticeKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> NoticeKind {
        self.kind
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a [`Notice`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoticeKind {
    /// The backend cannot be reached; spans wait in the queue, and are dropped when it is full.
    Unreachable,
    /// The backend can be reached again.
    Recovered,
    /// The queue was full although the backend answers.
    QueueFull,
    /// The byte budget of the process's logs was used up.
    LogFull,
    /// The backend refused spans.
    Rejected,
    /// Spans were too large to be sent.
    TooLarge,
    /// Spans that were too large for a request lost tags or annotations, or the end of a name.
    Cut,
    /// A reporter, or a sender, failed or panicked.
    ReporterFailed,
    /// The redaction hook panicked.
    RedactionFailed,
    /// The spool cannot be written or read back, or is full.
    Spool,
    /// A setting, of the environment or of the program, is not used as it was given.
    Settings,
}

/// Where notices go.
#[derive(Clone)]
pub(crate) struct NoticeHook(Arc<dyn Fn(&Notice) + Send + Sync>);

impl NoticeHook {
    pub(crate) fn new(hook: impl Fn(&Notice) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    /// Calls the hook, which is the user's code: it may block, and a panic of it ends here.
    pub(crate) fn tell(&self, notice: &Notice) {
        contain(|| (self.0)(notice)).ok();
    }
}

impl Default for NoticeHook {
    /// Prints to standard error, and nothing at all when it is closed or stuck.
    fn default() -> Self {
        Self::new(|notice| {
            print_within(format!("traced: {notice}\n"), Instant::now() + PATIENCE);
        })
    }
}

impl fmt::Debug for NoticeHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoticeHook").finish_non_exhaustive()
    }
}

/// The hook, and when it was last called for what.
#[derive(Debug)]
pub(crate) struct Notices {
    hook: NoticeHook,
    /// Per kind the time of the last notice, and what was not told since.
    last: Vec<(NoticeKind, Instant, u64)>,
}

impl Notices {
    pub(crate) const fn new(hook: NoticeHook) -> Self {
        Self { hook, last: Vec::new() }
    }

    /// Tells about this many more spans, unless a notice of this kind was told less than [`NOTICE_EVERY`] ago; `text` gets the
    /// number of spans since then. Returns whether it was told.
    pub(crate) fn tell(
        &mut self,
        kind: NoticeKind,
        spans: u64,
        now: Instant,
        text: impl FnOnce(u64) -> String,
    ) -> bool {
        let mut total = spans;
        match self.last.iter_mut().find(|last| last.0 == kind) {
            // The end of something that was told is told.
            Some((_, told, missed))
                if kind != NoticeKind::Recovered && now.saturating_duration_since(*told) < NOTICE_EVERY =>
            {
                *missed += spans;
                return false;
            }
            Some((_, told, missed)) => {
                total += std::mem::take(missed);
                *told = now;
            }
            None => self.last.push((kind, now, 0)),
        }
        self.hook.tell(&Notice::new(kind, text(total)));
        true
    }
}

/// Runs the user's code; a panic becomes its message.
pub(crate) fn contain<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (None, Some(text)) => text.clone(),
            (None, None) => "no message".to_owned(),
        };
        // The payload is the user's, too, and its destructor may panic once more.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        message
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "panics are what is tested")]
    use super::*;

    #[test]
    fn a_panicking_hook_harms_nobody() {
        let hook = NoticeHook::new(|_| std::panic::panic_any(1_u8));
        hook.tell(&Notice::new(NoticeKind::Rejected, "x"));
    }

    #[test]
    fn notices_of_one_kind_are_a_minute_apart() {
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let sink = Arc::clone(&told);
        let hook = NoticeHook::new(move |notice| {
            if let Ok(mut told) = sink.lock() {
                told.push(notice.to_string());
            }
        });
        let mut notices = Notices::new(hook);
        let start = Instant::now();
        let mut tell = |kind, spans, seconds| {
            notices.tell(kind, spans, start + Duration::from_secs(seconds), |spans| format!("{kind:?} {spans}"))
        };
        assert!(tell(NoticeKind::Rejected, 1, 0));
        assert!(!tell(NoticeKind::Rejected, 2, 59));
        assert!(tell(NoticeKind::TooLarge, 4, 59));
        assert!(tell(NoticeKind::Rejected, 8, 60));
        assert!(tell(NoticeKind::Rejected, 16, 120));
        let told = told.lock().map(|told| told.clone()).unwrap_or_default();
        assert_eq!(told, ["Rejected 1", "TooLarge 4", "Rejected 10", "Rejected 16"]);
    }

    #[test]
    fn a_panic_becomes_its_message_even_if_its_payload_panics_again() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                assert!(std::thread::panicking(), "boom");
            }
        }
        assert_eq!(contain(|| std::panic::panic_any("text")), Err::<(), _>("text".to_owned()));
        assert_eq!(contain(|| std::panic::panic_any(Bomb)), Err::<(), _>("no message".to_owned()));
        assert_eq!(contain(|| 1), Ok(1));
    }
}
