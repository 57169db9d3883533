//! Which traces a query means: Zipkin's rules, parameter by parameter, with its error texts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::span::Span;
use crate::steps::steps;
use crate::store::{Store, Trace};

/// A day, in milliseconds: how far a query looks back unless told.
pub(crate) const LOOKBACK: i64 = 86_400_000;

/// The parameters of `GET /api/v2/traces`.
#[derive(Clone, Debug)]
pub(crate) struct TraceQuery {
    service: Option<String>,
    remote_service: Option<String>,
    span_name: Option<String>,
    /// Tags with their values; an empty one: any value, or an annotation of that text.
    tags: HashMap<String, String>,
    /// Microseconds.
    min_duration: Option<i64>,
    max_duration: Option<i64>,
    /// Milliseconds since 1970, both included; none: traces of any time, and those that have none.
    range: Option<(i64, i64)>,
    limit: usize,
}

/// The parameters of a URL's query, as Zipkin's server reads them.
#[derive(Clone, Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Decodes a URL's query.
    pub(crate) fn of(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The first value of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        steps(self.0.len());
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// A value that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("Mandatory parameter/header/attribute is missing: {name}"))
    }

    /// A number that may be left out, or be empty.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, String> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| format!("For input string: \"{text}\"")),
        }
    }

    /// A number that may be left out but not be empty.
    pub(crate) fn primitive(&self, name: &str) -> Result<Option<i64>, String> {
        match self.get(name) {
            Some("") => Err(format!("Cannot set null to primitive type parameter: {name}")),
            _ => self.number(name),
        }
    }
}

impl TraceQuery {
    /// Of `GET /api/v2/traces`. `now` is in milliseconds since 1970.
    pub(crate) fn of(parameters: &Parameters, now: i64) -> Result<Self, String> {
        let end = parameters.number("endTs")?.unwrap_or(now);
        let lookback = parameters.number("lookback")?.unwrap_or(LOOKBACK);
        let limit = parameters.primitive("limit")?.unwrap_or(10);
        let range = Some((end.wrapping_sub(lookback), end));
        let query = Self::with(parameters, range, limit)?;
        if end <= 0 {
            return Err("endTs <= 0".to_owned());
        }
        if limit <= 0 {
            return Err("limit <= 0".to_owned());
        }
        if lookback <= 0 {
            return Err("lookback <= 0".to_owned());
        }
        query.checked()
    }

    /// Of the UI's list: the same filters, but 100 traces of any time unless told.
    pub(crate) fn of_list(parameters: &Parameters, now: i64) -> Result<Self, String> {
        if parameters.number("endTs")?.is_some() || parameters.number("lookback")?.is_some() {
            let mut query = Self::of(parameters, now)?;
            if parameters.get("limit").is_none() {
                query.limit = 100;
            }
            return Ok(query);
        }
        let limit = parameters.primitive("limit")?.unwrap_or(100);
        if limit <= 0 {
            return Err("limit <= 0".to_owned());
        }
        Self::with(parameters, None, limit)?.checked()
    }

    fn with(parameters: &Parameters, range: Option<(i64, i64)>, limit: i64) -> Result<Self, String> {
        let name = |parameter| parameters.get(parameter).map(str::to_lowercase).filter(|name| !name.is_empty());
        Ok(Self {
            service: name("serviceName"),
            remote_service: name("remoteServiceName"),
            span_name: name("spanName").filter(|name| name != "all"),
            tags: tags(parameters.get("annotationQuery").unwrap_or_default()),
            min_duration: parameters.number("minDuration")?,
            max_duration: parameters.number("maxDuration")?,
            range,
            limit: usize::try_from(limit).unwrap_or(0),
        })
    }

    fn checked(self) -> Result<Self, String> {
        match (self.min_duration, self.max_duration) {
            (Some(min), _) if min <= 0 => Err("minDuration <= 0".to_owned()),
            (Some(min), Some(max)) if max < min => Err("maxDuration < minDuration".to_owned()),
            (None, Some(_)) => Err("maxDuration is only valid with minDuration".to_owned()),
            _ => Ok(self),
        }
    }

