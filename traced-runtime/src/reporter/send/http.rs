//! Bodies to a Zipkin collector, by HTTP.
//!
//! One connection is kept open between requests. Redirects are not followed, to whatever host, and proxies of the environment
//! are not used: spans, and the credentials in the URL, go where they were told to go. The request itself is never traced: the thread it runs on is suppressed, and its
//! header `b3: 0` tells a traced collector not to.

use std::fmt;
use std::io::{self, Read as _};
use std::time::{Duration, SystemTime};

use ureq::config::Config;
use ureq::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
#[cfg(feature = "tls")]
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::model::redacted::redacted;
use crate::reporter::send::target::{EndpointError, Target};
use crate::reporter::send::{SendError, Sender, http_date};

/// Bytes of an answer that are read: an error's text, of which the first line is shown.
const ANSWER_BYTES: u64 = 16 << 10;

/// How long the text of an answer is waited for once its status is known: it decides nothing.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// Characters of an answer that are shown.
const SHOWN_CHARACTERS: usize = 300;

/// Sends bodies by `POST`.
pub(crate) struct HttpSender {
    agent: Agent,
    uri: Uri,
    authorization: Option<HeaderValue>,
    shown: String,
    timeout: Duration,
    #[cfg(feature = "gzip")]
    compressed: Vec<u8>,
}

impl HttpSender {
    /// A sender to this URL. Nothing is connected or looked up yet.
    pub(crate) fn new(url: &str, timeout: Duration) -> Result<Self, EndpointError> {
        let target = Target::parse(url)?;
        Ok(Self {
            agent: Agent::new_with_config(config(timeout)),
            uri: target.uri,
            authorization: target.authorization,
            shown: target.shown,
            timeout,
            #[cfg(feature = "gzip")]
            compressed: Vec::new(),
        })
    }

    fn post(&mut self, body: &[u8]) -> Result<ureq::http::Response<Body>, ureq::Error> {
        let mut request = self.agent.post(&self.uri).header(header::CONTENT_TYPE, "application/json").header("b3", "0");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        #[cfg(feature = "gzip")]
        let body = {
            compress(body, &mut self.compressed)?;
            request = request.header(header::CONTENT_ENCODING, "gzip");
            &self.compressed[..]
        };
        request.send(body)
    }
}

/// How requests are made to the collector's server.
pub(super) fn config(timeout: Duration) -> Config {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        // Each step by itself: with one limit for all of them every request would start a thread to look the name up.
        .timeout_connect(Some(timeout))
        .timeout_send_request(Some(timeout))
        .timeout_send_body(Some(timeout))
        .timeout_recv_response(Some(timeout))
        .timeout_recv_body(Some(timeout.min(ANSWER_TIME)))
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .user_agent(concat!("traced/", env!("CARGO_PKG_VERSION")));
    // Whom this machine trusts, its administrator has decided: a company's own authority, too.
    #[cfg(feature = "tls")]
    let config = config.tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build());
    config.build()
}

impl Sender for HttpSender {
    fn send(&mut self, body: &[u8]) -> Result<(), SendError> {
        let response = self.post(body).map_err(|error| SendError { no_answer: true, ..self.failed(&error) })?;
        let (parts, mut body) = response.into_parts();
        // Read to its end, or the connection cannot be used again.
        let mut answer = Vec::new();
        body.as_reader().take(ANSWER_BYTES).read_to_end(&mut answer).ok();
        if parts.status.is_success() {
            return Ok(());
        }
        let error = self.refused(parts.status, &parts.headers, &shown(&String::from_utf8_lossy(&answer)));
        Err(error.with_status(parts.status.as_u16()))
    }
}

