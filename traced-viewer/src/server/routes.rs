//! What is where.

use std::sync::Arc;
use std::time::SystemTime;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use indexmap::IndexSet;
use serde_json::json;

use super::Viewer;
use super::answer::{Answer, finish};
use super::body::Refused;
use super::gate;
use crate::assets;
use crate::decode::Encoding;
use crate::dependencies::Linker;
use crate::export::Format;
use crate::id::TraceId;
use crate::query::{LOOKBACK, Parameters, TraceQuery};
use crate::steps::{counted, steps};
use crate::trace::Summary;

impl Viewer {
    /// Answers a request.
    pub(super) async fn route(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let (request, body) = request.into_parts();
        if let Err((status, text)) = gate::check(&request) {
            return finish(self.text(status, text));
        }
        let answer = match (&request.method, request.uri.path()) {
            (&Method::POST, "/api/v2/spans") => self.take_spans(&request, body).await,
            (&Method::POST, "/api/v1/spans") => self.take_spans(&request, body).await,
            (&Method::POST, "/zipkin/api/private/clear") => self.clear(),
            (&Method::GET | &Method::HEAD, path) => self.get(path, request.uri.query().unwrap_or_default()),
            _ => self.not_found(),
        };
        finish(answer)
    }

    pub(super) fn get(self: &Arc<Self>, path: &str, query: &str) -> Answer {
        let parameters = Parameters::of(query);
        if let Some(query) = path.strip_prefix("/zipkin").unwrap_or(path).strip_prefix("/api/v2/") {
            return self.query(query, &parameters).unwrap_or_else(|text| self.text(StatusCode::BAD_REQUEST, text));
        }
        if let Some(path) = path.strip_prefix("/zipkin/api/private/") {
            return self.private(path, &parameters).unwrap_or_else(|text| self.text(StatusCode::BAD_REQUEST, text));
        }
        match path {
            "/" | "/zipkin" => {
                let mut answer = self.empty(StatusCode::FOUND);
                answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/zipkin/"));
                answer
            }
            "/health" => self.json(&json!({
                "status": "UP",
                "zipkin": {"status": "UP", "details": {"traced-viewer": {"status": "UP"}}},
            })),
            "/info" => self.json(&json!({"zipkin": {"version": env!("CARGO_PKG_VERSION"), "commit": "traced-viewer"}})),
            "/metrics" => self.json(&self.metrics.json(self.store().evicted_traces())),
            "/zipkin/config.json" => self.config(),
            path => match assets::at(path) {
                Some(asset) => self.answer(StatusCode::OK, asset.content_type, asset.text),
                None => self.not_found(),
            },
        }
    }

    /// Zipkin's query API. An error is the text of a 400.
    fn query(&self, path: &str, parameters: &Parameters) -> Result<Answer, String> {
        let store = self.store();
        Ok(match path {
            "services" => self.json(&store.services()),
            "spans" => {
                let service = parameters.required("serviceName")?.to_lowercase();
                let mut names: Vec<&str> = store
                    .spans()
                    .filter(|span| span.local_service() == Some(&service))
                    .filter_map(|span| span.name.as_deref())
                    .collect();
                sort(&mut names);
                self.json(&names)
            }
            "remoteServices" => {
                let service = parameters.required("serviceName")?.to_lowercase();
                let mut names: Vec<&str> = store
                    .spans()
                    .filter(|span| span.local_service() == Some(&service))
                    .filter_map(|span| span.remote_service())
                    .collect();
                sort(&mut names);
                self.json(&names)
            }
            "traces" => self.json(&TraceQuery::of(parameters, now())?.find(&store)),
            "traceMany" => {
                let ids = trace_ids(parameters.required("traceIds")?)?;
                self.json(&store.many(&ids))
            }
            "dependencies" => {
                parameters.required("endTs")?;
                let end = parameters.primitive("endTs")?.unwrap_or_default();
                let lookback = parameters.number("lookback")?.unwrap_or(LOOKBACK);
                if end <= 0 {
                    return Err("endTs <= 0".to_owned());
                }
                if lookback <= 0 {
                    return Err("lookback <= 0".to_owned());
                }
                let mut traces: Vec<_> =
                    store.traces().filter(|(_, trace)| trace.starts_in(end - lookback, end)).collect();
                traces.sort_by_key(|(_, trace)| trace.arrived());
                let mut linker = Linker::default();
                for (_, trace) in traces {
                    linker.put(trace.spans());
                }
                self.json(&linker.links())
            }
            "autocompleteKeys" => self.json(&self.options.autocomplete_keys),
            "autocompleteValues" => {
                let key = parameters.required("key")?;
                if key.is_empty() {
                    return Err("key was empty".to_owned());
                }
                let known = self.options.autocomplete_keys.iter().any(|known| known == key);
                let mut values: Vec<&str> = Vec::new();
                if known {
                    values.extend(store.spans().filter_map(|span| span.tags.get(key)));
                    sort(&mut values);
                }
                self.json(&values)
            }
            path => match path.strip_prefix("trace/") {
                Some(id) if !id.is_empty() && !id.contains('/') => {
                    let id = TraceId::parse(decoded(id).trim())?;
                    let spans = store.trace(id);
                    if spans.is_empty() { self.no_trace(id) } else { self.json(&spans) }
                }
                _ => self.not_found(),
            },
        })
    }

