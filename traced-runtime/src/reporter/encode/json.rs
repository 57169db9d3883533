//! Spans as [Zipkin's JSON, version 2](https://zipkin.io/zipkin-api/).
//!
//! Written by hand, straight into the request's body: nothing is allocated for a span, and no text is looked at twice.
//! What makes a Zipkin server refuse a whole list (an id of zeros, an annotation without a time, a number as a tag's
//! value) cannot be written here.

use std::io::Write as _;
use std::net::IpAddr;

use super::fragment::Fragments;
use crate::model::callsite::Callsite;
use crate::model::endpoint::Endpoint;
use crate::model::kind::{Kind, Outcome};
use crate::reporter::attributes::{Given, RawValue, TagValue};
use crate::reporter::record::SpanRecord;

/// The digits of 0 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut at: u8 = 0;
    while at < 100 {
        pairs[at as usize] = [b'0' + at / 10, b'0' + at % 10];
        at += 1;
    }
    pairs
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The two hexadecimal digits of each byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut at = 0;
    while at < 256 {
        pairs[at] = [HEX[at >> 4], HEX[at & 15]];
        at += 1;
    }
    pairs
};

/// Room for what every span has, so that the vector grows once for it.
const USUAL: usize = 512;

/// Appends one span as a JSON object.
pub(super) fn encode_span(out: &mut Vec<u8>, span: &SpanRecord, fragments: &mut Fragments) {
    out.reserve(USUAL);
    out.extend_from_slice(b"{\"traceId\":\"");
    let trace = span.trace.get();
    if trace >> 64 != 0 {
        hex(out, high(trace));
    }
    hex(out, low(trace));
    // A parent that is the span itself is not true, and would be dropped there.
    if let Some(parent) = span.parent.filter(|parent| *parent != span.id) {
        out.extend_from_slice(b"\",\"parentId\":\"");
        hex(out, parent.get());
    }
    out.extend_from_slice(b"\",\"id\":\"");
    hex(out, span.id.get());
    out.push(b'"');
    match (span.site, &span.name, span.kind) {
        (Some(site), None, None) => fragments.site(out, site),
        _ => {
            kind(out, span.kind());
            name(out, span);
        }
    }
    if span.start >= 1_000 {
        out.extend_from_slice(b",\"timestamp\":");
        decimal(out, micros(span.start));
    }
    if let Some(duration) = span.duration {
        out.extend_from_slice(b",\"duration\":");
        decimal(out, micros(duration));
    }
    fragments.local(out, span.local);
    if let Some(remote) = span.remote_endpoint().filter(|remote| !remote.is_empty()) {
        out.extend_from_slice(b",\"remoteEndpoint\":");
        endpoint(out, &remote);
    }
    if !span.attributes.is_empty() {
        annotations(out, span);
    }
    if !span.attributes.is_empty() || span.outcome != Outcome::Returned {
        tags(out, span);
    }
    if span.debug {
        out.extend_from_slice(b",\"debug\":true");
    }
    // The client owns its span; the server removes the flag there.
    if span.shared && span.kind() != Some(Kind::Client) {
        out.extend_from_slice(b",\"shared\":true");
    }
    out.push(b'}');
}

/// `,"kind":"…"`, if there is one.
fn kind(out: &mut Vec<u8>, kind: Option<Kind>) {
    if let Some(kind) = kind {
        out.extend_from_slice(b",\"kind\":\"");
        out.extend_from_slice(kind.as_str().as_bytes());
        out.push(b'"');
    }
}

/// Kind and name, as the site says.
pub(super) fn site(out: &mut Vec<u8>, site: &'static Callsite) {
    kind(out, site.span_kind());
    site_name(out, site);
}

/// `,"localEndpoint":{…}`, if anything is known of it.
pub(super) fn local_endpoint(out: &mut Vec<u8>, local: &Endpoint) {
    if !local.is_empty() {
        out.extend_from_slice(b",\"localEndpoint\":");
        endpoint(out, local);
    }
}

const NAME: &[u8] = b",\"name\":\"";

