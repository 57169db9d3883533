//! Where in which trace a thread or task is.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use crate::recorder::event::Ids;
use crate::tracer::attribute;
use crate::tracer::endpoint::Endpoint;
use crate::tracer::id::{SpanId, TraceId};
use crate::tracer::local::{self, Local, Saved, Target, flag};
use crate::tracer::value::Value;

/// Whether a trace is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// Not decided yet: the first span of this process decides, by its tracer's sampler.
    #[default]
    Deferred,
    /// Not recorded; the ids are passed on all the same.
    Unsampled,
    /// Recorded.
    Sampled,
    /// Recorded, and kept by every sampler on the way.
    Debug,
}

/// A place in a trace: the ids that a new span gets its trace and parent from, and the tracer that records it.
///
/// It is *current* for a thread, or for a task while it is polled. It displays as `trace-span`, for log lines, and as
/// `-` when there is no trace.
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    ids: Ids,
}

impl Context {
    /// The context of the innermost span of this thread or task.
    #[must_use]
    pub fn current() -> Self {
        Self { ids: local::with(Local::current) }
    }

    /// No trace: attached, it hides the current one, and functions start traces of their own.
    #[must_use]
    pub const fn none() -> Self {
        Self { ids: Ids::NONE }
    }

    /// A span of another process, to be the parent of spans here: they belong to its trace.
    ///
    /// Its tracer is that of the context in which it is used, else the installed one.
    #[must_use]
    pub fn remote(trace: TraceId, span: SpanId, sampling: Sampling) -> Self {
        let flags = match sampling {
            Sampling::Deferred => 0,
            Sampling::Unsampled => flag::UNSAMPLED,
            Sampling::Sampled => flag::SAMPLED,
            Sampling::Debug => flag::SAMPLED | flag::DEBUG,
        };
        #[allow(clippy::cast_possible_truncation, reason = "the two halves of the id")]
        let (trace_high, trace_low) = ((trace.get() >> 64) as u64, trace.get() as u64);
        Self { ids: Ids { trace_high, trace_low, span: span.get(), flags, ..Ids::NONE } }
    }

    pub(crate) const fn from_ids(ids: Ids) -> Self {
        Self { ids }
    }

    pub(crate) const fn ids(&self) -> Ids {
        self.ids
    }

    /// The same, of the current context's tracer if it names none: for use on another thread.
    pub(crate) fn adopted(self) -> Self {
        Self { ids: local::with(|local| local.adopt(self.ids)) }
    }

    /// The trace; `None` where there is none.
    #[must_use]
    pub const fn trace_id(&self) -> Option<TraceId> {
        self.ids.trace()
    }

    /// The span that new spans have as parent; `None` where there is none.
    #[must_use]
    pub const fn span_id(&self) -> Option<SpanId> {
        SpanId::new(self.ids.span)
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub const fn sampling(&self) -> Sampling {
        if self.ids.is(flag::DEBUG) {
            Sampling::Debug
        } else if self.ids.is(flag::SAMPLED) {
            Sampling::Sampled
        } else if self.ids.is(flag::UNSAMPLED) {
            Sampling::Unsampled
        } else {
            Sampling::Deferred
        }
    }

    /// Whether there is no trace.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        !self.ids.has_trace()
    }

    /// Makes this the current context of the thread until the scope is dropped; then what was current before is
    /// current again. Attaching what is current already does nothing.
    pub fn attach(&self) -> Scope {
        let ids = self.ids;
        let saved = local::with(|local| (local.current() != ids).then(|| local.attach(&ids)));
        Scope { saved, not_send: PhantomData }
    }

    /// Runs `code` in this context.
    pub fn run<R>(&self, code: impl FnOnce() -> R) -> R {
        let _scope = self.attach();
        code()
    }

    /// A closure that runs `code` in this context, on whatever thread it is called:
    /// `thread::spawn(Context::current().wrap(move || work()))`.
    pub fn wrap<R>(self, code: impl FnOnce() -> R) -> impl FnOnce() -> R {
        let context = self.adopted();
        move || context.run(code)
    }

