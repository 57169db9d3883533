//! Settings from environment variables: [OpenTelemetry's names][otel] where it has one.
//!
//! [otel]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/

use std::ffi::OsString;
use std::fmt;
#[cfg(feature = "spool")]
use std::path::{Path, PathBuf};
#[cfg(feature = "collector")]
use std::time::Duration;

use crate::model::redacted::redacted;
use crate::propagation::Format;
use crate::recorder::sampler::Sampler;
use crate::tracer::builder::Builder;
use crate::tracer::error::quoted;
#[cfg(feature = "collector")]
use crate::tracer::settings::check_collector;

/// The service's name.
pub(crate) const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
/// The collector's whole URL.
#[cfg(any(test, feature = "collector"))]
pub(crate) const ENDPOINT: &str = "OTEL_EXPORTER_ZIPKIN_ENDPOINT";
/// Milliseconds that a request to the collector may take.
#[cfg(any(test, feature = "collector"))]
pub(crate) const REQUEST_TIMEOUT: &str = "OTEL_EXPORTER_ZIPKIN_TIMEOUT";
/// Which new traces are recorded.
pub(crate) const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
/// The ratio of a ratio sampler.
pub(crate) const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
/// `true`: nothing is recorded.
pub(crate) const DISABLED: &str = "OTEL_SDK_DISABLED";
/// The headers that carry a trace from process to process.
pub(crate) const PROPAGATORS: &str = "OTEL_PROPAGATORS";
/// The directory in which spans wait that cannot be sent. A name of our own, too.
pub(crate) const SPOOL: &str = "TRACED_SPOOL";
/// `1` or `ascii`: each finished trace is printed. A name of our own: there is no standard one.
pub(crate) const TREE: &str = "TRACED_TREE";

/// What becomes of spans when the environment names a spool that is not used.
const NO_SPOOL: &str = "spans wait in memory alone";

/// Reads variables one at a time, so that those which the program has decided itself are neither read nor
/// complained about. An empty value is no value.
pub(crate) struct Environment<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    warnings: Vec<Warning>,
}

