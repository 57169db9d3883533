//! Random programs of spans, scopes and futures, over one thread and over several, against the rules:
//!
//! - the parent of a span is the innermost open span that was entered in the current scope, else the span of that scope,
//!   else there is none and a trace begins;
//! - a scope, and a poll of a future, puts back what was there before;
//! - the parent of an async function is the place of its first poll, or of its call where that thread has none.
//!
//! Programs whose guards end in order must have exactly the parents, tags and outcomes that the rules give. Programs with
//! leaked guards and guards dropped in any order must neither panic nor lose a span, nor report one twice.
//!
//! All of them run across the ends of ranges of positions, where a log goes on under other numbers.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{self, Poll, Waker};
use std::thread;
use std::time::Duration;

use traced_runtime::{
    Context, Outcome, Sampling, Span, SpanId, SpanRecord, TraceId, Tracer, span, tag, testing, traced,
};
use traced_tests::Keep;
use traced_tests::random::Random;

/// Programs on one thread, unless `TRACED_MODEL` says how many; each is run with tracers of the test kit and with tracers that
/// share the process's log.
const PROGRAMS: u64 = 1_000;

/// Of so many of them one more is run over several threads.
const THREADED: u64 = 5;

fn programs() -> u64 {
    std::env::var("TRACED_MODEL").map_or(PROGRAMS, |programs| programs.parse().expect("TRACED_MODEL is a number"))
}

const THREADS: u64 = 3;

/// Where spans come out.
enum Backend {
    Kit(testing::Tracer),
    Built(Tracer, Keep),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Backend {
    /// Its clock is the test's: every event is written off the hot path.
    fn kit(service: &str) -> Self {
        testing::shorten_ranges();
        Self::Kit(testing::Tracer::options().service(service).build().expect("a tracer"))
    }

    /// It writes the process's log, on the hot path where the machine has a good clock.
    fn built() -> Self {
        testing::shorten_ranges();
        let kept = Keep::default();
        let tracer = Tracer::builder("model").reporter(kept.clone()).linger(Duration::ZERO).build();
        Self::Built(tracer.expect("a tracer"), kept)
    }

    fn context(&self) -> Context {
        match self {
            Self::Kit(tracer) => tracer.context(),
            Self::Built(tracer, _) => tracer.context(),
        }
    }

    /// Everything, what has not ended included.
    fn end(&self) -> Vec<SpanRecord> {
        let tracer: &Tracer = match self {
            Self::Kit(tracer) => tracer,
            Self::Built(tracer, _) => tracer,
        };
        let tally = tracer.shutdown(Duration::from_secs(60));
        assert!(tally.is_conserved(), "{tally:?}");
        assert_eq!(tally.dropped(), 0, "{tally:?}");
        let records = match self {
            Self::Kit(tracer) => tracer.spans(),
            Self::Built(_, kept) => kept.spans(),
        };
        assert_eq!(tally.sent(), records.len() as u64, "{tally:?}");
        records
    }
}

mod ordered {
    use super::*;

    /// Where a new span would go.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Place {
        /// No tracer: nothing is recorded.
        Nowhere,
        /// A trace that is not recorded.
        Unsampled,
        /// It starts a trace of this tracer.
        Root(usize),
        /// Below this span. `open`: it surely has not ended.
        Below { span: usize, open: bool },
    }

    /// What the rules say of a span; its number is its tag `n`.
    struct Expected {
        tracer: usize,
        parent: Option<usize>,
        outcome: Outcome,
    }

    /// One attached context of a thread.
    struct Scope {
        base: Place,
        entered: Vec<usize>,
    }

    type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

    /// What all threads of a program share.
    #[derive(Default)]
    struct World {
        expected: Mutex<Vec<Expected>>,
        /// Unique tags: on which span, and whether it surely arrives.
        tags: Mutex<Vec<(usize, bool)>>,
        contexts: Mutex<Vec<(Context, Place)>>,
        spans: Mutex<Vec<(Span, usize)>>,
        tasks: Mutex<Vec<Task>>,
    }

    /// One thread of a program.
    struct Driver {
        world: Arc<World>,
        random: Random,
        scopes: Vec<Scope>,
        fuel: usize,
    }

