//! Tags, annotations and values: what arrives, what is cut, and what user code may do meanwhile.

use std::fmt;
use std::thread;
use std::time::Duration;

use traced_runtime::limits::{KEY_BYTES, SPAN_BYTES, VALUE_BYTES};
use traced_runtime::{Context, Outcome, Span, Tag, Value, annotate, span, tag, testing, traced};
use traced_tests::{Checked, now};

#[traced]
fn leaf() {}

fn text(tracer: &Checked, span: &str, key: &str) -> Option<String> {
    tracer.span(span).tag(key).map(|value| value.to_string())
}

mod arrive {
    use super::*;

    #[test]
    fn from_other_threads_before_the_end_and_are_late_after_it() {
        let tracer = Checked::new();
        let context = tracer.run(|| {
            let _span = span!("span");
            let context = Context::current();
            thread::scope(|scope| {
                scope.spawn(|| {
                    context.tag("early", 1);
                    context.annotate("early");
                });
            });
            context
        });
        assert_eq!(text(&tracer, "span", "early").as_deref(), Some("1"));
        thread::scope(|scope| {
            scope.spawn(|| {
                context.tag("late", 1);
                context.annotate("late");
            });
        });
        tracer.assert_tree("span  early=1  @ early");
        assert_eq!(tracer.end().late_tags(), 2);
    }

    #[test]
    fn on_explicit_spans_that_end_elsewhere() {
        let tracer = Checked::new();
        for _ in 0..50 {
            let span = tracer.run(|| Span::start("span"));
            span.tag("a", 1);
            let span = thread::spawn(move || {
                span.tag("b", 2);
                span
            })
            .join()
            .expect("no panic");
            thread::spawn(move || drop(span)).join().expect("no panic");
            tracer.assert_tree("span  a=1  b=2");
            tracer.clear();
        }
        assert_eq!(tracer.end().late_tags(), 0);
    }

    #[test]
    fn the_last_of_a_key_wins() {
        let tracer = Checked::new();
        tracer.run(|| {
            let _span = span!("span", "key" = 1);
            tag("key", 2);
            Context::current().tag("key", 3);
            tag("key", "four");
        });
        tracer.assert_tree("span  key=four");
        tracer.clear();
        tracer.run(|| {
            let span = Span::start("span");
            span.tag("key", 1);
            thread::scope(|scope| {
                scope.spawn(|| span.tag("key", 2));
            });
            span.tag("key", 3);
            let context = span.context();
            context.run(|| tag("key", 4));
        });
        tracer.assert_tree("span  key=4");
    }

    #[test]
    fn on_the_span_that_is_current() {
        let tracer = Checked::new();
        tracer.run(|| {
            tag("nowhere", 1);
            let span = Span::start("explicit");
            let scope = span.attach();
            tag("a", 1);
            {
                let _inner = span!("inner");
                tag("b", 1);
                annotate("inner");
            }
            tag("c", 1);
            annotate("outer");
            drop(scope);
            tag("nowhere", 2);
        });
        tracer.assert_tree(
            "
            explicit  a=1  c=1  @ outer
            └─ inner  b=1  @ inner
            ",
        );
    }

    #[test]
    fn on_a_caller_s_span_while_a_callee_runs() {
        let tracer = Checked::new();
        tracer.run(|| {
            let _caller = span!("caller");
            let caller = Context::current();
            let _callee = span!("callee");
            caller.tag("told", "by the callee");
        });
        tracer.assert_tree(
            "
            caller  told=\"by the callee\"
            └─ callee
            ",
        );
    }
}

mod user_code {
    use super::*;

    struct Traced(u32);

