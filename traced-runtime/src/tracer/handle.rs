//! The tracer as a program holds it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::model::endpoint::Endpoint;
use crate::model::ids::Ids;
use crate::model::numbers::{Count, Number};
use crate::process::notice::{Notice, NoticeHook, NoticeKind};
use crate::process::stderr::print_within;
use crate::propagation::Crossing;
use crate::propagation::carrier::Carrier;
use crate::recorder::sampler::Sampler;
use crate::recorder::slot::Slot;
use crate::reporter::open::OpenSpan;
use crate::reporter::stats::{Adopted, Stats, Tally};
use crate::tracer::builder::Builder;
use crate::tracer::core::Core;
use crate::tracer::early::{self, AT_ONCE};
use crate::tracer::error::{ConfigError, Kind};
use crate::tracer::settings::Settings;

/// Records spans and gets them to a backend. A cheap handle: clones are of the same tracer.
///
/// A program mostly has one, [installed](Builder::install) as the default of the process. Others can be
/// [built](Builder::build) beside it; spans are theirs inside their [`context`](Self::context).
///
/// In a forked child the handle is the child's: the first record there starts logs, threads and connections anew, what is
/// flushed and counted is what the child recorded. What was open at the fork is the parent's. Before its first record
/// the child may install a tracer of its own instead.
#[derive(Clone)]
pub struct Tracer {
    core: Arc<Core>,
}

impl Tracer {
    /// Settings for a tracer of this service, as Zipkin lists it. A name that is empty is an error of the builder.
    pub fn builder(service: impl Into<String>) -> Builder {
        Builder::new(service)
    }

    /// The process's default tracer, if one is installed: for exit handlers, and wherever its guard is out of reach.
    #[must_use]
    pub fn installed() -> Option<Self> {
        Core::of(Slot::installed()?.owner_of_any_process()?).map(|core| Self { core })
    }

    /// The tracer that spans which start here are of: that of the current context, else the installed one.
    #[must_use]
    pub fn current() -> Option<Self> {
        Core::of(Context::current().slot()?.owner_of_any_process()?).map(|core| Self { core })
    }

    /// What contexts name it by; 0 if it records nothing.
    pub(crate) fn reference(&self) -> u32 {
        self.core.reference()
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) const fn from_core(core: Arc<Core>) -> Self {
        Self { core }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// A context without a trace, in which new traces are this tracer's.
    #[must_use]
    pub fn context(&self) -> Context {
        Context::new(Ids::of_tracer(self.core.reference()), None)
    }

    /// Reads the caller's context from the headers of a request, in the formats that this tracer is
    /// [set to](Builder::propagation).
    ///
    /// It never fails. Where nothing is there, or what is there is malformed, the context has no trace, and what starts in it
    /// is the first of a new one. It may hold a sampling decision all the same, and baggage.
    ///
    /// ```
    /// # use std::collections::HashMap;
    /// # use traced_runtime::{Context, Span, Tracer};
    /// # fn handle(tracer: &Tracer, headers: &HashMap<String, String>) {
    /// let span = Span::server("GET /users/{id}", tracer.extract(headers));
    /// let _scope = span.attach();
    /// let mut next = HashMap::new();
    /// Context::current().inject(&mut next);
    /// # }
    /// ```
    pub fn extract(&self, carrier: &impl Carrier) -> Context {
        Context::extract(self.core.propagation(), self.core.reference(), carrier)
    }

    /// Reports every span that ended before the call, and waits until each was sent or dropped, or until this time has
    /// passed. Tells how things stand then.
    ///
    /// Inside a hook, a reporter or a sender of this tracer it does not wait, and neither does [`shutdown`](Self::shutdown): they
    /// run on the threads that would be waited for.
    pub fn flush(&self, within: Duration) -> Tally {
        self.core.flush(after(within))
    }

    /// Flushes, reports open spans as unfinished, and stops. Spans that end later are not reported. Takes this time at
    /// most; what is left then is dropped, and counted. While another thread shuts down it waits for that; called later it
    /// tells how things stand.
    ///
    /// With a spool what is left is kept there, and counts as [spooled](Tally::spooled). The last quarter of the time is for
    /// writing it, 500 ms at most: with less than some 20 ms in all that may be too short, and what is not written is dropped, and
    /// counted. A file that is being synced when the time is up may be there in the end, and is sent by the next process.
    ///
    /// `std::process::exit` runs no destructors, and neither does a signal that ends the process, as SIGTERM and Ctrl-C do: call
    /// this before the one, and where the program waits for the other, by way of [`Tracer::installed`].
    pub fn shutdown(&self, within: Duration) -> Tally {
        self.core.shutdown(after(within))
    }

    /// The spans that have started and not ended, as far as threads have written them; the oldest first. Never
    /// complete: beyond 65,536 async and explicit ones, the rest are not listed.
    #[must_use]
    pub fn open_spans(&self) -> Vec<OpenSpan> {
        self.core.open_spans()
    }

    /// What became of the spans until now, and what it cost.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// Changes the sampler: it decides about traces that start from now on. A ratio that is no share counts as the
    /// nearest one.
    pub fn set_sampler(&self, sampler: Sampler) {
        self.core.set_sampler(sampler);
    }

    /// Who its spans say they are of.
    #[must_use]
    pub fn local_endpoint(&self) -> &Endpoint {
        self.core.local_endpoint()
    }
}

impl Context {
    /// The same context, recorded by this tracer unless it has a trace, which goes on with the tracer that it has.
    #[must_use]
    pub fn with_tracer(mut self, tracer: &Tracer) -> Self {
        let ids = self.ids();
        if !ids.has_trace() {
            self.set_ids(Ids { tracer: tracer.reference(), ..ids });
        }
        self
    }
}

/// When this time has passed. One that no clock will show, such as [`Duration::MAX`], counts as a year.
fn after(time: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + YEAR)
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracer").field(self.local_endpoint()).finish()
    }
}

