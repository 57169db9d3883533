//! Baggage: fields of the user's that travel with a trace.
//!
//! A field has headers of its own, as Brave and OpenTracing have it, and a place in W3C's list
//! (<https://www.w3.org/TR/baggage/>).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::carrier::{Carrier, CarrierMut};
use super::w3c;

/// W3C's header.
pub(super) const BAGGAGE: &str = "baggage";

/// Bytes of all of a context's baggage, names and values. A field that would exceed it is left out, and counted.
pub const BAGGAGE_BYTES: usize = 8 << 10;

/// Fields of a context's baggage. Those beyond it are left out, and counted.
pub const BAGGAGE_FIELDS: usize = 64;

/// Bytes of all headers of baggage that one request is given, names and encoded values. Servers refuse requests whose headers
/// are too long together (16 KiB is a common bound), and baggage must not be what makes one fail. What does not fit is left
/// out, and counted; W3C's list before headers of a field's own.
pub const SENT_BAGGAGE_BYTES: usize = 8 << 10;

/// Bytes of W3C's header that are looked at. What is behind them is not read.
const READ_BYTES: usize = 4 * BAGGAGE_BYTES;

/// A field that may cross to other processes.
///
/// It is read from the headers `x`, `baggage-x` and `ot-baggage-x` for a field `x`, and from W3C's list `baggage`; the first
/// that is there counts. It is written to the header `x`, or to those that are [named](Self::header), and to W3C's list if the
/// [propagation](super::Propagation) writes W3C. Values are UTF-8; one with control characters fits into W3C's list
/// alone, and is left out elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaggageField {
    pub(super) name: String,
    /// Lower-case; empty: the field's own name.
    pub(super) headers: Vec<String>,
}

impl BaggageField {
    /// A field of this name. A header's name knows no case: fields that differ in case alone are one.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), headers: Vec::new() }
    }

    /// Writes it to this header instead, or to several if called again; it is read from there, too. OpenTracing's peers want
    /// `ot-baggage-x`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>) -> Self {
        self.headers.push(name.into().to_ascii_lowercase());
        self
    }

    /// The headers that it is written to.
    pub(super) fn written_to(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let own = self.headers.is_empty().then(|| self.name.to_ascii_lowercase().into());
        own.into_iter().chain(self.headers.iter().map(|header| header.as_str().into()))
    }

    /// The headers that it is read from.
    fn read_from(&self) -> impl Iterator<Item = String> {
        let name = self.name.to_ascii_lowercase();
        let known = [format!("baggage-{name}"), format!("ot-baggage-{name}")];
        self.headers.clone().into_iter().chain([name]).chain(known)
    }

    /// What is wrong with its names.
    pub(super) fn problem(&self) -> Option<String> {
        const RESERVED: [&str; 4] = ["b3", "traceparent", "tracestate", BAGGAGE];
        let lower = self.name.to_ascii_lowercase();
        for name in self.headers.iter().chain([&lower]) {
            if name.is_empty() || !name.bytes().all(is_token) {
                return Some(format!("{name:?} is no name of a header: it takes letters, digits and !#$%&'*+-.^_`|~"));
            }
            if RESERVED.contains(&name.as_str()) || name.starts_with("x-b3-") {
                return Some(format!("the header {name:?} carries the trace itself"));
            }
        }
        None
    }
}

impl From<&str> for BaggageField {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for BaggageField {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

/// What travels with a trace beside its ids.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Baggage {
    fields: Vec<(Box<str>, Box<str>)>,
    /// W3C's `tracestate`.
    pub(super) trace_state: Option<w3c::State>,
}

/// Names only: values may be secret.
impl fmt::Debug for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fields.iter().map(|(name, _)| name)).finish()
    }
}

/// A field did not fit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeftOut;

