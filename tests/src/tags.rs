//! Tags in numbers and sizes that no program should have.

use traced_runtime::tag;

/// A text of a mebibyte, every other character of which takes six in JSON.
pub fn mebibyte() -> String {
    "x\u{1}".repeat(1 << 19)
}

/// Gives the current span 10,000 tags.
pub fn many() {
    for n in 0..10_000 {
        tag(&format!("key {n}"), n);
    }
}

/// Gives the current span 20 tags of this value.
pub fn large(value: &str) {
    for n in 0..20 {
        tag(&format!("key {n}"), value);
    }
}
