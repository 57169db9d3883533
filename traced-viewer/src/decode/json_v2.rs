//! Zipkin's JSON v2, the format of today's clients: `POST /api/v2/spans`.

use super::json::{Path, Value};
use crate::id::{SpanId, TraceId};
use crate::span::{Annotation, Endpoint, Kind, Span, Tags, lower_case};

/// Decodes one span, and adds it to others.
pub(super) fn span_into(value: Value<'_>, spans: &mut Vec<Span>) -> Result<(), String> {
    spans.push(span(value)?);
    Ok(())
}

fn span(value: Value<'_>) -> Result<Span, String> {
    let (mut trace_id, mut id, mut parent_id) = (None, None, None);
    let (mut kind, mut name, mut timestamp, mut duration) = (None, None, 0, 0);
    let (mut local_endpoint, mut remote_endpoint) = (None, None);
    let (mut annotations, mut tags) = (Vec::new(), Tags::default());
    let (mut debug, mut shared) = (false, false);
    value.fields(|field, value| {
        match field {
            "traceId" => trace_id = Some(TraceId::parse(&value.string()?)?),
            "id" => id = Some(SpanId::parse(&value.string()?)?),
            _ if value.is_null() => {}
            "parentId" => parent_id = SpanId::parse_parent(&value.string()?)?,
            "kind" => kind = Some(Kind::parse(&value.string()?)?),
            "name" => name = lower_case(&value.string()?),
            "timestamp" => timestamp = not_negative(value.long()?),
            "duration" => duration = not_negative(value.long()?),
            "localEndpoint" => local_endpoint = endpoint(value)?.known(),
            "remoteEndpoint" => remote_endpoint = endpoint(value)?.known(),
            "annotations" => value.elements(|value| {
                annotations.push(annotation(value)?.0);
                Ok(())
            })?,
            "tags" => value.fields(|key, value| {
                if value.is_null() {
                    return Err(format!("No value at {}", value.path()));
                }
                tags.set(key, value.string()?);
                Ok(())
            })?,
            "debug" => debug = value.boolean()?,
            "shared" => shared = value.boolean()?,
            _ => {}
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
        tags,
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
pub(super) fn endpoint(value: Value<'_>) -> Result<Endpoint, String> {
    let mut endpoint = Endpoint::default();
    value.fields(|field, value| {
        match field {
            _ if value.is_null() => {}
            "serviceName" => endpoint.service_name = lower_case(&value.string()?),
            "ipv4" | "ipv6" => endpoint.set_ip(&value.string()?),
            "port" => endpoint.set_port(value.int()?)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(endpoint)
}

/// Decodes an annotation, and the endpoint that v1 has in it.
pub(super) fn annotation(value: Value<'_>) -> Result<(Annotation, Option<Box<Endpoint>>), String> {
    let (mut timestamp, mut text, mut at) = (None, None, None);
    let mut last = String::new();
    value.fields(|field, value| {
        match field {
            "timestamp" => timestamp = Some(value.long()?),
            "value" => text = Some(value.string()?.into()),
            "endpoint" if !value.is_null() => at = endpoint(value)?.known(),
            _ => {}
        }
        field.clone_into(&mut last);
        Ok(())
    })?;
    match (timestamp, text) {
        (Some(timestamp), Some(value)) => Ok((Annotation { timestamp, value }, at)),
        _ => Err(format!("Incomplete annotation at {}", Path::Field(value.path(), &last))),
    }
}
