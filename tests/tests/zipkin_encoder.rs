//! What our encoder makes of hostile spans, sent by our own HTTP sender to the real server: it takes all of them, and gives
//! them back as they were meant. The facts that the encoder relies on are in `zipkin_wire.rs`.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use traced_runtime::{Context, DropReason, Endpoint, Kind, Sampling, Span, SpanId, TraceId, Tracer, limits};
use traced_tests::Zipkin;

const DEADLINE: Duration = Duration::from_secs(60);
const BATCH_BYTES: usize = 96 << 10;

/// A span in the making: what is done to it, and what the server is to have of it beside ids, times and local endpoint.
struct Case {
    name: String,
    parent: (u128, Sampling),
    make: Box<dyn Fn(&Span)>,
    kept: Value,
    unfinished: bool,
}

fn case(name: &str, make: impl Fn(&Span) + 'static, kept: Value) -> Case {
    Case { name: name.to_owned(), parent: (0, Sampling::Sampled), make: Box::new(make), kept, unfinished: false }
}

/// A case about one tag.
fn tag(key: &str, value: &str) -> Case {
    let (sent_key, sent_value) = (key.to_owned(), value.to_owned());
    let separators = ['\u{2028}', '\u{2029}'];
    let kept = json!({"name": "tag", "tags": {key.replace(separators, "\n"): value.replace(separators, "\n")}});
    case("tag", move |span| span.tag(&sent_key, sent_value.as_str()), kept)
}

fn remote(endpoint: Endpoint, kept: Value) -> Case {
    case("remote", move |span| span.remote(endpoint.clone()), json!({"name": "remote", "remoteEndpoint": kept}))
}

/// Each character of these ranges that there is.
fn characters(from: u32, to: u32) -> String {
    (from..=to).filter_map(char::from_u32).collect()
}

fn names() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in [
        "get /users/{id}",
        "\"quoted\" \\ back/slash",
        "tab\tline\nreturn\r nul\u{0} bell\u{7} delete\u{7f}",
        "日本語 😀 é e\u{301} \u{202e}right to left",
        "'; drop table spans; --",
        "</script><script>alert(1)</script>",
        "${jndi:ldap://example.invalid/a}",
        "\u{feff}bom \u{fffd} \u{ffff} \u{10ffff} \u{e000}",
        "  spaces around  ",
        " ",
        "{\"traceid\":\"1\"}]",
    ] {
        cases.push(case(name, |_| (), json!({ "name": name })));
    }
    cases.push(case("", |_| (), json!({})));
    cases.push(case("UPPER Case Äpfel", |_| (), json!({"name": "upper case äpfel"})));
    cases.push(case("é\u{2028}x\u{2029}", |_| (), json!({"name": "é\nx\n"})));
    cases.push(case("first", |span| span.name("second"), json!({"name": "second"})));
    let long = "x".repeat(5_000);
    cases.push(case(&long, |_| (), json!({ "name": long })));
    cases
}

