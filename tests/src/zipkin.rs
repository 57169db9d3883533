//! The real Zipkin server, and its query API.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use crate::{Process, eventually, peer, wait};

/// How long a server may take to start: 5 s on two idle cores.
const START: Duration = Duration::from_secs(90);
/// How long a request may take, and how long a stored span may stay invisible.
const ANSWER: Duration = Duration::from_secs(30);

/// A Zipkin server with its in-memory store, of this test alone or of all tests of a binary.
///
/// It is killed when it is dropped, and when the test process ends in whatever way.
#[derive(Debug)]
pub struct Zipkin {
    process: Process,
    port: u16,
    agent: Agent,
}

/// What a test may want otherwise: see [`Zipkin::options`].
#[derive(Debug, Clone, Default)]
pub struct ZipkinOptions {
    settings: Vec<(String, String)>,
    port: Option<u16>,
    heap_megabytes: Option<u32>,
}

/// What the server counted: the collector's part of `/metrics`, HTTP only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Spans received, each as often as it came. Queries merge identical ones.
    pub spans: u64,
    /// Spans not stored: by the collector's sampler, or because the store failed.
    pub spans_dropped: u64,
    /// Requests received.
    pub messages: u64,
    /// Requests that could not be read.
    pub messages_dropped: u64,
    /// Bytes received, unpacked.
    pub bytes: u64,
}

impl ZipkinOptions {
    /// Sets an environment variable of the server: `COLLECTOR_SAMPLE_RATE`, `KAFKA_BOOTSTRAP_SERVERS`, …
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Spans that the store holds, 500,000 if not told; beyond it the oldest traces go. 250,000 small spans fit in the
    /// default heap.
    #[must_use]
    pub fn max_spans(self, spans: usize) -> Self {
        self.setting("MEM_MAX_SPANS", spans)
    }

    /// The port to listen on, a free one if not told: for a server that comes back where another was.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The server's heap, 384 megabytes if not told.
    #[must_use]
    pub fn heap_megabytes(mut self, megabytes: u32) -> Self {
        self.heap_megabytes = Some(megabytes);
        self
    }

    /// Starts a server with these options; see [`Zipkin::start`].
    #[track_caller]
    #[must_use]
    pub fn start(&self) -> Option<Zipkin> {
        match self.start_if_possible() {
            Ok(zipkin) => Some(zipkin),
            Err(reason) => peer::skip(&reason),
        }
    }

    /// An error is the reason to skip the test.
    #[track_caller]
    fn start_if_possible(&self) -> Result<Zipkin, String> {
        let artifact = format!("io.zipkin:zipkin-server:{}:jar:exec", Zipkin::VERSION);
        let file = format!("zipkin-server-{}-exec.jar", Zipkin::VERSION);
        peer::tool("java", "install a Java runtime, version 17 or later")?;
        if !peer::folder().join(&file).is_file() {
            peer::tool("mvn", "install Apache Maven, which fetches the server")?;
        }
        let jar = peer::jar(&artifact, &file)?;
        // Between the search for a free port and the server's bind another process may take it.
        for _ in 0..3 {
            match self.launch(&jar) {
                Ok(zipkin) => return Ok(zipkin),
                Err(log) if log.contains("Address already in use") => {}
                Err(log) => panic!("the Zipkin server did not start:\n{log}"),
            }
        }
        panic!("the Zipkin server found no free port three times")
    }

    /// One attempt; an error is what the server wrote.
    fn launch(&self, jar: &Path) -> Result<Zipkin, String> {
        let port = self.port.unwrap_or_else(free_port);
        let log = peer::folder().join(format!("zipkin-{port}.log"));
        let output = File::create(&log).map_err(|error| format!("no log file: {error}"))?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let mut process = Process::start(
            Command::new("java")
                .arg(format!("-Xmx{}m", self.heap_megabytes.unwrap_or(384)))
                .arg("-jar")
                .arg(jar)
                .env("STORAGE_TYPE", "mem")
                .envs(self.settings.iter().map(|(name, value)| (name, value)))
                .env("QUERY_PORT", port.to_string())
                .stdin(Stdio::null())
                .stdout(output)
                .stderr(errors),
        );
        let agent = Agent::config_builder().http_status_as_error(false).timeout_global(Some(ANSWER)).build().into();
        let written = || fs::read_to_string(&log).unwrap_or_default();
        // The log proves that this server has the port: another one would answer on it just as well.
        let serving = format!(":{port}/");
        let ready = wait::poll(START, || {
            if process.ended().is_some() {
                return Some(false);
            }
            (written().contains(&serving) && is_healthy(&agent, port)).then_some(true)
        });
        if ready != Some(true) {
            return Err(written());
        }
        // The server goes on writing to it; the space is free when it ends.
        fs::remove_file(&log).ok();
        Ok(Zipkin { process, port, agent })
    }
}

fn free_port() -> u16 {
    match TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()) {
        Ok(address) => address.port(),
        Err(error) => panic!("no free port: {error}"),
    }
}

fn is_healthy(agent: &Agent, port: u16) -> bool {
    agent.get(format!("http://127.0.0.1:{port}/health")).call().is_ok_and(|response| response.status() == 200)
}

impl Zipkin {
    /// The version that the tests run against.
    pub const VERSION: &str = "3.6.1";