/// `,"name":"…"`, if there is one.
fn name(out: &mut Vec<u8>, span: &SpanRecord) {
    match (&span.name, span.site) {
        (Some(name), _) if !name.is_empty() => {
            out.extend_from_slice(NAME);
            text(out, name.as_bytes());
            out.push(b'"');
        }
        (None, Some(site)) => site_name(out, site),
        _ => {}
    }
}

/// The same of a site, in two parts if it is a method's: joining them would be an allocation.
fn site_name(out: &mut Vec<u8>, site: &'static Callsite) {
    let name = site.span_name();
    out.extend_from_slice(NAME);
    if let Some(owner) = name.owner {
        text(out, owner.as_bytes());
        out.extend_from_slice(b"::");
    }
    text(out, name.name.as_bytes());
    out.push(b'"');
}

fn endpoint(out: &mut Vec<u8>, endpoint: &Endpoint) {
    let mut before = b'{';
    if let Some(service) = endpoint.service_name() {
        out.extend_from_slice(b"{\"serviceName\":\"");
        text(out, service.as_bytes());
        out.push(b'"');
        before = b',';
    }
    // An IPv4 address in IPv6 clothes is written as what it is.
    if let Some(ip) = endpoint.ip_addr().map(|ip| ip.to_canonical()) {
        out.push(before);
        match ip {
            // By hand: an address is in every span, and formatting it would be a third of the span's cost.
            IpAddr::V4(ip) => {
                out.extend_from_slice(b"\"ipv4\":\"");
                let [first, rest @ ..] = ip.octets();
                decimal(out, u64::from(first));
                for octet in rest {
                    out.push(b'.');
                    decimal(out, u64::from(octet));
                }
            }
            IpAddr::V6(ip) => {
                out.extend_from_slice(b"\"ipv6\":\"");
                display(out, ip);
            }
        }
        out.push(b'"');
        before = b',';
    }
    if let Some(port) = endpoint.port_number() {
        out.push(before);
        out.extend_from_slice(b"\"port\":");
        decimal(out, u64::from(port));
    }
    out.push(b'}');
}

fn annotations(out: &mut Vec<u8>, span: &SpanRecord) {
    let mut before: &[u8] = b",\"annotations\":[{\"timestamp\":";
    for (time, value) in span.attributes.raw_annotations() {
        annotation(out, before, time, value);
        before = NEXT_ANNOTATION;
    }
    if before.len() == NEXT_ANNOTATION.len() {
        out.push(b']');
    }
}

const NEXT_ANNOTATION: &[u8] = b",{\"timestamp\":";

#[inline]
fn annotation(out: &mut Vec<u8>, before: &[u8], time: u64, value: &[u8]) {
    out.extend_from_slice(before);
    decimal(out, micros(time));
    out.extend_from_slice(b",\"value\":\"");
    text(out, value);
    out.extend_from_slice(b"\"}");
}

fn tags(out: &mut Vec<u8>, span: &SpanRecord) {
    // Zipkin has no field for how a span ended: the outcome is a tag, unless the user's own says it.
    let mut outcome = match span.outcome {
        Outcome::Returned => None,
        Outcome::Error => Some(("error", "error")),
        Outcome::Panicked => Some(("error", "panicked")),
        Outcome::Cancelled => Some(("outcome", "cancelled")),
        Outcome::Unfinished => Some(("outcome", "unfinished")),
    };
    let mut before: &[u8] = b",\"tags\":{\"";
    for (key, value) in span.attributes.raw_tags() {
        outcome = outcome.filter(|(taken, _)| taken.as_bytes() != key);
        tag(out, before, key, value);
        before = NEXT_TAG;
    }
    if let Some((key, value)) = outcome {
        tag(out, before, key.as_bytes(), RawValue::Text(value.as_bytes()));
        before = NEXT_TAG;
    }
    if before.len() == NEXT_TAG.len() {
        out.push(b'}');
    }
}

const NEXT_TAG: &[u8] = b",\"";

