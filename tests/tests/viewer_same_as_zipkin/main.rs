//! The viewer and the real Zipkin server get the same spans and the same queries, and give the same answers: the same status,
//! and the same JSON or text. Spans of a trace may be in another order. What differs on purpose is in `differences`.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod differences;
mod odd_json;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use traced_tests::{Zipkin, eventually};
use traced_viewer::{Options, Server};
use ureq::Agent;

const JSON: &str = "application/json";
const PROTO3: &str = "application/x-protobuf";

/// The two servers.
struct Both {
    zipkin: Zipkin,
    viewer: Server,
    agent: Agent,
    /// Spans that Zipkin took and may not have stored yet.
    sent: u64,
}

type Reply = (u16, String);

impl Both {
    /// The two that tests share, one test at a time, in any order: what others stored is in both, and the same. A test whose
    /// spans the two keep differently starts its own.
    fn lock() -> Option<MutexGuard<'static, Self>> {
        static BOTH: OnceLock<Option<Mutex<Both>>> = OnceLock::new();
        let both = BOTH.get_or_init(|| Self::start().map(Mutex::new)).as_ref()?;
        Some(both.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn start() -> Option<Self> {
        let zipkin = Zipkin::options().setting("AUTOCOMPLETE_KEYS", "env,region").start()?;
        let mut options = Options::default();
        options.autocomplete_keys = vec!["env".to_owned(), "region".to_owned()];
        let viewer = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), options).unwrap();
        let agent = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30)));
        Some(Self { zipkin, viewer, agent: agent.build().into(), sent: 0 })
    }

    fn viewer_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.viewer.address())
    }

    fn send(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (Reply, Reply) {
        let theirs = self.zipkin.post(path, headers, body);
        let mut request = self.agent.post(self.viewer_url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut ours = request.send(body).unwrap();
        (theirs, (ours.status().as_u16(), ours.body_mut().read_to_string().unwrap()))
    }

    /// Sends to both, which must answer the same.
    #[track_caller]
    fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let (theirs, ours) = self.send(path, headers, body);
        let text = String::from_utf8_lossy(body);
        assert_eq!(ours, theirs, "POST {path} {}", text.chars().take(2000).collect::<String>());
        ours
    }

    /// Sends spans that both must take.
    #[track_caller]
    fn store(&mut self, spans: &Value) {
        let reply = self.post("/api/v2/spans", &[("content-type", JSON)], spans.to_string().as_bytes());
        assert_eq!(reply, (202, String::new()), "{spans}");
        self.sent += u64::try_from(spans.as_array().unwrap().len()).unwrap();
    }

    /// Waits until Zipkin has counted all spans that were sent.
    fn wait_for_spans(&self) {
        eventually("Zipkin's store", Duration::from_secs(30), || {
            (self.zipkin.metrics().spans >= self.sent).then_some(())
        });
    }

    /// Waits until Zipkin has stored what was sent: it answers before.
    fn settle(&self) {
        self.wait_for_spans();
        // Its counter may be ahead of its store for a moment. What the viewer has is there when it answers.
        let all = "/api/v2/traces?limit=100000&endTs=9999999999999&lookback=9999999999999";
        let ours = spans(&self.ask_viewer(all).1);
        eventually(&format!("{ours} spans in Zipkin's store"), Duration::from_secs(30), || {
            (spans(&self.zipkin.get(all).1) == ours).then_some(())
        });
    }

    fn ask_viewer(&self, path: &str) -> Reply {
        let mut reply = self.agent.get(self.viewer_url(path)).call().unwrap();
        (reply.status().as_u16(), reply.body_mut().with_config().limit(u64::MAX).read_to_string().unwrap())
    }

    /// Asks both, which must answer the same.
    #[track_caller]
    fn get(&self, path: &str) -> Reply {
        let theirs = self.zipkin.get(path);
        let ours = self.ask_viewer(path);
        match (comparable(path, &ours.1), comparable(path, &theirs.1)) {
            (Some(our_json), Some(their_json)) => {
                assert_eq!(ours.0, theirs.0, "GET {path}");
                if our_json != their_json {
                    let (ours, theirs) = (pretty(&our_json), pretty(&their_json));
                    assert_eq!(ours, theirs, "GET {path}");
                }
            }
            _ => assert_eq!(ours, theirs, "GET {path}"),
        }
        ours
    }
}

