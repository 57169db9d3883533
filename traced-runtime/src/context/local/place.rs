//! The current context of a thread: its own, or one that a future lends it for the time of a poll.

#![allow(unsafe_code, reason = "reads a context through a pointer to the future that is being polled")]

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr;
use std::sync::Arc;

use super::open::Left;
use crate::context::Context;
use crate::model::ids::Ids;
use crate::propagation::baggage::Baggage;

/// Where the current context is.
///
/// A future of a recorded span is polled often and seldom asked who it is: its context stays where it is, and a pointer to
/// it takes two moves where the context itself would take thirty. Whatever changes the context, or keeps it longer than the
/// poll, makes a copy first: the pointer is remembered by nothing but the poll of another future inside.
///
/// Polls end in the order opposite to that in which they began, unless stackful coroutines suspend them half-way. So only
/// the poll whose frame is current puts back what was there before. Where another one ends, no frame of the thread is
/// trusted any more: what its coroutines record later may get another parent.
///
/// What the thread owns has no destructor: with one the thread local would be registered on first use, and asked about at
/// each. A context that is still attached when its thread ends was leaked, and so is its baggage.
pub(super) struct Place {
    /// The thread's own.
    own: Own,
    /// Of the poll that lends a context, or null. It and all frames that are before it are on stacks that are still there.
    frame: Cell<*const Frame>,
    /// One more each time that polls ended in disorder: frames of earlier ones are not trusted.
    epoch: Cell<u64>,
}

struct Own {
    ids: Cell<Ids>,
    baggage: Cell<ManuallyDrop<Option<Arc<Baggage>>>>,
}

/// A context that is lent, on the stack of a poll, and what was there before.
pub(crate) struct Frame {
    context: *const Context,
    before: *const Self,
    pub(super) left: Left,
    kept: *const Kept,
}

/// A place beside a frame for what the thread owned, if that has to give way meanwhile.
pub(crate) struct Kept {
    /// The epoch in which something was kept; 0 when nothing is there.
    since: Cell<u64>,
    own: UnsafeCell<MaybeUninit<(Ids, Option<Arc<Baggage>>)>>,
}

impl Kept {
    /// Nothing.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self { since: Cell::new(0), own: UnsafeCell::new(MaybeUninit::uninit()) }
    }
}

impl Frame {
    /// A frame that lends this context.
    #[inline(always)]
    pub(super) const fn new(context: *const Context, kept: *const Kept, left: Left) -> Self {
        Self { context, before: ptr::null(), left, kept }
    }
}

impl Own {
    fn replace_baggage(&self, baggage: Option<Arc<Baggage>>) -> Option<Arc<Baggage>> {
        ManuallyDrop::into_inner(self.baggage.replace(ManuallyDrop::new(baggage)))
    }
}

impl Place {
    /// No context.
    pub(super) const fn empty() -> Self {
        let own = Own { ids: Cell::new(Ids::NONE), baggage: Cell::new(ManuallyDrop::new(None)) };
        Self { own, frame: Cell::new(ptr::null()), epoch: Cell::new(1) }
    }

    /// Whether what is current is lent.
    #[inline]
    pub(super) fn is_lent(&self) -> bool {
        !self.frame.get().is_null()
    }

    #[inline]
    fn lent(&self) -> Option<&Context> {
        // SAFETY: who lends a context takes it back before it goes, by the promise given to `lend`; nobody writes it
        // meanwhile, and the reference does not leave the methods of this type, which call nothing that could take it back.
        unsafe { self.frame.get().as_ref().map(|frame| &*frame.context) }
    }

    /// Whether this context is lent, as that of the same span without baggage.
    #[inline]
    pub(super) fn lends(&self, context: &Context) -> bool {
        self.lent().is_some_and(|lent| lent.is_plainly(context))
    }

    /// The context, if it is lent.
    #[inline(always)]
    pub(super) fn lent_copy(&self) -> Option<Context> {
        self.lent().cloned()
    }

    /// Its ids, but for the spans inside it.
    #[inline]
    pub(super) fn ids(&self) -> Ids {
        self.lent().map_or_else(|| self.own.ids.get(), Context::ids)
    }

    /// Changes the ids of what is current.
    #[inline]
    pub(super) fn set_ids(&self, ids: Ids) {
        if self.is_lent() {
            self.own_it();
        }
        self.own.ids.set(ids);
    }

