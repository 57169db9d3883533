//! Tags that are evaluated before there is a span to put them on.

use std::fmt::{Debug, Display};
use std::future::Future;

use super::tags;
use crate::context::local::{self, Local};
use crate::context::value::{Tag, Value, sealed};
use crate::model::text::Text;
use crate::recorder::slot::Slot;

/// The tags of a function that returns a future: its arguments are gone when the future's span starts.
#[derive(Debug, Default)]
pub struct KeptTags(Vec<(&'static str, Kept)>);

#[derive(Debug)]
enum Kept {
    Text(String),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
}

/// Where to keep tags; `None` when no span can come of it, and they need not be evaluated.
#[must_use]
pub fn keep_tags() -> Option<KeptTags> {
    let may_record = local::with(|local: &Local| {
        let current = local.current();
        if current.has_trace() || current.tracer != 0 {
            current.may_record()
        } else {
            Slot::starts_roots() && Slot::installed().is_some()
        }
    });
    may_record.then(KeptTags::default)
}

/// Puts the tags on the span in which this future runs.
pub async fn with_tags<F: Future>(kept: Option<KeptTags>, future: F) -> F::Output {
    if let (Some(kept), Some(tags)) = (kept, tags()) {
        for (key, value) in &kept.0 {
            tags.value(key, value);
        }
    }
    future.await
}

impl KeptTags {
    /// `key = value`
    pub fn value<V: Value + ?Sized>(&mut self, key: &'static str, value: &V) {
        value.record(Keeping { of: self, key });
    }

    /// `key = %value`
    pub fn display<T: Display + ?Sized>(&mut self, key: &'static str, value: &T) {
        Keeping { of: self, key }.display(value);
    }

    /// `key = ?value`
    pub fn debug<T: Debug + ?Sized>(&mut self, key: &'static str, value: &T) {
        Keeping { of: self, key }.display(format_args!("{value:?}"));
    }
}

struct Keeping<'a> {
    of: &'a mut KeptTags,
    key: &'static str,
}

impl Keeping<'_> {
    fn keep(self, value: Kept) {
        self.of.0.push((self.key, value));
    }
}

impl sealed::Sealed for Keeping<'_> {}

impl Tag for Keeping<'_> {
    fn text(self, value: &str) {
        self.keep(Kept::Text(value.to_owned()));
    }

    fn unsigned(self, value: u64) {
        self.keep(Kept::Unsigned(value));
    }

    fn signed(self, value: i64) {
        self.keep(Kept::Signed(value));
    }

    fn float(self, value: f64) {
        self.keep(Kept::Float(value));
    }

    fn bool(self, value: bool) {
        self.keep(Kept::Bool(value));
    }

    fn display(self, value: impl Display) {
        let text = Text::of(&value).as_str().to_owned();
        self.keep(Kept::Text(text));
    }
}

impl Value for Kept {
    fn record(&self, tag: impl Tag) {
        match self {
            Self::Text(text) => tag.text(text),
            Self::Unsigned(value) => tag.unsigned(*value),
            Self::Signed(value) => tag.signed(*value),
            Self::Float(value) => tag.float(*value),
            Self::Bool(value) => tag.bool(*value),
        }
    }
}
