//! What a tracer is started with.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
#[cfg(feature = "spool")]
use std::path::PathBuf;
use std::time::Duration;

use crate::model::endpoint::Endpoint;
use crate::process::notice::{Notice, NoticeHook, NoticeKind};
use crate::propagation::Crossing;
use crate::recorder::sampler::Sampler;
use crate::reporter::backend::Reporter;
use crate::reporter::redaction::Redaction;
use crate::reporter::send::Sender;
#[cfg(feature = "spool")]
use crate::reporter::spool::{BLOCK, LONGEST_BODY, SpoolSettings, refusal};
use crate::tracer::builder::Builder;
#[cfg(any(feature = "collector", feature = "spool"))]
use crate::tracer::env::Environment;
use crate::tracer::env::Warning;
use crate::tracer::error::{ConfigError, Kind};

/// What a tracer is started with: complete, and checked.
#[derive(Debug)]
pub(crate) struct Settings {
    /// This process; it always has a service name and an IP address.
    pub(crate) endpoint: Endpoint,
    pub(crate) backend: Backend,
    pub(crate) sampler: Sampler,
    pub(crate) trace_id: TraceIdSize,
    pub(crate) require_parent: bool,
    /// `None`: as the process's first tracer has it, else [`Builder::LOG_BYTES`].
    pub(crate) log_bytes: Option<usize>,
    pub(crate) queue_bytes: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) linger: Duration,
    #[cfg(feature = "spool")]
    pub(crate) spool: Option<SpoolSettings>,
    pub(crate) shutdown_deadline: Duration,
    pub(crate) print_trees: bool,
    pub(crate) summary: bool,
    pub(crate) on_notice: NoticeHook,
    pub(crate) redaction: Option<Redaction>,
    /// Nothing is to be recorded: the environment says so.
    pub(crate) disabled: bool,
    pub(crate) crossing: Crossing,
    /// To be told as notices.
    pub(crate) warnings: Vec<Warning>,
}

impl Settings {
    /// Tells what was wrong with the environment.
    pub(crate) fn tell_warnings(&self) {
        for warning in &self.warnings {
            self.on_notice.tell(&Notice::new(NoticeKind::Settings, warning.to_string()));
        }
    }
}

/// How long the trace ids made here are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TraceIdSize {
    /// 64 bits: the first span's id is the trace's, too.
    Bits64,
    /// 128 bits.
    #[default]
    Bits128,
}

/// Where spans go.
pub(crate) enum Backend {
    /// To a Zipkin collector, over HTTP.
    #[cfg(feature = "collector")]
    Collector {
        /// Checked already.
        url: String,
        timeout: Duration,
    },
    /// Encoded, by a transport of the user's own.
    Sender(Box<dyn Sender>),
    /// To a backend of the user's own.
    Reporter(Box<dyn Reporter>),
    /// Nowhere: there is no `collector` in this build. Trees may be printed.
    Nowhere,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "collector")]
            Self::Collector { url, timeout } => {
                write!(f, "Collector({} within {timeout:?})", crate::model::redacted::redacted(url))
            }
            Self::Sender(_) => f.write_str("Sender"),
            Self::Reporter(_) => f.write_str("Reporter"),
            Self::Nowhere => f.write_str("Nowhere"),
        }
    }
}

/// The collector, where no other backend is set.
#[cfg(feature = "collector")]
pub(super) fn or_collector(
    backend: Backend,
    url: Option<String>,
    timeout: Option<Duration>,
    environment: &mut Environment<'_>,
) -> Result<Backend, ConfigError> {
    // Checked even where it is not used: a mistake is a mistake.
    let timeout = timeout.map(|timeout| not_instant("timeout", timeout)).transpose()?;
    let two = |first| Err(Kind::TwoBackends { first, second: "collector()" }.into());
    match (backend, url) {
        (Backend::Reporter(_), Some(_)) => two("reporter()"),
        (Backend::Sender(_), Some(_)) => two("sender()"),
        (Backend::Nowhere | Backend::Collector { .. }, url) => {
            if let Some(url) = &url {
                check_collector(url).map_err(|problem| Kind::Collector { problem })?;
            }
            let url = url.or_else(|| environment.endpoint()).unwrap_or_else(|| Builder::COLLECTOR.to_owned());
            let timeout = timeout.or_else(|| environment.timeout()).unwrap_or(Builder::TIMEOUT);
            Ok(Backend::Collector { url, timeout })
        }
        (backend, None) => Ok(backend),
    }
}

