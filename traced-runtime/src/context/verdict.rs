//! What a function returned, as its span tells it.

use std::fmt::Display;
use std::marker::PhantomData;

use crate::context::attribute;
use crate::context::local::Target;

/// Takes what a function returned.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    target: Target,
    not_send: PhantomData<*const ()>,
}

impl Verdict {
    /// Of the current span.
    pub(crate) const fn of_current() -> Self {
        Self::of(Target::Current)
    }

    /// Of this span.
    pub(crate) const fn of(target: Target) -> Self {
        Self { target, not_send: PhantomData }
    }

    /// The function failed, with this text, or the name of the error's type if that is empty.
    pub fn error(self, text: &dyn Display, type_name: &'static str) {
        attribute::failed(self.target, text, type_name);
    }

    /// The function failed, with an error of this type.
    pub fn type_name(self, name: &'static str) {
        attribute::failed(self.target, name, name);
    }

    /// The function returned this.
    pub fn returned(self, text: &dyn Display) {
        attribute::tag_text(self.target, "return", text);
    }
}
