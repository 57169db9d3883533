//! What a list of traces shows of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::id::TraceId;
use crate::name::Name;
use crate::span::{Kind, Span};
use crate::steps::steps;

/// One line of the list of traces, without its spans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    pub(crate) trace_id: TraceId,
    /// When its first span started, in microseconds since 1970; 0: no span says it.
    pub(crate) timestamp: u64,
    /// From the first start to the last end, in microseconds.
    pub(crate) duration: u64,
    /// The span without a parent.
    pub(crate) root: Option<Root>,
    pub(crate) span_count: usize,
    pub(crate) error_count: usize,
    pub(crate) services: Vec<Service>,
    /// Whether it had more spans than are kept.
    pub(crate) truncated: bool,
}

/// The span that a trace began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Root {
    service_name: Option<Box<str>>,
    name: Option<Name>,
    kind: Option<Kind>,
}

/// How many spans a service has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Service {
    service_name: Box<str>,
    span_count: usize,
}

impl Summary {
    /// Of the spans of one trace.
    pub(crate) fn of(trace_id: TraceId, spans: &[Arc<Span>], truncated: bool) -> Self {
        steps(spans.len());
        let start = spans.iter().map(|span| span.timestamp).filter(|start| *start > 0).min().unwrap_or(0);
        let end = spans.iter().filter(|span| span.timestamp > 0).map(|span| span.end()).max().unwrap_or(start);
        let mut services: BTreeMap<&str, usize> = BTreeMap::new();
        for service in spans.iter().filter_map(|span| span.local_service()) {
            *services.entry(service).or_default() += 1;
        }
        // Of two halves with one id the caller's is the root; of several roots the first.
        let root = spans.iter().filter(|span| span.parent_id.is_none());
        let root = root.min_by_key(|span| (span.shared, span.timestamp));
        Self {
            trace_id,
            timestamp: start,
            duration: end - start,
            root: root.map(|span| Root {
                service_name: span.local_service().map(Box::from),
                name: span.name.clone(),
                kind: span.kind,
            }),
            span_count: spans.len(),
            error_count: spans.iter().filter(|span| span.failed()).count(),
            services: services
                .into_iter()
                .map(|(name, span_count)| Service { service_name: name.into(), span_count })
                .collect(),
            truncated,
        }
    }
}
