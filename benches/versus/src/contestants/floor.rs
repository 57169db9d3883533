//! The least that tracing could cost, as measures of the machine.
//!
//! F1 is what a span cannot do without: two reads of the time stamp counter and a record of 32 bytes, in a buffer that
//! belongs to the thread. F4 is what a call cannot do without when there is nothing to record: a thread-local load and a
//! branch. Neither has contexts, parents across threads, or a reader.

use std::cell::Cell;
use std::fmt::Write;
use std::hint::black_box;

use super::{Arrived, Contestant, Version};
use crate::executor::{block_on, yield_once};
use crate::scenario::{CHILDREN, Scenario};

/// Words of the ring: 64 KiB, which stays in the second cache as a log does whose reader keeps up.
const WORDS: usize = 8 << 10;

/// Words left in the ring when it starts again at its beginning; no record with its tags is longer.
const MARGIN: usize = 32;

thread_local! {
    static CURSOR: Cell<usize> = const { Cell::new(0) };
    static WRITE: Cell<*mut u64> = const { Cell::new(std::ptr::null_mut()) };
    static PARENT: Cell<u64> = const { Cell::new(0) };
    static STATE: Cell<u8> = const { Cell::new(0) };
}

#[inline(always)]
fn tsc() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86_64 processor has the instruction.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    compile_error!("the floor is made of reads of the time stamp counter")
}

/// Space for so many words.
#[inline(always)]
fn take(words: usize) -> *mut u64 {
    let at = CURSOR.get();
    CURSOR.set(if at + words > WORDS - MARGIN { 0 } else { at + words });
    // SAFETY: `ring` has set the pointer to WORDS words, and `at` is below the margin, which is longer than any record.
    unsafe { WRITE.get().add(at) }
}

fn ring() {
    WRITE.set(vec![0; WORDS].leak().as_mut_ptr());
}

/// From here to the end of the scope.
struct Span {
    name: &'static str,
    start: u64,
}

impl Span {
    #[inline(always)]
    fn start(name: &'static str) -> Self {
        Self { name, start: tsc() }
    }
}

impl Drop for Span {
    #[inline(always)]
    fn drop(&mut self) {
        let record = take(4);
        // SAFETY: four words were taken.
        unsafe {
            *record = self.name.as_ptr().addr() as u64;
            *record.add(1) = self.start;
            *record.add(2) = PARENT.get();
            *record.add(3) = tsc();
        }
    }
}

#[inline(never)]
fn child(n: u32) -> u32 {
    let _span = Span::start("child");
    black_box(n)
}

#[inline(never)]
fn root(children: u32) {
    let _span = Span::start("root");
    for n in 0..children {
        child(n);
    }
}

/// Bytes of a formatted value, in the ring.
struct Text {
    at: *mut u8,
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        // SAFETY: the longest text of a version has 21 bytes; eight words were left for it.
        unsafe { self.at.add(self.len).copy_from_nonoverlapping(text.as_ptr(), text.len()) };
        self.len += text.len();
        Ok(())
    }
}

#[inline(never)]
fn tagged_child(n: u32, kind: &'static str, version: Version) -> u32 {
    let _span = Span::start("child");
    let record = take(12);
    // SAFETY: twelve words were taken: a number, a string by address and length, a length and eight words of text.
    unsafe {
        *record = u64::from(n);
        *record.add(1) = kind.as_ptr().addr() as u64;
        *record.add(2) = kind.len() as u64;
        let mut text = Text { at: record.add(4).cast(), len: 0 };
        let _ = write!(text, "{version}");
        *record.add(3) = text.len as u64;
    }
    black_box(n)
}

#[inline(never)]
fn tagged_root() {
    let _span = Span::start("root");
    for n in 0..CHILDREN {
        tagged_child(n, "cart", Version(n, 7));
    }
}

async fn async_child(n: u32) -> u32 {
    let _span = Span::start("child");
    yield_once().await;
    black_box(n)
}

async fn async_root() {
    let _span = Span::start("root");
    for n in 0..CHILDREN {
        async_child(n).await;
    }
}

fn repeat(traces: u32, trace: impl Fn()) {
    for _ in 0..traces {
        trace();
    }
}

/// F1: two clock reads and a record of 32 bytes.
pub fn f1(scenario: Scenario) -> Option<Contestant> {
    let run: fn(u32) = match scenario {
        Scenario::SyncChild => |traces| repeat(traces, || root(CHILDREN)),
        Scenario::RootAndChild => |traces| repeat(traces, || root(1)),
        Scenario::AsyncChild => |traces| repeat(traces, || block_on(async_root())),
        Scenario::Tags => |traces| repeat(traces, tagged_root),
        Scenario::Unsampled | Scenario::Off => return None,
    };
    ring();
    Some(nothing_arrives(run))
}

#[cold]
#[inline(never)]
fn record() {
    black_box(());
}

#[inline(never)]
fn empty_child(n: u32) -> u32 {
    if STATE.get() != 0 {
        record();
    }
    black_box(n)
}

#[inline(never)]
fn empty_root() {
    if STATE.get() != 0 {
        record();
    }
    for n in 0..CHILDREN {
        empty_child(n);
    }
}

/// F4: a thread-local load and a branch.
pub fn f4(scenario: Scenario) -> Option<Contestant> {
    match scenario {
        Scenario::Unsampled | Scenario::Off => Some(nothing_arrives(|traces| repeat(traces, empty_root))),
        _ => None,
    }
}

fn nothing_arrives(run: fn(u32)) -> Contestant {
    Contestant { run, settle: || {}, finish: Box::new(Arrived::default) }
}