impl<'a> Environment<'a> {
    /// `lookup` is `std::env::var_os`, except in tests.
    pub(crate) fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { lookup, warnings: Vec::new() }
    }

    /// What was malformed, one for each variable.
    pub(crate) fn into_warnings(self) -> Vec<Warning> {
        self.warnings
    }

    /// `OTEL_SERVICE_NAME`, if storage takes it.
    pub(crate) fn service_name(&mut self) -> Option<String> {
        const FALLBACK: &str = "the program's name is used";
        let name = self.value(SERVICE_NAME, FALLBACK)?;
        if name.len() <= Builder::SERVICE_NAME_BYTES {
            return Some(name);
        }
        let problem = format!("it is longer than {} bytes", Builder::SERVICE_NAME_BYTES);
        self.warn(SERVICE_NAME, &name, problem, FALLBACK)
    }

    /// `OTEL_EXPORTER_ZIPKIN_ENDPOINT`, if spans can be sent there.
    #[cfg(feature = "collector")]
    pub(crate) fn endpoint(&mut self) -> Option<String> {
        let fallback = format!("{} is used", Builder::COLLECTOR);
        let url = self.value(ENDPOINT, &fallback)?;
        match check_collector(&url) {
            Ok(()) => Some(url),
            Err(problem) => self.warn(ENDPOINT, &redacted(&url), problem, fallback),
        }
    }

    /// `OTEL_EXPORTER_ZIPKIN_TIMEOUT`: whole milliseconds.
    #[cfg(feature = "collector")]
    pub(crate) fn timeout(&mut self) -> Option<Duration> {
        let fallback = format!("{:?} is used", Builder::TIMEOUT);
        let text = self.value(REQUEST_TIMEOUT, &fallback)?;
        let timeout = text.parse().ok().map(Duration::from_millis);
        match timeout.filter(|timeout| !timeout.is_zero() && *timeout <= Builder::LONGEST) {
            Some(timeout) => Some(timeout),
            None => {
                let problem = format!("it is not a number of milliseconds from 1 to {}", Builder::LONGEST.as_millis());
                self.warn(REQUEST_TIMEOUT, &text, problem, fallback)
            }
        }
    }

    /// `OTEL_TRACES_SAMPLER` with `OTEL_TRACES_SAMPLER_ARG`.
    ///
    /// With and without `parentbased_` are the same here: a decision made upstream is always followed, and the sampler
    /// is asked for new traces alone.
    pub(crate) fn sampler(&mut self) -> Option<Sampler> {
        const KNOWN: &str = "it is none of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, \
             parentbased_traceidratio";
        const FALLBACK: &str = "every new trace is recorded";
        let name = self.value(SAMPLER, FALLBACK)?;
        let lower = name.to_ascii_lowercase();
        match lower.strip_prefix("parentbased_").unwrap_or(&lower) {
            "always_on" => Some(Sampler::always()),
            "always_off" => Some(Sampler::never()),
            "traceidratio" => Some(Sampler::ratio(self.ratio(FALLBACK).unwrap_or(1.0))),
            _ => self.warn(SAMPLER, &name, KNOWN, FALLBACK),
        }
    }

    fn ratio(&mut self, fallback: &str) -> Option<f64> {
        let text = self.value(SAMPLER_ARG, fallback)?;
        match text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)) {
            Some(ratio) => Some(ratio),
            None => self.warn(SAMPLER_ARG, &text, "it is not a number from 0.0 to 1.0", fallback),
        }
    }

    /// `OTEL_SDK_DISABLED`: `true` in any case.
    pub(crate) fn disabled(&mut self) -> bool {
        let Some(text) = self.value(DISABLED, "traces are recorded") else { return false };
        match text.to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => {
                self.warn::<()>(DISABLED, &text, "it is neither true nor false", "traces are recorded");
                false
            }
        }
    }

    /// `OTEL_PROPAGATORS`: names separated by commas, in order, each once. `none` is an empty list.
    pub(crate) fn propagators(&mut self) -> Option<Vec<Format>> {
        const FALLBACK: &str = "the default is used";
        let list = self.value(PROPAGATORS, FALLBACK)?;
        let (mut known, mut unknown, mut none) = (Vec::new(), Vec::new(), false);
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match (format_of(name), name.eq_ignore_ascii_case("none")) {
                (Some(propagator), _) if known.contains(&propagator) => {}
                (Some(propagator), _) => known.push(propagator),
                (None, true) => none = true,
                (None, false) => unknown.push(name),
            }
        }
        let usable = none || !known.is_empty();
        if !unknown.is_empty() {
            let problem = format!("{} is none of b3, b3multi, tracecontext, baggage, none", unknown.join(", "));
            self.warn::<()>(PROPAGATORS, &list, problem, if usable { "the others are used" } else { FALLBACK });
        }
        usable.then_some(known)
    }

    /// `TRACED_SPOOL`, unless there is a reason against the directory. A path need not be UTF-8.
    #[cfg(feature = "spool")]
    pub(crate) fn spool(&mut self, refusal: impl FnOnce(&Path) -> Option<String>) -> Option<PathBuf> {
        let directory = (self.lookup)(SPOOL).filter(|directory| !directory.is_empty()).map(PathBuf::from)?;
        match refusal(&directory) {
            Some(problem) => self.warn(SPOOL, &directory.to_string_lossy(), problem, NO_SPOOL),
            None => Some(directory),
        }
    }

    /// Tells that `TRACED_SPOOL` does nothing in this build.
    #[cfg(not(feature = "spool"))]
    pub(crate) fn no_spool(&mut self) {
        if let Some(directory) = self.value(SPOOL, NO_SPOOL) {
            self.warn::<()>(SPOOL, &directory, "it needs the feature `spool` of traced-runtime", NO_SPOOL);
        }
    }

    /// `TRACED_TREE`.
    pub(crate) fn print_trees(&mut self) -> bool {
        let Some(text) = self.value(TREE, "no trees are printed") else { return false };
        if cfg!(not(feature = "tree")) && text != "0" {
            self.warn::<()>(TREE, &text, "it needs the feature `tree` of traced-runtime", "no trees are printed");
            return false;
        }
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "ascii" => true,
            "0" | "false" => false,
            _ => {
                self.warn::<()>(TREE, &text, "it is none of 1, ascii, 0", "no trees are printed");
                false
            }
        }
    }

    /// A variable's value without white space around it; `None` when nothing is left.
    fn value(&mut self, variable: &'static str, fallback: &str) -> Option<String> {
        let value = (self.lookup)(variable)?;
        match value.to_str().map(str::trim) {
            Some("") => None,
            Some(value) => Some(value.to_owned()),
            None => self.warn(variable, &redacted(&value.to_string_lossy()), "it is not UTF-8", fallback),
        }
    }

    fn warn<T>(
        &mut self,
        variable: &'static str,
        value: &str,
        problem: impl fmt::Display,
        fallback: impl Into<String>,
    ) -> Option<T> {
        let (value, problem) = (quoted(value).to_string(), problem.to_string());
        self.warnings.push(Warning { variable, value, problem, fallback: fallback.into() });
        None
    }
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("warnings", &self.warnings).finish_non_exhaustive()
    }
}

