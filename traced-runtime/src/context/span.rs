//! Spans that are not functions.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::thread::panicking;

use crate::context::attribute;
use crate::context::local::{self, Local, Target};
use crate::context::value::Value;
use crate::context::{Context, Parent, Scope, target};
use crate::model::callsite::EXPLICIT;
use crate::model::callsite::Roots;
use crate::model::endpoint::Endpoint;
use crate::model::ids::Ids;
use crate::model::ids::flag;
use crate::model::kind::{Kind, Outcome};
use crate::propagation::ServerSpan;
use crate::propagation::baggage::Baggage;
use crate::recorder::slot::Slot;

/// A span that is started and finished by hand: for work that moves between threads, or is no function.
///
/// It is not current by itself: [`attach`](Self::attach) makes it so for a while. It ends when it is dropped or
/// [finished](Self::finish), once, on whatever thread that happens.
///
/// ```
/// use traced_runtime::Span;
///
/// let span = Span::start("job");
/// std::thread::spawn(move || {
///     {
///         let _scope = span.attach();
///         // … work that becomes part of the span
///     }
///     span.tag("rows", 3);
/// });
/// ```
#[must_use = "a span that is dropped at once has no duration"]
pub struct Span {
    ids: Ids,
    baggage: Option<Arc<Baggage>>,
    start: u64,
    /// Whether it is still to be written.
    open: bool,
    /// Whether the reader knows of it.
    begun: bool,
    /// Whether its thread was unwinding when it started: a panic that it did not see begin.
    was_panicking: bool,
}

impl Span {
    /// Starts a span below the current one. Without a current context it starts a trace, as the installed tracer's
    /// sampler decides; without a tracer it is no span at all, and everything done with it does nothing.
    pub fn start(name: &str) -> Self {
        Self::below(Context::current(), name)
    }

    /// Starts a span below `parent`: a context or span, of this process or of another one.
    pub fn child_of(parent: impl Parent, name: &str) -> Self {
        Self::below(parent.context().unwrap_or_else(Context::current), name)
    }

    /// Starts the span of a call to another process, below the current one. Its context is what the call is to
    /// [carry](Context::inject).
    pub fn client(name: &str) -> Self {
        let span = Self::start(name);
        span.kind(Kind::Client);
        span
    }

    /// Starts the span of a request that is served. It joins the caller's span or is its child, as the tracer is
    /// [set](crate::Builder::server_span).
    ///
    /// A caller without a trace leaves it to the current span to be the parent, with its baggage below the caller's. Without
    /// one it starts a trace, for which the caller's decision about sampling counts.
    pub fn server(name: &str, caller: Context) -> Self {
        let form = caller
            .slot()
            .and_then(Slot::owner_of_any_process)
            .map_or(ServerSpan::default(), |owner| owner.crossing().server_span);
        Self::server_as(form, name, caller)
    }

    /// As [`server`](Self::server), whatever the tracer is set to.
    pub fn server_as(form: ServerSpan, name: &str, caller: Context) -> Self {
        let span = if caller.is_none() {
            let (current, around) = Context::current().into_parts();
            let (ids, baggage) = caller.into_parts();
            let baggage = Baggage::over(around, baggage);
            let parent = if current.has_trace() { current } else { ids };
            Self::opened(name, baggage, |local| local.open(parent, &name, Roots::Allowed))
        } else {
            let (ids, baggage) = caller.into_parts();
            let joins = form == ServerSpan::Joined && ids.is(flag::SHARED) && ids.key == 0;
            Self::opened(name, baggage, |local| {
                if joins { local.join(ids, &name) } else { local.open(ids, &name, Roots::Allowed) }
            })
        };
        span.kind(Kind::Server);
        span
    }

    fn below(parent: Context, name: &str) -> Self {
        let (parent, baggage) = parent.into_parts();
        Self::opened(name, baggage, |local| local.open(parent, &name, Roots::Allowed))
    }

    fn opened(name: &str, baggage: Option<Arc<Baggage>>, open: impl FnOnce(&Local) -> Option<(Ids, u64)>) -> Self {
        local::with(|local| {
            let Some((ids, start)) = open(local) else {
                return Self { ids: Ids::NONE, baggage, start: 0, open: false, begun: false, was_panicking: false };
            };
            let mut span =
                Self { ids, baggage, start, open: ids.is_recorded(), begun: false, was_panicking: panicking() };
            if span.open {
                span.begun = local.begin(&EXPLICIT, &ids, start);
                span.name(name);
            }
            span
        })
    }

    /// Its context: new spans that have it as parent are below this one.
    #[must_use]
    pub fn context(&self) -> Context {
        Context::new(self.ids, self.baggage.clone())
    }

    /// Whether it is recorded: what is told about it goes somewhere.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.open
    }

    /// Makes it the current span of this thread until the scope is dropped. The span cannot end meanwhile.
    pub fn attach(&self) -> SpanScope<'_> {
        SpanScope { _scope: self.context().attach(), span: PhantomData }
    }

    /// Sets a tag.
    pub fn tag(&self, key: &str, value: impl Value) {
        if let Some(target) = self.target() {
            attribute::tag(target, key, &value);
        }
    }

    /// Adds an annotation: an event with the time of now.
    pub fn annotate(&self, text: &str) {
        if let Some(target) = self.target() {
            attribute::annotate(target, text);
        }
    }

    /// Marks it as failed, with the text of the error and its sources. A tag `error` beats it.
    pub fn error<E: Error + ?Sized>(&self, error: &E) {
        if let Some(target) = self.target() {
            attribute::error(target, error);
        }
    }

    /// Changes its name.
    pub fn name(&self, name: &str) {
        if let Some(target) = self.target() {
            attribute::name(target, name);
        }
    }

    /// Sets its kind.
    pub fn kind(&self, kind: Kind) {
        if let Some(target) = self.target() {
            attribute::kind(target, kind);
        }
    }

    /// Says who is on the other side.
    pub fn remote(&self, remote: impl Into<Endpoint>) {
        if let Some(target) = self.target() {
            attribute::remote(target, &remote.into());
        }
    }

    /// Ends it now. Dropping it does the same.
    pub fn finish(self) {
        drop(self);
    }

    /// Ends it now, as *cancelled*: nobody waits for what it was there for.
    pub fn cancel(mut self) {
        self.end(Outcome::Cancelled, 0);
    }

    /// Forgets it: it is not reported. What was below it keeps it as parent.
    pub fn abandon(mut self) {
        if std::mem::take(&mut self.open) {
            local::with(|local| local.abandon(&self.ids));
        }
    }

    /// Ends it with this outcome, after so many polls of its future.
    pub(crate) fn end(&mut self, outcome: Outcome, polls: u32) {
        if std::mem::take(&mut self.open) {
            local::with(|local| local.finish(&EXPLICIT, &self.ids, self.start, outcome, polls, self.begun));
        }
    }

    fn target(&self) -> Option<Target> {
        if self.open { target(&self.ids) } else { None }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // Dropped by a panic that began in its time, it has not done what it was there for.
        self.end(if panicking() && !self.was_panicking { Outcome::Panicked } else { Outcome::Returned }, 0);
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Span({})", self.context())
    }
}

/// Until it is dropped, a span is the current one of its thread.
#[must_use = "the span is current only until this is dropped: bind it, as in `let _scope = …`"]
#[derive(Debug)]
pub struct SpanScope<'a> {
    _scope: Scope,
    span: PhantomData<&'a Span>,
}
