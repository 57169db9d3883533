//! Where in which trace a thread or task is.

pub(crate) mod attribute;
pub(crate) mod future;
pub(crate) mod local;
pub(crate) mod span;
mod span_macro;
pub(crate) mod value;
pub(crate) mod verdict;

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use self::local::{Local, Saved, Target};
use crate::context::value::Value;
use crate::model::endpoint::Endpoint;
use crate::model::id::{SpanId, TraceId};
use crate::model::ids::Ids;
use crate::model::ids::flag;
use crate::propagation::baggage::Baggage;
use crate::propagation::carrier::{Carrier, CarrierMut};
use crate::propagation::{Propagation, RemoteSampling, halves};
use crate::recorder::slot::Slot;

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

impl Sampling {
    const fn flags(self) -> u16 {
        match self {
            Self::Deferred => 0,
            Self::Unsampled => flag::UNSAMPLED,
            Self::Sampled => flag::SAMPLED,
            Self::Debug => flag::SAMPLED | flag::DEBUG,
        }
    }
}

/// A place in a trace: the ids that a new span gets its trace and parent from, and the tracer that records it.
///
/// It is *current* for a thread, or for a task while it is polled. It displays as `trace-span`, for log lines, and as
/// `-` when there is no trace.
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    ids: Ids,
    baggage: Option<Arc<Baggage>>,
}

impl Context {
    /// The context of the innermost span of this thread or task.
    #[must_use]
    pub fn current() -> Self {
        local::with(|local| Self { ids: local.current(), baggage: local.baggage() })
    }

    /// No trace: attached, it hides the current one, and functions start traces of their own.
    #[must_use]
    pub const fn none() -> Self {
        Self { ids: Ids::NONE, baggage: None }
    }

    /// A span of another process, to be the parent of spans here: they belong to its trace.
    ///
    /// Its tracer is that of the context in which it is used, else the installed one.
    #[must_use]
    pub fn remote(trace: TraceId, span: SpanId, sampling: Sampling) -> Self {
        let (trace_high, trace_low) = halves(trace.get());
        Self::new(Ids { trace_high, trace_low, span: span.get(), flags: sampling.flags(), ..Ids::NONE }, None)
    }

    pub(crate) const fn new(ids: Ids, baggage: Option<Arc<Baggage>>) -> Self {
        Self { ids, baggage }
    }

    #[inline]
    pub(crate) const fn ids(&self) -> Ids {
        self.ids
    }

    #[inline]
    pub(crate) const fn ids_ref(&self) -> &Ids {
        &self.ids
    }

    /// All of its baggage.
    #[inline]
    pub(crate) fn all_baggage(&self) -> Option<Arc<Baggage>> {
        self.baggage.clone()
    }

    #[inline]
    pub(crate) const fn has_baggage(&self) -> bool {
        self.baggage.is_some()
    }

    /// Takes all of its baggage.
    pub(crate) fn take_baggage(&mut self) -> Option<Arc<Baggage>> {
        self.baggage.take()
    }

    /// Whether they are the same span of this process, recorded, without baggage.
    #[inline]
    pub(crate) fn is_plainly(&self, other: &Self) -> bool {
        let (ids, others) = (&self.ids, &other.ids);
        ids.key != 0
            && (ids.key, ids.flags, ids.tracer) == (others.key, others.flags, others.tracer)
            && !self.has_baggage()
            && !other.has_baggage()
    }

    /// From the context of a recorded span to that of one below it.
    #[inline]
    pub(crate) const fn descend(&mut self, span: u64) {
        self.ids.descend(span);
    }

    /// Another place in the trace, with the same baggage.
    #[inline]
    pub(crate) fn set_ids(&mut self, ids: Ids) {
        self.ids = ids;
    }

    pub(crate) fn into_parts(self) -> (Ids, Option<Arc<Baggage>>) {
        (self.ids, self.baggage)
    }

    /// The same, of the current context's tracer if it names none: for use on another thread.
    pub(crate) fn adopted(self) -> Self {
        Self { ids: local::with(|local| local.adopt(self.ids)), ..self }
    }

    /// Reads a context from the headers of a request, as [`Tracer::extract`](crate::Tracer::extract) documents it.
    pub(crate) fn extract(propagation: &Propagation, tracer: u32, carrier: &impl Carrier) -> Self {
        let read = propagation.extract(carrier);
        count_left_out(tracer, read.left_out);
        Self { ids: Ids { tracer, ..read.ids }, baggage: read.baggage }
    }

    /// Writes this context to the headers of a request, in the formats that its tracer is
    /// [set to](crate::Builder::propagation): ids, sampling decision, baggage. Such headers that are there already are
    /// replaced, because they tell of another span; those of a context with neither a trace, a decision nor baggage are left
    /// alone.
    ///
    /// The parent's id, which B3 may name, is known where the context is that of a [`Span`](crate::Span) or an async
    /// function; the peer that joins the span finds its parent by the client's half otherwise.
    pub fn inject(&self, carrier: &mut (impl CarrierMut + ?Sized)) {
        match self.slot().and_then(Slot::owner_of_any_process) {
            Some(owner) => self.inject_as(&owner.crossing().propagation, carrier),
            None => self.inject_as(&Propagation::default(), carrier),
        }
    }

