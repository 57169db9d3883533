//! Byte buffers on their way round: the drain fills them with tags, the sender empties them, and gives them back.
//!
//! Without it every span with a tag would be an allocation on one thread and its end on another, which costs each of them
//! more than the copy of the tags.

/// Bytes of a new buffer: a few tags.
const NEW: usize = 128;

/// A buffer of more bytes is freed: it would be kept for a span that needs a few.
const LARGEST: usize = 256;

/// Buffers kept at most; so many spans of a few tags are a request of the default size.
const KEPT: usize = 2048;

/// Buffers without content, for the next span.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: Vec<Vec<u8>>,
}

impl Buffers {
    /// An empty buffer with room for a few tags.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_else(|| Vec::with_capacity(NEW))
    }

    /// Gives one back, with whatever is in it.
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        if (1..=LARGEST).contains(&buffer.capacity()) && self.free.len() < KEPT {
            buffer.clear();
            self.free.push(buffer);
        }
    }

    /// Takes over what another has, as far as it is wanted.
    pub(crate) fn take_over(&mut self, other: &mut Self) {
        if self.free.is_empty() {
            std::mem::swap(&mut self.free, &mut other.free);
        } else {
            let room = KEPT.saturating_sub(self.free.len());
            self.free.extend(other.free.drain(other.free.len().saturating_sub(room)..));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_empty_and_neither_large_ones_nor_too_many_are_kept() {
        let mut spent = Buffers::default();
        let mut used = Vec::with_capacity(NEW);
        used.extend_from_slice(b"a tag");
        spent.give(used);
        spent.give(vec![0; LARGEST + 1]);
        spent.give(Vec::new());
        assert_eq!(spent.free.len(), 1);
        for _ in 0..KEPT {
            spent.give(Vec::with_capacity(NEW));
        }
        assert_eq!(spent.free.len(), KEPT);
        let mut buffers = Buffers::default();
        buffers.give(Vec::with_capacity(1));
        buffers.take_over(&mut spent);
        assert_eq!((buffers.free.len(), spent.free.len()), (KEPT, 1));
        let buffer = buffers.take();
        assert!(buffer.is_empty() && buffer.capacity() >= NEW);
    }
}
