//! Zipkin's protocol buffers: `ListOfSpans` of [zipkin.proto](https://github.com/openzipkin/zipkin-api/blob/master/zipkin.proto).

use std::fmt::Write as _;

use super::text;
use crate::endpoint::Endpoint;
use crate::id::{SpanId, TraceId};
use crate::span::{Annotation, Kind, Span, Tags, lower_case};
use crate::steps::steps;

/// Decodes a list of spans.
pub(super) fn list(body: &[u8]) -> Result<Vec<Span>, String> {
    let mut reader = Reader { bytes: body, at: 0 };
    let mut spans = Vec::new();
    while reader.at < body.len() {
        // The key: there is but one field.
        let result = reader.varint32().and_then(|_| reader.length()).and_then(|length| match length {
            0 => Ok(None),
            length => span(&mut reader, length).map(Some),
        });
        match result {
            Ok(Some(span)) => spans.push(span),
            Ok(None) => return Err("Empty span reading List<Span> from proto3".to_owned()),
            Err(error) => {
                let error = if error.contains("Malformed") { "Malformed" } else { &error };
                return Err(format!("{error} reading List<Span> from proto3"));
            }
        }
    }
    Ok(spans)
}

const VARINT: u32 = 0;
const FIXED_64: u32 = 1;
const BYTES: u32 = 2;
const FIXED_32: u32 = 5;

/// The key of a field.
const fn key(number: u32, wire_type: u32) -> u32 {
    number << 3 | wire_type
}

