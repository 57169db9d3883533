//! JSON, value by value, with errors that say what Zipkin's do.
//!
//! serde_json finds where values begin and end. What a value should have been, and where it stands, is told in the words
//! of Zipkin's parser (gson), whose columns count UTF-16 units and stand behind what it has looked at.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::span::Span;

/// A value in the text of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    /// The whole text, to say where in it something is.
    whole: &'a str,
    text: &'a str,
    path: &'a Path<'a>,
}

/// How a value is reached from the whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    Whole,
    Element(&'a Path<'a>, usize),
    /// A field; the name is empty before the first one.
    Field(&'a Path<'a>, &'a str),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("$"),
            Self::Element(list, index) => write!(f, "{list}[{index}]"),
            Self::Field(object, name) => write!(f, "{object}.{name}"),
        }
    }
}

/// What the parser says of a value: its type and how far it has looked.
struct Look {
    token: &'static str,
    /// Bytes of the value's text that lie behind.
    behind: usize,
}

const TROUBLESHOOTING: &str = "See https://github.com/google/gson/blob/main/Troubleshooting.md#";

/// Spans of one request. A packed body may hold a million tiny ones, which would take far more memory than their bytes.
const LIST_SPANS: usize = 200_000;

/// Decodes a list; `each` turns an element into spans.
pub(super) fn list(
    body: &[u8],
    mut each: impl FnMut(Value<'_>, &mut Vec<Span>) -> Result<(), String>,
) -> Result<Vec<Span>, String> {
    // As Java does: what is not UTF-8 is replaced.
    let text = String::from_utf8_lossy(body);
    let mut spans = Vec::new();
    let whole = Value { whole: &text, text: &text, path: &Path::Whole };
    // What follows the list is not looked at.
    let within = |value: Value<'_>| {
        if spans.len() >= LIST_SPANS {
            return Err(format!("More than {LIST_SPANS} spans in one request: send them in parts"));
        }
        each(value, &mut spans)
    };
    whole.elements(within).map_err(|error| format!("{error} reading List<Span> from json"))?;
    Ok(spans)
}

impl<'a> Value<'a> {
    pub(super) fn is_null(self) -> bool {
        self.text == "null"
    }

    pub(super) fn is_string(self) -> bool {
        self.text.starts_with('"')
    }

    pub(super) fn is_boolean(self) -> bool {
        matches!(self.text, "true" | "false")
    }

    /// Where it stands.
    pub(super) fn path(self) -> &'a Path<'a> {
        self.path
    }

