//! Spans and contexts of futures and streams, whoever polls them.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{self, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use traced_runtime::{Context, InContext, Outcome, Span, span, tag, traced};
use traced_tests::{Checked, now};

#[traced]
fn leaf() {}

#[traced]
async fn leaf_async() {
    yields(1).await;
    leaf();
}

/// Is pending so many times.
async fn yields(times: u32) {
    for _ in 0..times {
        let mut first = true;
        std::future::poll_fn(|task| {
            task.waker().wake_by_ref();
            if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut task::Context::from_waker(Waker::noop()))
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

fn multi_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime")
}

mod polls {
    use super::*;

    #[traced]
    async fn outer() {
        leaf();
        yields(2).await;
        leaf_async().await;
        leaf();
    }

    #[test]
    fn swap_the_context_in_and_out() {
        let tracer = Checked::new();
        tracer.run(|| {
            let _caller = span!("caller");
            let caller = Context::current();
            let mut future = pin!(outer());
            while poll(future.as_mut()).is_pending() {
                assert_eq!(Context::current(), caller);
                leaf();
            }
            assert_eq!(Context::current(), caller);
        });
        tracer.assert_tree(
            "
            caller
            ├─ outer
            │  ├─ leaf
            │  ├─ leaf_async
            │  │  └─ leaf
            │  └─ leaf
            ├─ leaf
            ├─ leaf
            └─ leaf
            ",
        );
        assert_eq!(tracer.span("outer").polls(), 4);
        assert_eq!(tracer.span("leaf_async").polls(), 2);
    }

    #[test]
    fn of_two_futures_interleave() {
        #[traced]
        async fn named(name: &'static str) {
            tag("name", name);
            yields(1).await;
            leaf_async().await;
        }
        let tracer = Checked::new();
        tracer.run(|| {
            let (mut a, mut b) = (pin!(named("a")), pin!(named("b")));
            let (mut first, mut second) = (false, false);
            while !(first && second) {
                first = first || poll(a.as_mut()).is_ready();
                second = second || poll(b.as_mut()).is_ready();
            }
        });
        tracer.assert_tree(
            "
            named  name=a
            └─ leaf_async
               └─ leaf
            named  name=b
            └─ leaf_async
               └─ leaf
            ",
        );
    }

    #[test]
    fn may_come_from_any_thread() {
        let tracer = Checked::new();
        let mut future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(tracer.run_async(outer()));
        for _ in 0..10 {
            let next = thread::spawn(move || poll(future.as_mut()).is_pending().then_some(future)).join();
            match next.expect("no panic") {
                Some(pending) => future = pending,
                None => break,
            }
        }
        tracer.assert_tree(
            "
            outer
            ├─ leaf
            ├─ leaf_async
            │  └─ leaf
            └─ leaf
            ",
        );
    }
}

mod first_polls {
    use super::*;

    #[test]
    fn decide_the_parent() {
        let tracer = Checked::new();
        tracer.run(|| {
            let future = {
                let _call = span!("call");
                leaf_async()
            };
            let _poll = span!("poll");
            now(future);
        });
        tracer.assert_tree(
            "
            call
            poll
            └─ leaf_async
               └─ leaf
            ",
        );
    }

    #[test]
    fn without_a_context_leave_it_to_the_call() {
        let tracer = Checked::new();
        let future = tracer.run(|| {
            let _call = span!("call");
            leaf_async()
        });
        thread::spawn(move || now(future)).join().expect("no panic");
        tracer.assert_tree(
            "
            call
            └─ leaf_async
               └─ leaf
            ",
        );
    }

    #[test]
    fn that_never_come_make_no_span() {
        let tracer = Checked::new();
        tracer.run(|| drop(leaf_async()));
        let span = tracer.run(|| Span::start("explicit"));
        drop(leaf_async().in_context(span.context()));
        span.finish();
        tracer.assert_tree("explicit");
    }
}

mod endings {
    use super::*;

    struct Traces;

    impl Drop for Traces {
        fn drop(&mut self) {
            leaf();
        }
    }

    #[traced]
    async fn waits() {
        let _traces = Traces;
        std::future::pending::<()>().await;
    }

    #[test]
    fn dropped_while_pending_is_cancelled_with_destructors_inside() {
        let tracer = Checked::new();
        tracer.run(|| {
            let _caller = span!("caller");
            let before = Context::current();
            let mut future = Box::pin(waits());
            assert!(poll(future.as_mut()).is_pending());
            drop(future);
            assert_eq!(Context::current(), before);
            let mut future = Box::pin(async { std::future::pending::<()>().await }.in_span(Span::start("explicit")));
            assert!(poll(future.as_mut()).is_pending());
            drop(future);
        });
        tracer.assert_tree(
            "
            caller
            ├─ waits  cancelled
            │  └─ leaf
            └─ explicit  cancelled
            ",
        );
    }

    #[test]
    fn dropped_on_another_thread_is_cancelled_there() {
        let tracer = Checked::new();
        let mut future = Box::pin(tracer.run_async(waits()));
        assert!(poll(future.as_mut()).is_pending());
        thread::spawn(move || drop(future)).join().expect("no panic");
        tracer.assert_tree(
            "
            waits  cancelled
            └─ leaf
            ",
        );
    }

    #[traced]
    async fn panics(after: u32) {
        let _traces = Traces;
        yields(after).await;
        std::panic::resume_unwind(Box::new("boom"));
    }

    #[test]
    fn a_poll_that_panics_has_panicked_once() {
        for after in [0, 1] {
            let tracer = Checked::new();
            tracer.run(|| {
                let _caller = span!("caller");
                let before = Context::current();
                let mut future = Box::pin(panics(after));
                for _ in 0..after {
                    assert!(poll(future.as_mut()).is_pending());
                }
                let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(future.as_mut())));
                assert!(panicked.is_err());
                assert_eq!(Context::current(), before);
                drop(future);
                assert_eq!(Context::current(), before);
            });
            tracer.assert_tree(
                "
                caller
                └─ panics  panicked
                   └─ leaf
                ",
            );
        }
    }

    #[test]
    fn panics_of_spans_given_to_futures_are_theirs() {
        let tracer = Checked::new();
        tracer.run(|| {
            let future = async {
                leaf();
                std::panic::resume_unwind(Box::new("boom"));
            };
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                now(future.in_span(Span::start("explicit")));
            }));
            panicked.expect_err("it fails");
            assert!(Context::current().is_none());
        });
        tracer.assert_tree(
            "
            explicit  panicked
            └─ leaf
            ",
        );
    }

    #[test]
    fn a_destructor_that_panics_ends_the_span_and_gives_the_context_back() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                leaf();
                std::panic::resume_unwind(Box::new("boom"));
            }
        }
        #[traced]
        async fn holds(bomb: Bomb) {
            std::future::pending::<()>().await;
            drop(bomb);
        }
        let tracer = Checked::new();
        tracer.run(|| {
            let _caller = span!("caller");
            let before = Context::current();
            let mut future = Box::pin(holds(Bomb));
            assert!(poll(future.as_mut()).is_pending());
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(future))).expect_err("it fails");
            assert_eq!(Context::current(), before);
        });
        assert_eq!(tracer.names(), ["leaf", "holds", "caller"]);
        assert_eq!(tracer.span("leaf").parent_id(), Some(tracer.span("holds").id()));
        assert_ne!(tracer.span("holds").outcome(), Outcome::Unfinished);
    }
}

