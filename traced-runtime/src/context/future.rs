//! Futures and streams that carry a context from poll to poll, or are a span.

#![allow(unsafe_code, reason = "pin projection; a crate for it would not fit into the budget of dependencies")]

use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{self, Poll};
use std::thread::panicking;

use crate::context::local;
use crate::context::span::Span;
use crate::context::verdict::Verdict;
use crate::context::{Context, Scope};
use crate::model::callsite::Callsite;
use crate::model::kind::Outcome;

/// Ways to give a future or stream a context: it is the current one while the future is polled, and while it is
/// dropped.
///
/// ```
/// use traced_runtime::{Context, InContext, Span};
///
/// # async fn work() {}
/// let same_trace = work().in_current_context();
/// let of_another = work().in_context(Context::none());
/// let own_span = work().in_span(Span::start("work"));
/// ```
pub trait InContext: Sized {
    /// Runs it in the context that is current now.
    fn in_current_context(self) -> WithContext<Self> {
        self.in_context(Context::current())
    }

    /// Runs it in this context.
    fn in_context(self, context: Context) -> WithContext<Self> {
        WithContext { inner: ManuallyDrop::new(self), context: context.adopted() }
    }

    /// Runs it inside this span, which ends with it. Dropped before it was done, the span is *cancelled*.
    fn in_span(self, span: Span) -> WithSpan<Self> {
        WithSpan { inner: ManuallyDrop::new(self), span, polls: 0 }
    }
}

impl<T> InContext for T {}

/// A future or stream with a context; made by [`InContext`].
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct WithContext<T> {
    /// Dropped by our own `drop`, inside the context.
    inner: ManuallyDrop<T>,
    context: Context,
}

impl<T> WithContext<T> {
    fn project(self: Pin<&mut Self>) -> (Pin<&mut T>, &Context) {
        // SAFETY: `inner` is pinned with the whole: it never moves out, and `drop` leaves it in place.
        unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut *this.inner), &this.context)
        }
    }
}

impl<F: Future> Future for WithContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<F::Output> {
        let (inner, context) = self.project();
        let _scope = context.attach();
        inner.poll(task)
    }
}

#[cfg(feature = "stream")]
impl<S: futures_core::Stream> futures_core::Stream for WithContext<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Option<S::Item>> {
        let (inner, context) = self.project();
        let _scope = context.attach();
        inner.poll_next(task)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<T> Drop for WithContext<T> {
    fn drop(&mut self) {
        let _scope = self.context.attach();
        // SAFETY: nothing uses it after this; it is dropped where it is pinned.
        unsafe { ManuallyDrop::drop(&mut self.inner) };
    }
}

/// A future or stream inside a span of its own; made by [`InContext::in_span`].
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct WithSpan<T> {
    /// Dropped by our own `drop`, inside the span.
    inner: ManuallyDrop<T>,
    span: Span,
    polls: u32,
}

impl<T> WithSpan<T> {
    /// Polls inside the span, and ends it when `is_done` says so or the poll panics.
    fn poll_inside<R>(
        self: Pin<&mut Self>,
        poll: impl FnOnce(Pin<&mut T>) -> Poll<R>,
        is_done: fn(&R) -> bool,
    ) -> Poll<R> {
        // SAFETY: `inner` is pinned with the whole: it never moves out, and `drop` leaves it in place.
        let this = unsafe { self.get_unchecked_mut() };
        this.polls = this.polls.saturating_add(1);
        let scope = this.span.context().attach();
        let mut unwound = Unwound { span: Some((&mut this.span, this.polls)), scope: Some(scope) };
        // SAFETY: as above.
        let result = poll(unsafe { Pin::new_unchecked(&mut *this.inner) });
        let ended = unwound.span.take();
        drop(unwound);
        if let (Poll::Ready(result), Some((span, polls))) = (&result, ended) {
            if is_done(result) {
                span.end(Outcome::Returned, polls);
            }
        }
        result
    }
}

/// Ends a span as panicked if it is dropped with it.
struct Unwound<'a> {
    span: Option<(&'a mut Span, u32)>,
    scope: Option<Scope>,
}

impl Drop for Unwound<'_> {
    fn drop(&mut self) {
        self.scope = None;
        if let Some((span, polls)) = self.span.take() {
            span.end(Outcome::Panicked, polls);
        }
    }
}

impl<F: Future> Future for WithSpan<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<F::Output> {
        self.poll_inside(|inner| inner.poll(task), |_| true)
    }
}

