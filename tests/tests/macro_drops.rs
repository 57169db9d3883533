//! Arguments and temporaries drop in the same order with the attribute as without it.

#![expect(unused_variables, reason = "arguments that nothing uses drop, too")]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

thread_local! {
    static DROPPED: RefCell<String> = const { RefCell::new(String::new()) };
}

struct D(char);

impl D {
    fn number(&self) -> Result<u32, String> {
        if self.0 == '!' { Err("asked to".to_owned()) } else { Ok(u32::from(self.0)) }
    }

    /// A value that lives as long as the statement it is in.
    fn temporary(&self) -> T<'_> {
        T(self)
    }
}

impl Drop for D {
    fn drop(&mut self) {
        DROPPED.with_borrow_mut(|dropped| dropped.push(self.0));
    }
}

struct T<'a>(&'a D);

impl T<'_> {
    fn number(&self) -> Result<u32, String> {
        self.0.number()
    }
}

impl Drop for T<'_> {
    fn drop(&mut self) {
        DROPPED.with_borrow_mut(|dropped| dropped.push(self.0.0.to_ascii_uppercase()));
    }
}

struct Pending(Cell<bool>);

impl Future for Pending {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.replace(false) { Poll::Pending } else { Poll::Ready(()) }
    }
}

/// The functions twice, one after the other: as they are, and with the attribute.
macro_rules! twice {
    ($({ $($function:tt)* })*) => {
        mod plain { #[allow(unused_imports, reason = "not by all")] use super::*; $($($function)*)* }
        mod spanned {
            #[allow(unused_imports, reason = "not by all")] use super::*;
            $(#[traced_runtime::traced] $($function)*)*
        }
    };
}

twice! {
    { pub(super) fn sync(a: D, _: D, (b, _, c): (D, D, D), mut d: D) -> Result<u32, String> {
        let _local = D('l');
        d.0 = 'd';
        let moved = b;
        c.number()?;
        moved.temporary().number()
    } }
    { pub(super) fn statement(a: D, _: D, (b, _, c): (D, D, D), d: D) -> u32 {
        let _local = D('l');
        a.temporary().number().unwrap_or(0)
    } }
    { pub(super) async fn asynchronous(a: D, _: D, (b, _, c): (D, D, D), mut d: D) -> Result<u32, String> {
        let _local = D('l');
        d.0 = 'd';
        Pending(Cell::new(true)).await;
        let moved = b;
        c.number()?;
        moved.temporary().number()
    } }
    { pub(super) fn boxed(a: D, _: D, (b, _, c): (D, D, D), d: D) -> Pin<Box<dyn Future<Output = Result<u32, String>>>> {
        let _local = D('l');
        Box::pin(async move {
            Pending(Cell::new(true)).await;
            drop(d);
            b.temporary().number()
        })
    } }
}

struct Own(D);

macro_rules! methods {
    ($ty:ident, $(#[$attr:meta])*) => {
        struct $ty(Own);
        impl $ty {
            $(#[$attr])* fn by_value(self, other: D) -> Result<u32, String> { other.number() }
            $(#[$attr])* async fn by_value_async(self, other: D) -> Result<u32, String> { other.number() }
            $(#[$attr])* async fn partly(self, other: D) -> u32 { let _taken = self.0.0; drop(other); 1 }
            $(#[$attr])* #[must_use] async fn wrapped(self, _: D, other: D) -> u32 { let _own = &other; 1 }
        }
    };
}

methods!(Plain,);
methods!(Spanned, #[traced_runtime::traced]);

fn dropped() -> String {
    DROPPED.with_borrow_mut(std::mem::take)
}

fn by<R>(run: impl FnOnce() -> R) -> String {
    drop(dropped());
    drop(run());
    dropped()
}

/// Polls at most `polls` times, then drops.
fn poll<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(out) = future.as_mut().poll(&mut context) {
            return Some(out);
        }
    }
    None
}

/// Arguments of the functions above; the letter of `c` says whether it fails.
macro_rules! call {
    ($($function:ident)::+, $c:literal) => {
        $($function)::+(D('a'), D('_'), (D('b'), D('p'), D($c)), D('d'))
    };
}

#[test]
fn sync_functions() {
    assert_eq!(by(|| call!(spanned::sync, 'c')), by(|| call!(plain::sync, 'c')));
    assert_eq!(by(|| call!(spanned::sync, '!')), by(|| call!(plain::sync, '!')));
    assert_eq!(by(|| call!(spanned::statement, 'c')), by(|| call!(plain::statement, 'c')));
    assert_eq!(by(|| Spanned(Own(D('s'))).by_value(D('o'))), by(|| Plain(Own(D('s'))).by_value(D('o'))));
}

#[test]
fn async_functions_completed_cancelled_and_never_polled() {
    for polls in 0..3 {
        for fails in [false, true] {
            let run = |spanned: bool| match (spanned, fails) {
                (false, false) => by(|| poll(polls, call!(plain::asynchronous, 'c'))),
                (false, true) => by(|| poll(polls, call!(plain::asynchronous, '!'))),
                (true, false) => by(|| poll(polls, call!(spanned::asynchronous, 'c'))),
                (true, true) => by(|| poll(polls, call!(spanned::asynchronous, '!'))),
            };
            assert_eq!(run(true), run(false), "{polls} polls, fails: {fails}");
        }
        assert_eq!(
            by(|| poll(polls, Spanned(Own(D('s'))).by_value_async(D('o')))),
            by(|| poll(polls, Plain(Own(D('s'))).by_value_async(D('o')))),
        );
        assert_eq!(
            by(|| poll(polls, Spanned(Own(D('s'))).partly(D('o')))),
            by(|| poll(polls, Plain(Own(D('s'))).partly(D('o')))),
        );
        assert_eq!(
            by(|| poll(polls, Spanned(Own(D('s'))).wrapped(D('p'), D('o')))),
            by(|| poll(polls, Plain(Own(D('s'))).wrapped(D('p'), D('o')))),
        );
    }
}

#[test]
fn functions_that_return_a_future() {
    for polls in 0..3 {
        assert_eq!(
            by(|| poll(polls, call!(spanned::boxed, 'c'))),
            by(|| poll(polls, call!(plain::boxed, 'c'))),
            "{polls}"
        );
    }
}
