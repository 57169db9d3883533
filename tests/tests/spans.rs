//! When spans begin and end, and what is told about them.

use std::error::Error;
use std::fmt;
use std::thread;
use std::time::Duration;

use traced_runtime::{Context, Kind, Outcome, Sampler, Sampling, Span, annotate, span, tag, testing, traced};
use traced_tests::{Checked, now};

#[traced]
fn leaf() {}

#[traced]
fn nested(depth: u32) {
    if depth > 0 {
        nested(depth - 1);
    }
}

#[test]
fn a_recursion_is_a_chain() {
    let tracer = Checked::new();
    tracer.run(|| nested(3));
    tracer.assert_tree(
        "
        nested
        └─ nested
           └─ nested
              └─ nested
        ",
    );
}

mod options {
    use super::*;

    #[traced(root)]
    fn job() {
        leaf();
    }

    #[traced(root)]
    async fn job_async() {
        leaf();
    }

    #[traced(require_parent)]
    fn helper() {
        leaf();
    }

    #[traced(require_parent)]
    async fn helper_async() {
        leaf();
    }

    #[traced(parent = span)]
    fn below(span: &Span) {
        leaf();
    }

    #[traced(parent = span)]
    async fn below_async(span: &Span) {
        assert_eq!(Context::current().trace_id(), span.context().trace_id());
        leaf();
    }

    #[test]
    fn root_is_always_a_new_trace_and_gives_the_context_back() {
        let tracer = Checked::new();
        tracer.run(|| {
            let _outer = span!("outer");
            let before = Context::current();
            job();
            now(job_async());
            assert_eq!(Context::current(), before);
            leaf();
        });
        tracer.run(job);
        tracer.assert_tree(
            "
            outer
            └─ leaf
            job
            └─ leaf
            job_async
            └─ leaf
            job
            └─ leaf
            ",
        );
        let outer = tracer.span("outer").trace_id();
        assert!(tracer.spans().iter().filter(|span| span.name() == "job").all(|job| job.trace_id() != outer));
    }

    #[test]
    fn require_parent_never_starts_a_trace() {
        let tracer = Checked::new();
        tracer.run(|| {
            helper();
            now(helper_async());
        });
        tracer.run(|| {
            let _outer = span!("outer");
            helper();
            now(helper_async());
        });
        tracer.assert_tree(
            "
            leaf
            leaf
            outer
            ├─ helper
            │  └─ leaf
            └─ helper_async
               └─ leaf
            ",
        );
    }

    #[test]
    fn a_tracer_may_require_parents() {
        let tracer = Checked::with(testing::Tracer::options().require_parent());
        tracer.run(|| {
            leaf();
            job();
            now(job_async());
            Span::start("explicit").finish();
            Span::child_of(Context::none(), "explicit").finish();
        });
        // A root is asked for.
        tracer.assert_tree(
            "
            job
            └─ leaf
            job_async
            └─ leaf
            ",
        );
    }

    #[test]
    fn parent_beats_the_current_span_and_the_context_comes_back() {
        let tracer = Checked::new();
        tracer.run(|| {
            let other = Span::start("other");
            let _outer = span!("outer");
            let before = Context::current();
            below(&other);
            now(below_async(&other));
            assert_eq!(Context::current(), before);
            let _inner = span!("inner");
        });
        tracer.assert_tree(
            "
            other
            ├─ below
            │  └─ leaf
            └─ below_async
               └─ leaf
            outer
            └─ inner
            ",
        );
    }
}

mod guards {
    use super::*;

    #[test]
    fn dropped_in_the_wrong_order_lose_nothing() {
        let tracer = Checked::new();
        tracer.run(|| {
            let root = span!("root");
            let a = span!("a");
            let b = span!("b");
            drop(a);
            leaf();
            drop(b);
            leaf();
            drop(root);
            assert!(Context::current().is_none());
        });
        tracer.assert_tree(
            "
            root
            ├─ a
            │  └─ b
            ├─ leaf
            └─ leaf
            ",
        );
    }

