//! Several tracers in one process, as a client and a server have in one test.

use std::thread;
use std::time::Duration;

use traced_runtime::{Context, Kind, Sampling, Span, span, tag, testing, traced};
use traced_tests::{Checked, now};

#[traced]
fn leaf() {}

#[traced]
async fn leaf_async() {
    leaf();
}

fn pair() -> (Checked, Checked) {
    let of = |service: &str| Checked::with(testing::Tracer::options().service(service));
    (of("client"), of("server"))
}

/// As headers carry it.
fn over_the_wire(context: &Context) -> Context {
    let (trace, span) = (context.trace_id().expect("a trace"), context.span_id().expect("a span"));
    Context::remote(trace, span, Sampling::Sampled)
}

#[test]
fn keep_their_spans_apart_on_one_thread() {
    let (client, server) = pair();
    client.run(|| {
        let _call = span!("call");
        let request = Span::start("request");
        request.kind(Kind::Client);
        let caller = over_the_wire(&request.context());
        server.run(|| {
            let span = Span::child_of(&caller, "handle");
            let _scope = span.attach();
            leaf();
            now(leaf_async());
            tag("side", "server");
        });
        leaf();
        tag("side", "client");
    });
    client.assert_tree(
        "
        call  side=client
        ├─ request  [client]
        └─ leaf
        ",
    );
    server.assert_tree(
        "
        handle  side=server
        ├─ leaf
        └─ leaf_async
           └─ leaf
        ",
    );
    let (request, handle) = (client.span("request"), server.span("handle"));
    assert_eq!((handle.trace_id(), handle.parent_id()), (request.trace_id(), Some(request.id())));
    assert_eq!(handle.local_endpoint().service_name(), Some("server"));
    let mut ids: Vec<_> = client.spans().iter().chain(&server.spans()).map(|span| span.id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 7, "no id is there twice in the common trace");
}

#[test]
fn interleave() {
    let (a, b) = pair();
    a.run(|| {
        let _a1 = span!("a1");
        let in_a = Context::current();
        b.run(|| {
            let _b1 = span!("b1");
            let in_b = Context::current();
            in_a.run(|| {
                let _a2 = span!("a2");
                in_b.run(|| {
                    let _b2 = span!("b2");
                    in_a.tag("told", "from b");
                });
                leaf();
            });
            leaf();
        });
        leaf();
    });
    a.assert_tree(
        "
        a1  told=\"from b\"
        ├─ a2
        │  └─ leaf
        └─ leaf
        ",
    );
    b.assert_tree(
        "
        b1
        ├─ b2
        └─ leaf
        ",
    );
}

#[test]
fn guards_in_the_wrong_order_stay_with_their_tracer() {
    let (a, b) = pair();
    a.run(|| {
        let _a1 = span!("a1");
        let a2 = span!("a2");
        let other = b.run(|| Span::start("other"));
        let scope = other.attach();
        let b1 = span!("b1");
        drop(a2);
        leaf();
        drop(scope);
        drop(b1);
        leaf();
    });
    a.assert_tree(
        "
        a1
        ├─ a2
        └─ leaf
        ",
    );
    b.assert_tree(
        "
        other
        └─ b1
           └─ leaf
        ",
    );
}

#[test]
fn over_threads() {
    let (client, server) = pair();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let caller = client.run(|| {
                        let _call = span!("call");
                        over_the_wire(&Context::current())
                    });
                    server.run(|| {
                        let _scope = caller.attach();
                        let _handle = span!("handle");
                        leaf();
                    });
                }
            });
        }
    });
    let calls = client.spans();
    assert_eq!((calls.len(), server.spans().len()), (200, 400));
    for handle in server.spans().iter().filter(|span| span.name() == "handle") {
        let parents = calls.iter().filter(|call| Some(call.id()) == handle.parent_id());
        assert_eq!(parents.filter(|call| call.trace_id() == handle.trace_id()).count(), 1);
    }
}

#[test]
fn that_are_gone_record_nothing_in_anothers_name() {
    let (gone, other) = pair();
    let (context, span) = gone.run(|| {
        let _span = span!("span");
        (Context::current(), Span::start("open"))
    });
    drop(gone);
    // Takes the place of the one that is gone.
    let successor = Checked::new();
    context.run(|| {
        leaf();
        now(leaf_async());
        tag("key", 1);
        context.tag("key", 1);
        assert_eq!(Context::current().trace_id(), context.trace_id(), "its ids are passed on");
        other.run(leaf);
    });
    span.tag("key", 1);
    drop(span);
    other.assert_tree("leaf");
    assert_eq!(successor.spans().len(), 0);
    assert_eq!(successor.flush(Duration::ZERO).recorded(), 0);
}

/// One after the other, there may be as many as one likes.
#[test]
fn come_and_go() {
    for _ in 0..3_000 {
        let tracer = Checked::new();
        tracer.run(leaf);
        tracer.assert_tree("leaf");
    }
}
