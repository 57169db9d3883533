//! What was told about a span beside its times, while it is put together.

use std::net::IpAddr;

use crate::model::endpoint::Endpoint;
use crate::model::kind::Kind;
use crate::recorder::event::{AttributeHead, ValueType, What};
use crate::reporter::attributes::Attributes;
use crate::reporter::buffers::Buffers;

/// Bytes of tags and annotations that one span may have. What is beyond is left out, and counted.
pub const SPAN_BYTES: usize = 256 << 10;

/// Tags and annotations, and what few spans have.
#[derive(Debug, Default)]
pub(crate) struct Details {
    pub(crate) attributes: Attributes,
    /// A box, as hardly a span has any of it.
    pub(crate) more: Option<Box<More>>,
}

/// What was set on a span that its site does not say, or what went wrong with it.
#[derive(Debug, Default)]
pub(crate) struct More {
    pub(crate) name: Option<String>,
    pub(crate) kind: Option<Kind>,
    pub(crate) remote: Option<Box<Endpoint>>,
    pub(crate) failed: bool,
    /// Entries left out because there were too many.
    pub(crate) left_out: u64,
}

impl Details {
    /// Takes in an attribute event. `time` is that of a tag, for the order of tags with one key, or of an annotation.
    pub(crate) fn add(&mut self, head: AttributeHead, time: u64, name: &[u8], value: &[u8], buffers: &mut Buffers) {
        match head.what {
            What::Tag | What::Annotation | What::Failed
                if self.attributes.size() + name.len() + value.len() > SPAN_BYTES =>
            {
                let more = self.more();
                more.failed |= head.what == What::Failed;
                more.left_out += 1;
            }
            What::Tag => self.with_room(buffers).logged_tag(time, name, head.value_type, value),
            What::Annotation => self.with_room(buffers).logged_annotation(time, value),
            What::Failed => {
                // Earlier than any tag: a tag `error` that was set explicitly beats it.
                self.with_room(buffers).logged_tag(0, b"error", ValueType::Text, value);
                self.more().failed = true;
            }
            What::Name | What::Kind | What::RemoteService | What::RemoteAddress => self.more().set(head.what, value),
        }
    }

    /// The name it was given, if it was.
    pub(crate) fn name(&self) -> Option<&str> {
        self.more.as_ref()?.name.as_deref()
    }

    /// An estimate of the bytes it holds in memory.
    pub(crate) fn size(&self) -> usize {
        let more = self.more.as_ref().map_or(0, |more| size_of::<More>() + more.name.as_ref().map_or(0, String::len));
        size_of::<Self>() + self.attributes.capacity() + more
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    fn with_room(&mut self, buffers: &mut Buffers) -> &mut Attributes {
        if self.attributes.has_no_buffer() {
            self.attributes.use_buffer(buffers.take());
        }
        &mut self.attributes
    }
}

impl More {
    fn set(&mut self, what: What, value: &[u8]) {
        // It was `str` when it was written.
        let text = || std::str::from_utf8(value).unwrap_or("").to_owned();
        match what {
            What::Name => self.name = Some(text()),
            What::Kind => {
                self.kind = match value.try_into().map(u64::from_ne_bytes).unwrap_or(0) {
                    0 => Some(Kind::Client),
                    1 => Some(Kind::Server),
                    2 => Some(Kind::Producer),
                    _ => Some(Kind::Consumer),
                };
            }
            What::RemoteService => {
                let remote = self.remote.take().unwrap_or_default();
                self.remote = Some(Box::new(remote.service(text())));
            }
            What::RemoteAddress => {
                self.remote = Some(Box::new(with_address(*self.remote.take().unwrap_or_default(), value)))
            }
            What::Tag | What::Annotation | What::Failed => {}
        }
    }
}

/// An address as it stands in a log: 4 or 16 bytes if there is one, then the port, 0 for none.
fn with_address(mut remote: Endpoint, value: &[u8]) -> Endpoint {
    let (ip, port) = value.split_at(value.len().saturating_sub(2));
    if let Ok(port) = port.try_into() {
        remote = remote.port(u16::from_ne_bytes(port));
    }
    let ip = match ip.len() {
        4 => <[u8; 4]>::try_from(ip).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(ip).ok().map(IpAddr::from),
        _ => None,
    };
    match ip {
        Some(ip) => remote.ip(ip),
        None => remote,
    }
}
