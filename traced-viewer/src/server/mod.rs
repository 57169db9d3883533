//! The collector, the query API and the UI behind one port of the loopback interface.

mod answer;
mod body;
mod connection;
mod gate;
#[cfg(test)]
mod linear;
mod live;
mod metrics;
mod routes;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};

use crate::store::{Store, StoreLimits};

pub use metrics::Counts;
use metrics::Metrics;

/// The bounds of what clients may ask of a [`Server`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// What is kept.
    pub store: StoreLimits,
    /// Bytes of one request's body. Zipkin's: beyond it the answer is its `500`, `413 Request Entity Too Large`.
    pub body_bytes: usize,
    /// Bytes of one request's body after unpacking. Beyond it the answer is the same.
    pub unpacked_bytes: usize,
    /// Bytes of bodies that are being received or sent at one time, of all connections. Beyond it the answer is a `503`.
    pub memory_bytes: usize,
    /// Connections at one time. One more gets a `503` and is closed.
    pub connections: usize,
    /// Listeners to the live stream at one time. One more gets a `503`.
    pub listeners: usize,
    /// How long a client may take for the head of a request, from the moment when one may be sent: an idle connection is closed then.
    pub head_time: Duration,
    /// How long a client may take for the body of a request.
    pub body_time: Duration,
    /// How long a client may read nothing of an answer.
    pub stall_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            store: StoreLimits::default(),
            body_bytes: 10 << 20,
            unpacked_bytes: 32 << 20,
            memory_bytes: 256 << 20,
            connections: 128,
            listeners: 32,
            head_time: Duration::from_secs(15),
            body_time: Duration::from_secs(30),
            stall_time: Duration::from_secs(30),
        }
    }
}

/// How a [`Server`] is started.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// The bounds.
    pub limits: Limits,
    /// Tag keys that queries may complete: `autocompleteKeys` of the query API.
    pub autocomplete_keys: Vec<String>,
    /// Whether it runs inside the traced program: then it also shows what the program's tracer has open.
    pub embedded: bool,
    /// Whether what it shows is the demo's.
    pub demo: bool,
}

/// A viewer that is running: collector, query API and UI, on a thread of its own. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    viewer: Arc<Viewer>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why a [`Server`] did not start.
#[derive(Debug)]
pub struct ServeError {
    address: SocketAddr,
    kind: ErrorKind,
}

#[derive(Debug)]
enum ErrorKind {
    NotLoopback,
    Io(io::Error),
}

impl ServeError {
    /// Whether something else has the port.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(&self.kind, ErrorKind::Io(error) if error.kind() == io::ErrorKind::AddrInUse)
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        match &self.kind {
            ErrorKind::NotLoopback => write!(
                f,
                "cannot serve on {address}: whoever reaches the viewer sees all traces, so it listens on this machine alone; \
                 give an address of the loopback interface, such as 127.0.0.1:{}",
                address.port()
            ),
            ErrorKind::Io(error) if self.is_in_use() => {
                write!(f, "cannot serve on {address}: {error}; stop what listens there, or give another port")
            }
            ErrorKind::Io(error) => write!(f, "cannot serve on {address}: {error}"),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ErrorKind::Io(error) => Some(error),
            ErrorKind::NotLoopback => None,
        }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Viewer {
    options: Options,
    store: Mutex<Store>,
    metrics: Metrics,
    /// Counts up whenever the store changed; the value is how often it was cleared.
    changed: watch::Sender<u64>,
    listeners: Arc<Semaphore>,
    /// One permit per [`PERMIT`] bytes.
    memory: Arc<Semaphore>,
}

/// Bytes of bodies that one permit stands for.
const PERMIT: usize = 1024;

/// So many places, or as many as there can be.
fn places(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)))
}

impl Viewer {
    fn new(options: Options) -> Self {
        let limits = &options.limits;
        Self {
            store: Mutex::new(Store::new(limits.store)),
            metrics: Metrics::default(),
            changed: watch::Sender::new(0),
            listeners: places(limits.listeners),
            memory: places(limits.memory_bytes / PERMIT),
            options,
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Where the viewer is unless told: Zipkin's port.
    pub const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), Self::PORT);

    /// Zipkin's port.
    pub const PORT: u16 = 9411;

    /// Starts a server; port 0 is any free one.
    ///
    /// # Errors
    /// The address is not one of the loopback interface, something else has the port, or no thread can be started.
    pub fn start(address: SocketAddr, options: Options) -> Result<Self, ServeError> {
        let error = |kind| ServeError { address, kind };
        let io_error = |io| error(ErrorKind::Io(io));
        if !address.ip().is_loopback() {
            return Err(error(ErrorKind::NotLoopback));
        }
        let listener = TcpListener::bind(address).map_err(io_error)?;
        listener.set_nonblocking(true).map_err(io_error)?;
        let address = listener.local_addr().map_err(io_error)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io_error)?;
        let viewer = Arc::new(Viewer::new(options));
        let (stop, stopped) = oneshot::channel();
        let shared = viewer.clone();
        let serve = move || {
            runtime.spawn(connection::accept(listener, shared));
            // Nothing is ever sent: the sender is dropped with the server.
            runtime.block_on(stopped).ok();
            // Connections end with it, wherever they are.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("traced-viewer".to_owned()).spawn(serve).map_err(io_error)?;
        Ok(Self { address, viewer, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the UI.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/zipkin/", self.host())
    }

    /// The URL that spans are sent to.
    #[must_use]
    pub fn spans_url(&self) -> String {
        format!("http://{}/api/v2/spans", self.host())
    }

    /// What it received until now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.viewer.metrics.counts()
    }

    /// `localhost` is what people type, where it leads here.
    fn host(&self) -> String {
        let ip = self.address.ip();
        let is_localhost = ip == Self::ADDRESS.ip() || ip == std::net::Ipv6Addr::LOCALHOST;
        if is_localhost { format!("localhost:{}", self.address.port()) } else { self.address.to_string() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panics nowhere; were it to, its message is on standard error.
            drop(thread.join());
        }
    }
}
