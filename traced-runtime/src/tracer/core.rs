//! A tracer's own parts, shared by everyone who has a handle to it.

use crate::process::per_process;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::endpoint::Endpoint;
use crate::model::numbers::Count;
use crate::process::notice::{Notice, NoticeKind};
use crate::propagation::{Propagation, ServerSpan};
use crate::recorder::clock::Clock;
use crate::recorder::registry::Registry;
use crate::recorder::sampler::Sampler;
use crate::recorder::slot::{Slot, SlotSettings, TRACERS};
use crate::reporter::assemble::Rest;
use crate::reporter::block::Block;
use crate::reporter::buffers::Buffers;
use crate::reporter::drain::Drain;
use crate::reporter::open::OpenSpan;
use crate::reporter::pipeline::{Patience, Pipeline};
use crate::reporter::stats::{Stats, Tally};
use crate::reporter::tree::terminal::{Printed, Terminal};
use crate::tracer::blueprint::{Blueprint, Parts};
use crate::tracer::end::End;
use crate::tracer::error::{ConfigError, Kind};
use crate::tracer::fork;
use crate::tracer::settings::{Settings, TraceIdSize};

/// How long trees are waited for before the backend is, and a tenth of a flush's time at most.
const TREES_FIRST: Duration = Duration::from_millis(100);

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
    local: &'static Endpoint,
    crossing: Crossing,
    end: End,
    /// The process it belongs to: a forked child must not touch its locks.
    process: u32,
    /// What a forked child makes it of; `None`: it is a test's, and stays behind.
    blueprint: Option<Arc<Blueprint>>,
    /// Whether it is a child's, and the backend is its parent's alone.
    left_behind: bool,
}

impl Core {
    /// Starts a tracer that logs into the process's log.
    pub(crate) fn start(settings: Settings) -> Result<Arc<Self>, ConfigError> {
        fork::watch();
        let slot = SlotSettings {
            sampler: settings.sampler.clone(),
            require_parent: settings.require_parent,
            short_trace_ids: settings.trace_id == TraceIdSize::Bits64,
            counted_ids: None,
            crosses_forks: true,
        };
        let crossing = settings.crossing.clone();
        let (blueprint, parts) = Blueprint::start(settings)?;
        let local = blueprint.endpoint;
        Self::with(slot, parts, Some(Arc::new(blueprint)), local, crossing)
    }

    /// The same tracer for a forked child; `None`: it is a test's. It cannot be where a thread does not start, or the child has
    /// another log by now, which is to be [told](Self::tell_not_started).
    pub(crate) fn start_again(&self, reference: u32) -> Option<Result<Arc<Self>, ConfigError>> {
        let blueprint = self.blueprint.as_ref()?;
        Some(blueprint.start_again().map(|parts| self.of_child(reference, blueprint, parts)))
    }

    fn of_child(&self, reference: u32, blueprint: &Arc<Blueprint>, parts: Parts) -> Arc<Self> {
        let Parts { drain, pipeline, trees } = parts;
        Arc::new(Self {
            slot: self.slot,
            reference,
            drain,
            pipeline,
            trees,
            local: self.local,
            crossing: self.crossing.clone(),
            end: End::default(),
            process: std::process::id(),
            blueprint: Some(Arc::clone(blueprint)),
            left_behind: !blueprint.has_backend_again(),
        })
    }

    /// Tells why this forked process has no tracer.
    pub(crate) fn tell_not_started(&self, error: &ConfigError) {
        if let Some(blueprint) = &self.blueprint {
            let text = format!("this forked process records nothing: {error}");
            blueprint.notice.tell(&Notice::new(NoticeKind::Settings, text));
        }
    }

    /// The sampler that it was started with.
    pub(crate) fn first_sampler(&self) -> Sampler {
        self.blueprint.as_ref().map_or(Sampler::never(), |blueprint| blueprint.sampler.clone())
    }

    /// Whether it only counts what a forked child records: another tracer may take its place.
    pub(crate) const fn is_left_behind(&self) -> bool {
        self.left_behind
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
        let parts = Parts { drain, pipeline: Pipeline::collecting(), trees: None };
        Self::of_parts(parts, settings, endpoint, crossing)
    }

