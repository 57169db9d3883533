//! A tracer's own parts, shared by everyone who has a handle to it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::propagation::{Propagation, ServerSpan};
use crate::recorder::clock::Clock;
use crate::recorder::registry::Registry;
use crate::reporter::assemble::OpenSpan;
use crate::reporter::backend::{ReportError, Reporter};
use crate::reporter::drain::{Drain, DrainError};
use crate::reporter::pipeline::{Output, Pipeline, PipelineConfig};
use crate::reporter::record::SpanRecord;
use crate::reporter::stats::{Count, Stats, Tally};
use crate::reporter::tree::link::traces_at;
use crate::reporter::tree::terminal::Terminal;
use crate::tracer::builder::Builder;
use crate::tracer::endpoint::Endpoint;
use crate::tracer::error::{ConfigError, Kind};
use crate::tracer::fork;
use crate::tracer::local::{self, Local};
use crate::tracer::sampler::Sampler;
use crate::tracer::settings::{Backend, Settings, TraceIdSize};
use crate::tracer::slot::{Slot, SlotSettings, TRACERS};

/// How contexts cross to other processes and come from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crossing {
    pub(crate) propagation: Propagation,
    pub(crate) server_span: ServerSpan,
}

/// One tracer: where its spans are logged, and what becomes of them.
pub(crate) struct Core {
    /// `None`: it records nothing at all.
    slot: Option<&'static Slot>,
    reference: u32,
    drain: Arc<Drain>,
    pipeline: Arc<Pipeline>,
    /// Prints trees beside the backend.
    trees: Option<Terminal>,
    local: Arc<Endpoint>,
    crossing: Crossing,
    down: AtomicBool,
    /// The process it belongs to: a forked child must not touch its locks.
    process: u32,
}

impl Core {
    /// Starts a tracer that logs into the process's log.
    pub(crate) fn start(settings: Settings) -> Result<Arc<Self>, ConfigError> {
        fork::watch();
        let drain = Drain::of_process(settings.log_bytes, Builder::LOG_BYTES).map_err(|error| match error {
            DrainError::LogBytes { bytes } => Kind::LogBytes { given: settings.log_bytes.unwrap_or(0), set: bytes },
            DrainError::Spawn(source) => Kind::Thread { name: "traced-drain", source },
        })?;
        let print_trees = settings.print_trees.then(|| Terminal::of_process(&drain)).transpose();
        let trees = print_trees.map_err(|source| Kind::Thread { name: "traced-trees", source })?;
        let collector = match &settings.backend {
            #[cfg(feature = "collector")]
            Backend::Collector { url, .. } => Some(url.as_str()),
            _ => None,
        };
        let accepted = trees.as_ref().zip(collector.and_then(traces_at)).map(|(trees, at)| trees.link(at));
        let output = match settings.backend {
            #[cfg(feature = "collector")]
            Backend::Collector { url, timeout } => {
                let sender = crate::reporter::send::http::HttpSender::new(&url, timeout)
                    .map_err(|problem| Kind::Collector { problem: problem.to_string() })?;
                Output::Zipkin(Box::new(sender))
            }
            Backend::Sender(sender) => Output::Zipkin(sender),
            Backend::Reporter(reporter) => Output::Reporter(reporter),
            Backend::Nowhere => Output::Reporter(Box::new(Nowhere)),
        };
        let config = PipelineConfig {
            service: settings.endpoint.service_name().unwrap_or_default().to_owned(),
            output,
            queue_bytes: settings.queue_bytes,
            batch_bytes: settings.batch_bytes,
            linger: settings.linger,
            notice: settings.on_notice.clone(),
            accepted,
            thread_start: || local::with(Local::suppress),
        };
        let pipeline = Pipeline::start(config).map_err(|source| Kind::Thread { name: "traced", source })?;
        let slot = SlotSettings {
            sampler: settings.sampler,
            require_parent: settings.require_parent,
            short_trace_ids: settings.trace_id == TraceIdSize::Bits64,
            counted_ids: None,
        };
        Self::with(slot, drain, pipeline, trees, settings.endpoint, settings.crossing)
    }