#[inline]
fn tag(out: &mut Vec<u8>, before: &[u8], key: &[u8], value: RawValue<'_>) {
    out.extend_from_slice(before);
    text(out, key);
    out.extend_from_slice(b"\":\"");
    match value {
        RawValue::Text(value) => text(out, value),
        RawValue::Other(TagValue::Text(value)) => text(out, value.as_bytes()),
        RawValue::Other(TagValue::Unsigned(value)) => decimal(out, value),
        RawValue::Other(TagValue::Signed(value)) => {
            if value < 0 {
                out.push(b'-');
            }
            decimal(out, value.unsigned_abs());
        }
        // Digits, signs, `NaN`, `inf`, `true`: nothing that needs an escape.
        RawValue::Other(value @ (TagValue::Float(_) | TagValue::Bool(_))) => display(out, value),
    }
    out.push(b'"');
}

/// Bytes of a tag or annotation, and of the comma before it.
pub(super) fn given_bytes(scratch: &mut Vec<u8>, given: Given<'_>) -> usize {
    scratch.clear();
    match given {
        Given::Tag(key, value) => tag(scratch, NEXT_TAG, key, value),
        Given::Annotation(time, value) => annotation(scratch, NEXT_ANNOTATION, time, value),
    }
    scratch.len()
}

/// Bytes of a text, without its quotes.
pub(super) fn text_bytes(scratch: &mut Vec<u8>, value: &str) -> usize {
    scratch.clear();
    text(scratch, value.as_bytes());
    scratch.len()
}

/// Whole microseconds, at least one: Zipkin takes 0 for "absent".
fn micros(nanos: u64) -> u64 {
    (nanos / 1_000).max(1)
}

const fn high(value: u128) -> u64 {
    (value >> 64) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is asked for")]
const fn low(value: u128) -> u64 {
    value as u64
}

/// Appends 16 lower-hex digits.
fn hex(out: &mut Vec<u8>, value: u64) {
    let mut digits = [[0; 2]; 8];
    for (pair, byte) in digits.iter_mut().zip(value.to_be_bytes()) {
        *pair = HEX_PAIRS[usize::from(byte)];
    }
    out.extend_from_slice(digits.as_flattened());
}

fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut put = |number: u64| {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[usize::try_from(number % 100).unwrap_or(0)]);
    };
    // Four at a time: a division waits for the one before it, what is done with its remainder does not.
    while value >= 10_000 {
        let four = value % 10_000;
        value /= 10_000;
        put(four);
        put(four / 100);
    }
    if value >= 100 {
        put(value);
        value /= 100;
    }
    put(value);
    if value < 10 {
        at += 1;
    }
    out.extend_from_slice(&digits[at..]);
}

fn display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to a vector does not fail.
    write!(out, "{value}").ok();
}

/// Appends the inside of a JSON string. The text is UTF-8, which is not checked again.
fn text(out: &mut Vec<u8>, text: &[u8]) {
    let (plain, rest) = text.split_at(plain_bytes(text));
    out.extend_from_slice(plain);
    if !rest.is_empty() {
        escaped(out, rest);
    }
}

