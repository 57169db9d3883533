//! What the two answer differently, on purpose. `docs/viewer.md` lists it.

use std::time::Duration;

use serde_json::{Value, json};
use traced_tests::eventually;

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
const DIFFERENCES: [Difference; 6] = [
    Difference {
        body: r#"[{"traceId":"d1f","id":"0"}]"#,
        zipkin: (202, ""),
        viewer: (400, "id is all zeros reading List<Span> from json"),
        reason: "Zipkin's check counts sixteen zeros only; no span can have such a parent",
    },
    Difference {
        body: r#"[{"unknown":["#,
        zipkin: (400, "End of input at line 1 column 14 path $[0].unknown[0] reading List<Span> from json"),
        viewer: (400, "End of input at line 1 column 14 path $[0].unknown reading List<Span> from json"),
        reason: "a field that is passed over may be nested too deep to be told",
    },
    Difference {
        body: "\n",
        zipkin: (500, "IndexOutOfBoundsException"),
        viewer: (400, "Expected a JSON_V2 encoded list\n"),
        reason: "clients send what had a 500 again",
    },
    Difference {
        body: r#"[{"traceId":"d2f","id":"1","timestamp":"0x1p3"}]"#,
        zipkin: (202, ""),
        viewer: (400, "For input string: \"0x1p3\" reading List<Span> from json"),
        reason: "a hexadecimal number with an exponent is Java's alone",
    },
    Difference {
        body: r#"[{"traceId":"d3f","id":"1","timestamp":"١"}]"#,
        zipkin: (202, ""),
        viewer: (400, "For input string: \"١\" reading List<Span> from json"),
        reason: "digits of other scripts are Java's alone",
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
    // Zipkin reads no more than 255 levels.
    let deep = format!(r#"[{{"x":{}{},"traceId":"d5f","id":"1"}}]"#, "[".repeat(300), "]".repeat(300));
    let (zipkin, viewer) = both.send("/api/v2/spans", &[("content-type", JSON)], deep.as_bytes());
    assert!(zipkin.0 == 400 && zipkin.1.starts_with("Nesting limit 255 reached"), "{zipkin:?}");
    assert_eq!(viewer, (202, String::new()));
    for Kept { trace, field, zipkin, viewer, reason } in kept_differently() {
        let body = format!(r#"[{{"traceId":"{trace}","id":"1",{field}}}]"#);
        let (theirs, ours) = both.send("/api/v2/spans", &[("content-type", JSON)], body.as_bytes());
        assert_eq!((theirs.0, ours.0), (202, 202), "{body}");
        let path = format!("/api/v2/trace/{trace}");
        let stored = eventually(&body, Duration::from_secs(30), || {
            let answer = both.zipkin.get(&path);
            (answer.0 == 200).then_some(answer)
        });
        for (answer, expected) in [(stored, zipkin), (both.ask_viewer(&path), viewer)] {
            let kept: Value = serde_json::from_str(answer.1.trim_end_matches('\0')).unwrap();
            for (field, value) in expected.as_object().unwrap() {
                assert_eq!(&kept[0][field], value, "{body}: {reason}");
            }
        }
    }
    // Of 17 to 31 digits Zipkin keeps an upper half of zeros, and finds the trace by no id.
    let body = r#"[{"traceId":"00000000000000d8f","id":"1","localEndpoint":{"serviceName":"seventeen"}}]"#;
    let (theirs, ours) = both.send("/api/v2/spans", &[("content-type", JSON)], body.as_bytes());
    assert_eq!((theirs.0, ours.0), (202, 202));
    eventually("the span in Zipkin's store", Duration::from_secs(30), || {
        both.zipkin.services().iter().any(|service| service == "seventeen").then_some(())
    });
    for id in ["d8f", "00000000000000d8f", "00000000000000000000000000000d8f"] {
        let path = format!("/api/v2/trace/{id}");
        assert_eq!((both.zipkin.get(&path).0, both.ask_viewer(&path).0), (404, 200), "{path}");
    }
}

/// A span that both take and keep differently.
struct Kept {
    trace: &'static str,
    /// A field of it.
    field: &'static str,
    /// What is in the span that is kept.
    zipkin: Value,
    viewer: Value,
    reason: &'static str,
}

fn kept_differently() -> [Kept; 2] {
    [
        Kept {
            trace: "d6f",
            field: r#""name":"\ud83d\ud83d\ude00""#,
            zipkin: json!({"name": "???"}),
            viewer: json!({"name": "?😀"}),
            reason: "half a pair costs Zipkin the whole one behind it",
        },
        Kept {
            trace: "d7f",
            field: r#""localEndpoint":{"ipv4":"01.2.3.4"}"#,
            zipkin: json!({"localEndpoint": {"ipv4": "01.2.3.4"}}),
            viewer: json!({"localEndpoint": {"ipv4": "1.2.3.4"}}),
            reason: "Zipkin keeps addresses as texts",
        },
    ]
}