    impl fmt::Display for Traced {
        #[traced(name = "format")]
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            leaf();
            tag("inside", self.0);
            write!(f, "<{}>", self.0)
        }
    }

    impl fmt::Debug for Traced {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let _span = span!("debug", "of" = %self);
            f.write_str(&"long ".repeat(200))
        }
    }

    #[traced(tags(value = %value))]
    fn traced_values(value: Traced) {}

    #[test]
    fn that_is_traced_itself_may_format_a_tag() {
        let tracer = Checked::new();
        tracer.run(|| {
            traced_values(Traced(1));
            let _span = span!("step", "value" = ?Traced(2));
        });
        let spans = tracer.spans();
        assert_eq!(spans.len(), 7, "{}", tracer.tree());
        assert_eq!(text(&tracer, "traced_values", "value").as_deref(), Some("<1>"));
        assert_eq!(text(&tracer, "step", "value").map(|value| value.len()), Some(1000));
        assert_eq!(text(&tracer, "debug", "of").as_deref(), Some("<2>"));
        assert!(spans.iter().all(|span| span.outcome() == Outcome::Returned));
    }

    #[derive(Debug)]
    struct Bomb;

    impl fmt::Display for Bomb {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half a ")?;
            std::panic::resume_unwind(Box::new("boom"));
        }
    }

    impl std::error::Error for Bomb {}

    impl Value for Bomb {
        fn record(&self, _: impl Tag) {
            std::panic::resume_unwind(Box::new("boom"));
        }
    }

    #[traced(tags(bomb = %Bomb))]
    fn displayed() {}

    #[traced(tags(bomb = Bomb))]
    fn recorded() {}

    #[traced]
    fn returned() -> Result<(), Bomb> {
        Err(Bomb)
    }

    #[traced]
    async fn returned_async() -> Result<(), Bomb> {
        Err(Bomb)
    }

    /// It is the program's own panic; nothing of ours is left half done.
    #[test]
    fn that_panics_leaves_nothing_behind() {
        let tracer = Checked::new();
        tracer.run(|| {
            let _outer = span!("outer");
            let before = Context::current();
            let panicking: [fn(); 6] = [
                displayed,
                recorded,
                || drop(returned()),
                || drop(now(returned_async())),
                || tag("bomb", Bomb),
                || traced_runtime::error(&Bomb),
            ];
            for code in panicking {
                std::panic::catch_unwind(code).expect_err("it fails");
                assert_eq!(Context::current(), before);
            }
            leaf();
        });
        tracer.assert_tree(
            "
            outer
            ├─ displayed  panicked
            ├─ recorded  panicked
            ├─ returned  panicked
            ├─ returned_async  panicked
            └─ leaf
            ",
        );
    }

    struct Twice;

    impl Value for Twice {
        fn record(&self, tag: impl Tag) {
            // Ends the span that the tag is for, and its whole context, before the value is there.
            drop(span!("while it is recorded"));
            tag.text("value");
        }
    }

    struct Never;

    impl Value for Never {
        fn record(&self, _: impl Tag) {}
    }

    #[test]
    fn may_record_spans_or_nothing() {
        let tracer = Checked::new();
        tracer.run(|| {
            let _span = span!("span", "twice" = Twice, "never" = Never);
        });
        tracer.assert_tree(
            "
            span  twice=value
            └─ while it is recorded
            ",
        );
    }

    #[test]
    fn is_not_run_where_nothing_is_recorded() {
        struct Counts<'a>(&'a std::cell::Cell<u32>);
        impl Value for Counts<'_> {
            fn record(&self, _: impl Tag) {
                self.0.set(self.0.get() + 1);
            }
        }
        let count = std::cell::Cell::new(0);
        let evaluated = || {
            count.set(count.get() + 1);
            1
        };
        let _span = span!("span", "counts" = Counts(&count), "evaluated" = evaluated());
        tag("counts", Counts(&count));
        let tracer = Checked::with(testing::Tracer::options().sampler(traced_runtime::Sampler::never()));
        tracer.run(|| {
            let _span = span!("span", "counts" = Counts(&count), "evaluated" = evaluated());
            tag("counts", Counts(&count));
        });
        assert_eq!(count.get(), 0);
    }
}

mod limits {
    use super::*;

    #[test]
    fn of_values_and_keys_cut_and_count() {
        let tracer = Checked::new();
        let long = "ü".repeat(1 << 19);
        tracer.run(|| {
            let _span = span!("span");
            tag("text", long.as_str());
            tag("display", format_args!("{long}"));
            tag(&long, 1);
            annotate(&long);
            let explicit = Span::start(&long);
            explicit.tag("text", long.as_str());
        });
        let spans = tracer.spans();
        for span in &spans {
            for (key, value) in span.tags() {
                assert!(key.len() <= KEY_BYTES, "{}", key.len());
                assert!(value.to_string().len() <= VALUE_BYTES);
            }
            assert!(span.name().len() <= VALUE_BYTES);
        }
        assert_eq!(spans.iter().map(|span| span.tags().count()).sum::<usize>(), 4);
        assert_eq!(tracer.end().cut_values(), 6);
    }

    #[test]
    fn of_a_span_leave_out_tags_and_count() {
        const TAGS: u64 = 10_000;
        let tracer = Checked::new();
        tracer.run(|| {
            let _span = span!("span");
            for n in 0..TAGS {
                tag(&format!("key {n}"), "x".repeat(100));
            }
            Context::current().error(&std::io::Error::other("x".repeat(1000)));
        });
        let span = tracer.span("span");
        let (mut tags, mut bytes) = (0, 0);
        for (key, value) in span.tags() {
            tags += 1;
            bytes += key.len() + value.to_string().len();
        }
        assert!(bytes <= SPAN_BYTES && bytes > SPAN_BYTES / 2, "{bytes}");
        assert_eq!(span.outcome(), Outcome::Error, "a failed span is one however many tags it has");
        let stats = tracer.end();
        assert!(stats.cut_tags() >= TAGS - tags, "{tags} of {TAGS} tags, {stats:?}");
        assert_eq!(stats.cut_values(), 0);
    }