mod nesting {
    use super::*;

    #[traced]
    async fn outer() {
        sync();
        leaf_async().await;
    }

    #[traced]
    fn sync() {
        leaf();
        now(leaf_async());
    }

    #[test]
    fn of_async_in_sync_in_async() {
        let tracer = Checked::new();
        tracer.run(|| now(outer()));
        tracer.assert_tree(
            "
            outer
            ├─ sync
            │  ├─ leaf
            │  └─ leaf_async
            │     └─ leaf
            └─ leaf_async
               └─ leaf
            ",
        );
    }

    #[test]
    fn block_on_inside_a_span() {
        #[traced]
        fn blocks() {
            let runtime = current_thread();
            runtime.block_on(leaf_async());
            futures::executor::block_on(leaf_async());
            leaf();
        }
        let tracer = Checked::new();
        tracer.run(blocks);
        tracer.assert_tree(
            "
            blocks
            ├─ leaf_async
            │  └─ leaf
            ├─ leaf_async
            │  └─ leaf
            └─ leaf
            ",
        );
    }

    #[traced]
    async fn joins() {
        futures::join!(leaf_async(), async {
            yields(1).await;
            leaf();
        });
        tokio::join!(leaf_async(), leaf_async());
        futures::future::join_all((0..3).map(|_| leaf_async())).await;
    }

