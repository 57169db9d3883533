//! The viewer and clients that mean no good, or do no good: each gets a clear answer, and the memory stays bounded.
//!
//! All over real sockets, with requests written byte by byte.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use traced_tests::eventually;
use traced_viewer::{Limits, Options, Server};

/// Longer than anything here takes; what hangs fails.
const SOON: Duration = Duration::from_secs(60);
/// A bound on time that a test waits to see enforced.
const SHORT: Duration = Duration::from_millis(300);

fn start(limits: impl FnOnce(&mut Limits)) -> Server {
    let mut options = Options::default();
    limits(&mut options.limits);
    Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), options).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.set_write_timeout(Some(SOON)).unwrap();
    stream
}

/// The status and the body of an answer, read until the connection ends.
fn read(stream: &mut TcpStream) -> (u16, String) {
    let mut answer = Vec::new();
    // A connection that is reset after its answer has told it.
    stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// Sends a request with these lines of its head, and reads the answer.
fn ask(server: &Server, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = connect(server);
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    stream.write_all(format!("{head}\r\n{length}connection: close\r\n\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    read(&mut stream)
}

fn post(server: &Server, headers: &str, body: &[u8]) -> (u16, String) {
    ask(server, &format!("POST /api/v2/spans HTTP/1.1\r\nhost: localhost{headers}"), body)
}

fn get(server: &Server, path: &str) -> (u16, String) {
    ask(server, &format!("GET {path} HTTP/1.1\r\nhost: localhost"), b"")
}

fn summaries(server: &Server) -> Vec<Value> {
    let (status, body) = get(server, "/zipkin/api/private/traces?limit=1000");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn spans(count: usize, trace: &str) -> Vec<u8> {
    let span = |id: usize| json!({"traceId": trace, "id": format!("{id:x}"), "timestamp": 1_000_000});
    serde_json::to_vec(&(1..=count).map(span).collect::<Vec<_>>()).unwrap()
}

fn packed(mut bytes: impl io::Read) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    io::copy(&mut bytes, &mut encoder).unwrap();
    encoder.finish().unwrap()
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

const TOO_LARGE: (u16, &str) = (500, "413 Request Entity Too Large");

fn is(answer: &(u16, String), expected: (u16, &str)) -> bool {
    (answer.0, &*answer.1) == expected
}

#[test]
fn limits_may_be_as_large_as_they_like() {
    let server = start(|limits| {
        limits.store.spans = usize::MAX;
        limits.store.bytes = usize::MAX;
        limits.store.trace_spans = usize::MAX;
        limits.body_bytes = usize::MAX;
        limits.unpacked_bytes = usize::MAX;
        limits.memory_bytes = usize::MAX;
        limits.connections = usize::MAX;
        limits.listeners = usize::MAX;
    });
    assert_eq!(post(&server, "\r\ncontent-encoding: gzip", &packed(&*spans(3, "1"))), (202, String::new()));
    assert_eq!(summaries(&server)[0]["spanCount"], 3);
}

#[test]
fn a_body_that_is_too_large_is_zipkins_500() {
    let server = start(|_| {});
    let body = vec![b' '; (10 << 20) + 1];
    assert!(is(&post(&server, "", &body), TOO_LARGE));
    // Told of in the head, or not.
    let mut stream = connect(&server);
    stream.write_all(b"POST /api/v2/spans HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n").unwrap();
    for _ in 0..11 {
        stream.write_all(b"100000\r\n").unwrap();
        stream.write_all(&vec![b' '; 1 << 20]).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert!(is(&read(&mut stream), TOO_LARGE));
    assert_eq!((server.counts().messages, server.counts().messages_dropped), (2, 2));
    // A body of ten MiB less a byte is read, and found wrong.
    assert_eq!(post(&server, "", &body[..(10 << 20) - 1]).0, 400);
}

#[test]
fn a_gzip_bomb_is_not_unpacked_beyond_its_bound() {
    let server = start(|_| {});
    let bomb = packed(io::repeat(b' ').take(64 << 20));
    let before = resident();
    for _ in 0..5 {
        assert!(is(&post(&server, "\r\ncontent-encoding: gzip", &bomb), TOO_LARGE));
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 120 << 20, "{grown} bytes");
    let fits = packed(&*spans(3, "1"));
    assert_eq!(post(&server, "\r\ncontent-encoding: gzip", &fits), (202, String::new()));
    assert_eq!(summaries(&server)[0]["spanCount"], 3);
}

#[test]
fn values_nested_in_one_another_exhaust_no_stack() {
    let server = start(|_| {});
    for open in ["[", "{\"a\":", "[{\"tags\":{\"a\":"] {
        let body = format!("[{{\"unknown\":{}", open.repeat(300_000));
        let (status, text) = post(&server, "", body.as_bytes());
        assert_eq!(status, 400, "{text}");
    }
    let nested = format!("[{{\"traceId\":\"1\",\"id\":\"1\",\"x\":{}{}}}]", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(post(&server, "", nested.as_bytes()).0, 202);
}

#[test]
fn a_client_that_sends_its_head_too_slowly_is_left() {
    let server = start(|limits| limits.head_time = SHORT);
    for begin in ["", "GET / HT", "GET /health HTTP/1.1\r\nhost: localhost\r\n"] {
        let mut stream = connect(&server);
        stream.write_all(begin.as_bytes()).unwrap();
        let mut rest = Vec::new();
        // It ends, with or without an answer; what hangs is an error.
        let ended = stream.read_to_end(&mut rest);
        assert!(!matches!(&ended, Err(error) if error.kind() == io::ErrorKind::WouldBlock), "{begin:?}: {ended:?}");
    }
    // A connection that is kept and not used ends, too. This head is whole, when it comes: more time for it.
    let server = start(|limits| limits.head_time = Duration::from_secs(2));
    let mut stream = connect(&server);
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    assert_eq!(read(&mut stream).0, 200);
}

#[test]
fn a_client_that_sends_its_body_too_slowly_is_told() {
    let server = start(|limits| limits.body_time = SHORT);
    let mut stream = connect(&server);
    stream.write_all(b"POST /api/v2/spans HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n[").unwrap();
    assert_eq!(read(&mut stream), (408, "the body took longer than 300ms".to_owned()));
}

#[test]
fn a_client_that_does_not_read_is_left() {
    // One place: it is free again when the client was left.
    let server = start(|limits| {
        limits.stall_time = SHORT;
        limits.connections = 1;
    });
    for trace in 1..=40 {
        let span = json!([{"traceId": format!("{trace:x}"), "id": "1", "timestamp": 1_000_000, "tags": {"large": "x".repeat(500_000)}}]);
        eventually("a place", SOON, || (post(&server, "", span.to_string().as_bytes()).0 == 202).then_some(()));
    }
    let query = "/api/v2/traces?limit=100&endTs=9999999999999&lookback=9999999999999";
    let mut stream = eventually("the beginning of an answer", SOON, || {
        let mut stream = connect(&server);
        stream.write_all(format!("GET {query} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).ok()?;
        (&begin == b"HTTP/1.1 200").then_some(stream)
    });
    eventually("its place", SOON, || (get(&server, "/health").0 == 200).then_some(()));
    // What was on the way arrives; the rest of twenty megabytes never does.
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    assert!(answer.len() < 19_000_000, "{} bytes", answer.len());
}

#[test]
fn answers_and_bodies_share_a_bounded_memory() {
    let server = start(|limits| limits.memory_bytes = 1 << 20);
    // Smaller than what is kept, larger than what may be on the way.
    for part in 0..4 {
        let span = json!([{"traceId": "1", "id": format!("{:x}", part + 1), "timestamp": 1_000_000, "tags": {"large": "x".repeat(400_000)}}]);
        assert_eq!(post(&server, "", span.to_string().as_bytes()).0, 202);
    }
    let busy = "the viewer is busy: other requests hold all memory that it may use; try again";
    assert!(is(&get(&server, "/api/v2/trace/1"), (503, busy)));
    // Bodies that are not complete hold theirs, and give it back.
    let held: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connect(&server);
            stream
                .write_all(b"POST /api/v2/spans HTTP/1.1\r\nhost: localhost\r\ncontent-length: 300000\r\n\r\n[")
                .unwrap();
            stream
        })
        .collect();
    eventually("all memory to be taken", SOON, || is(&post(&server, "", b"[]"), (503, busy)).then_some(()));
    drop(held);
    eventually("it to be free again", SOON, || (post(&server, "", b"[]").0 == 202).then_some(()));
}

#[test]
fn ten_thousand_connections_take_bounded_places_and_memory() {
    let server = start(|limits| {
        limits.connections = 50;
        limits.head_time = SHORT;
    });
    let before = resident();
    let full = "the viewer has as many connections as it takes; close some and try again";
    let (mut refused, mut open) = (0, Vec::new());
    for _ in 0..10_000 {
        // The system's own bound may come first.
        let Ok(mut stream) = TcpStream::connect(server.address()) else { continue };
        stream.write_all(b"GET /health HTTP/1.1\r\n").ok();
        open.push(stream);
        if open.len() == 400 {
            for mut stream in open.drain(..) {
                stream.set_read_timeout(Some(SOON)).unwrap();
                let (status, text) = read(&mut stream);
                refused += usize::from(status == 503);
                assert!(
                    status == 0 || status == 408 || status == 400 || is(&(status, text.clone()), (503, full)),
                    "{status} {text}"
                );
            }
        }
    }
    assert!(refused > 1000, "{refused} were refused");
    drop(open);
    let grown = resident().saturating_sub(before);
    assert!(grown < 100 << 20, "{grown} bytes");
    // And then it answers as before.
    eventually("a place", SOON, || (get(&server, "/health").0 == 200).then_some(()));
}

#[test]
fn a_foreign_host_or_origin_is_refused() {
    let server = start(|_| {});
    let get = |headers: &str| ask(&server, &format!("GET /zipkin/ HTTP/1.1\r\n{headers}"), b"");
    assert_eq!(get("host: 127.0.0.1:1").0, 200);
    let (status, text) = get("host: evil.example");
    assert_eq!(
        (status, &*text),
        (403, "the viewer does not answer for the host evil.example: use localhost or 127.0.0.1")
    );
    assert_eq!(get("accept: */*").0, 400);
    let origin = |path: &str, origin: &str| {
        ask(&server, &format!("POST {path} HTTP/1.1\r\nhost: localhost\r\norigin: {origin}"), b"[]")
    };
    for path in ["/api/v2/spans", "/api/v1/spans", "/zipkin/api/private/clear"] {
        assert_eq!(origin(path, "http://evil.example").0, 403);
        assert_eq!(origin(path, "null").0, 403);
    }
    assert_eq!(origin("/api/v2/spans", "http://localhost").0, 202);
    assert_eq!(get("host: localhost\r\nsec-fetch-site: cross-site").0, 403);
    let (_, text) =
        ask(&server, "OPTIONS /api/v2/spans HTTP/1.1\r\nhost: localhost\r\norigin: http://evil.example", b"");
    assert!(!text.contains("access-control"), "{text}");
}

#[test]
fn every_answer_has_the_policy_and_no_cors() {
    let server = start(|_| {});
    for (method, path) in
        [("GET", "/zipkin/"), ("GET", "/"), ("GET", "/api/v2/services"), ("GET", "/nothing"), ("POST", "/api/v2/spans")]
    {
        let mut stream = connect(&server);
        stream
            .write_all(format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let head = answer.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "cache-control: no-store",
        ] {
            assert!(head.contains(header), "{path} has no {header}: {head}");
        }
        assert!(!head.contains("access-control"), "{head}");
    }
}

#[test]
fn a_full_store_forgets_whole_traces_and_says_so() {
    let server = start(|limits| {
        limits.store.spans = 100;
        limits.store.trace_spans = 60;
    });
    for trace in ["1", "2", "3"] {
        assert_eq!(post(&server, "", &spans(40, trace)).0, 202);
    }
    let known = |summaries: &[Value]| -> Vec<(String, Value)> {
        let mut known: Vec<_> = summaries
            .iter()
            .map(|summary| {
                (summary["traceId"].as_str().unwrap().trim_start_matches('0').to_owned(), summary["spanCount"].clone())
            })
            .collect();
        known.sort_by(|a, b| a.0.cmp(&b.0));
        known
    };
    assert_eq!(known(&summaries(&server)), [("2".to_owned(), json!(40)), ("3".to_owned(), json!(40))]);
    let (_, metrics) = get(&server, "/metrics");
    let metrics: Value = serde_json::from_str(&metrics).unwrap();
    assert_eq!(metrics["counter.traced_viewer.evicted_traces"], 1.0);
    assert_eq!(post(&server, "", &spans(200, "4")).0, 202);
    let all = summaries(&server);
    let large = all.iter().find(|summary| summary["traceId"] == "0000000000000004").unwrap();
    assert_eq!((&large["spanCount"], &large["truncated"]), (&json!(60), &json!(true)));
    assert_eq!((server.counts().spans, server.counts().spans_dropped), (320, 140));
}

#[test]
fn listeners_are_bounded_and_slow_ones_hold_nothing_back() {
    let server = start(|limits| limits.listeners = 2);
    let listen = || {
        let mut stream = connect(&server);
        stream.write_all(b"GET /zipkin/api/private/live HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut seen = String::new();
        while !seen.contains("live stream") && !seen.contains("503") {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        (stream, seen)
    };
    let (mut live, seen) = listen();
    assert!(seen.contains("text/event-stream"), "{seen}");
    let (_slow, _) = listen();
    assert!(listen().1.contains("as many listeners as it takes"));
    // One listener reads nothing while a hundred thousand traces pass; the other one gets events of bounded size.
    let before = resident();
    for round in 0..100_u32 {
        let span = |trace: u32| json!({"traceId": format!("{:x}", 1 + trace + round * 1000), "id": "1", "timestamp": 1_000_000});
        let body = serde_json::to_vec(&(0..1000).map(span).collect::<Vec<_>>()).unwrap();
        assert_eq!(post(&server, "", &body).0, 202);
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 200 << 20, "{grown} bytes");
    assert_eq!(ask(&server, "POST /zipkin/api/private/clear HTTP/1.1\r\nhost: localhost", b"").0, 204);
    let mut seen = String::new();
    while !seen.contains("event: cleared") {
        let mut buffer = [0; 65536];
        let read = live.read(&mut buffer).unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    let events: Vec<&str> = seen.split("event: traces\ndata: ").skip(1).collect();
    assert!(!events.is_empty(), "{seen}");
    for event in events {
        let json = event.split("\n\n").next().unwrap();
        let summaries: Vec<Value> = serde_json::from_str(json).unwrap();
        assert!((1..=100).contains(&summaries.len()), "{}", summaries.len());
    }
    assert!(summaries(&server).is_empty());
}

#[test]
fn what_is_no_http_ends_its_own_connection_only() {
    let server = start(|_| {});
    for rubbish in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut stream = connect(&server);
        stream.write_all(rubbish).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let status = read(&mut stream).0;
        assert!(status == 0 || status == 400 || status == 505, "{status}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nhost: localhost", "x".repeat(100_000));
    let mut stream = connect(&server);
    stream.write_all(long.as_bytes()).ok();
    let status = read(&mut stream).0;
    assert!(matches!(status, 0 | 400 | 414 | 431), "{status}");
    assert_eq!(get(&server, "/health").0, 200);
}

#[test]
fn a_port_in_use_and_an_address_of_the_network_are_clear_errors() {
    let server = start(|_| {});
    let error = Server::start(server.address(), Options::default()).unwrap_err();
    assert!(error.is_in_use());
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot serve on {}: ", server.address())), "{text}");
    assert!(text.ends_with("; stop what listens there, or give another port"), "{text}");
    let error = Server::start(SocketAddr::from(([0, 0, 0, 0], 0)), Options::default()).unwrap_err();
    assert!(error.to_string().contains("give an address of the loopback interface, such as 127.0.0.1:0"), "{error}");
    // A server that ended leaves its port.
    let address = server.address();
    drop(server);
    drop(Server::start(address, Options::default()).unwrap());
}
