//! A collector that answers badly, over a real socket: what becomes of the spans, and what the operator is told.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use traced_runtime::{Builder, DropReason, Tally, Tracer, span};
use traced_tests::{Answer, Collector, Program, Received, eventually, peer};

const SOON: Duration = Duration::from_secs(60);
/// Longer than any test: what lingers so long goes with a flush.
const HOUR: Duration = Duration::from_secs(3_600);

/// One tracer, and what it told.
struct Traced {
    tracer: Tracer,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Traced {
    fn to(url: impl Into<String>) -> Self {
        Self::with(url, |builder| builder)
    }

    fn with(url: impl Into<String>, set: impl FnOnce(Builder) -> Builder) -> Self {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&notes);
        let builder =
            Tracer::builder("retry").collector(url).timeout(Duration::from_secs(2)).linger(Duration::from_millis(300));
        let builder = builder.on_notice(move |notice| sink.lock().unwrap().push(notice.to_string()));
        Self { tracer: set(builder).build().unwrap(), notes }
    }

    /// Records so many spans at once.
    fn record(&self, spans: usize) {
        self.tracer.context().run(|| {
            for _ in 0..spans {
                drop(span!("work"));
            }
        });
    }

    fn flush(&self) -> Tally {
        let tally = self.tracer.flush(SOON);
        assert!(tally.is_conserved(), "{tally:?}");
        tally
    }

    fn wait_for_notes(&self, notes: usize) {
        eventually("a notice", SOON, || (self.notes().len() >= notes).then_some(()));
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }
}

/// Sends ten spans to a collector that first gives these answers and then behaves, and returns what it received.
#[track_caller]
fn after(answers: impl IntoIterator<Item = Answer>) -> (Vec<Received>, Traced) {
    let collector = Collector::start();
    let mut faults = 0;
    for answer in answers {
        collector.answer_next(answer);
        faults += 1;
    }
    // All in one batch, however long it takes to record them.
    let traced = Traced::with(collector.url(), |builder| builder.linger(HOUR));
    traced.record(10);
    let tally = traced.flush();
    assert_eq!((tally.recorded(), tally.sent(), tally.dropped()), (10, 10, 0), "{tally}");
    let received = collector.received();
    assert_eq!(received.len(), faults + 1, "each fault costs one request");
    let mut ids = collector.accepted_ids();
    // What was answered too late was sent again: duplicates over loss.
    ids.dedup();
    assert_eq!(ids.len(), 10);
    (received, traced)
}

#[test]
fn a_connection_reset_or_closed_before_the_answer_is_retried() {
    after([Answer::reset(), Answer::close(), Answer::reset()]);
}

