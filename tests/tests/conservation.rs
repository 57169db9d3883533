//! `recorded = sent + queued + Σ dropped` at every instant and for every tracer, over random schedules of spans, threads,
//! faults, flushes and shutdowns. What a schedule does depends on its number alone.

use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Task, Waker};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use traced_runtime::{
    InContext, ReportError, Reporter, SendError, Sender, Span, SpanRecord, Tally, Tracer, span, tag, testing, traced,
};

/// Schedules, unless `TRACED_SCHEDULES` says how many, as `1000000`, or which, as `65896..65900`.
const SCHEDULES: u64 = 10_000;

fn schedules() -> Range<u64> {
    let Ok(asked) = std::env::var("TRACED_SCHEDULES") else { return 0..SCHEDULES };
    let number = |text: &str| text.parse().expect("TRACED_SCHEDULES is a number, or two with `..` between them");
    match asked.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(&asked),
    }
}

/// Bytes of the smallest spool for such batches, which is soon full: two of them, in whole blocks.
fn small_spool(batch: usize) -> u64 {
    2 * (batch as u64 + 4_096).next_multiple_of(4_096)
}

/// SplitMix64.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A backend that fails as its random numbers say, and counts what it took.
struct Backend {
    random: Random,
    /// Of eight calls so many fail.
    failing: u64,
    taken: Arc<AtomicU64>,
}

enum Fault {
    Send(SendError),
    Report(ReportError),
}

impl Backend {
    fn fault(&mut self) -> Option<Fault> {
        if self.random.below(8) >= self.failing {
            return None;
        }
        Some(match self.random.below(7) {
            0 => Fault::Send(SendError::unreachable("no")),
            1 => Fault::Send(SendError::retry("later")),
            2 => Fault::Send(SendError::rejected("bad")),
            3 => Fault::Send(SendError::too_large("large")),
            4 => Fault::Send(SendError::refused("never")),
            5 => Fault::Report(ReportError::retry("later")),
            _ => resume_unwind(Box::new("boom")),
        })
    }
}

