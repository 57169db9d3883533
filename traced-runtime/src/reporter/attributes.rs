//! What a span was given beside its times: tags and annotations, and a name, kind or remote endpoint set while it ran.

use std::fmt;

use crate::recorder::event::ValueType;

/// A tag's value, as it was given.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum TagValue<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number.
    Unsigned(u64),
    /// A whole number.
    Signed(i64),
    /// A fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
}

impl fmt::Display for TagValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Signed(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Bool(value) => write!(f, "{value}"),
        }
    }
}

/// Tags and annotations, packed into one buffer in the order they were given.
///
/// ```text
/// entry := what(u8) type(u8) key length(u16) value length(u32) time(u64) key value
/// ```
///
/// Keys and texts were `str` when they came: as bytes they are passed on without another look.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    bytes: Vec<u8>,
}

const TAG: u8 = 0;
const ANNOTATION: u8 = 1;
const HEAD: usize = 16;

const TEXT: u8 = ValueType::Text as u8;
const UNSIGNED: u8 = ValueType::Unsigned as u8;
const SIGNED: u8 = ValueType::Signed as u8;
const FLOAT: u8 = ValueType::Float as u8;
const BOOL: u8 = ValueType::Bool as u8;

impl Attributes {
    /// Bytes of tags and annotations.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes of memory.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether there is no memory for the first entry.
    pub(crate) fn has_no_buffer(&self) -> bool {
        self.bytes.capacity() == 0
    }

    /// Uses a buffer's memory. There must be no entry yet.
    pub(crate) fn use_buffer(&mut self, buffer: Vec<u8>) {
        debug_assert!(self.bytes.is_empty() && buffer.is_empty(), "entries would be lost");
        self.bytes = buffer;
    }

    /// Gives the memory for another span.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Adds a tag. Of two tags with one key the later `time` wins, when the span is [sealed](Self::seal); `time` is any
    /// number that grows.
    pub(crate) fn tag(&mut self, time: u64, key: &str, value: TagValue<'_>) {
        match value {
            TagValue::Text(text) => self.push(TAG, TEXT, time, cut(key), text.as_bytes()),
            TagValue::Unsigned(value) => self.push(TAG, UNSIGNED, time, cut(key), &value.to_ne_bytes()),
            TagValue::Signed(value) => self.push(TAG, SIGNED, time, cut(key), &value.to_ne_bytes()),
            TagValue::Float(value) => self.push(TAG, FLOAT, time, cut(key), &value.to_ne_bytes()),
            TagValue::Bool(value) => self.push(TAG, BOOL, time, cut(key), &[u8::from(value)]),
        }
    }

    /// The same with key and value as they stand in a log: text, or the bytes of a word.
    pub(crate) fn logged_tag(&mut self, time: u64, key: &[u8], value_type: ValueType, value: &[u8]) {
        self.push(TAG, value_type as u8, time, key, value);
    }

    /// An annotation as it stands in a log.
    pub(crate) fn logged_annotation(&mut self, time: u64, text: &[u8]) {
        self.push(ANNOTATION, TEXT, time, b"", text);
    }

    /// Adds an annotation; `time` is nanoseconds since the epoch.
    #[cfg(any(test, traced_fuzz))]
    pub(crate) fn annotation(&mut self, time: u64, text: &str) {
        self.logged_annotation(time, text.as_bytes());
    }

