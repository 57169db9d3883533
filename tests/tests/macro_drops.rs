//! Arguments and temporaries drop in the same order with the attribute as without it.

#![expect(unused_variables, reason = "arguments that nothing uses drop, too")]
#![allow(clippy::double_must_use, reason = "an attribute that makes the body of an async function be wrapped")]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use traced_runtime::testing::Tracer;

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

/// The functions several times: as they are, and with the attribute in its forms.
macro_rules! each {
    ($({ $($function:tt)* })*) => {
        mod plain { use super::*; $($($function)*)* }
        mod spanned { use super::*; $(#[traced_runtime::traced] $($function)*)* }
        mod optioned { use super::*; $(#[traced_runtime::traced(tags(one = 1_u8), ret, root)] $($function)*)* }
        mod wrapped { use super::*; $(#[traced_runtime::traced] #[must_use] $($function)*)* }
    };
}

each! {
    { pub(super) fn sync(a: D, _: D, (b, _, c): (D, D, D), mut d: D) -> Result<u32, String> {
        let _local = D('l');
        d.0 = 'd';
        let moved = b;
        c.number()?;
        drop(moved.number());
        c.temporary().number()
    } }
    { pub(super) fn statement(a: D, _: D, (b, _, c): (D, D, D), d: D) -> u32 {
        let _local = D('l');
        a.temporary().number().unwrap_or(0)
    } }
    { pub(super) fn shadows(a: D, _x: D, (ref b, _, c): (D, D, D), d @ D(_): D) -> Result<u32, String> {
        let a = D('x');
        let c = (D('y'), c.number()?);
        b.temporary().number()
    } }
    { pub(super) fn panics(a: D, _: D, (b, _, c): (D, D, D), d: D) -> Result<u32, String> {
        let _local = D('l');
        drop(b);
        resume_unwind(Box::new(a.temporary().0.0))
    } }
    { pub(super) async fn asynchronous(a: D, _: D, (b, _, c): (D, D, D), mut d: D) -> Result<u32, String> {
        let _local = D('l');
        d.0 = 'd';
        Pending(Cell::new(true)).await;
        let moved = b;
        c.number()?;
        drop(moved.number());
        c.temporary().number()
    } }
    { pub(super) async fn shadows_async(a: D, _x: D, (ref b, _, c): (D, D, D), d @ D(_): D) -> Result<u32, String> {
        let a = D('x');
        Pending(Cell::new(true)).await;
        let c = (D('y'), c.number()?);
        b.temporary().number()
    } }
    { pub(super) async fn panics_async(a: D, _: D, (b, _, c): (D, D, D), d: D) -> Result<u32, String> {
        let _local = D('l');
        drop(b);
        Pending(Cell::new(true)).await;
        resume_unwind(Box::new(a.temporary().0.0))
    } }
    { pub(super) async fn unused_async(a: D, _: D, (b, _, c): (D, D, D), d: D) -> u8 { 1 } }
    { pub(super) fn boxed(a: D, _: D, (b, _, c): (D, D, D), d: D) -> Pin<Box<dyn Future<Output = Result<u32, String>>>> {
        let _local = D('l');
        Box::pin(async move {
            Pending(Cell::new(true)).await;
            drop(d);
            b.temporary().number()
        })
    } }
    { pub(super) fn opaque(a: D, _: D, (b, _, c): (D, D, D), d: D) -> impl Future<Output = Result<u32, String>> {
        let _local = D('l');
        async move {
            Pending(Cell::new(true)).await;
            drop(d);
            let moved = b;
            a.temporary().number()
        }
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

fn by<R>(run: impl FnOnce() -> R) -> String {
    drop(dropped());
    let result = catch_unwind(AssertUnwindSafe(|| drop(run())));
    format!("{}{}", dropped(), if result.is_err() { " panicked" } else { "" })
}

fn dropped() -> String {
    DROPPED.with_borrow_mut(std::mem::take)
}

/// What drops when `spanned` runs, with and without a tracer, is what drops when `plain` does.
#[track_caller]
fn assert_same<R, S>(spanned: impl Fn() -> R, plain: impl Fn() -> S) {
    let expected = by(plain);
    assert_eq!(by(&spanned), expected);
    let tracer = Tracer::new();
    assert_eq!(tracer.run(|| by(&spanned)), expected);
    tracer.run(|| drop(by(&spanned)));
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

/// Calls a function of each module; the letter of `c` says whether it fails.
macro_rules! call {
    ($($function:ident)::+, $c:expr) => {
        $($function)::+(D('a'), D('_'), (D('b'), D('p'), D($c)), D('d'))
    };
}

#[test]
fn sync_functions() {
    macro_rules! check {
        ($($function:ident)*) => {
            for c in ['c', '!'] {
                $(
                    assert_same(|| call!(spanned::$function, c), || call!(plain::$function, c));
                    assert_same(|| call!(optioned::$function, c), || call!(plain::$function, c));
                    assert_same(|| call!(wrapped::$function, c), || call!(plain::$function, c));
                )*
            }
        };
    }
    check!(sync statement shadows panics);
    assert_same(|| Spanned(Own(D('s'))).by_value(D('o')), || Plain(Own(D('s'))).by_value(D('o')));
}

#[test]
fn futures_completed_cancelled_and_never_polled() {
    macro_rules! check {
        ($polls:ident, $($function:ident)*) => {
            for c in ['c', '!'] {
                $(
                    let plain = || poll($polls, call!(plain::$function, c));
                    assert_same(|| poll($polls, call!(spanned::$function, c)), plain);
                    assert_same(|| poll($polls, call!(optioned::$function, c)), plain);
                    assert_same(|| poll($polls, call!(wrapped::$function, c)), plain);
                )*
            }
        };
    }
    for polls in 0..3 {
        check!(polls, asynchronous shadows_async panics_async unused_async boxed opaque);
        macro_rules! method {
            ($function:ident $arguments:tt) => {
                assert_same(
                    || poll(polls, Spanned(Own(D('s'))).$function $arguments),
                    || poll(polls, Plain(Own(D('s'))).$function $arguments),
                );
            };
        }
        method!(by_value_async(D('o')));
        method!(partly(D('o')));
        method!(wrapped(D('p'), D('o')));
    }
}
