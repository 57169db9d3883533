//! A tracer's own parts, shared by everyone who has a handle to it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::endpoint::Endpoint;
use crate::model::numbers::Count;
use crate::process::notice::{Notice, NoticeKind};
use crate::process::per_process;
use crate::propagation::{Crossing, Propagation};
use crate::recorder::clock::Clock;
use crate::recorder::registry::Registry;
use crate::recorder::sampler::Sampler;
use crate::recorder::slot::{NotStarted, Owner};
use crate::recorder::slot::{Slot, SlotSettings, TRACERS};
use crate::reporter::assemble::Rest;
use crate::reporter::buffers::Buffers;
use crate::reporter::drain::Drain;
use crate::reporter::open::OpenSpan;
use crate::reporter::outlet::Outlet;
use crate::reporter::pipeline::{Patience, Pipeline};
use crate::reporter::stats::{Stats, Tally};
use crate::reporter::terminal::{Printed, Terminal};
use crate::tracer::blueprint::{Blueprint, Parts};
use crate::tracer::end::End;
use crate::tracer::error::{ConfigError, Kind};
use crate::tracer::fork;
use crate::tracer::settings::{Settings, TraceIdSize};

/// How long trees are waited for before the backend is, and a tenth of a flush's time at most.
const TREES_FIRST: Duration = Duration::from_millis(100);

/// One tracer: where its spans are logged, and what becomes of them.
pub(crate) struct Core {
    /// `None`: it records nothing at all.
    slot: Option<&'static Slot>,
    reference: u32,
    drain: Arc<Drain>,
    outlet: Arc<Outlet>,
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

    fn of_child(&self, reference: u32, blueprint: &Arc<Blueprint>, parts: Parts) -> Arc<Self> {
        let Parts { drain, pipeline, trees } = parts;
        let outlet = Arc::new(Outlet::new(self.slot, reference, pipeline, trees, self.outlet.local_endpoint()));
        drain.hand_on_to(Arc::clone(&outlet));
        Arc::new(Self {
            slot: self.slot,
            reference,
            drain,
            outlet,
            crossing: self.crossing.clone(),
            end: End::default(),
            process: std::process::id(),
            blueprint: Some(Arc::clone(blueprint)),
            left_behind: !blueprint.has_backend_again(),
        })
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
            outlet: Arc::new(Outlet::new(None, 0, Pipeline::collecting(), None, endpoint.interned())),
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
        let outlet = Arc::new(Outlet::new(Some(slot), slot.reference(), pipeline, trees, local));
        drain.hand_on_to(Arc::clone(&outlet));
        let core = Arc::new(Self {
            slot: Some(slot),
            reference: slot.reference(),
            drain,
            outlet,
            crossing,
            end: End::default(),
            process: std::process::id(),
            blueprint,
            left_behind: false,
        });
        slot.set_owner(Some(core.clone()));
        Ok(core)
    }

    /// The tracer in a slot: its owners are all of this type.
    pub(crate) fn of(owner: Arc<dyn Owner>) -> Option<Arc<Self>> {
        owner.as_any().downcast().ok()
    }

    /// The installed tracer, if it is there to stay. One that came with a fork gives way to one of the child's own: before
    /// its first record, and whenever its backend stayed in the parent.
    pub(crate) fn in_the_way() -> Option<Arc<Self>> {
        let stays = |owner: Arc<dyn Owner>| {
            // What a forked child records is only counted: another tracer may take its place.
            let left_behind = Self::of(Arc::clone(&owner)).filter(|core| core.left_behind);
            let Some(core) = left_behind else { return Some(owner) };
            core.shutdown(Instant::now());
            None
        };
        Self::of(Slot::in_the_way(stays)?)
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

    #[cfg(test)]
    pub(crate) fn loose_bytes(&self) -> usize {
        self.drain.loose_bytes()
    }

    /// The outlets of its drain.
    #[cfg(test)]
    pub(crate) fn outlets(&self) -> Arc<crate::reporter::outlet::Outlets> {
        self.drain.outlets()
    }

    /// Logs that are kept.
    #[cfg(test)]
    pub(crate) fn logs(&self) -> usize {
        self.drain.logs()
    }

    /// Where its finished spans go.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        self.outlet.pipeline()
    }

    /// This process, as its spans say.
    pub(crate) fn local_endpoint(&self) -> &'static Endpoint {
        self.outlet.local_endpoint()
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
            core.outlet.fold_lost();
            core.pipeline().stats()
        };
        self.here(stats).unwrap_or_default()
    }

    /// Hands everything that ended before the call to the backend, and waits until it is sent or dropped.
    pub(crate) fn flush(&self, deadline: Instant) -> Tally {
        let flush = |core: &Self| {
            if core.slot().is_some() {
                core.drain.flush(core.reference, deadline);
                core.outlet.fold_lost();
            }
            if !core.can_wait() {
                return core.pipeline().tally();
            }
            if core.slot().is_none() {
                // A shutdown that is on its way, or began meanwhile, has the last spans.
                core.end.wait(deadline);
            }
            let printed = core.outlet.trees().map(Terminal::flush);
            Self::wait_a_little(printed.as_ref(), deadline);
            let tally = core.pipeline().flush(deadline);
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
                    core.pipeline().wait_for_threads(deadline);
                }
                return core.pipeline().tally();
            };
            if let Some(slot) = core.slot() {
                let rest = core.drain.finish(core.reference, deadline, || {
                    core.outlet.fold_lost();
                    slot.give_back();
                });
                core.offer_rest(rest, deadline);
            }
            let printed = core.outlet.trees().map(Terminal::finish);
            if !core.can_wait() {
                return core.pipeline().shutdown(deadline);
            }
            Self::wait_a_little(printed.as_ref(), deadline);
            let tally = core.pipeline().shutdown(deadline);
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
        self.pipeline().offer(rest.left_over, &mut buffers, &mut patience);
        self.outlet.offer(rest.last, &mut buffers, &mut patience);
    }

    /// Whether there is a thread to wait for, and the caller is none of those that it needs: user code runs there, which may call
    /// anything.
    fn can_wait(&self) -> bool {
        self.pipeline().can_wait() && !self.outlet.trees().is_some_and(Terminal::is_here)
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
        for printed in printed.into_iter().chain(self.outlet.trees().map(Terminal::flush)) {
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
        let core = Self::of(Slot::of_any_process(self.reference)?.owner()?)?;
        core.is_of_this_process().then(|| work(&core))
    }

    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }
}

impl Owner for Core {
    fn registry(&self) -> &Registry {
        self.drain.registry()
    }

    fn crossing(&self) -> &Crossing {
        &self.crossing
    }

    fn first_sampler(&self) -> Sampler {
        self.blueprint.as_ref().map_or(Sampler::never(), |blueprint| blueprint.sampler.clone())
    }

    /// `None`: it is a test's. It cannot be where a thread does not start, or the child has another log by now.
    fn start_again(&self, reference: u32) -> Option<Result<Arc<dyn Owner>, NotStarted>> {
        let blueprint = self.blueprint.as_ref()?;
        Some(match blueprint.start_again() {
            Ok(parts) => Ok(self.of_child(reference, blueprint, parts)),
            Err(error) => {
                let notice = blueprint.notice.clone();
                Err(Box::new(move || {
                    let text = format!("this forked process records nothing: {error}");
                    notice.tell(&Notice::new(NoticeKind::Settings, text));
                }))
            }
        })
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("outlet", &self.outlet).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
