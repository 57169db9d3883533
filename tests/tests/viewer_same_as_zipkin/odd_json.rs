//! Odd JSON: what Zipkin takes the viewer takes, with the same result, and it refuses the rest in the same words. The cases
//! are those that the viewer's decoder and its page's are tested with, and random changes of a body that has all fields.

use serde_json::Value;

use super::{Both, JSON, Random};

/// Bodies with random changes.
const CHANGED: usize = 600;

/// Half a pair of surrogates makes Zipkin end its answers with bytes of zero.
fn stored(text: &str) -> Value {
    serde_json::from_str(text.trim_end_matches('\0')).unwrap()
}

#[test]
fn odd_json_is_taken_or_refused_alike() {
    let Some(mut both) = Both::start() else { return };
    let cases = include_str!("../../../traced-viewer/cases/decode.json");
    let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
    let mut traces: Vec<&str> = Vec::new();
    for case in &cases {
        let path = if case["format"] == 1 { "/api/v1/spans" } else { "/api/v2/spans" };
        let body = case["body"].as_str().unwrap();
        let (status, text) = both.post(path, &[("content-type", JSON)], body.as_bytes());
        let expected = case["error"].as_str().map_or((202, ""), |error| (400, error));
        assert_eq!((status, &*text), expected, "{body}");
        let spans = case["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
        both.sent += spans.len() as u64;
        traces.extend(spans.iter().filter_map(|span| span["traceId"].as_str()));
    }
    both.wait_for_spans();
    traces.sort_unstable();
    traces.dedup();
    for id in traces {
        let path = format!("/api/v2/trace/{id}");
        let (theirs, ours) = (both.zipkin.get(&path), both.ask_viewer(&path));
        assert_eq!(ours.0, 200, "{path}");
        assert_eq!(stored(&ours.1), stored(&theirs.1), "{path}");
    }
}

/// A span with all fields, and one with none.
const WHOLE: &str = r#"[{"traceId":"e1","parentId":"2","id":"3","kind":"CLIENT","name":"Nä😀","timestamp":5,"duration":6,
    "localEndpoint":{"serviceName":"A","ipv4":"1.2.3.4","ipv6":"::1","port":80},"annotations":[{"timestamp":2,"value":"y"},
    {"value":"x","timestamp":1}],"tags":{"k":"v","a":"\u00e9"},"debug":true,"shared":true,"unknown":{"x":[1,"s",null,{}]}},
    {"traceId":"e1","id":"4"}]"#;

/// What a change puts into it.
const PIECES: [&[u8]; 36] = [
    b"",
    b"",
    b"\"",
    b"\\",
    b",",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b" ",
    b"\n",
    b"\r",
    b"\t",
    b"\x0c",
    b"\0",
    b"0",
    b"-",
    b"e",
    b".",
    b"null",
    b"TRUE",
    b"\\ud83d",
    b"\\u0041",
    b"'",
    b"/",
    b"#",
    b";",
    b"=",
    b"\x80",
    b"\xff",
    b"\xed\xa0\xbd",
    b"\xc3",
    b"\xf0\x9f\x98",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
];

#[test]
fn a_body_with_random_changes_is_taken_or_refused_alike() {
    let Some(both) = Both::start() else { return };
    let mut random = Random(0x0dd5);
    let mut below = |limit: usize| usize::try_from(random.below(limit as u64)).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..CHANGED {
        let mut body = WHOLE.as_bytes().to_vec();
        for _ in 0..[1, 1, 1, 2, 3][below(5)] {
            let begin = below(body.len() + 1);
            let end = (begin + [0, 1, 1, 1, 5][below(5)]).min(body.len());
            body.splice(begin..end, PIECES[below(PIECES.len())].iter().copied());
        }
        let (theirs, ours) = both.send("/api/v2/spans", &[("content-type", JSON)], &body);
        let text = String::from_utf8_lossy(&body);
        // The differences that are listed: places within a field that is not known, an id of one zero.
        let is_within = |text: &str| text.starts_with("End of input") && text.contains(".unknown");
        let is_listed = (is_within(&theirs.1) && is_within(&ours.1)) || ours.1.starts_with("id is all zeros");
        assert!(is_listed || ours == theirs, "{ours:?} instead of {theirs:?}: {text}");
        if ours.0 == 202 {
            taken += 1;
        } else {
            refused += 1;
        }
    }
    assert!(taken > CHANGED / 10 && refused > CHANGED / 10, "{taken} taken, {refused} refused");
}
