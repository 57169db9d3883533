//! Spans faster than they can be sent. Alone in its process: it uses up the budget of the logs, which all tracers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use traced_runtime::{DropReason, ReportError, Reporter, Span, SpanRecord, Tracer, span};

struct Count(Arc<AtomicU64>);

impl Reporter for Count {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn a_million_spans_flat_out_are_sent_or_dropped_and_counted() {
    const SPANS: u64 = 1_000_000;
    let count = Arc::new(AtomicU64::new(0));
    let tracer = Tracer::builder("counts")
        .reporter(Count(count.clone()))
        .queue_bytes(64 << 10)
        .linger(Duration::ZERO)
        .on_notice(|_| ())
        .build()
        .expect("a tracer");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                tracer.context().run(|| {
                    for _ in 0..SPANS / 20 {
                        let _outer = span!("outer");
                        for n in 0..8 {
                            let _inner = span!("inner", "n" = n);
                        }
                        drop(Span::start("explicit"));
                    }
                });
            });
        }
        for _ in 0..100 {
            let tally = tracer.stats().tally();
            assert!(tally.is_conserved(), "{tally:?}");
            thread::yield_now();
        }
    });
    let tally = tracer.shutdown(DEADLINE);
    assert!(tally.is_conserved(), "{tally:?}");
    assert_eq!(tally.recorded(), SPANS, "{tally:?}");
    assert_eq!(tally.queued(), 0, "{tally:?}");
    assert_eq!(tally.sent() + tally.dropped(), SPANS, "{tally:?}");
    assert_eq!(tally.sent(), count.load(Ordering::Relaxed), "{tally:?}");
    assert!(
        tally.drops().all(|(reason, _)| [DropReason::QueueFull, DropReason::LogFull].contains(&reason)),
        "{tally:?}"
    );
}
