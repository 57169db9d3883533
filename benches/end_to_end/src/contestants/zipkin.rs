//! Palantir's zipkin, which makes JSON of its spans and leaves it to the user to send them: by a thread behind a bounded
//! channel, because a report must not wait.

use std::hint::black_box;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use zipkin::sample::AlwaysSampler;
use zipkin::{Endpoint, Report, Span, spanned};

use super::batches::Collector;
use crate::produce::CHILDREN;

/// Spans of a request.
const BATCH: usize = 2_000;

/// Spans that may wait.
const QUEUE: usize = 16 << 10;

enum Message {
    Span(Span),
    Stop(SyncSender<()>),
}

struct Sends(SyncSender<Message>);

impl Report for Sends {
    fn report(&self, span: Span) {
        // What finds no room is dropped.
        let _ = self.0.try_send(Message::Span(span));
    }
}

fn send(collector: &Collector, queue: &Receiver<Message>) {
    let (mut batch, mut body) = (Vec::new(), Vec::new());
    let mut flush = |batch: &mut Vec<Span>| {
        if !batch.is_empty() {
            body.clear();
            serde_json::to_writer(&mut body, &batch).expect("spans are JSON");
            collector.send(&body);
            batch.clear();
        }
    };
    for message in queue {
        match message {
            Message::Span(span) => batch.push(span),
            Message::Stop(done) => {
                flush(&mut batch);
                done.send(()).ok();
                return;
            }
        }
        if batch.len() == BATCH {
            flush(&mut batch);
        }
    }
}

#[inline(never)]
fn child(n: u32, kind: &'static str) -> u32 {
    let mut span = zipkin::next_span().with_name("child");
    span.tag("n", &n.to_string());
    span.tag("kind", kind);
    black_box(n)
}

#[spanned(name = "root")]
pub fn trace() {
    for n in 0..CHILDREN {
        child(n, "cart");
    }
}

pub fn start(collector: &str) -> Box<dyn FnOnce()> {
    let (sender, queue) = sync_channel(QUEUE);
    let collector = Collector::new(collector);
    std::thread::spawn(move || send(&collector, &queue));
    let endpoint = Endpoint::builder().service_name("bench").build();
    zipkin::set_tracer(AlwaysSampler, Sends(sender.clone()), endpoint).expect("started once");
    Box::new(move || {
        let (done, wait) = sync_channel(1);
        sender.send(Message::Stop(done)).ok();
        wait.recv().ok();
    })
}
