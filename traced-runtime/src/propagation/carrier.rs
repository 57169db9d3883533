//! What a context travels in: the headers of a request, the properties of a message.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

/// Headers that a context is read from.
///
/// Maps of strings are carriers, lists of pairs of strings or bytes, and with the feature `http`
/// [`http::HeaderMap`](https://docs.rs/http), which tonic's metadata gives by `as_ref()`.
pub trait Carrier {
    /// The values of the headers with this name, in their order. The name is given in lower case; that of a header may be
    /// written in any.
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;
}

/// Headers that a context is written to: what is a [`Carrier`] is one of these, too, and so is a closure that takes name
/// and value.
///
/// ```
/// use traced_runtime::Context;
///
/// let mut message = Vec::new();
/// Context::current().inject(&mut |name: &str, value: &str| message.push(format!("{name}: {value}")));
/// ```
pub trait CarrierMut {
    /// Makes this the only value of the header with this name, which is in lower case. The value is UTF-8 without control
    /// characters. A carrier that cannot hold it leaves it out.
    fn set_header(&mut self, name: &str, value: &str);

    /// Removes the headers with this name: they came with a request that is passed on, and tell of another span. A carrier
    /// that begins empty has nothing to do.
    fn remove_header(&mut self, name: &str) {
        let _ = name;
    }
}

impl<F: FnMut(&str, &str)> CarrierMut for F {
    fn set_header(&mut self, name: &str, value: &str) {
        self(name, value);
    }
}

impl<S: BuildHasher> Carrier for HashMap<String, String, S> {
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(|(key, _)| is(key, name)).map(|(_, value)| value.as_bytes())
    }
}

impl<S: BuildHasher> CarrierMut for HashMap<String, String, S> {
    fn set_header(&mut self, name: &str, value: &str) {
        self.remove_header(name);
        self.insert(name.to_owned(), value.to_owned());
    }

    fn remove_header(&mut self, name: &str) {
        self.retain(|key, _| !is(key, name));
    }
}

impl Carrier for BTreeMap<String, String> {
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(|(key, _)| is(key, name)).map(|(_, value)| value.as_bytes())
    }
}

impl CarrierMut for BTreeMap<String, String> {
    fn set_header(&mut self, name: &str, value: &str) {
        self.remove_header(name);
        self.insert(name.to_owned(), value.to_owned());
    }

    fn remove_header(&mut self, name: &str) {
        self.retain(|key, _| !is(key, name));
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Carrier for [(K, V)] {
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(|(key, _)| is(key, name)).map(|(_, value)| value.as_ref())
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Carrier for Vec<(K, V)> {
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.as_slice().header_values(name)
    }
}

impl<K, V> CarrierMut for Vec<(K, V)>
where
    K: AsRef<[u8]> + for<'a> From<&'a str>,
    V: for<'a> From<&'a str>,
{
    fn set_header(&mut self, name: &str, value: &str) {
        self.remove_header(name);
        self.push((name.into(), value.into()));
    }

    fn remove_header(&mut self, name: &str) {
        self.retain(|(key, _)| !is(key, name));
    }
}

#[cfg(feature = "http")]
impl Carrier for http::HeaderMap {
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(http::HeaderValue::as_bytes)
    }
}

#[cfg(feature = "http")]
impl CarrierMut for http::HeaderMap {
    fn set_header(&mut self, name: &str, value: &str) {
        let name = http::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(value.as_bytes())) {
            self.insert(name, value);
        }
    }

    fn remove_header(&mut self, name: &str) {
        self.remove(name);
    }
}

fn is(key: impl AsRef<[u8]>, name: &str) -> bool {
    key.as_ref().eq_ignore_ascii_case(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(carrier: &mut (impl Carrier + CarrierMut)) {
        fn all(carrier: &impl Carrier, name: &str) -> Vec<Vec<u8>> {
            carrier.header_values(name).map(<[u8]>::to_vec).collect()
        }
        carrier.set_header("x-b3-traceid", "1");
        assert_eq!(all(carrier, "x-b3-traceid"), [b"1"]);
        carrier.set_header("x-b3-traceid", "2");
        assert_eq!(all(carrier, "x-b3-traceid"), [b"2"], "the only value");
        carrier.set_header("tenant", "Zürich");
        assert_eq!(all(carrier, "tenant"), ["Zürich".as_bytes()]);
        carrier.remove_header("x-b3-traceid");
        assert!(all(carrier, "x-b3-traceid").is_empty());
    }

    #[test]
    fn each_carrier_reads_what_was_set() {
        check(&mut HashMap::<String, String>::new());
        check(&mut BTreeMap::new());
        check(&mut Vec::<(String, String)>::new());
        check(&mut Vec::<(Vec<u8>, Vec<u8>)>::new());
        #[cfg(feature = "http")]
        check(&mut http::HeaderMap::new());
    }

    #[test]
    fn names_are_compared_without_case() {
        let mut map = HashMap::from([("X-B3-TraceId".to_owned(), "1".to_owned())]);
        assert_eq!(map.header_values("x-b3-traceid").count(), 1);
        map.set_header("x-b3-traceid", "2");
        assert_eq!(map.len(), 1, "{map:?}");
        let mut pairs = [("B3", "1"), ("b3", "2")].map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(pairs.header_values("b3").collect::<Vec<_>>(), [b"1", b"2"]);
        pairs.set_header("b3", "3");
        assert_eq!(pairs, [("b3".to_owned(), "3".to_owned())]);
    }

    #[test]
    fn a_closure_is_written_to() {
        let mut seen = Vec::new();
        let mut carrier = |name: &str, value: &str| seen.push(format!("{name}={value}"));
        carrier.set_header("b3", "0");
        carrier.remove_header("b3");
        assert_eq!(seen, ["b3=0"]);
    }
}
