//! Every form of a collector's URL, as curl takes it and as this sender does: both send to a real socket, which tells what came.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::*;

/// Each host name means this socket.
#[derive(Debug)]
struct Everybody(SocketAddr);

impl Resolver for Everybody {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}

/// What decides where a request goes, and who sent it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    line: String,
    host: Vec<String>,
    authorization: Vec<String>,
}

/// Takes one request from each connection, and answers it.
fn socket() -> (SocketAddr, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, seen) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut lines = Vec::new();
            loop {
                let mut line = Vec::new();
                stream.read_until(b'\n', &mut line).unwrap();
                // Every byte is one character: nobody promised UTF-8.
                let line: String = line.iter().map(|byte| char::from(*byte)).collect();
                if line.trim().is_empty() {
                    break;
                }
                lines.push(line.trim().to_owned());
            }
            let field = |name: &str| -> Vec<String> {
                let fields = lines.iter().filter_map(|line| line.split_once(": "));
                fields
                    .filter(|(field, _)| field.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.to_owned())
                    .collect()
            };
            let length = field("content-length")[0].parse().unwrap();
            stream.read_exact(&mut vec![0; length]).unwrap();
            let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
            tell.send(Seen { line: lines[0].clone(), host: field("host"), authorization: field("authorization") }).ok();
        }
    });
    (address, seen)
}

/// What curl sends; `None`: it does not take the URL.
fn by_curl(url: &str, socket: SocketAddr, seen: &Receiver<Seen>) -> Option<Seen> {
    let mut curl = Command::new("curl");
    // No settings of the user who runs this, no patterns, no proxy; each host name means this socket.
    curl.args(["-q", "--globoff", "--noproxy", "*", "--silent", "--http1.1", "--max-time", "60"]);
    curl.args(["--data", "[]", "--connect-to", &format!("::{socket}"), "--", url]);
    let ended = curl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    ended.success().then(|| seen.recv().unwrap())
}

/// What this sender sends, or why it does not.
fn by_us(url: &str, socket: SocketAddr, seen: &Receiver<Seen>) -> Result<Seen, String> {
    let timeout = Duration::from_secs(60);
    let mut sender = HttpSender::new(url, timeout).map_err(|error| error.to_string())?;
    sender.agent = Agent::with_parts(config(timeout), DefaultConnector::default(), Everybody(socket));
    sender.send(b"[]").unwrap();
    Ok(seen.recv().unwrap())
}

/// Whether there is a curl; without one the test says so, and fails where peers are required.
fn has_curl() -> bool {
    let found = Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok_and(|ended| ended.success());
    let required = std::env::var_os("TRACED_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(
        found || !required,
        "there is no curl (apt install curl), and TRACED_REQUIRE_PEERS=1 forbids to go without"
    );
    if !found {
        // Passes by the capture of the test harness, which shows nothing of a test that passes.
        writeln!(io::stderr(), "skipped: collectors' URLs are not compared with curl's: install it (apt install curl)")
            .ok();
    }
    found
}

/// Both send the same.
const SAME: [&str; 48] = [
    "http://h:9411/p",
    // User and password, or one of them, or none.
    "http://token@h:9411/p",
    "http://user:pass@h:9411/p",
    "http://user:@h:9411/p",
    "http://:pass@h:9411/p",
    "http://:@h:9411/p",
    "http://@h:9411/p",
    "http://a:b:c@h:9411/p",
    "http://a+b:c@h:9411/p",
    "http://a%40b:c%3Ad%2F@h:9411/p",
    "http://a%C3%BC:%e2%82%ac@h:9411/p",
    "http://aü:€@h:9411/p",
    "http://a%zzb:c%@h:9411/p",
    "HTTP://token@H/p",
    // Ports.
    "http://h/p",
    "http://h:/p",
    "http://h:80/p",
    "http://h:1/p",
    "http://h:65535/p",
    "http://h:009411/p",
    // Capitals.
    "HTTP://h:9411/p",
    "HtTp://Zipkin.Example:9411/P",
    // Names and addresses.
    "http://localhost.:9411/p",
    "http://a_b-c.example:9411/p",
    "http://127.0.0.1:9411/p",
    "http://127.1:9411/p",
    "http://127.0.1:9411/p",
    "http://0177.0.0.1:9411/p",
    "http://0x7f.1:9411/p",
    "http://2130706433:9411/p",
    "http://017700000001:9411/p",
    "http://[::1]:9411/p",
    "http://[::1]/p",
    "http://[0:0:0:0:0:0:0:1]:9411/p",
    "http://u:p@[2001:db8::1]:/p",
    // Paths, queries, fragments.
    "http://h:9411",
    "http://h:9411/",
    "http://h:9411?",
    "http://h:9411?a=b",
    "http://h:9411/p?",
    "http://h:9411/p?a=b&c=%20?u@x",
    "http://h:9411#f",
    "http://h:9411/p#f?g",
    "http://h:9411/p?a#f",
    "http://h:9411//p//q/",
    "http://h:9411/%C3%A9/a%2Fb/%zz",
    "http://h:9411/p@x:1",
    "http://h:9411/p;a=b,c'(d)*!$&+~_-",
];