    /// The traces that it means, the one with the latest span first.
    pub(crate) fn find(&self, store: &Store) -> Vec<Vec<Arc<Span>>> {
        let mut candidates: Vec<(u64, u64, &Trace)> = store
            .traces()
            .filter(|(_, trace)| {
                self.service.is_none()
                    || trace.spans().iter().any(|span| span.local_service() == self.service.as_deref())
            })
            .filter_map(|(low, trace)| Some((self.latest_in_range(trace)?, low, trace)))
            .collect();
        steps(candidates.len());
        candidates.sort_by_key(|(latest, low, trace)| {
            // Zipkin orders those of one time by id; a list of any time has what came last first.
            let tie = if self.range.is_some() { (*low).into() } else { trace.arrived() };
            std::cmp::Reverse((*latest, tie))
        });
        let mut found = Vec::new();
        for (_, _, trace) in candidates {
            if found.len() >= self.limit {
                break;
            }
            if self.matches(trace.spans()) {
                found.extend(trace.by_id().into_iter().map(|(_, spans)| spans).filter(|spans| self.matches(spans)));
            }
        }
        found
    }

    /// The latest start of a span within the range, in milliseconds.
    fn latest_in_range(&self, trace: &Trace) -> Option<u64> {
        steps(trace.spans().len());
        let starts = trace.spans().iter().map(|span| span.timestamp / 1000);
        starts
            .filter(|start| {
                let start = i64::try_from(*start).unwrap_or(i64::MAX);
                self.range.is_none_or(|(begin, end)| start >= begin && start <= end)
            })
            .max()
    }

    /// Whether these spans of one trace have all that is asked for.
    fn matches(&self, spans: &[Arc<Span>]) -> bool {
        if !self.range.is_none_or(|range| in_range(spans, range)) {
            return false;
        }
        let mut service = self.service.as_deref();
        let mut remote_service = self.remote_service.as_deref();
        let mut span_name = self.span_name.as_deref();
        let mut tags: HashMap<&str, &str> = self.tags.iter().map(|(key, value)| (&**key, &**value)).collect();
        let mut duration_fits = self.min_duration.is_none();
        for span in spans {
            // The service limits all else to its own spans.
            if self.service.is_some() && span.local_service() != self.service.as_deref() {
                continue;
            }
            service = None;
            for annotation in &span.annotations {
                if tags.get(&*annotation.value) == Some(&"") {
                    tags.remove(&*annotation.value);
                }
            }
            for (key, value) in span.tags.iter() {
                if tags.get(key).is_some_and(|wanted| wanted.is_empty() || *wanted == value) {
                    tags.remove(key);
                }
            }
            if remote_service.is_some() && remote_service == span.remote_service() {
                remote_service = None;
            }
            if span_name.is_some() && span_name == span.name.as_deref() {
                span_name = None;
            }
            let duration = i64::try_from(span.duration).unwrap_or(i64::MAX);
            duration_fits |= self.min_duration.is_some_and(|min| duration >= min)
                && self.max_duration.is_none_or(|max| duration <= max);
        }
        steps(spans.iter().map(|span| 1 + span.annotations.len() + span.tags.len()).sum());
        service.is_none() && remote_service.is_none() && span_name.is_none() && tags.is_empty() && duration_fits
    }
}

/// Whether a trace lies in a range of milliseconds: its root's start counts, or else its earliest.
fn in_range(spans: &[Arc<Span>], (begin, end): (i64, i64)) -> bool {
    let timed = || spans.iter().filter(|span| span.timestamp > 0);
    // Zipkin takes the first one without a parent that it meets, also after others.
    let root = timed().find(|span| span.parent_id.is_none()).map(|span| span.timestamp);
    let Some(start) = root.or_else(|| timed().map(|span| span.timestamp).min()) else { return false };
    let start = i64::try_from(start).unwrap_or(i64::MAX);
    start >= begin.wrapping_mul(1000) && start <= end.wrapping_mul(1000)
}