impl HttpSender {
    /// No answer came.
    fn failed(&self, error: &ureq::Error) -> SendError {
        let url = &self.shown;
        match error {
            ureq::Error::Timeout(_) => {
                SendError::retry(format!("no answer from {url} within {} ms", self.timeout.as_millis()))
            }
            ureq::Error::Io(error) if is_nobody_there(error) => {
                SendError::unreachable(format!("cannot reach {url}: {error}"))
            }
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
                SendError::unreachable(format!("cannot reach {url}: {error}"))
            }
            #[cfg(feature = "tls")]
            ureq::Error::Rustls(error) => self.insecure(error),
            // What is wrong with a certificate comes in this wrapping.
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData && self.is_secure() => {
                self.insecure(error)
            }
            error => SendError::retry(format!("{url}: {error}")),
        }
    }

    /// The collector did not prove who it is. Certificates are renewed, and clocks set: it may pass.
    fn insecure(&self, error: &dyn fmt::Display) -> SendError {
        SendError::retry(format!(
            "no secure connection to {}: {error}; its certificate has to be for this host, and of an authority that this \
             machine trusts",
            self.shown
        ))
    }

    fn is_secure(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// An answer came, and it is not "accepted".
    fn refused(&self, status: StatusCode, headers: &HeaderMap, answer: &str) -> SendError {
        let url = &self.shown;
        let colon = if answer.is_empty() { "" } else { ": " };
        let what = format!("{url} answered {status}{colon}{answer}");
        // Zipkin's own "too large" comes as a 500, which another try would only repeat.
        let inner_413 = status == StatusCode::INTERNAL_SERVER_ERROR && answer.starts_with("413");
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => SendError::too_large(what),
            _ if inner_413 => SendError::too_large(what),
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => SendError::rejected(what),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => later(what, headers),
            _ if status.is_server_error() => later(what, headers),
            _ if status.is_redirection() => {
                let location = headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
                let location = redacted(location.unwrap_or("nowhere"));
                SendError::refused(format!(
                    "{url} answered {status}, a redirect to {location}, which is not followed: set the collector's URL to \
                     where the spans are to go"
                ))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                SendError::refused(format!("{what}; check the user and password in the collector's URL"))
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => SendError::refused(format!(
                "{what}; check the collector's URL: the path at a Zipkin server is /api/v2/spans"
            )),
            _ => SendError::refused(what),
        }
    }
}

impl fmt::Debug for HttpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSender").field("url", &self.shown).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// An error that may pass.
fn later(what: String, headers: &HeaderMap) -> SendError {
    match retry_after(headers) {
        Some(after) => SendError::retry_after(what, after),
        None => SendError::retry(what),
    }
}

/// How long the collector wants to be left alone: a number of seconds, or a date. A date is compared with the answer's own, so
/// that it does not matter whether the two clocks agree; without one, with the clock of this machine.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
    let after = text(header::RETRY_AFTER)?;
    if !after.is_empty() && after.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than a number holds is long enough.
        return Some(Duration::from_secs(after.parse().unwrap_or(u64::MAX)));
    }
    let now = text(header::DATE).and_then(http_date::parse).unwrap_or_else(SystemTime::now);
    // One that has passed is no wish.
    http_date::parse(after)?.duration_since(now).ok()
}

/// Whether the error says that there is no server, rather than a slow or a broken one.
fn is_nobody_there(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkDown, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | NetworkDown | AddrNotAvailable)
        // A name that does not resolve has no kind of its own.
        || error.to_string().starts_with("failed to lookup address")
}

#[cfg(feature = "gzip")]
fn compress(body: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    use std::io::Write as _;
    out.clear();
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    encoder.write_all(body)?;
    encoder.finish().map(drop)
}