    #[test]
    fn of_a_root_dropped_first_end_the_trace() {
        let tracer = Checked::new();
        tracer.run(|| {
            let root = span!("root");
            let inner = span!("inner");
            drop(root);
            leaf();
            drop(inner);
            leaf();
        });
        assert!(Context::current().is_none());
        tracer.assert_tree(
            "
            root
            └─ inner
            leaf
            leaf
            ",
        );
    }

    #[test]
    fn leaked_ones_are_unfinished_and_harm_no_other() {
        let tracer = Checked::new();
        tracer.run(|| {
            let root = span!("root");
            {
                let _a = span!("a");
                std::mem::forget(span!("leaked"));
                leaf();
            }
            leaf();
            drop(root);
        });
        tracer.run(leaf);
        tracer.shutdown(Duration::ZERO);
        tracer.assert_tree(
            "
            root
            ├─ a
            │  └─ leaked  unfinished
            │     └─ leaf
            └─ leaf
            leaf
            ",
        );
    }

    #[test]
    fn that_outlive_their_scope_end_for_themselves() {
        let tracer = Checked::new();
        tracer.run(|| {
            let other = Span::start("other");
            let _outer = span!("outer");
            let scope = other.attach();
            let late = span!("late");
            drop(scope);
            leaf();
            drop(late);
            leaf();
        });
        tracer.assert_tree(
            "
            other
            └─ late
            outer
            ├─ leaf
            └─ leaf
            ",
        );
    }

    #[test]
    fn dropped_inside_a_later_scope_end_for_themselves() {
        let tracer = Checked::new();
        tracer.run(|| {
            let other = Span::start("other");
            let _outer = span!("outer");
            let early = span!("early");
            let scope = other.attach();
            drop(early);
            leaf();
            drop(scope);
        });
        tracer.tree().sorted().assert(
            "
            other
            └─ leaf
            outer
            └─ early
            ",
        );
    }

    /// A mistake that is made again and again must not use up the thread.
    #[test]
    fn dropped_inside_later_scopes_for_ever_do_not_add_up() {
        let tracer = Checked::new();
        tracer.run(|| {
            for _ in 0..10_000 {
                let other = Span::start("other");
                let early = span!("early");
                let scope = other.attach();
                drop(early);
                drop(scope);
            }
        });
        let tally = tracer.flush(Duration::ZERO);
        assert_eq!(tally.dropped(), 0, "{tally:?}");
        assert!(Context::current().is_none());
        tracer.clear();
        tracer.run(leaf);
        tracer.assert_tree("leaf");
    }

    #[test]
    fn of_unsampled_roots_dropped_inside_a_later_scope_end_their_trace() {
        let tracer = Checked::with(testing::Tracer::options().sampler(Sampler::never()));
        tracer.run(|| {
            let other = Span::start("other");
            let root = span!("root");
            let scope = other.attach();
            drop(root);
            drop(scope);
            assert!(Context::current().is_none());
        });
    }

    #[test]
    fn leaked_for_ever_do_not_add_up_inside_scopes() {
        let tracer = Checked::new();
        for _ in 0..20_000 {
            tracer.run(|| {
                let _root = span!("root");
                std::mem::forget(span!("leaked"));
            });
        }
        let tally = tracer.flush(Duration::ZERO);
        assert_eq!(tally.dropped(), 0, "{tally:?}");
        tracer.shutdown(Duration::ZERO);
        let spans = tracer.spans();
        assert_eq!(spans.len(), 40_000);
        assert_eq!(spans.iter().filter(|span| span.outcome() == Outcome::Unfinished).count(), 20_000);
    }
}

mod outcomes {
    use super::*;

    #[derive(Debug)]
    struct Declined(Option<Box<Declined>>);

