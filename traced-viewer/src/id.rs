//! The ids of Zipkin's spans: lower-case hexadecimal text, checked as Zipkin checks it.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

use serde::{Serialize, Serializer};

/// A trace's id. One whose upper half is zero has 64 bits, and is written so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TraceId(NonZeroU128);

/// A span's id within its trace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SpanId(NonZeroU64);

impl TraceId {
    /// Reads 1 to 32 lower-case digits. The error is Zipkin's text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let value = digits(text, "traceId", 32)?;
        NonZeroU128::new(value).map(Self).ok_or_else(|| "traceId is all zeros".to_owned())
    }

    pub(crate) fn new(value: u128) -> Option<Self> {
        NonZeroU128::new(value).map(Self)
    }

    /// The lower half: what Zipkin groups spans by, for systems on the way that cut the upper one off.
    pub(crate) fn low(self) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
        let low = self.0.get() as u64;
        low
    }

    /// Whether it is written with 16 digits.
    pub(crate) fn is_short(self) -> bool {
        self.0.get() >> 64 == 0
    }
}

impl SpanId {
    /// Reads 1 to 16 lower-case digits. The error is Zipkin's text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let value = digits(text, "id", 16)?;
        // Zipkin 3.6.1 lets shorter rows of zeros pass and stores a span that nothing can refer to.
        Self::from_digits(value).ok_or_else(|| "id is all zeros".to_owned())
    }

    /// As [`parse`](Self::parse); zeros are no parent.
    pub(crate) fn parse_parent(text: &str) -> Result<Option<Self>, String> {
        digits(text, "parentId", 16).map(Self::from_digits)
    }

    pub(crate) fn new(value: u64) -> Option<Self> {
        NonZeroU64::new(value).map(Self)
    }

    fn from_digits(value: u128) -> Option<Self> {
        u64::try_from(value).ok().and_then(Self::new)
    }
}

fn digits(text: &str, field: &str, most: usize) -> Result<u128, String> {
    // Java counts UTF-16 units.
    let length = text.encode_utf16().count();
    if length == 0 {
        return Err(format!("{field} is empty"));
    }
    if length > most {
        return Err(format!("{field}.length > {most}"));
    }
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(format!("{text} should be lower-hex encoded with no prefix"));
    }
    u128::from_str_radix(text, 16).map_err(|error| error.to_string())
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.is_short() { 16 } else { 32 };
        write!(f, "{:0width$x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_are_padded_and_a_zero_upper_half_is_left_out() {
        let padded = |text: &str| TraceId::parse(text).map(|id| id.to_string());
        assert_eq!(padded("f00d"), Ok("000000000000f00d".to_owned()));
        assert_eq!(padded(&format!("{:032x}", 7)), Ok("0000000000000007".to_owned()));
        assert_eq!(padded("100000000000beef9"), Ok("000000000000000100000000000beef9".to_owned()));
        assert_eq!(SpanId::parse("a").map(|id| id.to_string()), Ok("000000000000000a".to_owned()));
    }

    #[test]
    fn errors_are_zipkins() {
        for (text, error) in [
            ("", "traceId is empty"),
            ("F", "F should be lower-hex encoded with no prefix"),
            ("+1", "+1 should be lower-hex encoded with no prefix"),
            ("0", "traceId is all zeros"),
            (&"1".repeat(33), "traceId.length > 32"),
        ] {
            assert_eq!(TraceId::parse(text), Err(error.to_owned()));
        }
        assert_eq!(SpanId::parse(&"0".repeat(16)), Err("id is all zeros".to_owned()));
        assert_eq!(SpanId::parse(&"1".repeat(17)), Err("id.length > 16".to_owned()));
        assert_eq!(SpanId::parse_parent(""), Err("parentId is empty".to_owned()));
        assert_eq!(SpanId::parse_parent("00"), Ok(None));
    }
}
