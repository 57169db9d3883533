//! Spans from the bytes that clients post: one encoding per file, each with Zipkin's checks and texts.

mod json;
mod json_v1;
mod json_v2;
mod proto3;

use crate::span::Span;

/// The encodings of a list of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    JsonV1,
    JsonV2,
    Proto3,
}

impl Encoding {
    const fn name(self) -> &'static str {
        match self {
            Self::JsonV1 => "JSON_V1",
            Self::JsonV2 => "JSON_V2",
            Self::Proto3 => "PROTO3",
        }
    }

    /// Decodes a file: a list of spans, or of traces, which are lists of spans.
    pub(crate) fn decode_file(self, file: &[u8]) -> Result<Vec<Span>, String> {
        let text = file.trim_ascii();
        match text.strip_prefix(b"[").map(<[u8]>::trim_ascii_start) {
            Some([b'[', ..]) => {
                json::list(text, |trace, spans| trace.elements(|value| json_v2::span_into(value, spans)))
            }
            _ => self.decode(text),
        }
    }

    /// Decodes a list. One span that cannot be read makes the list an error, whose text is Zipkin's.
    pub(crate) fn decode(self, body: &[u8]) -> Result<Vec<Span>, String> {
        let Some(first) = body.first() else { return Ok(Vec::new()) };
        let begins = match self {
            Self::JsonV1 | Self::JsonV2 => *first == b'[',
            // The key of the one field of `ListOfSpans`.
            Self::Proto3 => *first == 10,
        };
        if !begins {
            return Err(format!("Expected a {} encoded list\n", self.name()));
        }
        let has = |part: &str| body.windows(part.len()).any(|window| window == part.as_bytes());
        let instead = match self {
            Self::JsonV1 if has("Endpoint\"") || has("\"tags\"") => Some(Self::JsonV2),
            Self::JsonV2 if has("yAnnotations\"") => Some(Self::JsonV1),
            _ => None,
        };
        if let Some(instead) = instead {
            return Err(format!("Expected a {} encoded list, but received: {}\n", self.name(), instead.name()));
        }
        match self {
            Self::JsonV1 => json::list(body, json_v1::spans),
            Self::JsonV2 => json::list(body, json_v2::span_into),
            Self::Proto3 => proto3::list(body),
        }
    }
}
