//! What the tracer has to tell the people who run the program: rarely, in one line, with what to do.

use std::fmt;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// One line for the people who run the program: what happened, what was lost, what to do.
///
/// It goes to the hook that the builder's `on_notice` sets, else to standard error as `traced: …`. Notices of one kind are at
/// least a minute apart.
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
    /// The backend refused spans.
    Rejected,
    /// Spans were too large to be sent.
    TooLarge,
    /// A reporter, or a sender, failed or panicked.
    ReporterFailed,
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
    /// Prints to standard error, and nothing at all when it is closed.
    fn default() -> Self {
        Self::new(|notice| {
            // One write, so that lines of several threads do not mix.
            let line = format!("traced: {notice}\n");
            std::io::stderr().write_all(line.as_bytes()).ok();
        })
    }
}

impl fmt::Debug for NoticeHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoticeHook").finish_non_exhaustive()
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
