//! The log of one thread: a chain of chunks of words, written by one thread and read by another, without locks.
//!
//! One atomic pointer per chunk tells how much of it is committed. The writer stores it (release) after the words it
//! covers; the reader loads it (acquire) and reads no further. A chunk's `next` is set after its last commit and the
//! writer never touches the chunk again, so a reader that has seen `next` and read to the end may free it.
//!
//! This is the crate's unsafe heart. Words are reached by raw pointers only, never by a reference that covers a word
//! which the other side may write. A loom model of both ends stands in `loom_model`.

#![allow(unsafe_code, reason = "words shared between two threads without a lock; see the head of the file")]

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;

use super::budget::{Budget, Need};
use super::chunk::sync::{self, AtomicPtr, AtomicUsize, Ordering};
use super::chunk::{Chunk, FIRST_CHUNK, LARGE_CHUNK, Word};
use super::clock::Clock;
use super::position::{Positions, range_of};
use super::waker::Waker;
use crate::model::callsite::Callsite;

/// A chunk is this part of the budget at most, and this part of what is left when that is little.
const SHARE: usize = 64;

/// The part of the budget (one in so many) that is given out in small chunks: many threads that sit idle, each with a large
/// one, leave something to the next.
const IN_SMALL_CHUNKS: usize = 16;

/// What writer and reader of a log share.
#[derive(Debug)]
pub(crate) struct Log {
    /// Where its positions come from.
    positions: &'static Positions,
    /// Added to a position before it is mixed to a span id.
    key: u64,
    clock: Clock,
    budget: Arc<Budget>,
    waker: Arc<Waker>,
    /// Where the reader is. Only the reader moves it.
    head: AtomicPtr<Chunk>,
    /// Where the writer is. Only the writer moves it.
    tail: AtomicPtr<Chunk>,
    /// A chunk that was read and waits for the writer.
    spare: AtomicPtr<Chunk>,
    /// Words of the largest chunk that the writer has asked for. Only the writer uses it.
    size: std::sync::atomic::AtomicUsize,
    /// Even while a thread writes it, odd when that thread has ended, and one more with each change: who has seen an odd
    /// number knows which of the threads it was that ended.
    generation: AtomicUsize,
}

impl Log {
    /// A log with a first chunk, if there are positions for it and the budget allows one.
    pub(crate) fn new(
        positions: &'static Positions,
        key: u64,
        clock: Clock,
        budget: Arc<Budget>,
        waker: Arc<Waker>,
    ) -> Option<Self> {
        let first = positions.first(FIRST_CHUNK)?;
        if !budget.take(Chunk::bytes_of(FIRST_CHUNK / 8), Need::Start) {
            positions.give_back(first);
            return None;
        }
        let chunk = Box::into_raw(Chunk::new(FIRST_CHUNK / 8, first));
        Some(Self {
            positions,
            // Ids do not depend on where the log begins.
            key: key.wrapping_sub(first),
            clock,
            budget,
            waker,
            head: AtomicPtr::new(chunk),
            tail: AtomicPtr::new(chunk),
            spare: AtomicPtr::new(ptr::null_mut()),
            size: std::sync::atomic::AtomicUsize::new(FIRST_CHUNK / 8),
            generation: AtomicUsize::new(0),
        })
    }

    /// What to add to a position before mixing.
    pub(crate) const fn key(&self) -> u64 {
        self.key
    }

