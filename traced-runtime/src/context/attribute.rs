//! Tags, annotations and errors on their way into the log.
//!
//! User code that makes the text runs first; the log is touched when it is there.

use std::error::Error;
use std::fmt::Display;
use std::net::IpAddr;

use crate::context::local::{self, AttributeValue, Target};
use crate::context::value::{Tag, Value, sealed};
use crate::model::endpoint::Endpoint;
use crate::model::kind::Kind;
use crate::model::text::{Causes, Text};
use crate::recorder::event::{ValueType, What};
use crate::recorder::log::up_to_seven;

#[cold]
#[inline(never)]
fn put(target: Target, what: What, key: &str, value: AttributeValue<'_>) {
    local::with(|local| local.attribute(target, what, key, value));
}

/// Sets a tag.
#[inline]
pub(crate) fn tag<V: Value + ?Sized>(target: Target, key: &str, value: &V) {
    value.record(LogTag { target, key });
}

/// Sets a tag whose key is written in the program.
#[inline]
pub(crate) fn site_tag<V: Value + ?Sized>(target: Target, key: &'static str, value: &V) {
    value.record(SiteTag { target, key });
}

/// Sets a tag whose key is written in the program to what `value` displays.
pub(crate) fn site_tag_text(target: Target, key: &'static str, value: &(impl Display + ?Sized)) {
    let mut text = Text::new();
    let text = text.format(value);
    SiteTag { target, key }.text(text.as_str());
}

/// Sets a tag to what `value` displays.
pub(crate) fn tag_text(target: Target, key: &str, value: &(impl Display + ?Sized)) {
    let mut text = Text::new();
    let text = text.format(value);
    put(target, What::Tag, key, AttributeValue::Text(text.as_str()));
}

/// Adds an annotation.
pub(crate) fn annotate(target: Target, text: &str) {
    put(target, What::Annotation, "", AttributeValue::Text(text));
}

/// Marks a span as failed.
pub(crate) fn error<E: Error + ?Sized>(target: Target, error: &E) {
    failed(target, &Causes(error), std::any::type_name::<E>());
}

/// Marks a span as failed; a text that is empty gives way to the name of its type.
pub(crate) fn failed(target: Target, text: &(impl Display + ?Sized), type_name: &str) {
    let mut buffer = Text::new();
    let text = buffer.format(text);
    let text = if text.as_str().is_empty() { type_name } else { text.as_str() };
    put(target, What::Failed, "", AttributeValue::Text(text));
}

/// Sets the name.
pub(crate) fn name(target: Target, name: &str) {
    put(target, What::Name, "", AttributeValue::Text(name));
}

/// Sets the kind.
pub(crate) fn kind(target: Target, kind: Kind) {
    put(target, What::Kind, "", AttributeValue::Unsigned(kind as u64));
}

/// Sets the other side.
pub(crate) fn remote(target: Target, remote: &Endpoint) {
    if let Some(service) = remote.service_name() {
        put(target, What::RemoteService, "", AttributeValue::Text(service));
    }
    if remote.ip_addr().is_none() && remote.port_number().is_none() {
        return;
    }
    let mut bytes = [0; 18];
    let length = match remote.ip_addr() {
        None => 0,
        Some(IpAddr::V4(ip)) => {
            bytes[..4].copy_from_slice(&ip.octets());
            4
        }
        Some(IpAddr::V6(ip)) => {
            bytes[..16].copy_from_slice(&ip.octets());
            16
        }
    };
    bytes[length..length + 2].copy_from_slice(&remote.port_number().unwrap_or(0).to_ne_bytes());
    put(target, What::RemoteAddress, "", AttributeValue::Bytes(&bytes[..length + 2]));
}

/// A tag that waits for its value.
struct LogTag<'a> {
    target: Target,
    key: &'a str,
}

impl LogTag<'_> {
    #[inline]
    fn put(self, value: AttributeValue<'_>) {
        put(self.target, What::Tag, self.key, value);
    }
}

impl sealed::Sealed for LogTag<'_> {}

impl Tag for LogTag<'_> {
    #[inline]
    fn text(self, value: &str) {
        self.put(AttributeValue::Text(value));
    }

    #[inline]
    fn unsigned(self, value: u64) {
        self.put(AttributeValue::Unsigned(value));
    }

    #[inline]
    fn signed(self, value: i64) {
        self.put(AttributeValue::Signed(value));
    }

    #[inline]
    fn float(self, value: f64) {
        self.put(AttributeValue::Float(value));
    }

    #[inline]
    fn bool(self, value: bool) {
        self.put(AttributeValue::Bool(value));
    }

    fn display(self, value: impl Display) {
        tag_text(self.target, self.key, &value);
    }
}

/// A tag whose key is written in the program. On the innermost sync span it takes three words, or as many as its text
/// needs; anywhere else it is as any other.
struct SiteTag {
    target: Target,
    key: &'static str,
}

impl SiteTag {
    #[inline(always)]
    fn number(self, value_type: ValueType, bits: u64, value: AttributeValue<'_>) {
        let done = matches!(self.target, Target::Current)
            && local::with(|local| local.tag_word(self.key, value_type, 8, bits));
        if !done {
            put(self.target, What::Tag, self.key, value);
        }
    }
}

/// Tags the current span with a text. A function of its own, whose arguments fit into registers.
#[inline(never)]
fn tag_current(key: &'static str, text: &str) {
    if let 1..8 = text.len() {
        #[expect(clippy::cast_possible_truncation, reason = "at most seven")]
        let len = text.len() as u32;
        if local::with(|local| local.tag_word(key, ValueType::Text, len, up_to_seven(text.as_bytes()).to_le())) {
            return;
        }
    }
    tag_current_long(key, text);
}

#[inline(never)]
fn tag_current_long(key: &'static str, text: &str) {
    if !local::with(|local| local.tag_text(key, text)) {
        put(Target::Current, What::Tag, key, AttributeValue::Text(text));
    }
}

impl sealed::Sealed for SiteTag {}

impl Tag for SiteTag {
    #[inline]
    fn text(self, value: &str) {
        if matches!(self.target, Target::Current) {
            tag_current(self.key, value);
        } else {
            put(self.target, What::Tag, self.key, AttributeValue::Text(value));
        }
    }

    #[inline]
    fn unsigned(self, value: u64) {
        self.number(ValueType::Unsigned, value, AttributeValue::Unsigned(value));
    }

    #[inline]
    fn signed(self, value: i64) {
        self.number(ValueType::Signed, u64::from_ne_bytes(value.to_ne_bytes()), AttributeValue::Signed(value));
    }

    #[inline]
    fn float(self, value: f64) {
        self.number(ValueType::Float, value.to_bits(), AttributeValue::Float(value));
    }

    fn bool(self, value: bool) {
        put(self.target, What::Tag, self.key, AttributeValue::Bool(value));
    }

    fn display(self, value: impl Display) {
        site_tag_text(self.target, self.key, &value);
    }
}
