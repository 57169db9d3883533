//! Trace and span ids: lower-hex numbers that are never zero.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// The id that all spans of one trace share: 128 bit, or 64 bit when the high half is zero.
///
/// Displays as 32 lower-hex digits, or 16 for a 64-bit id, as
/// [B3](https://github.com/openzipkin/b3-propagation) writes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(NonZeroU128);

impl TraceId {
    /// The id with this value; `None` for zero, which no trace may have.
    #[must_use]
    pub const fn new(value: u128) -> Option<Self> {
        match NonZeroU128::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The id as a number.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0.get()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.get();
        if value >> 64 == 0 { write!(f, "{value:016x}") } else { write!(f, "{value:032x}") }
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

/// The id of one span within its trace: 64 bit.
///
/// Displays as 16 lower-hex digits. Client and server may share one id (Zipkin's shared span).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(NonZeroU64);

impl SpanId {
    /// The id with this value; `None` for zero, which no span may have.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        match NonZeroU64::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The id as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.get())
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_padded_lower_hex() {
        assert_eq!(TraceId::new(0xA).map(|id| id.to_string()).as_deref(), Some("000000000000000a"));
        assert_eq!(
            TraceId::new(0xB << 64 | 0xA).map(|id| id.to_string()).as_deref(),
            Some("000000000000000b000000000000000a")
        );
        assert_eq!(SpanId::new(0xFF).map(|id| id.to_string()).as_deref(), Some("00000000000000ff"));
    }

    #[test]
    fn zero_is_no_id() {
        assert_eq!(TraceId::new(0), None);
        assert_eq!(SpanId::new(0), None);
    }
}
