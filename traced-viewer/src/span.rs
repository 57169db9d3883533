//! The span as Zipkin has it, made as Zipkin makes it, and written as its JSON v2.

use std::cmp::Ordering;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use crate::endpoint::Endpoint;
use crate::id::{SpanId, TraceId};
use crate::name::Name;
use crate::steps::counted;

/// A finished span, or a part of one. Its JSON is Zipkin's v2: fields in its order, empty ones left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Span {
    pub(crate) trace_id: TraceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_id: Option<SpanId>,
    pub(crate) id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Name>,
    /// Microseconds since 1970; 0: not known.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) timestamp: u64,
    /// Microseconds; 0: not known.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) duration: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) local_endpoint: Option<Box<Endpoint>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote_endpoint: Option<Box<Endpoint>>,
    /// In order of time, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) annotations: Vec<Annotation>,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub(crate) tags: Tags,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) debug: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) shared: bool,
}

/// Who called whom; none: nobody, the span is local.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Kind {
    Client,
    Server,
    Producer,
    Consumer,
}

/// Something that happened at one time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Annotation {
    /// Microseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) value: Box<str>,
}

/// A span's tags, sorted by key, each key once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tags(Vec<Tag>);

/// A tag's key and value.
pub(crate) type Tag = (Box<str>, Box<str>);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Span {
    /// A span of which nothing but the ids is known.
    pub(crate) fn new(trace_id: TraceId, id: SpanId) -> Self {
        Self {
            trace_id,
            parent_id: None,
            id,
            kind: None,
            name: None,
            timestamp: 0,
            duration: 0,
            local_endpoint: None,
            remote_endpoint: None,
            annotations: Vec::new(),
            tags: Tags::default(),
            debug: false,
            shared: false,
        }
    }

    /// As [`new`](Self::new), where the ids may not have been there. The error is Zipkin's text.
    pub(crate) fn with_ids(trace_id: Option<TraceId>, id: Option<SpanId>) -> Result<Self, String> {
        match (trace_id, id) {
            (Some(trace_id), Some(id)) => Ok(Self::new(trace_id, id)),
            (None, Some(_)) => Err("Missing : traceId".to_owned()),
            (Some(_), None) => Err("Missing : id".to_owned()),
            (None, None) => Err("Missing : traceId id".to_owned()),
        }
    }

    /// Puts right what Zipkin puts right: annotations in order and once, no span that is its own parent, no client that
    /// says it shares its id.
    pub(crate) fn cleaned(mut self) -> Self {
        self.annotations.sort_by(counted(Annotation::order));
        self.annotations.dedup();
        self.annotations.shrink_to_fit();
        if self.parent_id == Some(self.id) {
            self.parent_id = None;
        }
        if self.kind == Some(Kind::Client) {
            self.shared = false;
        }
        self
    }

    /// The service it ran in.
    pub(crate) fn local_service(&self) -> Option<&str> {
        self.local_endpoint.as_ref()?.service_name.as_deref()
    }

    /// The service at the other side.
    pub(crate) fn remote_service(&self) -> Option<&str> {
        self.remote_endpoint.as_ref()?.service_name.as_deref()
    }

    /// Whether it has the tag that Zipkin takes for a failure.
    pub(crate) fn failed(&self) -> bool {
        self.tags.get("error").is_some()
    }

    /// When it ended, in microseconds since 1970; when it started, if nothing else is known.
    pub(crate) fn end(&self) -> u64 {
        self.timestamp.saturating_add(self.duration)
    }

    /// About the bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let endpoint = |endpoint: &Option<Box<Endpoint>>| {
            endpoint.as_ref().map_or(0, |endpoint| {
                size_of::<Endpoint>() + endpoint.service_name.as_ref().map_or(0, |name| name.len())
            })
        };
        let annotations: usize =
            self.annotations.iter().map(|annotation| size_of::<Annotation>() + annotation.value.len()).sum();
        let tags: usize = self.tags.iter().map(|(key, value)| size_of::<Tag>() + key.len() + value.len()).sum();
        size_of::<Self>()
            + self.name.as_ref().map_or(0, |name| name.len())
            + endpoint(&self.local_endpoint)
            + endpoint(&self.remote_endpoint)
            + annotations
            + tags
    }
}

