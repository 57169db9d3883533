//! The words of the log: what each event looks like, and how it is read back.
//!
//! The low four bits of an event's first word are its [`kind`]. A callsite's address has them free; a tick is shifted
//! by eight.
//!
//! | event | words |
//! |---|---|
//! | scope | tracer·flags·kind, trace id high, low, span id, local key, origin, position of the innermost open span |
//! | enter | callsite·kind, start |
//! | exit | ticks·outcome·kind: the innermost sync span ends |
//! | named exit | ticks·outcome·kind, position of its enter, position of what is innermost now |
//! | begin | callsite·kind, [`IDS`] words, start |
//! | span | callsite·kind, [`IDS`] words, start, ticks·outcome·kind, polls·whether it began before |
//! | attribute | lengths·type·what·target·kind, \[local key, ticks, tracer\] or \[ticks\], bytes |
//! | site tag | lengths·type·kind, address of a key that lives for ever, bytes of the value |
//! | abandon | kind, local key |

use super::log::Words;
use crate::model::callsite::Callsite;
use crate::model::ids::Ids;
use crate::model::kind::Outcome;

/// Event kinds.
pub(crate) mod kind {
    /// A sync span starts.
    pub(crate) const ENTER: u64 = 1;
    /// The innermost sync span ends.
    pub(crate) const EXIT: u64 = 2;
    /// Any other sync span ends.
    pub(crate) const NAMED_EXIT: u64 = 3;
    /// The context of what follows.
    pub(crate) const SCOPE: u64 = 4;
    /// An async or explicit span is there and may stay for a while.
    pub(crate) const BEGIN: u64 = 5;
    /// An async or explicit span ended.
    pub(crate) const SPAN: u64 = 6;
    /// A tag, an annotation, a name, a kind, a remote endpoint.
    pub(crate) const ATTRIBUTE: u64 = 7;
    /// An explicit span is forgotten.
    pub(crate) const ABANDON: u64 = 8;
    /// A tag of the innermost sync span whose key is written in the program.
    pub(crate) const SITE_TAG: u64 = 9;
    /// The bits that hold a kind.
    pub(crate) const MASK: u64 = 15;
}

/// Words of a scope event.
pub(crate) const SCOPE_WORDS: usize = 7;
/// Words of an enter event.
pub(crate) const ENTER_WORDS: usize = 2;
/// Words of a named exit, and so what an open span keeps in reserve.
pub(crate) const EXIT_WORDS: usize = 3;
/// Words of an identity: trace id high and low, span id, parent id, local key, tracer·flags, origin.
pub(crate) const IDS: usize = 7;
/// Words of a begin event.
pub(crate) const BEGIN_WORDS: usize = 1 + IDS + 1;
/// Words of a span event.
pub(crate) const SPAN_WORDS: usize = 1 + IDS + 3;
/// Words of a site tag before its value.
pub(crate) const SITE_TAG_WORDS: usize = 2;
/// Words of an abandon event.
pub(crate) const ABANDON_WORDS: usize = 2;

/// Bits of a tick that an exit event holds: 278 days at 3 GHz. What is above comes from a tick that is whole.
const TICK_BITS: u32 = 56;

/// The word of an exit.
#[inline(always)]
pub(crate) const fn exit(ticks: u64, outcome: Outcome, kind: u64) -> u64 {
    ticks << 8 | (outcome as u64) << 4 | kind
}

/// The end that an exit word means for a span that started at `start`. `near` is a whole tick less than 139 days (at
/// 3 GHz) from the end: of the reader's clock, for a span may have been open for years.
pub(crate) const fn end(word: u64, start: u64, near: u64) -> u64 {
    let past = (word >> 8).wrapping_sub(near) << (u64::BITS - TICK_BITS);
    let end = near.wrapping_add_signed(past as i64 >> (u64::BITS - TICK_BITS));
    // An end before the start is one of two processors' counters that are a few ticks apart.
    if end < start { start } else { end }
}

const fn outcome(word: u64) -> Outcome {
    match (word >> 4) & 15 {
        1 => Outcome::Error,
        2 => Outcome::Panicked,
        3 => Outcome::Cancelled,
        4 => Outcome::Unfinished,
        _ => Outcome::Returned,
    }
}

/// What an attribute event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A tag.
    Tag = 0,
    /// An annotation.
    Annotation = 1,
    /// The span's name.
    Name = 2,
    /// The span's kind.
    Kind = 3,
    /// The other side's service name.
    RemoteService = 4,
    /// The other side's address: 4 or 16 bytes, then two of port; the key says which is there.
    RemoteAddress = 5,
    /// The span failed.
    Failed = 6,
}