    thread_local! {
        static DRIVER: RefCell<Option<Driver>> = const { RefCell::new(None) };
    }

    fn drive<R>(code: impl FnOnce(&mut Driver) -> R) -> R {
        DRIVER.with_borrow_mut(|driver| code(driver.as_mut().expect("the thread runs a program")))
    }

    impl Driver {
        fn place(&self) -> Place {
            let scope = self.scopes.last().expect("a scope");
            scope.entered.last().map_or(scope.base, |&span| Place::Below { span, open: true })
        }

        /// Writes down a span that starts now, if one does.
        fn expect(&self, at: Place) -> Option<usize> {
            let mut expected = lock(&self.world.expected);
            let (tracer, parent) = match at {
                Place::Nowhere | Place::Unsampled => return None,
                Place::Root(tracer) => (tracer, None),
                Place::Below { span, .. } => (expected[span].tracer, Some(span)),
            };
            expected.push(Expected { tracer, parent, outcome: Outcome::Returned });
            Some(expected.len() - 1)
        }

        fn outcome(&self, span: usize, outcome: Outcome) {
            lock(&self.world.expected)[span].outcome = outcome;
        }

        /// Takes any element.
        fn any<T>(&mut self, of: impl FnOnce(&World) -> &Mutex<Vec<T>>) -> Option<T> {
            let world = self.world.clone();
            let mut list = lock(of(&world));
            if list.is_empty() {
                return None;
            }
            let at = self.random.below(list.len());
            Some(list.swap_remove(at))
        }
    }

    /// Runs `code` as what happens inside a scope.
    fn inside<R>(base: Place, code: impl FnOnce() -> R) -> R {
        drive(|driver| driver.scopes.push(Scope { base, entered: Vec::new() }));
        let result = catch_unwind(AssertUnwindSafe(code));
        drive(|driver| {
            let scope = driver.scopes.pop().expect("its own scope");
            assert!(scope.entered.is_empty());
        });
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// A panic of the program, not of the test.
    struct Planned;

    #[traced]
    async fn task(called: Place) {
        let number = drive(|driver| {
            let at = match driver.place() {
                Place::Nowhere => called,
                place => place,
            };
            driver.expect(at).ok_or(at)
        });
        // Where nothing is recorded the future carries its place all the same.
        let base = number.map_or_else(|place| place, |span| Place::Below { span, open: true });
        if let Ok(number) = number {
            tag("n", number);
            drive(|driver| driver.outcome(number, Outcome::Cancelled));
        }
        loop {
            let (panics, ends) = drive(|driver| (driver.random.below(12) == 0, driver.random.below(3) == 0));
            if let (Ok(number), true) = (number, panics) {
                drive(|driver| driver.outcome(number, Outcome::Panicked));
            }
            // With nothing to carry it lets each poll's own context be.
            if base == Place::Nowhere {
                block()
            } else {
                inside(base, block)
            }
            if panics {
                resume_unwind(Box::new(Planned));
            }
            if ends {
                break;
            }
            let mut pending = true;
            std::future::poll_fn(|_| if std::mem::take(&mut pending) { Poll::Pending } else { Poll::Ready(()) }).await;
        }
        if let Ok(number) = number {
            drive(|driver| driver.outcome(number, Outcome::Returned));
        }
    }

    fn contained(code: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(code)) {
            assert!((panic as Box<dyn Any>).is::<Planned>(), "only what is planned may panic");
        }
    }

    fn enter(panics: bool) {
        let _span = span!("sync");
        let number = drive(|driver| driver.expect(driver.place()));
        if let Some(number) = number {
            tag("n", number);
            drive(|driver| driver.scopes.last_mut().expect("a scope").entered.push(number));
        }
        block();
        if let Some(number) = number {
            drive(|driver| {
                assert_eq!(driver.scopes.last_mut().expect("a scope").entered.pop(), Some(number));
                if panics {
                    driver.outcome(number, Outcome::Panicked);
                }
            });
        }
        if panics {
            resume_unwind(Box::new(Planned));
        }
    }

