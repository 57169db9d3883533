//! A finished span.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use crate::model::callsite::Callsite;
use crate::model::endpoint::Endpoint;
use crate::model::id::{SpanId, TraceId};
use crate::model::kind::{Kind, Outcome};
use crate::reporter::attributes::{Attributes, TagValue};

/// A finished span, as reporters receive it and tests read it.
///
/// It is read by methods, so that its memory layout can change.
#[derive(Clone, Debug)]
pub struct SpanRecord {
    pub(crate) site: Option<&'static Callsite>,
    /// A name given while the span ran; beats the site's.
    pub(crate) name: Option<Cow<'static, str>>,
    /// A kind given while the span ran; beats the site's.
    pub(crate) kind: Option<Kind>,
    /// The other side, given while the span ran; beats the site's.
    pub(crate) remote: Option<Box<Endpoint>>,
    pub(crate) local: &'static Endpoint,
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
    pub(crate) parent: Option<SpanId>,
    /// Nanoseconds since the epoch.
    pub(crate) start: u64,
    /// Nanoseconds; `None` when the span had not ended.
    pub(crate) duration: Option<u64>,
    pub(crate) outcome: Outcome,
    pub(crate) debug: bool,
    pub(crate) shared: bool,
    /// Whether the span's parent is of another process, or it has none.
    pub(crate) local_root: bool,
    /// How often its future was polled; 0 when it is no future.
    pub(crate) polls: u32,
    pub(crate) attributes: Attributes,
    /// Whether the user's [`Redaction`] has seen it.
    pub(crate) redacted: bool,
}

impl SpanRecord {
    /// The span's name: the one set on it, else its function's, `Type::method` for a method.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match (&self.name, self.site) {
            (Some(name), _) => Cow::Borrowed(name),
            (None, Some(site)) => {
                let name = site.span_name();
                if name.owner.is_some() { Cow::Owned(name.to_string()) } else { Cow::Borrowed(name.name) }
            }
            (None, None) => Cow::Borrowed(""),
        }
    }

    /// The trace it belongs to.
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.trace
    }

    /// Its own id.
    #[must_use]
    pub const fn id(&self) -> SpanId {
        self.id
    }

    /// The id of its parent; `None` for the first span of a trace.
    #[must_use]
    pub const fn parent_id(&self) -> Option<SpanId> {
        self.parent
    }

    /// Its role between processes; `None` for a local span.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.kind.or_else(|| self.site.and_then(Callsite::span_kind))
    }

    /// When it started, by the wall clock of its process as its trace began there.
    #[must_use]
    pub fn start(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.start)
    }

    /// How long it took; `None` when it had not ended.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.duration.map(Duration::from_nanos)
    }

    /// How it ended.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Its tags: each key once, in the order they were first given. An error's text is the tag `error`.
    pub fn tags(&self) -> impl Iterator<Item = (&str, TagValue<'_>)> {
        self.attributes.tags()
    }

    /// The value of one tag.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<TagValue<'_>> {
        self.tags().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    /// Its annotations in order of time.
    pub fn annotations(&self) -> impl Iterator<Item = (SystemTime, &str)> {
        self.attributes.annotations().map(|(time, text)| (SystemTime::UNIX_EPOCH + Duration::from_nanos(time), text))
    }

    /// This process.
    #[must_use]
    pub fn local_endpoint(&self) -> &Endpoint {
        self.local
    }

    /// The other side, if it is known.
    #[must_use]
    pub fn remote_endpoint(&self) -> Option<Cow<'_, Endpoint>> {
        match &self.remote {
            Some(remote) => Some(Cow::Borrowed(&**remote)),
            None => self.site.and_then(Callsite::remote_service).map(|service| Cow::Owned(Endpoint::named(service))),
        }
    }

    /// Whether the trace is flagged debug: kept by every sampler on its way.
    #[must_use]
    pub const fn is_debug(&self) -> bool {
        self.debug
    }

    /// Whether it shares its id with the client's span of another process.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.shared
    }

    /// Whether its parent, if it has one, is in another process.
    #[must_use]
    pub const fn is_local_root(&self) -> bool {
        self.local_root
    }

    /// How often its future was polled; 0 when it is not a future's span.
    #[must_use]
    pub const fn polls(&self) -> u32 {
        self.polls
    }

    /// Source file of its function or `span!`, if it has one.
    #[must_use]
    pub fn file(&self) -> Option<&'static str> {
        self.site.map(|site| site.location().file())
    }

    /// Source line of its function or `span!`, if it has one.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.site.map(|site| site.location().line())
    }

    /// Gives it another name, in a redaction.
    pub fn set_name(&mut self, name: impl Into<String>) {
        self.name = Some(Cow::Owned(name.into()));
    }

    /// Sets a tag, in a redaction: one of that key is replaced.
    pub fn set_tag(&mut self, key: &str, value: TagValue<'_>) {
        self.attributes.retain_tags(|other, _| other != key);
        self.attributes.tag(0, key, value);
    }

    /// Removes the tags for which `keep` is false, in a redaction. The text of an error is the tag `error`.
    pub fn retain_tags(&mut self, keep: impl FnMut(&str, TagValue<'_>) -> bool) {
        self.attributes.retain_tags(keep);
    }

    /// Puts other texts in the place of those for which `replace` returns one: the name, the tags that are text, and the
    /// annotations. Keys of tags stay.
    pub fn replace_texts(&mut self, mut replace: impl FnMut(&str) -> Option<String>) {
        if let Some(name) = replace(&self.name()) {
            self.set_name(name);
        }
        self.attributes.replace_texts(replace);
    }

    /// An estimate of the bytes it holds in memory.
    pub(crate) fn size(&self) -> usize {
        let name = self.name.as_ref().map_or(0, |name| name.len());
        let remote = if self.remote.is_some() { size_of::<Endpoint>() } else { 0 };
        size_of::<Self>() + name + remote + self.attributes.capacity()
    }
}

#[cfg(test)]
impl SpanRecord {
    /// A record to start from in tests.
    pub(crate) fn sample(name: &'static str, trace: u128, id: u64, parent: u64) -> Self {
        Self {
            site: None,
            name: Some(Cow::Borrowed(name)),
            kind: None,
            remote: None,
            local: Endpoint::named("test").interned(),
            trace: TraceId::new(trace).expect("a test's trace id is not zero"),
            id: SpanId::new(id).expect("a test's span id is not zero"),
            parent: SpanId::new(parent),
            start: 1_700_000_000_000_000_000,
            duration: Some(1_000_000),
            outcome: Outcome::Returned,
            debug: false,
            shared: false,
            local_root: parent == 0,
            polls: 0,
            attributes: Attributes::default(),
            redacted: false,
        }
    }
}