/// Keeps the installed tracer going. Dropped, it flushes within the deadline, stops, and prints one line of what was
/// sent and lost: its [`Tally`], why there is nothing if that is so, and what became of spans that others left in the spool.
///
/// ```text
/// traced: sent 4 spans in 1 batch, 0 dropped; of 150 spans that others left in the spool, 120 sent, 30 still there
/// ```
#[must_use = "tracing ends when this is dropped: bind it, as in `let _tracing = …`"]
pub struct Installed {
    tracer: Tracer,
    /// What ends with it; `None` if the tracer is somebody else's, or none.
    ending: Option<Ending>,
}

struct Ending {
    since: Instant,
    deadline: Duration,
    summary: bool,
    notice: NoticeHook,
}

impl Deref for Installed {
    type Target = Tracer;

    fn deref(&self) -> &Tracer {
        &self.tracer
    }
}

impl fmt::Debug for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Installed").field(&self.tracer).finish()
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let Some(ending) = self.ending.take() else { return };
        if !self.tracer.core.is_running_here() {
            // A forked child that recorded nothing: the parent tells.
            return;
        }
        let life = ending.since.elapsed();
        let (why_nothing, unsampled) = (self.tracer.core.why_nothing(), self.tracer.core.unsampled());
        let deadline = after(ending.deadline);
        let tally = self.tracer.core.shutdown(deadline);
        if life < AT_ONCE && tally.recorded() == 0 && unsampled == 0 {
            early::ended(life, ending.notice);
        }
        if ending.summary {
            // Not a notice: whoever logs notices wants to see this on the terminal, or switches it off.
            let summary = summary(&tally, &why_nothing, self.tracer.stats().adopted());
            print_within(format!("traced: {summary}\n"), deadline);
        }
    }
}

/// What became of the spans, in one line: of this tracer's own, and of those that others left.
fn summary(tally: &Tally, why_nothing: &str, adopted: Adopted) -> String {
    let mut line = tally.to_string();
    if tally.recorded() == 0 {
        line = format!("{line}: {why_nothing}");
    }
    if adopted.found() > 0 {
        let (found, sent) = (Count(adopted.found(), "span"), Number(adopted.sent()));
        line = format!("{line}; of {found} that others left in the spool, {sent} sent");
        for (spans, fate) in [(adopted.queued(), "still there"), (adopted.dropped(), "dropped")] {
            if spans > 0 {
                line = format!("{line}, {} {fate}", Number(spans));
            }
        }
    }
    line
}

