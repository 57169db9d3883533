//! Which context is current, where and until when.

use std::sync::mpsc;
use std::thread;

use traced_runtime::{Context, InContext, Sampler, Sampling, Span, SpanId, TraceId, span, testing, traced};
use traced_tests::{Checked, now};

#[traced]
fn leaf() {}

#[traced]
async fn leaf_async() {}

fn remote(sampling: Sampling) -> Context {
    let trace = TraceId::new(0x463a_c35c_9f64_13ad_4848_5a39_53bb_6124).expect("not zero");
    let span = SpanId::new(0x0020_0000_0000_0001).expect("not zero");
    Context::remote(trace, span, sampling)
}

mod scopes {
    use super::*;

    /// A guard is dropped in a context that came after as many others as a count of 16 bits tells apart, and a few more or less.
    #[test]
    fn a_guard_dropped_in_another_context_moves_nothing_however_many_came_between() {
        for between in [1].into_iter().chain((1 << 16) - 4..(1 << 16) + 3) {
            let tracer = Checked::new();
            let other = tracer.run(|| Span::start("other"));
            tracer.run(|| {
                let root = span!("root");
                let outer = span!("outer");
                let guard = span!("guard");
                for _ in 0..between {
                    let _scope = Context::none().attach();
                }
                {
                    let _scope = other.attach();
                    let _inside = span!("inside");
                    drop(guard);
                    let _below = span!("below");
                }
                drop(outer);
                drop(root);
            });
            drop(other);
            let (inside, below) = (tracer.span("inside"), tracer.span("below"));
            assert_eq!(
                (below.trace_id(), below.parent_id()),
                (inside.trace_id(), Some(inside.id())),
                "{between} between"
            );
        }
    }

    #[test]
    fn a_nested_scope_restores_the_previous_one_none_included() {
        let tracer = Checked::new();
        assert!(Context::current().is_none());
        let span = tracer.run(|| Span::start("outer"));
        {
            let _outer = span.attach();
            assert_eq!(Context::current(), span.context());
            {
                let _none = Context::none().attach();
                assert_eq!(Context::current(), Context::none());
                leaf();
                {
                    let _again = span.attach();
                    leaf();
                }
                assert_eq!(Context::current(), Context::none());
            }
            assert_eq!(Context::current(), span.context());
        }
        assert_eq!(Context::current(), Context::none());
        span.finish();
        tracer.assert_tree(
            "
            outer
            └─ leaf
            ",
        );
    }

    #[test]
    fn attaching_what_is_current_changes_nothing() {
        let tracer = Checked::new();
        tracer.run(|| {
            let _outer = span!("outer");
            let before = Context::current();
            {
                let _same = Context::current().attach();
                assert_eq!(Context::current(), before);
                let _inner = span!("inner");
                let _same = Context::current().attach();
                leaf();
            }
            assert_eq!(Context::current(), before);
            leaf();
        });
        tracer.assert_tree(
            "
            outer
            ├─ inner
            │  └─ leaf
            └─ leaf
            ",
        );
    }

    #[test]
    fn overlapping_scopes_are_odd_and_lose_nothing() {
        let tracer = Checked::new();
        let (a, b) = tracer.run(|| (Span::start("a"), Span::start("b")));
        let first = a.attach();
        let second = b.attach();
        leaf();
        drop(first);
        assert_eq!(Context::current(), Context::none(), "what was current before the first");
        leaf();
        drop(second);
        assert_eq!(Context::current(), a.context(), "what was current before the second");
        leaf();
        {
            let _none = Context::none().attach();
            leaf();
        }
        drop((a, b));
        tracer.assert_tree(
            "
            a
            └─ leaf
            b
            └─ leaf
            ",
        );
        assert_eq!(tracer.spans().len(), 4);
    }

    #[test]
    fn a_scope_in_the_middle_of_spans_is_a_world_of_its_own() {
        let tracer = Checked::new();
        tracer.run(|| {
            let other = Span::start("other");
            let _f = span!("f");
            let _g = span!("g");
            {
                let _scope = other.attach();
                let _h = span!("h");
                leaf();
            }
            leaf();
        });
        tracer.assert_tree(
            "
            other
            └─ h
               └─ leaf
            f
            └─ g
               └─ leaf
            ",
        );
    }