fn tags() -> Vec<Case> {
    let mut cases = vec![
        tag("all of ascii", &characters(0, 0x7f)),
        tag(&characters(0, 0x7f), "as a key"),
        tag("latin", &characters(0x80, 0x2ff)),
        tag("punctuation and symbols", &characters(0x2000, 0x2fff)),
        tag("surrogates and private use", &characters(0xd7f0, 0xe100)),
        tag(
            "ends of planes",
            &(1..=16)
                .flat_map(|plane| characters(plane * 0x1_0000, plane * 0x1_0000 + 9).chars().collect::<Vec<_>>())
                .collect::<String>(),
        ),
        tag("\u{2028}", "\u{2028}"),
        tag("separators beside others", "é\u{2028}日\u{2029}\u{2028}😀"),
        tag("separators alone", "\u{2028}\u{2029}"),
        tag("nearly separators", "\u{2027}\u{202a}\u{a8}â\u{80}"),
        tag("empty", ""),
        tag("", "an empty key"),
        tag("error", ""),
        tag("a.b-c_d e/f", "GET /?q=%20&x=<y>"),
    ];
    cases.push(case(
        "types",
        |span| {
            span.tag("u64", u64::MAX);
            span.tag("i64", i64::MIN);
            span.tag("float", -0.5);
            span.tag("small", 1e-300);
            span.tag("nan", f64::NAN);
            span.tag("infinite", f64::NEG_INFINITY);
            span.tag("bool", true);
            span.tag("duration", Duration::from_millis(1500));
            span.tag("none", None::<u32>);
            span.tag("twice", 1);
            span.tag("twice", "two");
        },
        json!({"name": "types", "tags": {
            "u64": "18446744073709551615", "i64": "-9223372036854775808", "float": "-0.5",
            "small": format!("{}", 1e-300), "nan": "NaN", "infinite": "-inf", "bool": "true", "duration": "1.5s", "twice": "two",
        }}),
    ));
    cases.push(case(
        "errors",
        |span| {
            span.error(&std::io::Error::other("the error's text"));
            span.tag("error", "the tag's text");
        },
        json!({"name": "errors", "tags": {"error": "the tag's text"}}),
    ));
    let (key, value) = ("ü".repeat(limits::KEY_BYTES), "é".repeat(limits::VALUE_BYTES));
    let cut = |text: &str, bytes: usize| text[..bytes].to_owned();
    let kept = json!({"name": "too long", "tags": {cut(&key, limits::KEY_BYTES): cut(&value, limits::VALUE_BYTES)}});
    cases.push(case("too long", move |span| span.tag(&key, value.as_str()), kept));
    let many: serde_json::Map<String, Value> =
        (0..500).map(|number| (format!("tag {number}"), format!("value {number}").into())).collect();
    cases.push(case(
        "many",
        |span| (0..500).for_each(|number| span.tag(&format!("tag {number}"), format!("value {number}"))),
        json!({"name": "many", "tags": many}),
    ));
    // Eight of these do not fit into a request, and of equal ones the last go first.
    let large = |number: usize| number.to_string().repeat(16 << 10);
    let mut kept = json!({"name": "huge", "tags": {}});
    for number in 0..5 {
        kept["tags"][number.to_string()] = large(number).into();
    }
    kept["tags"]["traced.cut"] = "3 tags, 49173 bytes".into();
    cases.push(case("huge", move |span| (0..8).for_each(|number| span.tag(&number.to_string(), large(number))), kept));
    cases
}

fn roles() -> Vec<Case> {
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let mut cases = vec![
        remote(Endpoint::named("MySQL \"main\"\n"), json!({"serviceName": "mysql \"main\"\n"})),
        remote(Endpoint::named("数据库\u{2028}é"), json!({"serviceName": "数据库\né"})),
        remote(Endpoint::new().port(65_535), json!({"port": 65_535})),
        remote(Endpoint::new().ip(Ipv4Addr::BROADCAST.into()).port(1), json!({"ipv4": "255.255.255.255", "port": 1})),
        remote(Endpoint::new().ip(IpAddr::V6(v6)), json!({"ipv6": "2001:db8::1"})),
        remote(Endpoint::new().ip(IpAddr::V6(Ipv6Addr::LOCALHOST)).port(0), json!({"ipv6": "::1"})),
        remote(Endpoint::new().ip(IpAddr::V6(Ipv4Addr::new(1, 2, 3, 4).to_ipv6_mapped())), json!({"ipv4": "1.2.3.4"})),
        case("no remote", |span| span.remote(""), json!({"name": "no remote"})),
    ];
    for (kind, name) in
        [(Kind::Client, "CLIENT"), (Kind::Server, "SERVER"), (Kind::Producer, "PRODUCER"), (Kind::Consumer, "CONSUMER")]
    {
        cases.push(case("kind", move |span| span.kind(kind), json!({"name": "kind", "kind": name})));
    }
    cases.push(Case { parent: (0, Sampling::Debug), ..case("debug", |_| (), json!({"name": "debug", "debug": true})) });
    cases.push(Case {
        parent: (0, Sampling::Deferred),
        ..case("decided here", |_| (), json!({"name": "decided here"}))
    });
    for high in [1, 0xffff_ffff_ffff_ffff, 0x0123_4567_89ab_cdef] {
        cases.push(Case { parent: (high, Sampling::Sampled), ..case("128 bits", |_| (), json!({"name": "128 bits"})) });
    }
    cases.push(case(
        "annotated",
        |span| {
            // Of one microsecond they would be sorted by text.
            for text in ["b", "\u{0}\"日\u{2028}", ""] {
                span.annotate(text);
                let start = Instant::now();
                while start.elapsed() < Duration::from_micros(2) {}
            }
        },
        json!({"name": "annotated", "annotations": [{"value": "b"}, {"value": "\u{0}\"日\n"}, {"value": ""}]}),
    ));
    cases.push(Case {
        unfinished: true,
        ..case(
            "open",
            |span| span.tag("so far", "good"),
            json!({"name": "open", "tags": {"so far": "good", "outcome": "unfinished"}}),
        )
    });
    cases
}

