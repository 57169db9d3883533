//! A context crosses to another process and back: what is joined, what is a child, what travels along.

use std::collections::HashMap;
use std::thread;

use proptest::prelude::*;
use traced_runtime::{
    BaggageField, Context, InContext as _, Kind, Propagation, RemoteSampling, ReportError, Sampler, Sampling,
    ServerSpan, Span, SpanId, SpanRecord, TraceId, Tracer, limits, span, testing, traced,
};
use traced_tests::{Checked, now};

type Headers = HashMap<String, String>;

const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";
const SPAN: &str = "a2fb4a1d1a96d312";
const PARENT: &str = "0020000000000001";

fn b3(sampling: &str) -> Headers {
    let dash = if sampling.is_empty() { "" } else { "-" };
    HashMap::from([("b3".to_owned(), format!("{TRACE}-{SPAN}{dash}{sampling}-{PARENT}"))])
}

fn headers_of(context: &Context) -> Headers {
    let mut headers = Headers::new();
    context.inject(&mut headers);
    headers
}

#[traced]
fn query() {}

mod servers {
    use super::*;

    #[test]
    fn join_a_sampled_span_and_share_it() {
        for (sampling, debug) in [("1", false), ("d", true)] {
            let tracer = Checked::new();
            let span = Span::server("get /", tracer.extract(&b3(sampling)));
            {
                let _scope = span.attach();
                query();
            }
            span.finish();
            let (server, child) = (tracer.span("get /"), tracer.span("query"));
            assert_eq!((server.trace_id().to_string(), server.id().to_string()), (TRACE.into(), SPAN.into()));
            assert_eq!(server.parent_id().map(|id| id.to_string()).as_deref(), Some(PARENT));
            assert_eq!((server.kind(), server.is_shared(), server.is_debug()), (Some(Kind::Server), true, debug));
            assert!(server.is_local_root());
            assert_eq!(child.parent_id(), Some(server.id()));
            assert!(!child.is_shared() && child.is_debug() == debug, "a child of a shared span is not shared");
        }
    }

    #[test]
    fn join_a_deferred_span_and_decide_by_their_own_sampler() {
        let tracer = Checked::new();
        Span::server("get /", tracer.extract(&b3(""))).finish();
        let server = tracer.span("get /");
        assert_eq!(server.id().to_string(), SPAN);
        assert!(!server.is_shared(), "nobody knows whether the client reports its half");

        let tracer = Checked::with(testing::Tracer::options().sampler(Sampler::never()));
        let span = Span::server("get /", tracer.extract(&b3("")));
        assert_eq!(span.context().sampling(), Sampling::Unsampled);
        let next = headers_of(&span.context());
        assert_eq!((next["x-b3-traceid"].as_str(), next["x-b3-sampled"].as_str()), (TRACE, "0"));
    }

    #[test]
    fn that_are_not_sampled_pass_the_ids_on() {
        let tracer = Checked::new();
        let span = Span::server("get /", tracer.extract(&b3("0")));
        let scope = span.attach();
        query();
        let next = headers_of(&Context::current());
        assert_eq!((next["x-b3-traceid"].as_str(), next["x-b3-spanid"].as_str()), (TRACE, SPAN));
        assert_eq!(next["x-b3-sampled"], "0");
        drop(scope);
        drop(span);
        assert_eq!(tracer.names(), [""; 0]);
    }

    #[test]
    fn are_children_where_the_tracer_is_set_so_or_the_call() {
        let tracer = Checked::with(testing::Tracer::options().server_span(ServerSpan::Child));
        Span::server("child", tracer.extract(&b3("1"))).finish();
        Span::server_as(ServerSpan::Joined, "joined", tracer.extract(&b3("1"))).finish();
        let child = tracer.span("child");
        assert_ne!(child.id().to_string(), SPAN);
        assert_eq!(child.parent_id().map(|id| id.to_string()).as_deref(), Some(SPAN));
        assert!(!child.is_shared() && tracer.span("joined").is_shared());
    }

