//! fastrace, whose reporters leave Zipkin out: one that writes its JSON as plainly as can be.

use std::hint::black_box;
use std::io::Write;

use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::LocalSpan;
use fastrace::{Span, trace};

use super::batches::Collector;
use crate::produce::CHILDREN;

/// Spans of a request.
const BATCH: usize = 2_000;

struct Zipkin {
    collector: Collector,
    body: Vec<u8>,
}

impl Reporter for Zipkin {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        for batch in spans.chunks(BATCH) {
            self.body.clear();
            for span in batch {
                self.body.push(if self.body.is_empty() { b'[' } else { b',' });
                let (begin, duration) = (span.begin_time_unix_ns / 1000, (span.duration_ns / 1000).max(1));
                let _ = write!(
                    self.body,
                    r#"{{"traceId":"{:032x}","id":"{:016x}","name":"{}","timestamp":{begin},"duration":{duration},"#,
                    span.trace_id.0, span.span_id.0, span.name
                );
                if span.parent_id.0 != 0 {
                    let _ = write!(self.body, r#""parentId":"{:016x}","#, span.parent_id.0);
                }
                self.body.extend_from_slice(br#""localEndpoint":{"serviceName":"bench"},"tags":{"#);
                for (at, (key, value)) in span.properties.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    let _ = write!(self.body, r#"{comma}"{key}":"{value}""#);
                }
                self.body.extend_from_slice(b"}}");
            }
            self.body.push(b']');
            self.collector.send(&self.body);
        }
    }
}

#[inline(never)]
#[trace]
fn child(n: u32, kind: &'static str) -> u32 {
    LocalSpan::add_properties(|| {
        [("n", n.to_string().into()), ("kind", kind.into())] as [(&str, std::borrow::Cow<'static, str>); 2]
    });
    black_box(n)
}

pub fn trace() {
    let root = Span::root("root", SpanContext::random());
    let _guard = root.set_local_parent();
    for n in 0..CHILDREN {
        child(n, "cart");
    }
}

pub fn start(collector: &str) -> Box<dyn FnOnce()> {
    fastrace::set_reporter(Zipkin { collector: Collector::new(collector), body: Vec::new() }, Config::default());
    Box::new(fastrace::flush)
}
