//! What a tracer's threads are started with, and started with again in a forked child.

use std::sync::Arc;
use std::time::Duration;

use crate::model::endpoint::Endpoint;
use crate::process::notice::NoticeHook;
use crate::recorder::sampler::Sampler;
use crate::reporter::backend::{ReportError, Reporter};
use crate::reporter::drain::{Drain, DrainError};
use crate::reporter::pipeline::{Output, Pipeline, PipelineConfig};
use crate::reporter::record::SpanRecord;
use crate::reporter::redaction::Redaction;
#[cfg(feature = "spool")]
use crate::reporter::spool::SpoolSettings;
use crate::reporter::terminal::{Asks, Terminal};
use crate::tracer::builder::Builder;
use crate::tracer::error::{ConfigError, Kind};
use crate::tracer::settings::{Backend, Settings};

/// The settings of a tracer that outlast its start.
pub(crate) struct Blueprint {
    pub(crate) endpoint: &'static Endpoint,
    pub(crate) sampler: Sampler,
    pub(crate) notice: NoticeHook,
    backend: Rebuild,
    redaction: Option<Redaction>,
    log_bytes: Option<usize>,
    queue_bytes: usize,
    batch_bytes: usize,
    linger: Duration,
    print_trees: bool,
    #[cfg(feature = "spool")]
    spool: Option<SpoolSettings>,
}

/// How the backend is made.
enum Rebuild {
    #[cfg(feature = "collector")]
    Collector {
        url: String,
        timeout: Duration,
    },
    Nowhere,
    /// The user made it, and nobody can make another one.
    Never,
}

/// What runs, and what it reads and feeds.
pub(crate) struct Parts {
    pub(crate) drain: Arc<Drain>,
    pub(crate) pipeline: Arc<Pipeline>,
    /// Prints trees beside the backend.
    pub(crate) trees: Option<Terminal>,
}

impl Blueprint {
    /// Takes the settings apart, and starts what they say.
    pub(crate) fn start(settings: Settings) -> Result<(Self, Parts), ConfigError> {
        let (backend, output) = match settings.backend {
            #[cfg(feature = "collector")]
            Backend::Collector { url, timeout } => (Rebuild::Collector { url, timeout }, None),
            Backend::Sender(sender) => (Rebuild::Never, Some(Output::Zipkin(sender))),
            Backend::Reporter(reporter) => (Rebuild::Never, Some(Output::Reporter(reporter))),
            Backend::Nowhere => (Rebuild::Nowhere, None),
        };
        let blueprint = Self {
            endpoint: settings.endpoint.interned(),
            sampler: settings.sampler,
            notice: settings.on_notice,
            backend,
            redaction: settings.redaction,
            log_bytes: settings.log_bytes,
            queue_bytes: settings.queue_bytes,
            batch_bytes: settings.batch_bytes,
            linger: settings.linger,
            print_trees: settings.print_trees,
            #[cfg(feature = "spool")]
            spool: settings.spool,
        };
        let parts = blueprint.parts(output)?;
        Ok((blueprint, parts))
    }

    /// Starts the same in a forked child.
    pub(crate) fn start_again(&self) -> Result<Parts, ConfigError> {
        self.parts(None)
    }

    /// Whether a forked child can have the backend, too.
    pub(crate) const fn has_backend_again(&self) -> bool {
        !matches!(self.backend, Rebuild::Never)
    }

    fn parts(&self, output: Option<Output>) -> Result<Parts, ConfigError> {
        let drain = Drain::of_process(self.log_bytes, Builder::LOG_BYTES).map_err(|error| match error {
            DrainError::LogBytes { bytes } => Kind::LogBytes { given: self.log_bytes.unwrap_or(0), set: bytes },
            DrainError::Spawn(source) => Kind::Thread { name: "traced-drain", source },
        })?;
        let print_trees = self.print_trees.then(|| Terminal::of_process(&drain, self.redaction.clone())).transpose();
        let trees = print_trees.map_err(|source| Kind::Thread { name: "traced-trees", source })?;
        let accepted = trees.as_ref().zip(self.collector());
        let accepted = accepted.and_then(|(trees, (url, asks))| trees.links(url, asks));
        #[cfg(feature = "spool")]
        let is_left_behind = output.is_none() && !self.has_backend_again();
        let output = match output {
            Some(output) => output,
            None => self.output()?,
        };
        let config = PipelineConfig {
            service: self.endpoint.service_name().unwrap_or_default().to_owned(),
            output,
            redaction: self.redaction.clone(),
            queue_bytes: self.queue_bytes,
            batch_bytes: self.batch_bytes,
            linger: self.linger,
            notice: self.notice.clone(),
            accepted,
            #[cfg(feature = "spool")]
            spool: self.spool.clone().filter(|_| !is_left_behind),
        };
        let pipeline = Pipeline::start(config).map_err(|source| Kind::Thread { name: "traced", source })?;
        Ok(Parts { drain, pipeline, trees })
    }

    /// The collector, if there is one, and who asks whether it shows pages, too.
    fn collector(&self) -> Option<(&str, Asks)> {
        match &self.backend {
            #[cfg(feature = "collector")]
            Rebuild::Collector { url, .. } => {
                let pages = crate::reporter::send::page::Pages::beside(url)?;
                Some((url, Box::new(move |page: &str| pages.have(page))))
            }
            _ => None,
        }
    }

    fn output(&self) -> Result<Output, ConfigError> {
        Ok(match &self.backend {
            #[cfg(feature = "collector")]
            Rebuild::Collector { url, timeout } => {
                let sender = crate::reporter::send::http::HttpSender::new(url, *timeout)
                    .map_err(|problem| Kind::Collector { problem: problem.to_string() })?;
                Output::Zipkin(Box::new(sender))
            }
            Rebuild::Nowhere => Output::Reporter(Box::new(Nowhere)),
            Rebuild::Never => Output::Reporter(Box::new(LeftBehind)),
        })
    }
}

/// Takes everything and keeps nothing: a build without a collector that only prints trees.
struct Nowhere;

impl Reporter for Nowhere {
    fn report(&mut self, _: &[SpanRecord]) -> Result<(), ReportError> {
        Ok(())
    }
}

/// The backend of a forked child whose parent has one of its own: it takes nothing, which is counted and told.
struct LeftBehind;

impl Reporter for LeftBehind {
    fn report(&mut self, _: &[SpanRecord]) -> Result<(), ReportError> {
        Err(ReportError::new(
            "this process was forked, and a reporter or sender of your own stays in the parent; install a tracer in the \
             child",
        ))
    }
}