    #[test]
    fn hold_for_tags_from_other_threads_too() {
        let tracer = Checked::new();
        tracer.run(|| {
            let span = Span::start("span");
            thread::scope(|scope| {
                for thread in 0..4 {
                    let span = &span;
                    scope.spawn(move || {
                        for n in 0..2_000 {
                            span.tag(&format!("key {thread} {n}"), "x".repeat(100));
                        }
                    });
                }
            });
        });
        let span = tracer.span("span");
        let bytes: usize = span.tags().map(|(key, value)| key.len() + value.to_string().len()).sum();
        assert!(bytes <= SPAN_BYTES, "{bytes}");
        assert!(tracer.end().cut_tags() > 0);
    }

    #[test]
    fn of_strange_texts_there_are_none() {
        let strange = "\0\u{1}\n\t\"\\\u{7f}\u{2028}\u{fffd}😀";
        let tracer = Checked::new();
        tracer.run(|| {
            let span = Span::start(strange);
            span.tag(strange, strange);
            span.annotate(strange);
            span.tag("", "");
        });
        let span = tracer.spans().remove(0);
        assert_eq!(span.name(), strange);
        assert_eq!(span.tag(strange).map(|value| value.to_string()).as_deref(), Some(strange));
        assert_eq!(span.tag("").map(|value| value.to_string()).as_deref(), Some(""));
        assert_eq!(span.annotations().next().map(|(_, text)| text), Some(strange));
        tracer.flush(Duration::ZERO);
    }
}

/// Tags that a site names, by the clock and in the log of a process: each value takes the short way there.
mod of_sites {
    use std::sync::mpsc::{Sender, channel};

    use traced_runtime::{ReportError, Reporter, SpanRecord, Tracer};

    use super::*;

    struct Gives(Sender<SpanRecord>);

    impl Reporter for Gives {
        fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
            for span in batch {
                self.0.send(span.clone()).ok();
            }
            Ok(())
        }
    }

    struct Nested<'a>(&'a str);

    impl fmt::Display for Nested<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let _span = span!("inside", "text" = self.0);
            leaf();
            write!(f, "{}-{}", self.0, self.0.len())
        }
    }

    #[traced(tags(text, displayed = %text, debug = ?text, nested = %Nested(text), len = text.len(), signed = -7_i64,
                  float = 0.25, flag = true, none = None::<u8>))]
    fn tagged(text: &str) {
        leaf();
    }

    #[test]
    fn of_every_length_arrive_whole_and_in_their_place() {
        let (sender, spans) = channel();
        let tracer = Tracer::builder("tags").reporter(Gives(sender)).build().expect("a tracer");
        let whole = "abcdefghijklmnopqrstuvwxyzäöüß".repeat(40);
        let texts: Vec<&str> = (0..600).filter_map(|end| whole.get(..end)).collect();
        tracer.context().run(|| texts.iter().for_each(|text| tagged(text)));
        let tally = tracer.shutdown(Duration::from_secs(60));
        assert!(tally.is_conserved() && tally.dropped() == 0, "{tally:?}");
        drop(tracer);
        let spans: Vec<SpanRecord> = spans.try_iter().collect();
        let named = |name: &'static str| spans.iter().filter(move |span| span.name() == name);
        let value = |span: &SpanRecord, key: &str| span.tag(key).map(|value| value.to_string());
        assert_eq!(named("tagged").count(), texts.len());
        for (span, text) in named("tagged").zip(&texts) {
            assert_eq!(value(span, "text").as_deref(), Some(*text));
            assert_eq!(value(span, "displayed").as_deref(), Some(*text));
            assert_eq!(value(span, "debug"), Some(format!("{text:?}")));
            assert_eq!(value(span, "nested"), Some(format!("{text}-{}", text.len())));
            assert_eq!(value(span, "len"), Some(text.len().to_string()));
            assert_eq!(value(span, "signed").as_deref(), Some("-7"));
            assert_eq!(value(span, "float").as_deref(), Some("0.25"));
            assert_eq!(value(span, "flag").as_deref(), Some("true"));
            assert_eq!(value(span, "none"), None);
        }
        assert_eq!(named("inside").count(), texts.len());
        for (inside, tagged) in named("inside").zip(named("tagged")) {
            assert_eq!(inside.parent_id(), Some(tagged.id()), "what a formatter records is below the span");
            assert_eq!(value(inside, "text"), value(tagged, "text"));
        }
        assert_eq!(named("leaf").count(), 2 * texts.len());
    }
}