/// What the server stored, without what is checked here: ids, times, local endpoint.
fn rest(mut stored: Value, trace: &str, parent: &str, unfinished: bool) -> Value {
    let fields = stored.as_object_mut().unwrap();
    let mut take = |field: &str| fields.remove(field).unwrap_or_default();
    assert_eq!(take("traceId"), trace);
    assert_eq!(take("parentId"), parent);
    assert_eq!(take("id").as_str().map(str::len), Some(16));
    assert!(take("timestamp").as_u64().unwrap() > 1_700_000_000_000_000);
    assert_eq!(take("duration").is_u64(), !unfinished);
    assert_eq!(take("localEndpoint"), json!({"serviceName": "the \"hostile\"\n", "ipv6": "2001:db8::7", "port": 443}));
    let annotations = fields.get_mut("annotations").and_then(Value::as_array_mut);
    for annotation in annotations.into_iter().flatten() {
        assert!(annotation.as_object_mut().unwrap().remove("timestamp").unwrap().is_u64());
    }
    stored
}

/// A span's text, without the middle of it if it is long.
fn shown(span: &Value) -> String {
    let text: Vec<char> = span.to_string().chars().collect();
    let part = |part: &[char]| part.iter().collect::<String>();
    if text.len() < 1_000 { part(&text) } else { part(&text[..500]) + " … " + &part(&text[text.len() - 500..]) }
}

/// One tracer, installed: the parents of these spans are of other processes.
#[test]
fn hostile_spans_are_all_accepted_and_come_back_as_meant() {
    let Some(zipkin) = Zipkin::shared() else {
        return;
    };
    let ip = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7));
    let tracing = Tracer::builder("the \"Hostile\"\u{2029}")
        .collector(zipkin.spans_url())
        .local_endpoint(Endpoint::new().ip(ip).port(443))
        .batch_bytes(BATCH_BYTES)
        .summary(false)
        .install()
        .unwrap();
    let cases: Vec<Case> = [names(), tags(), roles()].into_iter().flatten().collect();
    let mut open = Vec::new();
    let ids = |number: usize, high: u128| (high << 64 | (0xa000 + number as u128), 0xb000 + number as u64);
    for (number, case) in cases.iter().enumerate() {
        let (trace, parent) = ids(number, case.parent.0);
        let parent = Context::remote(TraceId::new(trace).unwrap(), SpanId::new(parent).unwrap(), case.parent.1);
        let span = Span::child_of(parent, &case.name);
        (case.make)(&span);
        if case.unfinished {
            open.push(span);
        }
    }
    let tally = tracing.shutdown(DEADLINE);
    drop(open);
    assert_eq!((tally.sent(), tally.dropped()), (cases.len() as u64, 0), "{tally}");
    assert_eq!(tally.dropped_by(DropReason::Rejected), 0);
    let stats = tracing.stats();
    assert_eq!((stats.cut_tags(), stats.retries(), stats.late_tags()), (3, 0, 0));

    for (number, case) in cases.iter().enumerate() {
        let (trace, parent) = ids(number, case.parent.0);
        let trace = if case.parent.0 == 0 { format!("{trace:016x}") } else { format!("{trace:032x}") };
        let stored = zipkin.wait_for_trace(&trace, 1).remove(0);
        let rest = rest(stored, &trace, &format!("{parent:016x}"), case.unfinished);
        assert!(rest == case.kept, "{:?}\nstored: {}\nmeant:  {}", case.name, shown(&rest), shown(&case.kept));
    }
}