/// How many bytes at the beginning surely need no escape: eight are looked at together.
fn plain_bytes(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    /// The high bit of each byte that is less than `bound` (128 at most), and maybe of bytes above the lowest such one.
    const fn less(word: u64, bound: u8) -> u64 {
        word.wrapping_sub(ONES * bound as u64) & !word & HIGH
    }
    let mut at = 0;
    let mut words = text.chunks_exact(8);
    let suspects = |word: u64| {
        let (quote, backslash) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
        less(word, 0x20) | less(quote, 1) | less(backslash, 1) | (word & HIGH)
    };
    for word in &mut words {
        let suspects = suspects(u64::from_le_bytes(word.try_into().unwrap_or([0; 8])));
        if suspects != 0 {
            return at + suspects.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = words.remainder();
    // Filled up with letters.
    let mut last = [b'a'; 8];
    last[..rest.len()].copy_from_slice(rest);
    let suspects = suspects(u64::from_le_bytes(last));
    at + rest.len().min(suspects.trailing_zeros() as usize / 8)
}

/// The same as `text`, byte by byte: runs that need no escape are copied as they are.
///
/// The line and paragraph separators U+2028 and U+2029 become line feeds: beside another character that is not ASCII they
/// make Zipkin (3.6.1) end its answers with bytes of zero, and one such text hides all traces that are listed with it.
fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[usize::from(byte)];
        if escape == 0 {
            continue;
        }
        if escape == SEPARATOR && !matches!(bytes[at + 1..], [0x80, 0xA8 | 0xA9, ..]) {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match escape {
            SEPARATOR => {
                out.extend_from_slice(b"\\n");
                copied += 2;
            }
            b'u' => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&HEX_PAIRS[usize::from(byte)]);
            }
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}

/// Marks the byte with which U+2028 and U+2029 begin, and other characters, too.
const SEPARATOR: u8 = 1;

/// The letter after the backslash for each byte that needs one; `u` for `\u00XX`; [`SEPARATOR`]; 0 for all others.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        escapes[control] = b'u';
        control += 1;
    }
    escapes[0x08] = b'b';
    escapes[0x09] = b't';
    escapes[0x0A] = b'n';
    escapes[0x0C] = b'f';
    escapes[0x0D] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes[0xE2] = SEPARATOR;
    escapes
};

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::net::{Ipv4Addr, Ipv6Addr};

    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};
    use serde_json::{Value, json};

    use super::*;
    use crate::model::callsite::Callsite;
    use crate::model::id::SpanId;

    fn encoded(span: &SpanRecord) -> String {
        let mut out = Vec::new();
        encode_span(&mut out, span, &mut Fragments::new());
        String::from_utf8(out).unwrap()
    }

    fn parsed(span: &SpanRecord) -> Value {
        serde_json::from_str(&encoded(span)).unwrap()
    }

    #[test]
    fn a_full_span() {
        let mut span = SpanRecord::sample("get /users", 0x463a_c35c_9f64_13ad_4848_5a39_53bb_6124, 0xa2f, 0x1);
        span.kind = Some(Kind::Server);
        span.local = Endpoint::named("users").ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))).port(8080).interned();
        span.remote = Some(Box::new(Endpoint::new().ip(IpAddr::V6(Ipv6Addr::LOCALHOST)).port(41_000)));
        span.start = 1_700_000_000_123_456_789;
        span.duration = Some(1_999_999);
        span.debug = true;
        span.shared = true;
        span.attributes.tag(0, "http.method", TagValue::Text("GET"));
        span.attributes.tag(0, "rows", TagValue::Signed(i64::MIN));
        span.attributes.tag(0, "ratio", TagValue::Float(0.5));
        span.attributes.tag(0, "hit", TagValue::Bool(false));
        span.attributes.tag(0, "empty", TagValue::Text(""));
        span.attributes.annotation(1_700_000_000_123_999_999, "cache miss");
        span.attributes.annotation(0, "before time");
        assert_eq!(
            encoded(&span),
            concat!(
                r#"{"traceId":"463ac35c9f6413ad48485a3953bb6124","parentId":"0000000000000001","#,
                r#""id":"0000000000000a2f","kind":"SERVER","name":"get /users","timestamp":1700000000123456,"#,
                r#""duration":1999,"localEndpoint":{"serviceName":"users","ipv4":"10.0.0.1","port":8080},"#,
                r#""remoteEndpoint":{"ipv6":"::1","port":41000},"annotations":["#,
                r#"{"timestamp":1700000000123999,"value":"cache miss"},{"timestamp":1,"value":"before time"}],"#,
                r#""tags":{"http.method":"GET","rows":"-9223372036854775808","ratio":"0.5","hit":"false","empty":""},"#,
                r#""debug":true,"shared":true}"#
            )
        );
    }

    #[test]
    fn empty_fields_are_left_out() {
        let mut span = SpanRecord::sample("", 0xABC, 0xDEF, 0xDEF);
        span.local = Endpoint::new().interned();
        span.remote = Some(Box::new(Endpoint::named("")));
        span.start = 999;
        span.duration = None;
        assert_eq!(encoded(&span), r#"{"traceId":"0000000000000abc","id":"0000000000000def"}"#);
    }

    #[test]
    fn a_duration_is_at_least_one_microsecond() {
        let mut span = SpanRecord::sample("quick", 1, 1, 0);
        span.duration = Some(0);
        assert_eq!(parsed(&span)["duration"], json!(1));
    }

    #[test]
    fn the_flag_shared_is_not_the_clients() {
        let mut span = SpanRecord::sample("call", 1, 1, 0);
        span.shared = true;
        for (kind, sent) in [(Some(Kind::Client), false), (Some(Kind::Server), true), (None, true)] {
            span.kind = kind;
            assert_eq!(parsed(&span).get("shared").is_some(), sent, "{kind:?}");
        }
    }

    #[test]
    fn a_mapped_address_is_sent_as_ipv4() {
        let mut span = SpanRecord::sample("call", 1, 1, 0);
        span.local = Endpoint::new().ip(IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped())).interned();
        assert_eq!(parsed(&span)["localEndpoint"], json!({"ipv4": "192.0.2.1"}));
    }

    #[test]
    fn name_kind_and_remote_come_from_the_site() {
        struct Cart;
        impl Cart {
            fn add(&self) -> &'static Callsite {
                static SITE: Callsite = Callsite::new("add", || ()).kind(Kind::Client).remote("mysql");
                &SITE
            }
        }
        let mut span = SpanRecord::sample("", 1, 1, 0);
        span.name = None;
        span.site = Some(Cart.add());
        let span = parsed(&span);
        assert_eq!(span["name"], "Cart::add");
        assert_eq!(span["kind"], "CLIENT");
        assert_eq!(span["remoteEndpoint"], json!({"serviceName": "mysql"}));
    }

    #[test]
    fn outcomes_are_tags_unless_the_users_own_say_more() {
        for (outcome, plain, own) in [
            (Outcome::Returned, json!(null), json!({"error": "mine", "outcome": "mine"})),
            (Outcome::Error, json!({"error": "error"}), json!({"error": "mine", "outcome": "mine"})),
            (Outcome::Panicked, json!({"error": "panicked"}), json!({"error": "mine", "outcome": "mine"})),
            (Outcome::Cancelled, json!({"outcome": "cancelled"}), json!({"error": "mine", "outcome": "mine"})),
            (Outcome::Unfinished, json!({"outcome": "unfinished"}), json!({"error": "mine", "outcome": "mine"})),
        ] {
            let mut span = SpanRecord::sample("job", 1, 1, 0);
            span.outcome = outcome;
            span.polls = 3;
            assert_eq!(parsed(&span).get("tags").cloned().unwrap_or_default(), plain, "{outcome:?}");
            span.attributes.tag(0, "error", TagValue::Text("mine"));
            span.attributes.tag(0, "outcome", TagValue::Text("mine"));
            assert_eq!(parsed(&span)["tags"], own, "{outcome:?}");
        }
    }

    #[test]
    fn every_byte_of_ascii_survives() {
        let all: String = (0..=127_u8).map(char::from).chain("\u{2027}\u{FFFF}\u{10FFFF}é".chars()).collect();
        let mut span = SpanRecord::sample("x", 1, 1, 0);
        span.attributes.tag(0, &all, TagValue::Text(&all));
        assert_eq!(parsed(&span)["tags"][&all], json!(all));
    }

    #[test]
    fn line_and_paragraph_separators_become_line_feeds() {
        let mut span = SpanRecord::sample("é\u{2028}", 1, 1, 0);
        span.local = Endpoint::named("\u{2029}x").interned();
        span.attributes.tag(0, "\u{2028}\u{2029}", TagValue::Text("…\u{2027}\u{2028}\u{202A}é"));
        span.attributes.annotation(1_000, "a\u{2029}");
        let span = parsed(&span);
        assert_eq!(span["name"], "é\n");
        assert_eq!(span["localEndpoint"]["serviceName"], "\nx");
        assert_eq!(span["tags"], json!({"\n\n": "…\u{2027}\n\u{202A}é"}));
        assert_eq!(span["annotations"][0]["value"], "a\n");
    }

    /// Whatever a record holds: valid JSON, and nothing that the wire table says is refused.
    #[test]
    fn whatever_a_record_holds_the_json_is_what_zipkin_takes() {
        let mut rng = SmallRng::seed_from_u64(7);
        for _ in 0..5_000 {
            let span = any_span(&mut rng);
            let json = parsed(&span);
            for (field, value) in json.as_object().unwrap() {
                match field.as_str() {
                    "traceId" => assert!(matches!(value.as_str().unwrap().len(), 16 | 32)),
                    "id" | "parentId" => {
                        let id = value.as_str().unwrap();
                        assert!(id.len() == 16 && id.bytes().all(|b| HEX.contains(&b)) && id != "0000000000000000");
                    }
                    "timestamp" | "duration" => assert!(value.as_i64().unwrap() > 0),
                    "annotations" => {
                        for annotation in value.as_array().unwrap() {
                            assert!(annotation["timestamp"].as_i64().unwrap() > 0);
                            assert!(annotation["value"].is_string());
                        }
                    }
                    "tags" => {
                        assert!(!value.as_object().unwrap().is_empty());
                        assert!(value.as_object().unwrap().values().all(Value::is_string));
                    }
                    "localEndpoint" | "remoteEndpoint" => assert!(!value.as_object().unwrap().is_empty()),
                    "kind" | "name" | "debug" | "shared" => {}
                    other => unreachable!("{other}"),
                }
            }
            assert_ne!(json.get("parentId"), json.get("id"));
            for (key, value) in span.tags() {
                assert_eq!(json["tags"][sent(key)], sent(&value.to_string()));
            }
            assert_eq!(
                json.get("annotations").map_or(0, |list| list.as_array().unwrap().len()),
                span.annotations().count()
            );
            assert_eq!(json.get("name").and_then(Value::as_str).unwrap_or(""), sent(&span.name()));
        }
    }

    fn sent(text: &str) -> String {
        text.replace(['\u{2028}', '\u{2029}'], "\n")
    }

    fn any_text(rng: &mut SmallRng) -> String {
        (0..rng.random_range(0..8))
            .map(|_| match rng.random_range(0..3) {
                0 => char::from(rng.random_range(0..128_u8)),
                1 => rng.random(),
                _ => ['"', '\\', '\u{2028}', '\u{7f}', '/'][rng.random_range(0..5)],
            })
            .collect()
    }

    fn any_endpoint(rng: &mut SmallRng) -> Endpoint {
        let mut endpoint = Endpoint::named(any_text(rng)).port(rng.random());
        if rng.random() {
            endpoint = endpoint.ip(IpAddr::V6(Ipv6Addr::from_bits(rng.random())));
        } else if rng.random() {
            endpoint = endpoint.ip(IpAddr::V4(Ipv4Addr::from_bits(rng.random())));
        }
        endpoint
    }

    pub(crate) fn any_span(rng: &mut SmallRng) -> SpanRecord {
        let trace = if rng.random() { rng.random() } else { u128::from(rng.random::<u64>()) };
        let mut span = SpanRecord::sample("", trace.max(1), rng.random::<u64>().max(1), 0);
        span.name = Some(any_text(rng).into());
        span.parent = [None, Some(span.id), SpanId::new(rng.random())][rng.random_range(0..3)];
        span.kind = [None, Some(Kind::Client), Some(Kind::Consumer)][rng.random_range(0..3)];
        span.local = any_endpoint(rng).interned();
        span.remote = rng.random::<bool>().then(|| Box::new(any_endpoint(rng)));
        span.start = rng.random::<u64>() >> rng.random_range(0..64);
        span.duration = rng.random::<bool>().then(|| rng.random::<u64>() >> rng.random_range(0..64));
        span.outcome = [Outcome::Returned, Outcome::Error, Outcome::Panicked, Outcome::Cancelled, Outcome::Unfinished]
            [rng.random_range(0..5)];
        span.debug = rng.random();
        span.shared = rng.random();
        for _ in 0..rng.random_range(0..4) {
            let value = any_text(rng);
            let value = match rng.random_range(0..5) {
                0 => TagValue::Unsigned(rng.random()),
                1 => TagValue::Signed(rng.random()),
                2 => TagValue::Float(f64::from_bits(rng.random())),
                3 => TagValue::Bool(rng.random()),
                _ => TagValue::Text(&value),
            };
            span.attributes.tag(0, &any_text(rng), value);
            span.attributes.annotation(rng.random::<u64>() >> rng.random_range(0..64), &any_text(rng));
        }
        span.attributes.seal();
        span
    }
}
