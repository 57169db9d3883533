//! How a context crosses to another process: which headers are read, and which are written.

pub(crate) mod b3;
pub(crate) mod baggage;
pub(crate) mod carrier;
mod hex;
pub(crate) mod w3c;

use std::sync::Arc;

use self::b3::WithParent;
use self::baggage::{Baggage, BaggageField};
use self::carrier::{Carrier, CarrierMut};
use crate::model::ids::Ids;
use crate::model::ids::flag;

/// A way to write a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The header `b3`.
    B3Single,
    /// The same without the parent.
    B3Message,
    /// The headers `X-B3-…`.
    B3Multi,
    /// `traceparent` and `tracestate`.
    TraceContext,
    /// W3C's list of baggage.
    Baggage,
}

/// Which headers carry a context from process to process.
///
/// Reading, the first format that is there and well-formed counts; writing, each is written. Whatever is malformed counts as
/// not there, so that a request with broken headers begins a trace of its own.
///
/// A request may carry one trace in both formats, as those written here do. Then the second one
/// adds what the first cannot say: `tracestate` and the flag for random ids beside B3, debug beside
/// `traceparent`. A second format that tells of another trace is ignored. A decision of B3 without
/// ids is one about the trace of `traceparent`.
///
/// ```
/// use traced_runtime::{BaggageField, Propagation};
///
/// let propagation = Propagation::b3()
///     .and(Propagation::w3c())
///     .baggage(["tenant"])
///     .baggage([BaggageField::new("user").header("ot-baggage-user")]);
/// ```
///
/// | | reads | writes | loses |
/// |---|---|---|---|
/// | [`b3`](Self::b3) | `b3`, `X-B3-…` | `X-B3-…` | |
/// | [`b3_single`](Self::b3_single) | `b3`, `X-B3-…` | `b3` | |
/// | [`b3_message`](Self::b3_message) | `b3`, `X-B3-…` | `b3` | the parent |
/// | [`w3c`](Self::w3c) | `traceparent`, `tracestate`, `baggage` | the same | debug (becomes sampled), the parent, that a trace id has 64 bits |
///
/// An undecided context is decided when it is written, because some peers take a missing decision for a no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propagation {
    reads: Vec<Format>,
    writes: Vec<Format>,
    fields: Vec<BaggageField>,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Extracted {
    pub(crate) ids: Ids,
    pub(crate) baggage: Option<Arc<Baggage>>,
    /// Fields of baggage that were there and could not be kept.
    pub(crate) left_out: u64,
}

impl Propagation {
    /// B3, as Zipkin's own libraries: writes several headers, which old peers need.
    #[must_use]
    pub fn b3() -> Self {
        Self::of(&[Format::B3Single, Format::B3Multi], &[Format::B3Multi])
    }

    /// B3, written as one header.
    #[must_use]
    pub fn b3_single() -> Self {
        Self::of(&[Format::B3Single, Format::B3Multi], &[Format::B3Single])
    }

    /// B3, written as one header without the parent: for messages, whose consumers make children and join nothing.
    #[must_use]
    pub fn b3_message() -> Self {
        Self::of(&[Format::B3Single, Format::B3Multi], &[Format::B3Message])
    }

    /// W3C Trace Context, and W3C Baggage for the [fields](Self::baggage).
    #[must_use]
    pub fn w3c() -> Self {
        let formats = [Format::TraceContext, Format::Baggage];
        Self::of(&formats, &formats)
    }

    /// Nothing is read or written: every process has traces of its own.
    #[must_use]
    pub fn none() -> Self {
        Self::of(&[], &[])
    }

    fn of(reads: &[Format], writes: &[Format]) -> Self {
        Self { reads: reads.to_vec(), writes: writes.to_vec(), fields: Vec::new() }
    }

    /// As `OTEL_PROPAGATORS` lists them.
    pub(crate) fn of_formats(formats: &[Format]) -> Self {
        formats.iter().fold(Self::none(), |all, format| {
            all.and(match format {
                Format::B3Single => Self::b3_single(),
                Format::B3Message => Self::b3_message(),
                Format::B3Multi => Self::b3(),
                Format::TraceContext | Format::Baggage => Self::of(&[*format], &[*format]),
            })
        })
    }

