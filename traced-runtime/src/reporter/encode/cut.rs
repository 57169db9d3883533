//! What a span gives up to fit into a request alone.

use std::borrow::Cow;

use super::{Body, json};
use crate::model::endpoint::Endpoint;
use crate::model::kind::Outcome;
use crate::reporter::attributes::{Shed, TagValue, shares};
use crate::reporter::record::SpanRecord;

/// The tag that tells what a span lost because it was too large for a request.
pub(crate) const CUT_TAG: &str = "traced.cut";

/// Bytes kept free for that tag: its key, four numbers and the words between them. Where requests are small, less: a name is
/// worth more.
const CUT_TAG_ROOM: usize = 128;

/// Bytes kept free for the outcome, which is a tag where a tag of the same key had to go.
const OUTCOME_ROOM: usize = 24;

/// Stands where the rest of a name was.
const ELLIPSIS: &str = "…";

/// What a span gave up.
#[derive(Clone, Copy)]
struct Cut {
    shed: Shed,
    names: u64,
}

impl Cut {
    const fn parts(self) -> u64 {
        self.shed.tags + self.shed.annotations + self.names
    }

    /// `2 tags, 1 annotation, 7023 bytes`.
    fn note(self, bytes: usize) -> String {
        let Shed { tags, annotations } = self.shed;
        let mut note = String::new();
        for (number, noun) in [(tags, "tag"), (annotations, "annotation"), (self.names, "name")] {
            if number > 0 {
                let plural = if number == 1 { "" } else { "s" };
                note += &format!("{number} {noun}{plural}, ");
            }
        }
        note + &format!("{bytes} bytes")
    }
}

impl Body {
    /// Writes the first span anew, within the bound: without as many tags and annotations as it takes, the largest first, then
    /// with shorter names. A tag says so if there is room for it. `None` when the span does not fit even so.
    pub(super) fn cut(&mut self, span: &mut SpanRecord) -> Option<u64> {
        let whole = self.bytes.len();
        let room = self.bound - CUT_TAG_ROOM.min(self.bound / 4);
        let mut scratch = Vec::new();
        let had_error = has_error(span);
        let excess = whole.saturating_sub(room.saturating_sub(OUTCOME_ROOM));
        let shed = span.attributes.shed(excess, |given| json::given_bytes(&mut scratch, given));
        // A failed span stays one.
        if had_error && !has_error(span) && span.outcome == Outcome::Returned {
            span.outcome = Outcome::Error;
        }
        self.encode(span);
        let mut names = 0;
        if self.bytes.len() > self.bound {
            names = shorten_names(span, self.bytes.len() - room, &mut scratch);
            self.encode(span);
        }
        if self.bytes.len() > self.bound {
            return None;
        }
        let cut = Cut { shed, names };
        span.set_tag(CUT_TAG, TagValue::Text(&cut.note(whole - self.bytes.len())));
        self.encode(span);
        if self.bytes.len() > self.bound {
            span.retain_tags(|key, _| key != CUT_TAG);
            self.encode(span);
        }
        Some(cut.parts())
    }
}

/// A span that was encoded, without what it was given.
pub(crate) struct Bare {
    /// A list of it alone.
    pub(crate) list: Vec<u8>,
    /// Tags and annotations that are gone.
    pub(crate) parts: u64,
}

impl Body {
    /// What a collector gets of a span that it finds too large by itself; `None` when it has neither tags nor annotations.
    ///
    /// The record is gone by then, or was another process's. Quotes inside of texts are escaped, so what is looked for is found
    /// where it is a field.
    pub(crate) fn bare(&self, span: usize) -> Option<Bare> {
        let mut list = self.part(span..span + 1, &mut Vec::new()).to_vec();
        let annotations = cut_field(&mut list, b",\"annotations\":[{\"timestamp\":");
        let tags = cut_field(&mut list, b",\"tags\":{\"");
        if annotations.is_empty() && tags.is_empty() {
            return None;
        }
        let count =
            |text: &[u8], pattern: &[u8]| text.windows(pattern.len()).filter(|part| *part == pattern).count() as u64;
        let shed = Shed { tags: tags_in(&tags), annotations: count(&annotations, b"{\"timestamp\":") };
        let cut = Cut { shed, names: 0 };
        let is_failed = [&b"{\"error\":\""[..], b",\"error\":\""].iter().any(|error| count(&tags, error) > 0);
        let error = if is_failed { ",\"error\":\"error\"" } else { "" };
        let note = format!(",\"tags\":{{\"{CUT_TAG}\":\"{}\"{error}}}}}]", cut.note(annotations.len() + tags.len()));
        list.truncate(list.len() - b"}]".len());
        list.extend_from_slice(note.as_bytes());
        Some(Bare { list, parts: cut.parts() })
    }
}

/// The number of tags in a field of them. Keys and values are in quotes, and other quotes are
/// escaped; what stands between a key and its value may be a text as well.
fn tags_in(field: &[u8]) -> u64 {
    let (mut quotes, mut escaped) = (0, false);
    for byte in field {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quotes += 1,
            _ => {}
        }
    }
    // Two are those of the field's own name.
    quotes / 4
}

/// Takes out a field that begins so, with its value in brackets; returns it, or nothing.
fn cut_field(list: &mut Vec<u8>, start: &[u8]) -> Vec<u8> {
    let Some(from) = list.windows(start.len()).position(|part| part == start) else { return Vec::new() };
    let (mut depth, mut in_text, mut escaped) = (0_u32, false, false);
    for (at, &byte) in list.iter().enumerate().skip(from) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 1 => return list.drain(from..=at).collect(),
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    Vec::new()
}

fn has_error(span: &SpanRecord) -> bool {
    span.tag("error").is_some()
}

/// Makes the span's name and that of the other side so many bytes shorter, together. They [share](shares) what is left. Tells
/// how many were cut.
fn shorten_names(span: &mut SpanRecord, excess: usize, scratch: &mut Vec<u8>) -> u64 {
    let name = span.name().into_owned();
    let remote = span.remote_endpoint().map(Cow::into_owned);
    let service = remote.as_ref().and_then(Endpoint::service_name).unwrap_or_default();
    let (of_name, of_service) = (json::text_bytes(scratch, &name), json::text_bytes(scratch, service));
    let (name_room, service_room) = shares((of_name + of_service).saturating_sub(excess), of_name, of_service);
    let mut names = 0;
    if let Some(shorter) = shortened(&name, name_room, scratch) {
        span.set_name(shorter);
        names += 1;
    }
    if let Some(shorter) = shortened(service, service_room, scratch) {
        span.remote = remote.map(|remote| Box::new(remote.service(shorter)));
        names += 1;
    }
    names
}

/// The beginning of a text that takes so many bytes in a request, with an ellipsis behind it; `None`: all of it does.
fn shortened(text: &str, bytes: usize, scratch: &mut Vec<u8>) -> Option<String> {
    if json::text_bytes(scratch, text) <= bytes {
        return None;
    }
    let Some(mut left) = bytes.checked_sub(ELLIPSIS.len()) else { return Some(String::new()) };
    let mut end = 0;
    for (at, character) in text.char_indices() {
        let to = at + character.len_utf8();
        match left.checked_sub(json::text_bytes(scratch, &text[at..to])) {
            Some(less) => (left, end) = (less, to),
            None => break,
        }
    }
    Some(format!("{}{ELLIPSIS}", &text[..end]))
}