/// How many spans a list of traces has.
fn spans(traces: &str) -> usize {
    let traces: Vec<Vec<Value>> = serde_json::from_str(traces).unwrap();
    traces.iter().map(Vec::len).sum()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// The JSON of an answer with what has no order sorted; `None` if it is no JSON.
fn comparable(path: &str, text: &str) -> Option<Value> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    let sort = |list: &mut Value| {
        if let Some(list) = list.as_array_mut() {
            list.sort_by_cached_key(Value::to_string);
        }
    };
    if path.contains("/trace/") || path.contains("dependencies") {
        sort(&mut value);
    } else if path.contains("/traces") || path.contains("/traceMany") {
        value.as_array_mut()?.iter_mut().for_each(sort);
    }
    Some(value)
}

/// Microseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_micros()).unwrap()
}

/// `span` with the fields of `more` in the place of its own.
fn with(mut span: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        span[name] = value.clone();
    }
    span
}

/// Span sets, one for each thing that traces do. `time` is in the past, by seconds.
fn sets(time: u64) -> Vec<Value> {
    let at = |seconds: u64| time + seconds * 1_000_000;
    let front = json!({"serviceName": "Front", "ipv4": "10.0.0.1", "port": 80});
    let back = json!({"serviceName": "back", "ipv4": "10.0.0.2", "ipv6": "2001:db8::2"});
    let call = json!({"traceId": "a1", "id": "2", "parentId": "1", "name": "Call"});
    vec![
        // Client and server share an id; a local span and a database below.
        json!([
            {"traceId": "a1", "id": "1", "name": "GET /", "kind": "SERVER", "timestamp": at(0), "duration": 900, "localEndpoint": front,
             "remoteEndpoint": {"ipv4": "192.0.2.7", "port": 1}, "tags": {"http.path": "/", "env": "prod"}},
            with(call.clone(), json!({"kind": "CLIENT", "timestamp": at(0) + 100, "duration": 700, "localEndpoint": front,
             "remoteEndpoint": {"serviceName": "back"}, "tags": {"error": "500"}})),
            with(call, json!({"kind": "SERVER", "timestamp": at(0) + 200, "duration": 500, "localEndpoint": back, "shared": true,
             "annotations": [{"timestamp": at(0) + 300, "value": "cache miss"}, {"timestamp": at(0) + 250, "value": "lock"}]})),
            {"traceId": "a1", "id": "3", "parentId": "2", "name": "lookup", "timestamp": at(0) + 210, "duration": 400, "localEndpoint": back},
            {"traceId": "a1", "id": "4", "parentId": "3", "name": "query", "kind": "CLIENT", "timestamp": at(0) + 220, "duration": 300,
             "localEndpoint": back, "remoteEndpoint": {"serviceName": "mysql", "port": 3306}, "tags": {"error": "", "sql": "select 1"}, "debug": true},
        ]),
        // The same lower half of two trace ids.
        json!([
            {"traceId": "00000000000000b2", "id": "1", "name": "short", "timestamp": at(1), "duration": 10, "localEndpoint": front},
            {"traceId": "00000000000000aa00000000000000b2", "id": "2", "name": "long", "timestamp": at(1) + 5, "duration": 10, "localEndpoint": back},
            {"traceId": "000000000000000000000000000000b2", "id": "3", "parentId": "1", "timestamp": at(1) + 6, "localEndpoint": back},
        ]),
        // One span in two parts, and one twice.
        json!([
            {"traceId": "a3", "id": "1", "timestamp": at(2), "localEndpoint": front, "tags": {"a": "1", "region": "eu"}},
            {"traceId": "a3", "id": "1", "duration": 50, "name": "late", "localEndpoint": front, "tags": {"a": "2"}},
            {"traceId": "a3", "id": "2", "parentId": "1", "timestamp": at(2) + 1, "localEndpoint": front},
            {"traceId": "a3", "id": "2", "parentId": "1", "timestamp": at(2) + 1, "localEndpoint": front},
        ]),
        // Messages over a broker.
        json!([
            {"traceId": "a4", "id": "1", "kind": "PRODUCER", "name": "send", "timestamp": at(3), "localEndpoint": front,
             "remoteEndpoint": {"serviceName": "kafka"}},
            {"traceId": "a4", "id": "2", "parentId": "1", "kind": "CONSUMER", "name": "receive", "timestamp": at(3) + 9, "localEndpoint": back,
             "remoteEndpoint": {"serviceName": "kafka"}, "tags": {"error": "poison"}},
            {"traceId": "a4", "id": "3", "parentId": "1", "kind": "CONSUMER", "timestamp": at(3) + 10, "localEndpoint": back},
        ]),
        // A parent that is missing, several roots, a cycle.
        json!([
            {"traceId": "a5", "id": "1", "parentId": "9", "kind": "SERVER", "timestamp": at(4), "localEndpoint": back,
             "remoteEndpoint": {"serviceName": "front"}},
            {"traceId": "a6", "id": "1", "timestamp": at(5), "localEndpoint": front},
            {"traceId": "a6", "id": "2", "timestamp": at(5) + 1, "kind": "SERVER", "localEndpoint": back},
            {"traceId": "a7", "id": "1", "parentId": "2", "kind": "CLIENT", "timestamp": at(6), "localEndpoint": front},
            {"traceId": "a7", "id": "2", "parentId": "1", "kind": "SERVER", "timestamp": at(6) + 1, "localEndpoint": back},
        ]),
        // No kind, but both sides; a server that does not say that it shares an id; one that lost its parent.
        json!([
            {"traceId": "a8", "id": "1", "timestamp": at(7), "localEndpoint": front, "remoteEndpoint": {"serviceName": "cache"}},
            {"traceId": "a9", "id": "1", "timestamp": at(8), "kind": "CLIENT", "localEndpoint": front},
            {"traceId": "a9", "id": "1", "timestamp": at(8) + 1, "kind": "SERVER", "localEndpoint": back},
            {"traceId": "aa", "id": "1", "timestamp": at(9), "kind": "SERVER", "localEndpoint": front},
            {"traceId": "aa", "id": "2", "parentId": "1", "timestamp": at(9) + 1, "kind": "CLIENT", "localEndpoint": front},
            {"traceId": "aa", "id": "2", "timestamp": at(9) + 2, "kind": "SERVER", "localEndpoint": back, "shared": true},
            {"traceId": "aa", "id": "3", "parentId": "2", "timestamp": at(9) + 3, "kind": "CLIENT", "localEndpoint": {"serviceName": "other"},
             "remoteEndpoint": {"serviceName": "far"}},
        ]),
        // No time, no service, no name, odd fields.
        json!([
            {"traceId": "ab", "id": "1", "name": "timeless", "localEndpoint": front},
            {"traceId": "ac", "id": "1", "timestamp": at(10)},
            {"traceId": "ad", "id": "1", "timestamp": at(11), "duration": 0, "name": "", "kind": null, "localEndpoint": {}, "tags": {"n": 5},
             "remoteEndpoint": {"ipv4": "::1"}, "shared": false, "unknown": [{"a": null}]},
            {"traceId": "ae", "id": "1", "timestamp": at(12), "name": "Grüße 😀", "localEndpoint": {"serviceName": "ÄPFEL"},
             "tags": {"text": "a\u{0}\"\\\n</script>\u{7f}é"}},
        ]),
        // Two days ago, and tomorrow.
        json!([
            {"traceId": "af", "id": "1", "timestamp": at(0) - 2 * 86_400_000_000, "duration": 5, "name": "old", "localEndpoint": front},
            {"traceId": "b0", "id": "1", "timestamp": at(0) + 86_400_000_000, "duration": 5, "name": "early", "localEndpoint": front},
        ]),
    ]
}

