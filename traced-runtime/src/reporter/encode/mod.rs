//! From records to the bodies of requests: pure, records in, bytes out.

mod cut;
mod fragment;
pub(crate) mod json;

use std::ops::Range;

pub(crate) use self::cut::Bare;
use self::fragment::Fragments;
use crate::reporter::record::SpanRecord;

/// Spans as one JSON list, built span by span and never longer than its bound.
#[derive(Debug)]
pub(crate) struct Body {
    /// The list, with its brackets; nothing when no span is in.
    bytes: Vec<u8>,
    /// Where each span ends: the place of the comma or bracket behind it.
    ends: Vec<usize>,
    bound: usize,
    fragments: Fragments,
}

/// What became of a span given to a [`Body`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is in.
    Fits {
        /// Tags and annotations removed, and names shortened, to make it fit.
        cut: u64,
    },
    /// There is no room beside the spans that are in: send them first.
    Full,
    /// It is too large alone, even without all that it was given.
    TooLarge,
}

/// How far a [`Body`] was filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filled {
    /// Spans that are in, or too large: the rest is for the next request.
    pub(crate) taken: usize,
    /// Those of them that are too large alone, even without all that they were given.
    pub(crate) too_large: usize,
    /// Tags and annotations removed, and names shortened, to make others fit.
    pub(crate) cut_tags: u64,
}

/// Finds the end of each element of a JSON list: the places of the commas between them, and of the bracket behind the last.
#[cfg(feature = "spool")]
fn find_ends(list: &[u8], ends: &mut Vec<usize>) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_u32, false, false);
    if list.first() != Some(&b'[') {
        return false;
    }
    for (at, &byte) in list.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    ends.push(at);
                    return at + 1 == list.len();
                }
            }
            b',' if depth == 1 => ends.push(at),
            _ => {}
        }
    }
    false
}

