//! A piece of a log: words that one thread writes and another one reads; `log` has the rules for both.

#![allow(unsafe_code, reason = "words shared between two threads without a lock; see the head of log.rs")]

use std::ptr;

use self::sync::AtomicPtr;

/// The atomics in use: loom's in its model, else the standard library's.
pub(crate) mod sync {
    #[cfg(loom)]
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
    #[cfg(not(loom))]
    pub(crate) use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

    /// Loads what no other thread stores meanwhile.
    #[cfg(not(loom))]
    #[inline(always)]
    pub(crate) fn load_own<T>(own: &AtomicPtr<T>) -> *mut T {
        own.load(Ordering::Relaxed)
    }

    /// Loom looks for a conflict with the last access to an atomic, and with no earlier one: a thread's load of what it
    /// stores next would hide another thread's load before. This load is none to loom, but that it is checked.
    #[cfg(loom)]
    pub(crate) fn load_own<T>(own: &AtomicPtr<T>) -> *mut T {
        // SAFETY: the caller's promise, which loom checks.
        unsafe { own.unsync_load() }
    }
}

/// Bytes of a new log's first chunk.
pub(crate) const FIRST_CHUNK: usize = 1 << 10;

/// Bytes of a chunk of a thread that records much. Only the reserve of deeply nested spans makes a larger one.
pub(crate) const LARGE_CHUNK: usize = 32 << 10;

/// One word of a log.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Word(pub(super) cell::WordCell);

#[cfg(not(loom))]
mod cell {
    use std::cell::UnsafeCell;
    use std::mem::MaybeUninit;

    #[derive(Debug)]
    #[repr(transparent)]
    pub(in crate::recorder) struct WordCell(UnsafeCell<MaybeUninit<u64>>);

    impl WordCell {
        /// # Safety
        /// No other thread reads or writes the word meanwhile.
        #[inline(always)]
        pub(in crate::recorder) unsafe fn write(&self, value: u64) {
            // SAFETY: the caller's promise.
            unsafe { (*self.0.get()).write(value) };
        }

        /// # Safety
        /// As for `write`. The address is stored as a pointer where a pointer fills the word: it keeps what it may
        /// point to.
        #[inline(always)]
        pub(in crate::recorder) unsafe fn write_pointer(&self, value: *const ()) {
            #[cfg(target_pointer_width = "64")]
            // SAFETY: the caller's promise; a pointer has the size and alignment of the word.
            unsafe {
                self.0.get().cast::<*const ()>().write(value);
            }
            #[cfg(not(target_pointer_width = "64"))]
            // SAFETY: the caller's promise.
            unsafe {
                self.write(value.expose_provenance() as u64);
            }
        }

        /// # Safety
        /// The word was written, and no thread writes it meanwhile.
        pub(in crate::recorder) unsafe fn read(&self) -> u64 {
            // SAFETY: the caller's promise.
            unsafe { (*self.0.get()).assume_init_read() }
        }

        /// # Safety
        /// The word was written by `write_pointer`, and no thread writes it meanwhile.
        pub(in crate::recorder) unsafe fn read_pointer(&self) -> *const () {
            #[cfg(target_pointer_width = "64")]
            // SAFETY: the caller's promise.
            unsafe {
                self.0.get().cast::<*const ()>().read()
            }
            #[cfg(not(target_pointer_width = "64"))]
            // SAFETY: the caller's promise.
            unsafe {
                std::ptr::with_exposed_provenance(self.read() as usize)
            }
        }
    }

    pub(super) fn chunk_words(count: usize) -> Box<[super::Word]> {
        // SAFETY: a word is `MaybeUninit`: it needs no initial value.
        unsafe { Box::new_uninit_slice(count).assume_init() }
    }
}

/// The same on loom's cell, which notices every access that is not ordered with another thread's.
#[cfg(loom)]
mod cell {
    #[derive(Debug)]
    pub(in crate::recorder) struct WordCell(loom::cell::UnsafeCell<u64>);

    impl WordCell {
        pub(in crate::recorder) unsafe fn write(&self, value: u64) {
            // SAFETY: the caller's promise, which loom checks.
            self.0.with_mut(|word| unsafe { *word = value });
        }

        pub(in crate::recorder) unsafe fn write_pointer(&self, value: *const ()) {
            // SAFETY: the caller's promise, which loom checks.
            unsafe { self.write(value.expose_provenance() as u64) };
        }

        pub(in crate::recorder) unsafe fn read(&self) -> u64 {
            // SAFETY: the caller's promise, which loom checks.
            self.0.with(|word| unsafe { *word })
        }

        pub(in crate::recorder) unsafe fn read_pointer(&self) -> *const () {
            // SAFETY: the caller's promise, which loom checks.
            std::ptr::with_exposed_provenance(unsafe { self.read() } as usize)
        }
    }

    pub(super) fn chunk_words(count: usize) -> Box<[super::Word]> {
        (0..count).map(|_| super::Word(WordCell(loom::cell::UnsafeCell::new(0)))).collect()
    }
}

/// A piece of a log.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(super) next: AtomicPtr<Chunk>,
    /// The end of what is committed.
    pub(super) committed: AtomicPtr<Word>,
    /// Position of the first word.
    pub(super) first: u64,
    pub(super) words: Box<[Word]>,
}

impl Chunk {
    pub(super) fn new(words: usize, first: u64) -> Box<Self> {
        let words = cell::chunk_words(words);
        let start = words.as_ptr().cast_mut();
        Box::new(Self { next: AtomicPtr::new(ptr::null_mut()), committed: AtomicPtr::new(start), first, words })
    }

    /// Bytes that the budget counts for one of so many words.
    pub(super) const fn bytes_of(words: usize) -> usize {
        words * size_of::<Word>() + size_of::<Self>()
    }

    /// The same chunk, without content.
    pub(super) fn renewed(mut self: Box<Self>) -> Box<Self> {
        self.next = AtomicPtr::new(ptr::null_mut());
        self.committed = AtomicPtr::new(self.words.as_ptr().cast_mut());
        self
    }

    /// Bytes that the budget counts for it.
    pub(super) fn bytes(&self) -> usize {
        Self::bytes_of(self.words.len())
    }

    pub(super) fn start(&self) -> *const Word {
        self.words.as_ptr()
    }

    /// Bytes of its words.
    pub(super) fn words_bytes(&self) -> usize {
        self.words.len() * size_of::<Word>()
    }

    /// The position behind the last word.
    pub(super) fn end_position(&self) -> u64 {
        self.first + self.words_bytes() as u64
    }
}