    impl fmt::Display for Declined {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("declined")
        }
    }

    impl Error for Declined {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.0.as_ref().map(|source| &**source as _)
        }
    }

    #[derive(Debug)]
    struct Silent;

    impl fmt::Display for Silent {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Ok(())
        }
    }

    impl Error for Silent {}

    #[traced]
    fn declined() -> Result<(), Declined> {
        Err(Declined(Some(Box::new(Declined(None)))))
    }

    #[traced]
    async fn declined_async() -> Result<(), Declined> {
        Err(Declined(None))
    }

    #[traced]
    fn explained() -> Result<(), Declined> {
        tag("error", "card expired");
        Err(Declined(None))
    }

    #[traced]
    async fn explained_async() -> Result<(), Declined> {
        tag("error", "card expired");
        Err(Declined(None))
    }

    #[traced]
    fn silent() -> Result<(), Silent> {
        Err(Silent)
    }

    #[test]
    fn errors_are_told_with_their_sources_and_an_explicit_tag_beats_them() {
        let tracer = Checked::new();
        tracer.run(|| {
            declined().expect_err("it fails");
            now(declined_async()).expect_err("it fails");
            explained().expect_err("it fails");
            now(explained_async()).expect_err("it fails");
            let span = Span::start("explicit");
            span.tag("error", "card expired");
            span.error(&Declined(None));
            let span = Span::start("explicit, the other way round");
            span.error(&Declined(None));
            span.tag("error", "card expired");
        });
        tracer.assert_tree(
            "
            declined  error: declined
            declined_async  error: declined
            explained  error: card expired
            explained_async  error: card expired
            explicit  error: card expired
            explicit, the other way round  error: card expired
            ",
        );
        assert!(tracer.spans().iter().all(|span| span.outcome() == Outcome::Error));
    }

    #[test]
    fn an_error_without_a_message_gives_its_type() {
        let tracer = Checked::new();
        tracer.run(|| {
            silent().expect_err("it fails");
            Span::start("explicit").error(&Silent);
            let _span = span!("current");
            traced_runtime::error(&Silent);
        });
        for name in ["silent", "explicit", "current"] {
            let error = tracer.span(name).tag("error").map(|value| value.to_string()).unwrap_or_default();
            assert!(error.ends_with("Silent"), "{name}: {error:?}");
        }
    }

    struct Cleanup;

    impl Drop for Cleanup {
        fn drop(&mut self) {
            let _span = span!("cleanup");
            Span::start("explicit cleanup").finish();
            leaf();
        }
    }

    #[traced]
    fn panics() {
        let _cleanup = Cleanup;
        std::panic::resume_unwind(Box::new("boom"));
    }

    #[test]
    fn panicked_is_what_a_panic_began_in() {
        let tracer = Checked::new();
        tracer.run(|| {
            std::panic::catch_unwind(panics).expect_err("it panics");
        });
        tracer.assert_tree(
            "
            panics  panicked
            └─ cleanup
               ├─ explicit cleanup
               └─ leaf
            ",
        );
    }

    #[test]
    fn an_explicit_span_that_a_panic_drops_has_panicked() {
        let tracer = Checked::new();
        tracer.run(|| {
            std::panic::catch_unwind(|| {
                let _span = Span::start("explicit");
                std::panic::resume_unwind(Box::new("boom"));
            })
            .expect_err("it fails");
        });
        tracer.assert_tree("explicit  panicked");
    }
}

mod explicit {
    use super::*;

    #[test]
    fn are_reported_once_and_abandoned_ones_never() {
        let tracer = Checked::new();
        tracer.run(|| {
            let span = Span::start("finished");
            span.finish();
            drop(Span::start("dropped"));
            let span = Span::start("abandoned");
            span.tag("key", "value");
            {
                let _scope = span.attach();
                leaf();
            }
            span.abandon();
        });
        tracer.tree().sorted().assert(
            "
            dropped
            finished
            leaf
            ",
        );
        let tally = tracer.flush(Duration::ZERO);
        assert_eq!((tally.recorded(), tally.sent()), (3, 3));
        assert_eq!(tracer.open_spans().len(), 0);
    }