    /// Starts a server of this test's own; the first start on a machine downloads it (131 MB).
    ///
    /// `None` without `java` or `mvn`, or when the download fails; stderr then has a line that says so.
    ///
    /// # Panics
    /// When the server does not start, and instead of `None` with `TRACED_REQUIRE_PEERS=1`.
    #[track_caller]
    #[must_use]
    pub fn start() -> Option<Zipkin> {
        Zipkin::options().start()
    }

    /// A server with other options: `Zipkin::options().max_spans(1_000_000).heap_megabytes(1024).start()`.
    pub fn options() -> ZipkinOptions {
        ZipkinOptions::default()
    }

    /// The server that all tests of this binary share, started by the first that asks: use ids and names of your own, and
    /// no totals.
    ///
    /// # Panics
    /// As [`Zipkin::start`].
    #[track_caller]
    #[must_use]
    pub fn shared() -> Option<&'static Zipkin> {
        static SHARED: OnceLock<Result<Zipkin, String>> = OnceLock::new();
        match SHARED.get_or_init(|| Zipkin::options().start_if_possible()) {
            Ok(zipkin) => Some(zipkin),
            Err(reason) => peer::skip(reason),
        }
    }

    /// The port of everything: collector, query API, UI, gRPC.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server, to measure or to stop it.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal to the server by its name: `signal("STOP")` freezes it, `signal("CONT")` goes on, `signal("KILL")` ends it.
    pub fn signal(&mut self, name: &str) {
        self.process.signal(name);
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The address that reporters send to.
    pub fn spans_url(&self) -> String {
        format!("{}/api/v2/spans", self.url())
    }

    /// Sends `body` to the collector and returns its answer.
    ///
    /// 202 comes before the spans are stored: see [`Zipkin::wait_for_trace`].
    #[track_caller]
    pub fn post_spans(&self, body: impl AsRef<[u8]>, content_type: &str) -> (u16, String) {
        self.post("/api/v2/spans", &[("content-type", content_type)], body.as_ref())
    }

    /// Sends `body` to `path` and returns the answer.
    #[track_caller]
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        let mut request = self.agent.post(format!("{}{path}", self.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(path, request.send(body))
    }

    /// Asks for `path` and returns the answer.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, String) {
        answer(path, self.agent.get(format!("{}{path}", self.url())).call())
    }

    #[track_caller]
    fn json(&self, path: &str) -> Option<Value> {
        let (status, text) = self.get(path);
        match (status, serde_json::from_str(&text)) {
            (200, Ok(value)) => Some(value),
            (404, _) => None,
            (status, _) => panic!("GET {path} answered {status}: {text}"),
        }
    }

    #[track_caller]
    fn names(&self, path: &str) -> Vec<String> {
        let names = self.json(path).unwrap_or_default();
        let names = names.as_array().into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The spans of a trace, as the server stored them; `None` while it knows none.
    #[track_caller]
    pub fn trace(&self, id: &str) -> Option<Vec<Value>> {
        list(self.json(&format!("/api/v2/trace/{id}"))?)
    }

    /// Waits until a trace has `spans` spans, and returns them.
    ///
    /// # Panics
    /// When they do not come within 30 s, and when there are more.
    #[track_caller]
    pub fn wait_for_trace(&self, id: &str, spans: usize) -> Vec<Value> {
        let what = format!("{spans} spans of trace {id}");
        let trace = eventually(&what, ANSWER, || self.trace(id).filter(|trace| trace.len() >= spans));
        assert!(trace.len() == spans, "trace {id} has {} spans instead of {spans}: {trace:#?}", trace.len());
        trace
    }

    /// The traces that match a query in the form of the URL, such as `serviceName=shop&limit=10`.
    #[track_caller]
    pub fn traces(&self, query: &str) -> Vec<Vec<Value>> {
        let traces = self.json(&format!("/api/v2/traces?{query}"));
        let traces = traces.and_then(list).unwrap_or_default();
        traces.into_iter().filter_map(list).collect()
    }

    /// All service names, sorted.
    #[track_caller]
    pub fn services(&self) -> Vec<String> {
        self.names("/api/v2/services")
    }

    /// The span names of a service, sorted.
    #[track_caller]
    pub fn spans(&self, service: &str) -> Vec<String> {
        self.names(&format!("/api/v2/spans?serviceName={service}"))
    }

    /// What the server counted so far.
    ///
    /// # Panics
    /// When a counter is missing.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let all = self.json("/metrics").unwrap_or_default();
        let counter = |name: &str| {
            let name = format!("counter.zipkin_collector.{name}.http");
            match all[&name].as_f64() {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a count, which the server writes as 3.0"
                )]
                Some(count) => count as u64,
                None => panic!("/metrics has no {name}: {all}"),
            }
        };
        Metrics {
            spans: counter("spans"),
            spans_dropped: counter("spans_dropped"),
            messages: counter("messages"),
            messages_dropped: counter("messages_dropped"),
            bytes: counter("bytes"),
        }
    }
}

fn list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

#[track_caller]
fn answer(path: &str, result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, String) {
    let result = result.and_then(|mut response| {
        let text = response.body_mut().with_config().limit(u64::MAX).read_to_string()?;
        Ok((response.status().as_u16(), text))
    });
    match result {
        Ok(answer) => answer,
        Err(error) => panic!("{path} of the Zipkin server gave no answer: {error}"),
    }
}
