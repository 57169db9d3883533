//! W3C Trace Context, level 2: <https://www.w3.org/TR/trace-context-2/>.

use super::carrier::{Carrier, CarrierMut};
use super::{halves, hex};
use crate::model::id::TraceId;
use crate::model::ids::Ids;
use crate::model::ids::flag;
use crate::model::text::Text;

pub(super) const TRACEPARENT: &str = "traceparent";
pub(super) const TRACESTATE: &str = "tracestate";

/// Bytes of `tracestate` that are passed on. The specification asks for 512 at least; a longer one is left out whole, since
/// nobody but its writers can shorten it.
pub const TRACE_STATE_BYTES: usize = 4 << 10;

/// Members of `tracestate` that the specification allows. A list of more is left out whole.
pub const TRACE_STATE_MEMBERS: usize = 32;

/// Flag: the caller may have recorded the trace.
const SAMPLED: u8 = 1;
/// Flag: the last seven bytes of the trace id are random.
const RANDOM: u8 = 2;

/// Reads `traceparent`. `None`: it is not there, there are two, or it is malformed.
pub(super) fn extract(carrier: &impl Carrier) -> Option<Ids> {
    let mut values = carrier.header_values(TRACEPARENT);
    let (value, None) = (values.next()?.trim_ascii(), values.next()) else { return None };
    let mut fields = value.splitn(5, |&byte| byte == b'-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    if (version.len(), trace.len(), span.len(), flags.len()) != (2, 32, 16, 2) {
        return None;
    }
    match hex::number(version)? {
        0xff => return None,
        // This version has four fields; higher ones may have more.
        0 if fields.next().is_some() => return None,
        _ => {}
    }
    let (trace, span) = (hex::number(trace)?, hex::short_number(span)?);
    if trace == 0 || span == 0 {
        return None;
    }
    let (trace_high, trace_low) = halves(trace);
    let sent = hex::number(flags)?;
    let has = |flag: u8| sent & u128::from(flag) != 0;
    let sampling = if has(SAMPLED) { flag::SAMPLED } else { flag::UNSAMPLED };
    let flags = if has(RANDOM) { sampling | flag::RANDOM } else { sampling };
    Some(Ids { trace_high, trace_low, span, flags, ..Ids::NONE })
}

/// `tracestate`, and the trace that it came with: it means nothing in another one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct State {
    trace: TraceId,
    text: Box<str>,
}

/// Reads `tracestate`, to be passed on with this trace as it is: what it says is its writers'
/// alone. `None`: it is not there, or it cannot be a header's value, or it is too long.
pub(super) fn extract_state(trace: TraceId, carrier: &impl Carrier) -> Option<State> {
    state_text(carrier).map(|text| State { trace, text })
}

fn state_text(carrier: &impl Carrier) -> Option<Box<str>> {
    let mut state = Vec::new();
    for value in carrier.header_values(TRACESTATE).map(<[u8]>::trim_ascii).filter(|value| !value.is_empty()) {
        if state.len() + value.len() >= TRACE_STATE_BYTES {
            return None;
        }
        if !state.is_empty() {
            state.push(b',');
        }
        state.extend_from_slice(value);
    }
    // White space between members may be a tab, which a carrier is promised not to get.
    state.iter_mut().filter(|byte| **byte == b'\t').for_each(|byte| *byte = b' ');
    let is_printable = state.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let members = state.split(|&byte| byte == b',').filter(|member| !member.trim_ascii().is_empty()).count();
    if !is_printable || !(1..=TRACE_STATE_MEMBERS).contains(&members) {
        return None;
    }
    String::from_utf8(state).ok().map(Into::into)
}