    /// Changes the thread's own ids to none, if they are current and have none of these flags.
    #[inline]
    pub(super) fn clear_own(&self, flags: u16) -> bool {
        // SAFETY: nobody writes it meanwhile.
        let has_any = unsafe { (*self.own.ids.as_ptr()).is(flags) };
        let is_cleared = !self.is_lent() && !has_any;
        if is_cleared {
            self.own.ids.set(Ids::NONE);
        }
        is_cleared
    }

    /// Makes the thread's own what was lent to it. What it owned before is kept in the frame.
    #[cold]
    fn own_it(&self) {
        // SAFETY: as in `lent`.
        let Some(frame) = (unsafe { self.frame.replace(ptr::null()).as_ref() }) else { return };
        // SAFETY: as in `lent`.
        let context = unsafe { &*frame.context };
        let ids = self.own.ids.replace(context.ids());
        let baggage = self.own.replace_baggage(context.all_baggage());
        // SAFETY: it is beside the frame.
        let kept = unsafe { &*frame.kept };
        debug_assert!(kept.since.get() == 0, "a frame is left once");
        // SAFETY: nobody else reads or writes it; it is written once, because the frame is not found here again.
        unsafe { (*kept.own.get()).write((ids, baggage)) };
        kept.since.set(self.epoch.get());
    }

    #[inline]
    pub(super) fn has_baggage(&self) -> bool {
        match self.lent() {
            Some(lent) => lent.has_baggage(),
            // SAFETY: nobody writes it meanwhile.
            None => unsafe { (*self.own.baggage.as_ptr()).is_some() },
        }
    }

    /// A reference to its baggage.
    #[inline]
    pub(super) fn baggage(&self) -> Option<Arc<Baggage>> {
        if let Some(lent) = self.lent() {
            return lent.all_baggage();
        }
        // SAFETY: to count a reference runs no code that could write it.
        unsafe { Option::clone(&*self.own.baggage.as_ptr()) }
    }

    /// Puts another context of the thread's own there, and gives what was current.
    pub(super) fn replace(&self, ids: Ids, baggage: Option<Arc<Baggage>>) -> (Ids, Option<Arc<Baggage>>) {
        if self.is_lent() {
            self.own_it();
        }
        (self.own.ids.replace(ids), self.own.replace_baggage(baggage))
    }

    /// Makes the frame's context current until it is [taken back](Self::take_back).
    ///
    /// # Safety
    /// Until then frame, what is beside it, and context stay where they are, and the context is not written.
    #[inline(always)]
    pub(super) unsafe fn lend(&self, frame: &mut Frame) {
        frame.before = self.frame.get();
        self.frame.set(frame);
    }

    /// Makes current what was so before, if this frame is current. `false`: the context became the thread's own, or
    /// another coroutine's frame is current; what was there is to be [put back](Self::own_again).
    #[inline(always)]
    pub(super) fn take_back(&self, frame: &Frame) -> bool {
        let is_current = ptr::eq(self.frame.get(), frame);
        if is_current {
            self.frame.set(frame.before);
        }
        is_current
    }

    /// Puts back what gave way to a frame that is not current, and gives the baggage that the thread has come to own.
    #[cold]
    pub(super) fn own_again(&self, frame: &Frame) -> Option<Arc<Baggage>> {
        // SAFETY: it is beside the frame.
        let kept = unsafe { &*frame.kept };
        let since = kept.since.replace(0);
        if since == self.epoch.get() && !self.is_lent() {
            // All that was lent after it was taken back: what is before it is as it was.
            self.frame.set(frame.before);
        } else {
            // A later frame is still there, which may outlive what it has before it; and so may this one.
            self.frame.set(ptr::null());
            self.epoch.set(self.epoch.get() + 1);
        }
        if since == 0 {
            return None;
        }
        // SAFETY: it was written when `since` was set, and is taken out once.
        let (ids, baggage) = unsafe { (*kept.own.get()).assume_init_read() };
        self.own.ids.set(ids);
        self.own.replace_baggage(baggage)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("ids", &self.ids()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("since", &self.since).finish_non_exhaustive()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("left", &self.left).finish_non_exhaustive()
    }
}
