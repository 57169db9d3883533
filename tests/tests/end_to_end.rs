//! Spans through the whole of the library to a collector: all of them, as they were meant, however the program ends.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use serde_json::Value;
use traced_runtime::{Context, Endpoint, Kind, Span, TraceId, Tracer, span, traced};
use traced_tests::{Collector, Output, Program, Received, TraceTree, Zipkin};

const SOON: Duration = Duration::from_secs(60);

mod ten_thousand_traces {
    use super::*;

    const THREADS: usize = 4;
    const TRACES: usize = 10_000;
    /// Traces of one thread between two flushes: what the default queue holds, many times over.
    const AT_ONCE: usize = 125;

    /// Twenty spans: itself, three parts, and in each of them something.
    #[traced]
    fn request(number: usize) -> Context {
        traced_runtime::tag("number", number);
        for part in 1..=3 {
            part_of(part);
        }
        Context::current()
    }

    #[traced(tags(part))]
    fn part_of(part: usize) {
        for _ in 0..if part == 3 { 6 } else { 5 } {
            let _step = span!("step");
        }
    }

    /// A server and a tracer of its own: the totals are compared.
    #[test]
    fn of_twenty_spans_arrive_once() {
        let Some(zipkin) = Zipkin::options().max_spans(1_000_000).heap_megabytes(768).start() else {
            return;
        };
        let tracer = Tracer::builder("ten thousand").collector(zipkin.spans_url()).build().unwrap();
        let sampled: Vec<TraceId> = std::thread::scope(|scope| {
            let thread = || {
                let mut some = Vec::new();
                for _ in 0..TRACES / THREADS / AT_ONCE {
                    let mut last = Context::none();
                    for number in 0..AT_ONCE {
                        last = tracer.context().run(|| request(number));
                    }
                    some.extend(last.trace_id());
                    let tally = tracer.flush(SOON);
                    assert!(tally.is_conserved() && tally.dropped() == 0, "{tally:?}");
                }
                some
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(thread)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let tally = tracer.flush(SOON);
        assert_eq!((tally.recorded(), tally.sent(), tally.queued(), tally.dropped()), (200_000, 200_000, 0, 0));
        assert!(tally.is_conserved());
        assert_eq!(tracer.shutdown(SOON), tally, "nothing was open");
        assert_eq!(tracer.stats().retries(), 0);

        for trace in [sampled[0], sampled[sampled.len() - 1]] {
            let spans = zipkin.wait_for_trace(&trace.to_string(), 20);
            let tree = TraceTree::of(&spans);
            let names: Vec<_> = tree.spans().filter_map(|span| span["name"].as_str()).collect();
            let part = |steps| std::iter::once("part_of").chain(std::iter::repeat_n("step", steps));
            let expected: Vec<_> = std::iter::once("request").chain(part(5)).chain(part(5)).chain(part(6)).collect();
            assert_eq!(names, expected);
            assert_eq!(tree.span("request")["tags"]["number"], (AT_ONCE - 1).to_string());
        }
        let metrics = zipkin.metrics();
        assert_eq!((metrics.spans, metrics.spans_dropped, metrics.messages_dropped), (200_000, 0, 0));
        assert_eq!(metrics.messages, tally.batches());
    }
}

mod bodies {
    use super::*;

    #[traced(kind = client, remote = "mysql", tags("db.rows" = rows))]
    fn query(rows: u32) {}

    fn shop() -> Endpoint {
        Endpoint::new().ip([10, 0, 0, 7].into()).port(8080)
    }

    /// The body with ids and times replaced: `<trace>`, `<name of the span>`, and `0` for each time.
    fn pinned(request: &Received) -> String {
        let mut text = request.text();
        for span in request.spans() {
            let name = |field: &str| span[field].as_str().unwrap_or_default().to_owned();
            text = text.replace(&name("traceId"), "<trace>").replace(&name("id"), &format!("<{}>", name("name")));
        }
        for field in ["\"timestamp\":", "\"duration\":"] {
            let mut parts = text.split(field);
            let mut pinned = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
                assert_ne!(rest, part, "{field}{part}");
                pinned.push_str(&format!("{field}0{rest}"));
            }
            text = pinned;
        }
        text
    }

    #[test]
    fn are_these_bytes_under_these_headers() {
        let collector = Collector::start();
        let builder = Tracer::builder("Shop").collector(collector.url()).local_endpoint(shop());
        // Everything in one request, when it is asked for.
        let tracer = builder.linger(SOON).build().unwrap();
        tracer.context().run(|| {
            let order = Span::start("order");
            let _scope = order.attach();
            query(3);
            order.kind(Kind::Server);
            order.remote(Endpoint::new().ip([192, 0, 2, 1].into()).port(49_152));
            order.tag("item", "\"tea\"\n");
            order.tag("price", 0.5);
            order.tag("gift", false);
            order.annotate("packed");
            order.error(&std::io::Error::other("no tea"));
        });
        let tally = tracer.shutdown(SOON);
        assert_eq!((tally.sent(), tally.batches()), (2, 1));
        let received = collector.received();
        let [request] = &received[..] else { unreachable!("{received:?}") };
        assert_eq!(
            pinned(request),
            concat!(
                r#"[{"traceId":"<trace>","parentId":"<order>","id":"<query>","kind":"CLIENT","name":"query","#,
                r#""timestamp":0,"duration":0,"localEndpoint":{"serviceName":"Shop","ipv4":"10.0.0.7","port":8080},"#,
                r#""remoteEndpoint":{"serviceName":"mysql"},"tags":{"db.rows":"3"}},"#,
                r#"{"traceId":"<trace>","id":"<order>","kind":"SERVER","name":"order","#,
                r#""timestamp":0,"duration":0,"localEndpoint":{"serviceName":"Shop","ipv4":"10.0.0.7","port":8080},"#,
                r#""remoteEndpoint":{"ipv4":"192.0.2.1","port":49152},"#,
                r#""annotations":[{"timestamp":0,"value":"packed"}],"#,
                r#""tags":{"item":"\"tea\"\n","price":"0.5","gift":"false","error":"no tea"}}]"#,
            )
        );
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v2/spans"));
        // Compressed, if another package of the same build asks for that.
        let mut headers: Vec<_> = request.headers.iter().filter(|(name, _)| name != "content-encoding").collect();
        headers.sort();
        let address = collector.address().to_string();
        let expected = [
            ("accept", "*/*"),
            ("b3", "0"),
            ("content-length", &request.body.len().to_string()),
            ("content-type", "application/json"),
            ("host", &address),
            ("user-agent", concat!("traced/", env!("CARGO_PKG_VERSION"))),
        ];
        assert_eq!(
            headers,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned())).iter().collect::<Vec<_>>()
        );
    }

