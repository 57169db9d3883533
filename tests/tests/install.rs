//! The process's own tracer: one test, because there is one process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use traced_runtime::{
    Context, Endpoint, ReportError, Reporter, Sampler, Sampling, SendError, Sender, Span, SpanRecord, Tracer, span,
    traced,
};

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

    // Another one may follow; one that is not kept says so.
    let told = Keep::default();
    let notices = told.clone();
    let installed = builder().on_notice(move |notice| notices.add(notice.to_string())).install();
    drop(installed);
    let told = told.take();
    assert!(told.iter().any(|text| text.contains("bind it to `_tracing`")), "{told:?}");

    let tracing = builder().require_parent().install().expect("nothing is installed");
    leaf();
    drop(Span::start("explicit"));
    assert_eq!(tracing.flush(DEADLINE).recorded(), 0);
}

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
