//! Where a request comes from.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::request::Parts;

/// Whether the header `X-Forwarded-For` is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// Anybody can send it.
    #[default]
    Ignored,
    /// Only proxies of ours reach this server.
    Trusted,
}

/// The address of the caller: IP and port, of which the port may be unknown.
pub(crate) fn address(request: &Parts, forwarded: Forwarded) -> Option<(IpAddr, Option<u16>)> {
    let by_header = match forwarded {
        Forwarded::Ignored => None,
        Forwarded::Trusted => forwarded_for(&request.headers),
    };
    by_header.or_else(|| connection(request).map(|peer| (peer.ip().to_canonical(), Some(peer.port()))))
}

/// The other end of the connection, where the server has left it with the request.
pub(crate) fn connection(request: &Parts) -> Option<SocketAddr> {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(peer)) = request.extensions.get() {
        return Some(*peer);
    }
    request.extensions.get().copied()
}

/// The first entry of the first `X-Forwarded-For`: the client, as the first proxy saw it. `None` if that is no address.
fn forwarded_for(headers: &HeaderMap) -> Option<(IpAddr, Option<u16>)> {
    let entries = headers.get("x-forwarded-for")?.to_str().ok()?;
    parse(entries.split(',').next()?.trim())
}

/// An IP address, as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:4711`.
fn parse(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(peer) = text.parse::<SocketAddr>() {
        return Some((peer.ip(), Some(peer.port())));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    Some((bare.parse().ok()?, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn seen(forwarded_for: &[&[u8]], connection: Option<&str>, forwarded: Forwarded) -> String {
        let mut request = Request::new(()).into_parts().0;
        for value in forwarded_for {
            let value = http::HeaderValue::from_bytes(value).expect("a value");
            request.headers.append("x-forwarded-for", value);
        }
        if let Some(peer) = connection {
            request.extensions.insert(peer.parse::<SocketAddr>().expect("an address"));
        }
        match address(&request, forwarded) {
            Some((ip, Some(port))) => SocketAddr::new(ip, port).to_string(),
            Some((ip, None)) => ip.to_string(),
            None => "-".to_owned(),
        }
    }

    #[test]
    fn forwarded_addresses_count_when_trusted_and_well_formed() {
        use Forwarded::{Ignored, Trusted};
        let peer = Some("10.0.0.9:5000");
        for (headers, connection, forwarded, expected) in [
            (&[][..], None, Trusted, "-"),
            (&[], peer, Trusted, "10.0.0.9:5000"),
            (&[b"192.0.2.1".as_slice()], peer, Ignored, "10.0.0.9:5000"),
            (&[b"192.0.2.1"], None, Ignored, "-"),
            (&[b"192.0.2.1"], peer, Trusted, "192.0.2.1"),
            (&[b" 192.0.2.1 , 10.0.0.1"], peer, Trusted, "192.0.2.1"),
            (&[b"192.0.2.1:4711"], peer, Trusted, "192.0.2.1:4711"),
            (&[b"2001:db8::1"], peer, Trusted, "2001:db8::1"),
            (&[b"[2001:db8::1]"], peer, Trusted, "2001:db8::1"),
            (&[b"[2001:db8::1]:4711, x"], peer, Trusted, "[2001:db8::1]:4711"),
            (&[b"192.0.2.1", b"192.0.2.2"], peer, Trusted, "192.0.2.1"),
            (&[b"unknown"], peer, Trusted, "10.0.0.9:5000"),
            (&[b""], peer, Trusted, "10.0.0.9:5000"),
            (&[b"999.0.2.1"], peer, Trusted, "10.0.0.9:5000"),
            (&[b"\xff\xfe"], peer, Trusted, "10.0.0.9:5000"),
            (&[b"1.2.3.4:99999"], None, Trusted, "-"),
            (&[], Some("[::ffff:10.0.0.9]:80"), Trusted, "10.0.0.9:80"),
        ] {
            assert_eq!(seen(headers, connection, forwarded), expected, "{headers:?} {connection:?} {forwarded:?}");
        }
    }
}