fn span(reader: &mut Reader<'_>, length: usize) -> Result<Span, String> {
    const TRACE_ID: u32 = key(1, BYTES);
    const PARENT_ID: u32 = key(2, BYTES);
    const ID: u32 = key(3, BYTES);
    const KIND: u32 = key(4, VARINT);
    const NAME: u32 = key(5, BYTES);
    const TIMESTAMP: u32 = key(6, FIXED_64);
    const DURATION: u32 = key(7, VARINT);
    const LOCAL: u32 = key(8, BYTES);
    const REMOTE: u32 = key(9, BYTES);
    const ANNOTATION: u32 = key(10, BYTES);
    const TAG: u32 = key(11, BYTES);
    const DEBUG: u32 = key(12, VARINT);
    const SHARED: u32 = key(13, VARINT);

    let (mut trace_id, mut id, mut parent_id) = (None, None, None);
    let (mut kind, mut name, mut timestamp, mut duration) = (None, None, 0, 0);
    let (mut local_endpoint, mut remote_endpoint) = (None, None);
    let (mut annotations, mut tags) = (Vec::new(), Vec::new());
    let (mut debug, mut shared) = (false, false);
    reader.message(length, |key, reader| {
        match key {
            TRACE_ID => {
                let hex = reader.hex()?;
                trace_id = Some(TraceId::parse(&hex.ok_or("traceId == null")?)?);
            }
            PARENT_ID => {
                parent_id = reader.hex()?.map(|hex| SpanId::parse_parent(&hex)).transpose()?.flatten();
            }
            ID => id = Some(SpanId::parse(&reader.hex()?.ok_or("id == null")?)?),
            KIND => {
                kind = match reader.varint32()? {
                    1 => Some(Kind::Client),
                    2 => Some(Kind::Server),
                    3 => Some(Kind::Producer),
                    4 => Some(Kind::Consumer),
                    _ => kind,
                }
            }
            NAME => name = lower_case(&reader.text()?.unwrap_or_default()),
            TIMESTAMP => timestamp = reader.fixed64()?,
            DURATION => duration = reader.varint64()?,
            LOCAL => local_endpoint = endpoint(reader)?.known(),
            REMOTE => remote_endpoint = endpoint(reader)?.known(),
            ANNOTATION => annotations.extend(annotation(reader)?),
            TAG => {
                if let Some((key, value)) = tag(reader)? {
                    tags.push((key.into(), value.into()));
                }
            }
            DEBUG => debug |= reader.boolean()?,
            SHARED => shared |= reader.boolean()?,
            key => reader.skip(key)?,
        }
        Ok(())
    })?;
    // What Java takes for a negative number is no time.
    let time = |value: u64| if i64::try_from(value).is_ok() { value } else { 0 };
    let span = Span {
        parent_id,
        kind,
        name,
        timestamp: time(timestamp),
        duration: time(duration),
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

fn endpoint(reader: &mut Reader<'_>) -> Result<Endpoint, String> {
    const SERVICE_NAME: u32 = key(1, BYTES);
    const IPV4: u32 = key(2, BYTES);
    const IPV6: u32 = key(3, BYTES);
    const PORT: u32 = key(4, VARINT);
    let mut endpoint = Endpoint::default();
    let length = reader.length()?;
    reader.message(length, |key, reader| {
        match key {
            SERVICE_NAME => endpoint.service_name = lower_case(&reader.text()?.unwrap_or_default()),
            IPV4 | IPV6 => {
                let length = reader.length()?;
                endpoint.set_ip_bytes(reader.take(length)?);
            }
            PORT => {
                #[expect(clippy::cast_possible_wrap, reason = "as Java reads it")]
                let port = reader.varint32()? as i32;
                endpoint.set_port(port)?;
            }
            key => reader.skip(key)?,
        }
        Ok(())
    })?;
    Ok(endpoint)
}

fn annotation(reader: &mut Reader<'_>) -> Result<Option<Annotation>, String> {
    const TIMESTAMP: u32 = key(1, FIXED_64);
    const VALUE: u32 = key(2, BYTES);
    let (mut timestamp, mut value) = (0, None);
    let length = reader.length()?;
    reader.message(length, |key, reader| {
        match key {
            TIMESTAMP => {
                #[expect(clippy::cast_possible_wrap, reason = "as Java reads it")]
                let time = reader.fixed64()? as i64;
                timestamp = time;
            }
            VALUE => value = reader.text()?,
            key => reader.skip(key)?,
        }
        Ok(())
    })?;
    Ok(value.filter(|_| timestamp != 0).map(|value| Annotation { timestamp, value: value.into() }))
}

fn tag(reader: &mut Reader<'_>) -> Result<Option<(String, String)>, String> {
    const KEY: u32 = key(1, BYTES);
    const VALUE: u32 = key(2, BYTES);
    let (mut name, mut value) = (None, String::new());
    let length = reader.length()?;
    reader.message(length, |key, reader| {
        match key {
            KEY => name = reader.text()?,
            VALUE => value = reader.text()?.unwrap_or_default(),
            key => reader.skip(key)?,
        }
        Ok(())
    })?;
    Ok(name.map(|name| (name, value)))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads the fields of a message of so many bytes.
    fn message(
        &mut self,
        length: usize,
        mut field: impl FnMut(u32, &mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let begin = self.at;
        self.take(length)?;
        let end = std::mem::replace(&mut self.at, begin);
        while self.at < end {
            let key = self.varint32()?;
            field(key, self)?;
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let left = self.bytes.get(self.at..).unwrap_or_default();
        let taken =
            left.get(..length).ok_or_else(|| format!("Truncated: length {length} > bytes available {}", left.len()))?;
        self.at += length;
        steps(length);
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn fixed64(&mut self) -> Result<u64, String> {
        Ok(self.take(8)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn varint64(&mut self) -> Result<u64, String> {
        self.varint(64)
    }

    fn varint32(&mut self) -> Result<u32, String> {
        self.varint(32).and_then(|value| u32::try_from(value).map_err(|error| error.to_string()))
    }

    /// The last byte of a number that is too long says so.
    fn varint(&mut self, bits: u32) -> Result<u64, String> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            let last = shift + 7 >= bits;
            if last && u32::from(byte) >> bits.saturating_sub(shift).min(8) != 0 {
                return Err(format!("Greater than {bits}-bit varint at position {}", self.at - 1));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    fn length(&mut self) -> Result<usize, String> {
        self.varint32().map(|length| length as usize)
    }

    /// `None` when it is empty.
    fn text(&mut self) -> Result<Option<String>, String> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        Ok((!bytes.is_empty()).then(|| text(bytes).into_owned()))
    }

    /// Bytes as hexadecimal digits; `None` when there are none.
    fn hex(&mut self) -> Result<Option<String>, String> {
        let length = self.length()?;
        if length > 32 {
            return Err(format!("hex field greater than 32 chars long: {length}"));
        }
        let hex = self.take(length)?.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").ok();
            hex
        });
        Ok((!hex.is_empty()).then_some(hex))
    }

    fn boolean(&mut self) -> Result<bool, String> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("Malformed: invalid boolean value".to_owned()),
        }
    }

    /// Passes over a field that is not known.
    fn skip(&mut self, key: u32) -> Result<(), String> {
        if key >> 3 == 0 {
            return Err("Malformed: fieldNumber was zero".to_owned());
        }
        match key & 7 {
            VARINT => self.varint64().map(drop),
            FIXED_64 => self.take(8).map(drop),
            BYTES => {
                let length = self.length()?;
                self.take(length).map(drop)
            }
            FIXED_32 => self.take(4).map(drop),
            _ => Err("Malformed: invalid wireType".to_owned()),
        }
    }
}