#[test]
fn an_answer_that_is_no_http_is_retried() {
    after([Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"), Answer::raw(vec![0xff; 2_000]), Answer::raw("HTTP/1.1 2")]);
}

#[test]
fn no_answer_in_time_is_retried() {
    after([Answer::silence(), Answer::status(202).after(Duration::from_secs(600))]);
}

/// One byte a second: the status does not come within the time for one request, however often a byte comes.
#[test]
fn a_trickling_answer_is_no_answer_in_time() {
    let start = Instant::now();
    after([Answer::drip("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", Duration::from_secs(1))]);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

/// A server that takes nothing out of its socket: the request itself cannot be written.
#[test]
fn a_server_that_does_not_read_is_no_answer_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let traced =
        Traced::with(format!("http://{address}/"), |builder| builder.queue_bytes(64 << 20).batch_bytes(32 << 20));
    traced.tracer.context().run(|| {
        let large = "x".repeat(60_000);
        for _ in 0..200 {
            let _span = span!("large");
            traced_runtime::tag("text", large.as_str());
        }
    });
    let tally = traced.tracer.shutdown(Duration::from_millis(900));
    assert!(tally.is_conserved(), "{tally:?}");
    assert_eq!((tally.recorded(), tally.dropped()), (200, 200), "{tally}");
}

#[test]
fn unavailable_and_too_many_requests_are_retried() {
    let (_, traced) = after([500, 502, 503, 504, 429, 408].map(Answer::status));
    let notes = traced.notes();
    assert_eq!(notes.len(), 2, "once at the beginning, once at the end: {notes:?}");
    assert!(notes[0].contains("answered 50") && notes[0].contains("wait in the queue, 10 by now"), "{notes:?}");
    assert!(notes[1].starts_with("the backend takes spans again after "), "{notes:?}");
    assert!(notes[1].ends_with("; 0 spans dropped meanwhile, 0 waiting"), "{notes:?}");
    assert_eq!(traced.tracer.stats().retries(), 6);
}

#[test]
fn retry_after_is_heeded_in_seconds_and_as_a_date() {
    let date = |seconds| format!("Wed, 21 Oct 2015 07:28:{seconds:02} GMT");
    for answer in [
        Answer::status(429).header("retry-after", 1),
        // By the server's own clock, which is far from this machine's.
        Answer::status(503).header("date", date(0)).header("retry-after", date(1)),
    ] {
        let start = Instant::now();
        after([answer]);
        assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    }
}

/// Once a request has failed, the next one is at least the shortest pause away, whatever happens: with `linger` zero and spans
/// all the time, too.
#[test]
fn a_dead_collector_is_not_asked_in_a_busy_loop() {
    let collector = Collector::start();
    collector.answer(Answer::close());
    let traced = Traced::to(collector.url());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        traced.record(10);
        std::thread::sleep(Duration::from_millis(1));
    }
    let requests = collector.received().len();
    // The client tries a closed connection once more by itself.
    assert!((2..=30).contains(&requests), "{requests} requests in {:?}", start.elapsed());
    let tally = traced.tracer.shutdown(Duration::ZERO);
    assert!(tally.is_conserved(), "{tally:?}");
}

#[test]
fn a_2xx_with_garbage_is_an_answer() {
    let garbage = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<\u{fffd}>\0";
    // More than it said: what is left over is not taken for the next answer.
    let longer = "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n<html>HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
    // Less than it said: the end is waited for a second at most.
    let shorter = "HTTP/1.1 202 Accepted\r\ncontent-length: 1000000\r\n\r\nshort";
    for answer in [garbage, longer, shorter] {
        let collector = Collector::start();
        collector.answer_next(Answer::raw(answer));
        let traced = Traced::to(collector.url());
        traced.record(10);
        assert_eq!(traced.flush().sent(), 10, "{answer}");
        traced.record(5);
        assert_eq!(traced.flush().sent(), 15, "{answer}");
        assert_eq!(collector.received().iter().map(|request| request.spans().len()).sum::<usize>(), 15, "{answer}");
        assert_eq!(traced.notes(), [""; 0]);
    }
}

/// The text of an error is of use to people; that it does not come whole changes nothing for the spans.
#[test]
fn an_error_text_that_breaks_off_is_shown_as_far_as_it_came() {
    let collector = Collector::start();
    collector.answer_next(Answer::raw("HTTP/1.1 400 Bad Request\r\ncontent-length: 900\r\n\r\nnot today and nev"));
    let traced = Traced::to(collector.url());
    traced.record(1);
    assert_eq!(traced.flush().dropped_by(DropReason::Rejected), 1);
    assert!(traced.notes()[0].contains("answered 400 Bad Request: not today and nev"), "{:?}", traced.notes());
}

/// Answers 400 to every list that has a span of this name in it.
fn picky(name: &'static str) -> (String, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v2/spans", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(0));
    let count = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Ok(Some((body, mut stream))) = request(stream) else { continue };
            *count.lock().unwrap() += 1;
            let (status, text) = if body.contains(name) { (400, "Empty endpoint") } else { (202, "") };
            let length = text.len();
            write!(stream, "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{text}").ok();
        }
    });
    (url, requests)
}

/// One request of a connection.
fn request(stream: std::net::TcpStream) -> std::io::Result<Option<(String, std::net::TcpStream)>> {
    use std::io::{BufRead as _, BufReader, Read as _};
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some((String::from_utf8_lossy(&body).into_owned(), reader.into_inner())))
}

#[test]
fn a_bad_span_among_many_is_found_named_once_and_costs_no_other() {
    let (url, requests) = picky("the bad one");
    let traced = Traced::with(url, |builder| builder.linger(HOUR));
    traced.record(300);
    traced.tracer.context().run(|| drop(span!("the bad one")));
    traced.record(200);
    let tally = traced.flush();
    assert_eq!((tally.sent(), tally.dropped_by(DropReason::Rejected)), (500, 1), "{tally}");
    let notes = traced.notes();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("1 span dropped: http://127.0.0.1:"), "{notes:?}");
    assert!(notes[0].contains("answered 400 Bad Request: Empty endpoint; it is the bad one ("), "{notes:?}");
    // The logarithm of 501, twice.
    assert!(*requests.lock().unwrap() <= 20, "{requests:?}");
}

