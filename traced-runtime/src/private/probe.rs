//! What a function returned, told to its span.
//!
//! Generated code has `out: &Ret` and `outcome: Verdict` and writes, by the options of the attribute,
//!
//! ```text
//! (none), err      (&&&&&&Probe(out)).__traced_judge(outcome)                                     with `use Judge as _`
//! err(Debug)       error_debug(out, outcome)
//! err(type)        error_type(out, outcome)
//! ret              if let Some(value) = (&&Probe(out)).__traced_returned() { returned_debug(value, outcome) }
//! ret(Display)                                                    … returned_display(value, outcome)
//! ```
//!
//! and needs of [`Verdict`], which is `Copy`: `error(text: &dyn Display, type_name)` marks the span as failed with that text,
//! `type_name(name: &'static str)` does with a type's name alone, `returned(text: &dyn Display)` is the tag `return`.
//!
//! [`Judge`] and [`Returned`] are chosen by the method call: it tries `&&&&&&Probe` first and takes one reference away
//! at a time, so what is implemented for more references wins. The bounds in scope at the function decide, `Result` is
//! found through aliases, and regions are not looked at: an error type that is `Display` for `'static` alone needs
//! `err(type)` or `err(skip)` where it is used with a shorter lifetime.

use std::any::type_name;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::ops::Deref;
use std::pin::Pin;

use super::Verdict;
use crate::model::text::Causes;

/// Runs the body of a function; a closure that is passed infers better than one that is called in place.
#[inline(always)]
#[expect(clippy::inline_always, reason = "stands for a block: without it, a stack frame per annotated function")]
pub fn call<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// Gives an async block its type, in a branch that never runs.
pub fn never<T>() -> T {
    loop {
        std::thread::park();
    }
}

/// `Box::pin`, where the user's crate may have another `Box`, or none.
pub fn boxed<F>(future: F) -> Pin<Box<F>> {
    Box::pin(future)
}

/// A returned value whose type is to be found out.
#[derive(Debug)]
pub struct Probe<'a, R: ?Sized>(pub &'a R);

/// Tells an error to the span, as well as its type allows.
pub trait Judge {
    /// Nothing, unless it is an `Err`.
    fn __traced_judge(&self, outcome: Verdict);
}

/// An error: its text and that of its sources.
impl<T, E: Error> Judge for &&&&&Probe<'_, Result<T, E>> {
    fn __traced_judge(&self, outcome: Verdict) {
        if let Err(error) = self.0 {
            outcome.error(&Causes(error), type_name::<E>());
        }
    }
}

/// A box around an error, such as `Box<dyn Error>` or `anyhow::Error`, which is none itself.
impl<T, E: Deref<Target: Error>> Judge for &&&&Probe<'_, Result<T, E>> {
    fn __traced_judge(&self, outcome: Verdict) {
        if let Err(error) = self.0 {
            outcome.error(&Causes(&**error), type_name::<E>());
        }
    }
}

impl<T, E: Display> Judge for &&&Probe<'_, Result<T, E>> {
    fn __traced_judge(&self, outcome: Verdict) {
        if let Err(error) = self.0 {
            outcome.error(error, type_name::<E>());
        }
    }
}

impl<T, E: Debug> Judge for &&Probe<'_, Result<T, E>> {
    fn __traced_judge(&self, outcome: Verdict) {
        error_debug(self.0, outcome);
    }
}

impl<T, E> Judge for &Probe<'_, Result<T, E>> {
    fn __traced_judge(&self, outcome: Verdict) {
        error_type(self.0, outcome);
    }
}

/// Not a `Result`: nothing to tell.
impl<R: ?Sized> Judge for Probe<'_, R> {
    fn __traced_judge(&self, _: Verdict) {}
}

/// `err(Debug)`
pub fn error_debug<T, E: Debug>(out: &Result<T, E>, outcome: Verdict) {
    if let Err(error) = out {
        outcome.error(&format_args!("{error:?}"), type_name::<E>());
    }
}

/// `err(type)`
pub fn error_type<T, E>(out: &Result<T, E>, outcome: Verdict) {
    if out.is_err() {
        outcome.type_name(type_name::<E>());
    }
}

/// The value that `ret` records: that of an `Ok`, nothing of an `Err`, whatever else there is.
pub trait Returned<'a> {
    /// The type of the value.
    type Value: ?Sized;

    /// The value.
    fn __traced_returned(&self) -> Option<&'a Self::Value>;
}

impl<'a, T, E> Returned<'a> for &Probe<'a, Result<T, E>> {
    type Value = T;

    fn __traced_returned(&self) -> Option<&'a T> {
        self.0.as_ref().ok()
    }
}

impl<'a, R: ?Sized> Returned<'a> for Probe<'a, R> {
    type Value = R;

    fn __traced_returned(&self) -> Option<&'a R> {
        Some(self.0)
    }
}

/// `ret`
pub fn returned_debug<T: Debug + ?Sized>(value: &T, outcome: Verdict) {
    outcome.returned(&format_args!("{value:?}"));
}

/// `ret(Display)`
pub fn returned_display<T: Display + ?Sized>(value: &T, outcome: Verdict) {
    outcome.returned(&format_args!("{value}"));
}
