//! Tags, annotations and the rest of what is told about a span.

use super::writing::reserve;
use super::{Local, State};
use crate::model::limits::{KEY_BYTES, VALUE_BYTES};
use crate::model::text::cut;
use crate::recorder::budget::Need;
use crate::recorder::event::{self, AttributeHead, ValueType, What};
use crate::recorder::log::Space;
use crate::recorder::registry::mix;
use crate::recorder::slot::Slot;

/// To which span an attribute goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The innermost one of the current context.
    Current,
    /// The one with this local key.
    Key {
        /// Its tracer.
        tracer: u32,
        /// Its local key, not 0.
        key: u64,
    },
}

/// An attribute's value, typed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AttributeValue<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
}

#[allow(unsafe_code, reason = "writes the log: room is checked before each event, and the log outlives its use")]
impl Local {
    /// Whether an attribute of the current span would be recorded.
    #[inline]
    pub(crate) fn records(&self) -> bool {
        matches!(self.state.get(), State::Recording | State::Sampled)
            && (self.opened.inner.get() != 0 || self.place.ids().key != 0)
    }

    /// The key of a span of this thread by its position.
    pub(super) fn target_of(&self, position: u64) -> Target {
        Target::Key { tracer: self.place.ids().tracer, key: mix(position.wrapping_add(self.key.get())) }
    }

    /// Tags the innermost sync span with up to eight bytes, but at least one, if nothing else needs to be written first.
    /// `false`: nothing was done.
    #[inline]
    pub(crate) fn tag_word(&self, key: &'static str, value_type: ValueType, value_len: u32, bits: u64) -> bool {
        const WORDS: usize = event::SITE_TAG_WORDS + 1;
        let Some((key_len, depth)) = self.site_tag(key, WORDS) else { return false };
        let space = self.writer.space();
        // SAFETY: there is room for these words.
        unsafe {
            space.put(0, AttributeHead::site_tag(value_type, key_len, value_len));
            space.put_text(1, key);
            space.put(event::SITE_TAG_WORDS, bits);
            self.writer.commit(space, WORDS);
        }
        self.opened.written(depth);
        true
    }

    /// The same with a text that is not too long.
    pub(crate) fn tag_text(&self, key: &'static str, text: &str) -> bool {
        let words = event::SITE_TAG_WORDS + text.len().div_ceil(8);
        if text.len() > VALUE_BYTES {
            return false;
        }
        let Some((key_len, depth)) = self.site_tag(key, words) else { return false };
        #[expect(clippy::cast_possible_truncation, reason = "at most VALUE_BYTES")]
        let value_len = text.len() as u32;
        let space = self.writer.space();
        // SAFETY: there is room for these words.
        unsafe {
            space.put(0, AttributeHead::site_tag(ValueType::Text, key_len, value_len));
            space.put_text(1, key);
            space.put_short(event::SITE_TAG_WORDS, text.as_bytes());
            self.writer.commit(space, words);
        }
        self.opened.written(depth);
        true
    }

    /// If a site tag of so many words may be written: the length of its key, and the depth to put back. The thread is marked
    /// as writing then.
    #[inline(always)]
    fn site_tag(&self, key: &'static str, words: usize) -> Option<(u16, u32)> {
        if self.state.get() != State::Recording || self.opened.inner.get() == 0 || key.len() > KEY_BYTES {
            return None;
        }
        let depth = self.opened.depth.get();
        self.opened.mark();
        if !self.writer.has_room(words + reserve(depth)) {
            self.opened.written(depth);
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most KEY_BYTES")]
        Some((key.len() as u16, depth))
    }

    /// Writes an attribute. What is too long is cut and counted; without room it is lost and counted as cut, too: nobody else
    /// counts it.
    pub(crate) fn attribute(&self, target: Target, what: What, key: &str, value: AttributeValue<'_>) {
        let (tracer, by_key) = match target {
            Target::Key { tracer, key } => (tracer, key),
            Target::Current if !self.records() => return,
            Target::Current => {
                let ids = self.current();
                let is_innermost = self.opened.inner.get() != 0 && self.is_clean();
                (ids.tracer, if is_innermost { 0 } else { ids.key })
            }
        };
        let number;
        let (value_type, bytes): (_, &[u8]) = match value {
            AttributeValue::Text(text) => (ValueType::Text, cut(text, VALUE_BYTES).as_bytes()),
            AttributeValue::Bytes(bytes) => (ValueType::Text, bytes),
            AttributeValue::Unsigned(value) => {
                number = value.to_ne_bytes();
                (ValueType::Unsigned, &number)
            }
            AttributeValue::Signed(value) => {
                number = value.to_ne_bytes();
                (ValueType::Signed, &number)
            }
            AttributeValue::Float(value) => {
                number = value.to_ne_bytes();
                (ValueType::Float, &number)
            }
            AttributeValue::Bool(value) => (ValueType::Bool, if value { &[1] } else { &[0] }),
        };
        let short_key = cut(key, KEY_BYTES);
        let was_cut =
            short_key.len() < key.len() || matches!(value, AttributeValue::Text(text) if bytes.len() < text.len());
        let head = AttributeHead {
            what,
            value_type,
            by_key: by_key != 0,
            key_len: u16::try_from(short_key.len()).unwrap_or(0),
            value_len: u32::try_from(bytes.len()).unwrap_or(0),
        };
        let write = |space: Space| {
            // SAFETY: `write` has made room for all words of the event.
            unsafe {
                space.put(0, head.to_word());
                if head.by_key {
                    space.put(1, by_key);
                    space.put(2, self.now());
                    space.put(3, u64::from(tracer) << 32);
                } else if head.what == What::Annotation {
                    space.put(1, self.now());
                }
                space.put_bytes(head.head_words(), [short_key.as_bytes(), bytes]);
            }
        };
        let written = self.write(tracer, head.words(), Need::Start, write);
        if was_cut || written.is_err() {
            if let Some(slot) = Slot::find(tracer) {
                slot.count_cut_value();
            }
        }
    }
}
