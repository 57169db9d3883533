//! The bodies that are sent, read back by another parser.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use traced_runtime::TagValue;
use traced_runtime::fuzz::{Parts, encode};

pub const WORDS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\0",
    b"\x1f",
    b"\x7f",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xa9",
    b"\xf0\x9f\x98\x80",
    b"\xed\xa0\x80",
    b"\xff",
    b"error",
    b"outcome",
    b"traced.cut",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\0\0\0\0\0\0\xf8\x7f",
];

#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let span = |name: &str, tags: u8| {
        let mut bytes = vec![1; 42];
        bytes.push(u8::try_from(name.len()).unwrap_or(0));
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&[0, 0, 0]);
        bytes.push(tags);
        for tag in 0..tags {
            bytes.extend_from_slice(&[3, b'k', b'e', b'0' + tag, tag % 5, 5, b'v', b'a', b'l', b'u', b'e', 0, 0, 0]);
        }
        bytes.extend_from_slice(&[1, 9, 9, 9, 9, 9, 9, 9, 9, 4, b't', b'e', b'x', b't']);
        bytes
    };
    let with = |bound: u8, spans: &[Vec<u8>]| [vec![bound, 0], spans.concat()].concat();
    vec![
        with(200, &[span("name", 3)]),
        with(2, &[span("first", 0), span("second", 5), span("third", 1)]),
        with(0, &[span("large", 5)]),
    ]
}

/// Takes an input apart; at its end everything is zero.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn number(&mut self) -> u64 {
        self.bytes(8).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// As much of it as is UTF-8.
    fn text(&mut self) -> &'a str {
        let count = usize::from(self.byte());
        let bytes = self.bytes(count);
        std::str::from_utf8(bytes)
            .unwrap_or_else(|error| std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""))
    }

    fn tag_value(&mut self) -> TagValue<'a> {
        match self.byte() % 5 {
            0 => TagValue::Text(self.text()),
            1 => TagValue::Unsigned(self.number()),
            2 => TagValue::Signed(self.number().cast_signed()),
            3 => TagValue::Float(f64::from_bits(self.number())),
            _ => TagValue::Bool(self.byte() % 2 == 1),
        }
    }

    fn span(&mut self) -> Parts<'a> {
        let ids = (u128::from(self.number()) << 64 | u128::from(self.number()), self.number(), self.number());
        let times = (self.number(), Some(self.number()).filter(|duration| duration % 3 != 0));
        let kinds = (self.byte(), self.byte());
        let name = self.text();
        let remote = self.byte() % 2 == 1;
        let remote = remote.then(|| {
            let ip: IpAddr = match self.byte() % 2 {
                0 => Ipv4Addr::from_bits(self.number() as u32).into(),
                _ => Ipv6Addr::from_bits(u128::from(self.number()) << 64 | u128::from(self.number())).into(),
            };
            (self.text(), ip, self.number() as u16)
        });
        let flags = (self.byte() % 2 == 1, self.byte() % 2 == 1);
        let tags = (0..self.byte() % 8).map(|_| (self.text(), self.tag_value())).collect();
        let annotations = (0..self.byte() % 4).map(|_| (self.number(), self.text())).collect();
        Parts { ids, times, name, kinds, remote, flags, tags, annotations }
    }
}

/// Zipkin cannot show line separators.
fn sent(text: &str) -> String {
    text.replace(['\u{2028}', '\u{2029}'], "\n")
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let bound = 64 * usize::from(input.byte()) + usize::from(input.byte());
    let mut spans = Vec::new();
    let mut expected = HashMap::new();
    while !input.0.is_empty() && spans.len() < 16 {
        let mut span = input.span();
        // Told apart by its id.
        span.ids.1 = spans.len() as u64 + 1;
        let tags: HashMap<String, String> =
            span.tags.iter().map(|(key, value)| (sent(key), sent(&value.to_string()))).collect();
        let distinct = span.tags.iter().map(|(key, _)| *key).collect::<std::collections::HashSet<_>>().len();
        let collides = tags.len() < distinct;
        expected.insert(format!("{:016x}", span.ids.1), (sent(span.name), (!collides).then_some(tags)));
        spans.push(span);
    }
    let count = spans.len();
    let encoded = encode(spans, bound);
    let mut seen = 0;
    for body in &encoded.bodies {
        assert!(body.len() <= bound, "{} bytes of {bound}", body.len());
        let list: Vec<Value> = serde_json::from_slice(body).expect("JSON, a list");
        assert!(!list.is_empty());
        for span in &list {
            seen += 1;
            let trace = span["traceId"].as_str().expect("a trace id");
            assert!(trace.len() == 16 || trace.len() == 32, "{trace}");
            let (name, tags) = &expected[span["id"].as_str().expect("an id")];
            let shown = span["name"].as_str().unwrap_or("");
            let is_shortened = encoded.cut_tags > 0 && name.starts_with(shown.trim_end_matches('…'));
            assert!(shown == name || is_shortened, "{shown} of {name}");
            for time in ["timestamp", "duration"] {
                assert!(span[time].is_null() || span[time].as_u64().is_some_and(|time| time > 0), "{span}");
            }
            let ours = |key: &str| ["error", "outcome", "traced.cut"].contains(&key);
            let found = span["tags"].as_object();
            if let Some(tags) = tags {
                for (key, value) in found.into_iter().flatten() {
                    let value = value.as_str().expect("a tag is text");
                    assert!(ours(key) || tags.get(key).is_some_and(|tag| tag == value), "{key}: {value}, {tags:?}");
                }
                let missing = tags.keys().filter(|key| found.is_none_or(|found| !found.contains_key(*key))).count();
                assert!(missing as u64 <= encoded.cut_tags, "{missing} tags are missing, {} cut", encoded.cut_tags);
            }
            for annotation in span["annotations"].as_array().into_iter().flatten() {
                assert!(annotation["timestamp"].as_u64().is_some_and(|time| time > 0) && annotation["value"].is_string());
            }
        }
    }
    assert_eq!(seen + encoded.too_large, count);
}