    #[test]
    fn join_keeps_all_branches_inside() {
        let tracer = Checked::new();
        tracer.run(|| now(joins()));
        let joins = tracer.span("joins");
        let children = |name: &str| {
            tracer.spans().iter().filter(|span| span.name() == name && span.parent_id() == Some(joins.id())).count()
        };
        assert_eq!((children("leaf_async"), children("leaf")), (6, 1));
        assert_eq!(tracer.spans().len(), 1 + 6 + 7);
    }

    #[traced]
    async fn never() {
        std::future::pending::<()>().await;
    }

    #[traced]
    async fn selects() {
        tokio::select! {
            () = never() => {}
            () = leaf_async() => leaf(),
        }
        leaf();
        let mut winner = pin!(futures::FutureExt::fuse(leaf_async()));
        let mut loser = pin!(futures::FutureExt::fuse(never()));
        futures::select_biased! {
            () = loser.as_mut() => {}
            () = winner.as_mut() => {}
        }
    }

    #[test]
    fn select_cancels_the_loser() {
        let tracer = Checked::new();
        tracer.run(|| now(selects()));
        tracer.tree().sorted().assert(
            "
            selects
            ├─ leaf
            ├─ leaf
            ├─ leaf_async
            │  └─ leaf
            ├─ leaf_async
            │  └─ leaf
            ├─ never  cancelled
            └─ never  cancelled
            ",
        );
    }
}

mod tasks {
    use super::*;

    #[traced]
    async fn spawns() {
        let annotated = tokio::spawn(leaf_async());
        let carried = tokio::spawn(async { leaf_async().await }.in_current_context());
        let own = tokio::spawn(leaf_async().in_span(Span::start("own")));
        let bare = tokio::spawn(async {
            assert!(Context::current().is_none(), "nothing leaks into other tasks");
            leaf();
        });
        let blocking = tokio::task::spawn_blocking(Context::current().wrap(leaf));
        let bare_blocking = tokio::task::spawn_blocking(leaf);
        for task in [annotated, carried, own, bare, blocking, bare_blocking] {
            task.await.expect("no panic");
        }
        leaf();
    }

    fn check(tracer: &Checked) {
        tracer.tree().sorted().assert(
            "
            spawns
            ├─ leaf
            ├─ leaf
            ├─ leaf_async
            │  └─ leaf
            ├─ leaf_async
            │  └─ leaf
            └─ own
               └─ leaf_async
                  └─ leaf
            ",
        );
    }

    #[test]
    fn stay_in_the_trace_on_the_current_thread() {
        let tracer = Checked::new();
        current_thread().block_on(tracer.run_async(spawns()));
        assert!(Context::current().is_none());
        check(&tracer);
    }

    #[test]
    fn stay_in_the_trace_on_many_threads() {
        for _ in 0..20 {
            let tracer = Checked::new();
            multi_thread().block_on(tracer.run_async(spawns()));
            assert!(Context::current().is_none());
            check(&tracer);
        }
    }

    #[test]
    fn of_a_set_carry_the_context() {
        let tracer = Checked::new();
        let runtime = multi_thread();
        runtime.block_on(tracer.run_async(async {
            let _outer = Span::start("outer");
            let mut set = tokio::task::JoinSet::new();
            async {
                for _ in 0..5 {
                    set.spawn(async { leaf() }.in_current_context());
                }
            }
            .in_context(_outer.context())
            .await;
            while set.join_next().await.is_some() {}
        }));
        drop(runtime);
        let outer = tracer.span("outer");
        let leaves = tracer.spans();
        assert!(leaves.iter().filter(|span| span.name() == "leaf").all(|leaf| leaf.parent_id() == Some(outer.id())));
        assert_eq!(leaves.len(), 6);
    }

