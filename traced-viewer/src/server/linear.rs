//! Whatever a request makes grow, the work grows with it, and not faster. Steps are counted, not time: see `steps.rs`.

use std::fmt::Write as _;
use std::sync::Arc;

use hyper::StatusCode;

use super::{Options, Viewer};
use crate::decode::Encoding;
use crate::steps::steps_of;

/// The size of the smaller request; the larger one has four times as much.
const SIZE: usize = 300;

/// The work may grow by so much when the size grows by four: sorting adds a quarter.
const MOST: f64 = 5.6;

/// Everything that can be asked about what is kept, but for the page with the spans in it: it is the page, and their JSON.
const QUESTIONS: [(&str, &str); 15] = [
    ("/api/v2/services", ""),
    ("/api/v2/spans", "serviceName=s"),
    ("/api/v2/remoteServices", "serviceName=s"),
    ("/api/v2/traces", "limit=100000&endTs=9999999999999&lookback=9999999999999"),
    (
        "/api/v2/traces",
        "annotationQuery=a+and+b%3Dc&serviceName=s&limit=100000&endTs=9999999999999&lookback=9999999999999",
    ),
    ("/api/v2/trace/1", ""),
    ("/api/v2/traceMany", "traceIds=1,10000000000000001"),
    ("/api/v2/dependencies", "endTs=9999999999999&lookback=9999999999999"),
    ("/api/v2/autocompleteKeys", ""),
    ("/api/v2/autocompleteValues", "key=a"),
    ("/zipkin/api/private/traces", "limit=100000"),
    ("/zipkin/api/private/open", ""),
    ("/zipkin/api/private/export/1", "format=chrome"),
    ("/zipkin/api/private/export/1", "format=folded"),
    ("/zipkin/api/private/export/1", "format=zipkin"),
];

fn viewer() -> Arc<Viewer> {
    let options = Options { autocomplete_keys: vec!["a".to_owned()], ..Options::default() };
    Arc::new(Viewer::new(options))
}

/// Takes a body, answers all questions about it, and tells a listener.
fn work(encoding: Encoding, body: &[u8]) -> u64 {
    let viewer = viewer();
    steps_of(|| {
        assert_eq!(viewer.keep(encoding, body).status(), StatusCode::ACCEPTED);
        for (path, query) in QUESTIONS {
            let status = viewer.get(path, query).status();
            assert!(matches!(status, StatusCode::OK | StatusCode::NOT_FOUND), "{path}: {status}");
        }
        viewer.store().changed_since(0, super::live::SUMMARIES);
    })
}

#[track_caller]
fn is_linear(what: &str, work: impl Fn(usize) -> u64) {
    let (small, large) = (work(SIZE), work(4 * SIZE));
    assert!(small >= SIZE as u64, "{what}: {small} steps are too few to tell");
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let ratio = large as f64 / small as f64;
    assert!(ratio < MOST, "{what}: {small} steps for {SIZE}, {large} for four times as many, {ratio:.1} times as many");
}

/// The parts of a list, each made of its number.
fn list(size: usize, part: impl Fn(usize) -> String) -> String {
    (0..size).map(part).collect::<Vec<_>>().join(",")
}

