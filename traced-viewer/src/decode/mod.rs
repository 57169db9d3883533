//! Spans from the bytes that clients post: one encoding per file, each with Zipkin's checks and texts.

mod json;
mod json_v1;
mod json_v2;
mod proto3;

use std::borrow::Cow;

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

    /// Decodes a file: a list of spans, or of traces, which are lists of spans. Files may begin with a mark of their byte order.
    pub(crate) fn decode_file(self, file: &[u8]) -> Result<Vec<Span>, String> {
        let text = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file).trim_ascii();
        match text.strip_prefix(b"[").map(<[u8]>::trim_ascii_start) {
            Some([b'[', ..]) => {
                self.check(text)?;
                json::list(text, |trace, spans| trace.elements(|reader| json_v2::span_into(reader, spans)))
            }
            _ => self.decode(text),
        }
    }

    /// Decodes a list. One span that cannot be read makes the list an error, whose text is Zipkin's.
    pub(crate) fn decode(self, body: &[u8]) -> Result<Vec<Span>, String> {
        if body.is_empty() {
            return Ok(Vec::new());
        }
        self.check(body)?;
        match self {
            Self::JsonV1 => json::list(body, json_v1::spans),
            Self::JsonV2 => json::list(body, json_v2::span_into),
            Self::Proto3 => proto3::list(body),
        }
    }

    /// Whether the bytes look like a list in this encoding.
    fn check(self, body: &[u8]) -> Result<(), String> {
        // Zipkin looks for the beginnings of all lists that it knows, in any encoding. A line feed is the key of the one
        // field of `ListOfSpans`, and so it may stand in front of JSON, too.
        let begins = match body {
            [b'\n', second, ..] => *second != 0,
            [first, ..] => matches!(first, b'[' | 0x0b | 0x0c),
            [] => false,
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
        match instead {
            Some(instead) => {
                Err(format!("Expected a {} encoded list, but received: {}\n", self.name(), instead.name()))
            }
            None => Ok(()),
        }
    }
}

/// Bytes as text. What is not UTF-8 is replaced as Java does it: each half of a surrogate pair by one U+FFFD.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    let is_half = |window: &[u8]| matches!(window, [0xed, 0xa0..=0xbf, 0x80..=0xbf]);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) if bytes.windows(3).any(is_half) => {
            let mut bytes = bytes.to_vec();
            for at in 0..bytes.len() {
                if let Some(half) = bytes.get_mut(at..at + 3).filter(|half| is_half(half)) {
                    half.copy_from_slice("\u{fffd}".as_bytes());
                }
            }
            Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
        }
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use serde_json::Value;

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

    /// Bodies with what Zipkin 3.6.1 makes of them. The decoder of the page has the same cases.
    #[test]
    fn odd_json_is_taken_or_refused_as_zipkin_does() {
        let cases: Vec<Value> = serde_json::from_str(include_str!("../../cases/decode.json")).unwrap();
        assert!(cases.len() > 900, "{}", cases.len());
        let json = |spans: Result<Vec<Span>, String>| spans.map(|spans| serde_json::to_value(spans).unwrap());
        for case in &cases {
            let body = case["body"].as_str().unwrap();
            let encoding = if case["format"] == 1 { Encoding::JsonV1 } else { Encoding::JsonV2 };
            let error = |case: &Value| case["error"].as_str().map(str::to_owned);
            let expected = error(case).map_or_else(|| Ok(case["spans"].clone()), Err);
            assert_eq!(json(encoding.decode(body.as_bytes())), expected, "{body}");
            if encoding == Encoding::JsonV2 {
                let read = json(encoding.decode_file(body.as_bytes())).ok();
                assert_eq!(read.as_ref(), case.get("file").or(case.get("spans")), "as a file: {body}");
            }
        }
    }

    #[test]
    fn what_is_not_utf_8_is_replaced_as_java_does_it() {
        for (bytes, expected) in [
            (&b"a\xffz"[..], "a\u{fffd}z"),
            (b"a\xe2\x82z", "a\u{fffd}z"),
            (b"a\xc0\x80z", "a\u{fffd}\u{fffd}z"),
            // Halves of a pair, as Java and JavaScript never write them.
            (b"a\xed\xa0\xbd\xed\xb8\x80z", "a\u{fffd}\u{fffd}z"),
            (b"a\xed\xa0", "a\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(text(bytes), expected);
        }
    }
}
