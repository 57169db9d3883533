//! What a value displays, formatted once, before anything of ours is touched.

use std::error::Error;
use std::fmt::{self, Display, Write};
use std::mem::MaybeUninit;

use crate::tracer::local::VALUE_BYTES;

/// Bytes that are formatted on the stack. What is longer goes to the heap.
const INLINE: usize = 512;

/// Text that user code writes: it may panic, record spans of its own, or never stop writing.
///
/// One byte more than [`VALUE_BYTES`] is kept, so that the log sees that there was more; then the formatter is told to stop.
pub(crate) struct Text {
    inline: [MaybeUninit<u8>; INLINE],
    len: usize,
    /// All of the text, when it did not fit.
    heap: String,
}

impl Text {
    /// What `value` displays. An error of the formatter leaves what was written before it.
    pub(crate) fn of(value: &(impl Display + ?Sized)) -> Self {
        let mut text = Self { inline: [const { MaybeUninit::uninit() }; INLINE], len: 0, heap: String::new() };
        let _ = write!(text, "{value}");
        text
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        if self.heap.is_empty() { self.inline() } else { &self.heap }
    }

    #[allow(unsafe_code, reason = "the first bytes of an array that is not wholly initialised")]
    fn inline(&self) -> &str {
        // SAFETY: `write_str` has initialised the first `len` bytes with whole `str`s.
        unsafe { std::str::from_utf8_unchecked(&*(std::ptr::from_ref(&self.inline[..self.len]) as *const [u8])) }
    }
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.heap.is_empty() {
            let end = self.len + part.len();
            if let Some(free) = self.inline.get_mut(self.len..end) {
                for (to, &byte) in free.iter_mut().zip(part.as_bytes()) {
                    to.write(byte);
                }
                self.len = end;
                return Ok(());
            }
            self.heap = self.inline().to_owned();
        }
        let room = (VALUE_BYTES + 4).saturating_sub(self.heap.len());
        self.heap.push_str(crate::tracer::local::cut(part, room));
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