    /// Its budget.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The clock it is written by.
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Wakes the thread that reads it.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// The writer is done: its thread ended.
    pub(crate) fn close(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// A new writer takes over a closed log that was read to its end.
    pub(crate) fn reopen(&self) {
        self.size.store(FIRST_CHUNK / 8, Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Whether the writer is done.
    pub(crate) fn is_closed(&self) -> bool {
        is_closed(self.generation.load(Ordering::Acquire))
    }

    /// Frees the chunk that waits for the writer, if there is one.
    pub(crate) fn free_spare(&self) {
        self.free(self.spare.swap(ptr::null_mut(), Ordering::AcqRel));
    }

    fn free(&self, chunk: *mut Chunk) {
        if !chunk.is_null() {
            // SAFETY: every chunk came from `Box::into_raw`; the caller took it out of the only place that held it.
            let chunk = unsafe { Box::from_raw(chunk) };
            self.budget.give_back(chunk.bytes());
        }
    }
}

const fn is_closed(generation: usize) -> bool {
    generation % 2 == 1
}

impl Drop for Log {
    fn drop(&mut self) {
        self.free_spare();
        // SAFETY: the tail is part of the chain, which is freed below.
        self.positions.give_back(unsafe { (*self.tail.load(Ordering::Acquire)).end_position() });
        let mut chunk = self.head.load(Ordering::Acquire);
        while !chunk.is_null() {
            // SAFETY: nobody else has the log: the chain from `head` on is whole and ours.
            let next = unsafe { (*chunk).next.load(Ordering::Acquire) };
            self.free(chunk);
            chunk = next;
        }
    }
}

/// The writing end, in plain cells: it lives in a thread local. It must be attached to a log before anything is
/// written, and be the only writer of that log.
#[derive(Debug)]
pub(crate) struct Writer {
    cursor: Cell<*const Word>,
    end: Cell<*const Word>,
    committed: Cell<*const AtomicPtr<Word>>,
    /// Added to the cursor's address it gives the position.
    bias: Cell<u64>,
}

impl Writer {
    /// A writer without a log: it has no room.
    pub(crate) const fn detached() -> Self {
        Self {
            cursor: Cell::new(ptr::null()),
            end: Cell::new(ptr::null()),
            committed: Cell::new(ptr::null()),
            bias: Cell::new(0),
        }
    }

    /// Writes on at the end of `log`.
    ///
    /// # Safety
    /// The log outlives the writer's use of it, and has no other writer.
    pub(crate) unsafe fn attach(&self, log: &Log) {
        // SAFETY: the tail is a live chunk until the writer has moved on and the reader has followed.
        let chunk = unsafe { &*log.tail.load(Ordering::Acquire) };
        // Nobody else stores it.
        let cursor: *const Word = sync::load_own(&chunk.committed);
        self.cursor.set(cursor);
        self.end.set(chunk.words.as_ptr_range().end);
        self.committed.set(&raw const chunk.committed);
        self.bias.set(chunk.first.wrapping_sub(chunk.start().addr() as u64));
    }

    /// Forgets the log.
    pub(crate) fn detach(&self) {
        self.cursor.set(ptr::null());
        self.end.set(ptr::null());
    }

    /// Bytes that fit into the chunk.
    #[inline(always)]
    fn room(&self) -> usize {
        self.end.get().addr().wrapping_sub(self.cursor.get().addr())
    }

    /// Whether so many words fit into the chunk.
    #[inline(always)]
    pub(crate) fn has_room(&self, words: usize) -> bool {
        self.room() >= words * size_of::<Word>()
    }

    /// The position of the next word. Grows with every word written; never 0 with a log.
    #[inline(always)]
    pub(crate) fn position(&self) -> u64 {
        (self.cursor.get().addr() as u64).wrapping_add(self.bias.get())
    }

    /// The number of the range in which the next word is; 0 without a log.
    pub(crate) fn range(&self) -> u64 {
        range_of(self.position())
    }

    /// Where the next words go.
    #[inline(always)]
    pub(crate) fn space(&self) -> Space {
        Space(self.cursor.get())
    }

    /// Makes the next `words` words visible to the reader; `space` is where they are.
    ///
    /// # Safety
    /// All of them were put, there was room for them, and nothing was committed since `space` was asked for.
    #[inline(always)]
    pub(crate) unsafe fn commit(&self, space: Space, words: usize) {
        // SAFETY: by the caller's promise this is at most the end of the chunk, and the chunk is live.
        unsafe {
            let cursor = space.0.add(words);
            self.cursor.set(cursor);
            (*self.committed.get()).store(cursor.cast_mut(), Ordering::Release);
        }
    }

    /// Goes on in a new chunk that holds at least `words` words. `false`: the budget does not allow it, or there are no
    /// positions left, and nothing has changed. What is left of the old chunk stays unused.
    ///
    /// # Safety
    /// The writer is attached to `log`.
    pub(crate) unsafe fn extend(&self, log: &Log, words: usize, need: Need) -> bool {
        let old = log.tail.load(Ordering::Relaxed);
        // SAFETY: the writer's own chunk; the reader frees it only after `next` is set below.
        let full = unsafe { &*old };
        let Some(mut chunk) = Self::chunk(log, words, need) else { return false };
        let Some(first) = log.positions.after(full.end_position(), chunk.words_bytes()) else {
            log.free(Box::into_raw(chunk));
            return false;
        };
        chunk.first = first;
        let chunk = Box::into_raw(chunk);
        log.tail.store(chunk, Ordering::Release);
        // After this store the reader may free the old chunk.
        full.next.store(chunk, Ordering::Release);
        // SAFETY: the caller's promise.
        unsafe { self.attach(log) };
        true
    }

    /// A chunk with room: the one that the reader put back, else one that another log does not need, else a new one.
    fn chunk(log: &Log, words: usize, need: Need) -> Option<Box<Chunk>> {
        let spare = log.spare.swap(ptr::null_mut(), Ordering::AcqRel);
        if !spare.is_null() {
            // SAFETY: the swap made it ours; it came from `Box::into_raw`.
            let spare = unsafe { Box::from_raw(spare) };
            if spare.words.len() >= words {
                return Some(spare.renewed());
            }
            log.free(Box::into_raw(spare));
        }
        let budget = &log.budget;
        let largest = (budget.limit() / SHARE).clamp(FIRST_CHUNK, LARGE_CHUNK) / 8;
        // Twice the last one: a thread that records much seldom asks.
        let size = (log.size.load(Ordering::Relaxed) * 2).min(largest);
        let in_small_chunks = budget.limit() / IN_SMALL_CHUNKS;
        if size == LARGE_CHUNK / 8 {
            // It was a large one before: there are no more of them than before.
            if let Some(kept) = budget.kept(words) {
                log.size.store(size, Ordering::Relaxed);
                return Some(kept.renewed());
            }
        }
        let left = budget.left(Need::Start);
        let granted = if left >= in_small_chunks + Chunk::bytes_of(size) {
            log.size.store(size, Ordering::Relaxed);
            size
        } else {
            // As little for this once.
            size.min((left / SHARE).max(FIRST_CHUNK) / 8)
        };
        let granted = granted.max(words);
        budget.take(Chunk::bytes_of(granted), need).then(|| Chunk::new(granted, 0))
    }
}

/// Where a writer's next words go, kept in a register while they are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space(*const Word);

impl Space {
    /// Writes the word `at` words behind it.
    ///
    /// # Safety
    /// `at` is less than [the writer's room](Writer::has_room), and nothing was committed since.
    #[inline(always)]
    pub(crate) unsafe fn put(self, at: usize, word: u64) {
        // SAFETY: within the chunk, by the caller's promise, and not committed: the reader does not look at it.
        unsafe { (*self.0.add(at)).0.write(word) };
    }

    /// Writes a callsite's address with an event kind in its low bits.
    ///
    /// # Safety
    /// As for [`put`](Self::put).
    #[inline(always)]
    pub(crate) unsafe fn put_site(self, at: usize, site: &'static Callsite, kind: u64) {
        #[allow(clippy::cast_possible_truncation, reason = "a kind has four bits")]
        let word = ptr::from_ref(site).cast::<()>().map_addr(|address| address | kind as usize);
        // SAFETY: within the chunk, by the caller's promise, and not committed.
        unsafe { (*self.0.add(at)).0.write_pointer(word) };
    }

    /// Writes the address of a text, whose length is to be written elsewhere.
    ///
    /// # Safety
    /// As for [`put`](Self::put).
    #[inline(always)]
    pub(crate) unsafe fn put_text(self, at: usize, text: &'static str) {
        // SAFETY: within the chunk, by the caller's promise, and not committed.
        unsafe { (*self.0.add(at)).0.write_pointer(text.as_ptr().cast()) };
    }

    /// Writes bytes one after the other from word `at` on; the last word is filled up with zeros.
    ///
    /// Words are put together in a register: keys and values are short, and each call to copy a few bytes would cost more
    /// than the copy.
    ///
    /// # Safety
    /// The words they take are within [the writer's room](Writer::has_room), and nothing was committed since.
    pub(crate) unsafe fn put_bytes(self, mut at: usize, parts: [&[u8]; 2]) {
        // The bytes that do not fill a word yet, the first one lowest, and how many bits they are: fewer than 64.
        let (mut word, mut filled) = (0_u64, 0_u32);
        let mut append = |bytes: u64, bits: u32| {
            word |= bytes << filled;
            filled += bits;
            if filled >= 64 {
                // SAFETY: the caller's promise.
                unsafe { self.put(at, word.to_le()) };
                at += 1;
                filled -= 64;
                // What did not fit; a shift by all 64 bits would be none.
                word = if filled == 0 { 0 } else { bytes >> (bits - filled) };
            }
        };
        for part in parts {
            let mut words = part.chunks_exact(8);
            for bytes in &mut words {
                append(u64::from_le_bytes(bytes.try_into().unwrap_or([0; 8])), 64);
            }
            let rest = words.remainder();
            append(up_to_seven(rest), 8 * u32::try_from(rest.len()).unwrap_or(0));
        }
        if filled > 0 {
            // SAFETY: the caller's promise.
            unsafe { self.put(at, word.to_le()) };
        }
    }

    /// The same with bytes that stand alone.
    ///
    /// # Safety
    /// As for `put_bytes`.
    #[inline]
    pub(crate) unsafe fn put_short(self, mut at: usize, bytes: &[u8]) {
        let words = bytes.chunks_exact(8);
        let rest = words.remainder();
        for word in words {
            // SAFETY: the caller's promise.
            unsafe { self.put(at, u64::from_ne_bytes(word.try_into().unwrap_or([0; 8]))) };
            at += 1;
        }
        if !rest.is_empty() {
            // SAFETY: the caller's promise.
            unsafe { self.put(at, up_to_seven(rest).to_le()) };
        }
    }
}

/// Up to seven bytes as a number, the first one lowest, with zeros above.
#[inline]
pub(crate) fn up_to_seven(bytes: &[u8]) -> u64 {
    match *bytes {
        [] => 0,
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c] => u64::from(u32::from_le_bytes([a, b, c, 0])),
        _ => {
            // Two halves that may overlap, with the same bytes where they do.
            let half = |bytes: Option<&[u8; 4]>| u64::from(bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes)));
            half(bytes.first_chunk()) | half(bytes.last_chunk()) << (8 * (bytes.len() - 4))
        }
    }
}

