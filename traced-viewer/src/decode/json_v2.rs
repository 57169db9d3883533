//! Zipkin's JSON v2, the format of today's clients: `POST /api/v2/spans`.

use super::json::Reader;
use crate::endpoint::Endpoint;
use crate::id::{SpanId, TraceId};
use crate::span::{Annotation, Kind, Span, Tags, lower_case};

/// Decodes one span, and adds it to others.
pub(super) fn span_into(reader: &mut Reader<'_>, spans: &mut Vec<Span>) -> Result<(), String> {
    spans.push(span(reader)?);
    Ok(())
}

fn span(reader: &mut Reader<'_>) -> Result<Span, String> {
    let (mut trace_id, mut id, mut parent_id) = (None, None, None);
    let (mut kind, mut name, mut timestamp, mut duration) = (None, None, 0, 0);
    let (mut local_endpoint, mut remote_endpoint) = (None, None);
    let (mut annotations, mut tags) = (Vec::new(), Vec::new());
    let (mut debug, mut shared) = (false, false);
    reader.fields(|field, reader| {
        match field {
            "traceId" => trace_id = Some(TraceId::parse(&reader.string()?)?),
            "id" => id = Some(SpanId::parse(&reader.string()?)?),
            _ if reader.is_null()? => reader.skip()?,
            "parentId" => parent_id = SpanId::parse_parent(&reader.string()?)?,
            "kind" => kind = Some(Kind::parse(&reader.string()?)?),
            "name" => name = lower_case(&reader.string()?),
            "timestamp" => timestamp = not_negative(reader.long()?),
            "duration" => duration = not_negative(reader.long()?),
            "localEndpoint" => local_endpoint = endpoint(reader)?.known(),
            "remoteEndpoint" => remote_endpoint = endpoint(reader)?.known(),
            "annotations" => reader.elements(|reader| {
                annotations.push(annotation(reader, |_, reader| reader.skip())?);
                Ok(())
            })?,
            "tags" => reader.fields(|key, reader| {
                if reader.is_null()? {
                    return Err(format!("No value at {}", reader.path()));
                }
                tags.push((key.into(), reader.string()?.into()));
                Ok(())
            })?,
            "debug" => debug |= reader.boolean()?,
            "shared" => shared |= reader.boolean()?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    let span = Span {
        parent_id,
        kind,
        name,
        timestamp,
        duration,
        local_endpoint,
        remote_endpoint,
        annotations,
        tags: Tags::of(tags),
        debug,
        shared,
        ..Span::with_ids(trace_id, id)?
    };
    Ok(span.cleaned())
}

/// A time, or the absence of one.
pub(super) fn not_negative(time: i64) -> u64 {
    u64::try_from(time).unwrap_or(0)
}

/// Decodes an endpoint.
pub(super) fn endpoint(reader: &mut Reader<'_>) -> Result<Endpoint, String> {
    let mut endpoint = Endpoint::default();
    reader.fields(|field, reader| {
        match field {
            _ if reader.is_null()? => reader.skip()?,
            "serviceName" => endpoint.service_name = lower_case(&reader.string()?),
            "ipv4" | "ipv6" => endpoint.set_ip(&reader.string()?),
            "port" => endpoint.set_port(reader.int()?)?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(endpoint)
}

/// Decodes an annotation; `other` takes the value of a field that v2 does not have.
pub(super) fn annotation(
    reader: &mut Reader<'_>,
    mut other: impl FnMut(&str, &mut Reader<'_>) -> Result<(), String>,
) -> Result<Annotation, String> {
    let (mut timestamp, mut text) = (None, None);
    let mut last = String::new();
    reader.fields(|field, reader| {
        match field {
            "timestamp" => timestamp = Some(reader.long()?),
            "value" => text = Some(reader.string()?.into()),
            _ => other(field, reader)?,
        }
        field.clone_into(&mut last);
        Ok(())
    })?;
    match (timestamp, text) {
        (Some(timestamp), Some(value)) => Ok(Annotation { timestamp, value }),
        _ => Err(format!("Incomplete annotation at {}.{last}", reader.path())),
    }
}