/// The same spans in Zipkin's v1, as old clients wrote them.
fn v1_sets(time: u64) -> Vec<Value> {
    let front = json!({"serviceName": "v1front", "ipv4": "10.1.0.1"});
    let back = json!({"serviceName": "V1back", "ipv4": "10.1.0.2", "port": 8080});
    let note =
        |time: u64, value: &str, endpoint: &Value| json!({"timestamp": time, "value": value, "endpoint": endpoint});
    let address = |key: &str, endpoint: &Value| json!({"key": key, "value": true, "endpoint": endpoint});
    let span = |trace: &str, more: Value| with(json!({"traceId": trace, "id": "1", "name": "Get"}), more);
    let four = || {
        [
            note(time, "cs", &front),
            note(time + 9, "cr", &front),
            note(time + 2, "sr", &back),
            note(time + 7, "ss", &back),
        ]
    };
    vec![
        // Both sides in one span, with and without times of its own.
        json!([
            span("c1", json!({"timestamp": time, "duration": 9, "annotations": four()})),
            span("c2", json!({"annotations": four()}))
        ]),
        // One side alone; the server did not start the span.
        json!([
            span("c3", json!({"annotations": [note(time, "sr", &back), note(time + 5, "ss", &back)]})),
            span(
                "c4",
                json!({"timestamp": time, "duration": 5, "annotations": [note(time, "sr", &back), note(time + 5, "ss", &back)]})
            ),
            span(
                "c5",
                json!({"timestamp": time, "duration": 5, "annotations": [note(time, "cs", &front), note(time + 5, "cr", &front)]})
            ),
            span("c6", json!({"annotations": [note(time, "cs", &front)]})),
            span("c7", json!({"annotations": [note(time + 5, "ss", &back)], "timestamp": time})),
            span("c8", json!({"timestamp": time, "duration": 5, "annotations": [note(time + 5, "ss", &back)]})),
        ]),
        // A service that calls itself; a local span; tags; one with a long trace id.
        json!([
            span(
                "c9",
                json!({"annotations": [note(time, "cs", &front), note(time + 1, "sr", &front), note(time + 2, "ss", &front), note(time + 3, "cr", &front)]})
            ),
            span(
                "ca",
                json!({"timestamp": time, "duration": 3, "binaryAnnotations": [{"key": "lc", "value": "", "endpoint": front},
                {"key": "a", "value": "b", "endpoint": front}, {"key": "n", "value": 5, "endpoint": front}]})
            ),
            span(
                "cb",
                json!({"timestamp": time, "binaryAnnotations": [{"key": "lc", "value": "worker", "endpoint": back}], "debug": true, "parentId": "7"})
            ),
            span(
                "00000000000000cc00000000000000cc",
                json!({"timestamp": time, "annotations": [note(time, "plain", &front), {"timestamp": time, "value": "nowhere"}]})
            ),
        ]),
        // Addresses of the other side.
        json!([
            span(
                "cd",
                json!({"annotations": [note(time, "cs", &front), note(time + 4, "cr", &front)], "binaryAnnotations": [address("sa", &back)]})
            ),
            span(
                "ce",
                json!({"annotations": [note(time, "sr", &back), note(time + 4, "ss", &back)], "binaryAnnotations": [address("ca", &front)]})
            ),
            span(
                "cf",
                json!({"annotations": [note(time, "sr", &back)], "binaryAnnotations": [address("ca", &with(back.clone(), json!({"port": 9})))]})
            ),
            span("d0", json!({"timestamp": time, "binaryAnnotations": [address("sa", &back)]})),
            span("d1", json!({"timestamp": time, "binaryAnnotations": [address("ca", &back)]})),
            span("d2", json!({"timestamp": time, "binaryAnnotations": [address("ca", &front), address("sa", &back)]})),
        ]),
        // Messages.
        json!([
            span(
                "d4",
                json!({"annotations": [note(time, "ms", &front), note(time + 2, "ws", &front)], "binaryAnnotations": [address("ma", &back)]})
            ),
            span("d5", json!({"annotations": [note(time + 2, "mr", &front), note(time, "wr", &front)]})),
            span(
                "d6",
                json!({"annotations": [note(time, "ms", &front), note(time + 2, "mr", &back), note(time + 1, "wr", &back)]})
            ),
            span("d7", json!({"annotations": [note(time, "ms", &front), note(time + 2, "mr", &front)]})),
            span("d8", json!({"annotations": [note(time, "ws", &front), note(time + 2, "wr", &back)]})),
        ]),
    ]
}

