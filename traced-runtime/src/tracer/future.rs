//! Futures and streams that carry a context from poll to poll, or are a span.

#![allow(unsafe_code, reason = "pin projection; a crate for it would not fit into the budget of dependencies")]

use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::thread::panicking;

use crate::private::Outcome;
use crate::propagation::baggage::Baggage;
use crate::recorder::event::Ids;
use crate::tracer::callsite::Callsite;
use crate::tracer::context::{Context, Scope};
use crate::tracer::kind::Outcome as Ending;
use crate::tracer::local;
use crate::tracer::span::Span;

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
                span.end(Ending::Returned, polls);
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
            span.end(Ending::Panicked, polls);
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
        self.span.end(Ending::Cancelled, self.polls);
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
    /// Before the first poll the context of the call, then the span.
    ids: Ids,
    /// Away while it is polled: then it is the thread's.
    baggage: Option<Arc<Baggage>>,
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
    /// Polled, in a context to be carried along.
    Carrying,
    /// Done, panicked, or without anything to carry: polls pass through.
    Passing,
}

impl<F, O> InSpan<F, O> {
    /// `outcome` is told the returned value, inside the span.
    pub(crate) fn new(site: &'static Callsite, parent: Option<Context>, future: F, outcome: O) -> Self {
        let fixed_parent = parent.is_some() || site.root;
        let (ids, baggage) = match parent {
            Some(context) => context.adopted().into_parts(),
            None => {
                let (current, baggage) = local::with(|local| (local.current(), local.baggage()));
                (if site.root && current.has_trace() { current.rootless() } else { current }, baggage)
            }
        };
        Self {
            future: Some(future),
            outcome,
            site,
            ids,
            baggage,
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

    #[cold]
    fn begin(&mut self) {
        self.phase = Phase::Passing;
        let parent = local::with(|local| {
            let current = local.current();
            if self.fixed_parent || (!current.has_trace() && current.tracer == 0) {
                return self.ids;
            }
            self.baggage = local.baggage();
            current
        });
        if let Some((ids, start)) = local::with(|local| local.open(parent, self.site, self.site.roots())) {
            (self.ids, self.start, self.phase) = (ids, start, Phase::Carrying);
        } else if parent.has_trace() || parent.tracer != 0 {
            (self.ids, self.phase) = (parent, Phase::Carrying);
        }
    }

    /// Whether the context that is carried is this future's own span.
    fn is_recorded(&self) -> bool {
        self.start != 0 && self.phase == Phase::Carrying
    }

    fn end(&mut self, ending: Ending) {
        if self.is_recorded() {
            local::with(|local| {
                local.finish(self.site, &self.ids, self.start, ending, self.polls, self.begun);
            });
        }
        self.phase = Phase::Passing;
    }
}

/// Puts the caller's context back when a poll is over, however it ends, and marks the span of a poll that panicked.
struct Polling<'a, F, O> {
    of: &'a mut InSpan<F, O>,
    saved: Option<local::Saved>,
    was_panicking: bool,
    done: bool,
}

impl<F, O> Drop for Polling<'_, F, O> {
    #[inline]
    fn drop(&mut self) {
        if let Some(saved) = self.saved.take() {
            self.of.baggage = local::with(|local| local.restore(saved));
        }
        if !self.done && !self.was_panicking {
            self.of.end(Ending::Panicked);
        }
    }
}

impl<F: Future, O: Fn(&F::Output, Outcome)> Future for InSpan<F, O> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<F::Output> {
        // SAFETY: what is pinned with the whole is `future` alone, which `poll_future` and `drop` leave in place.
        let this = unsafe { self.get_unchecked_mut() };
        if this.phase == Phase::New {
            this.begin();
        }
        if this.phase == Phase::Passing {
            return this.poll_future(task);
        }
        this.polls = this.polls.saturating_add(1);
        let was_panicking = panicking();
        let saved = Some(local::with(|local| local.attach(&this.ids, this.baggage.take())));
        let mut polling = Polling { of: this, saved, was_panicking, done: false };
        let result = polling.of.poll_future(task);
        if let Poll::Ready(value) = &result {
            if polling.of.is_recorded() {
                (polling.of.outcome)(value, Outcome::of_current());
            }
        }
        polling.done = true;
        drop(polling);
        if result.is_ready() {
            this.end(Ending::Returned);
        } else if !this.begun && this.is_recorded() {
            this.begun = local::with(|local| local.begin(this.site, &this.ids, this.start));
        }
        result
    }
}

impl<F, O> Drop for InSpan<F, O> {
    fn drop(&mut self) {
        let scope = (self.phase == Phase::Carrying).then(|| Scope::of(self.ids, self.baggage.take()));
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
        self.of.end(Ending::Cancelled);
    }
}
