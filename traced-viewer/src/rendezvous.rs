//! Where a program in development sends its spans, without any set-up: the programs of one machine meet at Zipkin's port.

use std::env;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::time::Duration;

use serde_json::Value;
use traced_runtime::Tracer;
use ureq::Agent;

use crate::server::{Options, ServeError, Server};

/// The environment variable with another port to meet at, instead of Zipkin's 9411.
pub const PORT_VARIABLE: &str = "TRACED_VIEWER_PORT";

/// How long whoever is at the port may take to answer. What takes longer is taken for something else.
const ANSWER: Duration = Duration::from_secs(1);

/// How often the port is asked again when another process takes it at the same moment.
const ATTEMPTS: usize = 5;

/// A collector for the spans of this process: one that was there, or one of its own.
#[derive(Debug)]
pub struct Collector {
    spans_url: String,
    ui_url: String,
    server: Option<Server>,
    /// What is to be said of it, in one line.
    line: String,
}

/// Who answers at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Neighbour {
    /// Nobody: connections are refused.
    Nobody,
    /// Another viewer.
    Viewer,
    /// A Zipkin, or what takes spans as it does.
    Zipkin,
    /// Something that takes no spans.
    Stranger,
}

impl Neighbour {
    /// Asks the port of this machine, by sending an empty list of spans. It takes a second at most.
    #[must_use]
    pub fn at(port: u16) -> Self {
        let agent: Agent =
            Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(ANSWER)).build().into();
        let probe = agent.post(spans_url(port)).header("content-type", "application/json").send("[]");
        match probe {
            Err(ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Self::Nobody,
            Err(ureq::Error::ConnectionFailed) => Self::Nobody,
            Ok(answer) if answer.status().is_success() => {
                let info = agent.get(format!("http://localhost:{port}/info")).call();
                let info: Option<Value> =
                    info.ok().and_then(|mut info| serde_json::from_str(&info.body_mut().read_to_string().ok()?).ok());
                let viewer = info.is_some_and(|info| info["zipkin"]["commit"] == "traced-viewer");
                if viewer { Self::Viewer } else { Self::Zipkin }
            }
            _ => Self::Stranger,
        }
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::Viewer => "another traced-viewer",
            Self::Zipkin => "a Zipkin",
            Self::Stranger => "something that takes no spans",
        })
    }
}

impl Collector {
    /// Finds the collector that is at the port to meet at, or starts one there, inside this process. Where something else
    /// has the port it starts one at a free port, and says so in its [`line`](Self::line).
    ///
    /// It takes two seconds at most, and that only where something at the port does not answer.
    ///
    /// # Errors
    /// There is none, and none can be started.
    pub fn find() -> Result<Self, ServeError> {
        let port = variable(PORT_VARIABLE).map(|text| (text.parse(), text));
        Self::find_at(match port {
            Some((Ok(port @ 1..), _)) => port,
            None => Server::PORT,
            Some((_, text)) => {
                say(&format!(
                    "cannot use {PORT_VARIABLE}={text:?}: it is not a port from 1 to 65535; {} is used",
                    Server::PORT
                ));
                Server::PORT
            }
        })
    }

    fn find_at(port: u16) -> Result<Self, ServeError> {
        let mut attempts = ATTEMPTS;
        loop {
            let neighbour = Neighbour::at(port);
            if matches!(neighbour, Neighbour::Viewer | Neighbour::Zipkin) {
                let ui_url = format!("http://localhost:{port}/zipkin/");
                let line = format!("traces at {ui_url}, by {neighbour} that was there");
                return Ok(Self { spans_url: spans_url(port), ui_url, server: None, line });
            }
            let free = neighbour == Neighbour::Stranger;
            attempts -= 1;
            match Server::start(loopback(if free { 0 } else { port }), options()) {
                // It was free a moment ago: another process had the same thought.
                Err(error) if error.is_in_use() && attempts > 0 => {}
                // It is refused there and cannot be had: something keeps it and does not listen.
                Err(error) if error.is_in_use() => {
                    return Server::start(loopback(0), options())
                        .map(|server| Self::of(server, port))
                        .map_err(|_| error);
                }
                Err(error) => return Err(error),
                Ok(server) => return Ok(Self::of(server, port)),
            }
        }
    }

