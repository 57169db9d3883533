//! An annotated function behaves as its twin without the attribute does: locations, auto traits, sizes, panics,
//! and what is evaluated when. The order of drops has a file of its own.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{Location, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use traced_runtime::testing::Tracer;
use traced_runtime::traced;

/// The functions twice: as they are, and with the attribute.
macro_rules! twins {
    ($($function:item)*) => {
        mod plain {
            #![allow(clippy::manual_async_fn, reason = "a shape of its own")]
            #[allow(unused_imports, reason = "not by all")] use super::*; $($function)* }
        mod spanned { #[allow(unused_imports, reason = "not by all")] use super::*; $(#[traced] $function)* }
    };
}

async fn tick() {
    tokio::task::yield_now().await;
}

fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(out) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return out;
        }
    }
}

mod locations {
    use super::*;

    twins! {
        #[track_caller]
        pub(super) fn unit() -> u32 { Location::caller().line() }

        #[track_caller]
        pub(super) fn result() -> Result<u32, String> { Ok(Location::caller().line()) }

        #[track_caller]
        pub(super) fn future() -> impl Future<Output = u32> {
            let line = Location::caller().line();
            async move { line }
        }

        #[track_caller]
        pub(super) fn boxed(text: &str) -> Pin<Box<dyn Future<Output = u32> + '_>> {
            let line = Location::caller().line();
            Box::pin(async move {
                if text.is_empty() {
                    return line;
                }
                line + 1
            })
        }
    }

    #[rustfmt::skip]
    #[test]
    fn track_caller_sees_the_caller() {
        assert_eq!((plain::unit(), line!()), (spanned::unit(), line!()));
        assert_eq!((plain::result(), line!()), (spanned::result(), line!()));
        assert_eq!(plain::result(), Ok(line!()));
        assert_eq!((now(plain::boxed("")), line!()), (now(spanned::boxed("")), line!()));
        assert_eq!((now(plain::future()), line!()), (now(spanned::future()), line!()));
    }
}

mod panics {
    use super::*;

    /// The place of a panic, as the hook is told it.
    fn place<R>(run: impl FnOnce() -> R + std::panic::UnwindSafe) -> (u32, u32) {
        thread_local! {
            static PLACE: RefCell<(u32, u32)> = const { RefCell::new((0, 0)) };
        }
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(|info| {
            PLACE.with_borrow_mut(|place| {
                *place = info.location().map_or((0, 0), |place| (place.line(), place.column()))
            });
        }));
        let panicked = catch_unwind(run).is_err();
        std::panic::set_hook(earlier);
        assert!(panicked);
        PLACE.with_borrow(|place| *place)
    }

    twins! {
        pub(super) fn unwraps(value: Option<u8>) -> u8 { value.expect("some") }

        pub(super) fn unwraps_result(value: Option<u8>) -> Result<u8, String> { Ok(value.expect("some")) }

        pub(super) async fn unwraps_async(value: Option<u8>) -> u8 { tick().await; value.expect("some") }
    }

    /// One test for all: the hook is the process's.
    #[test]
    fn are_where_they_are() {
        assert_eq!(place(|| spanned::unwraps(None)), place(|| plain::unwraps(None)));
        assert_eq!(place(|| spanned::unwraps_result(None)), place(|| plain::unwraps_result(None)));
        assert_eq!(place(|| now(spanned::unwraps_async(None))), place(|| now(plain::unwraps_async(None))));
    }
}

mod auto_traits {
    use std::marker::PhantomPinned;
    use std::rc::Rc;

    use super::*;

    /// Whether a bound holds of a value: the compiler takes the method that needs more references first.
    macro_rules! holds {
        ($bound:ident of $value:expr) => {{
            struct Probe<T>(T);
            #[allow(dead_code, reason = "one of the two is not called")]
            trait Yes {
                fn holds(&self) -> bool;
            }
            impl<T: $bound> Yes for &Probe<T> {
                fn holds(&self) -> bool {
                    let _ = &self.0;
                    true
                }
            }
            #[allow(dead_code, reason = "one of the two is not called")]
            trait No {
                fn holds(&self) -> bool;
            }
            impl<T> No for Probe<T> {
                fn holds(&self) -> bool {
                    let _ = &self.0;
                    false
                }
            }
            (&&Probe($value)).holds()
        }};
    }