    #[test]
    fn are_children_of_what_came_by_w3c_or_by_hand() {
        let tracer = Checked::new();
        let w3c = HashMap::from([("traceparent".to_owned(), format!("00-{TRACE}-{SPAN}-01"))]);
        Span::server("w3c", tracer.extract(&w3c)).finish();
        let (trace, span) = (TraceId::new(7).expect("not 0"), SpanId::new(8).expect("not 0"));
        tracer.run(|| Span::server("by hand", Context::remote(trace, span, Sampling::Sampled)).finish());
        assert_eq!(tracer.span("w3c").parent_id().map(|id| id.to_string()).as_deref(), Some(SPAN));
        assert_eq!(tracer.span("by hand").parent_id(), Some(span));
        assert!(!tracer.span("w3c").is_shared() && !tracer.span("by hand").is_shared());
    }

    #[test]
    fn with_a_malformed_caller_start_a_trace_of_their_own() {
        let tracer = Checked::new();
        let broken = HashMap::from([("b3".to_owned(), "what?".to_owned()), ("traceparent".into(), "00-1-2-3".into())]);
        let caller = tracer.extract(&broken);
        assert!(caller.is_none());
        Span::server("get /", caller).finish();
        assert_eq!(tracer.span("get /").parent_id(), None);
    }

    #[test]
    fn follow_a_decision_that_came_without_ids() {
        let never = Checked::with(testing::Tracer::options().sampler(Sampler::never()));
        for (decision, sampling) in [("1", Sampling::Sampled), ("d", Sampling::Debug)] {
            let caller = never.extract(&HashMap::from([("b3".to_owned(), decision.to_owned())]));
            assert!(caller.is_none());
            let span = Span::server(decision, caller);
            assert_eq!(span.context().sampling(), sampling);
            assert!(span.is_recorded());
        }
        let always = Checked::new();
        let span = Span::server("0", always.extract(&HashMap::from([("b3".to_owned(), "0".to_owned())])));
        assert!(!span.is_recorded());
        assert!(headers_of(&span.context()).contains_key("x-b3-traceid"), "its ids are passed on");
        assert_eq!(always.names(), [""; 0]);
        assert_eq!(never.names().len(), 2);
    }

    #[test]
    fn of_a_caller_without_ids_are_below_the_current_span() {
        let tracer = Checked::new();
        tracer.run(|| {
            let _outer = span!("outer");
            Span::server("inner", tracer.extract(&Headers::new())).finish();
            Span::server("elsewhere", tracer.extract(&b3("1"))).finish();
        });
        assert_eq!(tracer.span("inner").parent_id(), Some(tracer.span("outer").id()));
        assert_eq!(tracer.span("elsewhere").trace_id().to_string(), TRACE, "headers beat the current span");
    }

    #[test]
    fn have_a_state_of_their_own_beside_the_client_s_half() {
        let tracer = Checked::new();
        tracer.run(|| {
            let client = Span::client("call");
            let server = Span::server("serve", tracer.extract(&headers_of(&client.context())));
            client.tag("side", "client");
            server.tag("side", "server");
            server.context().tag("by", "context");
            client.finish();
            server.annotate("still here");
            server.finish();
        });
        let (client, server) = (tracer.span("call"), tracer.span("serve"));
        assert_eq!((client.id(), client.parent_id()), (server.id(), server.parent_id()));
        assert_eq!((client.is_shared(), server.is_shared()), (false, true));
        let tag = |span: &traced_runtime::SpanRecord, key: &str| span.tag(key).map(|value| value.to_string());
        assert_eq!(
            (tag(&client, "side").as_deref(), tag(&server, "side").as_deref()),
            (Some("client"), Some("server"))
        );
        assert_eq!((tag(&client, "by"), tag(&server, "by").as_deref()), (None, Some("context")));
        assert_eq!(server.annotations().count(), 1);
    }

    #[test]
    fn that_are_cancelled_or_abandoned_say_so() {
        let tracer = Checked::new();
        Span::server("left", tracer.extract(&b3("1"))).cancel();
        Span::server("forgotten", tracer.extract(&b3("1"))).abandon();
        assert_eq!(tracer.span("left").outcome(), traced_runtime::Outcome::Cancelled);
        assert_eq!(tracer.names(), ["left"]);
    }
}