impl Builder {
    /// Starts the tracer, and makes it the one of the whole process.
    ///
    /// # Errors
    /// A setting cannot be used, or another tracer is installed.
    pub fn install(self) -> Result<Installed, ConfigError> {
        Installed::start(self.settings()?)
    }

    /// Starts a tracer beside the process's default one: spans are its own inside its [`context`](Tracer::context).
    ///
    /// # Errors
    /// A setting cannot be used.
    pub fn build(self) -> Result<Tracer, ConfigError> {
        let settings = self.settings()?;
        settings.tell_warnings();
        Ok(Tracer { core: Core::start(settings)? })
    }
}

impl Installed {
    fn start(settings: Settings) -> Result<Self, ConfigError> {
        settings.tell_warnings();
        if settings.disabled {
            return Ok(Self::of_nothing(settings.endpoint, settings.crossing));
        }
        if let Some(installed) = Core::in_the_way() {
            let service = installed.local_endpoint().service_name().unwrap_or_default().to_owned();
            return Err(Kind::Installed { service }.into());
        }
        let (deadline, summary, notice) = (settings.shutdown_deadline, settings.summary, settings.on_notice.clone());
        let core = Core::start(settings)?;
        if !core.install() {
            core.shutdown(Instant::now());
            return Err(Kind::Installed { service: String::new() }.into());
        }
        let ending = Ending { since: Instant::now(), deadline, summary, notice };
        Ok(Self { tracer: Tracer { core }, ending: Some(ending) })
    }

    /// A guard of a tracer that records nothing.
    fn of_nothing(endpoint: Endpoint, crossing: Crossing) -> Self {
        Self { tracer: Tracer { core: Core::disabled(endpoint, crossing) }, ending: None }
    }
}

/// Starts tracing for this service, with settings from the environment or the defaults. The one line in `main`:
///
/// ```
/// let _tracing = traced_runtime::init("user-service");
/// # drop(_tracing.shutdown(std::time::Duration::ZERO));
/// ```
///
/// It never fails: what is wrong is told on standard error, and the program runs on, with the default in place of a malformed
/// setting or without tracing. Each such line is waited for, 200 ms at most where nobody reads standard error; nothing else is.
/// It opens no port and connects to nothing; spans that nobody takes are counted as unreachable.
///
/// A second call warns and returns a guard that ends nothing.
pub fn init(service: impl Into<String>) -> Installed {
    let service = service.into();
    // Its name is all that can be wrong.
    let settings = Builder::with_fallback_name(service.clone()).settings().or_else(|error| {
        let program = program_name();
        warn(&format!("{error}; the program's own name is used, {program:?}"));
        Builder::with_fallback_name(program).settings()
    });
    settings.and_then(Installed::start).unwrap_or_else(|error| {
        warn(&error.to_string());
        match Tracer::installed() {
            Some(tracer) => Installed { tracer, ending: None },
            None => Installed::of_nothing(Endpoint::named(service), Crossing::default()),
        }
    })
}

fn warn(text: &str) {
    NoticeHook::default().tell(&Notice::new(NoticeKind::Settings, text));
}

/// The file name of the program that runs.
fn program_name() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(std::path::Path::file_stem).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_tells_what_became_of_spans_that_others_left() {
        let sent = Tally { recorded: 4, sent: 4, batches: 1, ..Tally::default() };
        let adopted = |sent, queued, dropped| Adopted { found: sent + queued + dropped, sent, queued, dropped };
        for (tally, adopted, line) in [
            (sent, adopted(0, 0, 0), "sent 4 spans in 1 batch, 0 dropped"),
            (
                sent,
                adopted(1_200, 30, 4),
                "sent 4 spans in 1 batch, 0 dropped; of 1,234 spans that others left in the spool, 1,200 sent, 30 still there, \
                 4 dropped",
            ),
            (
                sent,
                adopted(0, 1, 0),
                "sent 4 spans in 1 batch, 0 dropped; of 1 span that others left in the spool, 0 sent, 1 still there",
            ),
            (
                Tally::default(),
                adopted(150, 0, 0),
                "no spans recorded: why; of 150 spans that others left in the spool, 150 sent",
            ),
            (Tally::default(), adopted(0, 0, 0), "no spans recorded: why"),
        ] {
            assert_eq!(summary(&tally, "why", adopted), line);
        }
    }
}
