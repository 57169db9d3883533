//! The host of a collector's URL, in the one form in which it is looked up and sent.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::target::EXAMPLE;

/// A name as it was written, an IPv4 address as four decimal numbers, or an IPv6 address in brackets. The error says what is
/// wrong with it, as the end of a sentence about the URL, and what to do.
pub(super) fn normal(host: &str) -> Result<String, String> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match address.parse::<Ipv6Addr>() {
            Ok(address) => Ok(format!("[{address}]")),
            Err(_) if address.contains('%') => {
                Err(format!("has the host {host:?} with a zone, which is not supported; use an address without one"))
            }
            Err(_) => Err(format!("has the host {host:?}, which is no IPv6 address; write it like [::1]")),
        };
    }
    if host.contains([':', '[', ']']) {
        return Err(format!("has an IPv6 address that does not stand in brackets by itself; {EXAMPLE}"));
    }
    if !host.is_ascii() {
        let advice = "write it as it stands in DNS, beginning with xn--";
        return Err(format!("has the host {host:?}, which is not ASCII; {advice}"));
    }
    if let Some(odd) = host.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))) {
        return Err(format!("has the host {host:?}, and no host has {odd:?} in its name; {EXAMPLE}"));
    }
    // One dot at the end says that the name is complete.
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.split('.').any(str::is_empty) {
        return Err(format!("has the host {host:?}, in which a part between dots is empty; name the host"));
    }
    if !ends_in_a_number(name) {
        return Ok(host.to_owned());
    }
    match ipv4(host) {
        Some(address) => Ok(address.to_string()),
        None => Err(format!("has the host {host:?}, which is no IPv4 address; write it like 127.0.0.1")),
    }
}

/// Only an IPv4 address does: no top-level domain is a number.
fn ends_in_a_number(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| number(last).is_some() || last.bytes().all(|b| b.is_ascii_digit()))
}

/// An address in one of the forms that system libraries have always read: up to four numbers, decimal, octal or hexadecimal,
/// of which the last stands for all bytes that are left.
fn ipv4(host: &str) -> Option<Ipv4Addr> {
    let numbers: Vec<u32> = host.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = numbers.split_last()?;
    if first.len() > 3 || first.iter().any(|number| *number > 255) {
        return None;
    }
    let left = 8 * (4 - u32::try_from(first.len()).ok()?);
    if u64::from(*last) >> left != 0 {
        return None;
    }
    let address = first.iter().fold(0_u64, |address, number| address << 8 | u64::from(*number));
    u32::try_from(address << left | u64::from(*last)).ok().map(Ipv4Addr::from_bits)
}

/// `127`, `0177` or `0x7f`.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // A sign is no digit.
    let is_number = digits.bytes().all(|b| b.is_ascii_hexdigit());
    u32::from_str_radix(digits, radix).ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form_and_names_stay() {
        for (host, form) in [
            ("localhost", "localhost"),
            ("Zipkin.Example.", "Zipkin.Example."),
            ("a_b-c.1d", "a_b-c.1d"),
            ("0x", "0x"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("127.0.258", "127.0.1.2"),
            ("0177.0.0.1", "127.0.0.1"),
            ("0X7F.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("017700000001", "127.0.0.1"),
            ("4294967295", "255.255.255.255"),
            ("0", "0.0.0.0"),
            ("[::1]", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[::FFFF:127.0.0.1]", "[::ffff:127.0.0.1]"),
        ] {
            assert_eq!(normal(host), Ok(form.to_owned()));
        }
    }

    #[test]
    fn what_is_no_host_says_why() {
        for (host, says) in [
            ("[::1%25lo]", "zone"),
            ("[fe80::1%lo]", "zone"),
            ("[::g]", "no IPv6 address"),
            ("[]", "no IPv6 address"),
            ("[127.0.0.1]", "no IPv6 address"),
            ("[v1.x]", "no IPv6 address"),
            ("[::1]x", "brackets"),
            ("[::1", "brackets"),
            ("::1", "brackets"),
            ("ü.example", "xn--"),
            ("a b", "' '"),
            ("%6c", "'%'"),
            ("a\\b", "'\\\\'"),
            ("a..b", "empty"),
            ("h..", "empty"),
            (".", "empty"),
            ("256.0.0.1", "no IPv4 address"),
            ("1.2.3.4.5", "no IPv4 address"),
            ("127.0.0.1.", "no IPv4 address"),
            ("a.1", "no IPv4 address"),
            ("089.1", "no IPv4 address"),
            ("4294967296", "no IPv4 address"),
            ("1.16777216", "no IPv4 address"),
            ("99999999999999999999", "no IPv4 address"),
        ] {
            let error = normal(host).expect_err(host);
            assert!(error.contains(says), "{host}: {error}");
        }
    }
}
