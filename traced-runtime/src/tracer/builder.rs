//! A tracer's settings, from the program, the environment and the defaults.

use std::ffi::OsString;
use std::fmt;
#[cfg(feature = "spool")]
use std::path::PathBuf;
use std::time::Duration;

use crate::context::local::{self, Local};
use crate::model::endpoint::Endpoint;
use crate::process::thread;
use crate::propagation::Crossing;
use crate::propagation::{Propagation, ServerSpan};
use crate::recorder::sampler::{NoRatio, Sampler};
use crate::tracer::env::Environment;
use crate::tracer::error::{ConfigError, Kind};
#[cfg(feature = "collector")]
use crate::tracer::settings::or_collector;
#[cfg(feature = "spool")]
use crate::tracer::settings::spool_settings;
use crate::tracer::settings::{Backend, Settings, TraceIdSize, local_endpoint, not_too_long, not_zero};

use crate::process::notice::{Notice, NoticeHook};
use crate::reporter::backend::Reporter;
use crate::reporter::record::SpanRecord;
use crate::reporter::redaction::Redaction;
use crate::reporter::send::Sender;

/// The settings of a tracer; made by [`Tracer::builder`](crate::Tracer::builder).
///
/// What is set here beats the environment, and the environment beats the default. Mistakes made here are errors of
/// [`install`](Self::install) and [`build`](Self::build); a malformed environment variable is one notice, and the default
/// takes its place.
///
/// | variable | setting |
/// |---|---|
/// | `OTEL_EXPORTER_ZIPKIN_ENDPOINT` | [`collector`](Self::collector) |
/// | `OTEL_EXPORTER_ZIPKIN_TIMEOUT` | [`timeout`](Self::timeout), in milliseconds |
/// | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | [`sampler`](Self::sampler): `always_on`, `always_off`, `traceidratio`; with `parentbased_` before it the same, because a decision made upstream is always followed |
/// | `OTEL_SERVICE_NAME` | the service's name, for `init` alone: a name given to a builder beats it |
/// | `OTEL_PROPAGATORS` | [`propagation`](Self::propagation), a list of `b3`, `b3multi`, `tracecontext`, `baggage`, or `none`; fields of baggage are the program's to name |
/// | `OTEL_SDK_DISABLED` | `true`: nothing is recorded, whatever is set here |
/// | `TRACED_SPOOL` | the directory of [`spool`](Self::spool); needs the feature `spool` |
/// | `TRACED_TREE` | `1`: [`print_trees`](Self::print_trees); `ascii`: the same without other characters |
#[must_use = "a builder does nothing until `install` or `build`"]
pub struct Builder {
    service: String,
    /// Whether the environment's name beats `service`.
    service_is_fallback: bool,
    endpoint: Endpoint,
    #[cfg(feature = "collector")]
    collector: Option<String>,
    #[cfg(feature = "collector")]
    timeout: Option<Duration>,
    sender: Option<Box<dyn Sender>>,
    reporter: Option<Box<dyn Reporter>>,
    sampler: Option<Sampler>,
    trace_id: TraceIdSize,
    propagation: Option<Propagation>,
    server_span: ServerSpan,
    require_parent: bool,
    log_bytes: Option<usize>,
    queue_bytes: Option<usize>,
    batch_bytes: Option<usize>,
    linger: Duration,
    #[cfg(feature = "spool")]
    spool: Option<PathBuf>,
    #[cfg(feature = "spool")]
    spool_bytes: Option<u64>,
    shutdown_deadline: Duration,
    print_trees: bool,
    summary: bool,
    on_notice: NoticeHook,
    redaction: Option<Redaction>,
}

impl Builder {
    /// Where spans are sent unless told otherwise: a Zipkin on this machine.
    pub const COLLECTOR: &str = "http://localhost:9411/api/v2/spans";

    /// Bytes of log that one process may hold. Beyond it a new span is not recorded, and counted.
    pub const LOG_BYTES: usize = 8 << 20;

    /// Bytes of finished spans that wait for the backend. Beyond it spans are dropped, and counted.
    pub const QUEUE_BYTES: usize = 4 << 20;

