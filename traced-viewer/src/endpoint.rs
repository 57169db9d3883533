//! The end of a call: a process on the network, with Zipkin's texts of addresses.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Serialize, Serializer};

/// A process on the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoint {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv4: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_ipv6")]
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// 0: not known.
    #[serde(skip_serializing_if = "is_zero_port")]
    pub(crate) port: u16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero_port(value: &u16) -> bool {
    *value == 0
}

impl Endpoint {
    /// Takes an address in text; what is none is passed over, as Zipkin does.
    pub(crate) fn set_ip(&mut self, text: &str) {
        // Of IPv6 with an end of IPv4 Zipkin knows two forms.
        let mapped = text.strip_prefix("::").map(|rest| match rest.get(..5) {
            Some(prefix) if prefix.eq_ignore_ascii_case("ffff:") => rest.get(5..).unwrap_or_default(),
            _ => rest,
        });
        if let Some(ip) = ipv4(mapped.unwrap_or(text)) {
            self.ipv4 = Some(ip);
        } else if let (false, Ok(ip)) = (text.contains('.'), text.parse()) {
            self.ipv6 = Some(ip);
        }
    }

    /// Takes an address of 4 or 16 bytes; another length is passed over.
    pub(crate) fn set_ip_bytes(&mut self, bytes: &[u8]) {
        if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
            self.ipv4 = Some(bytes.into());
        } else if let Ok(bytes) = <[u8; 16]>::try_from(bytes) {
            let ip = Ipv6Addr::from(bytes);
            match ip.to_ipv4_mapped() {
                Some(ip) => self.ipv4 = Some(ip),
                None => self.ipv6 = Some(ip),
            }
        }
    }

    /// Takes a port; none of less than 1. The error is Zipkin's text.
    pub(crate) fn set_port(&mut self, port: i32) -> Result<(), String> {
        self.port = u16::try_from(port.max(0)).map_err(|_| format!("invalid port {port}"))?;
        Ok(())
    }

    /// Itself, unless nothing is known of it.
    pub(crate) fn known(self) -> Option<Box<Self>> {
        if self == Self::default() { None } else { Some(Box::new(self)) }
    }
}

/// Four numbers of up to three digits. Rust takes none that begins with a zero, Zipkin does.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut parts = text.split('.').map(|part| {
        let is_number = matches!(part.len(), 1..=3) && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse::<u8>().ok()).flatten()
    });
    let mut next = || parts.next().flatten();
    let ip = Ipv4Addr::new(next()?, next()?, next()?, next()?);
    parts.next().is_none().then_some(ip)
}

/// An address as Zipkin writes it: the longest run of zeros left out, also a single one; no part of it as IPv4.
fn ipv6_text(ip: Ipv6Addr) -> String {
    let parts = ip.segments();
    let (mut longest, mut run) = (0..0, 0..0);
    for (at, part) in parts.iter().enumerate() {
        run = if *part == 0 { run.start..at + 1 } else { at + 1..at + 1 };
        if run.len() > longest.len() {
            longest = run.clone();
        }
    }
    let mut text = String::new();
    for (at, part) in parts.iter().enumerate() {
        if longest.contains(&at) {
            if at == longest.start {
                text.push_str(if at == 0 { "::" } else { ":" });
            }
            continue;
        }
        write!(text, "{part:x}{}", if at < 7 { ":" } else { "" }).ok();
    }
    text
}

#[expect(clippy::ref_option, reason = "serde asks for it")]
fn serialize_ipv6<S: Serializer>(ip: &Option<Ipv6Addr>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&ip.map(ipv6_text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a Zipkin has it; a test compares with the server itself, where there is Java.
    #[test]
    fn addresses_are_read_and_written_as_zipkin_does() {
        for (text, expected) in [
            ("1.2.3.4", "1.2.3.4"),
            ("01.2.3.4", "1.2.3.4"),
            ("::1.2.3.4", "1.2.3.4"),
            ("::FFFF:1.2.3.4", "1.2.3.4"),
            ("::ffff:102:304", "::ffff:102:304"),
            ("0:0:0:0:0:0:0:0", "::"),
            ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
            ("1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7::"),
            ("0:2:3:4:5:6:7:8", "::2:3:4:5:6:7:8"),
            ("0:0:0:0:0:ffff:1.2.3.4", ""),
            ("64:ff9b::1.2.3.4", ""),
            ("0001.2.3.4", ""),
            ("1.2.3.256", ""),
            ("1.2.3.4.5", ""),
            ("fe80::1%eth0", ""),
            ("[::1]", ""),
            ("localhost", ""),
        ] {
            let mut endpoint = Endpoint::default();
            endpoint.set_ip(text);
            let ipv4 = endpoint.ipv4.map(|ip| ip.to_string());
            assert_eq!(ipv4.or(endpoint.ipv6.map(ipv6_text)).unwrap_or_default(), expected, "{text}");
        }
    }
}