/// Neither takes it.
const NEITHER: [&str; 21] = [
    "",
    "http://",
    "http://u@/p",
    "http://:9411/p",
    "http://h:65536/p",
    "http://h:+80/p",
    "http://h:8o/p",
    "http://h:-1/p",
    "http://a@b@h:9411/p",
    "http://a%00b:c@h:9411/p",
    "http://[::1]x:9411/p",
    "http://[::1:9411/p",
    "http://[::g]:9411/p",
    "http://[]:9411/p",
    "http://[127.0.0.1]:9411/p",
    "http://::1:9411/p",
    "http://a b:9411/p",
    "http://a*b:9411/p",
    "http://h:9411\\p",
    "http://h:9411/a b",
    "http://h:9411/p?a b",
];

/// Only curl takes it: with why we do not.
const ONLY_CURL: [(&str, &str); 14] = [
    ("http://h:0/p", "port"),
    // No address of a name server's has one.
    ("http://256.0.0.1:9411/p", "no IPv4 address"),
    ("http://127.0.0.1.:9411/p", "no IPv4 address"),
    ("http://a..b:9411/p", "between dots is empty"),
    // It leaves the zone out of `Host`; this HTTP client cannot connect to it.
    ("http://[::1%25lo]:9411/p", "zone"),
    ("http://%6c:9411/p", "no host has '%'"),
    // RFC 7617 forbids it.
    ("http://a%0Ab:c@h:9411/p", "control character"),
    // It guesses what was meant.
    ("h:9411/p", "has no scheme"),
    ("http:/h:9411/p", "has no scheme"),
    ("http:///h", "has no host"),
    // It sends what no URL holds, or another path than the one that was written.
    ("http://h:9411/a\"b", "write %22 instead"),
    ("http://h:9411/p?é", "'é' in its query; write %C3%A9 instead"),
    ("http://h:9411/é", "'é' in its path; write %C3%A9 instead"),
    ("http://h:9411/a/../b", "a part . or .. in its path"),
];

#[test]
fn each_form_of_a_url_is_sent_as_curl_sends_it_or_refused_with_a_reason() {
    if !has_curl() {
        return;
    }
    let (socket, seen) = socket();
    for url in SAME {
        let theirs = by_curl(url, socket, &seen).unwrap_or_else(|| panic!("curl refuses {url}"));
        assert_eq!(by_us(url, socket, &seen), Ok(theirs), "{url}");
    }
    let refused = |url: &str| by_us(url, socket, &seen).expect_err(url);
    for url in NEITHER {
        assert_eq!(by_curl(url, socket, &seen), None, "{url}");
        let error = refused(url);
        assert!(error.starts_with("the collector's URL "), "{error}");
    }
    for (url, why) in ONLY_CURL {
        assert!(by_curl(url, socket, &seen).is_some(), "curl refuses {url}");
        let error = refused(url);
        assert!(error.contains(why), "{error}");
    }
    // Only we do: the end of a line in a file of settings does no harm.
    assert_eq!(by_us(" http://h:9411/p\r\n", socket, &seen), by_us("http://h:9411/p", socket, &seen));
    // A name that is not ASCII, if this curl can translate it.
    assert!(refused("http://ü.example:9411/p").contains("xn--"));
}