    /// The same, of these parts.
    #[cfg(any(test, feature = "testing"))]
    fn of_parts(
        parts: Parts,
        settings: SlotSettings,
        endpoint: Endpoint,
        crossing: Crossing,
    ) -> Result<Arc<Self>, ConfigError> {
        Self::with(settings, parts, None, endpoint.interned(), crossing)
    }

    /// A tracer that records nothing: the environment or an error switched tracing off.
    pub(crate) fn disabled(endpoint: Endpoint, crossing: Crossing) -> Arc<Self> {
        Arc::new(Self {
            slot: None,
            reference: 0,
            drain: Drain::new(Registry::of_test(Clock::Os, 0, 0)),
            pipeline: Pipeline::collecting(),
            trees: None,
            local: endpoint.interned(),
            crossing,
            end: End::default(),
            process: std::process::id(),
            blueprint: None,
            left_behind: false,
        })
    }

    fn with(
        settings: SlotSettings,
        parts: Parts,
        blueprint: Option<Arc<Blueprint>>,
        local: &'static Endpoint,
        crossing: Crossing,
    ) -> Result<Arc<Self>, ConfigError> {
        let Parts { drain, pipeline, trees } = parts;
        let slot = Slot::take(settings, drain.registry()).ok_or(Kind::TooManyTracers { limit: TRACERS })?;
        let core = Arc::new(Self {
            slot: Some(slot),
            reference: slot.reference(),
            drain,
            pipeline,
            trees,
            local,
            crossing,
            end: End::default(),
            process: std::process::id(),
            blueprint,
            left_behind: false,
        });
        slot.set_core(Some(core.clone()));
        Ok(core)
    }

    /// Makes it the tracer that starts traces where there is no context. `false`: there is one already.
    pub(crate) fn install(&self) -> bool {
        self.slot.is_some_and(Slot::install)
    }

    /// What contexts of this process name it by; 0 if it records nothing.
    pub(crate) fn reference(&self) -> u32 {
        if per_process::is_child() { Slot::renamed(self.reference) } else { self.reference }
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

    #[cfg(test)]
    pub(crate) fn loose_bytes(&self) -> usize {
        self.drain.loose_bytes()
    }

    /// Logs that are kept.
    #[cfg(test)]
    pub(crate) fn logs(&self) -> usize {
        self.drain.logs()
    }

    /// Where its finished spans go.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// This process, as its spans say.
    pub(crate) const fn local_endpoint(&self) -> &'static Endpoint {
        self.local
    }

    /// Counts spans whose end was read.
    pub(crate) fn ended(&self, spans: u64) {
        self.pipeline.ended(spans);
    }

    /// Takes finished spans, and gives back buffers of others. Waits for room until `patience` at most, and gives back what
    /// found none when somebody wanted that to end: to be offered to the pipeline again.
    pub(crate) fn offer(&self, blocks: Vec<Block>, buffers: &mut Buffers, patience: &mut Patience) -> Vec<Block> {
        if let Some(trees) = &self.trees {
            trees.print(blocks.iter().flat_map(|block| block.spans().iter().cloned()).collect());
        }
        self.pipeline.offer(blocks, buffers, patience)
    }

    /// Changes the sampler.
    pub(crate) fn set_sampler(&self, sampler: Sampler) {
        if let Some(slot) = self.slot() {
            slot.set_sampler(sampler);
        }
    }

    /// What has not ended yet.
    pub(crate) fn open_spans(&self) -> Vec<OpenSpan> {
        let open = |core: &Self| core.slot().map(|_| core.drain.open_spans(core.reference));
        self.here(open).flatten().unwrap_or_default()
    }

    /// What became of the spans until now.
    pub(crate) fn stats(&self) -> Stats {
        let stats = |core: &Self| {
            core.fold_lost();
            core.pipeline.stats()
        };
        self.here(stats).unwrap_or_default()
    }

    /// Hands everything that ended before the call to the backend, and waits until it is sent or dropped.
    pub(crate) fn flush(&self, deadline: Instant) -> Tally {
        let flush = |core: &Self| {
            if core.slot().is_some() {
                core.drain.flush(core.reference, deadline);
                core.fold_lost();
            }
            if !core.can_wait() {
                return core.pipeline.tally();
            }
            if core.slot().is_none() {
                // A shutdown that is on its way, or began meanwhile, has the last spans.
                core.end.wait(deadline);
            }
            let printed = core.trees.as_ref().map(Terminal::flush);
            Self::wait_a_little(printed.as_ref(), deadline);
            let tally = core.pipeline.flush(deadline);
            core.wait_for_trees(printed, deadline);
            tally
        };
        self.here(flush).unwrap_or_default()
    }