/// Committed words of one chunk.
#[derive(Debug)]
pub(crate) struct Words {
    start: *const Word,
    len: usize,
}

impl Words {
    /// A word; 0 beyond the committed ones.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> u64 {
        if at >= self.len {
            debug_assert!(false, "an event reaches beyond what is committed");
            return 0;
        }
        // SAFETY: committed words were written before the commit that the reader saw, and are never written again.
        unsafe { (*self.start.add(at)).0.read() }
    }

    /// So many bytes that [`Space::put_bytes`] wrote from word `at` on, where they are.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn bytes<'a>(&'a self, at: usize, len: usize, _: &'a mut Vec<u8>) -> &'a [u8] {
        if at + len.div_ceil(size_of::<Word>()) > self.len {
            debug_assert!(false, "an event reaches beyond what is committed");
            return &[];
        }
        // SAFETY: as for `get`, for each of the words; the writer put them there in the order of the bytes.
        unsafe { std::slice::from_raw_parts(self.start.add(at).cast::<u8>(), len) }
    }

    /// The same in loom's model, whose words are not bytes: a copy in `scratch`.
    #[cfg(loom)]
    pub(crate) fn bytes<'a>(&'a self, at: usize, len: usize, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        scratch.clear();
        for n in 0..len.div_ceil(8) {
            scratch.extend_from_slice(&self.get(at + n).to_ne_bytes());
        }
        scratch.truncate(len);
        scratch
    }

    /// The text of this length whose address stands in a word.
    pub(crate) fn text(&self, at: usize, len: usize) -> &'static str {
        assert!(at < self.len, "an event reaches beyond what is committed");
        // SAFETY: as for `get`; the word was written by `put_text`, from a `&'static str` of this length.
        unsafe {
            let start = (*self.start.add(at)).0.read_pointer().cast::<u8>();
            std::str::from_utf8_unchecked(std::slice::from_raw_parts(start, len))
        }
    }

    /// The callsite whose address stands in a word, without its kind bits.
    pub(crate) fn site(&self, at: usize) -> &'static Callsite {
        assert!(at < self.len, "an event reaches beyond what is committed");
        // SAFETY: as for `get`; the word was written by `put_site`, from a `&'static Callsite`.
        unsafe {
            let word = (*self.start.add(at)).0.read_pointer();
            #[allow(clippy::cast_possible_truncation, reason = "a kind has four bits")]
            let mask = !(super::event::kind::MASK as usize);
            &*word.map_addr(|address| address & mask).cast::<Callsite>()
        }
    }
}

