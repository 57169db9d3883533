//! User code that fails on the way out, and input that is hard to write.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use traced_runtime::{
    Builder, DropReason, Endpoint, Outcome, ReportError, Reporter, SendError, Sender, Span, SpanRecord, Tracer,
    annotate, span, tag, traced,
};
use traced_tests::{Keep, tags};

#[traced]
fn leaf() {}

/// Keeps bodies.
#[derive(Clone, Default)]
struct Bodies(Arc<Mutex<Vec<Vec<u8>>>>);

impl Bodies {
    fn spans(&self) -> Vec<Value> {
        let bodies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let parse = |body: &Vec<u8>| -> Vec<Value> { serde_json::from_slice(body).expect("JSON, a list of spans") };
        bodies.iter().flat_map(parse).collect()
    }
}

impl Sender for Bodies {
    fn send(&mut self, body: &[u8]) -> Result<(), SendError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(body.to_vec());
        Ok(())
    }
}

const DEADLINE: Duration = Duration::from_secs(60);

fn tracer(sender: impl Sender) -> Tracer {
    let built = Tracer::builder("faults").sender(sender).linger(Duration::ZERO).on_notice(|_| ()).build();
    built.expect("a tracer")
}

fn reporting(reporter: impl Reporter) -> Tracer {
    let built = Tracer::builder("faults").reporter(reporter).linger(Duration::ZERO).on_notice(|_| ()).build();
    built.expect("a tracer")
}

mod input {
    use super::*;

