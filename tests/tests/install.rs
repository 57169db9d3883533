//! The process's own tracer: one test, because there is one process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use traced_runtime::{
    Builder, Context, Endpoint, ReportError, Reporter, Sampler, Sampling, SendError, Sender, Span, SpanRecord, Tracer,
    span, traced,
};
use traced_tests::eventually;

#[derive(Clone, Default)]
struct Keep(Arc<Mutex<Vec<String>>>);

impl Keep {
    fn add(&self, text: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Reporter for Keep {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        batch.iter().for_each(|span| self.add(span.name().into_owned()));
        Ok(())
    }
}

impl Sender for Keep {
    fn send(&mut self, _: &[u8]) -> Result<(), SendError> {
        Ok(())
    }
}

#[traced]
fn leaf() {}

#[traced(require_parent)]
fn helper() {}

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn comes_and_goes() {
    // Nothing yet: a branch.
    leaf();
    assert!(Tracer::installed().is_none());
    assert!(Context::current().is_none());

    mistakes();

    let spans = Keep::default();
    let builder = || Tracer::builder("first").reporter(spans.clone()).linger(Duration::ZERO).summary(false);
    let tracing = builder().log_bytes(4 << 20).install().expect("nothing is installed");
    assert!(Tracer::installed().is_some());
    leaf();
    helper();
    drop(Span::start("explicit"));
    std::thread::spawn(leaf).join().expect("no panic");
    {
        let _none = Context::none().attach();
        let _root = span!("root");
        helper();
    }
    assert_eq!(tracing.flush(DEADLINE).sent(), 5, "a helper alone starts no trace");
    let mut names = spans.take();
    names.sort();
    assert_eq!(names, ["explicit", "helper", "leaf", "leaf", "root"]);

    decided(&tracing, &spans);

    let error = builder().install().expect_err("there is one");
    assert!(error.to_string().contains("second tracer") && error.to_string().contains("\"first\""), "{error}");
    let error = builder().log_bytes(1 << 20).build().expect_err("the log has another size");
    assert!(error.to_string().contains("log_bytes(1048576)"), "{error}");
    let second = builder().log_bytes(4 << 20).build().expect("the same size");
    assert_eq!(second.shutdown(DEADLINE).recorded(), 0);

    let inert = traced_runtime::init("second");
    drop(inert);
    leaf();
    assert_eq!(tracing.flush(DEADLINE).sent(), 6 + DECIDED, "a second init ends nothing");
    drop(tracing);
    assert!(Tracer::installed().is_none());
    leaf();
    assert_eq!(spans.take(), ["leaf"]);

    // Another one may follow.
    not_bound(builder);

    let tracing = builder().require_parent().install().expect("nothing is installed");
    leaf();
    drop(Span::start("explicit"));
    assert_eq!(tracing.flush(DEADLINE).recorded(), 0);
}

/// A guard that is dropped at once is told of where a span would start after it, once, and not where the program just ends.
fn not_bound(builder: impl Fn() -> Builder) {
    let poll = || futures::executor::block_on(waits());
    let starts: [(&str, &dyn Fn()); 4] = [
        ("an annotated function", &leaf),
        ("an async one", &poll),
        ("a span!", &|| drop(span!("root"))),
        ("an explicit span", &|| drop(Span::start("explicit"))),
    ];
    for (what, start) in starts {
        let told = Keep::default();
        let notices = told.clone();
        drop(builder().on_notice(move |notice| notices.add(notice.to_string())).install());
        helper();
        assert!(traced_runtime::Tracer::installed().is_none());
        assert_eq!(told.take(), [""; 0], "a program that ends now was a short one");
        start();
        let text = eventually(what, DEADLINE, || told.take().pop());
        assert!(text.starts_with("tracing ended ") && text.contains("bind it to `_tracing`"), "{what}: {text}");
        start();
        leaf();
        assert_eq!(told.take(), [""; 0], "{what}");
    }
    // One that was bound, and recorded something, or had nothing to record: whatever starts after its end is all right.
    for sampler in [Sampler::always(), Sampler::never()] {
        let told = Keep::default();
        let notices = told.clone();
        let tracing = builder().sampler(sampler).on_notice(move |notice| notices.add(notice.to_string())).install();
        leaf();
        drop(tracing);
        leaf();
        // The next early end is told, and so this one would be.
        let next = Keep::default();
        let notices = next.clone();
        drop(builder().on_notice(move |notice| notices.add(notice.to_string())).install());
        leaf();
        eventually("the next early end", DEADLINE, || next.take().pop());
        assert_eq!(told.take(), [""; 0]);
    }
}

#[traced]
async fn waits() {}

/// Spans of [`decided`].
const DECIDED: u64 = 6;

/// A context that says nothing but whether to record is one of the installed tracer.
fn decided(tracing: &Tracer, spans: &Keep) {
    tracing.set_sampler(Sampler::never());
    let decided = Context::none().with_sampling(Sampling::Sampled);
    decided.run(|| {
        for _ in 0..2 {
            leaf();
            drop(Span::start("explicit"));
            helper();
            let _root = span!("root");
        }
        assert_eq!(Context::current(), decided);
    });
    leaf();
    tracing.set_sampler(Sampler::always());
    Context::none().with_sampling(Sampling::Unsampled).run(leaf);
    assert_eq!(tracing.flush(DEADLINE).sent(), 5 + DECIDED);
    let mut names = spans.take();
    names.sort();
    assert_eq!(names, ["explicit", "explicit", "leaf", "leaf", "root", "root"]);
}

fn mistakes() {
    let builder = || Tracer::builder("first");
    let error = |builder: traced_runtime::Builder| builder.build().expect_err("a mistake").to_string();
    for (mistake, says) in [
        (builder().collector("zipkin"), "zipkin"),
        (builder().collector("http://localhost:0/api/v2/spans"), "port"),
        (Tracer::builder(""), "service \"\""),
        (builder().reporter(Keep::default()).collector("http://localhost:9411/api/v2/spans"), "reporter()"),
        (builder().reporter(Keep::default()).sender(Keep::default()), "sender()"),
        (builder().sampler(Sampler::ratio(1.5)), "1.5"),
        (builder().queue_bytes(0), "queue_bytes(0)"),
        (builder().log_bytes(0), "log_bytes(0)"),
        (builder().local_endpoint(Endpoint::new()).batch_bytes(2).queue_bytes(1), "queue_bytes(1)"),
    ] {
        let text = error(mistake);
        assert!(text.contains(says), "{says}: {text}");
    }
    assert!(Tracer::installed().is_none());
}