/// How far a log was written at some moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    chunk: *const Chunk,
    committed: *const Word,
    generation: usize,
}

impl Tail {
    /// Which of the log's threads had ended at that moment, and written all of this; `None` while one writes. Never 0, and
    /// another one for each thread.
    pub(crate) fn ended(&self) -> Option<usize> {
        is_closed(self.generation).then_some(self.generation)
    }
}

/// The reading end. There is one per log.
#[derive(Debug)]
pub(crate) struct Reader {
    log: Arc<Log>,
    at: usize,
}

// SAFETY: a reader is used by one thread at a time (`&mut`), and what it reads was published by the writer.
unsafe impl Send for Reader {}
// SAFETY: chunks are shared between writer and reader by the protocol of this file.
unsafe impl Send for Log {}
// SAFETY: as above.
unsafe impl Sync for Log {}

impl Reader {
    /// A reader at the beginning of a log that nobody has read.
    pub(crate) const fn new(log: Arc<Log>) -> Self {
        Self { log, at: 0 }
    }

    /// The log.
    pub(crate) const fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// How far the log is written now.
    pub(crate) fn tail(&self) -> Tail {
        // Before the rest: what the thread wrote before it closed the log is visible then.
        let generation = self.log.generation.load(Ordering::Acquire);
        let mut chunk = self.log.head.load(Ordering::Acquire);
        loop {
            // SAFETY: from `head` on the chain is live: only this reader frees.
            unsafe {
                let next = (*chunk).next.load(Ordering::Acquire);
                if next.is_null() {
                    return Tail { chunk, committed: (*chunk).committed.load(Ordering::Acquire), generation };
                }
                chunk = next;
            }
        }
    }

