//! What is open in the current context of a thread.

use std::cell::Cell;
use std::sync::atomic::{Ordering, compiler_fence};

/// The registers that change with the context.
///
/// Those of a thread and the [left](Left) ones have their fields in different orders, so that no two of them are copied with
/// one wide load: a load that spans several stores which are still under way waits for all of them, and a context is left
/// again right after it was come to.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Open {
    /// Position of the scope event of the context; 0 when it is not written.
    pub(super) scope: Cell<u64>,
    /// Position of the innermost open sync span that belongs to the context; 0 when there is none.
    pub(super) inner: Cell<u64>,
    /// Open sync spans of the thread, each with room in reserve for its end; [`WRITING`] while the thread writes its log.
    pub(super) depth: Cell<u32>,
    /// Tells the spans of the context from those of others that are open: another number each time that a context is
    /// attached or a trace begins. One in a nanosecond would use them up in 580 years.
    pub(super) stay: Cell<u64>,
    /// The span that started the trace by itself, and ends the context with itself: position or token.
    pub(super) root: Cell<u64>,
}

/// A depth for which no chunk has room in reserve. A signal handler that interrupts a writing thread, and records, finds
/// it: the hot path has no room then, and what is off it looks. So events are never torn, at the cost of one store each.
const WRITING: u32 = 1 << 24;

/// What was open in a context that another one replaced.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Left {
    pub(super) inner: u64,
    root: u64,
    depth: u32,
    /// Whether there was no context at all.
    pub(super) was_off: bool,
    stay: u64,
    pub(super) scope: u64,
}

impl Open {
    pub(super) const fn none() -> Self {
        Self { scope: Cell::new(0), inner: Cell::new(0), depth: Cell::new(0), stay: Cell::new(0), root: Cell::new(0) }
    }

    /// Marks the thread as writing. Room in the log is looked for after this: a handler may have used it up before.
    #[inline(always)]
    pub(super) fn mark(&self) {
        self.depth.set(WRITING);
        // For the handler, which is the same thread, the order of the code is what counts.
        compiler_fence(Ordering::SeqCst);
    }

    /// Whether the thread is writing.
    #[inline(always)]
    pub(super) fn is_writing(&self) -> bool {
        Self::is_mark(self.depth.get())
    }

    /// Whether a depth is none, but the mark of a writing thread.
    #[inline(always)]
    pub(super) const fn is_mark(depth: u32) -> bool {
        depth == WRITING
    }

    /// All is written.
    #[inline(always)]
    pub(super) fn written(&self, depth: u32) {
        compiler_fence(Ordering::SeqCst);
        self.depth.set(depth);
    }

    /// Nothing is open but for the depth, which is the thread's. Gives what was.
    #[inline(always)]
    pub(super) fn leave(&self, stay: u64, was_off: bool) -> Left {
        Left {
            inner: self.inner.replace(0),
            root: self.root.replace(0),
            depth: self.depth.get(),
            stay: self.stay.replace(stay),
            was_off,
            scope: self.scope.replace(0),
        }
    }

    /// What [`leave`](Self::leave) gave is open again.
    #[inline(always)]
    pub(super) fn return_to(&self, left: &Left) {
        self.inner.set(left.inner);
        self.root.set(left.root);
        self.depth.set(left.depth);
        self.stay.set(left.stay);
        self.scope.set(left.scope);
    }
}
