//! B3, in one header or in several: <https://github.com/openzipkin/b3-propagation>.
//!
//! Where the specification leaves it open, it is read as Brave reads it.

use super::carrier::{Carrier, CarrierMut};
use super::hex;
use crate::model::ids::Ids;
use crate::model::ids::flag;
use crate::model::text::Text;

pub(super) const SINGLE: &str = "b3";
pub(super) const TRACE_ID: &str = "x-b3-traceid";
pub(super) const SPAN_ID: &str = "x-b3-spanid";
pub(super) const PARENT_ID: &str = "x-b3-parentspanid";
pub(super) const SAMPLED: &str = "x-b3-sampled";
pub(super) const FLAGS: &str = "x-b3-flags";

/// Whether the single header names the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithParent {
    /// As for a request.
    Yes,
    /// As for a message, which is read by whoever comes.
    No,
}

/// Reads the header `b3`. `None`: it is not there, or malformed.
pub(super) fn extract_single(carrier: &impl Carrier) -> Option<Ids> {
    let value = carrier.header_values(SINGLE).next()?;
    if let Some(flags) = decision(value) {
        return Some(ids(0, 0, 0, flags));
    }
    let mut fields = value.split(|&byte| byte == b'-');
    let (trace, span) = (fields.next()?, fields.next()?);
    if !matches!(trace.len(), 16 | 32) || span.len() != 16 {
        return None;
    }
    let (flags, parent) = match (fields.next(), fields.next(), fields.next()) {
        (None, ..) => (0, None),
        // `trace-span-parent` defers the decision.
        (Some(last), None, _) => match decision(last) {
            Some(flags) => (flags, None),
            None => (0, Some(last)),
        },
        (Some(sampling), Some(parent), None) => (decision(sampling)?, Some(parent)),
        (_, _, Some(_)) => return None,
    };
    let parent = match parent {
        Some(parent) if parent.len() != 16 => return None,
        Some(parent) => hex::short_number(parent)?,
        None => 0,
    };
    identity(hex::number(trace)?, hex::short_number(span)?, parent, flags)
}

/// Reads the headers `X-B3-…`. `None`: they are not there, or malformed.
pub(super) fn extract_multi(carrier: &impl Carrier) -> Option<Ids> {
    let header = |name| carrier.header_values(name).next();
    let (trace, span) = (header(TRACE_ID), header(SPAN_ID));
    let sampled = match header(SAMPLED) {
        None => 0,
        Some(b"1") => flag::SAMPLED,
        Some(b"0") => flag::UNSAMPLED,
        Some(text) if text.eq_ignore_ascii_case(b"true") => flag::SAMPLED,
        Some(text) if text.eq_ignore_ascii_case(b"false") => flag::UNSAMPLED,
        Some(_) => return None,
    };
    let flags = if header(FLAGS) == Some(b"1") { flag::SAMPLED | flag::DEBUG } else { sampled };
    match (trace, span) {
        (None, None) if flags != 0 => Some(ids(0, 0, 0, flags)),
        (Some(trace), Some(span)) => {
            let parent = match header(PARENT_ID) {
                Some(parent) => Some(hex::short_number(parent)?).filter(|&parent| parent != 0)?,
                None => 0,
            };
            identity(hex::number(trace)?, hex::short_number(span)?, parent, flags)
        }
        _ => None,
    }
}

/// The flags that a sampling field of the single header stands for.
const fn decision(field: &[u8]) -> Option<u16> {
    match field {
        b"1" => Some(flag::SAMPLED),
        b"0" => Some(flag::UNSAMPLED),
        b"d" => Some(flag::SAMPLED | flag::DEBUG),
        _ => None,
    }
}

fn identity(trace: u128, span: u64, parent: u64, flags: u16) -> Option<Ids> {
    (trace != 0 && span != 0).then(|| ids(trace, span, parent, flags | flag::SHARED))
}

fn ids(trace: u128, span: u64, parent: u64, flags: u16) -> Ids {
    let (trace_high, trace_low) = super::halves(trace);
    Ids { trace_high, trace_low, span, parent, flags, ..Ids::NONE }
}

/// Writes the header `b3`.
pub(super) fn inject_single(ids: &Ids, parent: WithParent, carrier: &mut (impl CarrierMut + ?Sized)) {
    let sampling = if ids.is(flag::DEBUG) {
        "d"
    } else if ids.is(flag::SAMPLED) {
        "1"
    } else if ids.is(flag::UNSAMPLED) {
        "0"
    } else {
        ""
    };
    let dash = if sampling.is_empty() { "" } else { "-" };
    match (ids.trace(), ids.span) {
        (Some(trace), span) if span != 0 => {
            let text = if ids.parent == 0 || parent == WithParent::No {
                Text::of(&format_args!("{trace}-{span:016x}{dash}{sampling}"))
            } else {
                Text::of(&format_args!("{trace}-{span:016x}{dash}{sampling}-{:016x}", ids.parent))
            };
            carrier.set_header(SINGLE, text.as_str());
        }
        _ if sampling.is_empty() => {}
        _ => carrier.set_header(SINGLE, sampling),
    }
}

