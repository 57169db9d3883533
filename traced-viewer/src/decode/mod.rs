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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn read(encoding: Encoding, body: &[u8]) -> Result<String, String> {
        encoding.decode(body).map(|spans| serde_json::to_string(&spans).unwrap())
    }

    /// What Zipkin 3.6.1 says; a test compares with the server itself, where there is Java.
    #[test]
    fn texts_say_what_and_where() {
        let end = " reading List<Span> from json";
        let help = "\nSee https://github.com/google/gson/blob/main/Troubleshooting.md#unexpected-json-structure";
        for (body, text) in [
            ("[{}]", "Missing : traceId id".to_owned()),
            ("[1]", "Malformed".to_owned()),
            ("[", "End of input at line 1 column 2 path $[0]".to_owned()),
            (r#"[{"traceId":"1","id":"X"}]"#, "X should be lower-hex encoded with no prefix".to_owned()),
            (
                r#"[{"name":"é😀","debug":3}]"#,
                format!("Expected a boolean but was NUMBER at line 1 column 25 path $[0].debug{help}"),
            ),
            (
                "[\n{\"traceId\":\"1\",\"id\":\"1\"},\n {\"tags\":{\"z\":false}}]",
                format!("Expected a string but was BOOLEAN at line 3 column 20 path $[1].tags.z{help}"),
            ),
            (r#"[{"annotations":[{"value":"x"}]}]"#, "Incomplete annotation at $[0].annotations[0].value".to_owned()),
            (
                r#"[{"timestamp":1.5}]"#,
                "Expected a long but was 1.5 at line 1 column 18 path $[0].timestamp".to_owned(),
            ),
        ] {
            assert_eq!(read(Encoding::JsonV2, body.as_bytes()), Err(format!("{text}{end}")), "{body}");
        }
        assert_eq!(read(Encoding::JsonV2, b"{}"), Err("Expected a JSON_V2 encoded list\n".to_owned()));
        assert_eq!(read(Encoding::Proto3, b"{}"), Err("Expected a PROTO3 encoded list\n".to_owned()));
        let truncated = "Truncated: length 5 > bytes available 3 reading List<Span> from proto3".to_owned();
        assert_eq!(read(Encoding::Proto3, b"\x0a\x05abc"), Err(truncated));
    }

    #[test]
    fn a_v1_span_of_two_hosts_becomes_two() {
        let event = |time: u64, value: &str, service: &str| {
            format!(r#"{{"timestamp":{time},"value":"{value}","endpoint":{{"serviceName":"{service}"}}}}"#)
        };
        let events = [event(1, "cs", "a"), event(2, "sr", "b"), event(4, "ss", "b"), event(6, "cr", "a")].join(",");
        let body = format!(r#"[{{"traceId":"1","id":"2","name":"Get","annotations":[{events}]}}]"#);
        let expected = concat!(
            r#"[{"traceId":"0000000000000001","id":"0000000000000002","kind":"CLIENT","name":"get","timestamp":1,"duration":5,"#,
            r#""localEndpoint":{"serviceName":"a"}},"#,
            r#"{"traceId":"0000000000000001","id":"0000000000000002","kind":"SERVER","name":"get","timestamp":2,"duration":2,"#,
            r#""localEndpoint":{"serviceName":"b"},"shared":true}]"#,
        );
        assert_eq!(read(Encoding::JsonV1, body.as_bytes()), Ok(expected.to_owned()));
    }

    #[test]
    fn protocol_buffers_with_fields_of_another_version_are_read() {
        let span = b"\x0a\x08\0\0\0\0\0\0\0\x01\x1a\x08\0\0\0\0\0\0\0\x02\x7a\x03new\x2a\x04Name\x68\x01";
        let list = [&[10, u8::try_from(span.len()).unwrap()], &span[..]].concat();
        let expected = r#"[{"traceId":"0000000000000001","id":"0000000000000002","name":"name","shared":true}]"#;
        assert_eq!(read(Encoding::Proto3, &list), Ok(expected.to_owned()));
        // Whatever is cut off, it is an error and no panic.
        for end in 1..list.len() {
            assert!(read(Encoding::Proto3, &list[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_file_is_a_list_of_spans_or_of_traces() {
        let span = r#"{"traceId":"1","id":"2"}"#;
        for file in [format!("[{span},{span}]"), format!(" [ [{span}],[],[{span}] ]\n")] {
            assert_eq!(Encoding::JsonV2.decode_file(file.as_bytes()).map(|spans| spans.len()), Ok(2), "{file}");
        }
    }
}
