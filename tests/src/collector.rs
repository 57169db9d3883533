//! A collector that answers as it is told, on a real socket.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, SockRef, Socket, Type};

/// A collector that remembers all requests and answers 202, or as it is told.
///
/// It speaks HTTP/1.1 with connections that stay open. Requests in one connection are answered one after the other,
/// connections in parallel. Dropping it closes everything.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
    /// While it is down: has the port, so that nobody else does, and refuses connections.
    held: Option<Socket>,
}

/// What the collector does with a request that it has read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    delay: Duration,
    end: End,
}

#[derive(Debug, Clone)]
enum End {
    Response(u16, Vec<(String, String)>, String),
    Raw(Vec<u8>),
    Drip(Vec<u8>, Duration),
    Close,
    Reset,
    Silence,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// `POST`.
    pub method: String,
    /// The target of the request line.
    pub path: String,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body as it was sent, packed if it was.
    pub body: Vec<u8>,
    /// The status it was answered with; `None` without a response.
    pub status: Option<u16>,
    /// The number of the connection it came on, from 0.
    pub connection: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something in `state` changed.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    usual: Answer,
    /// To what is no POST; `None`: as to any other.
    others: Option<Answer>,
    next: VecDeque<Answer>,
    received: Vec<Received>,
    /// Each with its number; ended ones are taken out.
    connections: Vec<(usize, TcpStream)>,
    connected: usize,
    is_down: bool,
}

impl Default for State {
    fn default() -> State {
        State {
            usual: Answer::status(202),
            others: None,
            next: VecDeque::new(),
            received: Vec::new(),
            connections: Vec::new(),
            connected: 0,
            is_down: false,
        }
    }
}

impl Answer {
    /// A response with an empty body.
    #[must_use]
    pub fn status(status: u16) -> Answer {
        Answer::from(End::Response(status, Vec::new(), String::new()))
    }

    /// Bytes that need be no HTTP, and then the end of the connection.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
        Answer::from(End::Raw(bytes.into()))
    }

    /// Bytes that come one by one, with a pause before each, and then the end of the connection.
    #[must_use]
    pub fn drip(bytes: impl Into<Vec<u8>>, pause: Duration) -> Answer {
        Answer::from(End::Drip(bytes.into(), pause))
    }

    /// No response: the connection is closed.
    #[must_use]
    pub fn close() -> Answer {
        Answer::from(End::Close)
    }

    /// No response: the connection is reset.
    #[must_use]
    pub fn reset() -> Answer {
        Answer::from(End::Reset)
    }

    /// No response, and the connection stays open until the collector is dropped or down, or the client goes.
    #[must_use]
    pub fn silence() -> Answer {
        Answer::from(End::Silence)
    }

    /// Adds a header to a response: `Answer::status(429).header("retry-after", 1)`.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl ToString) -> Answer {
        if let End::Response(_, headers, _) = &mut self.end {
            headers.push((name.to_owned(), value.to_string()));
        }
        self
    }

    /// Sets the body of a response.
    #[must_use]
    pub fn body(mut self, text: &str) -> Answer {
        if let End::Response(_, _, body) = &mut self.end {
            text.clone_into(body);
        }
        self
    }

    /// Takes this long before the answer begins.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Answer {
        self.delay = delay;
        self
    }
}

impl From<End> for Answer {
    fn from(end: End) -> Answer {
        Answer { delay: Duration::ZERO, end }
    }
}

impl Received {
    /// The value of a header, by its name in lower case; of repeated ones the first.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body, unpacked if `content-encoding` is gzip.
    ///
    /// # Panics
    /// When it is no gzip.
    #[track_caller]
    #[must_use]
    pub fn plain_body(&self) -> Vec<u8> {
        if self.header("content-encoding") != Some("gzip") {
            return self.body.clone();
        }
        let mut plain = Vec::new();
        match flate2::read::GzDecoder::new(&*self.body).read_to_end(&mut plain) {
            Ok(_) => plain,
            Err(error) => panic!("the body is no gzip: {error}"),
        }
    }

    /// The body as text, unpacked.
    ///
    /// # Panics
    /// When it is no UTF-8.
    #[track_caller]
    #[must_use]
    pub fn text(&self) -> String {
        match String::from_utf8(self.plain_body()) {
            Ok(text) => text,
            Err(error) => panic!("the body is no text: {error}"),
        }
    }

