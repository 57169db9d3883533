//! Stackful coroutines that are suspended inside polls, and end in any order. What they record may get another parent than
//! its own; the program stays sound, and each span is recorded once.
//!
//! The stack of a coroutine that has ended is unmapped: to follow a pointer into it ends the process.

#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::pin;
use std::task::{Context as Task, Waker};
use std::time::Duration;

use corosensei::{Coroutine, Yielder};
use traced_runtime::{Context, Span, span, tag, testing, traced};
use traced_tests::random::Random;

type Suspend = Yielder<(), ()>;

fn run(future: impl Future) {
    let mut future = pin!(future);
    while future.as_mut().poll(&mut Task::from_waker(Waker::noop())).is_pending() {}
}

#[traced]
fn leaf() {}

#[traced]
async fn work(suspend: &Suspend, n: u64) {
    tag("n", n);
    suspend.suspend(());
    leaf();
    tag("m", n);
}

/// As `work`, in a context that the thread comes to own.
#[traced]
async fn attached(suspend: &Suspend, n: u64) {
    let _scope = Context::current().with_baggage("n", "1").attach();
    suspend.suspend(());
    leaf();
    tag("m", n);
}

#[traced]
async fn nested(suspend: &Suspend, n: u64) {
    work(suspend, n).await;
    let _guard = span!("guard");
    attached(suspend, n).await;
}

#[test]
fn polls_that_end_in_another_order_than_they_began() {
    let tracer = testing::Tracer::new();
    tracer.run(|| {
        let mut first = Coroutine::new(|suspend: &Suspend, ()| run(work(suspend, 1)));
        let mut second = Coroutine::new(|suspend: &Suspend, ()| run(work(suspend, 2)));
        first.resume(());
        second.resume(());
        first.resume(());
        drop(first);
        second.resume(());
        drop(second);
        leaf();
    });
    assert!(Context::current().is_none());
    let spans = tracer.spans();
    assert_eq!(spans.iter().filter(|span| span.name() == "work").count(), 2);
    assert_eq!(spans.iter().filter(|span| span.name() == "leaf").count(), 3);
}

#[test]
fn coroutines_in_any_order() {
    const COROUTINES: usize = 6;
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let tracer = testing::Tracer::new();
        let mut started = 0;
        tracer.run(|| {
            let root = Span::start("root");
            let _scope = root.attach();
            let mut running: Vec<Option<Coroutine<(), (), ()>>> = (0..COROUTINES).map(|_| None).collect();
            for _ in 0..60 {
                let at = random.below(COROUTINES);
                let kind = random.below(8);
                match &mut running[at] {
                    // Dropped in the middle of a poll, which unwinds.
                    Some(_) if kind == 0 => running[at] = None,
                    Some(coroutine) => {
                        if coroutine.resume(()).as_return().is_some() {
                            running[at] = None;
                        }
                    }
                    place => {
                        started += 1;
                        let mut coroutine = Coroutine::new(move |suspend: &Suspend, ()| match kind {
                            0 | 2 | 4 | 6 => run(work(suspend, 1)),
                            1 => run(nested(suspend, 2)),
                            _ => run(attached(suspend, 3)),
                        });
                        coroutine.resume(());
                        *place = Some(coroutine);
                    }
                }
            }
        });
        let tally = tracer.shutdown(Duration::from_secs(60));
        assert!(tally.is_conserved(), "seed {seed}: {tally:?}");
        assert_eq!(tally.dropped(), 0, "seed {seed}: {tally:?}");
        let spans = tracer.spans();
        let ids: std::collections::HashSet<_> = spans.iter().map(|span| (span.trace_id(), span.id())).collect();
        assert_eq!(ids.len(), spans.len(), "seed {seed}: a span was recorded twice");
        let polled = spans.iter().filter(|span| ["work", "nested", "attached"].contains(&span.name().as_ref())).count();
        assert!(polled >= started, "seed {seed}: {polled} spans of {started} coroutines");
    }
}
