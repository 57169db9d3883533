//! Zipkin's JSON v1, the format of old clients: `POST /api/v1/spans`.
//!
//! A v1 span is what several hosts told about one id: its annotations `cs`, `sr`, `ss`, `cr` say who called and who
//! answered. It becomes one span of today for each host.

use std::collections::HashMap;

use super::json::Reader;
use super::json_v2::{annotation, endpoint, not_negative};
use crate::endpoint::Endpoint;
use crate::id::{SpanId, TraceId};
use crate::span::{Annotation, Kind, Span, Tag, Tags, lower_case};
use crate::steps::{counted, steps};

/// A v1 span as it was sent.
struct Source {
    /// Of it there are copies for each host.
    blank: Span,
    /// As it was sent: one below zero is no time for a span, but it is not the absence of one either.
    timestamp: i64,
    duration: i64,
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
pub(super) fn spans(reader: &mut Reader<'_>, spans: &mut Vec<Span>) -> Result<(), String> {
    let source = source(reader)?;
    spans.extend(Split::of(&source).into_iter().map(Span::cleaned));
    Ok(())
}

fn source(reader: &mut Reader<'_>) -> Result<Source, String> {
    let (mut trace_id, mut id, mut parent_id) = (0, 0, 0);
    let (mut name, mut debug, mut timestamp, mut duration) = (None, false, 0, 0);
    let (mut annotations, mut binary) = (Vec::new(), Vec::new());
    reader.fields(|field, reader| {
        match field {
            "traceId" => trace_id = long_hex(&reader.string()?)?,
            "id" => id = hex(&reader.string()?)?,
            _ if reader.is_null()? => reader.skip()?,
            "parentId" => parent_id = hex(&reader.string()?)?,
            "name" => name = lower_case(&reader.string()?),
            "timestamp" => timestamp = reader.long()?,
            "duration" => duration = reader.long()?,
            "annotations" => reader.elements(|reader| {
                let mut at = None;
                let Annotation { timestamp, value } = annotation(reader, |field, reader| {
                    match field {
                        "endpoint" if !reader.is_null()? => at = endpoint(reader)?.known(),
                        _ => reader.skip()?,
                    }
                    Ok(())
                })?;
                annotations.push(Event { timestamp, value, endpoint: at });
                Ok(())
            })?,
            "binaryAnnotations" => reader.elements(|reader| {
                binary.extend(binary_annotation(reader)?);
                Ok(())
            })?,
            "debug" => debug |= reader.boolean()?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    // The upper half of a trace id alone is none.
    let trace_id = TraceId::new(trace_id).filter(|id| id.low() != 0).ok_or("traceId == 0")?;
    let id = SpanId::new(id).ok_or("id == 0")?;
    annotations.sort_by(counted(|a: &Event, b: &Event| (a.timestamp, &a.value).cmp(&(b.timestamp, &b.value))));
    binary.sort_by(counted(|a: &Binary, b: &Binary| a.key.cmp(&b.key)));
    let blank = Span { parent_id: SpanId::new(parent_id), name, debug, ..Span::new(trace_id, id) };
    Ok(Source { blank, timestamp, duration, annotations, binary })
}

/// An id of which no more than the last 16 digits are read.
fn hex(text: &str) -> Result<u64, String> {
    let units = units(text);
    digits(units.get(units.len().saturating_sub(16)..).unwrap_or_default()).ok_or_else(|| no_hex(text))
}

/// An id of which all of 32 digits are read, but no more than the last 16 of another length.
fn long_hex(text: &str) -> Result<u128, String> {
    let low = u128::from(hex(text)?);
    match units(text).get(..16).filter(|_| units(text).len() == 32) {
        Some(high) => Ok(u128::from(digits(high).ok_or_else(|| no_hex(text))?) << 64 | low),
        None => Ok(low),
    }
}

/// UTF-16 units, which Java counts; none if there are too many.
fn units(text: &str) -> Vec<u16> {
    let units: Vec<u16> = text.encode_utf16().take(33).collect();
    if units.len() > 32 { Vec::new() } else { units }
}

fn no_hex(text: &str) -> String {
    format!("{text} should be a 1 to 32 character lower-hex string with no prefix")
}

fn digits(units: &[u16]) -> Option<u64> {
    if units.is_empty() {
        return None;
    }
    units.iter().try_fold(0, |value, unit| {
        let digit = match char::from_u32((*unit).into())? {
            upper if upper.is_ascii_uppercase() => return None,
            digit => digit.to_digit(16)?,
        };
        Some(value << 4 | u64::from(digit))
    })
}

fn binary_annotation(reader: &mut Reader<'_>) -> Result<Option<Binary>, String> {
    let (mut key, mut at, mut flag, mut text) = (None, None, false, None);
    let mut last = String::new();
    reader.fields(|field, reader| {
        field.clone_into(&mut last);
        match field {
            _ if reader.is_null()? => reader.skip()?,
            "key" => key = Some(reader.string()?.into()),
            "value" if reader.is_string()? => text = Some(reader.string()?.into()),
            "value" if reader.is_boolean()? => flag = reader.boolean()?,
            "endpoint" => at = endpoint(reader)?.known(),
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    let Some(key) = key else { return Err(format!("No key at {}.{last}", reader.path())) };
    let key: Box<str> = key;
    let address = flag && at.is_some() && matches!(&*key, "sa" | "ca" | "ma");
    Ok((text.is_some() || address).then_some(Binary { key, value: text, endpoint: at }))
}

/// The spans that a v1 span is split into. The first one has what names no host.
struct Split<'a> {
    source: &'a Source,
    spans: Vec<Span>,
    /// The first span of each service; the first span of all waits for one.
    by_service: HashMap<Option<Box<str>>, usize>,
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
        let spans = vec![source.blank.clone()];
        let mut split = Split { source, spans, by_service: HashMap::new(), events: Core::default() };
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
        steps(1);
        let known = match self.spans.first() {
            Some(first) if first.local_endpoint.is_none() => Some(0),
            _ => self.by_service.get(&endpoint.service_name).copied(),
        };
        let at = known.unwrap_or_else(|| self.another());
        if self.spans[at].local_endpoint.is_none() {
            self.spans[at].local_endpoint = Some(Box::new(endpoint.clone()));
            self.by_service.insert(endpoint.service_name.clone(), at);
        }
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
                && source.timestamp.wrapping_add(source.duration) == end.timestamp;
            same.then(|| Event { timestamp: source.timestamp, ..end.clone() })
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
        steps(self.spans.len());
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
            self.spans[0].timestamp = not_negative(self.source.timestamp);
            self.spans[0].duration = not_negative(self.source.duration);
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
            span.timestamp = not_negative(timestamp);
            span.duration = not_negative(duration);
        } else {
            span.timestamp = not_negative(start.timestamp);
            if let Some(end) = end {
                span.duration = between(start, end);
            }
        }
    }

    fn take_binary_annotations(&mut self) {
        let [mut client, mut server, mut broker] = [None, None, None];
        let mut tags: HashMap<usize, Vec<Tag>> = HashMap::new();
        for binary in &self.source.binary {
            // An address, whatever its value.
            let address = match &*binary.key {
                "ca" => Some(&mut client),
                "sa" => Some(&mut server),
                "ma" => Some(&mut broker),
                _ => None,
            };
            if let Some(address) = address {
                address.clone_from(&binary.endpoint);
                continue;
            }
            let Some(value) = &binary.value else { continue };
            let at = binary.endpoint.as_deref().map_or(0, |endpoint| self.index_of(endpoint));
            // The tag of a local component says where it was, and nothing else.
            if !(&*binary.key == "lc" && value.is_empty()) {
                tags.entry(at).or_default().push((binary.key.clone(), value.clone()));
            }
        }
        for (at, tags) in tags {
            self.spans[at].tags = Tags::of(tags);
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