    /// Flushes, reports what is open as unfinished, and ends the tracer's thread. Once: whoever calls it meanwhile waits for that,
    /// and whoever calls it later is told how things stand.
    pub(crate) fn shutdown(&self, deadline: Instant) -> Tally {
        let shutdown = |core: &Self| {
            let Some(_ending) = core.end.begin() else {
                if core.can_wait() && core.end.wait(deadline) {
                    core.pipeline.wait_for_threads(deadline);
                }
                return core.pipeline.tally();
            };
            if let Some(slot) = core.slot() {
                let rest = core.drain.finish(core.reference, deadline, || {
                    core.fold_lost();
                    slot.give_back();
                });
                core.offer_rest(rest, deadline);
            }
            let printed = core.trees.as_ref().map(Terminal::finish);
            if !core.can_wait() {
                return core.pipeline.shutdown(deadline);
            }
            Self::wait_a_little(printed.as_ref(), deadline);
            let tally = core.pipeline.shutdown(deadline);
            core.wait_for_trees(printed, deadline);
            tally
        };
        self.here(shutdown).unwrap_or_default()
    }

    /// Hands on the last spans. Nobody who reads logs waits for this, so it may take three quarters of the time until there is
    /// room; the rest is for sending them.
    fn offer_rest(&self, rest: Rest, deadline: Instant) {
        let time = deadline.saturating_duration_since(Instant::now());
        let mut patience = Patience::alone(time - time / 4);
        let mut buffers = Buffers::default();
        self.pipeline.offer(rest.left_over, &mut buffers, &mut patience);
        self.offer(rest.last, &mut buffers, &mut patience);
    }

    /// Whether there is a thread to wait for, and the caller is none of those that it needs: user code runs there, which may call
    /// anything.
    fn can_wait(&self) -> bool {
        self.pipeline.can_wait() && !self.trees.as_ref().is_some_and(Terminal::is_here)
    }

    /// Lets the trees be printed before the backend is waited for, so that they stand before what is told of it. A terminal that
    /// is held up takes a little of the time, no more; trees go on meanwhile.
    fn wait_a_little(printed: Option<&Printed>, deadline: Instant) {
        let now = Instant::now();
        let share = (deadline.saturating_duration_since(now) / 10).min(TREES_FIRST);
        if let Some(printed) = printed {
            printed.wait(now + share);
        }
    }

    /// Waits until the trees are printed, and then the links of what was accepted.
    fn wait_for_trees(&self, printed: Option<Printed>, deadline: Instant) {
        for printed in printed.into_iter().chain(self.trees.as_ref().map(Terminal::flush)) {
            printed.wait(deadline);
        }
    }

    /// Whether it has started in this process; a forked child's does so with the first record.
    pub(crate) fn is_running_here(&self) -> bool {
        self.here(|_| ()).is_some()
    }

    /// Traces that the sampler left out.
    pub(crate) fn unsampled(&self) -> u64 {
        self.slot().map_or(0, Slot::unsampled)
    }

    /// Why there may be nothing to report.
    pub(crate) fn why_nothing(&self) -> String {
        let slot = self.slot();
        match self.unsampled() {
            0 if slot.is_some_and(Slot::requires_parent) => {
                "no annotated function was called with a parent, which this tracer requires".to_owned()
            }
            0 => "no annotated function was called while tracing was on".to_owned(),
            traces => format!("the sampler left out {}", Count(traces, "trace")),
        }
    }

    /// Takes over what the user's threads counted: spans that could not be recorded, values that were cut.
    pub(crate) fn fold_lost(&self) {
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
        if self.is_of_this_process() {
            self.slot.filter(|slot| slot.reference() == self.reference)
        } else {
            Slot::of_any_process(self.reference)
        }
    }

    /// Does work with the tracer of this process: itself, or what a forked child made of it.
    fn here<R>(&self, work: impl FnOnce(&Self) -> R) -> Option<R> {
        if self.is_of_this_process() {
            return Some(work(self));
        }
        let core = Slot::of_any_process(self.reference)?.core()?;
        core.is_of_this_process().then(|| work(&core))
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

#[cfg(test)]
mod tests;