    /// Keys have up to 65,535 bytes.
    fn push(&mut self, what: u8, kind: u8, time: u64, key: &[u8], value: &[u8]) {
        let key_len = u16::try_from(key.len()).unwrap_or(0);
        let value_len = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let mut head = [what, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        head[2..4].copy_from_slice(&key_len.to_ne_bytes());
        head[4..8].copy_from_slice(&value_len.to_ne_bytes());
        head[8..].copy_from_slice(&time.to_ne_bytes());
        self.bytes.reserve(HEAD + key.len() + value.len());
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(&key[..usize::from(key_len)]);
        self.bytes.extend_from_slice(&value[..value_len as usize]);
    }

    /// Appends all of `other`; `time` turns the times of its annotations into nanoseconds since the epoch.
    pub(crate) fn append(&mut self, other: &Self, time: impl Fn(u64) -> u64) {
        for entry in other.entries() {
            let stamp = if entry.what == ANNOTATION { time(entry.time) } else { entry.time };
            self.push(entry.what, entry.kind, stamp, entry.key, entry.value);
        }
    }

    /// Leaves one tag of each key, the one with the latest time (of equal times the one given last), in the order in
    /// which the keys were first given. Annotations are put in order of time.
    pub(crate) fn seal(&mut self) {
        if self.is_sealed() {
            return;
        }
        let mut kept: Vec<(bool, &[u8], u64, std::ops::Range<usize>)> = Vec::new();
        let mut at_key = std::collections::HashMap::new();
        let mut changed = false;
        for entry in self.entries() {
            if entry.what == TAG {
                match at_key.entry(entry.key) {
                    std::collections::hash_map::Entry::Vacant(free) => {
                        free.insert(kept.len());
                    }
                    std::collections::hash_map::Entry::Occupied(at) => {
                        changed = true;
                        let earlier = &mut kept[*at.get()];
                        if earlier.2 <= entry.time {
                            earlier.2 = entry.time;
                            earlier.3 = entry.range;
                        }
                        continue;
                    }
                }
            }
            kept.push((entry.what == ANNOTATION, entry.key, entry.time, entry.range));
        }
        let annotations = kept.iter().filter(|kept| kept.0).map(|kept| kept.2);
        changed |= !annotations.is_sorted();
        if changed {
            // Tags first (a stable sort keeps their order), then annotations by time.
            kept.sort_by_key(|(annotation, _, time, _)| (*annotation, if *annotation { *time } else { 0 }));
            let mut bytes = Vec::with_capacity(self.bytes.len());
            for (_, _, _, range) in &kept {
                bytes.extend_from_slice(&self.bytes[range.clone()]);
            }
            self.bytes = bytes;
        }
    }

    /// Whether there are so few that it is seen at a glance that [`seal`](Self::seal) would change nothing.
    fn is_sealed(&self) -> bool {
        /// With more, each against each costs more than a table of keys.
        const FEW: usize = 8;
        let mut last = 0;
        for (at, entry) in self.entries().enumerate() {
            let is_in_place = if entry.what == TAG {
                self.entries().take(at).all(|earlier| earlier.what != TAG || earlier.key != entry.key)
            } else {
                last <= entry.time
            };
            if at == FEW || !is_in_place {
                return false;
            }
            if entry.what == ANNOTATION {
                last = entry.time;
            }
        }
        true
    }

    /// Removes entries until what they occupied together, as `bytes` tells it of each, reaches `excess`, or none is left.
    ///
    /// Tags and annotations [share](shares) what is left. Of tags the largest go first, of equal ones the last. Of annotations
    /// those that would take an eighth of their share each go first; then those in the middle, so that the beginning and the end
    /// of a long list stay.
    pub(crate) fn shed(&mut self, excess: usize, mut bytes: impl FnMut(Given<'_>) -> usize) -> Shed {
        let sizes: Vec<_> = self.entries().map(|entry| (entry.what == ANNOTATION, bytes(entry.given()))).collect();
        let of = |annotations| sizes.iter().enumerate().filter(move |(_, size)| size.0 == annotations);
        let total = |annotations| of(annotations).map(|(_, (_, size))| size).sum::<usize>();
        let (tag_bytes, annotation_bytes) = (total(false), total(true));
        let room = (tag_bytes + annotation_bytes).saturating_sub(excess);
        let (tag_room, annotation_room) = shares(room, tag_bytes, annotation_bytes);

        let tags = of(false).map(|(at, (_, size))| (*size, at, at, *size)).collect();
        let last = of(true).count().saturating_sub(1);
        let from_an_end = |nth: usize| nth.min(last - nth);
        let large = |size: usize| if size > annotation_room / 8 { size } else { 0 };
        let annotations = of(true).enumerate();
        let annotations =
            annotations.map(|(nth, (at, (_, size)))| (large(*size), from_an_end(nth), at, *size)).collect();

        let mut is_kept = vec![true; sizes.len()];
        let mut remove = |mut order: Vec<(usize, usize, usize, usize)>, excess: usize| {
            order.sort_unstable_by(|one, other| other.cmp(one));
            let (mut freed, mut removed) = (0, 0);
            for (_, _, at, size) in order {
                if freed >= excess {
                    break;
                }
                freed += size;
                removed += 1;
                is_kept[at] = false;
            }
            removed
        };
        let shed = Shed {
            tags: remove(tags, tag_bytes.saturating_sub(tag_room)),
            annotations: remove(annotations, annotation_bytes.saturating_sub(annotation_room)),
        };
        let mut is_kept = is_kept.into_iter();
        self.rewrite(|rewritten, entry| {
            if is_kept.next() != Some(false) {
                rewritten.push_entry(entry);
            }
        });
        shed
    }

    /// Writes every entry again, as `change` wants it.
    fn rewrite(&mut self, mut change: impl FnMut(&mut Self, &Entry<'_>)) {
        let mut rewritten = Self::default();
        for entry in self.entries() {
            change(&mut rewritten, &entry);
        }
        *self = rewritten;
    }

    fn push_entry(&mut self, entry: &Entry<'_>) {
        self.push(entry.what, entry.kind, entry.time, entry.key, entry.value);
    }

    /// Removes the tags for which `keep` is false.
    pub(crate) fn retain_tags(&mut self, mut keep: impl FnMut(&str, TagValue<'_>) -> bool) {
        self.rewrite(|rewritten, entry| {
            if entry.what != TAG || keep(entry.key(), entry.tag_value()) {
                rewritten.push_entry(entry);
            }
        });
    }

    /// Puts other texts in the place of those for which `replace` has one: of tags, and of annotations.
    pub(crate) fn replace_texts(&mut self, mut replace: impl FnMut(&str) -> Option<String>) {
        self.rewrite(|rewritten, entry| match (entry.kind == TEXT).then(|| replace(entry.text())).flatten() {
            Some(text) => rewritten.push(entry.what, TEXT, entry.time, entry.key, text.as_bytes()),
            None => rewritten.push_entry(entry),
        });
    }

    /// The tags with their keys.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (&str, TagValue<'_>)> {
        self.entries().filter(|entry| entry.what == TAG).map(|entry| (entry.key(), entry.tag_value()))
    }

    /// The annotations with their times in nanoseconds since the epoch.
    pub(crate) fn annotations(&self) -> impl Iterator<Item = (u64, &str)> {
        self.entries().filter(|entry| entry.what == ANNOTATION).map(|entry| (entry.time, entry.text()))
    }

    /// Its tags, with keys and texts as the bytes they are.
    #[inline]
    pub(crate) fn raw_tags(&self) -> impl Iterator<Item = (&[u8], RawValue<'_>)> {
        self.entries().filter(|entry| entry.what == TAG).map(|entry| (entry.key, entry.raw_value()))
    }

    /// Its annotations with their times in nanoseconds since the epoch, as the bytes they are.
    #[inline]
    pub(crate) fn raw_annotations(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.entries().filter(|entry| entry.what == ANNOTATION).map(|entry| (entry.time, entry.value))
    }

    #[inline]
    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let entry = Entry::read(&self.bytes, at)?;
            at = entry.range.end;
            Some(entry)
        })
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.tags().map(|(key, value)| (key, value.to_string())))
            .entries(self.annotations())
            .finish()
    }
}