    #[test]
    fn are_told_everything_from_any_thread() {
        let tracer = Checked::new();
        let span = tracer.run(|| Span::start("job"));
        thread::scope(|scope| {
            scope.spawn(|| {
                span.tag("rows", 3);
                span.name("job.import");
                span.kind(Kind::Consumer);
                span.remote("kafka");
                span.annotate("retry");
            });
        });
        thread::spawn(move || span.finish()).join().expect("no panic");
        tracer.assert_tree("job.import  [consumer]  rows=3  @ retry");
        let span = tracer.span("job.import");
        assert_eq!(
            span.remote_endpoint().and_then(|remote| remote.service_name().map(str::to_owned)).as_deref(),
            Some("kafka")
        );
    }

    /// Whichever log is read first.
    #[test]
    fn that_move_between_threads_are_reported_once() {
        for finish in [Span::finish as fn(Span), Span::abandon] {
            let tracer = Checked::new();
            // The finishing thread's log is the older one, so that it is read first.
            let (sender, receiver) = std::sync::mpsc::channel::<Span>();
            let (ready, is_ready) = std::sync::mpsc::channel();
            thread::scope(|scope| {
                let tracer = &tracer;
                scope.spawn(move || {
                    tracer.run(leaf);
                    ready.send(()).expect("somebody waits");
                    for span in receiver {
                        finish(span);
                    }
                });
                is_ready.recv().expect("it is sent");
                scope.spawn(move || {
                    for _ in 0..100 {
                        sender.send(tracer.run(|| Span::start("moved"))).expect("somebody takes it");
                    }
                });
            });
            assert_eq!(tracer.open_spans().len(), 0);
            let moved = tracer.names().iter().filter(|name| *name == "moved").count();
            tracer.shutdown(Duration::ZERO);
            assert_eq!(tracer.names().iter().filter(|name| *name == "moved").count(), moved);
        }
    }

    #[test]
    fn without_a_tracer_are_nothing() {
        let span = Span::start("nothing");
        span.tag("key", "value");
        span.annotate("text");
        assert!(span.context().is_none());
        let _scope = span.attach();
        assert!(Context::current().is_none());
        leaf();
        tag("key", "value");
        annotate("text");
    }

    #[test]
    fn end_after_their_children_or_before() {
        let tracer = Checked::new();
        tracer.run(|| {
            let parent = Span::start("parent");
            let child = Span::child_of(&parent, "child");
            parent.finish();
            Span::child_of(&child, "grandchild").finish();
            child.finish();
        });
        tracer.assert_tree(
            "
            parent
            └─ child
               └─ grandchild
            ",
        );
    }
}

mod open {
    use super::*;

    #[traced]
    async fn waits() {
        std::future::pending::<()>().await;
    }

    #[test]
    fn are_listed_with_name_and_age_and_reported_once_at_shutdown() {
        let tracer = Checked::new();
        let explicit = tracer.run(|| Span::start("explicit"));
        explicit.tag("key", "value");
        tracer.advance(Duration::from_secs(3));
        let mut future = Box::pin(tracer.run_async(waits()));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        tracer.advance(Duration::from_secs(2));
        tracer.run(|| {
            let _sync = span!("sync", "early" = 1);
            let _inner = span!("inner");
            let open = tracer.open_spans();
            let names: Vec<_> = open.iter().map(|span| (span.name().to_owned(), span.age().as_secs())).collect();
            let expected = [("explicit", 5), ("waits", 2), ("sync", 0), ("inner", 0)];
            assert_eq!(names, expected.map(|(name, age)| (name.to_owned(), age)));
            assert_eq!(open[0].id(), explicit.context().span_id().expect("a span"));
            assert_eq!((open[2].parent_id(), open[3].parent_id()), (None, Some(open[2].id())));
            assert_eq!(tracer.spans().len(), 0);
        });
        explicit.name("explicit, renamed");
        assert_eq!(tracer.open_spans()[0].name(), "explicit, renamed");
        let tally = tracer.shutdown(Duration::ZERO);
        assert_eq!((tally.recorded(), tally.sent()), (4, 4));
        drop(future);
        explicit.finish();
        assert_eq!(tracer.shutdown(Duration::ZERO), tally, "what ends later is not reported again");
        tracer.assert_tree(
            "
            explicit, renamed  key=value  unfinished
            waits  unfinished
            sync  early=1
            └─ inner
            ",
        );
        assert!(tracer.span("waits").duration().is_none());
        assert!(tracer.open_spans().is_empty());
    }