impl Sender for Backend {
    fn send(&mut self, body: &[u8]) -> Result<(), SendError> {
        match self.fault() {
            Some(Fault::Send(error)) => return Err(error),
            Some(Fault::Report(_)) => return Err(SendError::retry_after("later", Duration::from_millis(1))),
            None => {}
        }
        let spans = body.windows(9).filter(|window| window == b"\"traceId\"").count();
        self.taken.fetch_add(spans as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Reporter for Backend {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        match self.fault() {
            Some(Fault::Report(error)) => return Err(error),
            Some(Fault::Send(error)) => return Err(ReportError::new(error)),
            None => {}
        }
        self.taken.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// A tracer, and what is known of it without asking it.
struct Subject {
    tracer: Tracer,
    /// A test's, which has no thread; kept for its drop.
    kit: Option<testing::Tracer>,
    /// Where its spans wait that cannot be sent, in some schedules.
    spool: Option<TempDir>,
    /// Spans that were started.
    started: AtomicU64,
    taken: Arc<AtomicU64>,
    down: AtomicBool,
    /// Numbers that never fall: recorded, sent, dropped.
    seen: Mutex<[u64; 3]>,
}

impl Subject {
    fn new(random: &mut Random) -> Self {
        let taken = Arc::new(AtomicU64::new(0));
        let backend = Backend { random: Random(random.next()), failing: random.below(9), taken: taken.clone() };
        let kit = (random.below(4) == 0).then(|| {
            let bytes = [0, 1 << 10, 3 << 10, 20 << 10, 8 << 20][usize::try_from(random.below(5)).unwrap_or(0)];
            testing::Tracer::options().log_bytes(bytes).build().expect("a tracer")
        });
        let mut spool = None;
        let tracer = match &kit {
            Some(kit) => (**kit).clone(),
            None => {
                let queue = 600 << random.below(12);
                let builder = Tracer::builder("conservation").queue_bytes(queue).on_notice(|_| ());
                let batch = (300 << random.below(10)).min(queue);
                let builder = builder.batch_bytes(batch);
                let builder = builder.linger(Duration::from_micros(random.below(3) * 500));
                let builder = if random.below(4) == 0 {
                    let at = AtomicU64::new(0);
                    builder.redact(move |span| {
                        if at.fetch_add(1, Ordering::Relaxed).is_multiple_of(5) {
                            resume_unwind(Box::new("boom"));
                        }
                        span.set_name("redacted");
                    })
                } else {
                    builder
                };
                let builder = match random.below(8) {
                    0..3 => builder.reporter(backend),
                    3..6 => builder.sender(backend),
                    _ => {
                        let directory = tempfile::tempdir().expect("a directory");
                        let path = directory.path().join("spool");
                        // In some it cannot be made, and in some it is full after a few batches.
                        if random.below(8) == 0 {
                            fs::write(&path, "in the way").expect("a file");
                        }
                        spool = Some(directory);
                        let failing = if random.below(2) == 0 { 8 } else { backend.failing };
                        let builder = builder.sender(Backend { failing, ..backend }).spool(path);
                        if random.below(2) == 0 { builder.spool_bytes(small_spool(batch)) } else { builder }
                    }
                };
                builder.build().expect("a tracer")
            }
        };
        let (started, down) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { tracer, kit, spool, started, taken, down, seen: Mutex::default() }
    }

    /// What must hold at every instant.
    fn check(&self, tally: &Tally) {
        assert!(tally.is_conserved(), "{tally:?}");
        let by_reason: u64 = tally.drops().map(|(_, spans)| spans).sum();
        assert_eq!(by_reason, tally.dropped(), "{tally:?}");
        assert!(tally.spooled() <= tally.queued(), "{tally:?}");
        assert!(self.spool.is_some() || tally.spooled() == 0, "{tally:?}");
    }

    /// Spans in the files of its spool.
    fn in_files(&self) -> u64 {
        let Some(spool) = &self.spool else { return 0 };
        let folders = fs::read_dir(spool.path().join("spool")).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        let spans = files.filter_map(|file| {
            let bytes = fs::read(file.path()).ok()?;
            Some(u64::from(u32::from_le_bytes(bytes.get(24..28)?.try_into().ok()?)))
        });
        spans.sum()
    }

    fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = self.tracer.stats().tally();
        self.check(&tally);
        let now = [tally.recorded(), tally.sent(), tally.dropped()];
        assert!(now.iter().zip(&*seen).all(|(now, before)| now >= before), "{now:?} after {seen:?}");
        *seen = now;
    }

    fn start(&self, spans: u64) {
        self.started.fetch_add(spans, Ordering::Relaxed);
    }
}

#[traced]
async fn polled_twice() {
    tokio::task::yield_now().await;
}

/// Polls it once or to its end.
fn poll(future: impl Future<Output = ()>, to_the_end: bool) {
    let mut future = std::pin::pin!(future);
    let mut task = Task::from_waker(Waker::noop());
    while future.as_mut().poll(&mut task).is_pending() {
        if !to_the_end {
            return;
        }
    }
}

/// What one thread does.
fn steps(subjects: &[Subject], mut random: Random, others: &Mutex<Vec<Span>>) {
    for _ in 0..random.below(20) {
        let subject = &subjects[usize::try_from(random.below(subjects.len() as u64)).unwrap_or(0)];
        let many = 1 + random.below(4);
        let last = random.below(300);
        subject.tracer.context().run(|| match random.below(12) {
            0..=2 => {
                for n in 0..many {
                    subject.start(2);
                    let _outer = span!("outer");
                    let _inner = span!("inner", "n" = n, "text" = "x".repeat(usize::try_from(last).unwrap_or(0)));
                }
            }
            3 => {
                subject.start(1);
                let span = Span::start("explicit");
                span.tag("key", last);
                others.lock().unwrap_or_else(PoisonError::into_inner).push(span);
            }
            4 => {
                let span = others.lock().unwrap_or_else(PoisonError::into_inner).pop();
                drop(span);
            }
            5 => {
                subject.start(1);
                poll(polled_twice(), last.is_multiple_of(2));
            }
            6 => {
                subject.start(2);
                poll(polled_twice().in_span(Span::start("around")), last.is_multiple_of(2));
            }
            7 => {
                subject.start(1);
                std::mem::forget(span!("leaked"));
            }
            8 => {
                subject.start(1);
                let panics = || {
                    let _span = span!("panics");
                    tag("key", "value");
                    resume_unwind(Box::new("as told"));
                };
                catch_unwind(AssertUnwindSafe(panics)).expect_err("it panics");
            }
            9 => subject.check(&subject.tracer.flush(Duration::from_micros(last * 10))),
            10 => drop(subject.tracer.open_spans()),
            _ if last < 30 => {
                subject.down.store(true, Ordering::Relaxed);
                subject.check(&subject.tracer.shutdown(Duration::from_micros(last * 50)));
            }
            _ => subject.look(),
        });
        subject.look();
    }
}

fn run(schedule: u64) {
    let mut random = Random(schedule);
    let subjects: Vec<Subject> = (0..1 + random.below(2)).map(|_| Subject::new(&mut random)).collect();
    let others = Mutex::new(Vec::new());
    let threads = [0, 0, 1, 1, 2, 3][usize::try_from(random.below(6)).unwrap_or(0)];
    if threads == 0 {
        // What is leaked on a thread stays open until the thread ends.
        steps(&subjects, Random(random.next()), &others);
    } else {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let seeds: Vec<u64> = (0..threads).map(|_| random.next()).collect();
            let (subjects, others, done) = (&subjects, &others, &done);
            let working: Vec<_> =
                seeds.into_iter().map(|seed| scope.spawn(move || steps(subjects, Random(seed), others))).collect();
            // Somebody who only looks.
            let looking = scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    subjects.iter().for_each(Subject::look);
                    thread::yield_now();
                }
            });
            let ends: Vec<_> = working.into_iter().map(thread::ScopedJoinHandle::join).collect();
            done.store(true, Ordering::Relaxed);
            let looked = looking.join();
            ends.into_iter().chain([looked]).for_each(|end| end.unwrap_or_else(|panic| resume_unwind(panic)));
        });
    }
    others.into_inner().unwrap_or_else(PoisonError::into_inner).clear();
    for subject in &subjects {
        let waits = random.below(8) == 0 || (subject.spool.is_some() && random.below(2) == 0);
        let patience = if waits { Duration::from_millis(200) } else { Duration::ZERO };
        let tally = subject.tracer.shutdown(patience);
        subject.check(&tally);
        let started = subject.started.load(Ordering::Relaxed);
        if subject.down.load(Ordering::Relaxed) {
            assert!(tally.recorded() <= started, "{started} started, {tally:?}");
        } else {
            assert_eq!(tally.recorded(), started, "{tally:?}");
        }
        // Nobody sends what is in a spool before the next start. A batch that was cut, and of which parts were sent, is
        // there as a whole.
        assert_eq!(tally.queued(), tally.spooled(), "{tally:?}");
        assert!(subject.in_files() >= tally.spooled(), "{} in files, {tally:?}", subject.in_files());
        match &subject.kit {
            Some(kit) => assert_eq!(kit.spans().len() as u64, tally.sent(), "{tally:?}"),
            // What a backend takes after the deadline is not counted.
            None => assert!(subject.taken.load(Ordering::Relaxed) >= tally.sent(), "{tally:?}"),
        }
        assert_eq!(subject.tracer.stats().tally(), tally, "nothing moves after the end");
    }
}

#[test]
fn holds_at_every_instant() {
    for schedule in schedules() {
        if let Err(panic) = catch_unwind(|| run(schedule)) {
            eprintln!("schedule {schedule} fails");
            resume_unwind(panic);
        }
    }
}