/// Numbers that look random, the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % limit
    }

    fn maybe(&mut self, value: impl FnOnce(&mut Self) -> Value) -> Value {
        if self.below(3) == 0 { Value::Null } else { value(self) }
    }

    fn one(&mut self, values: &[&str]) -> Value {
        let at = usize::try_from(self.below(values.len() as u64)).unwrap();
        values[at].into()
    }

    fn endpoint(&mut self) -> Value {
        json!({
            "serviceName": self.maybe(|random| random.one(&["r-a", "r-b", "r-c"])),
            "ipv4": self.maybe(|random| random.one(&["10.2.0.1", "10.2.0.2"])),
        })
    }

    /// A span whose ids, kinds and ends have little to do with those of others.
    fn span(&mut self, trace: &str, time: u64) -> Value {
        json!({
            "traceId": trace,
            "id": format!("{:x}", 1 + self.below(5)),
            "parentId": self.maybe(|random| format!("{:x}", 1 + random.below(6)).into()),
            "kind": self.maybe(|random| random.one(&["CLIENT", "SERVER", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"])),
            "name": self.maybe(|random| random.one(&["x", "y"])),
            "timestamp": self.maybe(|random| (time + random.below(900)).into()),
            "duration": self.maybe(|random| random.below(300).into()),
            "localEndpoint": self.maybe(Self::endpoint),
            "remoteEndpoint": self.maybe(Self::endpoint),
            "tags": if self.below(4) == 0 { json!({"error": "e"}) } else { json!({}) },
            "shared": self.below(3) == 0,
        })
    }
}

#[test]
fn spans_and_queries_have_the_same_answers() {
    let Some(mut both) = Both::lock() else { return };
    let time = (now() / 1_000_000 - 3600) * 1_000_000;
    for set in sets(time) {
        both.store(&set);
    }
    for set in v1_sets(time + 60_000_000) {
        let reply = both.post("/api/v1/spans", &[("content-type", JSON)], set.to_string().as_bytes());
        assert_eq!(reply, (202, String::new()));
        both.sent += u64::try_from(set.as_array().unwrap().len()).unwrap();
    }
    both.settle();
    let ids = [
        "a1",
        "b2",
        "aa00000000000000b2",
        "a3",
        "a4",
        "a5",
        "a6",
        "a7",
        "a8",
        "a9",
        "aa",
        "ab",
        "ac",
        "ad",
        "ae",
        "af",
        "b0",
    ];
    for id in ids {
        assert_eq!(both.get(&format!("/api/v2/trace/{id}")).0, 200, "{id}");
    }
    for id in 0xc1..=0xd8 {
        both.get(&format!("/api/v2/trace/{id:x}"));
    }
    assert_eq!(both.get("/api/v2/trace/cc00000000000000cc").0, 200);
    for path in [
        "services",
        "autocompleteKeys",
        "autocompleteValues?key=env",
        "autocompleteValues?key=region",
        "autocompleteValues?key=x",
    ] {
        both.get(&format!("/api/v2/{path}"));
        both.get(&format!("/zipkin/api/v2/{path}"));
    }
    for service in ["front", "FRONT", "back", "mysql", "v1front", "v1back", "%C3%84pfel", "other", "nobody", ""] {
        both.get(&format!("/api/v2/spans?serviceName={service}"));
        both.get(&format!("/api/v2/remoteServices?serviceName={service}"));
    }
    let end = time / 1000 + 3_600_000;
    let wide = format!("endTs={end}&lookback=7200000&limit=1000");
    for query in [
        "",
        "limit=3",
        "limit=1000",
        "serviceName=front",
        "serviceName=Front&limit=2",
        "serviceName=nobody",
        "serviceName=",
        "spanName=call",
        "spanName=CALL&serviceName=back",
        "spanName=all",
        "serviceName=front&spanName=query",
        "remoteServiceName=mysql",
        "remoteServiceName=back&serviceName=front",
        "remoteServiceName=back&serviceName=back",
        "annotationQuery=error",
        "annotationQuery=error%3D500",
        "annotationQuery=error%3D500%20and%20http.path",
        "annotationQuery=cache%20miss",
        "annotationQuery=cache%20miss%20and%20error",
        "annotationQuery=%20error%20",
        "annotationQuery=error%3D",
        "annotationQuery=a%3D2%20and%20a",
        "annotationQuery=lock&serviceName=front",
        "annotationQuery=nothing",
        "annotationQuery=%20and%20",
        "minDuration=500",
        "minDuration=500&maxDuration=800",
        "minDuration=1&serviceName=back",
        "minDuration=901",
        "minDuration=",
        "endTs=1",
        "lookback=1",
        "lookback=172900000&limit=1000",
        "serviceName=v1back&limit=100",
    ] {
        both.get(&format!("/api/v2/traces?{query}"));
        let (_, ours) = both.get(&format!("/api/v2/traces?{query}&{wide}"));
        assert!(ours.starts_with('['), "{ours}");
    }
    let all = "endTs=9999999999999&lookback=9999999999999";
    both.get(&format!("/api/v2/traces?{all}&limit=1000"));
    for many in ["a1,a3", "a1,b2", "b2,aa00000000000000b2", "a1,ffff", "fffe,ffff", "a1,00000000000000a3,af"] {
        both.get(&format!("/api/v2/traceMany?traceIds={many}"));
    }
    both.get(&format!("/api/v2/dependencies?{all}"));
    for second in 0..=12 {
        let end = time / 1000 + second * 1000 + 500;
        both.get(&format!("/api/v2/dependencies?endTs={end}&lookback=600"));
    }
    let minute = time / 1000 + 60_000;
    both.get(&format!("/api/v2/dependencies?endTs={}&lookback=600", minute + 500));
    both.get(&format!("/api/v2/dependencies?endTs={end}"));
}

#[test]
fn whatever_the_spans_are_traces_and_links_are_the_same() {
    let Some(mut both) = Both::lock() else { return };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    // A second for each, so that links can be asked for one by one.
    let time = (now() / 1_000_000 - 3600) * 1_000_000;
    let traces = 300;
    for trace in 1..=traces {
        let id = format!("{:x}", 0x1000 + trace);
        let spans: Vec<_> = (0..=random.below(7)).map(|_| random.span(&id, time + trace * 1_000_000)).collect();
        both.store(&Value::Array(spans));
    }
    both.settle();
    for trace in 1..=traces {
        both.get(&format!("/api/v2/trace/{:x}", 0x1000 + trace));
        both.get(&format!("/api/v2/dependencies?endTs={}&lookback=999", time / 1000 + trace * 1000 + 999));
    }
    for query in [
        "serviceName=r-a",
        "spanName=x",
        "annotationQuery=error",
        "minDuration=100&maxDuration=200",
        "remoteServiceName=r-b",
    ] {
        both.get(&format!("/api/v2/traces?limit=1000&{query}"));
        both.get(&format!("/api/v2/traces?limit=7&{query}"));
    }
    both.get("/api/v2/spans?serviceName=r-a");
    both.get("/api/v2/remoteServices?serviceName=r-a");
}

#[test]
fn mistakes_have_the_same_texts() {
    let Some(both) = Both::lock() else { return };
    for path in [
        "spans",
        "remoteServices",
        "dependencies",
        "dependencies?endTs=",
        "dependencies?endTs=0",
        "dependencies?endTs=x",
        "dependencies?endTs=1&lookback=0",
        "traces?limit=0",
        "traces?limit=x",
        "traces?limit=",
        "traces?endTs=0",
        "traces?endTs=-5",
        "traces?lookback=0",
        "traces?maxDuration=1",
        "traces?minDuration=2&maxDuration=1",
        "traces?minDuration=0",
        "traces?minDuration=1.5",
        "trace/",
        "trace/0",
        "trace/g",
        "trace/F",
        "trace/ffff",
        "trace/fffd%20",
        "trace/111111111111111111111111111111111",
        "traceMany",
        "traceMany?traceIds=",
        "traceMany?traceIds=1",
        "traceMany?traceIds=1,1",
        "traceMany?traceIds=1,01",
        "traceMany?traceIds=g,2",
        "traceMany?traceIds=1,,2",
        "autocompleteValues",
        "autocompleteValues?key=",
        "nothing",
    ] {
        let (status, _) = both.get(&format!("/api/v2/{path}"));
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    both.get("/nothing");
    let field = |field: &str| format!(r#"[{{"traceId":"1","id":"1",{field}}}]"#);
    let bodies = [
        "[",
        " ",
        "{}",
        "[{}]",
        "x",
        "[1]",
        "[[]]",
        "null",
        r#"["a"]"#,
        "[null]",
        r#" [{"traceId":"1","id":"1"}]"#,
        r#"[{"traceId":"1"}]"#,
        r#"[{"id":"1"}]"#,
        r#"[{"traceId":null}]"#,
        r#"[{"traceId":true}]"#,
        r#"[{"traceId":{}}]"#,
        r#"[{"traceId":"é😀","id":"1"}]"#,
        r#"[{"name":"é😀","debug":3}]"#,
        r#"[{"traceId":"1","id":"1"},"#,
        r#"[{"traceId":"1","id":"1"} {}]"#,
        r#"[{"traceId":"1" "id":"1"}]"#,
        r#"[{"traceId":"1","id":"1",}]"#,
        "[{'traceId':'1'}]",
        r#"{"traceId":"1","id":"1"}"#,
        r#"[{"traceId":"1","id":"1","binaryAnnotations":[]}]"#,
        "[\n {\"traceId\":\"1\",\"id\":\"1\"},\n {\"traceId\":\"1\",\"id\":\"2\",\n   \"tags\":{\"x\":\"y\",\"z\":false}}]",
    ];
    let fields = [
        r#""debug":1"#,
        r#""debug":"true""#,
        r#""debug":1.5"#,
        r#""debug":-0"#,
        r#""shared":[]"#,
        r#""annotations":[{"value":"x"}]"#,
        r#""annotations":[{}]"#,
        r#""annotations":[{"timestamp":1, "x":3}]"#,
        r#""annotations":[{"timestamp":null,"value":"x"}]"#,
        r#""annotations":[{"timestamp":1,"value":null}]"#,
        r#""annotations":[1]"#,
        r#""annotations":1"#,
        r#""annotations":"x""#,
        r#""tags":[]"#,
        r#""tags":{"a":true}"#,
        r#""tags":{"a":null}"#,
        r#""tags":{"a b.c[":true}"#,
        r#""tags":{"a":[1]}"#,
        r#""timestamp":"a""#,
        r#""timestamp":"""#,
        r#""timestamp":1.5"#,
        r#""timestamp":"1.5""#,
        r#""timestamp":true"#,
        r#""timestamp":{}"#,
        r#""timestamp":[]"#,
        r#""timestamp":99999999999999999999"#,
        r#""timestamp":"0x1""#,
        r#""localEndpoint":1"#,
        r#""localEndpoint":{"port":"x"}"#,
        r#""localEndpoint":{"port":70000}"#,
        r#""localEndpoint":{"port":9999999999}"#,
        r#""localEndpoint":{"port":80.5}"#,
        r#""localEndpoint":{"port":true}"#,
        r#""localEndpoint":{"serviceName":true}"#,
        r#""kind":"X""#,
        r#""kind":5"#,
        r#""kind":true"#,
        r#""kind":"client""#,
        r#""name":{}"#,
        r#""parentId":"""#,
        r#""parentId":"G""#,
        r#""parentId":"11111111111111111""#,
        r#""id":"0000000000000000""#,
        r#""id":"""#,
        r#""name":"\x""#,
        r#""unknown":[{]"#,
        r#""traceId":"0""#,
        r#""traceId":"""#,
    ];
    let json = [("content-type", JSON)];
    for body in bodies.into_iter().map(str::to_owned).chain(fields.into_iter().map(field)) {
        let (status, text) = both.post("/api/v2/spans", &json, body.as_bytes());
        assert!(status == 400 && !text.is_empty(), "{body}: {status} {text}");
    }
    for body in [
        r#"[{}]"#,
        r#"[{"traceId":"X","id":"1"}]"#,
        r#"[{"traceId":"1","id":"1","parentId":""}]"#,
        r#"[{"traceId":"1"}]"#,
        r#"[{"traceId":"1","id":"1","tags":{}}]"#,
        r#"[{"traceId":"1","id":"1","annotations":[{"value":"x"}]}]"#,
        r#"[{"traceId":"1","id":"1","binaryAnnotations":[{}]}]"#,
        r#"[{"traceId":"1","id":"1","binaryAnnotations":[{"value":"x"}]}]"#,
        r#"[{"traceId":"1","id":"1","localEndpoint":{}}]"#,
        "{}",
        "[",
    ] {
        let (status, _) = both.post("/api/v1/spans", &json, body.as_bytes());
        assert_eq!(status, 400, "{body}");
    }
    let proto3 = [("content-type", PROTO3)];
    for body in [
        &b"abc"[..],
        b"\x0a\x05abc",
        b"\x0a\x02\x08\x01",
        b"\x0a\x04\x0a\x02\x01",
        b"\x0a\x02\x03\x01",
        b"\x0a\x03\x60\x05\x01",
        b"\x0a\x0a\x0a\x21aaaaaaaa",
    ] {
        let (status, _) = both.post("/api/v2/spans", &proto3, body);
        assert_eq!(status, 400, "{body:?}");
    }
    let gzip = [("content-type", JSON), ("content-encoding", "gzip")];
    let whole = packed(br#"[{"traceId":"1","id":"1"}]"#);
    both.post("/api/v2/spans", &gzip, &whole[..20]);
    both.post("/api/v2/spans", &gzip, &packed(b""));
    let too_large = format!("[{}]", " ".repeat(11 << 20));
    assert_eq!(
        both.post("/api/v2/spans", &json, too_large.as_bytes()),
        (500, "413 Request Entity Too Large".to_owned())
    );
    both.post("/api/v2/services", &json, b"[]");
    both.post("/nothing", &json, b"[]");
}

#[test]
fn what_is_no_mistake_is_taken_by_both() {
    let Some(mut both) = Both::lock() else { return };
    let json = [("content-type", JSON)];
    for body in [
        "",
        "[]",
        r#"[{"traceId":1,"id":"1"}]"#,
        r#"[{"traceId":"2","id":"1"}]x"#,
        r#"[{"traceId":"3","id":"1","timestamp":1e3}]"#,
        r#"[{"traceId":"4","id":"1","timestamp":1.0}]"#,
        r#"[{"traceId":"5","id":"1","timestamp":" 7"}]"#,
        r#"[{"traceId":"6","id":"1","timestamp":-9223372036854775809}]"#,
        r#"[{"traceId":"7","id":"1","tags":{"a":1.50,"b":1e400}}]"#,
        r#"[{"traceId":"8","id":"1","localEndpoint":{"port":"80"}}]"#,
        r#"[{"traceId":"9","id":"1","localEndpoint":{"port":-5,"serviceName":"x"}}]"#,
        r#"[{"traceId":"10","id":"1","parentId":5}]"#,
        r#"[{"traceId":"11","id":"1","debug":null,"annotations":null,"tags":null,"duration":null,"localEndpoint":null}]"#,
        r#"[{"traceId":"12","id":"1","tags":{"a":"1","a":"2"}}]"#,
        "[{\"traceId\":\"13\",\"id\":\"1\",\"name\":\"\\u00e9\\ud83d\\ude00\"}]",
    ] {
        assert_eq!(both.post("/api/v2/spans", &json, body.as_bytes()), (202, String::new()), "{body}");
        both.sent += u64::from(body.len() > 2);
    }
    for (kind, body) in [
        ("", &b"[]"[..]),
        (PROTO3, b"[]"),
        (PROTO3, b""),
        ("application/json; charset=utf-8", b"[]"),
        ("text/plain", b"[]"),
    ] {
        both.post("/api/v2/spans", &[("content-type", kind)], body);
    }
    let gzip = [("content-type", JSON), ("content-encoding", "gzip")];
    both.post("/api/v2/spans", &gzip, &packed(br#"[{"traceId":"14","id":"1","name":"packed"}]"#));
    let list = [proto3_span(0x20, b""), proto3_span(0x21, b"")].concat();
    both.post("/api/v2/spans", &[("content-type", "Application/X-Protobuf; a=b")], &list);
    both.post(
        "/api/v2/spans",
        &[("content-type", PROTO3), ("content-encoding", "gzip")],
        &packed(&proto3_span(0x22, b"")),
    );
    both.sent += 4;
    both.settle();
    for id in (1..=0x14).chain(0x20..=0x22) {
        both.get(&format!("/api/v2/trace/{id:x}"));
    }
    assert!(
        both.get("/api/v2/trace/20")
            .1
            .contains("\"annotations\":[{\"timestamp\":7,\"value\":\"x\"}],\"tags\":{\"k\":\"v\"}")
    );
}

/// A list with one span, in protocol buffers; with a field of another version, if told.
fn proto3_span(trace: u8, unknown: &[u8]) -> Vec<u8> {
    fn bytes(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }
    let endpoint =
        [bytes(1, b"Proto"), bytes(2, &[10, 3, 0, 1]), bytes(3, &[0x20; 16]), vec![4 << 3, 0x90, 0x3f]].concat();
    let annotation = [&[1 << 3 | 1, 7, 0, 0, 0, 0, 0, 0, 0][..], &bytes(2, b"x")].concat();
    let tag = [bytes(1, b"k"), bytes(2, b"v")].concat();
    let span = [
        bytes(1, &[0, 0, 0, 0, 0, 0, 0, trace]),
        bytes(2, &[0, 0, 0, 0, 0, 0, 0, 9]),
        bytes(3, &[0, 0, 0, 0, 0, 0, 0, 1]),
        vec![4 << 3, 2],
        bytes(5, b"Name"),
        vec![6 << 3 | 1, 0x40, 0x42, 0x0f, 0, 0, 0, 0, 0],
        vec![7 << 3, 0xac, 0x02],
        bytes(8, &endpoint),
        bytes(9, &bytes(1, b"remote")),
        bytes(10, &annotation),
        bytes(11, &tag),
        unknown.to_vec(),
        vec![12 << 3, 1, 13 << 3, 1],
    ];
    bytes(1, &span.concat())
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}