/// Writes the headers `X-B3-…`. Debug is both sampled and flagged, because old peers read either alone as unsampled.
pub(super) fn inject_multi(ids: &Ids, carrier: &mut (impl CarrierMut + ?Sized)) {
    if let (Some(trace), true) = (ids.trace(), ids.span != 0) {
        carrier.set_header(TRACE_ID, Text::of(&trace).as_str());
        carrier.set_header(SPAN_ID, Text::of(&format_args!("{:016x}", ids.span)).as_str());
        if ids.parent != 0 {
            carrier.set_header(PARENT_ID, Text::of(&format_args!("{:016x}", ids.parent)).as_str());
        }
    }
    if ids.is(flag::SAMPLED | flag::UNSAMPLED) {
        carrier.set_header(SAMPLED, if ids.is(flag::SAMPLED) { "1" } else { "0" });
    }
    if ids.is(flag::DEBUG) {
        carrier.set_header(FLAGS, "1");
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::*;

    const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";
    const SPAN: u64 = 0xa2fb_4a1d_1a96_d312;
    const PARENT: u64 = 0x0020_0000_0000_0001;

    fn single(value: &str) -> Option<Ids> {
        extract_single(&vec![("b3", value)])
    }

    fn multi(headers: &[(&str, &str)]) -> Option<Ids> {
        extract_multi(&headers.to_vec())
    }

    fn sampling(ids: Option<Ids>) -> u16 {
        ids.unwrap().flags & !flag::SHARED
    }

    #[test]
    fn a_single_header_has_four_forms() {
        let span = "a2fb4a1d1a96d312";
        let ids = single(&format!("{TRACE}-{span}-1-0020000000000001")).unwrap();
        assert_eq!(ids.trace().unwrap().to_string(), TRACE);
        assert_eq!((ids.span, ids.parent, ids.flags), (SPAN, PARENT, flag::SAMPLED | flag::SHARED));
        assert_eq!(sampling(single(&format!("{TRACE}-{span}"))), 0, "deferred");
        let ids = single(&format!("{TRACE}-{span}-0020000000000001")).unwrap();
        assert_eq!((ids.parent, sampling(Some(ids))), (PARENT, 0), "a parent without a decision");
        assert_eq!(sampling(single(&format!("{TRACE}-{span}-d"))), flag::SAMPLED | flag::DEBUG);
        assert_eq!(sampling(single(&format!("{}-{span}-0", &TRACE[16..]))), flag::UNSAMPLED);
        assert_eq!(
            single(&format!("{TRACE}-{span}-1-0000000000000000")).unwrap().parent,
            0,
            "a parent of zeros is none"
        );
    }

    #[test]
    fn a_decision_alone_has_no_ids() {
        for (value, flags) in [("0", flag::UNSAMPLED), ("1", flag::SAMPLED), ("d", flag::SAMPLED | flag::DEBUG)] {
            assert_eq!(single(value), Some(Ids { flags, ..Ids::NONE }));
        }
        assert_eq!(multi(&[(SAMPLED, "0")]), Some(Ids { flags: flag::UNSAMPLED, ..Ids::NONE }));
        assert_eq!(multi(&[(FLAGS, "1")]), Some(Ids { flags: flag::SAMPLED | flag::DEBUG, ..Ids::NONE }));
    }

    #[test]
    fn a_malformed_single_header_is_none() {
        let span = "a2fb4a1d1a96d312";
        for value in [
            String::new(),
            "2".into(),
            "-".into(),
            TRACE.into(),
            format!("{TRACE}-"),
            format!(" {TRACE}-{span}-1"),
            format!("{TRACE}-{span}-1 "),
            format!("0{TRACE}-{span}-1"),
            format!("{}-{span}-1", TRACE.to_uppercase()),
            format!("{}-{span}-1", "0".repeat(32)),
            format!("{TRACE}-0000000000000000-1"),
            format!("{TRACE}-a2fb4a1d1a96d31-1"),
            format!("{TRACE}-{span}-2"),
            format!("{TRACE}-{span}-1-"),
            format!("{TRACE}-{span}-1-002"),
            format!("{TRACE}-{span}-2-0020000000000001"),
            format!("{TRACE}-{span}-1-0020000000000001-1"),
            format!("{TRACE}-{span}-1-0020000000000001-"),
        ] {
            assert_eq!(single(&value), None, "{value:?}");
        }
        assert_eq!(extract_single(&vec![(b"b3".to_vec(), b"\xff\xfe".to_vec())]), None);
    }

    #[test]
    fn several_headers_make_one_context() {
        let id = [(TRACE_ID, TRACE), (SPAN_ID, "a2fb4a1d1a96d312")];
        let with = |more: &[(&'static str, &'static str)]| multi(&[&id, more].concat());
        let ids = with(&[(PARENT_ID, "0020000000000001"), (SAMPLED, "1")]).unwrap();
        assert_eq!((ids.span, ids.parent, ids.flags), (SPAN, PARENT, flag::SAMPLED | flag::SHARED));
        assert_eq!(sampling(with(&[])), 0);
        for yes in ["1", "true", "TRUE"] {
            assert_eq!(sampling(with(&[(SAMPLED, yes)])), flag::SAMPLED);
        }
        for no in ["0", "false"] {
            assert_eq!(sampling(with(&[(SAMPLED, no)])), flag::UNSAMPLED);
        }
        assert_eq!(sampling(with(&[(SAMPLED, "0"), (FLAGS, "1")])), flag::SAMPLED | flag::DEBUG, "flags win");
        assert_eq!(sampling(with(&[(SAMPLED, "1"), (FLAGS, "0")])), flag::SAMPLED);
        assert_eq!(multi(&[(TRACE_ID, "1f"), (SPAN_ID, "2")]).unwrap().trace_low, 0x1f, "ids may be short");
        assert_eq!(with(&[(SPAN_ID, "9")]).unwrap().span, SPAN, "of repeated headers the first counts");
    }

    #[test]
    fn malformed_headers_are_none() {
        let (trace, span) = ((TRACE_ID, TRACE), (SPAN_ID, "a2fb4a1d1a96d312"));
        let upper = TRACE.to_uppercase();
        let long = format!("0{TRACE}");
        for headers in [
            vec![],
            vec![trace],
            vec![span],
            vec![trace, (SPAN_ID, "0000000000000000")],
            vec![trace, (SPAN_ID, "A2FB4A1D1A96D312")],
            vec![trace, (SPAN_ID, "0a2fb4a1d1a96d312")],
            vec![trace, (SPAN_ID, "")],
            vec![(TRACE_ID, &upper), span],
            vec![(TRACE_ID, &long), span],
            vec![(TRACE_ID, "00"), span],
            vec![trace, span, (SAMPLED, "2")],
            vec![trace, span, (SAMPLED, "d")],
            vec![trace, span, (SAMPLED, "")],
            vec![trace, span, (SAMPLED, "2"), (FLAGS, "1")],
            vec![trace, span, (PARENT_ID, "-")],
            vec![trace, span, (PARENT_ID, "0000000000000000")],
            vec![(PARENT_ID, "0020000000000001")],
        ] {
            assert_eq!(multi(&headers), None, "{headers:?}");
        }
    }

    #[test]
    fn what_is_written_is_as_other_libraries_write_it() {
        let written = |ids: &Ids| {
            let mut carrier = Vec::<(String, String)>::new();
            inject_single(ids, WithParent::Yes, &mut carrier);
            inject_single(ids, WithParent::No, &mut |_: &str, value: &str| {
                carrier.push(("message".into(), value.into()))
            });
            inject_multi(ids, &mut carrier);
            carrier.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        let mut ids = single(&format!("{TRACE}-a2fb4a1d1a96d312-d-0020000000000001")).unwrap();
        assert_eq!(
            written(&ids),
            [
                "b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-d-0020000000000001",
                "message: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-d",
                "x-b3-traceid: 463ac35c9f6413ad48485a3953bb6124",
                "x-b3-spanid: a2fb4a1d1a96d312",
                "x-b3-parentspanid: 0020000000000001",
                "x-b3-sampled: 1",
                "x-b3-flags: 1"
            ]
        );
        ids = Ids { trace_high: 0, parent: 0, flags: flag::UNSAMPLED, ..ids };
        assert_eq!(
            written(&ids),
            [
                "b3: 48485a3953bb6124-a2fb4a1d1a96d312-0",
                "message: 48485a3953bb6124-a2fb4a1d1a96d312-0",
                "x-b3-traceid: 48485a3953bb6124",
                "x-b3-spanid: a2fb4a1d1a96d312",
                "x-b3-sampled: 0"
            ]
        );
        let alone = Ids { flags: flag::UNSAMPLED, ..Ids::NONE };
        assert_eq!(written(&alone), ["b3: 0", "message: 0", "x-b3-sampled: 0"]);
        assert_eq!(written(&Ids::NONE), [""; 0]);
    }
}