    /// Sets a tag on this context's span, from any thread. Nothing happens when it is of another process, or not
    /// recorded; a tag that comes after the span has ended is counted as late.
    pub fn tag(&self, key: &str, value: impl Value) {
        if let Some(target) = self.target() {
            attribute::tag(target, key, &value);
        }
    }

    /// Adds an annotation to this context's span, with the time of now.
    pub fn annotate(&self, text: &str) {
        if let Some(target) = self.target() {
            attribute::annotate(target, text);
        }
    }

    /// Marks this context's span as failed, with the text of the error and its sources. A tag `error` beats it.
    pub fn error<E: Error + ?Sized>(&self, error: &E) {
        if let Some(target) = self.target() {
            attribute::error(target, error);
        }
    }

    /// Says who is on the other side of this context's span.
    pub fn remote_endpoint(&self, remote: impl Into<Endpoint>) {
        if let Some(target) = self.target() {
            attribute::remote(target, &remote.into());
        }
    }

    fn target(&self) -> Option<Target> {
        target(&self.ids)
    }
}

/// Where attributes of a span with these ids go; `None` if they go nowhere.
pub(crate) const fn target(ids: &Ids) -> Option<Target> {
    if ids.key != 0 && ids.is_recorded() { Some(Target::Key { tracer: ids.tracer, key: ids.key }) } else { None }
}

/// No trace.
impl Default for Context {
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.trace_id(), self.span_id()) {
            (Some(trace), Some(span)) => write!(f, "{trace}-{span}"),
            (Some(trace), None) => write!(f, "{trace}"),
            (None, _) => f.write_str("-"),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({self}, {:?})", self.sampling())
    }
}

/// Until it is dropped, a context is the current one of its thread. Dropped out of order, scopes restore odd contexts,
/// and nothing worse.
#[must_use = "the context is current only until this is dropped: bind it, as in `let _scope = …`"]
#[derive(Debug)]
pub struct Scope {
    saved: Option<Saved>,
    not_send: PhantomData<*const ()>,
}

impl Scope {
    /// Makes `ids` current, whatever is current now.
    pub(crate) fn of(ids: Ids) -> Self {
        Self { saved: Some(local::with(|local| local.attach(&ids))), not_send: PhantomData }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            local::with(|local| local.restore(saved));
        }
    }
}

/// Sets a tag on the current span; without one nothing happens.
pub fn tag(key: &str, value: impl Value) {
    if local::with(Local::records) {
        attribute::tag(Target::Current, key, &value);
    }
}

/// Adds an annotation to the current span: an event with the time of now. Without a span nothing happens.
pub fn annotate(text: &str) {
    attribute::annotate(Target::Current, text);
}

/// Marks the current span as failed, with the text of the error and its sources; without a span nothing happens.
///
/// A function annotated with `#[traced]` that returns an `Err` does so by itself. A tag `error` beats it.
pub fn error<E: Error + ?Sized>(error: &E) {
    if local::with(Local::records) {
        attribute::error(Target::Current, error);
    }
}

/// Says who is on the other side of the current span: Zipkin draws its dependency graph from it.
pub fn remote(endpoint: impl Into<Endpoint>) {
    if local::with(Local::records) {
        attribute::remote(Target::Current, &endpoint.into());
    }
}

/// What may be a span's parent: a context, a span, or an option of these.
///
/// An empty context starts a new trace; `None` is as if no parent was given.
pub trait Parent: sealed::Sealed {
    /// Its context.
    #[doc(hidden)]
    fn context(&self) -> Option<Context>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Context {}
    impl Sealed for crate::tracer::span::Span {}
    impl<P: Sealed + ?Sized> Sealed for &P {}
    impl<P: Sealed> Sealed for Option<P> {}
}

impl Parent for Context {
    fn context(&self) -> Option<Context> {
        Some(self.clone())
    }
}

impl Parent for crate::tracer::span::Span {
    fn context(&self) -> Option<Context> {
        Some(self.context())
    }
}

impl<P: Parent + ?Sized> Parent for &P {
    fn context(&self) -> Option<Context> {
        (**self).context()
    }
}

impl<P: Parent> Parent for Option<P> {
    fn context(&self) -> Option<Context> {
        self.as_ref().and_then(Parent::context)
    }
}