    #[test]
    fn of_a_thread_that_ended_are_unfinished() {
        let tracer = Checked::new();
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                tracer.run(|| {
                    std::mem::forget(span!("outer"));
                    std::mem::forget(span!("inner"));
                });
            });
            // The end of the scope alone waits for no destructors of thread locals.
            thread.join().expect("no panic");
        });
        thread::scope(|scope| {
            scope.spawn(|| tracer.run(leaf));
        });
        tracer.assert_tree(
            "
            outer  unfinished
            └─ inner  unfinished
            leaf
            ",
        );
    }
}

mod samplers {
    use super::*;

    #[test]
    fn decide_once_for_a_trace() {
        let tracer = Checked::with(
            testing::Tracer::options().sampler(Sampler::rules([("health", Sampler::never())], Sampler::always())),
        );
        tracer.run(|| {
            {
                let _health = span!("health");
                leaf();
            }
            {
                let _pay = span!("pay");
                let _health = span!("health");
            }
            Span::start("health").finish();
        });
        tracer.assert_tree(
            "
            pay
            └─ health
            ",
        );
    }

    #[test]
    fn can_be_changed_while_traces_run() {
        let tracer = Checked::new();
        tracer.run(|| {
            {
                let _sampled = span!("sampled");
                tracer.set_sampler(Sampler::never());
                leaf();
            }
            {
                let _unsampled = span!("unsampled");
                assert_eq!(Context::current().sampling(), Sampling::Unsampled);
                tracer.set_sampler(Sampler::always());
                leaf();
                assert_eq!(Context::current().sampling(), Sampling::Unsampled);
            }
            leaf();
        });
        tracer.assert_tree(
            "
            sampled
            └─ leaf
            leaf
            ",
        );
    }

    #[test]
    fn honour_their_ratio_to_one_percent() {
        const TRACES: usize = 100_000;
        let tracer = Checked::with(testing::Tracer::options().sampler(Sampler::ratio(0.2)));
        for _ in 0..TRACES / 1000 {
            for _ in 0..1000 {
                tracer.run(leaf);
            }
            drop(tracer.open_spans());
        }
        let sampled = tracer.spans().len();
        assert!(sampled.abs_diff(TRACES / 5) < TRACES / 100, "{sampled}");
    }
}

mod times {
    use super::*;

    #[test]
    fn are_those_of_the_tracer_s_clock() {
        let tracer = Checked::new();
        tracer.run(|| {
            let _outer = span!("outer");
            tracer.advance(Duration::from_millis(2));
            let inner = Span::start("inner");
            tracer.advance(Duration::from_millis(3));
            inner.annotate("half");
            tracer.advance(Duration::from_millis(5));
            inner.finish();
        });
        let (outer, inner) = (tracer.span("outer"), tracer.span("inner"));
        assert_eq!(outer.duration().map(|time| time.as_millis()), Some(10));
        assert_eq!(inner.duration().map(|time| time.as_millis()), Some(8));
        assert_eq!(inner.start().duration_since(outer.start()).expect("later").as_millis(), 2);
        let (half, text) = inner.annotations().next().expect("an annotation");
        assert_eq!((half.duration_since(inner.start()).expect("later").as_millis(), text), (3, "half"));
    }
}