impl Annotation {
    /// The order in which Zipkin has them: by time, and then by text as Java compares it.
    fn order(&self, other: &Self) -> Ordering {
        let texts = || self.value.encode_utf16().cmp(other.value.encode_utf16());
        self.timestamp.cmp(&other.timestamp).then_with(texts)
    }
}

impl Kind {
    /// Its name in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Client => "CLIENT",
            Self::Server => "SERVER",
            Self::Producer => "PRODUCER",
            Self::Consumer => "CONSUMER",
        }
    }

    /// Reads its name in JSON. The error is Zipkin's text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        [Self::Client, Self::Server, Self::Producer, Self::Consumer]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("No enum constant zipkin2.Span.Kind.{text}"))
    }
}

/// A name as Zipkin keeps it: in lower case, and not at all if it is empty.
pub(crate) fn lower_case<T: From<String>>(name: &str) -> Option<T> {
    if name.is_empty() { None } else { Some(name.to_lowercase().into()) }
}

impl Tags {
    /// Tags in any order. Of those with one key the last stays.
    ///
    /// They are sorted once: to insert each in its place would move all behind it, each time.
    pub(crate) fn of(mut tags: Vec<Tag>) -> Self {
        tags.sort_by(counted(|(key, _): &Tag, (other, _): &Tag| key.cmp(other)));
        tags.dedup_by(|(key, value), (kept, last)| {
            let same = key == kept;
            if same {
                std::mem::swap(value, last);
            }
            same
        });
        tags.shrink_to_fit();
        Self(tags)
    }

    /// A tag's value.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| &**value)
    }

    /// All tags by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// All tags by key, as their own.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = Tag> {
        self.0.into_iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Tags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::hash::{Hash as _, Hasher};

    use super::*;

    #[test]
    fn json_has_zipkins_fields_in_its_order() {
        let mut span = Span::new(TraceId::new(1).unwrap(), SpanId::new(2).unwrap());
        assert_eq!(serde_json::to_string(&span).unwrap(), r#"{"traceId":"0000000000000001","id":"0000000000000002"}"#);
        span.parent_id = SpanId::new(3);
        span.kind = Some(Kind::Server);
        span.name = lower_case("GET /");
        span.timestamp = 5;
        span.duration = 6;
        let mut endpoint = Endpoint { service_name: lower_case("Shop"), ..Endpoint::default() };
        endpoint.set_ip("::ffff:1.2.3.4");
        endpoint.set_ip("2001:DB8::1");
        endpoint.set_ip("localhost");
        endpoint.set_port(80).unwrap();
        span.local_endpoint = endpoint.known();
        span.annotations = vec![Annotation { timestamp: 7, value: "x".into() }];
        span.tags = Tags::of([("b", "1"), ("a", ""), ("b", "2")].map(|(key, value)| (key.into(), value.into())).into());
        span.debug = true;
        span.shared = true;
        assert_eq!(
            serde_json::to_string(&span.cleaned()).unwrap(),
            concat!(
                r#"{"traceId":"0000000000000001","parentId":"0000000000000003","id":"0000000000000002","kind":"SERVER","#,
                r#""name":"get /","timestamp":5,"duration":6,"localEndpoint":{"serviceName":"shop","ipv4":"1.2.3.4","#,
                r#""ipv6":"2001:db8::1","port":80},"annotations":[{"timestamp":7,"value":"x"}],"#,
                r#""tags":{"a":"","b":"2"},"debug":true,"shared":true}"#,
            )
        );
    }

    /// Counts the bytes that it is given.
    #[derive(Default)]
    struct Counting(u64);

    impl Hasher for Counting {
        fn write(&mut self, bytes: &[u8]) {
            self.0 += bytes.len() as u64;
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn a_set_of_spans_that_share_a_name_does_not_read_it_for_each() {
        let mut span = Span::new(TraceId::new(1).unwrap(), SpanId::new(2).unwrap());
        let mut read = |name: &str| {
            span.name = lower_case(name);
            let mut counting = Counting::default();
            span.hash(&mut counting);
            counting.finish()
        };
        assert_eq!(read(&"n".repeat(100_000)), read("n"));
    }
}