#[test]
fn too_large_is_split_whether_it_comes_as_413_or_as_zipkins_500() {
    for answer in [Answer::status(413), Answer::status(500).body("413 Request Entity Too Large")] {
        let collector = Collector::start();
        collector.answer_next(answer.clone());
        collector.answer_next(answer);
        let traced = Traced::with(collector.url(), |builder| builder.linger(HOUR));
        traced.record(8);
        let tally = traced.flush();
        assert_eq!((tally.sent(), tally.batches()), (8, 3), "{tally}");
        let sizes: Vec<_> = collector.received().iter().map(|request| request.spans().len()).collect();
        assert_eq!(sizes, [8, 4, 2, 2, 4]);
        assert_eq!(traced.tracer.stats().retries(), 0, "the same request is not sent again");
    }
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let (collector, elsewhere) = (Collector::start(), Collector::start());
    for status in [301, 302, 303, 307, 308] {
        collector.answer(Answer::status(status).header("location", elsewhere.url()));
        let traced = Traced::to(collector.url().replace("http://", "http://user:secret@"));
        traced.record(3);
        assert_eq!(traced.flush().dropped_by(DropReason::Rejected), 3);
        let notes = traced.notes();
        let place = format!("a redirect to {}, which is not followed: set the collector's URL", elsewhere.url());
        assert!(notes.len() == 1 && notes[0].contains(&place), "{notes:?}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_refusal_is_one_notice_that_says_what_to_do_and_one_at_its_end() {
    for (status, advice) in [
        (401, "check the user and password in the collector's URL"),
        (403, "check the user and password in the collector's URL"),
        (404, "the path at a Zipkin server is /api/v2/spans"),
    ] {
        let collector = Collector::start();
        collector.answer(Answer::status(status));
        let traced = Traced::to(collector.url());
        for _ in 0..5 {
            traced.record(2);
            traced.flush();
        }
        collector.answer(Answer::status(202));
        traced.record(2);
        let tally = traced.flush();
        assert_eq!((tally.sent(), tally.dropped_by(DropReason::Rejected)), (2, 10), "{tally}");
        let notes = traced.notes();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains(advice), "{notes:?}");
        assert!(notes[1].contains("10 spans dropped meanwhile"), "{notes:?}");
        assert_eq!(collector.received().len(), 6, "no refused request is sent again");
    }
}

/// A service that moves: first nobody is there, then a proxy, which knows neither user nor path, and then the service itself.
#[test]
fn each_reason_for_lost_spans_of_one_outage_is_named_once() {
    let mut collector = Collector::absent();
    let traced = Traced::to(collector.url());
    traced.record(10);
    traced.wait_for_notes(1);
    collector.up();
    for (told, status) in [(2, 302), (3, 401), (4, 404), (5, 400)] {
        collector.answer(Answer::status(status));
        for _ in 0..2 {
            traced.record(10);
            traced.flush();
        }
        assert_eq!(traced.notes().len(), told, "{:?}", traced.notes());
    }
    collector.answer(Answer::status(503));
    traced.record(10);
    traced.wait_for_notes(6);
    collector.answer(Answer::status(202));
    let tally = traced.flush();
    assert_eq!((tally.sent(), tally.dropped_by(DropReason::Rejected)), (10, 90), "{tally}");
    let notes = traced.notes();
    for (note, says) in notes.iter().zip(["cannot reach", "302", "401", "404", "400", "503", "takes spans again after"])
    {
        assert!(note.contains(says), "{note:?} does not say {says:?}");
    }
    assert_eq!(notes.len(), 7, "{notes:?}");
}

#[test]
fn a_shutdown_within_a_long_retry_after_tries_once_and_names_the_answer() {
    for works in [false, true] {
        let collector = Collector::start();
        collector.answer(Answer::status(503).header("retry-after", 300));
        let traced = Traced::to(collector.url());
        traced.record(4);
        traced.wait_for_notes(1);
        if works {
            collector.answer(Answer::status(202));
        }
        let start = Instant::now();
        let tally = traced.tracer.shutdown(SOON);
        assert!(start.elapsed() < SOON / 2, "{:?}", start.elapsed());
        assert_eq!(collector.received().len(), 2, "one last attempt");
        assert!(traced.notes()[0].contains("answered 503 Service Unavailable"), "{:?}", traced.notes());
        let (sent, lost) = if works { (4, 0) } else { (0, 4) };
        assert_eq!((tally.sent(), tally.dropped_by(DropReason::Unavailable)), (sent, lost), "{tally}");
        assert_eq!(tally.dropped(), lost, "{tally}");
    }
}

/// Names of the reserved domain `invalid` resolve nowhere.
#[test]
fn a_name_that_does_not_resolve_is_trouble_that_may_pass() {
    let traced = Traced::with("http://zipkin.invalid/api/v2/spans", |builder| builder.timeout(Duration::from_secs(5)));
    traced.record(3);
    let tally = traced.tracer.shutdown(SOON);
    assert_eq!(tally.dropped_by(DropReason::Unreachable), 3, "{tally}");
    let notes = traced.notes();
    assert!(
        notes.iter().all(|note| note.starts_with("cannot reach http://zipkin.invalid/api/v2/spans: ")),
        "{notes:?}"
    );
    assert!(notes.last().unwrap().contains("3 spans dropped at shutdown"), "{notes:?}");
}

/// The resolver of a program fails, and heals: its name service knows the name as soon as there is a file.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_name_that_resolves_later_is_found_then() {
    if let Err(reason) = peer::tool("cc", "install a C compiler (`apt install build-essential`)") {
        return peer::skip(&reason).unwrap_or_default();
    }
    let (collector, folder) = (Collector::start(), tempfile::tempdir().unwrap());
    let [library, known] = ["names.so", "known"].map(|name| folder.path().join(name));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/names/names.c");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").status();
    assert!(compiled.unwrap().success());
    let url = collector.url().replace("127.0.0.1", "zipkin.test");
    let program = Program::example_of("traced-tests", "spools").arg("keep").arg(10);
    let program = program.env("LD_PRELOAD", library.display()).env("NAMES_FILE", known.display());
    let program = program.env("TRACED_SPOOL", folder.path().join("spool").display());
    let mut program = program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", url).start();
    assert_eq!(program.line("spooled ", SOON), "10");
    assert_eq!(collector.connections(), 0);
    File::create(&known).unwrap();
    collector.wait_for_spans(10);
    // Each file goes after the answer for it, and that is told before.
    let folders = || fs::read_dir(folder.path().join("spool")).unwrap().map(|entry| entry.unwrap().path());
    let files = || folders().map(|folder| fs::read_dir(folder).unwrap().count() - 1).sum::<usize>();
    eventually("an empty spool", SOON, || (files() == 0).then_some(()));
    program.signal("KILL");
    let told = program.wait(SOON).stderr;
    let told: Vec<_> = told.lines().collect();
    assert!(told[0].starts_with("traced: cannot reach http://zipkin.test:"), "{told:?}");
    assert!(told[1].starts_with("traced: the backend takes spans again after "), "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
}