    /// The spans of a JSON list; none of an empty body.
    ///
    /// # Panics
    /// When it is no JSON list.
    #[track_caller]
    #[must_use]
    pub fn spans(&self) -> Vec<Value> {
        let text = self.text();
        if text.is_empty() {
            return Vec::new();
        }
        match serde_json::from_str(&text) {
            Ok(spans) => spans,
            Err(error) => panic!("the body is no JSON list: {error}: {text}"),
        }
    }

    /// Whether the answer was a 2xx.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self.status, Some(200..=299))
    }
}

impl Collector {
    /// Starts a collector on a free port.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn start() -> Collector {
        let (address, listener) = match listen(SocketAddr::from(([127, 0, 0, 1], 0))) {
            Ok(listening) => listening,
            Err(error) => panic!("no collector: {error}"),
        };
        let shared = Arc::default();
        Collector { address, listener: Some(accept(listener, Arc::clone(&shared))), held: None, shared }
    }

    /// One that is down: clients are refused.
    ///
    /// # Panics
    /// When there is no free port.
    #[track_caller]
    #[must_use]
    pub fn absent() -> Collector {
        let mut collector = Collector::start();
        collector.down();
        collector
    }

    /// The address that reporters send to.
    pub fn url(&self) -> String {
        format!("http://{}/api/v2/spans", self.address)
    }

    /// The socket's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers like this from now on.
    pub fn answer(&self, answer: Answer) {
        self.shared.lock().usual = answer;
    }

    /// Answers what is no POST like this from now on.
    pub fn answer_others(&self, answer: Answer) {
        self.shared.lock().others = Some(answer);
    }

    /// Answers one request like this, after those for which the same was said before.
    pub fn answer_next(&self, answer: Answer) {
        self.shared.lock().next.push_back(answer);
    }

    /// Stops listening and ends all connections: clients are refused, and the port is kept. [`Collector::up`] ends it.
    pub fn down(&mut self) {
        self.shared.lock().is_down = true;
        self.shared.changed.notify_all();
        for (_, connection) in &self.shared.lock().connections {
            connection.shutdown(Shutdown::Both).ok();
        }
        if let Some(listener) = self.listener.take() {
            // The thread looks at `is_down` when a connection comes.
            TcpStream::connect(self.address).ok();
            listener.join().ok();
            self.held = hold(self.address).ok();
        }
    }

    /// Listens again, on the same port.
    ///
    /// # Panics
    /// When another process took the port.
    #[track_caller]
    pub fn up(&mut self) {
        if self.listener.is_some() {
            return;
        }
        self.held = None;
        match listen(self.address) {
            Ok((_, listener)) => {
                self.shared.lock().is_down = false;
                self.listener = Some(accept(listener, Arc::clone(&self.shared)));
            }
            Err(error) => panic!("the collector cannot have {} again: {error}", self.address),
        }
    }

    /// The requests that were read whole, in the order in which they were.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().received.clone()
    }

    /// How many connections were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().connected
    }

    /// The spans of all requests that were answered with 2xx.
    ///
    /// # Panics
    /// When one of them is no JSON list.
    #[track_caller]
    #[must_use]
    pub fn accepted_spans(&self) -> Vec<Value> {
        let received = self.received();
        let accepted = received.iter().filter(|request| request.is_accepted());
        accepted.flat_map(Received::spans).collect()
    }

    /// The ids of the spans of all requests that were answered with 2xx, sorted, each as often as it came. Cheaper than the
    /// [spans](Self::accepted_spans) themselves.
    #[must_use]
    pub fn accepted_ids(&self) -> Vec<u64> {
        let state = self.shared.lock();
        let mut ids = Vec::new();
        for request in state.received.iter().filter(|request| request.is_accepted()) {
            let text = request.text();
            let fields = text.split("\"id\":\"").skip(1);
            ids.extend(fields.filter_map(|field| u64::from_str_radix(field.split('"').next()?, 16).ok()));
        }
        drop(state);
        ids.sort_unstable();
        ids
    }

    /// Waits until `count` requests have come, and returns them. It wakes with the request, not by time.
    ///
    /// # Panics
    /// When they do not come within 30 s.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait_until(&format!("{count} requests"), |received| received.len() >= count)
    }

    /// Waits until requests that were answered with 2xx have brought `count` spans, and returns those.
    ///
    /// # Panics
    /// When they do not come within 30 s, or there is a body that is no JSON list.
    #[track_caller]
    pub fn wait_for_spans(&self, count: usize) -> Vec<Value> {
        self.wait_until(&format!("{count} spans"), |received| {
            let accepted = received.iter().filter(|request| request.is_accepted());
            accepted.map(|request| request.spans().len()).sum::<usize>() >= count
        });
        self.accepted_spans()
    }

    #[track_caller]
    fn wait_until(&self, what: &str, is_there: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        const DEADLINE: Duration = Duration::from_secs(30);
        let state = self.shared.lock();
        let (state, waited) = self
            .shared
            .changed
            .wait_timeout_while(state, DEADLINE, |state| !is_there(&state.received))
            .unwrap_or_else(PoisonError::into_inner);
        let received = state.received.clone();
        drop(state);
        assert!(
            !waited.timed_out(),
            "the collector waited {DEADLINE:?} for {what}, and has {} requests",
            received.len()
        );
        received
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.down();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `delay`, or without end; false when the collector went down meanwhile.
    fn pause(&self, delay: Option<Duration>) -> bool {
        let end = delay.map(|delay| Instant::now() + delay);
        let mut state = self.lock();
        while !state.is_down {
            state = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return true,
                Some(left) => match self.changed.wait_timeout(state, left) {
                    Ok((state, _)) => state,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => (self.changed.wait(state)).unwrap_or_else(PoisonError::into_inner),
            };
        }
        false
    }
}