/// The type of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueType {
    /// UTF-8.
    Text = 0,
    /// Eight bytes.
    Unsigned = 1,
    /// Eight bytes.
    Signed = 2,
    /// Eight bytes.
    Float = 3,
    /// One byte.
    Bool = 4,
}

/// The head of an attribute event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttributeHead {
    pub(crate) what: What,
    pub(crate) value_type: ValueType,
    /// Whether it names its span by local key; else it belongs to the innermost sync span.
    pub(crate) by_key: bool,
    pub(crate) key_len: u16,
    pub(crate) value_len: u32,
}

impl AttributeHead {
    /// Words before the bytes.
    #[inline]
    pub(crate) const fn head_words(&self) -> usize {
        if self.by_key {
            4
        } else if matches!(self.what, What::Annotation) {
            2
        } else {
            1
        }
    }

    /// Words of the whole event.
    #[inline]
    pub(crate) const fn words(&self) -> usize {
        self.head_words() + (self.key_len as usize + self.value_len as usize).div_ceil(8)
    }

    #[inline]
    pub(crate) const fn to_word(self) -> u64 {
        self.fields() | kind::ATTRIBUTE
    }

    /// The first word of a site tag.
    #[inline(always)]
    pub(crate) const fn site_tag(value_type: ValueType, key_len: u16, value_len: u32) -> u64 {
        Self { what: What::Tag, value_type, by_key: false, key_len, value_len }.fields() | kind::SITE_TAG
    }

    #[inline(always)]
    const fn fields(self) -> u64 {
        (self.value_len as u64) << 32
            | (self.key_len as u64) << 16
            | (self.by_key as u64) << 12
            | (self.value_type as u64) << 8
            | (self.what as u64) << 4
    }

    const fn from_word(word: u64) -> Self {
        let what = match (word >> 4) & 15 {
            0 => What::Tag,
            1 => What::Annotation,
            2 => What::Name,
            3 => What::Kind,
            4 => What::RemoteService,
            5 => What::RemoteAddress,
            _ => What::Failed,
        };
        let value_type = match (word >> 8) & 15 {
            0 => ValueType::Text,
            1 => ValueType::Unsigned,
            2 => ValueType::Signed,
            3 => ValueType::Float,
            _ => ValueType::Bool,
        };
        #[allow(clippy::cast_possible_truncation, reason = "the fields are taken out by truncation")]
        Self {
            what,
            value_type,
            by_key: word >> 12 & 1 == 1,
            key_len: (word >> 16) as u16,
            value_len: (word >> 32) as u32,
        }
    }
}

/// One event, read back.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Scope {
        ids: Ids,
        inner: u64,
    },
    Enter {
        site: &'static Callsite,
        start: u64,
    },
    Exit {
        word: u64,
        outcome: Outcome,
    },
    NamedExit {
        word: u64,
        outcome: Outcome,
        position: u64,
        inner: u64,
    },
    Begin {
        site: &'static Callsite,
        ids: Ids,
        start: u64,
    },
    Span {
        site: &'static Callsite,
        ids: Ids,
        start: u64,
        word: u64,
        outcome: Outcome,
        polls: u32,
        begun: bool,
    },
    /// `name` is a tag's key, and empty for everything else.
    Attribute {
        head: AttributeHead,
        key: u64,
        ticks: u64,
        tracer: u32,
        name: &'a [u8],
        value: &'a [u8],
    },
    Abandon {
        key: u64,
    },
}