impl Baggage {
    /// No fields.
    pub(super) fn of_state(trace_state: Option<w3c::State>) -> Self {
        Self { fields: Vec::new(), trace_state }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// Sets a field; an error where it does not fit.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), LeftOut> {
        let others = self.fields.iter().filter(|(field, _)| !field.eq_ignore_ascii_case(name));
        let (count, bytes) =
            others.fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.len() + value.len()));
        if count >= BAGGAGE_FIELDS || bytes + name.len() + value.len() > BAGGAGE_BYTES {
            return Err(LeftOut);
        }
        match self.fields.iter_mut().find(|(field, _)| field.eq_ignore_ascii_case(name)) {
            Some((_, place)) => *place = value.into(),
            None => self.fields.push((name.into(), value.into())),
        }
        Ok(())
    }

    /// The same with a field set; how many did not fit.
    pub(crate) fn with(this: Option<&Arc<Self>>, name: &str, value: &str) -> (Option<Arc<Self>>, Result<(), LeftOut>) {
        let mut changed = this.map_or_else(Self::default, |baggage| (**baggage).clone());
        match changed.set(name, value) {
            Ok(()) => (Some(Arc::new(changed)), Ok(())),
            Err(error) => (this.cloned(), Err(error)),
        }
    }

    fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.trace_state.is_none()
    }

    /// Wrapped up, or nothing at all.
    pub(super) fn shared(self) -> Option<Arc<Self>> {
        if self.is_empty() { None } else { Some(Arc::new(self)) }
    }

    /// Reads these fields from headers of their own, then from W3C's list if that is wanted. Gives how many were there and
    /// are left out.
    pub(super) fn extract(&mut self, fields: &[BaggageField], with_w3c: bool, carrier: &impl Carrier) -> u64 {
        if fields.is_empty() {
            return 0;
        }
        let mut left_out = 0;
        for field in fields {
            for header in field.read_from() {
                let Some(value) = carrier.header_values(&header).next() else { continue };
                match std::str::from_utf8(value) {
                    Ok(value) if self.set(&field.name, value).is_ok() => {}
                    _ => left_out += 1,
                }
                break;
            }
        }
        if !with_w3c {
            return left_out;
        }
        let mut unread = READ_BYTES;
        for list in carrier.header_values(BAGGAGE) {
            let (list, rest) = list.split_at(list.len().min(unread));
            unread -= list.len();
            let mut members: Vec<&[u8]> = list.split(|&byte| byte == b',').collect();
            if !rest.is_empty() {
                // The last one was cut.
                members.pop();
                left_out += 1;
            }
            for member in members {
                let Some((name, value)) = member_of(member) else { continue };
                let field = fields.iter().find(|field| name.eq_ignore_ascii_case(field.name.as_bytes()));
                if let Some(field) = field.filter(|field| self.get(&field.name).is_none()) {
                    left_out += u64::from(self.set(&field.name, &value).is_err());
                }
            }
        }
        left_out
    }

    /// Removes what a request that is passed on says of these fields.
    pub(super) fn remove_stale(fields: &[BaggageField], carrier: &mut (impl CarrierMut + ?Sized)) {
        for field in fields {
            field.read_from().for_each(|header| carrier.remove_header(&header));
        }
    }

    /// The same fields, and over them those of another.
    pub(crate) fn over(below: Option<Arc<Self>>, above: Option<Arc<Self>>) -> Option<Arc<Self>> {
        let (Some(below), Some(above)) = (&below, &above) else { return above.or(below) };
        let mut both = (**below).clone();
        for (name, value) in &above.fields {
            // What does not fit beside the others is left out, as everywhere.
            let _ = both.set(name, value);
        }
        both.trace_state = above.trace_state.clone().or(both.trace_state);
        both.shared()
    }

    /// Writes these fields to headers of their own, and to W3C's list if that is wanted. Gives how many could not be written.
    pub(super) fn inject(
        &self,
        fields: &[BaggageField],
        with_w3c: bool,
        carrier: &mut (impl CarrierMut + ?Sized),
    ) -> u64 {
        let mut left_out = 0;
        let mut room = SENT_BAGGAGE_BYTES;
        for field in fields {
            let Some(value) = self.get(&field.name) else { continue };
            if value.bytes().any(|byte| byte.is_ascii_control()) {
                left_out += u64::from(!with_w3c);
                continue;
            }
            for header in field.written_to() {
                match room.checked_sub(header.len() + value.len()) {
                    Some(rest) => {
                        room = rest;
                        carrier.set_header(&header, value);
                    }
                    None => left_out += 1,
                }
            }
        }
        let mut list = String::new();
        for field in fields.iter().filter(|_| with_w3c) {
            let Some(value) = self.get(&field.name) else { continue };
            let before = list.len();
            if before > 0 {
                list.push(',');
            }
            list.push_str(&field.name);
            list.push('=');
            encode(value, &mut list);
            if BAGGAGE.len() + list.len() > room {
                list.truncate(before);
                left_out += 1;
            }
        }
        if !list.is_empty() {
            carrier.set_header(BAGGAGE, &list);
        }
        left_out
    }
}

