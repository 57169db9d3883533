//! Lower-hex numbers in headers.

/// The number that these lower-hex digits write; `None` for anything else, an empty text and more than 32 digits.
pub(super) fn number(digits: &[u8]) -> Option<u128> {
    if digits.is_empty() || digits.len() > 32 {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// A number of at most 16 digits.
pub(super) fn short_number(digits: &[u8]) -> Option<u64> {
    if digits.len() > 16 { None } else { u64::try_from(number(digits)?).ok() }
}
