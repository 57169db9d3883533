//! Zipkin's JSON v1, the format of old clients: `POST /api/v1/spans`.
//!
//! A v1 span is what several hosts told about one id: its annotations `cs`, `sr`, `ss`, `cr` say who called and who
//! answered. It becomes one span of today for each host.

use super::json::{Path, Value};
use super::json_v2::{annotation, endpoint, not_negative};
use crate::id::{SpanId, TraceId};
use crate::span::{Annotation, Endpoint, Kind, Span, lower_case};

/// A v1 span as it was sent.
struct Source {
    /// Of it there are copies for each host.
    blank: Span,
    timestamp: u64,
    duration: u64,
    annotations: Vec<Event>,
    binary: Vec<Binary>,
}

/// An annotation with its host.
#[derive(Clone)]
struct Event {
    timestamp: i64,
    value: Box<str>,
    endpoint: Option<Box<Endpoint>>,
}

/// A tag, or an address if it has no value.
struct Binary {
    key: Box<str>,
    value: Option<Box<str>>,
    endpoint: Option<Box<Endpoint>>,
}

/// Decodes one v1 span.
pub(super) fn spans(value: Value<'_>, spans: &mut Vec<Span>) -> Result<(), String> {
    let source = source(value)?;
    spans.extend(Split::of(&source).into_iter().map(Span::cleaned));
    Ok(())
}

fn source(value: Value<'_>) -> Result<Source, String> {
    let (mut trace_id, mut id, mut parent_id) = (0, 0, 0);
    let (mut name, mut debug, mut timestamp, mut duration) = (None, false, 0, 0);
    let (mut annotations, mut binary) = (Vec::new(), Vec::new());
    value.fields(|field, value| {
        match field {
            "traceId" => trace_id = hex(&value.string()?, 32)?,
            "id" => id = hex(&value.string()?, 16)?,
            _ if value.is_null() => {}
            "parentId" => parent_id = hex(&value.string()?, 16)?,
            "name" => name = lower_case(&value.string()?),
            "timestamp" => timestamp = not_negative(value.long()?),
            "duration" => duration = not_negative(value.long()?),
            "annotations" => value.elements(|value| {
                let (Annotation { timestamp, value }, endpoint) = annotation(value)?;
                annotations.push(Event { timestamp, value, endpoint });
                Ok(())
            })?,
            "binaryAnnotations" => value.elements(|value| {
                binary.extend(binary_annotation(value)?);
                Ok(())
            })?,
            "debug" => debug = value.boolean()?,
            _ => {}
        }
        Ok(())
    })?;
    let half = |id: u128| u64::try_from(id & u128::from(u64::MAX)).unwrap_or(0);
    if half(trace_id) == 0 {
        return Err("traceId == 0".to_owned());
    }
    let (Some(trace_id), Some(id)) = (TraceId::new(trace_id), SpanId::new(half(id))) else {
        return Err("id == 0".to_owned());
    };
    annotations.sort_by(|a, b| (a.timestamp, &a.value).cmp(&(b.timestamp, &b.value)));
    binary.sort_by(|a, b| a.key.cmp(&b.key));
    let blank = Span { parent_id: SpanId::new(half(parent_id)), name, debug, ..Span::new(trace_id, id) };
    Ok(Source { blank, timestamp, duration, annotations, binary })
}

/// The last digits of an id: of longer ones v1 drops what is in front.
fn hex(text: &str, digits: usize) -> Result<u128, String> {
    let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.is_empty() || text.len() > 32 || !text.bytes().all(lower) {
        return Err(format!("{text} should be a 1 to 32 character lower-hex string with no prefix"));
    }
    let last = text.get(text.len().saturating_sub(digits)..).unwrap_or(text);
    u128::from_str_radix(last, 16).map_err(|error| error.to_string())
}

fn binary_annotation(value: Value<'_>) -> Result<Option<Binary>, String> {
    let (mut key, mut at, mut flag, mut text) = (None, None, false, None);
    let mut last = String::new();
    value.fields(|field, value| {
        field.clone_into(&mut last);
        match field {
            _ if value.is_null() => {}
            "key" => key = Some(value.string()?.into()),
            "value" if value.is_string() => text = Some(value.string()?.into()),
            "value" if value.is_boolean() => flag = value.boolean()?,
            "endpoint" => at = endpoint(value)?.known(),
            _ => {}
        }
        Ok(())
    })?;
    let Some(key) = key else { return Err(format!("No key at {}", Path::Field(value.path(), &last))) };
    let key: Box<str> = key;
    let address = flag && at.is_some() && matches!(&*key, "sa" | "ca" | "ma");
    Ok((text.is_some() || address).then_some(Binary { key, value: text, endpoint: at }))
}

/// The spans that a v1 span is split into. The first one has what names no host.
struct Split<'a> {
    source: &'a Source,
    spans: Vec<Span>,
    events: Core,
}

/// The annotations that mean something.
#[derive(Default)]
struct Core {
    client_send: Option<Event>,
    server_receive: Option<Event>,
    server_send: Option<Event>,
    client_receive: Option<Event>,
    message_send: Option<Event>,
    message_receive: Option<Event>,
    wire_send: Option<Event>,
    wire_receive: Option<Event>,
}

