//! What may be the value of a tag.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::model::id::{SpanId, TraceId};

/// What may be the value of a tag: a type becomes one by saying how it is recorded.
///
/// ```
/// use traced_runtime::{Tag, Value};
///
/// struct OrderId(u64);
///
/// impl Value for OrderId {
///     fn record(&self, tag: impl Tag) {
///         tag.display(format_args!("ord-{}", self.0));
///     }
/// }
/// ```
///
/// Where a type is not a value, `#[traced(tags(key = %expr))]` records its `Display` text and `?expr` its `Debug` text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a tag",
    label = "this is not a `Value`",
    note = "write `key = %expr` for its `Display` text, or `key = ?expr` for its `Debug` text",
    note = "outside of `tags(…)`: `format_args!(\"{{}}\", expr)`; or `impl traced_runtime::Value` for a type of your own"
)]
pub trait Value {
    /// Gives the value to the tag, at most once; a tag to which nothing is given is not recorded.
    fn record(&self, tag: impl Tag);
}

/// A tag that waits for its value; dropped without one, it is not recorded.
///
/// Values go straight into the log: numbers as numbers, text without a copy in between. The trait is sealed: it is
/// generic so that a number costs a store and no indirect call, not to be implemented elsewhere.
pub trait Tag: Sized + sealed::Sealed {
    /// Records a text.
    fn text(self, value: &str);

    /// Records a whole number.
    fn unsigned(self, value: u64);

    /// Records a whole number.
    fn signed(self, value: i64);

    /// Records a fraction.
    fn float(self, value: f64);

    /// Records true or false.
    fn bool(self, value: bool);

    /// Records what `value` displays, formatted in place.
    fn display(self, value: impl fmt::Display);
}

pub(crate) mod sealed {
    /// Implemented for this crate's tags alone.
    pub trait Sealed {}
}

macro_rules! values {
    ($($method:ident: $($type:ty),+;)+) => {$($(
        impl Value for $type {
            #[inline]
            fn record(&self, tag: impl Tag) {
                tag.$method((*self).into());
            }
        }
    )+)+};
}

values! {
    unsigned: u8, u16, u32, u64;
    signed: i8, i16, i32, i64;
    float: f64;
    bool: bool;
}

macro_rules! displayed_values {
    ($($type:ty),+) => {$(
        impl Value for $type {
            #[inline]
            fn record(&self, tag: impl Tag) {
                tag.display(self);
            }
        }
    )+};
}

// f32 as text: as an f64 0.1 would read 0.10000000149011612.
displayed_values!(u128, i128, f32, fmt::Arguments<'_>, TraceId, SpanId);

impl Value for usize {
    #[inline]
    fn record(&self, tag: impl Tag) {
        tag.unsigned(*self as u64);
    }
}

impl Value for isize {
    #[inline]
    fn record(&self, tag: impl Tag) {
        tag.signed(*self as i64);
    }
}

impl Value for str {
    #[inline]
    fn record(&self, tag: impl Tag) {
        tag.text(self);
    }
}

impl Value for String {
    #[inline]
    fn record(&self, tag: impl Tag) {
        tag.text(self);
    }
}

impl Value for char {
    #[inline]
    fn record(&self, tag: impl Tag) {
        tag.text(self.encode_utf8(&mut [0; 4]));
    }
}

/// As it prints itself: `1.5ms`.
impl Value for Duration {
    #[inline]
    fn record(&self, tag: impl Tag) {
        tag.display(format_args!("{self:?}"));
    }
}

/// `None` is not recorded.
impl<T: Value> Value for Option<T> {
    #[inline]
    fn record(&self, tag: impl Tag) {
        if let Some(value) = self {
            value.record(tag);
        }
    }
}

impl<T: Value + ToOwned + ?Sized> Value for Cow<'_, T> {
    #[inline]
    fn record(&self, tag: impl Tag) {
        (**self).record(tag);
    }
}

macro_rules! pointers {
    ($($type:ty),+) => {$(
        impl<T: Value + ?Sized> Value for $type {
            #[inline]
            fn record(&self, tag: impl Tag) {
                (**self).record(tag);
            }
        }
    )+};
}

pointers!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

#[cfg(test)]
mod tests {
    use super::*;

    /// What was recorded, by which method.
    struct Seen<'a>(&'a mut Vec<String>);

    impl sealed::Sealed for Seen<'_> {}

    impl Tag for Seen<'_> {
        fn text(self, value: &str) {
            self.0.push(format!("text {value}"));
        }
        fn unsigned(self, value: u64) {
            self.0.push(format!("unsigned {value}"));
        }
        fn signed(self, value: i64) {
            self.0.push(format!("signed {value}"));
        }
        fn float(self, value: f64) {
            self.0.push(format!("float {value}"));
        }
        fn bool(self, value: bool) {
            self.0.push(format!("bool {value}"));
        }
        fn display(self, value: impl fmt::Display) {
            self.0.push(format!("display {value}"));
        }
    }

    fn recorded(value: &(impl Value + ?Sized)) -> String {
        let mut seen = Vec::new();
        value.record(Seen(&mut seen));
        seen.join(" and ")
    }

    #[test]
    fn numbers_stay_numbers() {
        assert_eq!(recorded(&3_u32), "unsigned 3");
        assert_eq!(recorded(&usize::MAX), format!("unsigned {}", usize::MAX));
        assert_eq!(recorded(&-3_i8), "signed -3");
        assert_eq!(recorded(&isize::MIN), format!("signed {}", isize::MIN));
        assert_eq!(recorded(&0.25_f64), "float 0.25");
        assert_eq!(recorded(&true), "bool true");
    }

    #[test]
    fn numbers_without_a_place_in_the_log_are_text() {
        assert_eq!(recorded(&u128::MAX), format!("display {}", u128::MAX));
        assert_eq!(recorded(&i128::MIN), format!("display {}", i128::MIN));
        assert_eq!(recorded(&0.1_f32), "display 0.1");
    }

    #[test]
    fn text_of_every_owner() {
        assert_eq!(recorded("a"), "text a");
        assert_eq!(recorded(&"a"), "text a");
        assert_eq!(recorded(&String::from("a")), "text a");
        assert_eq!(recorded(&Cow::Borrowed("a")), "text a");
        assert_eq!(recorded(&Box::<str>::from("a")), "text a");
        assert_eq!(recorded(&Arc::<str>::from("a")), "text a");
        assert_eq!(recorded(&Rc::new(String::from("a"))), "text a");
        assert_eq!(recorded(&&mut 'ü'), "text ü");
        assert_eq!(recorded(&format_args!("{}-{}", 1, 2)), "display 1-2");
    }

    #[test]
    fn times_and_ids_read_as_people_write_them() {
        assert_eq!(recorded(&Duration::from_micros(1500)), "display 1.5ms");
        assert_eq!(recorded(&TraceId::new(10)), "display 000000000000000a");
        assert_eq!(recorded(&SpanId::new(255)), "display 00000000000000ff");
    }

    #[test]
    fn none_records_nothing() {
        assert_eq!(recorded(&Some(1_u8)), "unsigned 1");
        assert_eq!(recorded(&Some(Some("a"))), "text a");
        assert_eq!(recorded(&None::<u8>), "");
        assert_eq!(recorded(&&Some(&None::<String>)), "");
    }

    #[test]
    fn a_type_of_ones_own_becomes_a_value() {
        struct OrderId(u64);
        impl Value for OrderId {
            fn record(&self, tag: impl Tag) {
                tag.display(format_args!("ord-{}", self.0));
            }
        }
        assert_eq!(recorded(&Some(&OrderId(7))), "display ord-7");
    }
}