    /// The same in other formats than the tracer's: `inject_as(&Propagation::b3_message(), …)` for a message, say.
    pub fn inject_as(&self, propagation: &Propagation, carrier: &mut (impl CarrierMut + ?Sized)) {
        let slot = self.slot();
        let mut ids = Ids { tracer: slot.map_or(0, Slot::reference), ..self.ids };
        if ids.has_trace() && slot.is_some() {
            local::with(|local| local.settle(&mut ids, &"inject"));
        }
        let says_something = ids.has_trace() || ids.is(flag::DECISION);
        if says_something || self.baggage.is_some() {
            let left_out = propagation.inject(&ids, self.baggage.as_deref(), carrier);
            count_left_out(ids.tracer, left_out);
        }
    }

    /// The tracer that it names, else that of the current context, else the installed one.
    pub(crate) fn slot(&self) -> Option<&'static Slot> {
        match self.ids.tracer {
            0 => match local::with(Local::current).tracer {
                0 => Slot::installed(),
                current => Slot::of_any_process(current),
            },
            named => Slot::of_any_process(named),
        }
    }

    /// A field of the baggage that travels with this context: one that came with a request, or was
    /// [set](Self::with_baggage). Names are compared without case.
    #[must_use]
    pub fn baggage(&self, field: &str) -> Option<&str> {
        self.baggage.as_ref()?.get(field)
    }

    /// The same context with a field of baggage. [Attached](Self::attach), it goes with everything below, in this process
    /// and, if the tracer's [propagation](crate::Propagation::baggage) names the field, in others. A field that would exceed
    /// the [bounds](crate::limits) is left out, and counted.
    #[must_use]
    pub fn with_baggage(self, field: &str, value: &str) -> Self {
        let (baggage, set) = Baggage::with(self.baggage.as_ref(), field, value);
        if set.is_err() {
            count_left_out(self.slot().map_or(0, Slot::reference), 1);
        }
        Self { baggage, ..self }
    }

    /// The same context with this decision: what starts below it is recorded or not as it says, here and in the processes
    /// that it is [sent](Self::inject) to. Spans that have started already are as they were.
    ///
    /// ```
    /// use traced_runtime::{Context, Sampling, Span};
    ///
    /// let unsampled = Context::none().with_sampling(Sampling::Unsampled);
    /// let health_check = unsampled.run(|| Span::start("GET /health"));
    /// # assert!(!health_check.is_recorded());
    /// ```
    #[must_use]
    pub fn with_sampling(self, sampling: Sampling) -> Self {
        let flags = self.ids.flags & !flag::DECISION | sampling.flags();
        Self { ids: Ids { flags, ..self.ids }, ..self }
    }

    /// The same context with what this leaves of its caller's decision: for servers that strangers
    /// can reach. A context of this process, whose decision is our own, stays as it is.
    ///
    /// ```
    /// use traced_runtime::{Context, RemoteSampling, Span, Tracer};
    ///
    /// fn serve(tracer: &Tracer, headers: &Vec<(String, String)>) {
    ///     let caller = tracer.extract(headers).with_remote_sampling(RemoteSampling::DecideAnew);
    ///     let span = Span::server("GET /users/{id}", caller);
    ///     // …
    /// }
    /// ```
    #[must_use]
    pub fn with_remote_sampling(self, remote: RemoteSampling) -> Self {
        match remote {
            _ if self.ids.key != 0 => self,
            RemoteSampling::DecideAnew => self.with_sampling(Sampling::Deferred),
            RemoteSampling::RefuseDebug if self.ids.is(flag::DEBUG) => self.with_sampling(Sampling::Sampled),
            RemoteSampling::RefuseDebug | RemoteSampling::Trust => self,
        }
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
        let saved = local::with(|local| {
            (!local.is_current(&self.ids, self.baggage.as_ref())).then(|| local.attach(&self.ids, self.baggage.clone()))
        });
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

/// Counts fields of baggage that could not be kept or sent.
fn count_left_out(tracer: u32, fields: u64) {
    if fields > 0 {
        if let Some(slot) = Slot::find(tracer) {
            slot.count_left_out_baggage(fields);
        }
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
    /// Makes these current, whatever is current now.
    pub(crate) fn of(ids: Ids, baggage: Option<Arc<Baggage>>) -> Self {
        Self { saved: Some(local::with(|local| local.attach(&ids, baggage))), not_send: PhantomData }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(saved) = self.saved.take() {
            drop(local::with(|local| local.restore(saved)));
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
    impl Sealed for crate::context::span::Span {}
    impl<P: Sealed + ?Sized> Sealed for &P {}
    impl<P: Sealed> Sealed for Option<P> {}
}

impl Parent for Context {
    fn context(&self) -> Option<Context> {
        Some(self.clone())
    }
}

impl Parent for crate::context::span::Span {
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