    /// Whatever is written, as it stands in a byte string that is no UTF-8.
    struct Bytes(&'static [u8]);

    impl fmt::Debug for Bytes {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&String::from_utf8_lossy(self.0))
        }
    }

    #[test]
    fn of_every_kind_is_valid_json() {
        let bodies = Bodies::default();
        let tracer = tracer(bodies.clone());
        let strange: String = (0..0x180).filter_map(char::from_u32).chain("\u{2028}\u{fffd}😀\"\\".chars()).collect();
        let long = tags::mebibyte();
        tracer.context().run(|| {
            let span = Span::start(&strange);
            span.tag(&strange, strange.as_str());
            span.annotate(&strange);
            span.error(&io::Error::other(strange.clone()));
            span.tag("bytes", format_args!("{:?}", Bytes(b"a\xff\xfe\0\xc3")));
            span.tag("nan", f64::NAN);
            span.tag("infinity", f64::NEG_INFINITY);
            span.tag("largest", u64::MAX);
            span.tag("smallest", i64::MIN);
            span.tag("", "");
            drop(span);
            let _many = span!("many");
            tags::many();
            let _large = span!("large");
            tags::large(&long);
            leaf();
        });
        let tally = tracer.shutdown(DEADLINE);
        assert!(tally.is_conserved(), "{tally:?}");
        assert_eq!((tally.recorded(), tally.dropped()), (4, 0), "{tally:?}");
        let spans = bodies.spans();
        assert_eq!(spans.len(), 4);
        let span = spans.iter().find(|span| span["tags"]["smallest"].is_string()).expect("the strange one");
        // Zipkin cannot show a line separator beside other characters that are not ASCII.
        let sent = strange.replace('\u{2028}', "\n");
        assert_eq!(span["tags"][&sent], Value::String(sent.clone()));
        assert_eq!(span["annotations"][0]["value"], Value::String(sent));
        assert_eq!(span["tags"]["smallest"], i64::MIN.to_string());
        for span in &spans {
            let tags = span["tags"].as_object();
            assert!(tags.is_none_or(|tags| tags.values().all(Value::is_string)), "Zipkin's tags are strings");
        }
    }

    #[test]
    fn too_large_for_a_request_loses_its_largest_tags() {
        let bodies = Bodies::default();
        let tracer = Tracer::builder("faults").sender(bodies.clone()).batch_bytes(4 << 10).linger(Duration::ZERO);
        let tracer = tracer.on_notice(|_| ()).build().expect("a tracer");
        tracer.context().run(|| {
            let _span = span!("span", "small" = 1);
            tag("large", "x".repeat(10_000));
        });
        let tally = tracer.shutdown(DEADLINE);
        assert_eq!((tally.recorded(), tally.sent()), (1, 1), "{tally:?}");
        let spans = bodies.spans();
        assert_eq!(spans[0]["tags"]["small"], "1");
        assert!(spans[0]["tags"]["large"].is_null());
        assert!(tracer.stats().cut_tags() > 0);
    }

    /// A long poll loop that notes each turn, control characters, which take six bytes each, and what takes all of the room by
    /// itself: with the default settings, and with small requests.
    #[test]
    fn of_any_length_does_not_make_its_span_vanish() {
        let control = "\u{1}".repeat(16_000);
        for bytes in [Builder::BATCH_BYTES, 4 << 10] {
            let bodies = Bodies::default();
            let tracer = Tracer::builder("faults").sender(bodies.clone()).batch_bytes(bytes).on_notice(|_| ());
            let tracer = tracer.linger(Duration::ZERO).build().expect("a tracer");
            tracer.context().run(|| {
                {
                    let _turns = span!("turns");
                    (0..14_000).for_each(|_| annotate("ok"));
                }
                {
                    let _tags = span!("tags");
                    (0..10_000).for_each(|number| tag(&format!("k{number}"), number));
                }
                {
                    let _noted = span!("control annotations");
                    (0..15).for_each(|_| annotate(&control));
                }
                {
                    let _tagged = span!("control tags");
                    (0..15).for_each(|number| tag(&format!("k{number}"), control.as_str()));
                }
                let failed = Span::start("failed");
                failed.error(&io::Error::other(control.clone()));
                drop(failed);
                let named = Span::start(&control);
                named.remote(Endpoint::named(control.clone()));
                drop(named);
            });
            let tally = tracer.shutdown(DEADLINE);
            assert_eq!((tally.recorded(), tally.sent()), (6, 6), "{bytes}: {tally}");
            let bodies = bodies.spans();
            let span = |name: &str| bodies.iter().find(|span| span["name"] == name).expect("its name is short");
            let times = |name| span(name)["annotations"].as_array().cloned().unwrap_or_default();
            let turns = times("turns");
            assert!(turns.len() > bytes / 50 && turns.len() < 14_000, "{}", turns.len());
            let cut = |name: &str| span(name)["tags"]["traced.cut"].as_str().unwrap_or_default().to_owned();
            assert!(cut("turns").starts_with(&format!("{} annotations, ", 14_000 - turns.len())), "{}", cut("turns"));
            assert!(bytes == Builder::BATCH_BYTES || cut("tags").contains(" tags, "), "{}", cut("tags"));
            assert!(cut("control annotations").contains(" annotations, "));
            assert!(cut("control tags").contains(" tags, "));
            assert!(span("failed")["tags"]["error"].is_string());
            assert!(tracer.stats().cut_tags() > 0);
        }
    }
}

mod backends {
    use super::*;

    struct Panics(Arc<AtomicU64>);

    impl Reporter for Panics {
        fn report(&mut self, _: &[SpanRecord]) -> Result<(), ReportError> {
            if self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                std::panic::resume_unwind(Box::new("boom"));
            }
            Ok(())
        }