impl Body {
    /// An empty list of at most `bound` bytes.
    pub(crate) const fn new(bound: usize) -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), bound, fragments: Fragments::new() }
    }

    /// Number of spans.
    pub(crate) fn spans(&self) -> usize {
        self.ends.len()
    }

    /// Takes all spans out, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Adds a span if there is room. One that does not fit even alone is cut, and gets a tag that says so.
    pub(crate) fn add(&mut self, span: &mut SpanRecord) -> Added {
        let mut cut = 0;
        self.encode(span);
        if self.bytes.len() > self.bound {
            if self.spans() > 0 {
                self.truncate();
                return Added::Full;
            }
            match self.cut(span) {
                Some(parts) => cut = parts,
                None => {
                    self.truncate();
                    return Added::TooLarge;
                }
            }
        }
        self.ends.push(self.bytes.len() - 1);
        Added::Fits { cut }
    }

    /// Adds spans from the first on, until one finds no room. Tells of each that is in, and its number.
    pub(crate) fn fill<'a>(
        &mut self,
        spans: impl Iterator<Item = &'a mut SpanRecord>,
        mut added: impl FnMut(usize, &SpanRecord),
    ) -> Filled {
        let mut filled = Filled::default();
        for span in spans {
            match self.add(span) {
                Added::Fits { cut } => {
                    filled.cut_tags += cut;
                    added(self.spans() - 1, span);
                }
                Added::TooLarge => filled.too_large += 1,
                Added::Full => break,
            }
            filled.taken += 1;
        }
        filled
    }

    /// Takes a list over that was encoded before, in place of what is in. What is no list of spans leaves nothing: `false`.
    #[cfg(feature = "spool")]
    pub(crate) fn load(&mut self, list: &[u8]) -> bool {
        self.clear();
        if !find_ends(list, &mut self.ends) {
            self.clear();
            return false;
        }
        self.bytes.extend_from_slice(list);
        true
    }

    /// The list of all spans.
    #[cfg(feature = "spool")]
    pub(crate) fn list(&self) -> &[u8] {
        &self.bytes
    }

    /// Who a span is: its name, and its ids.
    pub(crate) fn describe(&self, span: usize) -> String {
        let mut scratch = Vec::new();
        let span = String::from_utf8_lossy(self.part(span..span + 1, &mut scratch)).into_owned();
        // Quotes inside of values are escaped, so the first match is the field. A value is shown as it is escaped.
        let field = |name: &str| {
            let (_, rest) = span.split_once(&format!("\"{name}\":\""))?;
            let mut escaped = false;
            let end = rest.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            rest.get(..end?)
        };
        let (name, trace, id) = (field("name"), field("traceId"), field("id"));
        format!("{} ({}-{})", name.unwrap_or("a span without name"), trace.unwrap_or("?"), id.unwrap_or("?"))
    }

    /// Writes the span behind those that are in, and the bracket behind it.
    fn encode(&mut self, span: &SpanRecord) {
        match self.ends.last() {
            None => {
                self.bytes.clear();
                self.bytes.push(b'[');
            }
            Some(&end) => {
                self.bytes.truncate(end);
                self.bytes.push(b',');
            }
        }
        json::encode_span(&mut self.bytes, span, &mut self.fragments);
        self.bytes.push(b']');
    }

    /// Takes out what is not one of the spans that are in.
    fn truncate(&mut self) {
        match self.ends.last() {
            None => self.bytes.clear(),
            Some(&end) => {
                self.bytes.truncate(end);
                self.bytes.push(b']');
            }
        }
    }

    /// The list of some of the spans, by number; only a part is copied, into `scratch`.
    pub(crate) fn part<'a>(&'a self, spans: Range<usize>, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        if spans == (0..self.spans()) {
            return &self.bytes;
        }
        let before = |span: usize| span.checked_sub(1).and_then(|last| self.ends.get(last).copied()).unwrap_or(0);
        scratch.clear();
        scratch.push(b'[');
        scratch.extend_from_slice(self.bytes.get(before(spans.start) + 1..before(spans.end)).unwrap_or_default());
        scratch.push(b']');
        scratch
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};
    use serde_json::Value;

    use super::*;
    use crate::model::endpoint::Endpoint;
    use crate::reporter::attributes::TagValue;

    fn span(id: u64) -> SpanRecord {
        SpanRecord::sample("span", 1, id, 0)
    }

    fn part(body: &Body, spans: Range<usize>) -> Vec<Value> {
        serde_json::from_slice(body.part(spans, &mut Vec::new())).unwrap()
    }

    fn ids(spans: &[Value]) -> Vec<u64> {
        spans.iter().map(|span| u64::from_str_radix(span["id"].as_str().unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn a_whole_body() {
        let mut body = Body::new(usize::MAX);
        body.add(&mut span(1));
        body.add(&mut span(2));
        let one = |id| {
            format!(
                concat!(
                    r#"{{"traceId":"0000000000000001","id":"000000000000000{}","name":"span","#,
                    r#""timestamp":1700000000000000,"duration":1000,"localEndpoint":{{"serviceName":"test"}}}}"#
                ),
                id
            )
        };
        let whole = String::from_utf8(body.part(0..2, &mut Vec::new()).to_vec()).unwrap();
        assert_eq!(whole, format!("[{},{}]", one(1), one(2)));
        let second = String::from_utf8(body.part(1..2, &mut Vec::new()).to_vec()).unwrap();
        assert_eq!(second, format!("[{}]", one(2)));
    }

    #[test]
    fn a_span_is_described_by_its_name_and_ids() {
        let mut body = Body::new(usize::MAX);
        body.add(&mut span(1));
        let mut named = span(0xab);
        named.name = Some("say \"no\"".into());
        named.attributes.tag(0, "id", TagValue::Text("7"));
        body.add(&mut named);
        assert_eq!(body.describe(0), "span (0000000000000001-0000000000000001)");
        assert_eq!(body.describe(1), r#"say \"no\" (0000000000000001-00000000000000ab)"#);
    }

    #[cfg(feature = "spool")]
    #[test]
    fn an_encoded_list_is_taken_apart_again() {
        let mut rng = SmallRng::seed_from_u64(4);
        for _ in 0..200 {
            let mut body = Body::new(usize::MAX);
            for _ in 0..rng.random_range(1..20) {
                body.add(&mut json::tests::any_span(&mut rng));
            }
            let mut loaded = Body::new(0);
            assert!(loaded.load(body.list()));
            assert_eq!((&loaded.bytes, &loaded.ends), (&body.bytes, &body.ends));
        }
        let mut body = Body::new(0);
        for no_list in ["", "[", "{}", "[{}", "[{}]x", "[\"]", "[\"\\\"]", "]"] {
            assert!(!body.load(no_list.as_bytes()), "{no_list}");
            assert_eq!(body.spans(), 0);
        }
    }

    #[test]
    fn spans_are_added_until_the_bound_and_every_part_is_a_list() {
        let mut rng = SmallRng::seed_from_u64(3);
        for _ in 0..200 {
            let bound = rng.random_range(600..4_000);
            let mut body = Body::new(bound);
            let mut expected = Vec::new();
            let full = loop {
                let mut span = json::tests::any_span(&mut rng);
                match body.add(&mut span) {
                    Added::Fits { .. } => expected.push(span.id.get()),
                    other => break other,
                }
            };
            assert!(full == Added::Full || expected.is_empty());
            if expected.is_empty() {
                continue;
            }
            assert!(body.part(0..expected.len(), &mut Vec::new()).len() <= bound);
            for _ in 0..5 {
                let end = rng.random_range(1..=expected.len());
                let start = rng.random_range(0..end);
                assert_eq!(ids(&part(&body, start..end)), expected[start..end]);
            }
        }
    }

    #[test]
    fn a_span_that_is_too_large_loses_its_largest_tags_and_says_so() {
        let mut large = span(1);
        large.attributes.tag(0, "small", TagValue::Bool(true));
        large.attributes.tag(0, "quotes", TagValue::Text(&"\"".repeat(2_000)));
        large.attributes.tag(0, "large", TagValue::Text(&"x".repeat(3_000)));
        let mut body = Body::new(1_000);
        assert_eq!(body.add(&mut large), Added::Fits { cut: 2 });
        // `,"quotes":"…"` and `,"large":"…"`.
        let bytes = 12 + 4_000 + 11 + 3_000;
        assert_eq!(
            part(&body, 0..1)[0]["tags"],
            serde_json::json!({"small": "true", "traced.cut": format!("2 tags, {bytes} bytes")})
        );
        assert!(body.part(0..1, &mut Vec::new()).len() <= 1_000);
    }

    #[test]
    fn beside_others_a_large_span_waits_for_the_next_body() {
        let mut large = span(2);
        large.attributes.tag(0, "large", TagValue::Text(&"x".repeat(3_000)));
        let mut body = Body::new(1_000);
        body.add(&mut span(1));
        assert_eq!(body.add(&mut large), Added::Full);
        assert_eq!(body.add(&mut span(3)), Added::Fits { cut: 0 });
        assert_eq!(ids(&part(&body, 0..2)), [1, 3]);
        assert!(large.tag("large").is_some());
    }

    #[test]
    fn a_span_with_too_many_annotations_keeps_the_first_and_the_last() {
        let mut large = span(1);
        large.attributes.tag(0, "small", TagValue::Bool(true));
        for number in 0..20_000 {
            large.attributes.annotation(1_000 * number, "ok");
        }
        let mut body = Body::new(10_000);
        let Added::Fits { cut } = body.add(&mut large) else { unreachable!("annotations are cut") };
        let span = &part(&body, 0..1)[0];
        let annotations = span["annotations"].as_array().unwrap();
        assert_eq!(annotations.len() as u64 + cut, 20_000);
        let time = |annotation: &Value| annotation["timestamp"].as_u64().unwrap();
        let times: Vec<_> = annotations.iter().map(time).collect();
        assert!(times.starts_with(&[1, 1, 2, 3]) && times.ends_with(&[19_998, 19_999]), "{times:?}");
        assert_eq!(span["tags"]["small"], "true");
        assert!(span["tags"]["traced.cut"].as_str().unwrap().starts_with(&format!("{cut} annotations, ")));
        let bytes = body.part(0..1, &mut Vec::new()).len();
        assert!((9_700..=10_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn names_are_shortened_when_nothing_else_is_left() {
        for (name, remote) in [(90_000, 0), (0, 90_000), (90_000, 90_000), (90_000, 10), (10, 90_000)] {
            let mut large = span(1);
            large.name = Some("\u{1}".repeat(name).into());
            large.remote = Some(Box::new(Endpoint::named("é".repeat(remote)).port(1)));
            large.attributes.annotation(0, "seen");
            let mut body = Body::new(1_000);
            let cut = 1 + u64::from(name > 10) + u64::from(remote > 10);
            assert_eq!(body.add(&mut large), Added::Fits { cut }, "{name} {remote}");
            let bytes = body.part(0..1, &mut Vec::new()).len();
            assert!((800..=1_000).contains(&bytes), "{bytes}");
            let span = &part(&body, 0..1)[0];
            for (given, letter, kept) in
                [(name, '\u{1}', &span["name"]), (remote, 'é', &span["remoteEndpoint"]["serviceName"])]
            {
                let kept = kept.as_str().unwrap_or_default();
                if given > 10 {
                    assert!(kept.len() > 30 && kept.ends_with('…'), "{kept}");
                    assert!(kept.trim_end_matches('…').chars().all(|c| c == letter), "{kept}");
                } else {
                    assert_eq!(kept.chars().count(), given, "the shorter one stays whole");
                }
            }
            assert!(span["tags"]["traced.cut"].as_str().unwrap().starts_with("1 annotation, "));
        }
    }

    #[test]
    fn a_failed_span_that_loses_its_error_text_is_a_failed_one() {
        let mut large = span(1);
        large.attributes.tag(0, "error", TagValue::Text(&"x".repeat(2_000)));
        let mut body = Body::new(1_000);
        assert_eq!(body.add(&mut large), Added::Fits { cut: 1 });
        assert_eq!(part(&body, 0..1)[0]["tags"]["error"], "error");
    }

    /// Whatever a user writes: only a request that is too small for the ids and times of a span keeps it out.
    #[test]
    fn no_text_makes_its_span_vanish() {
        /// More than the longest bare span.
        const BARE: usize = 600;
        let mut rng = SmallRng::seed_from_u64(11);
        for _ in 0..3_000 {
            let mut large = json::tests::any_span(&mut rng);
            let mut text = |most: usize| {
                let letter = ["x", "\u{1}", "é", "\"", "\u{2028}", "😀"][rng.random_range(0..6)];
                letter.repeat(rng.random_range(0..most))
            };
            large.name = Some(text(1_000).into());
            large.remote = Some(Box::new(Endpoint::named(text(1_000))));
            for _ in 0..3 {
                large.attributes.tag(0, &text(100), TagValue::Text(&text(1_000)));
                large.attributes.tag(0, "error", TagValue::Text(&text(1_000)));
                large.attributes.annotation(1, &text(1_000));
            }
            large.attributes.tag(0, cut::CUT_TAG, TagValue::Text(&text(1_000)));
            large.attributes.seal();
            let bound = rng.random_range(BARE..4_000);
            let mut body = Body::new(bound);
            assert!(matches!(body.add(&mut large), Added::Fits { .. }), "{bound} {large:?}");
            assert!(body.part(0..1, &mut Vec::new()).len() <= bound);
            let list = String::from_utf8(body.part(0..1, &mut Vec::new()).to_vec()).unwrap();
            assert!(list.matches("\"traced.cut\":").count() <= 1, "{list}");
            assert_eq!(part(&body, 0..1)[0]["id"], format!("{:016x}", large.id.get()));
        }
    }

    #[test]
    fn what_is_left_of_an_encoded_span_is_what_it_is_without_tags_and_annotations() {
        let mut rng = SmallRng::seed_from_u64(5);
        for _ in 0..2_000 {
            let mut whole = json::tests::any_span(&mut rng);
            if rng.random() {
                // What looks like the end of a field, or like one.
                let text = r#"]}],"tags":{"error":"x"},"annotations":[{"timestamp":1\"#;
                whole.attributes.tag(0, text, TagValue::Text(text));
                whole.attributes.annotation(1_000, text);
                // What looks like the place between a key and a value.
                whole.attributes.tag(0, ":", TagValue::Text(":"));
            }
            let mut body = Body::new(usize::MAX);
            body.add(&mut span(1));
            body.add(&mut whole);
            body.add(&mut span(2));
            let encoded = part(&body, 1..2).remove(0);
            let (tags, annotations) = (encoded["tags"].as_object(), encoded["annotations"].as_array());
            let Some(bare) = body.bare(1) else {
                assert!(tags.is_none() && annotations.is_none(), "{encoded}");
                continue;
            };
            let gone = tags.map_or(0, serde_json::Map::len) + annotations.map_or(0, Vec::len);
            assert_eq!(bare.parts, gone as u64, "{encoded}");
            let left: Vec<Value> = serde_json::from_slice(&bare.list).unwrap();
            assert_eq!(left[0]["tags"]["error"].is_string(), tags.is_some_and(|tags| tags.contains_key("error")));
            let mut expected = encoded.clone();
            expected.as_object_mut().unwrap().remove("annotations");
            expected["tags"] = left[0]["tags"].clone();
            assert_eq!(left, [expected]);
        }
    }

    #[test]
    fn a_span_too_large_without_all_it_was_given_is_not_added() {
        let mut large = span(1);
        large.attributes.tag(0, "tag", TagValue::Text("value"));
        large.local = Endpoint::named("x".repeat(200)).interned();
        let mut body = Body::new(200);
        assert_eq!(body.add(&mut large), Added::TooLarge);
        assert_eq!(body.spans(), 0);
        assert_eq!(body.add(&mut span(2)), Added::Fits { cut: 0 });
        assert_eq!(ids(&part(&body, 0..1)), [2]);
    }
}