#[cfg(feature = "stream")]
impl<S: futures_core::Stream> futures_core::Stream for WithSpan<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Option<S::Item>> {
        self.poll_inside(|inner| inner.poll_next(task), Option::is_none)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<T> Drop for WithSpan<T> {
    fn drop(&mut self) {
        {
            let _scope = self.span.context().attach();
            // SAFETY: nothing uses it after this; it is dropped where it is pinned.
            unsafe { ManuallyDrop::drop(&mut self.inner) };
        }
        self.span.end(Outcome::Cancelled, self.polls);
    }
}

/// The future of a `#[traced]` async function.
///
/// The span starts at the first poll, below the context of the polling thread, or of the call if that thread has none.
/// It lives inside the future. A future that is never polled is no span.
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct InSpan<F, O> {
    /// Dropped by our own `drop`, inside the span; there until then. A `ManuallyDrop` would be two types around it
    /// instead of one, of which the compiler counts all in nested futures, up to 128.
    future: Option<F>,
    outcome: O,
    site: &'static Callsite,
    /// Before the first poll that of the call, then the span's. While that is polled it is lent to the thread.
    context: Context,
    start: u64,
    polls: u32,
    phase: Phase,
    /// Whether the context of the call is the parent, whatever the polling thread has.
    fixed_parent: bool,
    begun: bool,
}

/// A future of which it is known what it gives before it is known that it does.
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct Giving<T, F> {
    future: F,
    gives: PhantomData<fn() -> T>,
}

impl<T, F> Giving<T, F> {
    pub(crate) const fn new(future: F) -> Self {
        Self { future, gives: PhantomData }
    }
}

impl<T, F: Future<Output = T>> Future for Giving<T, F> {
    type Output = T;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<T> {
        // SAFETY: `future` is pinned with the whole: it never moves out, and there is no `drop`.
        unsafe { self.map_unchecked_mut(|this| &mut this.future) }.poll(task)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not polled yet.
    New,
    /// Polled, in a context to be carried along: what is below has its span as parent.
    Carrying,
    /// Polled, in the span.
    Recorded,
    /// Done, panicked, or without anything to carry: polls pass through.
    Passing,
}

impl<F, O> InSpan<F, O> {
    /// `outcome` is told the returned value, inside the span.
    #[inline]
    pub(crate) fn new(site: &'static Callsite, parent: Option<Context>, future: F, outcome: O) -> Self {
        let fixed_parent = parent.is_some() || site.root;
        let context = match parent {
            Some(context) => context.adopted(),
            None => {
                let mut current = local::with(|local| local.context());
                if site.root && !current.is_none() {
                    current.set_ids(current.ids().rootless());
                }
                current
            }
        };
        Self {
            future: Some(future),
            outcome,
            site,
            context,
            start: 0,
            polls: 0,
            phase: Phase::New,
            fixed_parent,
            begun: false,
        }
    }
}

impl<F, O> InSpan<F, O> {
    /// Polls what is inside. The whole is pinned: this is called by its `poll` alone.
    #[inline]
    fn poll_future(&mut self, task: &mut task::Context<'_>) -> Poll<F::Output>
    where
        F: Future,
    {
        match &mut self.future {
            // SAFETY: it is pinned with the whole: it never moves out, and `drop` leaves it in place.
            Some(future) => unsafe { Pin::new_unchecked(future) }.poll(task),
            None => Poll::Pending,
        }
    }

    fn begin(&mut self) {
        if !self.fixed_parent {
            if let Some(start) = local::with(|local| local.open_here(&mut self.context)) {
                (self.start, self.phase) = (start, Phase::Recorded);
                return;
            }
        }
        self.begin_anywhere();
    }

    #[cold]
    fn begin_anywhere(&mut self) {
        self.phase = Phase::Passing;
        if !self.fixed_parent {
            let current = Context::current();
            if !current.is_none() || current.ids().tracer != 0 {
                self.context = current;
            }
        }
        let parent = self.context.ids();
        match local::with(|local| local.open(parent, self.site, self.site.roots())) {
            Some((ids, start)) => {
                self.context.set_ids(ids);
                (self.start, self.phase) = (start, if start == 0 { Phase::Carrying } else { Phase::Recorded });
            }
            None if parent.has_trace() || parent.tracer != 0 => self.phase = Phase::Carrying,
            None => {}
        }
    }

    fn end(&mut self, outcome: Outcome) {
        if self.phase == Phase::Recorded {
            local::with(|local| {
                local.finish(self.site, self.context.ids_ref(), self.start, outcome, self.polls, self.begun);
            });
        }
        self.phase = Phase::Passing;
    }
}

impl<F: Future, O: Fn(&F::Output, Verdict)> InSpan<F, O> {
    /// Polls inside a context that is no span of its own.
    #[cold]
    fn poll_carrying(&mut self, task: &mut task::Context<'_>) -> Poll<F::Output> {
        let scope = Scope::of(self.context.ids(), self.context.all_baggage());
        let mut passing = PassingOnUnwind { phase: &mut self.phase, returned: false };
        let result = match &mut self.future {
            // SAFETY: as in `poll_future`.
            Some(future) => unsafe { Pin::new_unchecked(future) }.poll(task),
            None => Poll::Pending,
        };
        passing.returned = result.is_pending();
        drop(passing);
        drop(scope);
        result
    }

