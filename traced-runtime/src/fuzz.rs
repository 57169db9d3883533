//! Ways for the fuzz targets to what no user reaches. Built with `--cfg traced_fuzz` alone.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::model::endpoint::Endpoint;
use crate::model::id::{SpanId, TraceId};
use crate::model::kind::{Kind, Outcome};
use crate::reporter::attributes::{Attributes, TagValue};
use crate::reporter::encode::Body;
use crate::reporter::record::SpanRecord;
use crate::reporter::spool::file;

/// A span in parts.
#[derive(Debug, Default)]
pub struct Parts<'a> {
    /// Trace, span and parent; zeros become ones.
    pub ids: (u128, u64, u64),
    /// Start and duration in nanoseconds.
    pub times: (u64, Option<u64>),
    /// Its name.
    pub name: &'a str,
    /// Kind and outcome, any number.
    pub kinds: (u8, u8),
    /// The other side.
    pub remote: Option<(&'a str, IpAddr, u16)>,
    /// Debug, shared.
    pub flags: (bool, bool),
    /// Its tags.
    pub tags: Vec<(&'a str, TagValue<'a>)>,
    /// Its annotations.
    pub annotations: Vec<(u64, &'a str)>,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct Encoded {
    /// The bodies of requests.
    pub bodies: Vec<Vec<u8>>,
    /// Spans that fit into none.
    pub too_large: usize,
    /// Tags and annotations that were cut, and names.
    pub cut_tags: u64,
}

/// Encodes spans into bodies of at most `bound` bytes, as a tracer's thread does.
#[must_use]
pub fn encode(parts: Vec<Parts<'_>>, bound: usize) -> Encoded {
    let mut spans: Vec<SpanRecord> = parts.into_iter().map(record).collect();
    let mut body = Body::new(bound);
    let mut encoded = Encoded::default();
    while !spans.is_empty() {
        body.clear();
        let filled = body.fill(spans.iter_mut(), |_, _| ());
        encoded.too_large += filled.too_large;
        encoded.cut_tags += filled.cut_tags;
        if body.spans() > 0 {
            encoded.bodies.push(body.list().to_vec());
        }
        spans.drain(..filled.taken);
    }
    encoded
}

fn record(parts: Parts<'_>) -> SpanRecord {
    let mut attributes = Attributes::default();
    for (key, value) in &parts.tags {
        attributes.tag(1, key, *value);
    }
    for (time, text) in &parts.annotations {
        attributes.annotation(*time, text);
    }
    attributes.seal();
    let (trace, id, parent) = parts.ids;
    SpanRecord {
        site: None,
        name: Some(Cow::Owned(parts.name.to_owned())),
        kind: [None, Some(Kind::Client), Some(Kind::Server), Some(Kind::Producer), Some(Kind::Consumer)]
            [usize::from(parts.kinds.0) % 5],
        remote: parts
            .remote
            .map(|(service, ip, port)| Box::new(Endpoint::new().service(service.to_owned()).ip(ip).port(port))),
        local: Endpoint::named("fuzz").interned(),
        trace: TraceId::new(trace.max(1)).expect("it is not zero"),
        id: SpanId::new(id.max(1)).expect("it is not zero"),
        parent: SpanId::new(parent),
        start: parts.times.0,
        duration: parts.times.1,
        outcome: [Outcome::Returned, Outcome::Error, Outcome::Panicked, Outcome::Cancelled, Outcome::Unfinished]
            [usize::from(parts.kinds.1) % 5],
        debug: parts.flags.0,
        shared: parts.flags.1,
        local_root: parent == 0,
        polls: 0,
        attributes,
        redacted: false,
    }
}

/// Reads a file of the spool: how many spans it holds by its header and by its list, and the list. `None`: it is set aside.
#[must_use]
pub fn read_spool_file(bytes: &[u8]) -> Option<(usize, usize, Vec<u8>)> {
    let (header, list) = file::parse(bytes).ok()?;
    let mut body = Body::new(usize::MAX);
    if !body.load(list) {
        return None;
    }
    let mut parts = Vec::new();
    for at in 0..body.spans() {
        // Whoever reads a file describes its spans, and sends it in parts.
        drop(body.describe(at));
        parts.clear();
        let _ = body.part(at..at + 1, &mut parts);
    }
    Some((header.spans as usize, body.spans(), list.to_vec()))
}

/// Writes a file of the spool.
#[must_use]
pub fn write_spool_file(list: &[u8], spans: u32, written: u64) -> Vec<u8> {
    [&file::header(list, spans, written)[..], list].concat()
}