    macro_rules! same {
        ($($function:ident $arguments:tt: $send:literal $sync:literal)*) => {
            $(
                let expected = ($send, $sync, false);
                assert_eq!(
                    (
                        holds!(Send of plain::$function $arguments),
                        holds!(Sync of plain::$function $arguments),
                        holds!(Unpin of plain::$function $arguments),
                    ),
                    expected,
                );
                assert_eq!(
                    (
                        holds!(Send of spanned::$function $arguments),
                        holds!(Sync of spanned::$function $arguments),
                        holds!(Unpin of spanned::$function $arguments),
                    ),
                    expected,
                );
            )*
        };
    }

    twins! {
        pub(super) async fn both(bytes: Vec<u8>) -> usize { tick().await; bytes.len() }
        pub(super) async fn not_send(shared: Rc<u8>) -> u8 { tick().await; *shared }
        pub(super) async fn not_send_unused(_: Rc<u8>) {}
        pub(super) async fn not_send_inside() -> u8 { let shared = Rc::new(1); tick().await; *shared }
        pub(super) async fn not_send_returned() -> Rc<u8> { Rc::new(1) }
        pub(super) async fn not_sync(cell: RefCell<u8>) -> u8 { tick().await; cell.into_inner() }
        pub(super) async fn pinned(_pinned: PhantomPinned) {}
        pub(super) fn opaque(shared: Rc<u8>) -> impl Future<Output = u8> { std::future::ready(*shared) }
        pub(super) fn opaque_kept(shared: Rc<u8>) -> impl Future<Output = u8> { let kept = shared; async move { *kept } }
        pub(super) async fn borrowing<'a>(text: &'a str, _other: &str) -> &'a str { tick().await; text }
    }

    #[test]
    fn are_those_of_the_twin() {
        same! {
            both(Vec::new()): true true
            not_send(Rc::new(1)): false false
            not_send_unused(Rc::new(1)): false false
            not_send_inside(): false false
            not_send_returned(): true true
            not_sync(RefCell::new(1)): true false
            pinned(PhantomPinned): true true
            opaque_kept(Rc::new(1)): false false
        }
        // What the body returns decides, not what it was given.
        assert!(holds!(Send of spanned::opaque(Rc::new(1))));
        assert!(holds!(Send of plain::opaque(Rc::new(1))));
        let text = String::from("kept");
        let kept = now(spanned::borrowing(&text, &String::from("short")));
        assert_eq!(kept, now(plain::borrowing(&text, "")));
    }
}

mod sizes {
    use super::*;

    twins! {
        pub(super) async fn none() -> u8 { tick().await; 1 }
        pub(super) async fn few(byte: u8, text: String) -> usize { tick().await; text.len() + usize::from(byte) }
        pub(super) async fn unused(_: String, _text: String) { tick().await; }
        pub(super) async fn large(bytes: [u8; 1024]) -> u8 { tick().await; bytes[0] }
        pub(super) async fn nested(number: u64) -> u64 { second(number).await }
        pub(super) async fn second(number: u64) -> u64 { third(number).await }
        pub(super) async fn third(number: u64) -> u64 { fourth(number).await }
        pub(super) async fn fourth(number: u64) -> u64 { fifth(number).await }
        pub(super) async fn fifth(number: u64) -> u64 { tick().await; number }
    }

    mod kept_async {
        use super::*;

        #[traced]
        #[must_use]
        pub(super) async fn few(byte: u8, text: String) -> usize {
            tick().await;
            text.len() + usize::from(byte)
        }

        #[traced]
        #[must_use]
        pub(super) async fn large(bytes: [u8; 1024]) -> u8 {
            tick().await;
            bytes[0]
        }
    }

    /// Bytes, on a machine of 64 bits.
    #[test]
    fn futures_grow_by_96_bytes_for_each_attribute() {
        macro_rules! added {
            ($module:ident::$function:ident $arguments:tt) => {
                size_of_val(&$module::$function $arguments) - size_of_val(&plain::$function $arguments)
            };
        }
        assert_eq!(added!(spanned::none()), 96);
        assert_eq!(added!(spanned::few(1, String::new())), 96);
        assert_eq!(added!(spanned::unused(String::new(), String::new())), 96);
        assert_eq!(added!(spanned::large([0; 1024])), 96);
        assert_eq!(added!(spanned::fifth(1)), 96);
        assert_eq!(added!(spanned::nested(1)), 5 * 96);
        // Where another attribute keeps the `async fn`, it holds the arguments itself, and the body's future does, too.
        assert_eq!(added!(kept_async::few(1, String::new())), 128);
        assert_eq!(added!(kept_async::large([0; 1024])), 104 + 1024);
    }
}