    #[test]
    fn take_spans_through_channels() {
        let tracer = Checked::new();
        let runtime = multi_thread();
        runtime.block_on(tracer.run_async(async {
            let (sender, mut receiver) = tokio::sync::mpsc::channel::<Span>(4);
            let worker = tokio::spawn(async move {
                while let Some(span) = receiver.recv().await {
                    async { leaf() }.in_span(span).await;
                }
            });
            for _ in 0..3 {
                sender.send(Span::start("job")).await.expect("the worker lives");
            }
            drop(sender);
            worker.await.expect("no panic");
        }));
        tracer.tree().sorted().assert(
            "
            job
            └─ leaf
            job
            └─ leaf
            job
            └─ leaf
            ",
        );
    }

    #[test]
    fn aborted_are_cancelled() {
        #[traced]
        async fn never() {
            leaf();
            std::future::pending::<()>().await;
        }
        let tracer = Checked::new();
        let runtime = current_thread();
        runtime.block_on(tracer.run_async(async {
            let task = tokio::spawn(never().in_current_context());
            tokio::task::yield_now().await;
            task.abort();
            assert!(task.await.expect_err("aborted").is_cancelled());
        }));
        drop(runtime);
        tracer.assert_tree(
            "
            never  cancelled
            └─ leaf
            ",
        );
    }
}

mod streams {
    use super::*;

    #[test]
    fn run_in_their_context_item_by_item() {
        let tracer = Checked::new();
        let span = tracer.run(|| Span::start("outer"));
        let stream = stream::iter(0..3)
            .then(|_| async {
                yields(1).await;
                leaf();
            })
            .in_context(span.context());
        assert_eq!(now(stream.count()), 3);
        assert!(Context::current().is_none());
        drop(span);
        tracer.assert_tree(
            "
            outer
            ├─ leaf
            ├─ leaf
            └─ leaf
            ",
        );
    }

    #[test]
    fn are_spans_until_their_end() {
        let tracer = Checked::new();
        tracer.run(|| {
            let stream = stream::iter(0..2).map(|_| leaf()).in_span(Span::start("ended"));
            assert_eq!(stream.size_hint(), (2, Some(2)));
            assert_eq!(now(stream.count()), 2);
            let mut stream = Box::pin(stream::iter(0..2).map(|_| leaf()).in_span(Span::start("dropped")));
            assert!(now(stream.next()).is_some());
            assert!(Context::current().is_none());
        });
        tracer.assert_tree(
            "
            ended
            ├─ leaf
            └─ leaf
            dropped  cancelled
            └─ leaf
            ",
        );
    }
}

mod misuse {
    use super::*;

    /// The span then measures what other tasks do; nothing else goes wrong.
    #[test]
    fn a_guard_held_over_an_await_stays_in_its_task() {
        #[traced]
        async fn holds() {
            let _guard = span!("guard");
            yields(2).await;
            leaf();
        }
        let tracer = Checked::new();
        tracer.run(|| {
            let _caller = span!("caller");
            let before = Context::current();
            let mut future = pin!(holds());
            while poll(future.as_mut()).is_pending() {
                assert_eq!(Context::current(), before);
                leaf();
            }
            assert_eq!(Context::current(), before);
            leaf();
        });
        let spans = tracer.spans();
        assert_eq!(spans.len(), 7);
        let (caller, holds) = (tracer.span("caller"), tracer.span("holds"));
        assert_eq!(tracer.span("guard").parent_id(), Some(holds.id()));
        let of = |id| spans.iter().filter(|span| span.name() == "leaf" && span.parent_id() == Some(id)).count();
        assert_eq!((of(caller.id()), of(holds.id())), (3, 1));
    }

    #[test]
    fn a_future_may_be_leaked() {
        let tracer = Checked::new();
        tracer.run(|| {
            let mut future = Box::pin(leaf_async());
            assert!(poll(future.as_mut()).is_pending());
            std::mem::forget(future);
        });
        assert_eq!(tracer.open_spans().len(), 1);
        tracer.shutdown(Duration::ZERO);
        tracer.assert_tree("leaf_async  unfinished");
    }