    #[test]
    fn run_and_wrap_put_back_what_was_current() {
        let tracer = Checked::new();
        let captured = tracer.run(|| {
            let span = Span::start("captured");
            let context = span.context();
            span.finish();
            context
        });
        tracer.run(|| {
            let _caller = span!("caller");
            let before = Context::current();
            let wrapped = captured.clone().wrap(|| {
                leaf();
                Context::current()
            });
            assert_eq!(wrapped(), captured);
            assert_eq!(Context::current(), before);
            captured.run(leaf);
            assert_eq!(Context::current(), before);
            leaf();
        });
        tracer.assert_tree(
            "
            captured
            ├─ leaf
            └─ leaf
            caller
            └─ leaf
            ",
        );
    }

    #[test]
    fn a_panic_puts_back_what_was_current() {
        let tracer = Checked::new();
        tracer.run(|| {
            let _caller = span!("caller");
            let before = Context::current();
            let span = Span::start("attached");
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _scope = span.attach();
                let _inner = span!("inner");
                std::panic::resume_unwind(Box::new(()));
            }));
            panicked.expect_err("it fails");
            assert_eq!(Context::current(), before);
            leaf();
        });
        tracer.assert_tree(
            "
            caller
            ├─ attached
            │  └─ inner  panicked
            └─ leaf
            ",
        );
    }

    #[test]
    fn response_callbacks_run_in_the_context_of_the_call() {
        let tracer = Checked::new();
        let mut callbacks: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
        tracer.run(|| {
            for name in ["first", "second"] {
                let _call = Span::start(name);
                let _scope = _call.attach();
                callbacks.push(Box::new(Context::current().wrap(leaf)));
            }
        });
        thread::spawn(move || callbacks.into_iter().for_each(|callback| callback())).join().expect("no panic");
        tracer.assert_tree(
            "
            first
            └─ leaf
            second
            └─ leaf
            ",
        );
    }
}

mod threads {
    use super::*;

    #[traced]
    fn parent_of_threads() -> Context {
        let context = Context::current();
        let attached = context.clone();
        thread::spawn(move || {
            let _scope = attached.attach();
            leaf();
        })
        .join()
        .expect("no panic");
        thread::spawn(Context::current().wrap(leaf)).join().expect("no panic");
        thread::scope(|scope| {
            scope.spawn(|| context.run(leaf));
        });
        thread::spawn(leaf).join().expect("no panic");
        context
    }

    #[test]
    fn see_the_context_that_was_carried_over_and_no_other() {
        let tracer = Checked::new();
        tracer.run(parent_of_threads);
        tracer.assert_tree(
            "
            parent_of_threads
            ├─ leaf
            ├─ leaf
            └─ leaf
            ",
        );
    }

    #[test]
    fn rayon_runs_wrapped_and_attached_work_in_the_trace() {
        let tracer = Checked::new();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
        tracer.run(|| {
            let _outer = span!("outer");
            let context = Context::current();
            pool.install(|| {
                use rayon::prelude::*;
                (0..10).into_par_iter().for_each(|_| context.run(leaf));
            });
            pool.install(|| rayon::join(context.clone().wrap(leaf), context.clone().wrap(leaf)));
        });
        let outer = tracer.span("outer");
        let spans = tracer.spans();
        assert_eq!(spans.len(), 13);
        assert!(spans.iter().filter(|span| span.name() == "leaf").all(|span| span.parent_id() == Some(outer.id())));
        // A pool's threads carry nothing over to the next piece of work.
        assert!(pool.broadcast(|_| Context::current().is_none()).into_iter().all(|none| none));
    }

    #[test]
    fn channels_carry_spans() {
        let tracer = Checked::new();
        let (sender, receiver) = mpsc::channel::<(u32, Span)>();
        let worker = thread::spawn(move || {
            for (job, span) in receiver {
                let _scope = span.attach();
                let _work = span!("work", "job" = job);
            }
        });
        tracer.run(|| {
            let _producer = span!("producer");
            for job in 0..3 {
                sender.send((job, Span::start("job"))).expect("the worker lives");
            }
        });
        drop(sender);
        worker.join().expect("no panic");
        tracer.tree().sorted().assert(
            "
            producer
            ├─ job
            │  └─ work  job=0
            ├─ job
            │  └─ work  job=1
            └─ job
               └─ work  job=2
            ",
        );
    }
}

mod remote_parents {
    use super::*;