mod evaluation {
    use std::fmt;

    use super::*;

    thread_local! {
        static SEEN: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    }

    fn see(what: &'static str) -> &'static str {
        SEEN.with_borrow_mut(|seen| seen.push(what));
        what
    }

    fn seen(run: impl FnOnce()) -> Vec<&'static str> {
        SEEN.take();
        run();
        SEEN.take()
    }

    struct Seen(&'static str);

    impl fmt::Display for Seen {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(see(self.0))
        }
    }

    impl fmt::Debug for Seen {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(see(self.0))
        }
    }

    /// One option of every kind that runs code of the user's.
    macro_rules! options {
        ($($function:item)*) => {
            $(
                #[traced(
                    tags(first = see("first"), second = %Seen("second"), third = ?Seen("third")),
                    parent = { see("parent"); None::<traced_runtime::Context> },
                    ret
                )]
                $function
            )*
        };
    }

    options! {
        fn statement() { see("body"); }

        fn fails() -> Result<Seen, Seen> { see("body"); Err(Seen("error")) }

        fn succeeds() -> Result<Seen, Seen> { see("body"); Ok(Seen("value")) }

        async fn succeeds_async() -> Result<Seen, Seen> { see("body"); tick().await; see("more"); Ok(Seen("value")) }

        fn future() -> impl Future<Output = Result<Seen, Seen>> { see("body"); async { see("more"); Err(Seen("error")) } }
    }

    #[test]
    fn happens_once_and_in_the_order_it_is_written() {
        let tracer = Tracer::new();
        let run = |function: fn()| seen(|| tracer.run(function));
        let tags = ["parent", "first", "second", "third", "body"];
        assert_eq!(run(|| drop(fails())), [&tags[..], &["error"]].concat());
        assert_eq!(run(|| drop(succeeds())), [&tags[..], &["value"]].concat());
        assert_eq!(run(|| drop(now(succeeds_async()))), [&tags[..], &["more", "value"]].concat());
        assert_eq!(run(|| drop(now(future()))), [&tags[..], &["more", "error"]].concat());
        assert_eq!(run(statement), tags);
    }

    #[test]
    fn does_not_happen_where_nothing_records() {
        assert_eq!(seen(|| drop(fails())), ["parent", "body"]);
        assert_eq!(seen(|| drop(now(succeeds_async()))), ["parent", "body", "more"]);
        assert_eq!(seen(|| drop(now(future()))), ["parent", "body", "more"]);
    }
}

mod recursion {
    use super::*;

    twins! {
        pub(super) fn sum(number: u32) -> u32 { if number == 0 { 0 } else { number + sum(number - 1) } }

        pub(super) fn checked(number: u32) -> Result<u32, String> {
            if number == 0 { Ok(0) } else { Ok(number + checked(number - 1)?) }
        }

        pub(super) async fn boxed(number: u32) -> u32 {
            if number == 0 { 0 } else { number + Box::pin(boxed(number - 1)).await }
        }

        pub(super) fn returned(number: u32) -> Pin<Box<dyn Future<Output = u32>>> {
            Box::pin(async move { if number == 0 { 0 } else { number + returned(number - 1).await } })
        }
    }

    #[test]
    fn gives_the_same_and_a_span_each() {
        let tracer = Tracer::new();
        tracer.run(|| {
            assert_eq!(spanned::sum(3), plain::sum(3));
            assert_eq!(spanned::checked(3), plain::checked(3));
            assert_eq!(now(spanned::boxed(3)), now(plain::boxed(3)));
            assert_eq!(now(spanned::returned(3)), now(plain::returned(3)));
        });
        assert_eq!(tracer.spans().len(), 4 * 4);
        // Deeper than the recorder keeps a stack of.
        tracer.run(|| assert_eq!(spanned::sum(5000), plain::sum(5000)));
    }
}
