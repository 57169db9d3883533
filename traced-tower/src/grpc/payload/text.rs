//! Messages as text, by the descriptors of their types.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, Value};

use super::{DescriptorError, Direction, Payload};

/// Messages inside of each other that are written. What is deeper is `…`.
const DEPTH: usize = 32;

/// The types of a service's messages, and which of their fields are not to be read.
#[derive(Clone, Debug)]
pub(super) struct Descriptors {
    pool: DescriptorPool,
    hidden: Arc<HashSet<String>>,
}

impl Descriptors {
    pub(super) fn decode(file_descriptor_set: &[u8]) -> Result<Self, DescriptorError> {
        let pool = DescriptorPool::decode(file_descriptor_set).map_err(DescriptorError)?;
        Ok(Self { pool, hidden: Arc::default() })
    }

    pub(super) fn hide(&mut self, fields: impl Iterator<Item = String>) {
        Arc::make_mut(&mut self.hidden).extend(fields);
    }

    /// The method of this path, `/package.Service/Method`.
    fn method(&self, path: &str) -> Option<MethodDescriptor> {
        let (service, method) = path.strip_prefix('/')?.rsplit_once('/')?;
        self.pool.get_service_by_name(service)?.methods().find(|found| found.name() == method)
    }

    /// Whether a method is a stream in either direction; `None` if it is not described.
    pub(super) fn streams(&self, path: &str) -> Option<bool> {
        self.method(path).map(|method| method.is_client_streaming() || method.is_server_streaming())
    }

    /// The message in Go's compact form; `None` if its type is not described, or it is not of that type.
    pub(super) fn text(&self, payload: &Payload<'_>) -> Option<String> {
        let method = self.method(payload.method)?;
        let of = match payload.direction {
            Direction::Request => method.input(),
            Direction::Response => method.output(),
        };
        let message = DynamicMessage::decode(of, payload.message).ok()?;
        let mut text = String::new();
        self.write_message(&message, &mut text, DEPTH);
        Some(text)
    }

    /// Each field as `name:value `, in the order of their numbers.
    fn write_message(&self, message: &DynamicMessage, text: &mut String, depth: usize) {
        let mut fields: Vec<_> = message.fields().collect();
        fields.sort_by_key(|(field, _)| field.number());
        for (field, value) in fields {
            let mut write = |value: &Value| {
                text.push_str(field.name());
                text.push(':');
                self.write_value(&field, &field.kind(), value, text, depth);
                text.push(' ');
            };
            match value {
                Value::List(values) => values.iter().for_each(write),
                Value::Map(entries) => self.write_map(&field, entries, text, depth),
                value => write(value),
            }
        }
    }

    fn write_map(
        &self,
        field: &FieldDescriptor,
        entries: &std::collections::HashMap<prost_reflect::MapKey, Value>,
        text: &mut String,
        depth: usize,
    ) {
        let Kind::Message(entry) = field.kind() else { return };
        let (key_field, value_field) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        let mut entries: Vec<_> = entries.iter().map(|(key, value)| (Value::from(key.clone()), value)).collect();
        entries.sort_by_cached_key(|(key, _)| key.to_string());
        for (key, value) in entries {
            let _ = write!(text, "{}:<key:", field.name());
            self.write_value(field, &key_field.kind(), &key, text, depth);
            text.push_str(" value:");
            self.write_value(field, &value_field.kind(), value, text, depth);
            text.push_str(" > ");
        }
    }

    fn write_value(&self, field: &FieldDescriptor, kind: &Kind, value: &Value, text: &mut String, depth: usize) {
        if self.hidden.contains(field.full_name()) {
            text.push_str("***");
            return;
        }
        match value {
            Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Value::I32(value) => _ = write!(text, "{value}"),
            Value::I64(value) => _ = write!(text, "{value}"),
            Value::U32(value) => _ = write!(text, "{value}"),
            Value::U64(value) => _ = write!(text, "{value}"),
            Value::F32(value) => _ = write!(text, "{value}"),
            Value::F64(value) => _ = write!(text, "{value}"),
            Value::String(value) => quote(value.as_bytes(), text),
            Value::Bytes(value) => quote(value, text),
            Value::EnumNumber(number) => match kind {
                Kind::Enum(of) => match of.get_value(*number) {
                    Some(value) => text.push_str(value.name()),
                    None => _ = write!(text, "{number}"),
                },
                _ => _ = write!(text, "{number}"),
            },
            Value::Message(message) => {
                text.push('<');
                match depth.checked_sub(1) {
                    Some(depth) => self.write_message(message, text, depth),
                    None => text.push('…'),
                }
                text.push('>');
            }
            Value::List(_) | Value::Map(_) => {}
        }
    }
}

/// A string as Go writes it: what is not printable ASCII in octal, byte by byte.
fn quote(bytes: &[u8], text: &mut String) {
    text.push('"');
    for &byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => _ = write!(text, "\\{byte:03o}"),
        }
    }
    text.push('"');
}