/// A tag's value whose text is not known to be text.
#[derive(Clone, Copy)]
pub(crate) enum RawValue<'a> {
    Text(&'a [u8]),
    Other(TagValue<'a>),
}

/// An entry, with its texts as the bytes they are.
#[derive(Clone, Copy)]
pub(crate) enum Given<'a> {
    Tag(&'a [u8], RawValue<'a>),
    /// The time in nanoseconds since the epoch, and the text.
    Annotation(u64, &'a [u8]),
}

/// How many entries were [shed](Attributes::shed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shed {
    pub(crate) tags: u64,
    pub(crate) annotations: u64,
}

/// What each of two gets of a room: what it needs if that is no more than half of it, else what the other one leaves.
pub(crate) fn shares(room: usize, one: usize, other: usize) -> (usize, usize) {
    (room.saturating_sub(other).max(room / 2), room.saturating_sub(one).max(room / 2))
}

/// The key, or its beginning if it is longer than 65,535 bytes, as far as whole characters go.
fn cut(key: &str) -> &[u8] {
    let mut end = key.len().min(usize::from(u16::MAX));
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    &key.as_bytes()[..end]
}

/// One entry of the buffer, read in place.
struct Entry<'a> {
    what: u8,
    kind: u8,
    time: u64,
    key: &'a [u8],
    value: &'a [u8],
    range: std::ops::Range<usize>,
}