impl<'a> Split<'a> {
    fn of(source: &'a Source) -> Vec<Span> {
        let mut split = Split { source, spans: vec![source.blank.clone()], events: Core::default() };
        split.take_annotations();
        split.take_calls();
        split.take_messages();
        split.take_binary_annotations();
        split.spans
    }

    /// The span of a host; a new one if none is of that service yet.
    fn of_host(&mut self, endpoint: Option<&Endpoint>) -> &mut Span {
        let at = endpoint.map_or(0, |endpoint| self.index_of(endpoint));
        &mut self.spans[at]
    }

    fn index_of(&mut self, endpoint: &Endpoint) -> usize {
        let found = self.spans.iter().position(|span| {
            span.local_endpoint.as_ref().is_none_or(|known| known.service_name == endpoint.service_name)
        });
        let at = found.unwrap_or_else(|| self.another());
        self.spans[at].local_endpoint.get_or_insert_with(|| Box::new(endpoint.clone()));
        at
    }

    fn another(&mut self) -> usize {
        self.spans.push(self.source.blank.clone());
        self.spans.len() - 1
    }

    fn take_annotations(&mut self) {
        for event in &self.source.annotations {
            let place = event.endpoint.as_deref();
            let at = place.map_or(0, |endpoint| self.index_of(endpoint));
            let (kind, slot) = match (&*event.value, place) {
                ("cs", Some(_)) => (Some(Kind::Client), &mut self.events.client_send),
                ("sr", Some(_)) => (Some(Kind::Server), &mut self.events.server_receive),
                ("ss", Some(_)) => (Some(Kind::Server), &mut self.events.server_send),
                ("cr", Some(_)) => (Some(Kind::Client), &mut self.events.client_receive),
                ("ms", Some(_)) => (Some(Kind::Producer), &mut self.events.message_send),
                ("mr", Some(_)) => (Some(Kind::Consumer), &mut self.events.message_receive),
                ("ws", Some(_)) => (None, &mut self.events.wire_send),
                ("wr", Some(_)) => (None, &mut self.events.wire_receive),
                _ => {
                    note(&mut self.spans[at], event);
                    continue;
                }
            };
            *slot = Some(event.clone());
            if kind.is_some() {
                self.spans[at].kind = kind;
            }
        }
    }

    fn take_calls(&mut self) {
        let source = self.source;
        // A start may be missing when the times of the span say the same.
        let start_of = |end: &Option<Event>| {
            let end = end.as_ref()?;
            let same = source.timestamp != 0
                && source.duration != 0
                && source.timestamp.checked_add(source.duration) == u64::try_from(end.timestamp).ok();
            same.then(|| Event { timestamp: i64::try_from(source.timestamp).unwrap_or(i64::MAX), ..end.clone() })
        };
        let Core { client_send, server_receive, server_send, client_receive, .. } = &mut self.events;
        *client_send = client_send.take().or_else(|| start_of(client_receive));
        *server_receive = server_receive.take().or_else(|| start_of(server_send));
        let (client_send, server_receive) = (client_send.clone(), server_receive.clone());
        let (server_send, client_receive) = (server_send.clone(), client_receive.clone());
        match (&client_send, &server_receive) {
            (Some(client), Some(server)) => {
                self.set_times(client, client_receive.as_ref());
                let client_at = client.endpoint.as_deref().map_or(0, |endpoint| self.index_of(endpoint));
                let same_service = service(client) == service(server);
                let server_at = if same_service {
                    self.spans[client_at].kind = Some(Kind::Client);
                    let at = self.another();
                    self.spans[at].local_endpoint.clone_from(&server.endpoint);
                    self.spans[at].kind = Some(Kind::Server);
                    at
                } else {
                    server.endpoint.as_deref().map_or(0, |endpoint| self.index_of(endpoint))
                };
                let span = &mut self.spans[server_at];
                span.shared = true;
                span.timestamp = not_negative(server.timestamp);
                if let Some(end) = &server_send {
                    span.duration = between(server, end);
                }
                if client_receive.is_none() && source.duration == 0 {
                    self.spans[client_at].duration = 0;
                }
            }
            (Some(client), None) if client_receive.is_some() => self.set_times(client, client_receive.as_ref()),
            (None, Some(server)) if server_send.is_some() => self.set_times(server, server_send.as_ref()),
            _ => self.take_incomplete_call(),
        }
        // v1 has no flag for a shared id: a server that does not say when the span began did not begin it.
        if let (None, Some(server)) = (&client_send, &server_receive) {
            if source.timestamp == 0 || (server_send.is_some() && source.duration == 0) {
                self.of_host(server.endpoint.as_deref()).shared = true;
            }
        }
    }