    /// Some steps. What they begin they end, but for explicit spans and tasks.
    fn block() {
        let steps = drive(|driver| driver.random.below(5));
        for _ in 0..steps {
            let step = drive(|driver| {
                driver.fuel = driver.fuel.saturating_sub(1);
                if driver.fuel == 0 { usize::MAX } else { driver.random.below(14) }
            });
            match step {
                0..=2 => enter(false),
                3 => contained(|| enter(true)),
                4 => {
                    let span = Span::start("explicit");
                    if let Some(number) = drive(|driver| driver.expect(driver.place())) {
                        span.tag("n", number);
                        drive(|driver| lock(&driver.world.spans).push((span, number)));
                    }
                }
                5 => drop(drive(|driver| driver.any(|world| &world.spans))),
                6 => {
                    if let Some((span, number)) = drive(|driver| driver.any(|world| &world.spans)) {
                        {
                            let _scope = span.attach();
                            inside(Place::Below { span: number, open: true }, block);
                        }
                        drive(|driver| lock(&driver.world.spans).push((span, number)));
                    }
                }
                7 => drive(|driver| {
                    let place = match driver.place() {
                        Place::Below { span, .. } => Place::Below { span, open: false },
                        place => place,
                    };
                    lock(&driver.world.contexts).push((Context::current(), place));
                }),
                8 | 9 => {
                    let (context, place) = drive(|driver| {
                        let world = driver.world.clone();
                        let contexts = lock(&world.contexts);
                        contexts[driver.random.below(contexts.len())].clone()
                    });
                    context.run(|| inside(place, block));
                }
                10 => {
                    let called = match drive(|driver| driver.place()) {
                        Place::Below { span, .. } => Place::Below { span, open: false },
                        place => place,
                    };
                    let task: Task = Box::pin(task(called));
                    drive(|driver| lock(&driver.world.tasks).push(task));
                }
                11 | 12 => {
                    if let Some(mut task) = drive(|driver| driver.any(|world| &world.tasks)) {
                        let mut context = task::Context::from_waker(Waker::noop());
                        let mut pending = false;
                        contained(|| pending = task.as_mut().poll(&mut context).is_pending());
                        if pending {
                            drive(|driver| lock(&driver.world.tasks).push(task));
                        }
                    }
                }
                13 => drive(|driver| {
                    if let Place::Below { span, open } = driver.place() {
                        let mut tags = lock(&driver.world.tags);
                        tag(&format!("t{}", tags.len()), true);
                        tags.push((span, open));
                    }
                }),
                _ => return,
            }
        }
    }

    fn run(seed: u64, threads: u64, backends: &[Backend]) {
        let world = Arc::new(World::default());
        let remote =
            |sampling| Context::remote(TraceId::new(7).expect("not 0"), SpanId::new(8).expect("not 0"), sampling);
        let mut contexts = vec![(Context::none(), Place::Nowhere), (remote(Sampling::Unsampled), Place::Unsampled)];
        contexts.extend(backends.iter().enumerate().map(|(at, backend)| (backend.context(), Place::Root(at))));
        *lock(&world.contexts) = contexts;

        let thread = |thread: u64| {
            let random = Random::new(seed * 1_000 + thread);
            let scopes = vec![Scope { base: Place::Nowhere, entered: Vec::new() }];
            DRIVER.set(Some(Driver { world: world.clone(), random, scopes, fuel: 300 }));
            for _ in 0..6 {
                let at = drive(|driver| driver.random.below(backends.len()));
                backends[at].context().run(|| inside(Place::Root(at), block));
                assert!(Context::current().is_none(), "seed {seed}: a context is left behind");
            }
            DRIVER.set(None);
        };
        if threads == 1 {
            thread(0);
        } else {
            thread::scope(|scope| {
                for number in 0..threads {
                    let thread = &thread;
                    scope.spawn(move || thread(number));
                }
            });
        }
        // Tasks that are still there are cancelled, spans end.
        lock(&world.tasks).clear();
        lock(&world.spans).clear();
        check(seed, &world, backends);
    }