/// One line of at most [`SHOWN_CHARACTERS`] without control characters.
fn shown(answer: &str) -> String {
    let line = answer.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut shown: String = line.take(SHOWN_CHARACTERS + 1).collect();
    if let Some((end, _)) = shown.char_indices().nth(SHOWN_CHARACTERS) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod against_curl;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::mpsc::{Receiver, channel};
    use std::sync::{Arc, Mutex};

    use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
    use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

    use super::*;
    use crate::reporter::send::Fate;

    /// A request as the server saw it.
    struct Seen {
        connection: usize,
        head: String,
        body: Vec<u8>,
    }

    /// Serves these answers one after the other, on as many connections as the client opens.
    fn server(answers: &[&str]) -> (SocketAddr, Receiver<Seen>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let (tell, seen) = channel();
        std::thread::spawn(move || {
            let mut answers = answers.into_iter().peekable();
            let mut connection = 0;
            while answers.peek().is_some() {
                let mut stream = BufReader::new(listener.accept().unwrap().0);
                connection += 1;
                while answers.peek().is_some() {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if stream.read_line(&mut head).unwrap() == 0 {
                            break;
                        }
                    }
                    if head.is_empty() {
                        break;
                    }
                    let head = head.to_ascii_lowercase();
                    let (_, length) = head.split_once("content-length: ").unwrap();
                    let mut body = vec![0; length.split_once('\r').unwrap().0.parse().unwrap()];
                    stream.read_exact(&mut body).unwrap();
                    tell.send(Seen { connection, head, body }).unwrap();
                    stream.get_mut().write_all(answers.next().unwrap().as_bytes()).unwrap();
                }
            }
        });
        (address, seen)
    }

    fn sender(address: SocketAddr) -> HttpSender {
        HttpSender::new(&format!("http://{address}/api/v2/spans"), Duration::from_secs(5)).unwrap()
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    fn error_of(answer: &str) -> (Fate, String) {
        let (address, _seen) = server(&[answer]);
        let error = sender(address).send(b"[]").unwrap_err();
        assert!(!error.no_answer, "{error}");
        (error.fate, error.to_string().replace(&address.to_string(), "HOST"))
    }

    #[test]
    fn a_body_is_posted_and_the_connection_kept() {
        let accepted = answer("202 Accepted", "");
        let (address, seen) = server(&[&accepted, &accepted]);
        let mut sender = sender(address);
        sender.send(b"[1]").unwrap();
        sender.send(b"[2]").unwrap();
        let first = seen.recv().unwrap();
        assert!(first.head.starts_with("post /api/v2/spans http/1.1\r\n"), "{}", first.head);
        assert!(first.head.contains("\r\ncontent-type: application/json\r\n"), "{}", first.head);
        assert!(first.head.contains("\r\nb3: 0\r\n"), "{}", first.head);
        assert!(first.head.contains("\r\nuser-agent: traced/"), "{}", first.head);
        assert!(!first.head.contains("authorization"), "{}", first.head);
        let second = seen.recv().unwrap();
        assert_eq!((first.connection, second.connection), (1, 1));
        for (seen, body) in [(first, b"[1]"), (second, b"[2]")] {
            assert_eq!(seen.head.contains("content-encoding: gzip"), cfg!(feature = "gzip"));
            assert_eq!(plain(&seen.body), body);
        }
    }

    #[cfg(not(feature = "gzip"))]
    fn plain(body: &[u8]) -> Vec<u8> {
        body.to_vec()
    }

    #[cfg(feature = "gzip")]
    fn plain(body: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn answers_decide_what_becomes_of_the_spans() {
        let retry = |seconds: Option<u64>| Fate::Retry { after: seconds.map(Duration::from_secs) };
        for (status, body, fate) in [
            ("400 Bad Request", "Span.id is all zeros", Fate::Rejected),
            ("413 Payload Too Large", "", Fate::TooLarge),
            ("500 Internal Server Error", "413 Request Entity Too Large", Fate::TooLarge),
            ("500 Internal Server Error", "oops", retry(None)),
            ("502 Bad Gateway", "", retry(None)),
            ("429 Too Many Requests\r\nRetry-After: 7", "", retry(Some(7))),
            ("503 Service Unavailable\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT", "", retry(None)),
            (
                "503 Service Unavailable\r\nDate: Wed, 21 Oct 2015 07:27:21 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT",
                "",
                retry(Some(39)),
            ),
            ("503 Service Unavailable\r\nRetry-After: soon", "", retry(None)),
            ("429 Too Many Requests\r\nRetry-After: -7", "", retry(None)),
            ("429 Too Many Requests\r\nRetry-After: +7", "", retry(None)),
            ("429 Too Many Requests\r\nRetry-After: 18446744073709551616", "", retry(Some(u64::MAX))),
            ("401 Unauthorized", "", Fate::Refused),
            ("404 Not Found", "", Fate::Refused),
            ("415 Unsupported Media Type", "", Fate::Refused),
        ] {
            assert_eq!(error_of(&answer(status, body)).0, fate, "{status}");
        }
    }

    #[test]
    fn messages_say_where_and_what_to_do() {
        let error = |status, body| error_of(&answer(status, body)).1;
        assert_eq!(
            error("400 Bad Request", "no\nid\u{7}!"),
            "http://HOST/api/v2/spans answered 400 Bad Request: no id !"
        );
        assert_eq!(
            error("404 Not Found", ""),
            "http://HOST/api/v2/spans answered 404 Not Found; check the collector's URL: the path at a Zipkin server is \
             /api/v2/spans"
        );
        let long = error("400 Bad Request", &"é".repeat(1_000));
        assert!(long.ends_with("é…") && long.chars().count() < 400, "{long}");
    }

    #[test]
    fn a_redirect_is_not_followed() {
        let (fate, text) = error_of(&answer("302 Found\r\nLocation: http://user:secret@other.example/x?token=1", ""));
        assert_eq!(fate, Fate::Refused);
        assert_eq!(
            text,
            "http://HOST/api/v2/spans answered 302 Found, a redirect to http://***@other.example/x?***, which is not followed: set \
             the collector's URL to where the spans are to go"
        );
    }

    #[test]
    fn nobody_there_is_told_from_no_answer() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = sender(address).send(b"[]").unwrap_err();
        assert_eq!((error.fate, error.no_answer), (Fate::Unreachable, true));
        assert!(error.to_string().starts_with(&format!("cannot reach http://{address}/api/v2/spans: ")), "{error}");

        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let error = HttpSender::new(&url, Duration::from_millis(20)).unwrap().send(b"[]").unwrap_err();
        assert_eq!((error.fate, error.no_answer), (Fate::Retry { after: None }, true));
        assert_eq!(error.to_string(), format!("no answer from {url} within 20 ms"));

        let mut unknown = HttpSender::new("http://no-such-host.invalid/", Duration::from_secs(5)).unwrap();
        assert_eq!(unknown.send(b"[]").unwrap_err().fate, Fate::Unreachable);
    }

    /// A name server that knows nobody, and then somebody.
    #[derive(Debug, Clone)]
    struct Healing(Arc<Mutex<Option<SocketAddr>>>);

    impl Resolver for Healing {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let address = self.0.lock().unwrap().ok_or(ureq::Error::HostNotFound)?;
            let mut addresses = self.empty();
            addresses.push(address);
            Ok(addresses)
        }
    }

    #[test]
    fn a_name_is_looked_up_again_for_each_attempt() {
        let names = Healing(Arc::default());
        let timeout = Duration::from_secs(5);
        let mut sender = HttpSender::new("http://zipkin.example/api/v2/spans", timeout).unwrap();
        sender.agent = Agent::with_parts(config(timeout), DefaultConnector::default(), names.clone());
        for _ in 0..2 {
            let error = sender.send(b"[]").unwrap_err();
            assert_eq!(error.fate, Fate::Unreachable, "{error}");
            assert!(error.to_string().contains("host not found"), "{error}");
        }
        let accepted = answer("202 Accepted", "");
        let (address, seen) = server(&[&accepted]);
        *names.0.lock().unwrap() = Some(address);
        sender.send(b"[1]").unwrap();
        assert_eq!(plain(&seen.recv().unwrap().body), b"[1]");
    }

    #[test]
    fn user_and_password_go_into_a_header_and_nowhere_else() {
        let refused = answer("401 Unauthorized", "");
        let (address, seen) = server(&[&refused]);
        let url = format!("http://al%40ice:s3cret@{address}/spans?token=t0ken");
        let mut sender = HttpSender::new(&url, Duration::from_secs(5)).unwrap();
        let error = sender.send(b"[]").unwrap_err().to_string();
        let head = seen.recv().unwrap().head;
        assert!(head.starts_with("post /spans?token=t0ken http/1.1\r\n"), "{head}");
        // `al@ice:s3cret`; the head was lower-cased.
        assert!(head.contains("\r\nauthorization: basic ywxaawnlonmzy3jlda==\r\n"), "{head}");
        for text in [error, format!("{sender:?}")] {
            assert!(text.contains(&format!("http://{address}/spans?***")), "{text}");
            assert!(!text.contains("s3cret") && !text.contains("t0ken"), "{text}");
        }
    }
}
