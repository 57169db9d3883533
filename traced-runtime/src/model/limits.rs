//! Bounds that more than one layer keeps.

/// Spans of one thread that may be open inside each other. Beyond it a span is not recorded, and counted
/// (`TooDeep`); its children go to the nearest recorded ancestor.
pub const DEPTH: u32 = 4096;

/// Bytes of a tag's value or an annotation. What is longer is cut at a character's end, and counted.
pub const VALUE_BYTES: usize = 16 << 10;

/// Bytes of a tag's key. What is longer is cut at a character's end, and counted.
pub const KEY_BYTES: usize = 1 << 10;