    #[traced(parent = caller)]
    fn handle(caller: &Context) {
        leaf();
    }

    #[traced(parent = caller)]
    async fn handle_async(caller: Context) {
        assert_eq!(Context::current().trace_id(), caller.trace_id());
        leaf_async().await;
    }

    #[traced(parent = caller)]
    fn handle_if(caller: Option<&Context>) {}

    fn check(tracer: &Checked, sampling: Sampling, name: &str) {
        let span = tracer.span(name);
        assert_eq!(Some(span.trace_id()), remote(sampling).trace_id(), "{name}");
        assert_eq!(span.parent_id(), remote(sampling).span_id(), "{name}");
        assert!(span.is_local_root(), "{name}");
        assert!(!span.is_shared(), "{name}");
        assert_eq!(span.is_debug(), sampling == Sampling::Debug, "{name}");
    }

    #[test]
    fn are_the_parents_of_functions_futures_and_explicit_spans() {
        for sampling in [Sampling::Sampled, Sampling::Debug, Sampling::Deferred] {
            let tracer = Checked::new();
            let caller = remote(sampling);
            tracer.run(|| {
                handle(&caller);
                now(handle_async(caller.clone()));
                Span::child_of(&caller, "explicit").finish();
                handle_if(Some(&caller));
                let _scope = caller.attach();
                let _sync = span!("attached");
            });
            for name in ["handle", "handle_async", "explicit", "handle_if", "attached"] {
                check(&tracer, sampling, name);
            }
            let (handle, leaf) = (tracer.span("handle"), tracer.span("leaf"));
            assert_eq!(leaf.parent_id(), Some(handle.id()));
            assert!(!leaf.is_local_root());
            assert_eq!(leaf.is_debug(), sampling == Sampling::Debug);
        }
    }

    #[test]
    fn without_one_the_current_span_is_the_parent() {
        let tracer = Checked::new();
        tracer.run(|| {
            let _outer = span!("outer");
            handle_if(None);
        });
        tracer.assert_tree(
            "
            outer
            └─ handle_if
            ",
        );
    }

    #[test]
    fn that_are_not_sampled_are_passed_on_and_record_nothing() {
        let tracer = Checked::new();
        let caller = remote(Sampling::Unsampled);
        tracer.run(|| {
            handle(&caller);
            now(handle_async(caller.clone()));
            let _scope = caller.attach();
            let span = Span::start("explicit");
            for context in [Context::current(), span.context()] {
                assert_eq!(context.trace_id(), caller.trace_id());
                assert_eq!(context.sampling(), Sampling::Unsampled);
                assert_eq!(context.span_id(), caller.span_id(), "spans that are not recorded are transparent");
            }
        });
        assert_eq!(tracer.names(), [""; 0]);
    }

    #[test]
    fn decide_over_the_sampler_unless_they_defer() {
        let tracer = Checked::with(testing::Tracer::options().sampler(Sampler::never()));
        tracer.run(|| {
            handle(&remote(Sampling::Sampled));
            handle(&remote(Sampling::Deferred));
            remote(Sampling::Deferred).run(|| {
                leaf();
                assert_eq!(Context::current().sampling(), Sampling::Unsampled, "decided once");
            });
            leaf();
        });
        assert_eq!(tracer.names(), ["leaf", "handle"]);
    }

    #[test]
    fn in_futures_and_streams() {
        let tracer = Checked::new();
        let caller = remote(Sampling::Sampled);
        tracer.run(|| now(leaf_async().in_context(caller.clone())));
        check(&tracer, Sampling::Sampled, "leaf_async");
    }
}

mod display {
    use super::*;

    #[test]
    fn is_trace_and_span_or_a_dash() {
        assert_eq!(Context::current().to_string(), "-");
        let context = remote(Sampling::Sampled);
        assert_eq!(context.to_string(), "463ac35c9f6413ad48485a3953bb6124-0020000000000001");
        let short = Context::remote(
            TraceId::new(0xabc).expect("not zero"),
            SpanId::new(0xdef).expect("not zero"),
            Sampling::Deferred,
        );
        assert_eq!(short.to_string(), "0000000000000abc-0000000000000def");
        let tracer = Checked::new();
        assert_eq!(tracer.context().to_string(), "-");
        tracer.run(|| {
            let _span = span!("span");
            let shown = Context::current().to_string();
            assert_eq!(shown.len(), 32 + 1 + 16);
        });
        let span = tracer.span("span");
        tracer.run(|| {
            let _span = span!("later");
            assert_ne!(Context::current().to_string(), format!("{}-{}", span.trace_id(), span.id()));
        });
    }
}