    fn of(server: Server, wanted: u16) -> Self {
        let (spans_url, ui_url) = (server.spans_url(), server.url());
        let mut line = format!("traces at {ui_url} while this program runs");
        if server.address().port() != wanted {
            line = format!("{line}; port {wanted} is taken by something that takes no spans");
        }
        Self { spans_url, ui_url, server: Some(server), line }
    }

    /// The URL that spans are sent to: for `Builder::collector`.
    #[must_use]
    pub fn spans_url(&self) -> &str {
        &self.spans_url
    }

    /// The URL of the UI.
    #[must_use]
    pub fn ui_url(&self) -> &str {
        &self.ui_url
    }

    /// What is to be said of it to whoever runs the program.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The one inside this process; none if it is another's.
    #[must_use]
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }
}

fn spans_url(port: u16) -> String {
    format!("http://localhost:{port}/api/v2/spans")
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn options() -> Options {
    Options { embedded: true, ..Options::default() }
}

/// Keeps tracing going, and the viewer inside this process, if it has one. Dropped, it flushes, stops, and prints one line of
/// what was sent and lost.
#[derive(Debug)]
#[must_use = "tracing ends when this is dropped: bind it, as in `let _tracing = …`"]
pub struct Installed {
    // Dropped first: what it flushes goes to the collector.
    tracing: traced_runtime::Installed,
    collector: Option<Collector>,
}

impl Installed {
    /// The collector that was found or started; none if the program or its environment says where spans go.
    #[must_use]
    pub fn collector(&self) -> Option<&Collector> {
        self.collector.as_ref()
    }
}

impl Deref for Installed {
    type Target = Tracer;

    fn deref(&self) -> &Tracer {
        &self.tracing
    }
}

/// Starts tracing for this service, and sees to it that there is something to look at its traces with. The one line in
/// `main` of a program in development:
///
/// ```no_run
/// let _tracing = traced_viewer::init("user-service");
/// ```
///
/// In a debug build it asks `http://localhost:9411/api/v2/spans` first. A Zipkin or a viewer there gets the spans. Where
/// nothing listens it starts a viewer, in this process and for as long as it runs: a second program finds that one, so that
/// client and server make one trace. Where something else listens the viewer takes a free port, and says which.
///
/// `OTEL_EXPORTER_ZIPKIN_ENDPOINT` switches all this off, and so does a release build: then it is [`traced_runtime::init`].
/// A release build never opens a port. [`TRACED_VIEWER_PORT`](PORT_VARIABLE) is another port to meet at.
///
/// It never fails; it waits two seconds at most, where something at the port does not answer.
pub fn init(service: impl Into<String>) -> Installed {
    let service = service.into();
    if !cfg!(debug_assertions) || is_decided() {
        return Installed { tracing: traced_runtime::init(service), collector: None };
    }
    let collector = match Collector::find() {
        Ok(collector) => collector,
        Err(error) => {
            say(&error.to_string());
            return Installed { tracing: traced_runtime::init(service), collector: None };
        }
    };
    let name = variable(NAME_VARIABLE).filter(|name| {
        let usable = name.len() <= LONGEST_NAME;
        if !usable {
            say(&format!("cannot use {NAME_VARIABLE}: it is longer than {LONGEST_NAME} bytes; {service:?} is used"));
        }
        usable
    });
    let builder = Tracer::builder(name.unwrap_or_else(|| service.clone())).collector(&*collector.spans_url);
    match builder.install() {
        Ok(tracing) => {
            say(&collector.line);
            Installed { tracing, collector: Some(collector) }
        }
        // It has the words for what is wrong, and goes on.
        Err(_) => Installed { tracing: traced_runtime::init(service), collector: None },
    }
}

/// The environment variable with the service's name, which beats the one that the program gives.
const NAME_VARIABLE: &str = "OTEL_SERVICE_NAME";

/// Bytes of a service's name.
const LONGEST_NAME: usize = traced_runtime::Builder::SERVICE_NAME_BYTES;

/// Whether the environment says where spans go, that they go nowhere, or the program has a tracer.
fn is_decided() -> bool {
    let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    variable("OTEL_EXPORTER_ZIPKIN_ENDPOINT").is_some() || disabled || Tracer::installed().is_some()
}

/// An environment variable without white space around it; none when nothing is left.
fn variable(name: &str) -> Option<String> {
    let value = env::var_os(name)?.to_string_lossy().trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// One line for whoever runs the program; nothing when standard error is closed.
fn say(line: &str) {
    let line = format!("traced: {line}\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).ok();
}