    fn take_incomplete_call(&mut self) {
        for span in &mut self.spans {
            let (start, end) = match span.kind {
                Some(Kind::Client) => (&self.events.client_send, &self.events.client_receive),
                Some(Kind::Server) => (&self.events.server_receive, &self.events.server_send),
                _ => continue,
            };
            if let Some(start) = start {
                span.timestamp = not_negative(start.timestamp);
            }
            if let Some(end) = end {
                note(span, end);
            }
        }
        if self.source.timestamp != 0 {
            self.spans[0].timestamp = self.source.timestamp;
            self.spans[0].duration = self.source.duration;
        }
    }

    fn take_messages(&mut self) {
        let [send, receive] = [self.events.message_send.clone(), self.events.message_receive.clone()];
        let [wire_send, wire_receive] = [self.events.wire_send.clone(), self.events.wire_receive.clone()];
        match (&send, &receive) {
            (Some(producer), Some(consumer)) => {
                let producer_at = producer.endpoint.as_deref().map_or(0, |endpoint| self.index_of(endpoint));
                let consumer_at = if service(producer) == service(consumer) {
                    self.spans[producer_at].kind = Some(Kind::Producer);
                    let at = self.another();
                    self.spans[at].local_endpoint.clone_from(&consumer.endpoint);
                    self.spans[at].kind = Some(Kind::Consumer);
                    at
                } else {
                    consumer.endpoint.as_deref().map_or(0, |endpoint| self.index_of(endpoint))
                };
                let span = &mut self.spans[consumer_at];
                span.shared = true;
                span.timestamp = not_negative(wire_receive.as_ref().unwrap_or(consumer).timestamp);
                if let Some(start) = &wire_receive {
                    span.duration = between(start, consumer);
                }
                let span = &mut self.spans[producer_at];
                span.timestamp = not_negative(producer.timestamp);
                span.duration = wire_send.as_ref().map_or(0, |end| between(producer, end));
            }
            (Some(producer), None) => self.set_times(producer, wire_send.as_ref()),
            (None, Some(consumer)) => match &wire_receive {
                Some(start) => self.set_times(start, Some(consumer)),
                None => self.set_times(consumer, None),
            },
            (None, None) => {
                for event in [wire_send, wire_receive].into_iter().flatten() {
                    note(self.of_host(event.endpoint.as_deref()), &event);
                }
            }
        }
    }

    fn set_times(&mut self, start: &Event, end: Option<&Event>) {
        let (timestamp, duration) = (self.source.timestamp, self.source.duration);
        let span = self.of_host(start.endpoint.as_deref());
        if timestamp != 0 && duration != 0 {
            span.timestamp = timestamp;
            span.duration = duration;
        } else {
            span.timestamp = not_negative(start.timestamp);
            if let Some(end) = end {
                span.duration = between(start, end);
            }
        }
    }

    fn take_binary_annotations(&mut self) {
        let [mut client, mut server, mut broker] = [None, None, None];
        for binary in &self.source.binary {
            let Some(value) = &binary.value else {
                match &*binary.key {
                    "ca" => client.clone_from(&binary.endpoint),
                    "sa" => server.clone_from(&binary.endpoint),
                    "ma" => broker.clone_from(&binary.endpoint),
                    _ => {}
                }
                continue;
            };
            let span = self.of_host(binary.endpoint.as_deref());
            // The tag of a local component says where it was, and nothing else.
            if !(&*binary.key == "lc" && value.is_empty()) {
                span.tags.set(&binary.key, value.clone());
            }
        }
        let events = &self.events;
        let answers = events.server_receive.clone().or_else(|| events.server_send.clone());
        let calls = events.client_send.clone().or_else(|| events.client_receive.clone());
        if answers.is_none() && calls.is_none() && (client.is_some() || server.is_some()) {
            match (client, server) {
                (Some(client), server @ Some(_)) => self.of_host(Some(&client)).remote_endpoint = server,
                (None, server) => self.spans[0].remote_endpoint = server,
                (client, None) => {
                    self.spans[0].kind = Some(Kind::Server);
                    self.spans[0].remote_endpoint = client;
                }
            }
            return;
        }
        if let (Some(mut client), Some(answers)) = (client, answers) {
            if Some(&client) != answers.endpoint.as_ref() {
                // Finagle names the service itself as its client: its address is all that is of use.
                if client.service_name.as_deref() == service(&answers) {
                    client.service_name = None;
                }
                self.of_host(answers.endpoint.as_deref()).remote_endpoint = client.known();
            }
        }
        if let (server @ Some(_), Some(calls)) = (server, calls) {
            self.of_host(calls.endpoint.as_deref()).remote_endpoint = server;
        }
        if broker.is_some() {
            let ends = [self.events.message_send.clone(), self.events.message_receive.clone()];
            for event in ends.into_iter().flatten() {
                self.of_host(event.endpoint.as_deref()).remote_endpoint.clone_from(&broker);
            }
        }
    }
}

fn service(event: &Event) -> Option<&str> {
    event.endpoint.as_ref()?.service_name.as_deref()
}

fn between(start: &Event, end: &Event) -> u64 {
    not_negative(end.timestamp.wrapping_sub(start.timestamp))
}

fn note(span: &mut Span, event: &Event) {
    span.annotations.push(Annotation { timestamp: event.timestamp, value: event.value.clone() });
}