    /// Bytes of one request. A batch that would grow beyond it is sent before.
    pub const BATCH_BYTES: usize = 512 << 10;

    /// How long a finished span waits for others to share its request with.
    pub const LINGER: Duration = Duration::from_millis(500);

    /// Bytes of files in the spool, each counted as whole blocks of 4 KiB: about a million small spans. Beyond it the oldest are
    /// dropped, and counted.
    #[cfg(feature = "spool")]
    pub const SPOOL_BYTES: u64 = 256 << 20;

    /// How long the end of the program waits for what is still to be sent. What is left then is kept in the spool if there is
    /// one, else it is dropped, and counted.
    pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(3);

    /// How long one request to the collector may take. After it the request has failed, and is tried again.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// The longest time that a setting may have: a longer one is taken for a mistake.
    pub const LONGEST: Duration = Duration::from_secs(60 * 60);

    /// The longest service name: what the narrowest storage behind Zipkin (MySQL's) holds.
    pub const SERVICE_NAME_BYTES: usize = 255;

    /// A builder with the defaults, for this service.
    pub(crate) fn new(service: impl Into<String>) -> Self {
        // Before the first thread of ours is started, for a notice if for nothing else.
        thread::start_with(|| local::with(Local::suppress));
        Self {
            service: service.into(),
            service_is_fallback: false,
            endpoint: Endpoint::new(),
            #[cfg(feature = "collector")]
            collector: None,
            #[cfg(feature = "collector")]
            timeout: None,
            sender: None,
            reporter: None,
            sampler: None,
            trace_id: TraceIdSize::default(),
            propagation: None,
            server_span: ServerSpan::default(),
            require_parent: false,
            log_bytes: None,
            queue_bytes: None,
            batch_bytes: None,
            linger: Builder::LINGER,
            #[cfg(feature = "spool")]
            spool: None,
            #[cfg(feature = "spool")]
            spool_bytes: None,
            shutdown_deadline: Builder::SHUTDOWN_DEADLINE,
            print_trees: false,
            summary: true,
            on_notice: NoticeHook::default(),
            redaction: None,
        }
    }

    /// As [`new`](Self::new), for a service that `OTEL_SERVICE_NAME` may rename.
    pub(crate) fn with_fallback_name(service: impl Into<String>) -> Self {
        Self { service_is_fallback: true, ..Self::new(service) }
    }

    /// Sends spans to the collector at this URL: the whole one, with `/api/v2/spans`. Default: [`COLLECTOR`](Self::COLLECTOR).
    ///
    /// `https` needs the feature `tls`.
    #[cfg(feature = "collector")]
    pub fn collector(mut self, url: impl Into<String>) -> Self {
        self.collector = Some(url.into());
        self
    }

    /// Limits each step of a request to the collector to this time: to connect, to send, to wait for the answer. Looking up the
    /// host's name takes what the system allows it. Default: [`TIMEOUT`](Self::TIMEOUT). It is not for a
    /// [`sender`](Self::sender) of your own.
    #[cfg(feature = "collector")]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends encoded spans by another transport than HTTP.
    ///
    /// It stays in this process: in a forked child spans are dropped as `ReporterFailed`, with a notice, until that installs
    /// a tracer of its own.
    pub fn sender(mut self, sender: impl Sender) -> Self {
        self.sender = Some(Box::new(sender));
        self
    }

    /// Gives finished spans to a backend of your own instead of a collector.
    ///
    /// It stays in this process, as a [`sender`](Self::sender) does.
    pub fn reporter(mut self, reporter: impl Reporter) -> Self {
        self.reporter = Some(Box::new(reporter));
        self
    }