    #[test]
    fn of_64_bit_traces_have_the_trace_id_of_their_root() {
        let collector = Collector::start();
        let tracer = Tracer::builder("shop").collector(collector.url()).trace_id_64().build().unwrap();
        tracer.context().run(|| query(0));
        tracer.context().run(|| drop(Span::start("explicit")));
        tracer.shutdown(SOON);
        let spans = collector.accepted_spans();
        assert_eq!(spans.len(), 2);
        for span in spans {
            assert_eq!(span["traceId"].as_str().map(str::len), Some(16));
            assert_eq!(span["traceId"], span["id"]);
        }
    }
}

mod endings {
    use super::*;

    /// Runs the program `ends` and returns what it left, with the names and errors of the spans that came.
    fn ends(how: &str) -> (Output, Vec<(Value, Value)>) {
        let collector = Collector::start();
        let program = Program::example_of("traced-tests", "ends").arg(how).env("RUST_BACKTRACE", 0);
        let output = program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", collector.url()).run(SOON);
        assert!(output.stdout.starts_with("sent 1 span in 1 batch, 0 dropped\n"), "{output:?}");
        let about = |span: &Value| (span["name"].clone(), span["tags"]["error"].clone());
        (output, collector.accepted_spans().iter().map(about).collect())
    }

    fn span(name: &str) -> (Value, Value) {
        (name.into(), Value::Null)
    }

    const SUMMARY: &str = "traced: sent 2 spans in 2 batches, 0 dropped\n";

    #[test]
    fn by_return_loses_nothing() {
        let (output, spans) = ends("return");
        assert_eq!((output.status.code(), output.stderr.as_str()), (Some(0), SUMMARY));
        assert_eq!(spans, [span("flushed"), span("last")]);
    }

    #[test]
    fn by_a_panic_loses_nothing() {
        let (output, spans) = ends("panic");
        assert_eq!(output.status.code(), Some(101));
        assert!(output.stderr.ends_with(SUMMARY), "{}", output.stderr);
        assert_eq!(spans, [span("flushed"), ("last".into(), "panicked".into())]);
    }

    #[test]
    fn by_exit_after_a_shutdown_loses_nothing() {
        let (output, spans) = ends("shutdown");
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout.ends_with("\nsent 2 spans in 2 batches, 0 dropped\n"), "{}", output.stdout);
        // Who shut it down has the tally, and says what is to be said.
        assert_eq!(output.stderr, "");
        assert_eq!(spans, [span("flushed"), span("last")]);
    }

    /// As the documentation says: no destructor runs.
    #[test]
    fn by_exit_alone_loses_what_was_not_sent_yet() {
        for how in ["exit", "exit inside"] {
            let (output, spans) = ends(how);
            assert_eq!((output.status.code(), output.stderr.as_str()), (Some(3), ""));
            assert_eq!(spans, [span("flushed")]);
        }
    }

    #[test]
    fn the_example_exit_loses_nothing() {
        let collector = Collector::start();
        let program = Program::example("exit").env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", collector.url());
        let output = program.run(SOON).success();
        assert_eq!(output.stdout, "sent 1 span in 1 batch, 0 dropped\n");
        assert_eq!(collector.accepted_spans().len(), 1);
    }
}