impl<'a> Entry<'a> {
    #[inline]
    fn read(bytes: &'a [u8], at: usize) -> Option<Self> {
        let head: &[u8; HEAD] = bytes.get(at..)?.first_chunk()?;
        let key_len = usize::from(u16::from_ne_bytes(head[2..4].try_into().ok()?));
        let value_len = u32::from_ne_bytes(head[4..8].try_into().ok()?) as usize;
        let time = u64::from_ne_bytes(head[8..16].try_into().ok()?);
        let key_end = at + HEAD + key_len;
        let end = key_end + value_len;
        let key = bytes.get(at + HEAD..key_end)?;
        Some(Self { what: head[0], kind: head[1], time, key, value: bytes.get(key_end..end)?, range: at..end })
    }

    fn key(&self) -> &'a str {
        std::str::from_utf8(self.key).unwrap_or("")
    }

    fn text(&self) -> &'a str {
        std::str::from_utf8(self.value).unwrap_or("")
    }

    fn given(&self) -> Given<'a> {
        if self.what == TAG { Given::Tag(self.key, self.raw_value()) } else { Given::Annotation(self.time, self.value) }
    }

    fn raw_value(&self) -> RawValue<'a> {
        if self.kind == TEXT { RawValue::Text(self.value) } else { RawValue::Other(self.tag_value()) }
    }

    fn tag_value(&self) -> TagValue<'a> {
        let word = || self.value.try_into().map(u64::from_ne_bytes).unwrap_or(0);
        match self.kind {
            UNSIGNED => TagValue::Unsigned(word()),
            SIGNED => TagValue::Signed(i64::from_ne_bytes(word().to_ne_bytes())),
            FLOAT => TagValue::Float(f64::from_bits(word())),
            BOOL => TagValue::Bool(self.value == [1]),
            _ => TagValue::Text(self.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(attributes: &Attributes) -> Vec<(String, String)> {
        attributes.tags().map(|(key, value)| (key.to_owned(), value.to_string())).collect()
    }

    #[test]
    fn every_value_comes_back_as_it_was_given() {
        let mut attributes = Attributes::default();
        attributes.tag(1, "a", TagValue::Text("ü"));
        attributes.tag(1, "b", TagValue::Unsigned(u64::MAX));
        attributes.tag(1, "c", TagValue::Signed(-1));
        attributes.tag(1, "d", TagValue::Float(1.5));
        attributes.tag(1, "e", TagValue::Bool(true));
        attributes.annotation(7, "seen");
        let values: Vec<_> = attributes.tags().map(|(_, value)| value).collect();
        assert_eq!(
            values,
            [
                TagValue::Text("ü"),
                TagValue::Unsigned(u64::MAX),
                TagValue::Signed(-1),
                TagValue::Float(1.5),
                TagValue::Bool(true)
            ]
        );
        assert_eq!(attributes.annotations().collect::<Vec<_>>(), [(7, "seen")]);
    }

    #[test]
    fn the_latest_of_a_key_wins_and_keeps_the_first_ones_place() {
        let mut attributes = Attributes::default();
        attributes.tag(5, "a", TagValue::Text("late"));
        attributes.tag(1, "b", TagValue::Text("b"));
        attributes.tag(3, "a", TagValue::Text("early"));
        attributes.annotation(9, "second");
        attributes.annotation(8, "first");
        attributes.seal();
        assert_eq!(texts(&attributes), [("a".into(), "late".into()), ("b".into(), "b".into())]);
        assert_eq!(attributes.annotations().collect::<Vec<_>>(), [(8, "first"), (9, "second")]);
    }

    /// Bytes of the key and the text.
    fn texts_of(given: Given<'_>) -> usize {
        match given {
            Given::Tag(key, RawValue::Text(value)) => key.len() + value.len(),
            Given::Tag(key, RawValue::Other(_)) => key.len(),
            Given::Annotation(_, text) => text.len(),
        }
    }

    #[test]
    fn the_largest_tag_is_shed_first_and_of_equal_ones_the_last() {
        let mut attributes = Attributes::default();
        attributes.tag(1, "large", TagValue::Text(&"x".repeat(1000)));
        for key in ["a", "b", "c"] {
            attributes.tag(1, key, TagValue::Text("1234567"));
        }
        let tags = |tags| Shed { tags, annotations: 0 };
        assert_eq!(attributes.shed(0, texts_of), tags(0));
        assert_eq!(attributes.shed(1_005, texts_of), tags(1));
        assert_eq!(texts(&attributes).len(), 3);
        assert_eq!(attributes.shed(9, texts_of), tags(2));
        assert_eq!(texts(&attributes), [("a".into(), "1234567".into())]);
        assert_eq!(attributes.shed(usize::MAX, texts_of), tags(1));
        assert_eq!(attributes.shed(1, texts_of), tags(0));
    }

    #[test]
    fn of_a_long_list_of_annotations_the_beginning_and_the_end_stay() {
        let mut attributes = Attributes::default();
        attributes.tag(1, "tag", TagValue::Text("value"));
        for number in 0..1_000 {
            attributes.annotation(number, &format!("{number:>12}"));
        }
        // As large as many others: it goes, though it is the last.
        attributes.annotation(1_000, &"x".repeat(100));
        let shed = attributes.shed(100 + 990 * 12, texts_of);
        assert_eq!(shed, Shed { tags: 0, annotations: 991 });
        assert_eq!(attributes.shed(0, texts_of), Shed { tags: 0, annotations: 0 });
        let left: Vec<_> = attributes.annotations().map(|(time, _)| time).collect();
        assert_eq!(left, [0, 1, 2, 3, 4, 5, 996, 997, 998, 999]);
        assert_eq!(texts(&attributes), [("tag".into(), "value".into())]);
    }

    #[test]
    fn few_annotations_stay_beside_many_tags_and_few_tags_beside_many_annotations() {
        let mut attributes = Attributes::default();
        attributes.annotation(1, "seen");
        for number in 0..100 {
            attributes.tag(1, &format!("key {number:02}"), TagValue::Text("value"));
        }
        assert_eq!(attributes.shed(1_000, texts_of), Shed { tags: 91, annotations: 0 });
        for number in 0..100 {
            attributes.annotation(number, "seen again");
        }
        assert_eq!(attributes.shed(904, texts_of), Shed { tags: 0, annotations: 91 });
        // Both are many: nine of each are left.
        assert_eq!(attributes.shed(99, texts_of), Shed { tags: 5, annotations: 5 });
    }
}