/// Reads the event at word `at`; `scratch` holds an attribute's bytes in loom's model. Gives the event and its length in
/// words.
#[inline]
pub(crate) fn read<'a>(words: &'a Words, at: usize, scratch: &'a mut Vec<u8>) -> Option<(Event<'a>, usize)> {
    let first = words.get(at);
    let event = match first & kind::MASK {
        kind::SCOPE => {
            let ids = Ids {
                trace_high: words.get(at + 1),
                trace_low: words.get(at + 2),
                span: words.get(at + 3),
                parent: 0,
                key: words.get(at + 4),
                tracer: tracer(first),
                flags: flags(first),
                origin: words.get(at + 5),
            };
            (Event::Scope { ids, inner: words.get(at + 6) }, SCOPE_WORDS)
        }
        kind::ENTER => (Event::Enter { site: words.site(at), start: words.get(at + 1) }, ENTER_WORDS),
        kind::EXIT => (Event::Exit { word: first, outcome: outcome(first) }, 1),
        kind::NAMED_EXIT => {
            let (position, inner) = (words.get(at + 1), words.get(at + 2));
            (Event::NamedExit { word: first, outcome: outcome(first), position, inner }, EXIT_WORDS)
        }
        kind::BEGIN => {
            let event = Event::Begin { site: words.site(at), ids: ids(words, at + 1), start: words.get(at + 1 + IDS) };
            (event, BEGIN_WORDS)
        }
        kind::SPAN => {
            let word = words.get(at + 2 + IDS);
            let last = words.get(at + 3 + IDS);
            let event = Event::Span {
                site: words.site(at),
                ids: ids(words, at + 1),
                start: words.get(at + 1 + IDS),
                word,
                outcome: outcome(word),
                polls: polls(last),
                begun: last >> 32 != 0,
            };
            (event, SPAN_WORDS)
        }
        kind::ATTRIBUTE => {
            let head = AttributeHead::from_word(first);
            let (key, ticks, tracer) = match head.head_words() {
                4 => (words.get(at + 1), words.get(at + 2), tracer(words.get(at + 3))),
                2 => (0, words.get(at + 1), 0),
                _ => (0, 0, 0),
            };
            let len = usize::from(head.key_len) + head.value_len as usize;
            let bytes = words.bytes(at + head.head_words(), len, scratch);
            let (name, value) = bytes.split_at(usize::from(head.key_len).min(bytes.len()));
            (Event::Attribute { head, key, ticks, tracer, name, value }, head.words())
        }
        kind::SITE_TAG => {
            let head = AttributeHead::from_word(first);
            let value_len = head.value_len as usize;
            let name = words.text(at + 1, usize::from(head.key_len)).as_bytes();
            let value = words.bytes(at + SITE_TAG_WORDS, value_len, scratch);
            let event = Event::Attribute { head, key: 0, ticks: 0, tracer: 0, name, value };
            (event, SITE_TAG_WORDS + value_len.div_ceil(8))
        }
        kind::ABANDON => (Event::Abandon { key: words.get(at + 1) }, ABANDON_WORDS),
        _ => return None,
    };
    Some(event)
}

fn ids(words: &Words, at: usize) -> Ids {
    let word = words.get(at + 5);
    Ids {
        trace_high: words.get(at),
        trace_low: words.get(at + 1),
        span: words.get(at + 2),
        parent: words.get(at + 3),
        key: words.get(at + 4),
        tracer: tracer(word),
        flags: flags(word),
        origin: words.get(at + 6),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the field is taken out by truncation")]
const fn tracer(word: u64) -> u32 {
    (word >> 32) as u32
}

/// The last word of a span event.
pub(crate) const fn last(polls: u32, begun: bool) -> u64 {
    (begun as u64) << 32 | polls as u64
}

#[allow(clippy::cast_possible_truncation, reason = "the field is taken out by truncation")]
const fn polls(last: u64) -> u32 {
    last as u32
}

#[allow(clippy::cast_possible_truncation, reason = "the field is taken out by truncation")]
const fn flags(word: u64) -> u16 {
    (word >> 8) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_whole_again_whatever_a_span_took() {
        const WRAP: u64 = 1 << 56;
        for start in [400, WRAP / 2 - 10, WRAP - 10, 5 * WRAP - 10] {
            for took in [0, 30, WRAP / 2 - 30, WRAP / 2, WRAP - 1, WRAP, 7 * WRAP + 3] {
                let stop = start + took;
                let word = exit(stop, Outcome::Returned, kind::EXIT);
                for near in [stop, stop + 100, stop + WRAP / 4, stop.saturating_sub(100)] {
                    assert_eq!(end(word, start, near), stop, "from {start} for {took}, read at {near}");
                }
            }
        }
        assert_eq!(end(exit(399, Outcome::Error, kind::EXIT), 400, 450), 400, "an end is never before its start");
        assert_eq!(outcome(exit(5, Outcome::Cancelled, kind::EXIT)), Outcome::Cancelled);
    }

    #[test]
    fn an_attribute_head_survives_its_word() {
        let head = AttributeHead {
            what: What::Annotation,
            value_type: ValueType::Bool,
            by_key: true,
            key_len: 65_535,
            value_len: 70_000,
        };
        assert_eq!(AttributeHead::from_word(head.to_word()), head);
    }
}