    /// Polls inside the span.
    #[inline]
    fn poll_recorded(&mut self, task: &mut task::Context<'_>) -> Poll<F::Output> {
        self.polls = self.polls.saturating_add(1);
        // What is lent must not be borrowed mutably meanwhile: the fields are reached one by one.
        let this: *mut Self = self;
        let result = {
            let was_panicking = panicking();
            // SAFETY: it is ours.
            let context = unsafe { &raw const (*this).context };
            let kept = local::Kept::new();
            let frame = local::with(|local| local.frame(context, &raw const kept));
            let mut polling = Polling { of: this, frame, was_panicking };
            // SAFETY: `polling` and `kept` stay where they are until the context is taken back below, or when it is dropped because the poll
            // panics. Until then nobody writes the context, and the future is pinned with the whole.
            local::with(|local| unsafe { local.lend(&mut polling.frame) });
            // SAFETY: it is ours, and pinned with the whole.
            let result = match unsafe { &mut (*this).future } {
                // SAFETY: as in `poll_future`.
                Some(future) => unsafe { Pin::new_unchecked(future) }.poll(task),
                None => Poll::Pending,
            };
            if let Poll::Ready(value) = &result {
                // SAFETY: it is ours.
                let outcome = unsafe { &(*this).outcome };
                outcome(value, Verdict::of_current());
            }
            local::with(|local| local.take_back(&mut polling.frame));
            std::mem::forget(polling);
            result
        };
        if result.is_ready() {
            self.end(Outcome::Returned);
        } else if !self.begun {
            self.begun = local::with(|local| local.begin(self.site, self.context.ids_ref(), self.start));
        }
        result
    }
}

/// Takes the context back when a poll panics, and marks the span.
struct Polling<F, O> {
    of: *mut InSpan<F, O>,
    frame: local::Frame,
    was_panicking: bool,
}

impl<F, O> Drop for Polling<F, O> {
    #[cold]
    fn drop(&mut self) {
        local::with(|local| local.take_back(&mut self.frame));
        if !self.was_panicking {
            // SAFETY: it is what `poll_recorded` has borrowed, on whose stack this is.
            unsafe { &mut *self.of }.end(Outcome::Panicked);
        }
    }
}

/// A future that is done, or panicked, carries nothing any more.
struct PassingOnUnwind<'a> {
    phase: &'a mut Phase,
    returned: bool,
}

impl Drop for PassingOnUnwind<'_> {
    fn drop(&mut self) {
        if !self.returned {
            *self.phase = Phase::Passing;
        }
    }
}

impl<F: Future, O: Fn(&F::Output, Verdict)> Future for InSpan<F, O> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<F::Output> {
        // SAFETY: what is pinned with the whole is `future` alone, which polling and `drop` leave in place.
        let this = unsafe { self.get_unchecked_mut() };
        if this.phase == Phase::New {
            this.begin();
        }
        match this.phase {
            Phase::Recorded => this.poll_recorded(task),
            Phase::Carrying => this.poll_carrying(task),
            Phase::New | Phase::Passing => this.poll_future(task),
        }
    }
}

impl<F, O> Drop for InSpan<F, O> {
    fn drop(&mut self) {
        // Of one that is done nothing is left to tell.
        if matches!(self.phase, Phase::Carrying | Phase::Recorded) {
            self.cancel();
        }
    }
}

impl<F, O> InSpan<F, O> {
    #[cold]
    fn cancel(&mut self) {
        let scope = Some(Scope::of(self.context.ids(), self.context.take_baggage()));
        let dropping = Dropping { of: self, scope };
        // Dropped where it is pinned.
        dropping.of.future = None;
        drop(dropping);
    }
}

/// Ends the span after what the future held is gone, even if dropping that panics.
struct Dropping<'a, F, O> {
    of: &'a mut InSpan<F, O>,
    scope: Option<Scope>,
}

impl<F, O> Drop for Dropping<'_, F, O> {
    fn drop(&mut self) {
        self.scope = None;
        self.of.end(Outcome::Cancelled);
    }
}