fn listen(address: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let listener = TcpListener::bind(address)?;
    Ok((listener.local_addr()?, listener))
}

/// Takes a port without listening: connections are refused as long as the socket is kept.
fn hold(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Connections of a moment ago have the port, too.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut state = shared.lock();
            if state.is_down {
                return;
            }
            let Ok(handle) = stream.try_clone() else {
                continue;
            };
            let number = state.connected;
            state.connected += 1;
            state.connections.push((number, handle));
            drop(state);
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                // The peer is being tested: what it does wrong shows in what was received.
                serve(stream, number, &shared).ok();
                let mut state = shared.lock();
                state.connections.retain(|(other, _)| *other != number);
            });
        }
    })
}

/// Answers the requests of one connection.
fn serve(stream: TcpStream, number: usize, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(mut request) = read_request(&mut reader)? {
        let mut state = shared.lock();
        if state.is_down {
            break;
        }
        let others = state.others.clone().filter(|_| request.method != "POST");
        let answer = others.or_else(|| state.next.pop_front()).unwrap_or_else(|| state.usual.clone());
        request.connection = number;
        request.status = match answer.end {
            End::Response(status, ..) => Some(status),
            _ => None,
        };
        let told_to_close = request.header("connection") == Some("close");
        let at = state.received.len();
        state.received.push(request);
        drop(state);
        shared.changed.notify_all();
        // What goes down before its answer has given none.
        let unanswered = || shared.lock().received[at].status = None;
        if !answer.delay.is_zero() && !shared.pause(Some(answer.delay)) {
            unanswered();
            break;
        }
        let stream = reader.get_mut();
        match answer.end {
            End::Response(status, headers, body) => {
                respond(stream, status, &headers, &body).inspect_err(|_| unanswered())?;
            }
            End::Raw(bytes) => {
                stream.write_all(&bytes)?;
                break;
            }
            End::Drip(bytes, pause) => {
                for byte in bytes {
                    if !shared.pause(Some(pause)) {
                        break;
                    }
                    stream.write_all(&[byte])?;
                }
                break;
            }
            End::Close => break,
            End::Reset => {
                SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
                // The last handle resets: this one closes after it.
                let mut state = shared.lock();
                state.connections.retain(|(other, _)| *other != number);
                return Ok(());
            }
            End::Silence => {
                shared.pause(None);
                break;
            }
        }
        if told_to_close {
            break;
        }
    }
    reader.get_ref().shutdown(Shutdown::Both)
}

fn respond(stream: &mut TcpStream, status: u16, headers: &[(String, String)], body: &str) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status} Told\r\n")?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(stream, "content-length: {}\r\n\r\n{body}", body.len())
}