    /// Reads exactly to `tail`. `each` gets the words, where an event starts and its position, and gives the event's
    /// length in words. Chunks that were read are given back. Tells whether anything was read.
    pub(crate) fn read_to(&mut self, tail: &Tail, mut each: impl FnMut(&Words, usize, u64) -> usize) -> bool {
        let mut any = false;
        loop {
            let chunk = self.log.head.load(Ordering::Acquire);
            // SAFETY: `head` is live; only this reader frees.
            let shared = unsafe { &*chunk };
            let is_last = ptr::eq(chunk, tail.chunk);
            // Read before `committed`: when there is a next chunk the commit seen afterwards is the last one.
            let next = shared.next.load(Ordering::Acquire);
            let end = if is_last { tail.committed } else { shared.committed.load(Ordering::Acquire).cast_const() };
            let start = shared.start();
            let words = Words { start, len: (end.addr() - start.addr()) / size_of::<Word>() };
            while self.at < words.len {
                any = true;
                let position = shared.first + (self.at * size_of::<Word>()) as u64;
                self.at += each(&words, self.at, position).max(1);
            }
            if is_last || next.is_null() {
                return any;
            }
            self.log.head.store(next, Ordering::Release);
            self.at = 0;
            self.recycle(chunk);
        }
    }

    /// Puts a chunk that was read where the writer finds it, unless it is small or there is one already.
    fn recycle(&self, chunk: *mut Chunk) {
        // SAFETY: the writer has moved on and `head` is behind it: it is ours alone.
        let large = unsafe { &*chunk }.words.len() >= LARGE_CHUNK / 8;
        let keep = large
            && self.log.spare.compare_exchange(ptr::null_mut(), chunk, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if keep {
            return;
        }
        if !large {
            return self.log.free(chunk);
        }
        // SAFETY: it came from `Box::into_raw`, and is ours alone.
        if let Some(chunk) = self.log.budget.keep(unsafe { Box::from_raw(chunk) }) {
            self.log.free(Box::into_raw(chunk));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

/// For the thread sanitizer, which sees atomics and memory of this crate, and nothing of the standard library:
/// `scripts/sanitize thread`.
#[cfg(all(test, not(loom)))]
mod sanitize;

/// `RUSTFLAGS="--cfg loom" cargo test -p traced-runtime --release --lib loom`
#[cfg(all(test, loom))]
mod loom_model;