    /// Decides which new traces are recorded. Default: all.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.sampler = Some(sampler);
        self
    }

    /// Describes this process. What is left out is found: the service's name is the builder's, the IP address the one
    /// that this machine would send from.
    pub fn local_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// Makes trace ids of 64 bits instead of 128, for old systems on the way; a trace's id is then its first span's, too.
    pub fn trace_id_64(mut self) -> Self {
        self.trace_id = TraceIdSize::Bits64;
        self
    }

    /// Reads and writes contexts in these formats, and lets these fields of baggage cross. Default:
    /// [`b3`](Propagation::b3) and [`w3c`](Propagation::w3c), without baggage.
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = Some(propagation);
        self
    }

    /// Whether the span of a server joins the client's or is its child. Default: it [joins](ServerSpan::Joined), as Zipkin
    /// has it.
    pub fn server_span(mut self, server_span: ServerSpan) -> Self {
        self.server_span = server_span;
        self
    }

    /// Never starts a trace by itself: what runs outside of one is not recorded. For libraries and helpers.
    pub fn require_parent(mut self) -> Self {
        self.require_parent = true;
        self
    }

    /// Limits the log of the process, in bytes. Default: [`LOG_BYTES`](Self::LOG_BYTES).
    ///
    /// The log is shared by all tracers of the process: the first one sets its size, and a later one that asks for
    /// another size is an error.
    pub fn log_bytes(mut self, bytes: usize) -> Self {
        self.log_bytes = Some(bytes);
        self
    }

    /// Limits finished spans that wait for the backend, in bytes. Default: [`QUEUE_BYTES`](Self::QUEUE_BYTES).
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = Some(bytes);
        self
    }

    /// Limits one request, in bytes before compression. Default: [`BATCH_BYTES`](Self::BATCH_BYTES), or the whole queue if that is less.
    ///
    /// A span that is larger by itself loses tags and annotations, which are [counted](crate::Stats::cut_tags).
    ///
    /// Zipkin takes 10 MiB. With a spool more than 64 MiB are an error: a batch is one file there, and a longer one is not read
    /// back.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = Some(bytes);
        self
    }

    /// Lets a finished span wait so long for others to share its request with; zero: not at all. Default: [`LINGER`](Self::LINGER).
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// Keeps what cannot be sent in files below this directory until the collector is back, across restarts and kills of the
    /// program. Default: spans wait in memory alone, within [`queue_bytes`](Self::queue_bytes).
    ///
    /// Spans go there when sending has failed twice in a row, when the queue is half full, and when a shutdown gives up; the
    /// oldest are sent first, whoever recorded them, unless a flush waits for this tracer's own. A batch is on the disk,
    /// synced, before it counts as [`spooled`](crate::Tally::spooled): a kill loses what was in memory alone, and repeats one
    /// batch at most. What a collector refuses for good (401, 403, 404) is kept, too, for somebody to set it right. A program
    /// sends what others left while it runs, and its end does not wait for that: the rest is the next one's.
    ///
    /// Any number of tracers and processes may share the directory: each makes a folder of its own there when it has something
    /// to keep, and adopts those whose tracers are gone, at its start and once a minute. The directory is made when it is missing,
    /// for this user alone. One that cannot be written is one notice and a count, and spans wait in memory. It has to be on a
    /// disk that keeps locks (`flock`), owners and modes: not every network file system does.
    ///
    /// Other programs and users may use the directory, too. Only folders that are this user's and that nobody else may write to
    /// are touched, and nothing in them that is not called as a batch is. Still they may take a folder away where the system lets
    /// them: a directory that every user may write to without the sticky bit is an error, and with it, as `/tmp` is, or when it
    /// is another user's or group's, a notice. A batch whose file somebody removed counts as
    /// [`SpoolDamaged`](crate::DropReason::SpoolDamaged).
    ///
    /// It is for a collector or a [`sender`](Self::sender): together with a [`reporter`](Self::reporter) it is an error, and so
    /// it is with [`batch_bytes`](Self::batch_bytes) of more than 64 MiB.
    #[cfg(feature = "spool")]
    pub fn spool(mut self, directory: impl Into<PathBuf>) -> Self {
        self.spool = Some(directory.into());
        self
    }

    /// Limits the files in the spool, in bytes: this tracer's own, those it adopted, those that were set aside (`*.bad`), and
    /// those that only another release of traced can read. Default: [`SPOOL_BYTES`](Self::SPOOL_BYTES). Beyond it files that
    /// are not to be sent are removed, the oldest first, then the oldest spans are dropped, but for the batch that is being sent:
    /// in a long outage the latest say what is wrong. Room is made when a batch is written: until then what was adopted may be
    /// beyond it.
    ///
    /// It has to hold two batches, each with one block of 4 KiB more and in whole blocks: 1,056,768 bytes where
    /// [`batch_bytes`](Self::batch_bytes) is the default. Less is an error.
    #[cfg(feature = "spool")]
    pub fn spool_bytes(mut self, bytes: u64) -> Self {
        self.spool_bytes = Some(bytes);
        self
    }

    /// Lets the end of the program wait so long for spans to be sent. Default: [`SHUTDOWN_DEADLINE`](Self::SHUTDOWN_DEADLINE).
    pub fn shutdown_deadline(mut self, time: Duration) -> Self {
        self.shutdown_deadline = time;
        self
    }

    /// Prints each finished trace to standard error, as a tree, beside sending it. For development.
    ///
    /// ```text
    /// trace 4e441824…53df3 · 48.2 ms · 4 spans · 2 services · 1 error
    ///                                                    0             48.2 ms
    ///   callGet               client         C  48.2 ms  █░░░░░░░░░░░░░░░░░░░█
    ///   └─ cache.Get          cache-service  S  45.1 ms  ██░░░░░░░░░░░░░░░░███
    ///      ├─ cache::lookup   cache-service      900 µs  ██                     @ cache miss
    /// ✗    └─ db::query_user  cache-service  C  39.0 ms   ██████████████████
    ///         error: deadlock found when trying to get lock
    /// critical path  db::query_user 39.0 ms 81% · cache.Get 5.2 ms 11% · callGet 3.1 ms 6%
    /// open  http://localhost:9411/zipkin/traces/4e441824ec2b6a44ffdc9bb9a6453df3
    /// ```
    ///
    /// A row is a span: its name, its service where there are several, its kind (`C` client, `S` server, `P` producer, `K`
    /// consumer), how long it took, when it ran, and of its tags and annotations what fits. A bar is `█` where the span
    /// held up the whole trace, the *critical path*, and `░` elsewhere. In the margin stands how it ended: `✗` with an error, `!`
    /// panicked, `⊘` cancelled, `…` unfinished. An error's text stands below the span that it came from. Four or more
    /// siblings that are alike are one row, `db::query ×48`, with their times added up. The link is there when a Zipkin
    /// collector has accepted the trace; it may follow its tree as a line of its own. The first one is asked for before, by the
    /// thread that sends: a collector that shows no traces, as Jaeger's, gets no links.
    ///
    /// A tree is printed when the root of its trace in this process has ended: what ends later follows as a tree marked
    /// *late*, what waits in vain is printed at the end of the program, or when 16 MiB are waiting, marked *incomplete*.
    /// Beyond ten traces in a second they are summed up by the names of their roots; of a tree 200 rows are shown, what
    /// failed among them, and the rest is a number.
    ///
    /// The tree is as wide as the terminal, or as `COLUMNS` says, from 40 columns to 200; elsewhere 100. Colours, one hue
    /// for a service, are used in a terminal, and as `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE` say. A locale without UTF-8, or
    /// `TRACED_TREE=ascii`, gets ASCII. Whatever would do something to a terminal is escaped.
    #[cfg(feature = "tree")]
    pub fn print_trees(mut self) -> Self {
        self.print_trees = true;
        self
    }

    /// Whether the end of an [`Installed`](crate::Installed) tracer prints a line about what was sent and dropped. Default: yes.
    pub fn summary(mut self, print: bool) -> Self {
        self.summary = print;
        self
    }

    /// Calls this with what would be printed to standard error: trouble with the backend, and its end.
    ///
    /// It is called on the tracer's own threads, and once from `install` or `build` for each malformed environment
    /// variable.
    pub fn on_notice(mut self, hook: impl Fn(&Notice) + Send + Sync + 'static) -> Self {
        self.on_notice = NoticeHook::new(hook);
        self
    }

    /// Calls this with every span before it leaves the process, by whatever backend, unfinished ones included: to remove
    /// or replace what must stay inside.
    ///
    /// It runs on the tracer's own thread, once for each span; with [`print_trees`](Self::print_trees) once more. It may
    /// block: meanwhile spans wait in the queue. Where it panics the span is dropped, and counted as `RedactionFailed`.
    ///
    /// ```
    /// use traced_runtime::Tracer;
    ///
    /// let _tracing = Tracer::builder("svc")
    ///     .redact(|span| {
    ///         span.retain_tags(|key, _| !key.contains("password"));
    ///         span.replace_texts(|text| text.contains('@').then(|| "an address".to_owned()));
    ///     })
    ///     .install()?;
    /// # Ok::<(), traced_runtime::ConfigError>(())
    /// ```
    pub fn redact(mut self, hook: impl Fn(&mut SpanRecord) + Send + Sync + 'static) -> Self {
        self.redaction = Some(Redaction::new(hook));
        self
    }

    /// Resolves against the process's environment.
    pub(crate) fn settings(self) -> Result<Settings, ConfigError> {
        self.settings_in(&|variable| std::env::var_os(variable))
    }

    /// Resolves against these environment variables.
    pub(crate) fn settings_in(self, lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Settings, ConfigError> {
        let mut environment = Environment::new(lookup);

        let service = self.service_is_fallback.then(|| environment.service_name()).flatten().unwrap_or(self.service);
        let endpoint = local_endpoint(self.endpoint, service)?;

        let sampler = self.sampler.or_else(|| environment.sampler()).unwrap_or(Sampler::always());
        sampler.validate().map_err(|NoRatio { share }| Kind::Ratio { share })?;

        let backend = match (self.sender, self.reporter) {
            (None, None) => Backend::Nowhere,
            (Some(sender), None) => Backend::Sender(sender),
            (None, Some(reporter)) => Backend::Reporter(reporter),
            (Some(_), Some(_)) => {
                return Err(Kind::TwoBackends { first: "reporter()", second: "sender()" }.into());
            }
        };
        #[cfg(feature = "collector")]
        let backend = or_collector(backend, self.collector, self.timeout, &mut environment)?;

        let from_environment = environment.propagators();
        let propagation = self
            .propagation
            .or_else(|| from_environment.map(|formats| Propagation::of_formats(&formats)))
            .unwrap_or_default();
        if let Some(problem) = propagation.problem() {
            return Err(Kind::Baggage { problem }.into());
        }

        let log_bytes = self.log_bytes.map(|bytes| not_zero("log_bytes", bytes)).transpose()?;
        let queue_bytes = not_zero("queue_bytes", self.queue_bytes.unwrap_or(Builder::QUEUE_BYTES))?;
        let batch_bytes = not_zero("batch_bytes", self.batch_bytes.unwrap_or(Builder::BATCH_BYTES.min(queue_bytes)))?;
        if batch_bytes > queue_bytes {
            return Err(Kind::BatchOverQueue { batch: batch_bytes, queue: queue_bytes }.into());
        }

        #[cfg(feature = "spool")]
        let spool = spool_settings(&backend, self.spool, self.spool_bytes, batch_bytes, &mut environment)?;
        #[cfg(not(feature = "spool"))]
        environment.no_spool();

        Ok(Settings {
            endpoint,
            backend,
            sampler,
            trace_id: self.trace_id,
            require_parent: self.require_parent,
            log_bytes,
            queue_bytes,
            batch_bytes,
            linger: not_too_long("linger", self.linger)?,
            #[cfg(feature = "spool")]
            spool,
            shutdown_deadline: not_too_long("shutdown_deadline", self.shutdown_deadline)?,
            print_trees: self.print_trees || environment.print_trees(),
            summary: self.summary,
            on_notice: self.on_notice,
            redaction: self.redaction,
            disabled: environment.disabled(),
            crossing: Crossing { propagation, server_span: self.server_span },
            warnings: environment.into_warnings(),
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("service", &self.service).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use std::net::Ipv4Addr;

    use super::*;
    use crate::propagation::Format;
    use crate::reporter::backend::ReportError;
    use crate::reporter::send::SendError;
    use crate::tracer::env;

    struct Nothing;
    impl Reporter for Nothing {
        fn report(&mut self, _: &[SpanRecord]) -> Result<(), ReportError> {
            Ok(())
        }
    }
    impl Sender for Nothing {
        fn send(&mut self, _: &[u8]) -> Result<(), SendError> {
            Ok(())
        }
    }

    fn resolve(builder: Builder, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        builder.settings_in(&|name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
        })
    }

    fn builder() -> Builder {
        Builder::new("shop")
    }

    fn settings(builder: Builder) -> Settings {
        resolve(builder, &[]).unwrap()
    }

    fn error(builder: Builder) -> String {
        resolve(builder, &[]).unwrap_err().to_string()
    }

    #[cfg(feature = "collector")]
    fn collector(settings: &Settings) -> (&str, Duration) {
        match &settings.backend {
            Backend::Collector { url, timeout } => (url, *timeout),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let settings = settings(builder());
        assert_eq!(settings.endpoint.service_name(), Some("shop"));
        assert!(settings.endpoint.ip_addr().is_some_and(|ip| !ip.is_unspecified()));
        assert_eq!(settings.endpoint.port_number(), None);
        assert_eq!(settings.sampler.boundary(), Some(u64::MAX));
        assert_eq!(settings.trace_id, TraceIdSize::Bits128);
        assert_eq!(settings.log_bytes, None);
        assert_eq!((settings.queue_bytes, settings.batch_bytes), (4 << 20, 512 << 10));
        assert_eq!((settings.linger, settings.shutdown_deadline), (Builder::LINGER, Builder::SHUTDOWN_DEADLINE));
        assert!(settings.summary && !settings.print_trees && !settings.require_parent && !settings.disabled);
        assert_eq!(settings.crossing.propagation, Propagation::b3().and(Propagation::w3c()));
        assert_eq!(settings.crossing.server_span, ServerSpan::Joined);
        assert_eq!(settings.warnings, vec![]);
    }

    #[test]
    fn what_is_set_is_kept() {
        let settings = settings(
            builder()
                .sampler(Sampler::never())
                .local_endpoint(Endpoint::new().ip(Ipv4Addr::new(10, 0, 0, 7).into()).port(8080))
                .trace_id_64()
                .require_parent()
                .log_bytes(1 << 20)
                .queue_bytes(2 << 20)
                .batch_bytes(3 << 10)
                .linger(Duration::ZERO)
                .shutdown_deadline(Duration::ZERO)
                .print_trees()
                .summary(false)
                .reporter(Nothing),
        );
        let endpoint = Endpoint::named("shop").ip(Ipv4Addr::new(10, 0, 0, 7).into()).port(8080);
        assert_eq!(settings.endpoint, endpoint);
        assert_eq!(settings.sampler.boundary(), Some(0));
        assert_eq!(settings.trace_id, TraceIdSize::Bits64);
        assert_eq!(settings.log_bytes, Some(1 << 20));
        assert_eq!((settings.queue_bytes, settings.batch_bytes), (2 << 20, 3 << 10));
        assert_eq!((settings.linger, settings.shutdown_deadline), (Duration::ZERO, Duration::ZERO));
        assert!(!settings.summary && settings.print_trees && settings.require_parent);
        assert!(matches!(settings.backend, Backend::Reporter(_)));
    }

    #[test]
    fn the_environment_beats_the_defaults() {
        let variables = [
            (env::SAMPLER, "always_off"),
            (env::TREE, "1"),
            (env::DISABLED, "true"),
            (env::PROPAGATORS, "b3"),
            (env::SERVICE_NAME, "renamed"),
        ];
        let settings = resolve(builder(), &variables).unwrap();
        assert_eq!(settings.sampler.boundary(), Some(0));
        assert!(settings.print_trees && settings.disabled);
        assert_eq!(settings.crossing.propagation, Propagation::of_formats(&[Format::B3Single]));
        assert_eq!(settings.endpoint.service_name(), Some("shop"), "the builder's name is explicit");
        let settings = resolve(Builder::with_fallback_name("shop"), &variables).unwrap();
        assert_eq!(settings.endpoint.service_name(), Some("renamed"));
        let settings = resolve(Builder::with_fallback_name("shop"), &[]).unwrap();
        assert_eq!(settings.endpoint.service_name(), Some("shop"));
    }

    #[test]
    fn malformed_variables_are_told_once_if_they_are_used() {
        let variables = [(env::SAMPLER, "sometimes"), (env::TREE, "maybe")];
        let settings = resolve(builder(), &variables).unwrap();
        assert_eq!(settings.sampler.boundary(), Some(u64::MAX));
        assert_eq!(settings.warnings.len(), 2);
        let settings = resolve(builder().sampler(Sampler::never()).print_trees(), &variables).unwrap();
        assert_eq!(settings.warnings, []);
    }

    #[cfg(feature = "collector")]
    #[test]
    fn the_collector_is_the_builders_the_environments_or_the_default() {
        let variables = [(env::ENDPOINT, "http://zipkin/e"), (env::REQUEST_TIMEOUT, "50")];
        assert_eq!(collector(&settings(builder())), (Builder::COLLECTOR, Builder::TIMEOUT));
        assert_eq!(collector(&resolve(builder(), &variables).unwrap()), ("http://zipkin/e", Duration::from_millis(50)));
        let explicit = builder().collector("http://zipkin/b").timeout(Duration::from_secs(1));
        assert_eq!(collector(&resolve(explicit, &variables).unwrap()), ("http://zipkin/b", Duration::from_secs(1)));
        let malformed = resolve(builder(), &[(env::ENDPOINT, "http://user:secret@")]).unwrap();
        assert_eq!(collector(&malformed), (Builder::COLLECTOR, Builder::TIMEOUT));
        assert_eq!(malformed.warnings.len(), 1);
        assert!(!malformed.warnings[0].to_string().contains("secret"));
        // Not used, so not complained about.
        let own = resolve(builder().reporter(Nothing), &[(env::ENDPOINT, "nonsense")]).unwrap();
        assert_eq!(own.warnings, []);
    }

    #[cfg(feature = "collector")]
    #[test]
    fn a_url_that_cannot_be_used_is_an_error_without_its_secrets() {
        let message = error(builder().collector("ftp://user:secret@zipkin/?key=secret"));
        assert!(message.starts_with("cannot send spans: the collector's URL "), "{message}");
        assert!(message.contains("zipkin") && !message.contains("secret"), "{message}");
        let shown = format!("{:?}", settings(builder().collector("http://user:secret@zipkin")));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn spans_go_to_one_place() {
        let both = error(builder().sender(Nothing).reporter(Nothing));
        assert!(both.contains("both reporter() and sender()"), "{both}");
        #[cfg(feature = "collector")]
        {
            let both = error(builder().collector(Builder::COLLECTOR).reporter(Nothing));
            assert!(both.contains("both reporter() and collector()"), "{both}");
            let both = error(builder().collector(Builder::COLLECTOR).sender(Nothing));
            assert!(both.contains("both sender() and collector()"), "{both}");
        }
        assert!(matches!(settings(builder().sender(Nothing)).backend, Backend::Sender(_)));
    }

    #[cfg(feature = "spool")]
    #[test]
    fn the_spool_is_the_builders_or_the_environments() {
        let variables = [(env::SPOOL, "/var/spool/e")];
        let directory = |settings: Settings| settings.spool.map(|spool| (spool.directory, spool.bytes));
        assert_eq!(directory(settings(builder())), None);
        let some = |path: &str, bytes| Some((PathBuf::from(path), bytes));
        assert_eq!(directory(resolve(builder(), &variables).unwrap()), some("/var/spool/e", Builder::SPOOL_BYTES));
        let explicit = builder().spool("/var/spool/b").spool_bytes(2 << 20);
        assert_eq!(directory(resolve(explicit, &variables).unwrap()), some("/var/spool/b", 2 << 20));
        let relative = directory(settings(builder().spool("here"))).unwrap().0;
        assert!(relative.is_absolute() && relative.ends_with("here"), "{relative:?}");
        // Of no use, so not complained about; together in the program they are a mistake.
        assert_eq!(directory(resolve(builder().reporter(Nothing), &variables).unwrap()), None);
        let both = error(builder().reporter(Nothing).spool("/x"));
        assert!(both.contains("with both reporter() and spool()"), "{both}");
        assert!(error(builder().spool("")).contains("spool(\"\")"));
        let small = error(builder().spool("/x").spool_bytes(1 << 20));
        assert!(small.contains("spool_bytes(1048576)"), "{small}");
    }

    /// Somebody could take its folders away, or wait for spans where they are expected.
    #[cfg(all(unix, feature = "spool"))]
    #[test]
    fn a_directory_that_everybody_may_write_to_is_no_spool_without_the_sticky_bit() {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (path, inside) = (directory.path(), directory.path().join("mine"));
        let problem = "every user may move and remove what is in it (mode 0777); give a directory inside it, which is made for \
                       this user alone, or let others not write to it (chmod o-w)";
        let mode = |mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        let told = error(builder().spool(path));
        assert_eq!(told, format!("cannot build a tracer with spool({path:?}): {problem}"));
        let variables = [(env::SPOOL, path.to_str().unwrap())];
        let without = resolve(builder(), &variables).unwrap();
        assert!(without.spool.is_none());
        let warning = without.warnings[0].to_string();
        assert_eq!(warning, format!("cannot use TRACED_SPOOL={path:?}: {problem}; spans wait in memory alone"));
        // Nothing is said where it is of no use.
        assert_eq!(resolve(builder().reporter(Nothing), &variables).unwrap().warnings, []);
        assert!(settings(builder().spool(&inside)).spool.is_some(), "one that is to be made in it");
        for used in [0o1777, 0o770, 0o700] {
            mode(used);
            assert!(settings(builder().spool(path)).spool.is_some(), "{used:o}");
        }
    }

    /// What is written to the spool can be read back: a body as long as its bound can, and one byte more cannot.
    #[cfg(feature = "spool")]
    #[test]
    fn a_batch_is_no_longer_than_a_file_of_the_spool() {
        const LONGEST: usize = 64 << 20;
        let batches = |bytes| builder().queue_bytes(2 * LONGEST).batch_bytes(bytes);
        let longest = settings(batches(LONGEST).spool("/x"));
        assert_eq!((longest.batch_bytes, longest.spool.is_some()), (LONGEST, true));
        assert_eq!(
            error(batches(LONGEST + 1).spool("/x")),
            "cannot build a tracer with batch_bytes(67108865) and a spool: a batch is one file there, and the longest \
             that is read back holds 67108864; give at most 67108864, or leave the spool out"
        );
        assert_eq!(settings(batches(LONGEST + 1)).batch_bytes, LONGEST + 1);
    }

    #[cfg(not(feature = "spool"))]
    #[test]
    fn a_spool_that_is_not_compiled_in_is_told() {
        let settings = resolve(builder(), &[(env::SPOOL, "/var/spool/e")]).unwrap();
        assert!(settings.warnings[0].to_string().contains("feature `spool`"), "{:?}", settings.warnings);
    }

    #[test]
    fn a_service_needs_a_name_that_storage_takes() {
        assert!(error(Builder::new("")).contains("for the service \"\""));
        assert!(error(Builder::new("x".repeat(256))).contains("256 bytes"));
        let named = builder().local_endpoint(Endpoint::named("other"));
        assert_eq!(settings(named).endpoint.service_name(), Some("other"));
    }

    #[test]
    fn bounds_are_checked() {
        assert!(error(builder().log_bytes(0)).contains("log_bytes(0)"));
        assert!(error(builder().queue_bytes(0)).contains("queue_bytes(0)"));
        assert!(error(builder().batch_bytes(0)).contains("batch_bytes(0)"));
        assert!(error(builder().linger(Duration::MAX)).contains("the longest is 3600s"));
        assert!(error(builder().shutdown_deadline(Duration::MAX)).contains("shutdown_deadline("));
        #[cfg(feature = "collector")]
        {
            assert!(error(builder().timeout(Duration::ZERO)).contains("timeout(0)"));
            assert!(error(builder().timeout(Duration::MAX)).contains("timeout("));
        }
        let large = error(builder().batch_bytes(8 << 20));
        assert!(large.contains("batch_bytes(8388608) and queue_bytes(4194304)"), "{large}");
        assert!(error(builder().sampler(Sampler::ratio(f64::NAN))).contains("Sampler::ratio(NaN)"));
        // A small queue is enough said.
        assert_eq!(settings(builder().queue_bytes(1000)).batch_bytes, 1000);
    }
}