    /// A tracer for one test: logs, clock and ids of its own, no thread, and spans collected in a list.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn of_test(
        clock: Clock,
        log_bytes: usize,
        settings: SlotSettings,
        endpoint: Endpoint,
        crossing: Crossing,
    ) -> Result<Arc<Self>, ConfigError> {
        let drain = Drain::new(Registry::of_test(clock, log_bytes, settings.counted_ids.unwrap_or(0)));
        Self::with(settings, drain, Pipeline::collecting(), None, endpoint, crossing)
    }

    /// A tracer that records nothing: the environment or an error switched tracing off.
    pub(crate) fn disabled(endpoint: Endpoint, crossing: Crossing) -> Arc<Self> {
        Arc::new(Self {
            slot: None,
            reference: 0,
            drain: Drain::new(Registry::of_test(Clock::Os, 0, 0)),
            pipeline: Pipeline::collecting(),
            trees: None,
            local: Arc::new(endpoint),
            crossing,
            down: AtomicBool::new(false),
            process: std::process::id(),
        })
    }

    fn with(
        settings: SlotSettings,
        drain: Arc<Drain>,
        pipeline: Arc<Pipeline>,
        trees: Option<Terminal>,
        endpoint: Endpoint,
        crossing: Crossing,
    ) -> Result<Arc<Self>, ConfigError> {
        let slot = Slot::take(settings, drain.registry()).ok_or(Kind::TooManyTracers { limit: TRACERS })?;
        let core = Arc::new(Self {
            slot: Some(slot),
            reference: slot.reference(),
            drain,
            pipeline,
            trees,
            local: Arc::new(endpoint),
            crossing,
            down: AtomicBool::new(false),
            process: std::process::id(),
        });
        slot.set_core(Some(core.clone()));
        Ok(core)
    }

    /// Makes it the tracer that starts traces where there is no context. `false`: there is one already.
    pub(crate) fn install(&self) -> bool {
        self.slot.is_some_and(Slot::install)
    }

    /// What contexts name it by; 0 if it records nothing.
    pub(crate) const fn reference(&self) -> u32 {
        self.reference
    }

    /// The formats in which it reads and writes contexts.
    pub(crate) const fn propagation(&self) -> &Propagation {
        &self.crossing.propagation
    }

    /// What its server spans are to their clients'.
    pub(crate) const fn server_span(&self) -> ServerSpan {
        self.crossing.server_span
    }

    /// The registry that its spans are logged in.
    pub(crate) fn registry(&self) -> &Registry {
        self.drain.registry()
    }

    /// Where its finished spans go.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// This process, as its spans say.
    pub(crate) const fn local_endpoint(&self) -> &Arc<Endpoint> {
        &self.local
    }

    /// Counts spans whose end was read.
    pub(crate) fn ended(&self, spans: u64) {
        self.pipeline.ended(spans);
    }

    /// Takes finished spans.
    pub(crate) fn offer(&self, spans: Vec<SpanRecord>) {
        if let Some(trees) = &self.trees {
            trees.print(spans.clone());
        }
        self.pipeline.offer(spans);
    }

    /// Changes the sampler.
    pub(crate) fn set_sampler(&self, sampler: Sampler) {
        if let Some(slot) = self.slot() {
            slot.set_sampler(sampler);
        }
    }

    /// What has not ended yet.
    pub(crate) fn open_spans(&self) -> Vec<OpenSpan> {
        if self.slot().is_some() { self.drain.open_spans(self.reference) } else { Vec::new() }
    }

    /// What became of the spans until now.
    pub(crate) fn stats(&self) -> Stats {
        if !self.is_of_this_process() {
            return Stats::default();
        }
        self.fold_lost();
        self.pipeline.stats()
    }

    /// Hands everything that ended before the call to the backend, and waits until it is sent or dropped.
    pub(crate) fn flush(&self, deadline: Instant) -> Tally {
        if !self.is_of_this_process() {
            return Tally::default();
        }
        if self.slot().is_some() {
            self.drain.flush();
            self.fold_lost();
        }
        if let Some(trees) = &self.trees {
            trees.flush(deadline);
        }
        let tally = self.pipeline.flush(deadline);
        self.print_links(deadline);
        tally
    }

    /// Flushes, reports what is open as unfinished, and ends the tracer's thread.
    pub(crate) fn shutdown(&self, deadline: Instant) -> Tally {
        if !self.is_of_this_process() {
            return Tally::default();
        }
        if let Some(slot) = self.slot().filter(|_| !self.down.swap(true, Ordering::AcqRel)) {
            self.drain.finish(self.reference);
            self.fold_lost();
            slot.give_back();
        }
        if let Some(trees) = &self.trees {
            trees.finish(deadline);
        }
        let tally = self.pipeline.shutdown(deadline);
        self.print_links(deadline);
        tally
    }

    /// Waits until the links of what was accepted are printed, too.
    fn print_links(&self, deadline: Instant) {
        if let Some(trees) = &self.trees {
            trees.flush(deadline);
        }
    }

    /// Why there may be nothing to report.
    pub(crate) fn why_nothing(&self) -> String {
        let slot = self.slot();
        match slot.map_or(0, Slot::unsampled) {
            0 if slot.is_some_and(Slot::requires_parent) => {
                "no annotated function was called with a parent, which this tracer requires".to_owned()
            }
            0 => "no annotated function was called while tracing was on".to_owned(),
            traces => format!("the sampler left out {}", Count(traces, "trace")),
        }
    }

    /// Takes over what the user's threads counted: spans that could not be recorded, values that were cut.
    fn fold_lost(&self) {
        let Some(slot) = self.slot() else { return };
        for (reason, spans) in slot.take_lost() {
            self.pipeline.lost(reason, spans);
        }
        self.pipeline.count_left_out_baggage(slot.take_left_out_baggage());
        let cut = slot.take_cut_values();
        if cut > 0 {
            self.pipeline.count_cut_values(cut);
        }
    }

    /// Its slot, while it is its own.
    fn slot(&self) -> Option<&'static Slot> {
        self.slot.filter(|slot| slot.reference() == self.reference)
    }

    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("local", &self.local).finish_non_exhaustive()
    }
}

/// Takes everything and keeps nothing: a build without a collector that only prints trees.
struct Nowhere;

impl Reporter for Nowhere {
    fn report(&mut self, _: &[SpanRecord]) -> Result<(), ReportError> {
        Ok(())
    }
}
