//! Events for Perfetto and Chrome, in the [Trace Event Format][format].
//!
//! A service is a process, and within it spans lie in lanes (threads): in a lane each two events are apart or one lies
//! within the other, which the format demands, and what an event lies within is an ancestor of it.
//!
//! [format]: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::lanes::Lanes;
use super::nesting::Nesting;
use crate::span::Span;

/// Writes all events.
pub(super) fn write(spans: &[Arc<Span>]) -> Vec<u8> {
    let nesting = Nesting::of(spans);
    let lanes = Lanes::of(&nesting);
    let mut events = Vec::new();
    for (process, (service, lanes)) in lanes.services.iter().enumerate() {
        let process = process + 1;
        events.push(json!({"ph": "M", "name": "process_name", "pid": process, "args": {"name": service}}));
        for lane in 1..=lanes.count() {
            let name = format!("lane {lane}");
            events.push(json!({"ph": "M", "name": "thread_name", "pid": process, "tid": lane, "args": {"name": name}}));
        }
    }
    for at in lanes.order {
        let (Some(nested), Some(place)) = (nesting.spans.get(at), lanes.places.get(at)) else { continue };
        let span = &nested.span;
        let event = |phase: &str, name: &str, time: i64| json!({"ph": phase, "name": name, "cat": "span", "ts": time, "pid": place.process + 1, "tid": place.lane + 1});
        let signed = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        let mut whole = event("X", span.name.as_deref().unwrap_or("unknown"), signed(nested.start));
        whole["dur"] = (nested.end - nested.start).into();
        whole["args"] = arguments(span);
        events.push(whole);
        for annotation in &span.annotations {
            let mut moment = event("i", &annotation.value, annotation.timestamp);
            moment["s"] = "t".into();
            events.push(moment);
        }
        // An arrow from the caller in another process.
        let caller = nested.parent.and_then(|parent| Some((nesting.spans.get(parent)?, lanes.places.get(parent)?)));
        if let Some((parent, from)) = caller.filter(|(_, from)| from.process != place.process) {
            let mut leave = event("s", "call", signed(parent.start));
            leave["pid"] = (from.process + 1).into();
            leave["tid"] = (from.lane + 1).into();
            let mut arrive = event("f", "call", signed(nested.start));
            arrive["bp"] = "e".into();
            for mut end in [leave, arrive] {
                end["cat"] = "call".into();
                end["id"] = (at + 1).into();
                events.push(end);
            }
        }
    }
    let trace = json!({"displayTimeUnit": "ms", "traceEvents": events});
    trace.to_string().into_bytes()
}

/// What else is known of a span.
fn arguments(span: &Span) -> Value {
    let mut arguments: Map<String, Value> =
        span.tags.iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            arguments.insert(key.to_owned(), value.into());
        }
    };
    set("traceId", Some(span.trace_id.to_string()));
    set("id", Some(span.id.to_string()));
    set("parentId", span.parent_id.map(|id| id.to_string()));
    set("kind", span.kind.map(|kind| kind.name().to_owned()));
    set("remoteService", span.remote_service().map(str::to_owned));
    if span.timestamp == 0 {
        set("timestamp", Some("not known".to_owned()));
    }
    arguments.into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::super::nesting::tests::{Random, random_trace, span};
    use super::*;
    use crate::endpoint::Endpoint;

    fn events(spans: &[Span]) -> Vec<Value> {
        let spans: Vec<_> = spans.iter().cloned().map(Arc::new).collect();
        let trace: Value = serde_json::from_slice(&write(&spans)).unwrap();
        trace["traceEvents"].as_array().unwrap().clone()
    }

    #[test]
    fn siblings_that_overlap_lie_in_lanes_of_their_own() {
        let spans =
            [span(1, None, 0, 100), span(2, Some(1), 10, 30), span(3, Some(1), 20, 30), span(4, Some(3), 25, 5)];
        let lanes: Vec<_> = events(&spans)
            .iter()
            .filter(|event| event["ph"] == "X")
            .map(|event| (event["name"].as_str().unwrap().to_owned(), event["tid"].as_u64().unwrap()))
            .collect();
        let expected = [("1", 1), ("2", 1), ("3", 2), ("4", 2)].map(|(name, lane)| (name.to_owned(), lane));
        assert_eq!(lanes, expected);
    }

    #[test]
    fn events_of_a_lane_nest_strictly_whatever_the_spans_are() {
        let mut random = Random::new(3);
        for _ in 0..150 {
            let mut spans = random_trace(&mut random, 25, 50);
            for span in &mut spans {
                let name = ["a", "b"][random.below(2)];
                span.local_endpoint = Endpoint { service_name: Some(name.into()), ..Endpoint::default() }.known();
            }
            let events = events(&spans);
            let whole: Vec<_> = events.iter().filter(|event| event["ph"] == "X").collect();
            assert_eq!(whole.len(), spans.len());
            for (at, one) in whole.iter().enumerate() {
                for other in &whole[..at] {
                    if (&one["pid"], &one["tid"]) != (&other["pid"], &other["tid"]) {
                        continue;
                    }
                    let times = |event: &Value| {
                        let start = event["ts"].as_u64().unwrap();
                        (start, start + event["dur"].as_u64().unwrap())
                    };
                    let ((start, end), (from, to)) = (times(one), times(other));
                    let apart = end <= from || to <= start;
                    let within = (from <= start && end <= to) || (start <= from && to <= end);
                    assert!(apart || within, "{one} {other}");
                }
            }
        }
    }
}