    /// Its elements.
    pub(super) fn elements(self, each: impl FnMut(Value<'_>) -> Result<(), String>) -> Result<(), String> {
        if !self.text.starts_with('[') {
            return Err("Malformed".to_owned());
        }
        let walk = Walk { value: self, each: RefCell::new(each), error: RefCell::new(None), at: Cell::new(0) };
        let mut deserializer = serde_json::Deserializer::from_str(self.text);
        let result = deserializer.deserialize_seq(Elements(&walk));
        walk.end(result)
    }

    /// Its fields, by name.
    pub(super) fn fields(self, each: impl FnMut(&str, Value<'_>) -> Result<(), String>) -> Result<(), String> {
        if !self.text.starts_with('{') {
            return Err("Malformed".to_owned());
        }
        let walk = Walk { value: self, each: RefCell::new(each), error: RefCell::new(None), at: Cell::new(0) };
        let mut deserializer = serde_json::Deserializer::from_str(self.text);
        let result = deserializer.deserialize_map(Fields(&walk));
        walk.end(result)
    }

    /// A string; numbers count as their text.
    pub(super) fn string(self) -> Result<Cow<'a, str>, String> {
        match self.text.as_bytes().first() {
            Some(b'"') => self.unescaped(),
            Some(b'-' | b'0'..=b'9') => Ok(Cow::Borrowed(self.text)),
            _ => Err(self.expected("a string")),
        }
    }

    /// A whole number of 64 bits, in a string if need be.
    pub(super) fn long(self) -> Result<i64, String> {
        self.number(
            "a long",
            |number| number.parse().ok(),
            |number| {
                #[expect(clippy::cast_possible_truncation, reason = "compared right after")]
                let whole = number as i64;
                #[expect(clippy::cast_precision_loss, reason = "as Java compares them")]
                let same = whole as f64 == number;
                same.then_some(whole)
            },
        )
    }

    /// A whole number of 32 bits, in a string if need be.
    pub(super) fn int(self) -> Result<i32, String> {
        self.number(
            "an int",
            |number| number.parse().ok(),
            |number| {
                #[expect(clippy::cast_possible_truncation, reason = "compared right after")]
                let whole = number as i32;
                (f64::from(whole) == number).then_some(whole)
            },
        )
    }

    pub(super) fn boolean(self) -> Result<bool, String> {
        match self.text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.expected("a boolean")),
        }
    }

    fn number<T>(
        self,
        what: &str,
        exact: impl Fn(&str) -> Option<T>,
        rounded: impl Fn(f64) -> Option<T>,
    ) -> Result<T, String> {
        let text = match self.text.as_bytes().first() {
            Some(b'"') => self.unescaped()?,
            Some(b'-' | b'0'..=b'9') => Cow::Borrowed(self.text),
            _ => return Err(self.expected(what)),
        };
        if let Some(number) = exact(&text) {
            return Ok(number);
        }
        // The words of Java's parser of floating-point numbers, which passes over white space.
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err("empty String".to_owned());
        }
        let number: f64 = trimmed.parse().map_err(|_| format!("For input string: \"{text}\""))?;
        rounded(number).ok_or_else(|| {
            format!("Expected {what} but was {text} at {} path {}", self.place(self.text.len()), self.path)
        })
    }

    fn unescaped(self) -> Result<Cow<'a, str>, String> {
        // Borrowed where nothing is escaped.
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        let mut deserializer = serde_json::Deserializer::from_str(self.text);
        deserializer.deserialize_str(Text).map_err(|_| "Malformed".to_owned())
    }

    fn expected(self, what: &str) -> String {
        let Look { token, behind } = self.look();
        let help = if token == "NULL" { "adapter-not-null-safe" } else { "unexpected-json-structure" };
        let (place, path) = (self.place(behind), self.path);
        format!("Expected {what} but was {token} at {place} path {path}\n{TROUBLESHOOTING}{help}")
    }

    fn look(self) -> Look {
        let whole = self.text.len();
        let (token, behind) = match self.text.as_bytes().first() {
            Some(b'{') => ("BEGIN_OBJECT", 1),
            Some(b'[') => ("BEGIN_ARRAY", 1),
            Some(b'"') => ("STRING", 1),
            Some(b'n') => ("NULL", whole),
            Some(b't' | b'f') => ("BOOLEAN", whole),
            // Only what fits into 64 bits is read at once.
            _ if self.text.parse::<i64>().is_ok() && self.text != "-0" => ("NUMBER", whole),
            _ => ("NUMBER", 0),
        };
        Look { token, behind }
    }

    /// Line and column of a byte of this value's text.
    fn place(self, byte: usize) -> Place {
        let start = self.text.as_ptr() as usize - self.whole.as_ptr() as usize;
        Place::of(self.whole.get(..start + byte).unwrap_or(self.whole))
    }
}

/// Where a parser stands, counted from one.
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// Behind this text.
    fn of(before: &str) -> Self {
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().encode_utf16().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}

/// A value that is walked through. serde's errors are texts of its own, so ours goes beside them.
struct Walk<'a, F> {
    value: Value<'a>,
    each: RefCell<F>,
    error: RefCell<Option<String>>,
    /// The element that is being read.
    at: Cell<usize>,
}

impl<F> Walk<'_, F> {
    fn stop<E: serde::de::Error>(&self, error: String) -> E {
        *self.error.borrow_mut() = Some(error);
        E::custom("")
    }

    fn end(self, result: Result<(), serde_json::Error>) -> Result<(), String> {
        match (self.error.into_inner(), result) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(()),
            // Only of the whole: what is inside of it was found complete. An end within a string is another matter.
            (None, Err(error)) if error.is_eof() && !error.to_string().contains("string") => {
                let path = Path::Element(self.value.path, self.at.get());
                Err(format!("End of input at {} path {path}", Place::of(self.value.whole)))
            }
            (None, Err(_)) => Err("Malformed".to_owned()),
        }
    }
}

struct Elements<'w, 'a, F>(&'w Walk<'a, F>);

impl<'de: 'a, 'a, F: FnMut(Value<'_>) -> Result<(), String>> Visitor<'de> for Elements<'_, 'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Value { whole, path, .. } = self.0.value;
        for index in 0.. {
            let path = Path::Element(path, index);
            self.0.at.set(index);
            let Some(element) = list.next_element::<&'de RawValue>()? else { break };
            let value = Value { whole, text: element.get(), path: &path };
            (self.0.each.borrow_mut())(value).map_err(|error| self.0.stop::<A::Error>(error))?;
        }
        Ok(())
    }
}

struct Fields<'w, 'a, F>(&'w Walk<'a, F>);

impl<'de: 'a, 'a, F: FnMut(&str, Value<'_>) -> Result<(), String>> Visitor<'de> for Fields<'_, 'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Value { whole, path, .. } = self.0.value;
        while let Some(name) = object.next_key::<String>()? {
            let field = object.next_value::<&'de RawValue>()?;
            let path = Path::Field(path, &name);
            let value = Value { whole, text: field.get(), path: &path };
            (self.0.each.borrow_mut())(&name, value).map_err(|error| self.0.stop::<A::Error>(error))?;
        }
        Ok(())
    }
}