/// A member's name and value, without its properties.
fn member_of(member: &[u8]) -> Option<(&[u8], Cow<'_, str>)> {
    let pair = member.split(|&byte| byte == b';').next()?;
    let at = pair.iter().position(|&byte| byte == b'=')?;
    let (name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
    (!name.is_empty()).then(|| (name, decode(value)))
}

/// Undoes percent-encoding; what is no UTF-8 then becomes U+FFFD, as the specification has it.
fn decode(value: &[u8]) -> Cow<'_, str> {
    if !value.contains(&b'%') {
        return String::from_utf8_lossy(value);
    }
    let digit = |at: usize| {
        value.get(at).and_then(|&byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
    };
    let mut bytes = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high << 4 | low);
                at += 3;
            }
            _ => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// Appends a value, with every byte percent-encoded that W3C's `baggage-octet` leaves out, and `%` itself.
fn encode(value: &str, list: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        match byte {
            b'!' | b'#' | b'$' | b'&'..=b'+' | b'-'..=b':' | b'<'..=b'[' | b']'..=b'~' => list.push(char::from(byte)),
            _ => {
                list.push('%');
                list.push(char::from(DIGITS[usize::from(byte >> 4)]));
                list.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
}

/// Whether a header's name may have this byte.
const fn is_token(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::*;

    fn fields(names: &[&str]) -> Vec<BaggageField> {
        names.iter().map(|&name| name.into()).collect()
    }

    fn read(fields: &[BaggageField], headers: &[(&str, &[u8])]) -> (Baggage, u64) {
        let mut baggage = Baggage::default();
        let left_out = baggage.extract(fields, true, &headers.to_vec());
        (baggage, left_out)
    }

    fn written(baggage: &Baggage, fields: &[BaggageField], with_w3c: bool) -> (Vec<String>, u64) {
        let mut lines = Vec::new();
        let left_out =
            baggage.inject(fields, with_w3c, &mut |name: &str, value: &str| lines.push(format!("{name}: {value}")));
        (lines, left_out)
    }

    #[test]
    fn a_field_is_read_from_each_of_its_headers() {
        let tenant = fields(&["Tenant"]);
        for header in ["tenant", "baggage-tenant", "ot-baggage-tenant"] {
            assert_eq!(read(&tenant, &[(header, "Zürich".as_bytes())]).0.get("tenant"), Some("Zürich"), "{header}");
        }
        assert_eq!(read(&tenant, &[("baggage", b"a=1, tenant = acme%20inc;p=1;q")]).0.get("tenant"), Some("acme inc"));
        let both: &[(&str, &[u8])] = &[("baggage", b"tenant=list"), ("tenant", b"header")];
        assert_eq!(read(&tenant, both).0.get("tenant"), Some("header"));
        assert_eq!(read(&tenant, &[("user", b"ann")]).0, Baggage::default(), "only configured fields");
        let named = [BaggageField::new("tenant").header("X-Tenant")];
        assert_eq!(read(&named, &[("x-tenant", b"acme")]).0.get("tenant"), Some("acme"));
    }

    #[test]
    fn what_cannot_be_kept_is_counted() {
        let two = fields(&["a", "b"]);
        assert_eq!(read(&two, &[("a", b"\xff"), ("b", b"1")]).1, 1, "no UTF-8");
        let long = vec![b'x'; 1 << 20];
        let (baggage, left_out) = read(&two, &[("a", &long), ("b", b"1")]);
        assert_eq!((baggage.get("a"), baggage.get("b"), left_out), (None, Some("1"), 1));
        let list = [&b"b=1,a="[..], &long].concat();
        let (baggage, left_out) = read(&two, &[("baggage", &list), ("baggage", b"a=2")]);
        assert_eq!(
            (baggage.get("a"), baggage.get("b"), left_out),
            (None, Some("1"), 2),
            "no more than so much is read"
        );
    }

    #[test]
    fn a_field_is_written_to_its_headers_and_to_the_list() {
        let mut baggage = Baggage::default();
        baggage.set("tenant", "Zürich, 100 %").unwrap();
        baggage.set("local", "stays here").unwrap();
        let tenant = fields(&["tenant"]);
        assert_eq!(written(&baggage, &tenant, false).0, ["tenant: Zürich, 100 %"]);
        assert_eq!(
            written(&baggage, &tenant, true).0,
            ["tenant: Zürich, 100 %", "baggage: tenant=Z%C3%BCrich%2C%20100%20%25"]
        );
        let named = [BaggageField::new("tenant").header("OT-Baggage-Tenant").header("x-tenant")];
        assert_eq!(written(&baggage, &named, false).0, ["ot-baggage-tenant: Zürich, 100 %", "x-tenant: Zürich, 100 %"]);
    }

    #[test]
    fn a_line_break_never_reaches_a_header() {
        let mut baggage = Baggage::default();
        baggage.set("tenant", "a\r\nSet-Cookie: b").unwrap();
        assert_eq!(written(&baggage, &fields(&["tenant"]), false), (vec![], 1));
        let (lines, left_out) = written(&baggage, &fields(&["tenant"]), true);
        assert_eq!((lines, left_out), (vec!["baggage: tenant=a%0D%0ASet-Cookie:%20b".to_owned()], 0));
        let list = b"tenant=a%0D%0ASet-Cookie:%20b";
        assert_eq!(read(&fields(&["tenant"]), &[("baggage", list)]).0.get("tenant"), baggage.get("tenant"));
    }

    #[test]
    fn what_is_sent_is_bounded_as_it_is_encoded() {
        let mut baggage = Baggage::default();
        baggage.set("a", &"é".repeat(2_000)).unwrap();
        baggage.set("b", "1").unwrap();
        let (lines, left_out) = written(&baggage, &fields(&["a", "b"]), true);
        let bytes: usize = lines.iter().map(String::len).sum();
        assert!(bytes <= SENT_BAGGAGE_BYTES + 2 * lines.len(), "{bytes}");
        assert_eq!(left_out, 1, "encoded, the first one takes 12,000 bytes");
        assert_eq!(lines[1..], ["b: 1", "baggage: b=1"]);
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        for (value, decoded) in [("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%41%", "A%"), ("%ff", "\u{fffd}")] {
            assert_eq!(decode(value.as_bytes()), decoded);
        }
    }

    #[test]
    fn baggage_is_bounded() {
        let mut baggage = Baggage::default();
        assert_eq!(baggage.set("a", &"x".repeat(BAGGAGE_BYTES)), Err(LeftOut));
        baggage.set("a", &"x".repeat(BAGGAGE_BYTES - 1)).unwrap();
        assert_eq!(baggage.set("b", ""), Err(LeftOut));
        baggage.set("a", "1").unwrap();
        for n in 1..BAGGAGE_FIELDS {
            baggage.set(&format!("f{n}"), "1").unwrap();
        }
        assert_eq!(baggage.set("b", "1"), Err(LeftOut));
        baggage.set("f1", "2").unwrap();
        assert_eq!(baggage.get("F1"), Some("2"));
    }

    #[test]
    fn names_that_cannot_be_headers_are_told() {
        assert_eq!(BaggageField::new("tenant.id").header("X-Tenant").problem(), None);
        for name in ["", "a b", "a:b", "é", "b3", "Baggage", "X-B3-Flags"] {
            assert!(BaggageField::new(name).problem().is_some(), "{name:?}");
        }
        assert!(BaggageField::new("a").header("traceparent").problem().is_some());
    }
}