/// Reads `http.method=GET and error`.
fn tags(query: &str) -> HashMap<String, String> {
    let mut tags = HashMap::new();
    if query.is_empty() {
        return tags;
    }
    for part in query.splitn(100, " and ") {
        steps(1 + part.len());
        match part.split_once('=') {
            // A key alone never takes the place of a key with its value.
            None => {
                tags.entry(part.trim().to_owned()).or_default();
            }
            Some((key, value)) => {
                tags.insert(key.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
    tags
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::decode::Encoding;
    use crate::store::StoreLimits;

    /// Traces 1 and 2 at 10 s and 20 s, 3 without a time.
    fn store() -> Store {
        let spans = r#"[
            {"traceId":"1","id":"1","name":"get","timestamp":10000000,"duration":50,"localEndpoint":{"serviceName":"front"}},
            {"traceId":"1","id":"2","parentId":"1","name":"query","timestamp":10000010,"duration":20,"tags":{"error":"500"},
             "localEndpoint":{"serviceName":"back"},"remoteEndpoint":{"serviceName":"mysql"},"annotations":[{"timestamp":1,"value":"miss"}]},
            {"traceId":"2","id":"1","name":"get","timestamp":20000000,"duration":5,"localEndpoint":{"serviceName":"front"}},
            {"traceId":"3","id":"1","name":"timeless","localEndpoint":{"serviceName":"front"}}]"#;
        let mut store = Store::new(StoreLimits::default());
        store.accept(Encoding::JsonV2.decode(spans.as_bytes()).unwrap());
        store
    }

    fn found(traces: Vec<Vec<Arc<Span>>>) -> Vec<u64> {
        traces.iter().map(|spans| spans[0].trace_id.low()).collect()
    }

    fn find(query: &str) -> Vec<u64> {
        found(TraceQuery::of(&Parameters::of(query), 30_000).unwrap().find(&store()))
    }

    #[test]
    fn all_that_is_asked_for_must_be_there_in_spans_of_the_service() {
        for (query, traces) in [
            ("", &[2, 1][..]),
            ("limit=1", &[2]),
            ("serviceName=Front", &[2, 1]),
            ("serviceName=back", &[1]),
            ("spanName=QUERY", &[1]),
            ("spanName=all", &[2, 1]),
            ("serviceName=front&spanName=query", &[]),
            ("remoteServiceName=mysql", &[1]),
            ("annotationQuery=error", &[1]),
            ("annotationQuery=error%3D500%20and%20miss", &[1]),
            ("annotationQuery=error%3D404", &[]),
            ("annotationQuery=error&serviceName=front", &[]),
            ("minDuration=20", &[1]),
            ("minDuration=1&maxDuration=5", &[2]),
            ("endTs=15000", &[1]),
            ("lookback=15000", &[2]),
        ] {
            assert_eq!(find(query), traces, "{query}");
        }
    }

    #[test]
    fn a_list_has_traces_of_any_time_and_without_one() {
        let find = |query: &str| found(TraceQuery::of_list(&Parameters::of(query), 30_000).unwrap().find(&store()));
        assert_eq!(find(""), [2, 1, 3]);
        assert_eq!(find("spanName=timeless"), [3]);
        assert_eq!(find("endTs=15000"), [1]);
    }

    #[test]
    fn mistakes_are_told_in_zipkins_words() {
        for (query, error) in [
            ("limit=0", "limit <= 0"),
            ("limit=", "Cannot set null to primitive type parameter: limit"),
            ("endTs=0", "endTs <= 0"),
            ("lookback=-1", "lookback <= 0"),
            ("minDuration=x", "For input string: \"x\""),
            ("minDuration=2&maxDuration=1", "maxDuration < minDuration"),
            ("maxDuration=1", "maxDuration is only valid with minDuration"),
        ] {
            assert_eq!(TraceQuery::of(&Parameters::of(query), 1).unwrap_err(), error);
        }
    }
}
