//! Messages as text, by the descriptors of their types.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, Value};

use super::message::{Direction, Payload};

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
        let pool = DescriptorPool::decode(file_descriptor_set).map_err(|error| DescriptorError(Problem::Set(error)))?;
        Ok(Self { pool, hidden: Arc::default() })
    }

    pub(super) fn hide(&mut self, field: String) -> Result<(), DescriptorError> {
        let message = field
            .rsplit_once('.')
            .and_then(|(message, name)| self.pool.get_message_by_name(message)?.get_field_by_name(name));
        if message.is_none() {
            return Err(DescriptorError::no_field(field));
        }
        Arc::make_mut(&mut self.hidden).insert(field);
        Ok(())
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

/// Descriptors cannot be read, or have no such field.
#[derive(Debug)]
pub struct DescriptorError(Problem);

#[derive(Debug)]
enum Problem {
    Set(prost_reflect::DescriptorError),
    NoField(String),
}

impl DescriptorError {
    /// No field has this full name.
    pub(super) const fn no_field(field: String) -> Self {
        Self(Problem::NoField(field))
    }
}

impl fmt::Display for DescriptorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Problem::Set(error) => write!(
                f,
                "cannot read the descriptors of messages: {error}; give a FileDescriptorSet with all files that it imports"
            ),
            Problem::NoField(field) => {
                write!(f, "cannot hide {field:?}: no field described has this full name; write package.Message.field")
            }
        }
    }
}

impl std::error::Error for DescriptorError {}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::*;

    /// `message Login { string name = 1; string password = 2; Login inner = 3; repeated int32 n = 4; map<string, bytes> m = 5; }`
    /// and a service `Door` with `Enter`, unary, and `Watch`, a stream.
    fn set() -> Vec<u8> {
        use prost_reflect::prost::Message as _;
        use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
        use prost_reflect::prost_types::{
            DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MessageOptions,
            MethodDescriptorProto, ServiceDescriptorProto,
        };
        let field = |name: &str, number, of: Type, label: Label, type_name: Option<&str>| FieldDescriptorProto {
            name: Some(name.into()),
            number: Some(number),
            r#type: Some(of.into()),
            label: Some(label.into()),
            type_name: type_name.map(Into::into),
            ..Default::default()
        };
        let one = Label::Optional;
        let entry = DescriptorProto {
            name: Some("MEntry".into()),
            field: vec![field("key", 1, Type::String, one, None), field("value", 2, Type::Bytes, one, None)],
            options: Some(MessageOptions { map_entry: Some(true), ..Default::default() }),
            ..Default::default()
        };
        let login = DescriptorProto {
            name: Some("Login".into()),
            field: vec![
                field("name", 1, Type::String, one, None),
                field("password", 2, Type::String, one, None),
                field("inner", 3, Type::Message, one, Some(".shop.Login")),
                field("n", 4, Type::Int32, Label::Repeated, None),
                field("m", 5, Type::Message, Label::Repeated, Some(".shop.Login.MEntry")),
            ],
            nested_type: vec![entry],
            ..Default::default()
        };
        let method = |name: &str, server_streaming| MethodDescriptorProto {
            name: Some(name.into()),
            input_type: Some(".shop.Login".into()),
            output_type: Some(".shop.Login".into()),
            server_streaming: Some(server_streaming),
            ..Default::default()
        };
        let service = ServiceDescriptorProto {
            name: Some("Door".into()),
            method: vec![method("Enter", false), method("Watch", true)],
            ..Default::default()
        };
        let file = FileDescriptorProto {
            name: Some("shop.proto".into()),
            package: Some("shop".into()),
            message_type: vec![login],
            service: vec![service],
            syntax: Some("proto3".into()),
            ..Default::default()
        };
        FileDescriptorSet { file: vec![file] }.encode_to_vec()
    }

    fn text(descriptors: &Descriptors, message: &[u8]) -> Option<String> {
        descriptors.text(&Payload { method: "/shop.Door/Enter", direction: Direction::Request, message })
    }

    #[test]
    fn a_message_is_written_in_go_s_compact_form() {
        let descriptors = Descriptors::decode(&set()).unwrap();
        // name "é\"", inner { name "a" }, n [1, -1], m { "k": ff }
        let message = [
            &[0x0a, 3, 0xc3, 0xa9, b'"'][..],
            &[0x1a, 3, 0x0a, 1, b'a'],
            &[0x22, 11, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x2a, 6, 0x0a, 1, b'k', 0x12, 1, 0xff],
        ]
        .concat();
        let expected = r#"name:"\303\251\"" inner:<name:"a" > n:1 n:-1 m:<key:"k" value:"\377" > "#;
        assert_eq!(text(&descriptors, &message).as_deref(), Some(expected));
        assert_eq!(text(&descriptors, b"").as_deref(), Some(""));
        assert_eq!(text(&descriptors, b"\xff"), None, "what is no such message is not rendered");
        assert_eq!(descriptors.streams("/shop.Door/Enter"), Some(false));
        assert_eq!(descriptors.streams("/shop.Door/Watch"), Some(true));
        assert_eq!(descriptors.streams("/shop.Window/Open"), None);
    }

    #[test]
    fn a_hidden_field_is_hidden_at_every_depth() {
        let mut descriptors = Descriptors::decode(&set()).unwrap();
        descriptors.hide("shop.Login.password".to_owned()).unwrap();
        let message = [&[0x12, 1, b'x'][..], &[0x1a, 3, 0x12, 1, b'y']].concat();
        assert_eq!(text(&descriptors, &message).as_deref(), Some("password:*** inner:<password:*** > "));
    }

    #[test]
    fn a_field_that_is_not_there_cannot_be_hidden() {
        let mut descriptors = Descriptors::decode(&set()).unwrap();
        let error = descriptors.hide("shop.Login.pasword".to_owned()).unwrap_err().to_string();
        assert!(error.starts_with("cannot hide \"shop.Login.pasword\""), "{error}");
        assert!(Descriptors::decode(b"\xff").unwrap_err().to_string().contains("FileDescriptorSet"));
    }
}
