//! Headers of a request: lines `name: value`, of any bytes.

use traced_runtime::{Propagation, testing};

pub const WORDS: &[&[u8]] = &[
    b"b3: ",
    b"traceparent: ",
    b"tracestate: ",
    b"baggage: ",
    b"x-b3-traceid: ",
    b"x-b3-spanid: ",
    b"x-b3-parentspanid: ",
    b"x-b3-sampled: ",
    b"x-b3-flags: ",
    b"00-",
    b"01-",
    b"ff-",
    b"-00",
    b"-01",
    b"-1",
    b"-d",
    b"0000000000000000",
    b"80f198ee56343ba8",
    b"463ac35c9f6413ad48485a3953bb6124",
    b"=",
    b",",
    b";",
    b"%",
    b"%00",
    b"%F0%9F",
    b"\t",
    b" ",
    b"tenant=",
    b"user=",
    b"\xff",
    b"\n",
];

#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90",
        "b3: d\nx-b3-sampled: 0",
        "b3: 0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-d\ntraceparent: \
         00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03\ntracestate: rojo=00f067aa0ba902b7",
        "X-B3-TraceId: 463ac35c9f6413ad48485a3953bb6124\nX-B3-SpanId: a2fb4a1d1a96d312\nX-B3-ParentSpanId: \
         0020000000000001\nX-B3-Sampled: 1\nX-B3-Flags: 1",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\ntracestate: \
         rojo=00f067aa0ba902b7,congo=t61rcWkgMzE\nbaggage: tenant=acme;ttl=1,user=%C3%BC%20b,other=1",
        "traceparent: cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-will-be\ntenant: acme",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

struct Tracers {
    ways: Vec<(Propagation, testing::Tracer)>,
}

impl Tracers {
    fn new() -> Self {
        let fields = |propagation: Propagation| propagation.baggage(["tenant", "user"]);
        let ways = [
            fields(Propagation::b3()),
            fields(Propagation::b3_single()),
            fields(Propagation::b3_message()),
            fields(Propagation::w3c()),
            fields(Propagation::w3c().and(Propagation::b3())),
            fields(Propagation::b3_single().and(Propagation::w3c())),
        ];
        let tracer = |propagation: Propagation| {
            let options = testing::Tracer::options().propagation(propagation.clone());
            (propagation, options.build().expect("a tracer"))
        };
        Self { ways: ways.map(tracer).into() }
    }
}

thread_local! {
    static TRACERS: Tracers = Tracers::new();
}

pub fn run(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n');
    let headers: Vec<(Vec<u8>, Vec<u8>)> = lines
        .map(|line| {
            let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let value = line.get(at + 1..).unwrap_or_default();
            (line[..at].to_vec(), value.strip_prefix(b" ").unwrap_or(value).to_vec())
        })
        .collect();
    TRACERS.with(|tracers| {
        for (propagation, tracer) in &tracers.ways {
            let context = tracer.extract(&headers);
            let mut written: Vec<(String, String)> = Vec::new();
            context.inject_as(propagation, &mut written);
            for (name, value) in &written {
                assert!(!value.bytes().any(|byte| byte.is_ascii_control()), "{name}: {value:?}");
                assert!(name.bytes().all(|byte| byte.is_ascii_graphic()), "{name:?}");
            }
            let again = tracer.extract(&written);
            assert_eq!(context.trace_id(), again.trace_id(), "{written:?}");
            assert_eq!(context.span_id(), again.span_id(), "{written:?}");
            for field in ["tenant", "user"] {
                // No header takes a control character, and only W3C's list has a way to write one.
                let value = context.baggage(field).filter(|value| !value.bytes().any(|byte| byte.is_ascii_control()));
                assert!(value.is_none() || value == again.baggage(field), "{value:?}: {written:?}");
            }
            // Whatever came, what starts here is a span.
            context.run(|| drop(traced_runtime::Span::start("span")));
        }
    });
    thread_local! {
        static RUNS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }
    let runs = RUNS.get().wrapping_add(1);
    RUNS.set(runs);
    if runs.is_multiple_of(1 << 12) {
        // What the spans were is not asked, and would pile up.
        TRACERS.with(|tracers| tracers.ways.iter().for_each(|(_, tracer)| tracer.clear()));
    }
}
