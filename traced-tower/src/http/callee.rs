//! Where a request goes.

use std::net::IpAddr;

use http::Uri;
use traced_runtime::Endpoint;

/// The server that an address names by number. Names are looked up elsewhere.
pub(crate) fn of_uri(uri: &Uri) -> Option<Endpoint> {
    let usual = match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    of_host(uri.host()?, uri.port_u16().or(usual))
}

/// The same of the parts of an address; an IPv6 address is in brackets.
pub(crate) fn of_host(host: &str, port: Option<u16>) -> Option<Endpoint> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let ip: IpAddr = bare.parse().ok()?;
    Some(Endpoint::new().ip(ip.to_canonical()).port(port.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_addresses_and_names_are_not() {
        let seen = |uri: &str| of_uri(&uri.parse().expect("an address"));
        let of = |ip: &str, port| Some(Endpoint::new().ip(ip.parse::<IpAddr>().expect("an address")).port(port));
        for (uri, expected) in [
            ("http://192.0.2.1:8080/price?item=7", of("192.0.2.1", 8080)),
            ("http://192.0.2.1/", of("192.0.2.1", 80)),
            ("https://[2001:db8::1]/", of("2001:db8::1", 443)),
            ("https://[::ffff:192.0.2.1]:8443/", of("192.0.2.1", 8443)),
            ("192.0.2.1:5051", of("192.0.2.1", 5051)),
            ("http://prices:8080/", None),
            ("http://localhost/", None),
            ("http://192.0.2.999/", None),
            ("/price", None),
        ] {
            assert_eq!(seen(uri), expected, "{uri}");
        }
    }
}
