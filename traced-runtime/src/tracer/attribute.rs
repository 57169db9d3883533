//! Tags, annotations and errors on their way into the log.
//!
//! User code that makes the text runs first; the log is touched when it is there.

use std::error::Error;
use std::fmt::Display;
use std::net::IpAddr;

use crate::recorder::event::What;
use crate::tracer::endpoint::Endpoint;
use crate::tracer::kind::Kind;
use crate::tracer::local::{self, AttributeValue, Target};
use crate::tracer::text::{Causes, Text};
use crate::tracer::value::{Tag, Value, sealed};

fn put(target: Target, what: What, key: &str, value: AttributeValue<'_>) {
    local::with(|local| local.attribute(target, what, key, value));
}

/// Sets a tag.
#[inline]
pub(crate) fn tag<V: Value + ?Sized>(target: Target, key: &str, value: &V) {
    value.record(LogTag { target, key });
}

/// Sets a tag to what `value` displays.
pub(crate) fn tag_text(target: Target, key: &str, value: &(impl Display + ?Sized)) {
    let text = Text::of(value);
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
    let text = Text::of(text);
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