/// A malformed variable, and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    variable: &'static str,
    /// As it is shown: quoted, without credentials.
    value: String,
    problem: String,
    fallback: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use {}={}: {}; {}", self.variable, self.value, self.problem, self.fallback)
    }
}

/// A format, as `OTEL_PROPAGATORS` names it.
fn format_of(name: &str) -> Option<Format> {
    match name.to_ascii_lowercase().as_str() {
        "b3" => Some(Format::B3Single),
        "b3multi" => Some(Format::B3Multi),
        "tracecontext" => Some(Format::TraceContext),
        "baggage" => Some(Format::Baggage),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads with these variables set; gives the result and the warnings as text.
    fn read<T>(variables: &[(&str, &str)], read: impl FnOnce(&mut Environment<'_>) -> T) -> (T, Vec<String>) {
        let lookup = |name: &str| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
        };
        let mut environment = Environment::new(&lookup);
        let result = read(&mut environment);
        (result, environment.into_warnings().iter().map(ToString::to_string).collect())
    }

    fn quiet<T>(result: T) -> (T, Vec<String>) {
        (result, Vec::new())
    }

    #[test]
    fn unset_and_empty_are_the_same() {
        for value in [None, Some(""), Some(" \t")] {
            let variables: Vec<_> = [SERVICE_NAME, ENDPOINT, REQUEST_TIMEOUT, SAMPLER, DISABLED, PROPAGATORS, TREE]
                .into_iter()
                .filter_map(|variable| Some((variable, value?)))
                .collect();
            let all = |environment: &mut Environment<'_>| {
                (
                    environment.service_name(),
                    environment.sampler().map(|_| ()),
                    environment.disabled(),
                    environment.propagators(),
                    environment.print_trees(),
                )
            };
            #[cfg(feature = "collector")]
            assert_eq!(
                read(&variables, |environment| (environment.endpoint(), environment.timeout())),
                quiet((None, None))
            );
            assert_eq!(read(&variables, all), quiet((None, None, false, None, false)));
        }
    }

    #[test]
    fn a_service_name_is_as_long_as_storage_takes() {
        let name = |name: &str| read(&[(SERVICE_NAME, name)], |environment| environment.service_name());
        assert_eq!(name(" shop "), quiet(Some("shop".to_owned())));
        assert_eq!(name(&"x".repeat(255)).0.map(|name| name.len()), Some(255));
        let (name, warnings) = name(&"x".repeat(256));
        assert_eq!(name, None);
        assert!(warnings[0].ends_with("…: it is longer than 255 bytes; the program's name is used"), "{warnings:?}");
    }

    #[cfg(feature = "collector")]
    #[test]
    fn an_endpoint_is_taken_as_it_is_or_not_at_all() {
        let endpoint = |url| read(&[(ENDPOINT, url)], |environment| environment.endpoint());
        assert_eq!(endpoint(" http://zipkin:9411/x "), quiet(Some("http://zipkin:9411/x".to_owned())));
        let (url, warnings) = endpoint("user:secret@zipkin:9411");
        assert_eq!((url, warnings.len()), (None, 1));
        let warning = &warnings[0];
        assert!(warning.starts_with("cannot use OTEL_EXPORTER_ZIPKIN_ENDPOINT=\"***@zipkin:9411\": "), "{warning}");
        assert!(warning.ends_with("; http://localhost:9411/api/v2/spans is used"), "{warning}");
        assert!(!warning.contains("secret"), "{warning}");
    }

    #[cfg(feature = "collector")]
    #[test]
    fn a_timeout_is_whole_milliseconds() {
        let timeout = |text| read(&[(REQUEST_TIMEOUT, text)], |environment| environment.timeout());
        assert_eq!(timeout("250"), quiet(Some(Duration::from_millis(250))));
        assert_eq!(timeout("3600000"), quiet(Some(Builder::LONGEST)));
        for malformed in ["0", "-1", "10s", "1.5", "3600001", "99999999999999999999999"] {
            let message = format!(
                "cannot use OTEL_EXPORTER_ZIPKIN_TIMEOUT=\"{malformed}\": it is not a number of milliseconds from 1 to 3600000; \
                 10s is used"
            );
            assert_eq!(timeout(malformed), (None, vec![message]));
        }
    }

    #[test]
    fn samplers_are_parent_based_whatever_their_name() {
        fn sampler(name: &str, arg: &str) -> (Option<u64>, Vec<String>) {
            let variables = [(SAMPLER, name), (SAMPLER_ARG, arg)];
            read(&variables, |environment| environment.sampler().and_then(|sampler| sampler.boundary()))
        }
        for prefix in ["", "parentbased_"] {
            assert_eq!(sampler(&format!("{prefix}always_on"), "x"), quiet(Some(u64::MAX)));
            assert_eq!(sampler(&format!("{prefix}ALWAYS_OFF"), "x"), quiet(Some(0)));
            assert_eq!(sampler(&format!("{prefix}traceidratio"), "0.5"), quiet(Some(1 << 63)));
            assert_eq!(sampler(&format!("{prefix}traceidratio"), ""), quiet(Some(u64::MAX)));
        }
        for malformed in ["1.5", "-0.1", "NaN", "half"] {
            let message = format!(
                "cannot use OTEL_TRACES_SAMPLER_ARG=\"{malformed}\": it is not a number from 0.0 to 1.0; every new trace is \
                 recorded"
            );
            assert_eq!(sampler("traceidratio", malformed), (Some(u64::MAX), vec![message]));
        }
        let message = "cannot use OTEL_TRACES_SAMPLER=\"jaeger_remote\": it is none of always_on, always_off, traceidratio, \
                       parentbased_always_on, parentbased_always_off, parentbased_traceidratio; every new trace is recorded";
        assert_eq!(sampler("jaeger_remote", "x"), (None, vec![message.to_owned()]));
    }

    #[test]
    fn only_true_disables() {
        let disabled = |text| read(&[(DISABLED, text)], |environment| environment.disabled());
        assert_eq!(disabled("TRUE"), quiet(true));
        assert_eq!(disabled("False"), quiet(false));
        let message = "cannot use OTEL_SDK_DISABLED=\"1\": it is neither true nor false; traces are recorded";
        assert_eq!(disabled("1"), (false, vec![message.to_owned()]));
    }

    #[test]
    fn propagators_are_remembered_in_order_and_once() {
        use Format::{B3Multi, B3Single, Baggage, TraceContext};
        let propagators = |list| read(&[(PROPAGATORS, list)], |environment| environment.propagators());
        assert_eq!(propagators("tracecontext, Baggage,,b3"), quiet(Some(vec![TraceContext, Baggage, B3Single])));
        assert_eq!(propagators("b3multi,b3multi"), quiet(Some(vec![B3Multi])));
        assert_eq!(propagators("none"), quiet(Some(vec![])));
        let message = |list, unknown, fallback| {
            vec![format!(
                "cannot use OTEL_PROPAGATORS=\"{list}\": {unknown} is none of b3, b3multi, tracecontext, baggage, none; {fallback}"
            )]
        };
        assert_eq!(
            propagators("xray,b3,jaeger"),
            (Some(vec![B3Single]), message("xray,b3,jaeger", "xray, jaeger", "the others are used"))
        );
        assert_eq!(propagators("xray"), (None, message("xray", "xray", "the default is used")));
    }

    #[test]
    fn trees_are_printed_when_asked_for() {
        let tree = |text| read(&[(TREE, text)], |environment| environment.print_trees());
        assert_eq!(tree("1"), quiet(true));
        assert_eq!(tree("true"), quiet(true));
        assert_eq!(tree("ascii"), quiet(true));
        assert_eq!(tree("0"), quiet(false));
        let message = "cannot use TRACED_TREE=\"yes\": it is none of 1, ascii, 0; no trees are printed";
        assert_eq!(tree("yes"), (false, vec![message.to_owned()]));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_not_utf_8_is_malformed() {
        use std::os::unix::ffi::OsStringExt as _;
        let lookup = |_: &str| Some(OsString::from_vec(b"a\xff".to_vec()));
        let mut environment = Environment::new(&lookup);
        assert_eq!(environment.service_name(), None);
        let warnings: Vec<_> = environment.into_warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            ["cannot use OTEL_SERVICE_NAME=\"a\u{fffd}\": it is not UTF-8; the program's name is used"]
        );
    }
}