/// Writes `traceparent`, and `tracestate` if the trace came with one. A trace id of 64 bits is
/// padded; there is no way to say *debug*, or that it is not decided whether to record. Flags that
/// this version does not know are not passed on.
pub(super) fn inject(ids: &Ids, state: Option<&State>, carrier: &mut (impl CarrierMut + ?Sized)) {
    let (Some(trace), true) = (ids.trace(), ids.span != 0) else { return };
    let sampled = if ids.is(flag::SAMPLED) { SAMPLED } else { 0 };
    let flags = if ids.is(flag::RANDOM) { sampled | RANDOM } else { sampled };
    let text = Text::of(&format_args!("00-{:032x}-{:016x}-{flags:02x}", trace.get(), ids.span));
    carrier.set_header(TRACEPARENT, text.as_str());
    if let Some(state) = state.filter(|state| state.trace == trace) {
        carrier.set_header(TRACESTATE, &state.text);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::*;

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(value: &str) -> Option<Ids> {
        extract(&vec![(TRACEPARENT, value)])
    }

    #[test]
    fn a_tab_between_members_is_passed_on_as_a_space() {
        let state = state_text(&vec![(TRACESTATE, "a=1\t,\tb=2"), (TRACESTATE, "c=3")]);
        assert_eq!(state.as_deref(), Some("a=1 , b=2,c=3"));
        assert_eq!(state_text(&vec![(TRACESTATE, "a=\u{1}")]), None);
    }

    #[test]
    fn this_version_and_higher_ones_are_read() {
        let ids = read(SENT).unwrap();
        assert_eq!((ids.trace_high, ids.trace_low), (0x4bf9_2f35_77b3_4da6, 0xa3ce_929d_0e0e_4736));
        assert_eq!((ids.span, ids.flags), (0x00f0_67aa_0ba9_02b7, flag::SAMPLED));
        assert_eq!(read(&SENT.replace("-01", "-00")).unwrap().flags, flag::UNSAMPLED);
        assert_eq!(read(&SENT.replace("-01", "-03")).unwrap().flags, flag::SAMPLED | flag::RANDOM);
        assert_eq!(read(&SENT.replace("-01", "-02")).unwrap().flags, flag::UNSAMPLED | flag::RANDOM);
        assert_eq!(read(&SENT.replace("-01", "-fc")).unwrap().flags, flag::UNSAMPLED, "other flags say nothing");
        assert_eq!(read(&format!(" \t{SENT} ")), Some(ids), "white space around it");
        assert_eq!(read(&SENT.replacen("00", "cc", 1)), Some(ids), "a higher version");
        assert_eq!(read(&format!("{}-what-ever", SENT.replacen("00", "cc", 1))), Some(ids), "with more fields");
    }

    #[test]
    fn a_malformed_one_is_none() {
        for value in [
            String::new(),
            "00".into(),
            SENT.replacen("00", "ff", 1),
            SENT.replacen("00", "0", 1),
            SENT.to_uppercase(),
            format!("{SENT}-00"),
            format!("{SENT}-"),
            format!("{}.x", SENT.replacen("00", "cc", 1)),
            SENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            SENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            SENT.replace("00f067aa0ba902b7", "00f067aa0ba902b"),
            SENT.replace("-01", "-0"),
            SENT.replace("-01", "-0x"),
        ] {
            assert_eq!(read(&value), None, "{value:?}");
        }
        assert_eq!(extract(&vec![(TRACEPARENT, SENT), (TRACEPARENT, SENT)]), None, "two headers");
    }

    #[test]
    fn the_state_is_passed_on_as_it_is() {
        let state = |values: &[&str]| state_text(&values.iter().map(|value| (TRACESTATE, value)).collect::<Vec<_>>());
        assert_eq!(state(&[]), None);
        assert_eq!(state(&["a=1, b=2"]).as_deref(), Some("a=1, b=2"));
        assert_eq!(state(&["a=1", "", "b=2 "]).as_deref(), Some("a=1,b=2"), "several headers are one list");
        assert_eq!(state(&["a=\u{e9}"]), None);
        assert_eq!(state(&[" , ,", "\t"]), None, "empty members alone");
        assert_eq!(state(&[&"x".repeat(TRACE_STATE_BYTES)]), None);
        let members = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(", ,");
        let most = members(TRACE_STATE_MEMBERS);
        assert_eq!(state(&[&most]).as_deref(), Some(most.as_str()), "empty members do not count");
        assert_eq!(state(&[&members(TRACE_STATE_MEMBERS + 1)]), None, "no such list is valid");
        assert_eq!(state(&[&members(20), &members(13)]), None, "however many headers it comes in");
        let long = format!("a={},b=2", "x".repeat(1_000));
        assert_eq!(state(&[&long]).as_deref(), Some(long.as_str()), "512 bytes are a least bound");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let state = State { trace: read(SENT).unwrap().trace().unwrap(), text: "a=1".into() };
        let written = |ids: &Ids| {
            let mut carrier = Vec::<(String, String)>::new();
            inject(ids, Some(&state), &mut carrier);
            carrier
        };
        let carrier = written(&read(SENT).unwrap());
        assert_eq!(carrier, [(TRACEPARENT.into(), SENT.into()), (TRACESTATE.into(), "a=1".to_owned())]);
        for (sent, passed) in [("03", "03"), ("02", "02"), ("ff", "03"), ("fc", "00")] {
            let flags = &written(&read(&SENT.replace("-01", &format!("-{sent}"))).unwrap())[0].1[53..];
            assert_eq!(flags, passed, "of {sent}");
        }
        let other = Ids { trace_low: 1, ..read(SENT).unwrap() };
        assert_eq!(written(&other).len(), 1, "the state of another trace stays behind");
        let short = Ids { trace_high: 0, flags: flag::UNSAMPLED, ..read(SENT).unwrap() };
        assert_eq!(written(&short)[0].1, "00-0000000000000000a3ce929d0e0e4736-00f067aa0ba902b7-00");
        assert_eq!(written(&Ids { flags: flag::UNSAMPLED, ..Ids::NONE }), []);
    }
}