    /// Reads the other's formats after these, and writes them, too.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let add = |to: &mut Vec<Format>, from: Vec<Format>| {
            for format in from {
                if !to.contains(&format) {
                    to.push(format);
                }
            }
        };
        add(&mut self.reads, other.reads);
        add(&mut self.writes, other.writes);
        self.baggage(other.fields)
    }

    /// Lets these fields of baggage cross; no others do. In W3C's list they are where that is written, see
    /// [`BaggageField`] for headers of their own.
    #[must_use]
    pub fn baggage<F: Into<BaggageField>>(mut self, fields: impl IntoIterator<Item = F>) -> Self {
        for field in fields.into_iter().map(Into::into) {
            match self.fields.iter_mut().find(|known| known.name.eq_ignore_ascii_case(&field.name)) {
                Some(known) => *known = field,
                None => self.fields.push(field),
            }
        }
        self
    }

    /// What is wrong with the names of its fields.
    pub(crate) fn problem(&self) -> Option<String> {
        self.fields.iter().find_map(BaggageField::problem)
    }

    /// Reads a context. It has no trace where nothing is there, or what is there is malformed.
    pub(crate) fn extract(&self, carrier: &impl Carrier) -> Extracted {
        let (ids, trace_state) = self.extract_trace(carrier);
        let mut baggage = Baggage::of_state(trace_state);
        let left_out = baggage.extract(&self.fields, self.reads.contains(&Format::Baggage), carrier);
        Extracted { ids, baggage: baggage.shared(), left_out }
    }

    /// The ids by the first format, and what the other format says of the same trace that this one
    /// cannot say.
    fn extract_trace(&self, carrier: &impl Carrier) -> (Ids, Option<w3c::State>) {
        let (mut first, mut b3, mut w3c) = (None, None, None);
        for format in &self.reads {
            match format {
                Format::B3Single | Format::B3Message => b3 = b3.or_else(|| b3::extract_single(carrier)),
                Format::B3Multi => b3 = b3.or_else(|| b3::extract_multi(carrier)),
                Format::TraceContext => w3c = w3c::extract(carrier),
                Format::Baggage => {}
            }
            first = first.or(b3).or(w3c);
        }
        let Some(mut ids) = first else { return (Ids::NONE, None) };
        if let Some(b3) = b3.filter(|b3: &Ids| (b3.trace(), b3.span) == (ids.trace(), ids.span)) {
            ids.flags |= if ids.is(flag::SAMPLED) { b3.flags & flag::DEBUG } else { 0 };
        }
        let Some(w3c) = w3c else { return (ids, None) };
        if !ids.has_trace() {
            // A decision alone: for whose trace, the other format says.
            ids = Ids { flags: ids.flags, ..w3c };
        }
        match ids.trace() {
            Some(trace) if w3c.trace() == Some(trace) => {
                ids.flags |= w3c.flags & flag::RANDOM;
                (ids, w3c::extract_state(trace, carrier))
            }
            _ => (ids, None),
        }
    }

    /// Writes a context. Headers of the formats that are read here are replaced: those that came with a request which is
    /// passed on tell of another span. Gives how many fields of baggage could not be written.
    pub(crate) fn inject(&self, ids: &Ids, baggage: Option<&Baggage>, carrier: &mut (impl CarrierMut + ?Sized)) -> u64 {
        for format in &self.reads {
            let stale: &[&str] = match format {
                Format::B3Single | Format::B3Message => &[b3::SINGLE],
                Format::B3Multi => &[b3::TRACE_ID, b3::SPAN_ID, b3::PARENT_ID, b3::SAMPLED, b3::FLAGS],
                Format::TraceContext => &[w3c::TRACEPARENT, w3c::TRACESTATE],
                Format::Baggage => &[],
            };
            stale.iter().for_each(|name| carrier.remove_header(name));
        }
        Baggage::remove_stale(&self.fields, carrier);
        let mut with_w3c = false;
        for format in &self.writes {
            match format {
                Format::B3Single => b3::inject_single(ids, WithParent::Yes, carrier),
                Format::B3Message => b3::inject_single(ids, WithParent::No, carrier),
                Format::B3Multi => b3::inject_multi(ids, carrier),
                Format::TraceContext => {
                    w3c::inject(ids, baggage.and_then(|baggage| baggage.trace_state.as_ref()), carrier);
                }
                Format::Baggage => with_w3c = true,
            }
        }
        baggage.map_or(0, |baggage| baggage.inject(&self.fields, with_w3c, carrier))
    }
}