    #[test]
    fn a_finished_future_that_is_polled_again_passes_it_on() {
        #[traced]
        fn ready() -> impl Future<Output = u8> {
            std::future::poll_fn(|_| Poll::Ready(1))
        }
        let tracer = Checked::new();
        tracer.run(|| {
            let mut future = pin!(ready());
            assert_eq!(poll(future.as_mut()), Poll::Ready(1));
            // Whatever the inner future says to that.
            drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(future.as_mut()))));
        });
        tracer.assert_tree("ready");
    }
}

/// A poll lends the thread its future's context: what is made inside may outlive both.
mod lent {
    use std::cell::RefCell;

    use traced_runtime::{Scope, testing};

    use super::*;

    thread_local! {
        static KEPT: RefCell<Vec<Scope>> = const { RefCell::new(Vec::new()) };
    }

    fn keep(scope: Scope) {
        KEPT.with_borrow_mut(|kept| kept.push(scope));
    }

    fn kept() -> Option<Scope> {
        KEPT.with_borrow_mut(Vec::pop)
    }

    #[traced]
    async fn keeps(context: Context) {
        leaf();
        keep(context.attach());
        yields(1).await;
        keep(Context::current().with_baggage("field", "of the future").attach());
    }

    #[traced]
    async fn outer(context: Context) {
        keeps(context).await;
        leaf();
    }

    #[test]
    fn scopes_that_outlive_the_future_they_were_made_in_restore_something_sound() {
        let tracer = Checked::new();
        let before = Context::current();
        for reversed in [false, true] {
            tracer.run(|| {
                now(Box::pin(outer(Context::none())));
                now(Box::pin(outer(tracer.context().with_baggage("field", "kept"))));
                // The futures are gone, and their contexts with them.
                let mut scopes: Vec<Scope> = std::iter::from_fn(kept).collect();
                assert_eq!(scopes.len(), 4);
                if reversed {
                    scopes.reverse();
                }
                for scope in scopes {
                    drop(scope);
                    drop(Context::current().baggage("field").map(str::to_owned));
                    leaf();
                }
            });
            assert_eq!(Context::current(), before);
        }
        assert_eq!(tracer.names().iter().filter(|name| *name == "keeps").count(), 4);
    }

    #[traced]
    async fn drops_the_scope_of_its_caller() {
        drop(kept());
        assert_eq!(Context::current().baggage("field"), None);
        leaf();
        yields(1).await;
        leaf();
    }

    #[test]
    fn a_scope_that_is_dropped_inside_leaves_the_thread_as_it_was_before_the_poll() {
        let tracer = Checked::new();
        tracer.run(|| {
            let inside = Context::current().with_baggage("field", "outside");
            keep(inside.attach());
            now(Box::pin(drops_the_scope_of_its_caller().in_context(Context::current().with_baggage("other", "one"))));
            assert_eq!(Context::current().baggage("field"), Some("outside"));
            assert!(kept().is_none());
        });
    }

    #[traced]
    async fn reads(field: &str) -> Option<String> {
        yields(1).await;
        Context::current().baggage(field).map(str::to_owned)
    }

    #[traced]
    async fn reads_below() -> Option<String> {
        let scope = Context::current().with_baggage("field", "set inside").attach();
        let inside = Context::current().baggage("field").map(str::to_owned);
        drop(scope);
        assert_eq!(inside.as_deref(), Some("set inside"));
        reads("field").await
    }

    #[test]
    fn baggage_is_that_of_the_place_of_the_first_poll() {
        let tracer = Checked::new();
        let context = tracer.context().with_baggage("field", "of the caller");
        let value = context.run(|| now(Box::pin(reads_below())));
        assert_eq!(value.as_deref(), Some("of the caller"));
        tracer.assert_tree("reads_below\n└─ reads");
    }

    #[test]
    fn a_poll_that_panics_gives_the_context_back() {
        #[traced]
        async fn panics() {
            yields(1).await;
            let _scope = Context::none().attach();
            std::panic::resume_unwind(Box::new("in the second poll"));
        }
        let tracer = testing::Tracer::new();
        tracer.run(|| {
            let before = Context::current();
            let mut future = Box::pin(panics());
            assert!(poll(future.as_mut()).is_pending());
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(future.as_mut()).is_ready()));
            assert!(result.is_err());
            assert_eq!(Context::current(), before);
        });
        assert_eq!(tracer.spans()[0].outcome(), Outcome::Panicked);
    }
}
