//! What a value displays, formatted once, before anything of ours is touched.

use std::error::Error;
use std::fmt::{self, Display, Write};
use std::mem::MaybeUninit;

use super::limits::VALUE_BYTES;

/// Bytes that are formatted on the stack. What is longer goes to the heap.
const INLINE: usize = 512;

/// Text that user code writes: it may panic, record spans of its own, or never stop writing.
///
/// One byte more than [`VALUE_BYTES`] is kept, so that the log sees that there was more; then the formatter is told to stop.
pub(crate) struct Text {
    inline: [MaybeUninit<u8>; INLINE],
    len: usize,
    /// How long it may become inline; 0 when it no longer is.
    limit: usize,
    /// All of the text, when it did not fit.
    heap: String,
}

impl Text {
    /// What `value` displays, where it does not matter that the whole place is copied once more.
    pub(crate) fn of(value: &(impl Display + ?Sized)) -> Self {
        let mut text = Self::new();
        text.format(value);
        text
    }

    /// No text: a place for one.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        let inline = [const { MaybeUninit::uninit() }; INLINE];
        Self { inline, len: 0, limit: INLINE, heap: String::new() }
    }

    /// Appends what `value` displays. An error of the formatter leaves what was written before it.
    pub(crate) fn format(&mut self, value: &(impl Display + ?Sized)) -> &Self {
        let _ = write!(self, "{value}");
        self
    }

    /// The text.
    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        if self.is_inline() { self.inline() } else { &self.heap }
    }

    fn is_inline(&self) -> bool {
        self.limit != 0
    }

    #[allow(unsafe_code, reason = "the first bytes of an array that is not wholly initialised")]
    fn inline(&self) -> &str {
        // SAFETY: `write_str` has initialised the first `len` bytes with whole `str`s.
        unsafe { std::str::from_utf8_unchecked(&*(std::ptr::from_ref(&self.inline[..self.len]) as *const [u8])) }
    }
}

impl Write for Text {
    #[allow(unsafe_code, reason = "writes into an array that is not wholly initialised")]
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.len.saturating_add(part.len());
        if end > self.limit {
            return self.write_to_heap(part);
        }
        let bytes = part.as_bytes();
        // SAFETY: `end` is at most INLINE.
        unsafe {
            let to = self.inline.as_mut_ptr().add(self.len).cast::<u8>();
            // Numbers come in pieces of a few digits: these moves are less than a call.
            match *bytes {
                [] => {}
                [a] => to.write(a),
                [a, b] => to.cast::<[u8; 2]>().write([a, b]),
                _ => to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()),
            }
        }
        self.len = end;
        Ok(())
    }
}

impl Text {
    #[cold]
    fn write_to_heap(&mut self, part: &str) -> fmt::Result {
        if self.is_inline() {
            self.heap = self.inline().to_owned();
            self.limit = 0;
        }
        let room = (VALUE_BYTES + 4).saturating_sub(self.heap.len());
        self.heap.push_str(cut(part, room));
        if self.heap.len() > VALUE_BYTES { Err(fmt::Error) } else { Ok(()) }
    }
}

/// How many causes of an error are written; beyond it the text ends in `…`.
const CAUSES: usize = 16;

/// An error and its sources: `cannot load: connection refused`. A source that says the same as what it is the source of is
/// left out: many errors only wrap another one.
pub(crate) struct Causes<'a, E: ?Sized>(pub(crate) &'a E);

impl<E: Error + ?Sized> Display for Causes<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = Text::of(self.0);
        f.write_str(last.as_str())?;
        let mut source = self.0.source();
        for _ in 0..CAUSES {
            let Some(error) = source else { return Ok(()) };
            let text = Text::of(error);
            if text.as_str() != last.as_str() {
                write!(f, ": {}", text.as_str())?;
            }
            last = text;
            source = error.source();
        }
        if source.is_some() { f.write_str(": …") } else { Ok(()) }
    }
}

/// `text`, or as much of it as fits into so many bytes.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_texts_are_whole() {
        for length in [0, 1, 511, 512, 513, 5000] {
            let text = "ü".repeat(length / 2) + &"x".repeat(length % 2);
            assert_eq!(Text::of(&text).as_str(), text);
        }
        assert_eq!(Text::of(&format_args!("{}{}", "a".repeat(400), "b".repeat(400))).as_str().len(), 800);
    }

    #[test]
    fn a_formatter_that_never_stops_is_stopped() {
        struct Endless;
        impl Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("again and ")?;
                }
            }
        }
        let length = Text::of(&Endless).as_str().len();
        assert!(length > VALUE_BYTES && length < VALUE_BYTES + 16, "{length}");
    }
    #[test]
    fn causes_that_only_repeat_are_left_out() {
        #[derive(Debug)]
        struct Wrapped(&'static str, Option<Box<Wrapped>>);
        impl Display for Wrapped {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
        impl Error for Wrapped {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                self.1.as_deref().map(|source| source as _)
            }
        }
        let error = ["reset", "reset", "cannot send", "cannot send", "cannot load"]
            .into_iter()
            .fold(None, |source, text| Some(Box::new(Wrapped(text, source))));
        assert_eq!(Causes(&*error.expect("five errors")).to_string(), "cannot load: cannot send: reset");
    }
}
