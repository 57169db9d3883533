//! What the two answer differently, on purpose. `docs/viewer.md` lists it.

use serde_json::{Value, json};

use super::{Both, JSON, PROTO3, proto3_span};

/// A body that the two answer differently.
struct Difference {
    /// What is sent to `/api/v2/spans`.
    body: &'static str,
    zipkin: (u16, &'static str),
    viewer: (u16, &'static str),
    reason: &'static str,
}

/// All of them, and one body that is answered alike although it breaks off.
const DIFFERENCES: [Difference; 5] = [
    Difference {
        body: r#"[{"traceId":"d1f","id":"0"}]"#,
        zipkin: (202, ""),
        viewer: (400, "id is all zeros reading List<Span> from json"),
        reason: "Zipkin's check counts sixteen zeros only; no span can have such a parent",
    },
    Difference {
        body: r#"[{"traceId":"1""#,
        zipkin: (400, "End of input at line 1 column 16 path $[0].traceId reading List<Span> from json"),
        viewer: (400, "End of input at line 1 column 16 path $[0] reading List<Span> from json"),
        reason: "a whole span is looked for first, then its fields",
    },
    Difference {
        body: "[{\"traceId\":\"d2f\",\"id\":\"1\",\"name\":\"a\u{1}b\"}]",
        zipkin: (202, ""),
        viewer: (400, "Malformed reading List<Span> from json"),
        reason: "control characters in strings are no JSON",
    },
    Difference {
        body: r#"[{"traceId":"d3f","id":"1","shared":TRUE}]"#,
        zipkin: (202, ""),
        viewer: (400, "Malformed reading List<Span> from json"),
        reason: "words in capitals are no JSON",
    },
    Difference {
        body: r#"[{"traceId":"1","debug":5},x"#,
        zipkin: (400, NUMBER),
        viewer: (400, NUMBER),
        reason: "none: a mistake in front of broken JSON is told first by both",
    },
];

const NUMBER: &str = "Expected a boolean but was NUMBER at line 1 column 26 path $[0].debug\n\
    See https://github.com/google/gson/blob/main/Troubleshooting.md#unexpected-json-structure reading List<Span> from json";

#[test]
fn what_differs_is_listed() {
    let Some(both) = Both::start() else { return };
    for Difference { body, zipkin: theirs, viewer: ours, reason } in DIFFERENCES {
        let own = |(status, text): (u16, &str)| (status, text.to_owned());
        let (zipkin, viewer) = both.send("/api/v2/spans", &[("content-type", JSON)], body.as_bytes());
        assert_eq!((zipkin, viewer), (own(theirs), own(ours)), "{body}: {reason}");
    }
    // What is no gzip: Zipkin's 500 makes clients send it again and again.
    let gzip = [("content-type", JSON), ("content-encoding", "gzip")];
    let (zipkin, viewer) = both.send("/api/v2/spans", &gzip, b"[                  ]");
    let text = "Input is not in the GZIP format".to_owned();
    assert_eq!((zipkin, viewer), ((500, text.clone()), (400, text)));
    // Old clients speak Thrift, which is not read.
    let (zipkin, viewer) =
        both.send("/api/v1/spans", &[("content-type", "application/x-thrift")], b"\x0c\x00\x00\x00\x00");
    assert_eq!((zipkin.0, viewer.0), (202, 415));
    // Behind a field that it does not know Zipkin reads nothing more of the list: the flags of this span are lost.
    let spans = proto3_span(0x5f, b"\x7a\x03new");
    let (zipkin, viewer) = both.send("/api/v2/spans", &[("content-type", PROTO3)], &spans);
    assert_eq!((zipkin.0, viewer.0), (202, 202));
    assert_eq!(both.zipkin.wait_for_trace("5f", 1)[0]["debug"], Value::Null);
    let ours: Value = serde_json::from_str(&both.ask_viewer("/api/v2/trace/5f").1).unwrap();
    assert_eq!((&ours[0]["debug"], &ours[0]["shared"]), (&json!(true), &json!(true)));
    // A line separator beside another character that is not ASCII spoils Zipkin's answers, not ours.
    let span = json!([{"traceId": "d4f", "id": "1", "tags": {"a": "é\u{2028}"}}]);
    both.send("/api/v2/spans", &[("content-type", JSON)], span.to_string().as_bytes());
    let ours: Value = serde_json::from_str(&both.ask_viewer("/api/v2/trace/d4f").1).unwrap();
    assert_eq!(ours[0]["tags"]["a"], "é\u{2028}");
}