/// Whatever goes wrong: user, password and query of the URL are in no notice and in no `Debug`.
#[test]
fn credentials_are_never_told() {
    let mut collector = Collector::start();
    let secret = |url: String| url.replace("http://", "http://us3r:s3cret@") + "?key=t0ken";
    let mut told = Vec::new();
    let redirect = Answer::status(302).header("location", secret(collector.url()));
    for answer in
        [400, 401, 404, 413, 503].map(Answer::status).into_iter().chain([redirect, Answer::reset(), Answer::silence()])
    {
        collector.answer(answer);
        let traced = Traced::to(secret(collector.url()));
        traced.record(1);
        traced.tracer.flush(Duration::from_millis(900));
        traced.tracer.shutdown(Duration::from_millis(300));
        told.extend(traced.notes());
        told.push(format!("{:?}", traced.tracer));
    }
    let sent = collector.received();
    assert!(
        sent.iter().all(|request| request.header("authorization").is_some_and(|header| header.starts_with("Basic ")))
    );
    let address = collector.url();
    collector.down();
    let builder = Tracer::builder("retry").collector(secret(address.clone()));
    told.push(format!("{builder:?}"));
    let traced = Traced::to(secret(address));
    traced.record(1);
    traced.tracer.shutdown(SOON);
    told.extend(traced.notes());
    let wrong = Tracer::builder("retry").collector("ftp://us3r:s3cret@host/?key=t0ken").build().unwrap_err();
    told.push(format!("{wrong} {wrong:?}"));
    assert!(told.len() > 15, "{told:#?}");
    for text in told {
        assert!(!["us3r", "s3cret", "t0ken", "dXMzcjpzM2NyZXQ="].iter().any(|secret| text.contains(secret)), "{text}");
    }
}