        fn flush(&mut self, _: std::time::Instant) -> Result<(), ReportError> {
            std::panic::resume_unwind(Box::new("boom"));
        }
    }

    impl Sender for Panics {
        fn send(&mut self, _: &[u8]) -> Result<(), SendError> {
            if self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                std::panic::resume_unwind(Box::new("boom"));
            }
            Ok(())
        }
    }

    #[test]
    fn that_panic_lose_a_batch_and_take_the_next() {
        for tracer in [reporting(Panics(Arc::default())), tracer(Panics(Arc::default()))] {
            for _ in 0..4 {
                tracer.context().run(leaf);
                let tally = tracer.flush(DEADLINE);
                assert!(tally.is_conserved() && tally.queued() == 0, "{tally:?}");
            }
            let tally = tracer.shutdown(DEADLINE);
            assert_eq!((tally.sent(), tally.dropped_by(DropReason::ReporterFailed)), (2, 2), "{tally:?}");
        }
    }

    #[test]
    fn notices_may_panic() {
        struct Fails;
        impl Reporter for Fails {
            fn report(&mut self, _: &[SpanRecord]) -> Result<(), ReportError> {
                Err(ReportError::new("no"))
            }
        }
        let told = Arc::new(AtomicU64::new(0));
        let count = told.clone();
        let tracer = Tracer::builder("faults").reporter(Fails).linger(Duration::ZERO).on_notice(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            std::panic::resume_unwind(Box::new("boom"));
        });
        let tracer = tracer.build().expect("a tracer");
        for _ in 0..3 {
            tracer.context().run(leaf);
            assert!(tracer.flush(DEADLINE).is_conserved());
        }
        let tally = tracer.shutdown(DEADLINE);
        assert_eq!(tally.dropped_by(DropReason::ReporterFailed), 3, "{tally:?}");
        assert_eq!(told.load(Ordering::Relaxed), 1, "once, not for every span");
    }

    /// What runs on the tracer's thread is not traced: it would feed itself.
    #[test]
    fn that_are_traced_themselves_record_nothing() {
        struct Traces;
        impl Reporter for Traces {
            fn report(&mut self, _: &[SpanRecord]) -> Result<(), ReportError> {
                leaf();
                let _span = span!("in the reporter");
                drop(Span::start("explicit"));
                tag("key", 1);
                Ok(())
            }
        }
        let tracer = reporting(Traces);
        tracer.context().run(leaf);
        let tally = tracer.shutdown(DEADLINE);
        assert_eq!((tally.recorded(), tally.sent()), (1, 1), "{tally:?}");
    }

    /// A reporter may ask its own tracer for anything: it does not wait for itself.
    #[test]
    fn that_flush_their_own_tracer_do_not_hang() {
        struct Asks(Arc<Mutex<Option<Tracer>>>);
        impl Reporter for Asks {
            fn report(&mut self, _: &[SpanRecord]) -> Result<(), ReportError> {
                let tracer = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(tracer) = tracer {
                    assert!(tracer.flush(DEADLINE).is_conserved());
                    assert!(tracer.stats().tally().is_conserved());
                    drop(tracer.open_spans());
                }
                Ok(())
            }
        }
        let own = Arc::new(Mutex::new(None));
        let tracer = reporting(Asks(own.clone()));
        *own.lock().unwrap_or_else(PoisonError::into_inner) = Some(tracer.clone());
        tracer.context().run(leaf);
        let tally = tracer.shutdown(DEADLINE);
        assert_eq!((tally.recorded(), tally.sent()), (1, 1), "{tally:?}");
    }

    #[test]
    fn get_unfinished_spans_once_and_marked() {
        let kept = Keep::default();
        let tracer = reporting(kept.clone());
        let open = tracer.context().run(|| Span::start("open"));
        open.tag("key", 1);
        assert_eq!(tracer.shutdown(DEADLINE).sent(), 1);
        open.tag("key", 2);
        drop(open);
        assert_eq!(tracer.shutdown(DEADLINE).recorded(), 1);
        let spans = kept.spans();
        assert_eq!(spans.len(), 1);
        assert_eq!((spans[0].name().as_ref(), spans[0].outcome()), ("open", Outcome::Unfinished));
        assert_eq!(spans[0].tag("key").map(|value| value.to_string()).as_deref(), Some("1"));
    }
}

#[test]
fn after_shutdown_nothing_is_recorded_and_nothing_hangs() {
    let bodies = Bodies::default();
    let tracer = tracer(bodies.clone());
    let context = tracer.context();
    let (inside, open) = context.run(|| {
        let _span = span!("span");
        (traced_runtime::Context::current(), Span::start("open"))
    });
    let tally = tracer.shutdown(DEADLINE);
    assert_eq!((tally.recorded(), tally.sent()), (2, 2), "{tally:?}");
    for context in [context, inside, open.context()] {
        context.run(|| {
            leaf();
            tag("key", 1);
            drop(Span::start("explicit"));
        });
    }
    open.tag("key", 1);
    drop(open);
    assert_eq!(tracer.flush(DEADLINE), tally);
    assert_eq!(tracer.shutdown(DEADLINE), tally);
    assert_eq!(bodies.spans().len(), 2);
    assert!(tracer.open_spans().is_empty());
}