    fn check(seed: u64, world: &World, backends: &[Backend]) {
        let expected = lock(&world.expected);
        let tags = lock(&world.tags);
        let mut found: HashMap<usize, SpanRecord> = HashMap::new();
        for (tracer, backend) in backends.iter().enumerate() {
            for record in backend.end() {
                let number = record.tag("n").expect("every span is numbered").to_string();
                let number = number.parse::<usize>().expect("a number");
                assert_eq!(expected[number].tracer, tracer, "seed {seed}: span {number} is of another tracer");
                assert!(found.insert(number, record).is_none(), "seed {seed}: span {number} was reported twice");
            }
        }
        assert_eq!(found.len(), expected.len(), "seed {seed}: spans were lost");
        let mut seen = HashSet::new();
        for (number, expected) in expected.iter().enumerate() {
            let record = &found[&number];
            assert!(seen.insert((record.trace_id(), record.id())), "seed {seed}: an id is there twice");
            let parent = expected.parent.map(|parent| &found[&parent]);
            assert_eq!(record.parent_id(), parent.map(SpanRecord::id), "seed {seed}: the parent of span {number}");
            if let Some(parent) = parent {
                assert_eq!(record.trace_id(), parent.trace_id(), "seed {seed}: the trace of span {number}");
            }
            assert_eq!(record.outcome(), expected.outcome, "seed {seed}: how span {number} ended");
            for (key, _) in record.tags() {
                if let Some(at) = key.strip_prefix('t') {
                    let (span, _) = tags[at.parse::<usize>().expect("a number")];
                    assert_eq!(span, number, "seed {seed}: tag {key} is on the wrong span");
                }
            }
        }
        for (at, &(span, arrives)) in tags.iter().enumerate() {
            let key = format!("t{at}");
            assert!(!arrives || found[&span].tag(&key).is_some(), "seed {seed}: tag {key} of span {span} is lost");
        }
    }

    #[test]
    fn programs_of_one_tracer() {
        for seed in 0..programs() {
            run(seed, 1, &[Backend::kit("a")]);
            run(seed, 1, &[Backend::built()]);
        }
    }

    #[test]
    fn programs_of_two_tracers() {
        for seed in PROGRAMS..PROGRAMS + programs() {
            run(seed, 1, &[Backend::kit("a"), Backend::kit("b")]);
            run(seed, 1, &[Backend::built(), Backend::built()]);
            run(seed, 1, &[Backend::kit("a"), Backend::built()]);
        }
    }

    #[test]
    fn programs_over_several_threads() {
        for seed in 0..programs() / THREADED {
            run(seed, THREADS, &[Backend::kit("a")]);
            run(seed, THREADS, &[Backend::built(), Backend::built()]);
            run(seed, THREADS, &[Backend::kit("a"), Backend::built()]);
        }
    }
}

mod disordered {
    use super::*;

    type Id = (TraceId, SpanId);

    #[derive(Default)]
    struct World {
        started: Mutex<Vec<Id>>,
        contexts: Mutex<Vec<Context>>,
        spans: Mutex<Vec<Span>>,
    }

    fn id(context: &Context) -> Option<Id> {
        Some((context.trace_id()?, context.span_id()?))
    }

    #[expect(dead_code, reason = "held until they are dropped")]
    enum Guard<'a> {
        Span(traced_runtime::__private::Enter),
        Scope(traced_runtime::Scope),
        Poll(Pin<Box<dyn Future<Output = ()> + 'a>>),
    }

    /// Is pending once, with a guard held over the await.
    #[traced]
    async fn holds(world: &World) {
        note(world, &Context::none());
        let before = Context::current();
        let _guard = span!("held");
        note(world, &before);
        let mut pending = true;
        std::future::poll_fn(|_| if std::mem::take(&mut pending) { Poll::Pending } else { Poll::Ready(()) }).await;
        tag("resumed", true);
    }

    /// Writes down the current span, if it is not the one of before.
    fn note(world: &World, before: &Context) {
        let now = Context::current();
        if now.sampling() == Sampling::Sampled && id(&now) != id(before) {
            lock(&world.started).extend(id(&now));
        }
    }

