//! What the tracer has to tell the people who run the program: rarely, in one line, with what to do.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::process::stderr::print_within;

/// The least time between two notices of one kind and cause; repeats are counted into the next of the kind.
pub(crate) const NOTICE_EVERY: Duration = Duration::from_secs(60);

/// Causes that are told of one kind in that time, and in one outage. Beyond it a new one is not told.
pub(crate) const CAUSES: usize = 8;

/// How long a notice waits for standard error, at most. One that has to wait longer is printed later, or never.
const PATIENCE: Duration = Duration::from_millis(200);

/// One line for the people who run the program: what happened, what was lost, what to do.
///
/// It goes to the hook that the builder's `on_notice` sets, else to standard error as `traced: …`. Notices of one kind and cause
/// are at least a minute apart; repeats are counted into the next. Eight causes of one kind are told in that time.
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
    /// The backend cannot be reached, or says that it cannot take spans now; they wait in the queue, and are dropped when it is
    /// full.
    Unreachable,
    /// The backend has taken spans again.
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
    /// The spool cannot be written or read back, or is full; files are gone from it, or others have put some there.
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

/// Why something fails. Notices of one kind tell causes apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cause(String);

impl Cause {
    /// What a message says without its digits: ports, times and ids differ from failure to failure.
    pub(crate) fn of_text(text: &str) -> Self {
        const CHARACTERS: usize = 200;
        Self(text.chars().filter(|c| !c.is_ascii_digit()).take(CHARACTERS).collect())
    }

    /// An HTTP collector's answer, whatever it says beside the status.
    pub(crate) fn of_status(status: u16) -> Self {
        Self(status.to_string())
    }
}

/// The hook, and when it was last called for what.
#[derive(Debug)]
pub(crate) struct Notices {
    hook: NoticeHook,
    /// The notices of the last minute.
    last: Vec<(NoticeKind, Cause, Instant)>,
    /// Spans of each kind that were not told since.
    missed: Vec<(NoticeKind, u64)>,
}

impl Notices {
    pub(crate) const fn new(hook: NoticeHook) -> Self {
        Self { hook, last: Vec::new(), missed: Vec::new() }
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
        self.tell_cause(kind, &Cause::default(), spans, now, text)
    }

    /// The same for one of the causes that are told apart, of which each has a minute of its own.
    pub(crate) fn tell_cause(
        &mut self,
        kind: NoticeKind,
        cause: &Cause,
        spans: u64,
        now: Instant,
        text: impl FnOnce(u64) -> String,
    ) -> bool {
        self.last.retain(|(_, _, told)| now.saturating_duration_since(*told) < NOTICE_EVERY);
        let of_kind = || self.last.iter().filter(|(other, ..)| *other == kind);
        let is_due = of_kind().all(|(_, known, _)| known != cause) && of_kind().count() < CAUSES;
        let missed = self.missed.iter().position(|(other, _)| *other == kind);
        let missed = missed.map_or(0, |at| self.missed.swap_remove(at).1).saturating_add(spans);
        // The end of something that was told is told.
        if kind != NoticeKind::Recovered {
            if !is_due {
                self.missed.push((kind, missed));
                return false;
            }
            self.last.push((kind, cause.clone(), now));
        }
        self.hook.tell(&Notice::new(kind, text(missed)));
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
    fn each_cause_has_a_minute_of_its_own_and_a_few_are_told() {
        let mut notices = Notices::new(NoticeHook::new(|_| ()));
        let start = Instant::now();
        let mut tell = |cause: &str, spans, seconds| {
            let mut total = None;
            let now = start + Duration::from_secs(seconds);
            let cause = Cause::of_text(cause);
            notices.tell_cause(NoticeKind::Rejected, &cause, spans, now, |spans| {
                total = Some(spans);
                String::new()
            });
            total
        };
        assert_eq!(tell("refused by 127.0.0.1:80", 1, 0), Some(1));
        assert_eq!(tell("refused by 127.0.0.1:81", 2, 1), None);
        // What was not told is counted into the next of the kind.
        assert_eq!(tell("reset", 4, 1), Some(6));
        assert_eq!(tell("refused by 127.0.0.1:82", 8, 2), None);
        let more = (0..100).filter(|number| tell(&"x".repeat(*number), 1, 3).is_some()).count();
        assert_eq!(more, CAUSES - 2);
        assert_eq!(tell("refused by 127.0.0.1:83", u64::MAX, 60), Some(u64::MAX));
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