/// The next request; `None` at the end of the connection. Its `status` and `connection` are still to be filled in.
fn read_request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Received>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(&head).map_err(io::Error::other)?;
    let lower = |header: &httparse::Header<'_>| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_ascii_lowercase(), value)
    };
    let mut request = Received {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        headers: parsed.headers.iter().map(lower).collect(),
        body: Vec::new(),
        status: None,
        connection: 0,
    };
    if request.header("expect") == Some("100-continue") {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if request.header("transfer-encoding") == Some("chunked") {
        request.body = read_chunks(reader)?;
    } else if let Some(length) = request.header("content-length") {
        request.body = vec![0; length.parse().map_err(io::Error::other)?];
        reader.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

fn read_chunks(reader: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = line.trim().split(';').next().unwrap_or_default();
        let length = usize::from_str_radix(length, 16).map_err(io::Error::other)?;
        let start = body.len();
        body.resize(start + length + 2, 0);
        reader.read_exact(&mut body[start..])?;
        body.truncate(start + length);
        if length == 0 {
            return Ok(body);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;
    use serde_json::json;
    use ureq::Agent;

    fn agent() -> Agent {
        Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(20))).build().into()
    }

    fn post(collector: &Collector, body: &str) -> Result<(u16, String), ureq::Error> {
        let mut response = agent().post(collector.url()).send(body)?;
        let text = response.body_mut().read_to_string()?;
        Ok((response.status().as_u16(), text))
    }

    #[test]
    fn requests_are_remembered_and_spans_counted() {
        let collector = Collector::start();
        let spans = r#"[{"id":"1"},{"id":"2"}]"#;
        assert_eq!(post(&collector, spans).unwrap(), (202, String::new()));
        let received = collector.wait_for(1);
        assert_eq!(received[0].method, "POST");
        assert_eq!(received[0].path, "/api/v2/spans");
        assert_eq!(received[0].header("content-length"), Some("23"));
        assert_eq!(received[0].text(), spans);
        assert_eq!(collector.wait_for_spans(2), [json!({"id": "1"}), json!({"id": "2"})]);
    }

    #[test]
    fn one_connection_serves_many_requests_chunked_and_packed_ones_too() {
        let collector = Collector::start();
        let agent = agent();
        let body = br#"[{"id":"1"}]"#;
        let mut packed = Vec::new();
        flate2::read::GzEncoder::new(&body[..], flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
        let request = agent.post(collector.url()).header("content-encoding", "gzip");
        request.send(&packed).unwrap();
        let unsized_body = ureq::SendBody::from_owned_reader(&body[..]);
        agent.post(collector.url()).send(unsized_body).unwrap();
        let received = collector.received();
        assert_eq!(received[0].body, packed);
        assert_eq!(received[1].header("transfer-encoding"), Some("chunked"));
        assert!(received.iter().all(|request| request.plain_body() == body));
        assert_eq!(collector.connections(), 1);
    }

    #[test]
    fn answers_follow_the_script_and_then_the_rule() {
        let collector = Collector::start();
        collector.answer(Answer::status(503));
        collector.answer_next(Answer::status(429).header("retry-after", 1));
        collector.answer_next(Answer::status(400).body("no"));
        let response = agent().post(collector.url()).send("[]").unwrap();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(post(&collector, "[]").unwrap(), (400, "no".to_owned()));
        assert_eq!(post(&collector, "[]").unwrap().0, 503);
        assert_eq!(collector.accepted_spans(), [] as [Value; 0]);
    }

    fn raw_request(collector: &Collector) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(collector.address())?;
        stream.write_all(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n[]")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn faults_come_as_they_are_told() {
        let collector = Collector::start();
        collector.answer(Answer::reset());
        let error = raw_request(&collector).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        collector.answer(Answer::close());
        assert_eq!(raw_request(&collector).unwrap(), b"");
        collector.answer(Answer::raw("HTTP/1.1 2"));
        assert_eq!(raw_request(&collector).unwrap(), b"HTTP/1.1 2");
        collector.answer(Answer::drip("HTTP", Duration::from_millis(1)));
        assert_eq!(raw_request(&collector).unwrap(), b"HTTP");
        assert!(collector.received().iter().all(|request| request.status.is_none()));
    }

    #[test]
    fn a_collector_that_is_down_refuses_and_comes_back() {
        let mut collector = Collector::start();
        collector.down();
        let error = raw_request(&collector).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        collector.up();
        assert_eq!(post(&collector, "[]").unwrap().0, 202);
    }

    #[test]
    fn going_down_ends_a_silent_or_slow_answer() {
        for answer in [Answer::silence(), Answer::status(202).after(Duration::from_secs(600))] {
            let mut collector = Collector::start();
            collector.answer(answer);
            thread::scope(|scope| {
                let address = collector.address();
                let request = scope.spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    stream.write_all(b"POST / HTTP/1.1\r\n\r\n").unwrap();
                    stream.read(&mut [0])
                });
                collector.wait_for(1);
                collector.down();
                assert_eq!(request.join().unwrap().unwrap(), 0);
            });
        }
    }
}