/// B3 and W3C, without baggage.
impl Default for Propagation {
    fn default() -> Self {
        Self::b3().and(Self::w3c())
    }
}

/// What the span of a server is to the client's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerSpan {
    /// It has the same id, as Zipkin has it: both report a half of one span. Only contexts that came by B3 are joined;
    /// below others it is a child.
    #[default]
    Joined,
    /// It is a child of the client's.
    Child,
}

/// How much a caller's decision about sampling counts. Anybody can send one; a server that
/// strangers reach may refuse it.
///
/// | | [`Trust`](Self::Trust) | [`RefuseDebug`](Self::RefuseDebug) | [`DecideAnew`](Self::DecideAnew) |
/// |---|---|---|---|
/// | debug: `X-B3-Flags: 1`, `b3: …-d` | recorded, as debug | recorded, as an ordinary trace | the sampler decides |
/// | sampled: `1`, `traceparent` `…-01` | recorded | recorded | the sampler decides |
/// | unsampled: `0`, `…-00` | not recorded | not recorded | the sampler decides |
/// | no decision | the sampler decides | the sampler decides | the sampler decides |
///
/// What is decided here holds for the calls that go out below. The ids and the baggage are the
/// caller's in each case. [`Context::with_remote_sampling`](crate::Context::with_remote_sampling)
/// applies it; layers of `traced-tower` have a setting of this type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RemoteSampling {
    /// The caller's decision counts, as Zipkin has it: a trace is recorded as a whole or not at
    /// all.
    #[default]
    Trust,
    /// The caller's decision counts, but for debug, which neither samplers on the way nor a
    /// collector's may refuse. B3's debug implies sampled: that is what is left of it.
    RefuseDebug,
    /// The caller's decision does not count: the sampler of this process decides as if there was
    /// none. A trace that it records may lack the caller's half, and one that the caller records
    /// may end here.
    DecideAnew,
}

/// How contexts cross to other processes and come from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crossing {
    pub(crate) propagation: Propagation,
    pub(crate) server_span: ServerSpan,
}