mod clients {
    use super::*;

    #[test]
    fn write_b3_and_w3c_by_default() {
        let tracer = Checked::new();
        let headers = tracer.run(|| {
            let outer = span!("outer");
            let client = Span::client("call");
            let headers = headers_of(&client.context());
            client.finish();
            drop(outer);
            headers
        });
        let (call, outer) = (tracer.span("call"), tracer.span("outer"));
        assert_eq!(call.kind(), Some(Kind::Client));
        let (trace, span) = (call.trace_id(), call.id());
        let expected = [
            ("x-b3-traceid", trace.to_string()),
            ("x-b3-spanid", span.to_string()),
            ("x-b3-parentspanid", outer.id().to_string()),
            ("x-b3-sampled", "1".to_owned()),
            ("traceparent", format!("00-{trace}-{span}-01")),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn pad_a_short_trace_id_for_w3c_alone() {
        let tracer = Checked::with(testing::Tracer::options().trace_id_64());
        let context = tracer.run(|| Span::client("call").context());
        let headers = headers_of(&context);
        let id = context.trace_id().expect("a trace").to_string();
        assert_eq!((id.len(), &headers["x-b3-traceid"]), (16, &id));
        assert_eq!(headers["x-b3-spanid"], id, "the first span's id is the trace's");
        assert!(headers["traceparent"].starts_with(&format!("00-0000000000000000{id}-")));
        let back = tracer.extract(&HashMap::from([("traceparent".to_owned(), headers["traceparent"].clone())]));
        assert_eq!(back.trace_id(), context.trace_id());
    }

    #[test]
    fn without_a_trace_write_nothing_and_leave_what_is_there() {
        let mut headers = b3("1");
        Context::none().inject(&mut headers);
        assert_eq!(headers, b3("1"));
        Context::current().inject(&mut headers);
        assert_eq!(headers, b3("1"));
    }

    #[test]
    fn without_a_tracer_pass_the_ids_on() {
        let (trace, span) = (TraceId::new(7).expect("not 0"), SpanId::new(8).expect("not 0"));
        let headers = headers_of(&Context::remote(trace, span, Sampling::Sampled));
        assert_eq!(headers["x-b3-traceid"], "0000000000000007");
        assert!(!headers_of(&Context::remote(trace, span, Sampling::Deferred)).contains_key("x-b3-sampled"));
    }

    #[test]
    fn never_write_an_undecided_context() {
        let tracer = Checked::new();
        let headers = headers_of(&tracer.extract(&b3("")));
        assert_eq!(headers["x-b3-sampled"], "1");
        let tracer = Checked::with(testing::Tracer::options().sampler(Sampler::never()));
        assert_eq!(headers_of(&tracer.extract(&b3("")))["x-b3-sampled"], "0");
    }

    #[test]
    fn write_other_formats_where_the_call_asks_for_them() {
        let tracer = Checked::new();
        let mut message = Vec::<(String, String)>::new();
        tracer.extract(&b3("1")).inject_as(&Propagation::b3_message(), &mut message);
        assert_eq!(message, [("b3".to_owned(), format!("{TRACE}-{SPAN}-1"))]);
    }
}

mod state_of_the_trace {
    use super::*;

    #[traced(root)]
    fn headers_of_a_new_trace() -> Headers {
        headers_of(&Span::client("call").context())
    }

    fn with_state(span: &str) -> Headers {
        let w3c = [("traceparent", format!("00-{TRACE}-{span}-03")), ("tracestate", "a=1,b=2".to_owned())];
        w3c.map(|(name, value)| (name.to_owned(), value)).into()
    }

    #[test]
    fn goes_from_service_to_service_of_ours() {
        let services = ["first", "second", "third"].map(|name| Checked::with(testing::Tracer::options().service(name)));
        let mut headers = with_state(SPAN);
        for tracer in &services {
            let server = Span::server("serve", tracer.extract(&headers));
            headers = headers_of(&server.context().run(|| Span::client("call").context()));
            let span = headers["x-b3-spanid"].clone();
            assert_eq!(headers["x-b3-traceid"], TRACE);
            assert_eq!(headers["traceparent"], format!("00-{TRACE}-{span}-03"));
            assert_eq!(headers["tracestate"], "a=1,b=2");
        }
    }

    #[test]
    fn goes_on_where_nothing_is_recorded() {
        let tracer = Checked::with(testing::Tracer::options().sampler(Sampler::never()));
        let caller = tracer.extract(&with_state(SPAN)).with_remote_sampling(RemoteSampling::DecideAnew);
        let headers = headers_of(&Span::server("serve", caller).context());
        assert_eq!(headers["traceparent"], format!("00-{TRACE}-{SPAN}-02"));
        assert_eq!(headers["tracestate"], "a=1,b=2");
    }

    #[test]
    fn stays_behind_where_another_trace_begins() {
        let tracer = Checked::new();
        let server = Span::server("serve", tracer.extract(&with_state(SPAN)));
        let _scope = server.attach();
        let headers = headers_of_a_new_trace();
        assert_ne!(headers["x-b3-traceid"], TRACE);
        assert!(!headers.contains_key("tracestate"), "{headers:?}");
    }
}

/// W3C's flag of level 2. The ids of a test's tracer are counted, and not random.
mod random_ids {
    use super::*;

    #[derive(Debug)]
    struct Nowhere;

    impl traced_runtime::Reporter for Nowhere {
        fn report(&mut self, _: &[SpanRecord]) -> Result<(), ReportError> {
            Ok(())
        }
    }

    fn flags(context: &Context) -> String {
        let headers = headers_of(context);
        headers["traceparent"].rsplit_once('-').expect("four fields").1.to_owned()
    }

    #[traced]
    fn flags_below() -> String {
        flags(&Context::current())
    }

    #[traced]
    async fn flags_in_a_future() -> String {
        futures::future::ready(()).await;
        flags_below()
    }

    #[test]
    fn say_that_they_are() {
        for (short, sampler, expected) in [
            (false, Sampler::always(), "03"),
            (true, Sampler::always(), "03"),
            (false, Sampler::never(), "02"),
            (true, Sampler::never(), "02"),
        ] {
            let builder = Tracer::builder("random").sampler(sampler).reporter(Nowhere);
            let tracer = if short { builder.trace_id_64() } else { builder }.build().expect("a slot is free");
            let root = Context::none().with_tracer(&tracer);
            // The first one finds no log, the second one does.
            let sync = [(); 2].map(|()| root.run(flags_below));
            let explicit = root.run(|| flags(&Span::client("call").context()));
            let below_explicit = root.run(|| Span::start("job").context().run(flags_below));
            let in_a_future = root.run(|| now(flags_in_a_future()));
            for seen in sync.into_iter().chain([explicit, below_explicit, in_a_future]) {
                assert_eq!(seen, expected, "short: {short}");
            }
        }
    }

    #[test]
    fn of_others_are_as_they_say() {
        let tracer = Checked::new();
        for (sent, passed) in [("03", "03"), ("02", "02"), ("01", "01"), ("00", "00"), ("ff", "03"), ("fc", "00")] {
            let headers = Headers::from([("traceparent".to_owned(), format!("00-{TRACE}-{SPAN}-{sent}"))]);
            let server = Span::server(sent, tracer.extract(&headers));
            assert_eq!(server.context().run(flags_below), passed, "of {sent}");
        }
        assert_eq!(flags(&Span::server("b3", tracer.extract(&b3("1"))).context()), "01", "B3 does not say");
        let by_hand =
            Context::remote(TraceId::new(7).expect("not 0"), SpanId::new(8).expect("not 0"), Sampling::Sampled);
        assert_eq!(tracer.run(|| flags(&by_hand)), "01");
        assert_eq!(tracer.run(|| flags(&Span::start("counted").context())), "01");
    }
}

mod edges {
    use super::*;
    use RemoteSampling::{DecideAnew, RefuseDebug, Trust};
    use Sampling::{Debug, Deferred, Sampled, Unsampled};

    const ALL: [RemoteSampling; 3] = [Trust, RefuseDebug, DecideAnew];

    /// A decision as each format has it, with ids and without.
    fn decisions(trace: &str) -> Vec<(Vec<(&'static str, String)>, Sampling)> {
        let ids = [("x-b3-traceid", trace.to_owned()), ("x-b3-spanid", SPAN.to_owned())];
        let mut all = vec![(ids.to_vec(), Deferred), (vec![("b3", format!("{trace}-{SPAN}"))], Deferred)];
        for (multi, single, decision) in [
            (("x-b3-flags", "1"), "d", Debug),
            (("x-b3-sampled", "1"), "1", Sampled),
            (("x-b3-sampled", "0"), "0", Unsampled),
        ] {
            let multi = [(multi.0, multi.1.to_owned())];
            all.push((multi.to_vec(), decision));
            all.push(([&ids[..], &multi].concat(), decision));
            all.push((vec![("b3", single.to_owned())], decision));
            all.push((vec![("b3", format!("{trace}-{SPAN}-{single}"))], decision));
        }
        all.push((vec![("traceparent", format!("00-{trace}-{SPAN}-01"))], Sampled));
        all.push((vec![("traceparent", format!("00-{trace}-{SPAN}-00"))], Unsampled));
        all
    }

    /// What is left of a decision; `own` is what the sampler says.
    fn left(remote: RemoteSampling, decision: Sampling, own: Sampling) -> Sampling {
        match (remote, decision) {
            (DecideAnew, _) | (_, Deferred) => own,
            (RefuseDebug, Debug) => Sampled,
            (_, other) => other,
        }
    }

    #[track_caller]
    fn check(tracer: &testing::Tracer, remote: RemoteSampling, headers: &Vec<(&str, String)>, expected: Sampling) {
        let case = format!("{remote:?} {headers:?}");
        let caller = tracer.extract(headers);
        let trace = caller.trace_id();
        let span = Span::server("serve", caller.with_remote_sampling(remote));
        assert_eq!((span.context().sampling(), span.is_recorded()), (expected, expected != Unsampled), "{case}");
        assert!(trace.is_none() || span.context().trace_id() == trace, "one trace: {case}");
        let next = headers_of(&span.context().run(|| Span::client("call").context()));
        let sent = |name: &str| next.get(name).map(String::as_str);
        let (sampled, flags, w3c) = match expected {
            Debug => (Some("1"), Some("1"), "-01"),
            Sampled => (Some("1"), None, "-01"),
            _ => (Some("0"), None, "-00"),
        };
        assert_eq!((sent("x-b3-sampled"), sent("x-b3-flags")), (sampled, flags), "{case}");
        assert!(sent("traceparent").expect("written").ends_with(w3c), "{case}");
    }

    #[test]
    fn let_callers_decide_as_far_as_they_are_told_to() {
        for (sampler, own) in [(Sampler::never(), Unsampled), (Sampler::always(), Sampled)] {
            let tracer = testing::Tracer::options().sampler(sampler).build().expect("a slot is free");
            for remote in ALL {
                for (headers, decision) in decisions(TRACE) {
                    check(&tracer, remote, &headers, left(remote, decision, own));
                }
            }
        }
    }

    #[test]
    fn that_decide_anew_do_so_by_their_ratio() {
        let tracer = testing::Tracer::options().sampler(Sampler::ratio(0.5)).build().expect("a slot is free");
        let mut seen = Vec::new();
        for trace in 1..=20 {
            let trace = format!("{trace:032x}");
            let deferred = tracer.extract(&vec![("b3", format!("{trace}-{SPAN}"))]);
            let own = Span::server("deferred", deferred).context().sampling();
            seen.push(own);
            for (headers, decision) in decisions(&trace) {
                // Without ids the trace is a new one, and so is the ratio's decision.
                let has_ids = headers.iter().any(|(_, value)| value.contains(SPAN));
                for remote in ALL.into_iter().filter(|&remote| has_ids || remote != DecideAnew) {
                    check(&tracer, remote, &headers, left(remote, decision, own));
                }
            }
        }
        assert!(seen.contains(&Sampled) && seen.contains(&Unsampled), "{seen:?}");
    }

    #[test]
    fn refuse_debug_beside_a_no_as_b3_reads_it() {
        // The flag beats the header in B3: what is left of it is sampled.
        let tracer = Checked::with(testing::Tracer::options().sampler(Sampler::never()));
        let headers = vec![
            ("x-b3-traceid", TRACE.to_owned()),
            ("x-b3-spanid", SPAN.to_owned()),
            ("x-b3-sampled", "0".to_owned()),
            ("x-b3-flags", "1".to_owned()),
        ];
        check(&tracer, RefuseDebug, &headers, Sampled);
    }

    #[test]
    fn leave_contexts_of_this_process_alone() {
        let tracer = Checked::new();
        let own = tracer.run(|| Span::start("own").context());
        assert_eq!(own.clone().with_remote_sampling(DecideAnew), own);
    }

    #[test]
    fn join_as_if_nobody_had_decided() {
        let tracer = Checked::new();
        Span::server("serve", tracer.extract(&b3("1")).with_remote_sampling(DecideAnew)).finish();
        let server = tracer.span("serve");
        assert_eq!(server.id().to_string(), SPAN);
        assert!(!server.is_shared(), "whether the client reports its half, it may say what it likes");
    }
}

mod baggage {
    use super::*;

    fn tracer() -> Checked {
        let propagation = Propagation::b3()
            .and(Propagation::w3c())
            .baggage(["tenant"])
            .baggage([BaggageField::new("user").header("ot-baggage-user")]);
        Checked::with(testing::Tracer::options().propagation(propagation))
    }

    fn tenant() -> Option<String> {
        Context::current().baggage("tenant").map(str::to_owned)
    }

    #[traced]
    async fn tenant_in_a_future() -> Option<String> {
        futures::future::ready(()).await;
        query();
        tenant()
    }

    #[test]
    fn goes_with_everything_below() {
        let tracer = tracer();
        let context = tracer.context().with_baggage("tenant", "acme");
        let seen = context.run(|| {
            let _span = span!("outer");
            let explicit = Span::start("explicit");
            let in_explicit = explicit.context().run(tenant);
            let captured = Context::current();
            let on_a_thread = thread::spawn(captured.clone().wrap(tenant)).join().expect("no panic");
            let carried = tenant_in_a_future();
            let elsewhere = Context::none().run(|| now(carried));
            let nested = Context::current().with_baggage("tenant", "other").run(tenant);
            [in_explicit, on_a_thread, elsewhere, now(tenant_in_a_future()), Some(nested.expect("set")), tenant()]
        });
        let acme = || Some("acme".to_owned());
        assert_eq!(seen, [acme(), acme(), acme(), acme(), Some("other".into()), acme()]);
        assert_eq!(tenant(), None);
    }

    #[test]
    fn comes_back_out_of_a_future_that_changed_it_inside() {
        let tracer = tracer();
        let pending = async {
            let _scope = Context::current().with_baggage("tenant", "inside").attach();
            futures::pending!();
        };
        let context = tracer.context().with_baggage("tenant", "outside");
        context.run(|| {
            // The scope is held over an await: what a poll leaves behind is the future's, not the thread's.
            let mut future = Box::pin(pending.in_span(Span::start("held")));
            let waker = std::task::Waker::noop();
            let _ = future.as_mut().poll(&mut std::task::Context::from_waker(waker));
            assert_eq!(tenant().as_deref(), Some("outside"));
            drop(future);
            assert_eq!(tenant().as_deref(), Some("outside"));
        });
        assert_eq!(tenant(), None);
    }

    #[test]
    fn guards_in_any_order_are_odd_and_nothing_worse() {
        let tracer = tracer();
        let scopes: Vec<_> =
            ["a", "b", "c"].map(|name| tracer.context().with_baggage("tenant", name).attach()).into_iter().collect();
        assert_eq!(tenant().as_deref(), Some("c"));
        for scope in scopes {
            drop(scope);
        }
        // The last guard put back what it found.
        assert_eq!(tenant().as_deref(), Some("b"));
        std::mem::forget(Context::none().attach());
        assert_eq!(tenant(), None);
    }

    #[test]
    fn crosses_by_its_headers_and_by_w3c() {
        let tracer = tracer();
        let context =
            tracer.context().with_baggage("tenant", "Zürich").with_baggage("USER", "ann").with_baggage("x", "1");
        let headers = headers_of(&context.run(|| Span::client("call").context()));
        assert_eq!(headers["tenant"], "Zürich");
        assert_eq!(headers["ot-baggage-user"], "ann");
        assert_eq!(headers["baggage"], "tenant=Z%C3%BCrich,user=ann");
        assert!(!headers.contains_key("x") && !headers.contains_key("user"), "{headers:?}");
        for only in ["tenant", "baggage"] {
            let caller = tracer.extract(&HashMap::from([(only.to_owned(), headers[only].clone())]));
            assert_eq!(caller.baggage("tenant"), Some("Zürich"), "{only}");
            let span = Span::server("serve", caller);
            assert_eq!(span.context().baggage("Tenant"), Some("Zürich"));
        }
    }

    #[test]
    fn without_a_trace_goes_to_the_trace_that_starts() {
        let tracer = tracer();
        let caller = tracer.extract(&HashMap::from([("tenant".to_owned(), "acme".to_owned())]));
        assert!(caller.is_none());
        caller.run(|| {
            query();
            assert_eq!(tenant().as_deref(), Some("acme"));
        });
        assert_eq!(tracer.span("query").parent_id(), None);
    }

    #[test]
    fn that_does_not_fit_is_left_out_and_counted() {
        let tracer = tracer();
        let context = tracer.context().with_baggage("tenant", &"x".repeat(limits::BAGGAGE_BYTES));
        assert_eq!(context.baggage("tenant"), None);
        let megabyte =
            HashMap::from([("tenant".to_owned(), "x".repeat(1 << 20)), ("ot-baggage-user".into(), "ann".into())]);
        let caller = tracer.extract(&megabyte);
        assert_eq!((caller.baggage("tenant"), caller.baggage("user")), (None, Some("ann")));
        assert_eq!(tracer.stats().left_out_baggage(), 2);
    }

    #[test]
    fn with_line_breaks_reaches_no_header_of_its_own() {
        let only_b3 = Propagation::b3().baggage(["tenant"]);
        let tracer = Checked::with(testing::Tracer::options().propagation(only_b3));
        let evil = "acme\r\nx-admin: yes";
        let context = tracer.context().with_baggage("tenant", evil).run(|| Span::client("call").context());
        let headers = headers_of(&context);
        assert!(headers.values().all(|value| !value.contains(['\r', '\n'])), "{headers:?}");
        assert_eq!(tracer.stats().left_out_baggage(), 1);
        assert_eq!(context.baggage("tenant"), Some(evil), "inside it is what it was");
    }

    #[test]
    fn its_values_are_not_in_what_contexts_print() {
        let context = Context::none().with_baggage("token", "secret");
        assert!(!format!("{context} {context:?}").contains("secret"));
    }
}

mod settings {
    use super::*;

    #[test]
    fn a_field_that_cannot_be_a_header_is_an_error_that_says_so() {
        for (field, problem) in [("a b", "is no name of a header"), ("b3", "carries the trace itself")] {
            let error = Tracer::builder("x").propagation(Propagation::b3().baggage([field])).build().expect_err(field);
            assert!(error.to_string().contains(problem), "{error}");
        }
    }
}

/// Contexts as they come from other processes, with what each format is documented to lose.
fn contexts() -> impl Strategy<Value = (u128, u64, Sampling)> {
    let trace = prop_oneof![1..=u128::from(u64::MAX), 1..=u128::MAX];
    let sampling = prop_oneof![
        Just(Sampling::Deferred),
        Just(Sampling::Unsampled),
        Just(Sampling::Sampled),
        Just(Sampling::Debug)
    ];
    (trace, 1..=u64::MAX, sampling)
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        (trace, span, sampling) in contexts(),
        value in " ?[^\\p{Cc}]{0,64}",
        of in 0_usize..4,
    ) {
        let propagation = [
            Propagation::b3(),
            Propagation::b3_single(),
            Propagation::b3_message(),
            Propagation::w3c(),
        ][of].clone().baggage(["tenant"]);
        let tracer = testing::Tracer::options().propagation(propagation).build().expect("a slot is free");
        let (trace, span) = (TraceId::new(trace).expect("not 0"), SpanId::new(span).expect("not 0"));
        let sent = tracer.context().run(|| Context::remote(trace, span, sampling).with_baggage("tenant", &value));
        let mut headers = Vec::<(Vec<u8>, Vec<u8>)>::new();
        tracer.run(|| sent.inject(&mut headers));
        let read = tracer.extract(&headers);
        prop_assert_eq!((read.trace_id(), read.span_id()), (Some(trace), Some(span)));
        prop_assert_eq!(read.baggage("tenant"), Some(value.as_str()));
        let kept = match (sampling, of) {
            // Nobody writes that it is not decided: this tracer's sampler says yes.
            (Sampling::Deferred, _) | (Sampling::Debug, 3) => Sampling::Sampled,
            (other, _) => other,
        };
        prop_assert_eq!(read.sampling(), kept);
    }

    #[test]
    fn whatever_comes_makes_a_context_that_can_be_used(
        headers in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "b3", "X-B3-TraceId", "x-b3-spanid", "X-B3-ParentSpanId", "x-b3-sampled", "x-b3-flags", "traceparent",
                    "tracestate", "baggage", "tenant", "ot-baggage-tenant",
                ]),
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..80),
                    "[0-9a-f]{0,33}".prop_map(String::into_bytes),
                    "[0-9a-f]{16,32}-[0-9a-f]{16}(-[01d])?(-[0-9a-f]{16})?".prop_map(String::into_bytes),
                    "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,9})?".prop_map(String::into_bytes),
                    "[01dtrue]{0,4}".prop_map(String::into_bytes),
                    "(tenant|a) ?= ?[%0-9a-f]{0,20}(;p=1)?(,.{0,10})?".prop_map(String::into_bytes),
                ],
            ),
            0..12,
        ),
    ) {
        let propagation = Propagation::default().baggage(["tenant"]);
        let tracer = testing::Tracer::options().propagation(propagation).build().expect("a slot is free");
        let headers: Vec<(Vec<u8>, Vec<u8>)> =
            headers.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value)).collect();
        let caller = tracer.extract(&headers);
        let is_none = caller.is_none();
        let span = Span::server("serve", caller.clone());
        let context = span.context();
        prop_assert!(context.trace_id().is_some() && context.span_id().is_some());
        if !is_none {
            prop_assert_eq!(context.trace_id(), caller.trace_id());
        }
        let mut next = Vec::<(Vec<u8>, Vec<u8>)>::new();
        context.inject(&mut next);
        for (name, value) in &next {
            prop_assert!(value.iter().all(|byte| !byte.is_ascii_control()), "{:?}: {:?}", name, value);
        }
        let read = tracer.extract(&next);
        prop_assert_eq!((read.trace_id(), read.span_id()), (context.trace_id(), context.span_id()));
    }
}

#[test]
fn carriers_of_one_s_own_need_two_methods() {
    #[derive(Default)]
    struct Properties(Vec<(String, String)>);
    impl traced_runtime::Carrier for Properties {
        fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
            self.0.header_values(name)
        }
    }
    impl traced_runtime::CarrierMut for Properties {
        fn set_header(&mut self, name: &str, value: &str) {
            self.0.set_header(name, value);
        }
    }
    let tracer = Checked::new();
    let mut properties = Properties::default();
    tracer.extract(&b3("1")).inject(&mut properties);
    assert_eq!(tracer.extract(&properties).span_id(), tracer.extract(&b3("1")).span_id());
}