    /// What the UI asks for beside Zipkin's API. An error is the text of a 400.
    fn private(self: &Arc<Self>, path: &str, parameters: &Parameters) -> Result<Answer, String> {
        Ok(match path {
            "traces" => {
                let query = TraceQuery::of_list(parameters, now())?;
                let store = self.store();
                let summaries: Vec<Summary> = query
                    .find(&store)
                    .iter()
                    .filter_map(|spans| {
                        let id = spans.first()?.trace_id;
                        let truncated = store.with_low(id.low())?.is_truncated();
                        Some(Summary::of(id, spans, truncated))
                    })
                    .collect();
                self.json(&summaries)
            }
            "live" => self.live(),
            "open" => self.json(&self.open_spans()),
            path => match path.strip_prefix("export/") {
                Some(id) => self.export(id, parameters)?,
                None => self.not_found(),
            },
        })
    }

    fn export(&self, id: &str, parameters: &Parameters) -> Result<Answer, String> {
        let id = TraceId::parse(decoded(id).trim())?;
        let format: Format = parameters.required("format")?.parse()?;
        let spans = self.store().trace(id);
        if spans.is_empty() {
            return Ok(self.no_trace(id));
        }
        let mut answer = self.answer(StatusCode::OK, format.content_type(), format.write(&spans));
        let name = format!("attachment; filename=\"{id}.{}\"", format.extension());
        if let Ok(name) = HeaderValue::from_str(&name) {
            answer.headers_mut().insert(header::CONTENT_DISPOSITION, name);
        }
        Ok(answer)
    }

    fn no_trace(&self, id: TraceId) -> Answer {
        self.text(StatusCode::NOT_FOUND, format!("{id} not found"))
    }

    /// Spans that the traced program has started and not ended.
    fn open_spans(&self) -> Vec<serde_json::Value> {
        let installed = self.options.embedded.then(traced_runtime::Tracer::installed).flatten();
        let Some(tracer) = installed else { return Vec::new() };
        let service = tracer.local_endpoint().service_name().unwrap_or_default().to_lowercase();
        let open = tracer.open_spans();
        let describe = |span: &traced_runtime::OpenSpan| {
            let start = span.start().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            json!({
                "serviceName": service,
                "name": span.name(),
                "traceId": span.trace_id().to_string(),
                "id": span.id().to_string(),
                "parentId": span.parent_id().map(|id| id.to_string()),
                "timestamp": u64::try_from(start.as_micros()).unwrap_or(u64::MAX),
                "age": u64::try_from(span.age().as_micros()).unwrap_or(u64::MAX),
            })
        };
        open.iter().map(describe).collect()
    }

    fn clear(&self) -> Answer {
        self.store().clear();
        self.changed.send_modify(|cleared| *cleared = cleared.wrapping_add(1));
        self.empty(StatusCode::NO_CONTENT)
    }

    fn config(&self) -> Answer {
        let limits = &self.options.limits;
        self.json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "embedded": self.options.embedded,
            "demo": self.options.demo,
            // What Zipkin's own UI asks for.
            "environment": "",
            "queryLimit": 10,
            "defaultLookback": 900_000,
            "searchEnabled": true,
            "dependency": {"enabled": true, "lowErrorRate": 0.5, "highErrorRate": 0.75},
            "limits": {
                "spans": limits.store.spans,
                "bytes": limits.store.bytes,
                "traceSpans": limits.store.trace_spans,
                "bodyBytes": limits.body_bytes,
                "unpackedBytes": limits.unpacked_bytes,
                "liveSummaries": super::live::SUMMARIES,
            },
        }))
    }

    /// Takes spans.
    async fn take_spans(&self, request: &Parts, body: Incoming) -> Answer {
        self.metrics.message();
        let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let packed = header(header::CONTENT_ENCODING).contains("gzip");
        let media_type = header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/x-thrift") && request.uri.path() == "/api/v1/spans" {
            self.metrics.message_dropped();
            let text = "the viewer reads no Thrift: send Zipkin's JSON, or run Zipkin";
            return self.text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
        }
        let encoding = match request.uri.path() {
            "/api/v1/spans" => Encoding::JsonV1,
            _ if media_type.eq_ignore_ascii_case("application/x-protobuf") => Encoding::Proto3,
            _ => Encoding::JsonV2,
        };
        let result = self.receive(body, packed, |bytes| self.keep(encoding, bytes));
        result.await.unwrap_or_else(|refused: Refused| {
            self.metrics.message_dropped();
            self.refuse(refused)
        })
    }

    /// Decodes and keeps the spans of a body.
    pub(super) fn keep(&self, encoding: Encoding, bytes: &[u8]) -> Answer {
        self.metrics.bytes(bytes.len());
        // What a health check sends is an empty list in any encoding.
        let spans = if bytes == b"[]" { Ok(Vec::new()) } else { encoding.decode(bytes) };
        match spans {
            Ok(spans) => {
                let received = spans.len();
                let stored = self.store().accept(spans);
                self.metrics.spans(received, stored.dropped);
                if received > 0 {
                    self.changed.send_modify(|_| {});
                }
                self.empty(StatusCode::ACCEPTED)
            }
            Err(text) => {
                self.metrics.message_dropped();
                self.text(StatusCode::BAD_REQUEST, text)
            }
        }
    }
}

fn sort(names: &mut Vec<&str>) {
    names.sort_unstable_by(counted(Ord::cmp));
    names.dedup();
}

/// A part of a path as text.
fn decoded(part: &str) -> String {
    let query = format!("={}", part.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned()).next().unwrap_or_default()
}

fn trace_ids(list: &str) -> Result<Vec<TraceId>, String> {
    if list.is_empty() {
        return Err("traceIds parameter is empty".to_owned());
    }
    let mut ids = IndexSet::new();
    for text in list.split(',') {
        steps(text.len());
        if !ids.insert(TraceId::parse(text)?) {
            return Err(format!("redundant traceId: {text}"));
        }
    }
    if ids.len() == 1 {
        return Err("Use /api/v2/trace/{traceId} endpoint to retrieve a single trace".to_owned());
    }
    Ok(ids.into_iter().collect())
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