/// The high and the low half of a trace id.
#[allow(clippy::cast_possible_truncation, reason = "the two halves of the id")]
pub(crate) const fn halves(trace: u128) -> (u64, u64) {
    ((trace >> 64) as u64, trace as u64)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::*;

    const SPAN: &str = "463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1";
    const W3C: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const MULTI: [(&str, &str); 2] = [("X-B3-TraceId", "1f"), ("X-B3-SpanId", "2")];

    fn span(propagation: &Propagation, headers: &[(&str, &str)]) -> u64 {
        propagation.extract(&headers.to_vec()).ids.span
    }

    #[test]
    fn formats_are_read_in_order_and_the_first_that_is_well_formed_counts() {
        let all = [&[("b3", SPAN), ("traceparent", W3C)][..], &MULTI].concat();
        let single = 0xa2fb_4a1d_1a96_d312;
        let parent = 0x00f0_67aa_0ba9_02b7;
        assert_eq!(span(&Propagation::default(), &all), single);
        assert_eq!(span(&Propagation::w3c().and(Propagation::b3()), &all), parent);
        let broken = [&[("b3", "x"), ("traceparent", W3C)][..], &MULTI].concat();
        assert_eq!(span(&Propagation::default(), &broken), 2, "several headers after the one");
        assert_eq!(span(&Propagation::default(), &[("b3", "x"), ("traceparent", W3C)]), parent);
        assert_eq!(span(&Propagation::none(), &all), 0);
        assert_eq!(span(&Propagation::default(), &[("b3", "x"), ("traceparent", "y")]), 0);
    }

    #[test]
    fn headers_that_were_passed_on_are_replaced() {
        let mut headers: Vec<(String, String)> =
            [("b3", SPAN), ("X-B3-ParentSpanId", "7"), ("tracestate", "a=1"), ("accept", "*/*")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        let ids = Ids { trace_low: 1, span: 2, flags: flag::SAMPLED, ..Ids::NONE };
        Propagation::default().inject(&ids, None, &mut headers);
        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["accept", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "traceparent"]);
    }

    #[test]
    fn the_state_of_a_trace_is_passed_on_whichever_format_told_of_it() {
        let state = |headers: &[(&str, &str)]| {
            let headers = [headers, &[("tracestate", "a=1")]].concat();
            let read = Propagation::default().extract(&headers);
            let mut written = Vec::<(String, String)>::new();
            Propagation::default().inject(&read.ids, read.baggage.as_deref(), &mut written);
            written.into_iter().find(|(name, _)| name == "tracestate").map(|(_, value)| value)
        };
        let passed = Some("a=1".to_owned());
        let same = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1";
        let padded = "00-0000000000000000a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(state(&[("traceparent", W3C)]), passed);
        assert_eq!(state(&[("traceparent", W3C), ("b3", same)]), passed);
        assert_eq!(state(&[("traceparent", W3C), ("b3", &same.replace("00f0", "11f0"))]), passed, "of another span");
        assert_eq!(state(&[("traceparent", padded), ("b3", &same[16..])]), passed, "an id of 64 bits");
        let multi = [("x-b3-traceid", &same[..32]), ("x-b3-spanid", "1"), ("traceparent", W3C)];
        assert_eq!(state(&multi), passed);
        assert_eq!(state(&[("traceparent", W3C), ("b3", SPAN)]), None, "of a trace that was not taken");
        assert_eq!(state(&[("traceparent", W3C), ("b3", &same[16..])]), None, "half an id is another one");
        assert_eq!(state(&[("traceparent", "00-x"), ("b3", same)]), None, "a state of nothing");
        assert_eq!(state(&[("b3", same)]), None);
        assert_eq!(state(&[("traceparent", W3C), ("traceparent", W3C), ("b3", same)]), None, "two say nothing");
    }

    #[test]
    fn what_one_format_cannot_say_the_other_adds_if_it_is_of_the_same_trace() {
        let flags = |propagation: &Propagation, headers: &[(&str, &str)]| {
            propagation.extract(&headers.to_vec()).ids.flags & !flag::SHARED
        };
        let (b3_first, w3c_first) = (Propagation::default(), Propagation::w3c().and(Propagation::b3()));
        let random = W3C.replace("-01", "-03");
        let debug = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-d";
        let both = [("b3", debug), ("traceparent", random.as_str())];
        for propagation in [&b3_first, &w3c_first] {
            assert_eq!(flags(propagation, &both), flag::SAMPLED | flag::DEBUG | flag::RANDOM);
        }
        let of_others = [("b3", SPAN), ("traceparent", random.as_str())];
        assert_eq!(flags(&b3_first, &of_others), flag::SAMPLED, "whether that id is random, nobody says");
        assert_eq!(flags(&w3c_first, &[("b3", &SPAN.replace("-1", "-d")), of_others[1]]), flag::SAMPLED | flag::RANDOM);
        let unsampled = W3C.replace("-01", "-00");
        assert_eq!(
            flags(&w3c_first, &[("b3", debug), ("traceparent", &unsampled)]),
            flag::UNSAMPLED,
            "the first counts"
        );
        assert_eq!(flags(&b3_first, &[("b3", &debug.replace("-d", "-0")), both[1]]), flag::UNSAMPLED | flag::RANDOM);
        assert_eq!(flags(&b3_first, &[("b3", &debug[..49]), both[1]]), flag::RANDOM, "deferred stays so");
    }

    #[test]
    fn a_decision_alone_is_about_the_trace_of_the_other_format() {
        for (headers, flags) in [
            ([("b3", "d"), ("traceparent", W3C)], flag::SAMPLED | flag::DEBUG),
            ([("b3", "0"), ("traceparent", W3C)], flag::UNSAMPLED),
            ([("x-b3-flags", "1"), ("traceparent", W3C)], flag::SAMPLED | flag::DEBUG),
        ] {
            let ids = Propagation::default().extract(&headers.to_vec()).ids;
            assert_eq!((ids.span, ids.flags), (0x00f0_67aa_0ba9_02b7, flags), "{headers:?}");
        }
        let ids = Propagation::default().extract(&vec![("b3", "d"), ("traceparent", "00-x")]).ids;
        assert!(!ids.has_trace() && ids.is(flag::DEBUG));
    }

    #[test]
    fn a_field_that_is_named_twice_is_the_last_one() {
        let propagation = Propagation::b3().baggage(["a"]).baggage([BaggageField::new("A").header("x-a")]);
        assert_eq!(propagation.fields, [BaggageField::new("A").header("x-a")]);
        assert_eq!(propagation.problem(), None);
        assert!(Propagation::b3().baggage(["b3"]).problem().unwrap().contains("carries the trace itself"));
    }
}