mod ids {
    use super::*;

    #[test]
    fn of_64_bits_are_those_of_the_first_span() {
        let tracer = Checked::with(testing::Tracer::options().trace_id_64());
        tracer.run(|| {
            leaf();
            now(leaf_async());
            Span::start("explicit").finish();
            let _scope = Context::current().attach();
            let _next = span!("next");
            now(leaf_async());
        });
        let roots: Vec<_> = tracer.spans().into_iter().filter(|span| span.parent_id().is_none()).collect();
        assert_eq!(roots.len(), 4);
        for root in roots {
            assert_eq!(root.trace_id().get(), u128::from(root.id().get()), "{}", root.name());
        }
    }

    #[test]
    fn of_64_bits_are_those_of_the_first_span_sampled_or_not() {
        let tracer = Checked::with(testing::Tracer::options().trace_id_64().sampler(Sampler::never()));
        tracer.run(|| {
            let check = |context: &Context| {
                let (trace, span) = (context.trace_id().expect("a trace"), context.span_id().expect("a span"));
                assert_eq!(trace.get(), u128::from(span.get()));
            };
            check(&Span::start("explicit").context());
            let _root = span!("root");
            check(&Context::current());
        });
    }

    #[test]
    fn of_128_bits_use_all_of_them() {
        let tracer = Checked::new();
        for _ in 0..100 {
            tracer.run(leaf);
        }
        let spans = tracer.spans();
        assert!(spans.iter().all(|span| span.trace_id().get() >> 64 != 0));
        assert!(spans.iter().all(|span| span.trace_id().get() & u128::from(u64::MAX) != u128::from(span.id().get())));
        let mut traces: Vec<_> = spans.iter().map(traced_runtime::SpanRecord::trace_id).collect();
        traces.dedup();
        assert_eq!(traces.len(), 100);
    }

    /// A decision without a trace is one about every trace that starts in its scope.
    #[test]
    fn of_a_decided_scope_are_all_decided() {
        for (sampling, sampler) in [
            (Sampling::Sampled, Sampler::never()),
            (Sampling::Debug, Sampler::never()),
            (Sampling::Unsampled, Sampler::always()),
        ] {
            let tracer = Checked::with(testing::Tracer::options().sampler(sampler));
            let decided = tracer.context().with_sampling(sampling);
            decided.run(|| {
                for _ in 0..3 {
                    leaf();
                    Span::start("explicit").finish();
                    now(leaf_async());
                    assert_eq!(Context::current(), decided);
                }
                // What is inside of a trace, and another scope, end as they began.
                {
                    let _root = span!("root");
                    assert_eq!(Context::current().sampling(), sampling);
                    let _other = tracer.context().attach();
                    leaf();
                }
                assert_eq!(Context::current(), decided);
                leaf();
            });
            leaf();
            let spans = tracer.spans();
            let expected = if sampling == Sampling::Unsampled { 1 } else { 11 };
            let names: Vec<_> = spans.iter().map(traced_runtime::SpanRecord::name).collect();
            // The scope without a decision asks its sampler.
            assert_eq!(spans.len(), expected, "{sampling:?}: {names:?}");
            assert!(spans.iter().all(|span| span.parent_id().is_none()), "{names:?}");
            assert!(spans.iter().all(|span| span.is_debug() == (sampling == Sampling::Debug)), "{sampling:?}");
        }
    }

    #[test]
    fn of_traces_that_are_not_sampled_are_passed_on() {
        let tracer = Checked::with(testing::Tracer::options().sampler(Sampler::never()));
        tracer.run(|| {
            let _root = span!("root");
            let context = Context::current();
            assert_eq!(context.sampling(), Sampling::Unsampled);
            assert!(context.trace_id().is_some() && context.span_id().is_some());
            let _child = span!("child");
            assert_eq!(Context::current(), context);
            let span = Span::start("explicit");
            assert_eq!(span.context().trace_id(), context.trace_id());
            now(async {
                assert_eq!(Context::current(), context);
            });
        });
        assert!(Context::current().is_none(), "the context ends with its root");
        assert_eq!(tracer.spans().len(), 0);
    }
}
