//! The only paths that generated code names. Not part of the public interface: they change with the macros, whose version
//! is pinned to this crate's.

mod kept;
mod probe;

use std::fmt::{Debug, Display};
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;

pub use self::kept::{KeptTags, keep_tags, with_tags};
pub use self::probe::*;
use crate::context::attribute;
pub use crate::context::future::{Giving, InSpan};
use crate::context::local::{self, Local, Target};
pub use crate::context::local::{Enter, enter};
use crate::context::value::Value;
pub use crate::context::verdict::Verdict;
use crate::context::{Context, Parent, Scope};
pub use crate::model::callsite::Callsite;
pub use crate::model::kind::Kind;

/// The span of a function with a parent of its own choice, or without any.
#[must_use = "the span ends where this is dropped: bind it, as in `let _span = …`"]
#[derive(Debug)]
pub struct EnterIn {
    // Dropped in this order: the span ends inside the context.
    enter: Enter,
    _scope: Option<Scope>,
}

impl Deref for EnterIn {
    type Target = Enter;

    fn deref(&self) -> &Enter {
        &self.enter
    }
}

/// Starts the span of a callsite below a parent that was named.
pub fn enter_in<P: Parent + ?Sized>(site: &'static Callsite, parent: &P) -> EnterIn {
    let scope = parent.context().map(|context| context.attach());
    EnterIn { enter: enter(site), _scope: scope }
}

/// Starts the span of a callsite as the first of a new trace.
pub fn enter_root(site: &'static Callsite) -> EnterIn {
    let current = local::with(Local::current);
    // The trace is new, the tracer is that of the current context.
    let scope = current.has_trace().then(|| Scope::of(current.rootless(), local::with(Local::baggage)));
    EnterIn { enter: enter(site), _scope: scope }
}

/// The context of a parent that was named, taken while the arguments are still there.
pub fn parent_of<P: Parent + ?Sized>(parent: &P) -> Option<Context> {
    parent.context()
}

/// The future of an async function, in a span of its own.
pub fn in_span<F: Future, O: Fn(&F::Output, Verdict)>(site: &'static Callsite, future: F, outcome: O) -> InSpan<F, O> {
    InSpan::new(site, None, future, outcome)
}

/// The same below a parent that was named.
pub fn in_span_of<F: Future, O: Fn(&F::Output, Verdict)>(
    site: &'static Callsite,
    parent: Option<Context>,
    future: F,
    outcome: O,
) -> InSpan<F, O> {
    InSpan::new(site, parent, future, outcome)
}

/// As [`in_span`], for a future of which the signature tells the type of what it gives. That it is one, and gives that,
/// is not asked here: the signature asks, and one mistake gives one message.
pub fn in_span_as<T, F, O: Fn(&T, Verdict)>(site: &'static Callsite, future: F, outcome: O) -> InSpan<Giving<T, F>, O> {
    InSpan::new(site, None, Giving::new(future), outcome)
}

/// The same below a parent that was named.
pub fn in_span_of_as<T, F, O: Fn(&T, Verdict)>(
    site: &'static Callsite,
    parent: Option<Context>,
    future: F,
    outcome: O,
) -> InSpan<Giving<T, F>, O> {
    InSpan::new(site, parent, Giving::new(future), outcome)
}

impl Enter {
    /// Where the tags of the function go; `None` when nothing is recorded, and they need not be evaluated.
    #[inline]
    #[must_use]
    pub fn tags(&self) -> Option<Tags> {
        self.is_recorded().then(|| Tags::to(self.target()))
    }

    /// Where the returned value is told; `None` when nothing is recorded.
    #[inline]
    #[must_use]
    pub fn outcome(&self) -> Option<Verdict> {
        self.is_recorded().then(|| Verdict::of(self.target()))
    }
}

/// Where the tags of an async function go, called inside its future.
#[must_use]
pub fn tags() -> Option<Tags> {
    local::with(Local::records).then(|| Tags::to(Target::Current))
}

/// Takes the tags that the attribute names.
#[derive(Clone, Copy, Debug)]
pub struct Tags {
    target: Target,
    not_send: PhantomData<*const ()>,
}

impl Tags {
    const fn to(target: Target) -> Self {
        Self { target, not_send: PhantomData }
    }

    /// `key = value`
    #[inline]
    pub fn value<V: Value + ?Sized>(self, key: &'static str, value: &V) {
        attribute::site_tag(self.target, key, value);
    }

    /// `key = %value`
    pub fn display<T: Display + ?Sized>(self, key: &'static str, value: &T) {
        attribute::site_tag_text(self.target, key, value);
    }

    /// `key = ?value`
    pub fn debug<T: Debug + ?Sized>(self, key: &'static str, value: &T) {
        attribute::site_tag_text(self.target, key, &format_args!("{value:?}"));
    }
}