/// Whether spans can be sent to this URL by this build; the error is a sentence with the URL, without what is secret in
/// it, and with what to do. It does not connect.
#[cfg(feature = "collector")]
pub(crate) fn check_collector(url: &str) -> Result<(), String> {
    crate::reporter::send::http::HttpSender::new(url, Builder::TIMEOUT).map(drop).map_err(|error| error.to_string())
}

/// The spool, where there is one.
#[cfg(feature = "spool")]
pub(super) fn spool_settings(
    backend: &Backend,
    directory: Option<PathBuf>,
    bytes: Option<u64>,
    batch: usize,
    environment: &mut Environment<'_>,
) -> Result<Option<SpoolSettings>, ConfigError> {
    let encodes = !matches!(backend, Backend::Reporter(_) | Backend::Nowhere);
    let bytes = bytes.unwrap_or(Builder::SPOOL_BYTES);
    let directory = match directory {
        Some(_) if !encodes => return Err(Kind::TwoBackends { first: "reporter()", second: "spool()" }.into()),
        Some(directory) if directory.as_os_str().is_empty() => return Err(Kind::NoSpool.into()),
        Some(directory) => match refusal(&directory) {
            Some(problem) => return Err(Kind::OpenSpool { directory, problem }.into()),
            None => directory,
        },
        None if !encodes => return Ok(None),
        None => match environment.spool(refusal) {
            Some(directory) => directory,
            None => return Ok(None),
        },
    };
    // A body may be as long as its bound. One more byte, and what was written is set aside as damaged.
    if batch as u64 > LONGEST_BODY {
        return Err(Kind::BatchOverFile { batch, most: LONGEST_BODY }.into());
    }
    // Room for one that is being sent beside one that comes.
    let least = 2 * (batch as u64 + BLOCK).next_multiple_of(BLOCK);
    if bytes < least {
        return Err(Kind::SmallSpool { bytes, least }.into());
    }
    // The program may go to another directory.
    let directory = std::path::absolute(&directory).unwrap_or(directory);
    Ok(Some(SpoolSettings { directory, bytes }))
}

/// Fills in what the program left out.
pub(super) fn local_endpoint(endpoint: Endpoint, service: String) -> Result<Endpoint, ConfigError> {
    let endpoint = if endpoint.service_name().is_some() { endpoint } else { endpoint.service(service) };
    match endpoint.service_name().map(str::len) {
        None => return Err(Kind::NoServiceName.into()),
        Some(bytes) if bytes > Builder::SERVICE_NAME_BYTES => {
            return Err(Kind::LongServiceName { bytes, limit: Builder::SERVICE_NAME_BYTES }.into());
        }
        Some(_) => {}
    }
    Ok(if endpoint.ip_addr().is_some() { endpoint } else { endpoint.ip(local_ip()) })
}

/// The address that this machine would send from.
///
/// Connecting a datagram socket asks the routing table and sends nothing. The addresses are those set aside for
/// documentation: nobody's, so that they take the default route. Without one it is the loopback address.
fn local_ip() -> IpAddr {
    let from = |any: IpAddr, to: IpAddr| {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
    };
    from(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into())
        .or_else(|| from(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()))
        .unwrap_or(Ipv4Addr::LOCALHOST.into())
}

pub(super) fn not_zero(setting: &'static str, bytes: usize) -> Result<usize, ConfigError> {
    if bytes == 0 { Err(Kind::Zero { setting }.into()) } else { Ok(bytes) }
}

#[cfg(feature = "collector")]
fn not_instant(setting: &'static str, time: Duration) -> Result<Duration, ConfigError> {
    if time.is_zero() { Err(Kind::Zero { setting }.into()) } else { not_too_long(setting, time) }
}

pub(super) fn not_too_long(setting: &'static str, given: Duration) -> Result<Duration, ConfigError> {
    if given > Builder::LONGEST {
        Err(Kind::TooLong { setting, given, limit: Builder::LONGEST }.into())
    } else {
        Ok(given)
    }
}