    fn program(world: &World, random: &mut Random, backends: &[Backend]) {
        let mut guards: Vec<Guard<'_>> = Vec::new();
        let mut context = task::Context::from_waker(Waker::noop());
        for _ in 0..random.below(120) {
            match random.below(12) {
                0..=2 => {
                    let before = Context::current();
                    let guard = span!("sync", "key" = 1);
                    note(world, &before);
                    guards.push(Guard::Span(guard));
                }
                3 => {
                    let attached = {
                        let contexts = lock(&world.contexts);
                        contexts[random.below(contexts.len())].clone()
                    };
                    guards.push(Guard::Scope(attached.attach()));
                }
                4 => guards.push(Guard::Scope(backends[random.below(backends.len())].context().attach())),
                5 | 6 => {
                    if !guards.is_empty() {
                        drop(guards.remove(random.below(guards.len())));
                    }
                }
                7 => drop(guards.pop()),
                8 => {
                    if random.below(4) == 0 && !guards.is_empty() {
                        std::mem::forget(guards.remove(random.below(guards.len())));
                    }
                }
                9 => {
                    let span = Span::start("explicit");
                    if span.context().sampling() == Sampling::Sampled {
                        lock(&world.started).extend(id(&span.context()));
                        lock(&world.spans).push(span);
                    }
                }
                10 => {
                    let mut spans = lock(&world.spans);
                    if !spans.is_empty() {
                        let at = random.below(spans.len());
                        let span = spans.swap_remove(at);
                        drop(spans);
                        span.tag("ended", true);
                    }
                }
                _ => {
                    lock(&world.contexts).push(Context::current());
                    if random.below(2) == 0 {
                        let mut future: Pin<Box<dyn Future<Output = ()> + '_>> = Box::pin(holds(world));
                        assert!(future.as_mut().poll(&mut context).is_pending());
                        guards.push(Guard::Poll(future));
                    } else if let Some(at) = guards.iter().position(|guard| matches!(guard, Guard::Poll(_))) {
                        let Guard::Poll(mut future) = guards.remove(at) else { return };
                        assert!(future.as_mut().poll(&mut context).is_ready());
                    }
                }
            }
            tag("key", 2);
        }
        while !guards.is_empty() {
            drop(guards.remove(random.below(guards.len())));
        }
    }

    fn run(seed: u64, threads: u64, backends: &[Backend]) {
        let world = World::default();
        *lock(&world.contexts) = vec![Context::none(), backends[0].context()];
        thread::scope(|scope| {
            for thread in 0..threads {
                let world = &world;
                scope.spawn(move || program(world, &mut Random::new(seed * 1_000 + thread), backends));
            }
        });
        lock(&world.spans).clear();
        let mut reported = HashSet::new();
        let mut parents = Vec::new();
        for record in backends.iter().flat_map(Backend::end) {
            assert!(reported.insert((record.trace_id(), record.id())), "seed {seed}: reported twice: {record:?}");
            parents.extend(record.parent_id().map(|parent| (record.trace_id(), parent)));
        }
        let started: HashSet<Id> = lock(&world.started).iter().copied().collect();
        let lost: Vec<_> = started.difference(&reported).collect();
        assert!(lost.is_empty(), "seed {seed}: lost {lost:?}");
        let unknown: Vec<_> = reported.difference(&started).collect();
        assert!(unknown.is_empty(), "seed {seed}: nobody started {unknown:?}");
        for parent in parents {
            assert!(reported.contains(&parent), "seed {seed}: no span of its trace is the parent {parent:?}");
        }
    }

    #[test]
    fn programs_of_one_tracer() {
        for seed in 0..programs() {
            run(seed, 1, &[Backend::kit("a")]);
            run(seed, 1, &[Backend::built()]);
        }
    }

    #[test]
    fn programs_of_two_tracers() {
        for seed in PROGRAMS..PROGRAMS + programs() {
            run(seed, 1, &[Backend::kit("a"), Backend::built()]);
            run(seed, 1, &[Backend::built(), Backend::built()]);
        }
    }

    #[test]
    fn programs_over_several_threads() {
        for seed in 0..programs() / THREADED {
            run(seed, THREADS, &[Backend::kit("a")]);
            run(seed, THREADS, &[Backend::built(), Backend::built()]);
        }
    }
}