/// Spans of trace 1: the fields behind their ids.
fn spans(size: usize, part: impl Fn(usize) -> String) -> String {
    format!("[{}]", list(size, |at| format!(r#"{{"traceId":"1",{}}}"#, part(at))))
}

const SERVICE: &str = r#""localEndpoint":{"serviceName":"s"}"#;

/// Makes a body of so many things.
type Body = fn(usize) -> String;

/// Bodies of JSON, each with one thing of which there are so many.
const BODIES: [(&str, Body); 29] = [
    ("tags", |size| {
        format!(r#"[{{"traceId":"1","id":"1","tags":{{{}}}}}]"#, list(size, |at| format!(r#""{:05}":"v""#, size - at)))
    }),
    ("tags with one key", |size| {
        format!(r#"[{{"traceId":"1","id":"1","tags":{{{}}}}}]"#, list(size, |at| format!(r#""a":"{at}""#)))
    }),
    ("annotations", |size| {
        let annotations = list(size, |at| format!(r#"{{"timestamp":{},"value":"v"}}"#, size - at));
        format!(r#"[{{"traceId":"1","id":"1","annotations":[{annotations}]}}]"#)
    }),
    ("equal annotations", |size| {
        let annotations = list(size, |_| r#"{"timestamp":1,"value":""}"#.to_owned());
        format!(r#"[{{"traceId":"1","id":"1","annotations":[{annotations}]}}]"#)
    }),
    ("fields of one name", |size| {
        format!(r#"[{{"traceId":"1","id":"1",{}}}]"#, list(size, |_| r#""tags":{"a":"b"}"#.to_owned()))
    }),
    ("fields that are not known", |size| {
        format!(r#"[{{"traceId":"1","id":"1",{}}}]"#, list(size, |at| format!(r#""x{at}":[1,{{}}]"#)))
    }),
    ("levels of a field that is not known", |size| {
        format!(r#"[{{"traceId":"1","id":"1","x":{}{}}}]"#, "[".repeat(size), "]".repeat(size))
    }),
    ("escapes", |size| format!(r#"[{{"traceId":"1","id":"1","name":"{}"}}]"#, r"\u00e9\n\ud83d".repeat(size))),
    ("spans that ran at one time", |size| {
        spans(size, |at| format!(r#""id":"{:x}","timestamp":{},"duration":{},{SERVICE}"#, at + 2, 1000 + at, 2 * size))
    }),
    ("spans that took no time", |size| spans(size, |at| format!(r#""id":"{:x}","timestamp":1000,{SERVICE}"#, at + 2))),
    ("spans one after the other", |size| {
        spans(size, |at| format!(r#""id":"{:x}","timestamp":{},"duration":1,{SERVICE}"#, at + 2, 1000 + at))
    }),
    ("children", |size| {
        spans(size, |at| {
            let parent = if at == 0 { "" } else { r#""parentId":"1","# };
            format!(r#""id":"{:x}",{parent}"kind":"SERVER","timestamp":1000,"duration":9,{SERVICE}"#, at + 1)
        })
    }),
    ("levels", |size| {
        spans(size, |at| {
            let parent = if at == 0 { String::new() } else { format!(r#""parentId":"{at:x}","#) };
            format!(r#""id":"{:x}",{parent}"timestamp":{},"duration":9999,{SERVICE}"#, at + 1, 1000 + at)
        })
    }),
    ("levels of other services", |size| {
        spans(size, |at| {
            let parent = if at == 0 { String::new() } else { format!(r#""parentId":"{at:x}","#) };
            let ends =
                format!(r#""localEndpoint":{{"serviceName":"s{at}"}},"remoteEndpoint":{{"serviceName":"r{at}"}}"#);
            format!(r#""id":"{:x}",{parent}"timestamp":{},"duration":9999,{ends}"#, at + 1, 1000 + at)
        })
    }),
    ("levels in a circle", |size| {
        spans(size, |at| {
            format!(r#""id":"{:x}","parentId":"{:x}","timestamp":1000,{SERVICE}"#, at + 1, (at + 1) % size + 1)
        })
    }),
    ("parents that are missing", |size| {
        spans(size, |at| format!(r#""id":"{:x}","parentId":"{:x}","timestamp":1000,{SERVICE}"#, at + 1, at + 100_000))
    }),
    ("parts of one span", |size| {
        spans(size, |at| {
            format!(
                r#""id":"1","timestamp":1000,"tags":{{"{at}":""}},"annotations":[{{"timestamp":{at},"value":"v"}}],{SERVICE}"#
            )
        })
    }),
    ("halves of one span", |size| {
        spans(size, |at| {
            let host = format!(r#""localEndpoint":{{"serviceName":"s{at}"}}"#);
            format!(r#""id":"1","timestamp":1000,"kind":"SERVER","shared":true,{host}"#)
        })
    }),
    ("children of halves", |size| {
        spans(size, |at| {
            let host = format!(r#""localEndpoint":{{"serviceName":"s{}"}}"#, at / 2);
            match at % 2 {
                0 => format!(r#""id":"1","timestamp":1000,"kind":"SERVER","shared":true,{host}"#),
                _ => format!(r#""id":"{:x}","parentId":"1","timestamp":1000,{host}"#, at + 1),
            }
        })
    }),
    ("the same span", |size| spans(size, |_| format!(r#""id":"1","timestamp":1000,{SERVICE}"#))),
    ("traces", |size| {
        format!("[{}]", list(size, |at| format!(r#"{{"traceId":"{:x}","id":"1","timestamp":1000,{SERVICE}}}"#, at + 1)))
    }),
    ("traces with one lower half", |size| {
        format!(
            "[{}]",
            list(size, |at| format!(r#"{{"traceId":"{:x}{:016x}","id":"1","timestamp":1000,{SERVICE}}}"#, at + 1, 1))
        )
    }),
    ("services", |size| {
        spans(size, |at| {
            format!(r#""id":"{:x}","timestamp":1000,"localEndpoint":{{"serviceName":"{}"}}"#, at + 1, size - at)
        })
    }),
    ("span names", |size| {
        spans(size, |at| format!(r#""id":"{:x}","timestamp":1000,"name":"{}",{SERVICE}"#, at + 1, size - at))
    }),
    ("remote services", |size| {
        let other = |at| format!(r#""remoteEndpoint":{{"serviceName":"{}"}}"#, size - at);
        spans(size, |at| format!(r#""id":"{:x}","timestamp":1000,"kind":"CLIENT",{},{SERVICE}"#, at + 1, other(at)))
    }),
    ("values of a tag", |size| {
        spans(size, |at| format!(r#""id":"{:x}","tags":{{"a":"{}"}},{SERVICE}"#, at + 1, size - at))
    }),
    ("a long name of a service that is called", |size| {
        let long = format!(
            r#""id":"1","timestamp":1000,"kind":"CLIENT","localEndpoint":{{"serviceName":"{}"}}"#,
            "s".repeat(40 * size)
        );
        spans(size, |at| match at {
            0 => long.clone(),
            _ => format!(r#""id":"{:x}","parentId":"1","timestamp":1000,"kind":"SERVER",{SERVICE}"#, at + 1),
        })
    }),
    ("a long name with children", |size| {
        let long = format!(r#""id":"1","timestamp":1000,"duration":9,"name":"{}""#, "n".repeat(40 * size));
        spans(size, |at| match at {
            0 => long.clone(),
            _ => format!(r#""id":"{:x}","parentId":"1","timestamp":1000,"duration":9"#, at + 1),
        })
    }),
    ("digits", |size| format!(r#"[{{"traceId":"1","id":"1","timestamp":"{}1"}}]"#, "0".repeat(size))),
];

#[test]
fn a_body_costs_what_is_in_it_whatever_there_is_much_of() {
    for (what, body) in BODIES {
        is_linear(what, |size| work(Encoding::JsonV2, body(size).as_bytes()));
    }
}

#[test]
fn a_body_of_format_1_costs_what_is_in_it() {
    let host = |at: usize| format!(r#""endpoint":{{"serviceName":"s{at}"}}"#);
    let span = |field: &str, values: String| format!(r#"[{{"traceId":"1","id":"1","name":"n","{field}":[{values}]}}]"#);
    is_linear("annotations of many hosts", |size| {
        let events = list(size, |at| format!(r#"{{"timestamp":{},"value":"v",{}}}"#, size - at, host(at)));
        work(Encoding::JsonV1, span("annotations", events).as_bytes())
    });
    is_linear("annotations of one host", |size| {
        let events = list(size, |at| format!(r#"{{"timestamp":{},"value":"v",{}}}"#, size - at, host(1)));
        work(Encoding::JsonV1, span("annotations", events).as_bytes())
    });
    is_linear("calls of many hosts", |size| {
        let events =
            list(size, |at| format!(r#"{{"timestamp":{},"value":"{}",{}}}"#, at, ["cs", "sr"][at % 2], host(at)));
        work(Encoding::JsonV1, span("annotations", events).as_bytes())
    });
    is_linear("tags of many hosts", |size| {
        let tags = list(size, |at| format!(r#"{{"key":"{}","value":"v",{}}}"#, size - at, host(at)));
        work(Encoding::JsonV1, span("binaryAnnotations", tags).as_bytes())
    });
    is_linear("tags of one host", |size| {
        let tags = list(size, |at| format!(r#"{{"key":"{}","value":"v",{}}}"#, size - at, host(1)));
        work(Encoding::JsonV1, span("binaryAnnotations", tags).as_bytes())
    });
}

#[test]
fn a_body_of_protocol_buffers_costs_what_is_in_it() {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        let varint = [0x80 | (length & 0x7f) as u8, 0x80 | (length >> 7 & 0x7f) as u8, (length >> 14) as u8];
        [&[number << 3 | 2], &varint[..], bytes].concat()
    }
    let span = |more: &[u8]| field(1, &[&field(1, &[1; 8]), &field(3, &[1; 8]), more].concat());
    is_linear("tags", |size| {
        let tag = |at: usize| field(11, &[field(1, format!("{:05}", size - at).as_bytes()), field(2, b"v")].concat());
        work(Encoding::Proto3, &span(&(0..size).flat_map(tag).collect::<Vec<_>>()))
    });
    is_linear("annotations", |size| {
        let time = |at: usize| [&[9], &((size - at) as u64).to_le_bytes()[..]].concat();
        let annotation = |at: usize| field(10, &[time(at), field(2, b"v")].concat());
        work(Encoding::Proto3, &span(&(0..size).flat_map(annotation).collect::<Vec<_>>()))
    });
    is_linear("spans", |size| work(Encoding::Proto3, &span(b"").repeat(size)));
}

#[test]
fn a_question_costs_what_is_in_it_and_what_is_kept() {
    let ask = |path: &str, query: &str, status: StatusCode| {
        let viewer = viewer();
        let kept = spans(10, |at| format!(r#""id":"{:x}","timestamp":1000,"tags":{{"a":"b"}}"#, at + 1));
        viewer.keep(Encoding::JsonV2, kept.as_bytes());
        steps_of(|| assert_eq!(viewer.get(path, query).status(), status, "{path}"))
    };
    is_linear("ids", |size| {
        let ids = list(size, |at| format!("{:x}", at + 1));
        ask("/api/v2/traceMany", &format!("traceIds={ids}"), StatusCode::OK)
    });
    is_linear("ids with one lower half", |size| {
        let ids = list(size, |at| format!("{at:x}{:016x}", 1));
        ask("/api/v2/traceMany", &format!("traceIds={ids}"), StatusCode::OK)
    });
    is_linear("parameters", |size| {
        let mut query = String::new();
        for at in 0..size {
            write!(query, "p{at}=v&").ok();
        }
        ask("/api/v2/traces", &query, StatusCode::OK)
    });
    is_linear("terms", |size| {
        let terms = (0..size).map(|at| format!("k{at}=v")).collect::<Vec<_>>().join("+and+").replace('=', "%3D");
        ask("/api/v2/traces", &format!("annotationQuery={terms}"), StatusCode::OK)
    });
}

/// Numbers of 64 bits at their ends, in all that is kept and answered.
#[test]
fn times_at_their_ends_are_answered() {
    let viewer = viewer();
    let body = spans(6, |at| {
        let parent = if at == 0 { "" } else { r#""parentId":"1","# };
        let time = [1, i64::MAX][at % 2];
        format!(r#""id":"{:x}",{parent}"timestamp":{time},"duration":{},{SERVICE}"#, at + 1, i64::MAX)
    });
    assert_eq!(viewer.keep(Encoding::JsonV2, body.as_bytes()).status(), StatusCode::ACCEPTED);
    for (path, query) in QUESTIONS {
        assert!(viewer.get(path, query).status() != StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    }
    let ends = format!("endTs={0}&lookback={0}", i64::MAX);
    for path in ["/api/v2/traces", "/api/v2/dependencies", "/zipkin/api/private/traces"] {
        assert_eq!(viewer.get(path, &ends).status(), StatusCode::OK, "{path}");
    }
    assert_eq!(viewer.get("/api/v2/traces", &format!("limit={}", i64::MAX)).status(), StatusCode::OK);
}
