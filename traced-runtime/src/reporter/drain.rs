//! Reads the logs, again and again: one thread for the process, or whoever asks a test's tracer.

#[cfg(feature = "tree")]
use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(feature = "tree")]
use crate::model::id::{SpanId, TraceId};
use crate::process::per_process::PerProcess;
use crate::process::thread::spawn_quiet;
use crate::recorder::registry::Registry;
use crate::recorder::waker::Sleep;
use crate::reporter::assemble::{Assembler, Rest};
use crate::reporter::open::OpenSpan;
use crate::reporter::outlet::{Outlet, Outlets};
use crate::reporter::pipeline::Patience;

/// Time between two rounds while spans come.
const BUSY: Duration = Duration::from_millis(20);

/// Time between two rounds when nothing came for a while. A thread that fills a chunk of its log wakes the drain, between two
/// busy rounds only if much of the budget is used.
const IDLE: Duration = Duration::from_millis(320);

/// How long whoever gives way to others stays away.
const AFTER_OTHERS: Duration = Duration::from_millis(5);

/// A registry of logs, and the state of those who read them.
#[derive(Debug)]
pub(crate) struct Drain {
    registry: Registry,
    /// Of the tracers that log here.
    outlets: Arc<Outlets>,
    assembler: Mutex<Assembler>,
    /// How many wait for the assembler: who has it does not wait for anything else then.
    wanted: Arc<AtomicUsize>,
}

/// The one with a thread.
static PROCESS: PerProcess<Mutex<Option<Arc<Drain>>>> = PerProcess::new();

impl Drain {
    /// A drain without a thread: rounds run where [`flush`](Self::flush) is called.
    pub(crate) fn new(registry: Registry) -> Arc<Self> {
        let outlets = Arc::<Outlets>::default();
        let assembler = Mutex::new(Assembler::new(&registry, Arc::clone(&outlets)));
        Arc::new(Self { registry, outlets, assembler, wanted: Arc::default() })
    }

    /// The drain of the process, started with the first tracer. A budget other than the one in force is an error.
    pub(crate) fn of_process(log_bytes: Option<usize>, default: usize) -> Result<Arc<Self>, DrainError> {
        let mut process = PROCESS.get_or_make(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((drain, bytes)) = process.as_ref().map(|drain| (drain, drain.registry.budget().limit())) {
            return match log_bytes {
                Some(wanted) if wanted != bytes => Err(DrainError::LogBytes { bytes }),
                _ => Ok(drain.clone()),
            };
        }
        let drain = Self::new(Registry::of_process(log_bytes.unwrap_or(default)));
        let running = drain.clone();
        let thread = spawn_quiet("traced-drain".to_owned(), move || running.run()).map_err(DrainError::Spawn)?;
        drain.registry.waker().set(thread.thread().clone());
        *process = Some(drain.clone());
        Ok(drain)
    }

    /// In a forked child: the parent's drain stays as it is, the next tracer that needs one starts another.
    #[cfg(unix)]
    pub(crate) fn forget_parents() {
        PROCESS.forget();
    }

    fn run(&self) {
        let mut pause = BUSY;
        loop {
            let waker = self.registry.waker();
            waker.sleeping(if pause == BUSY { Sleep::Short } else { Sleep::Long });
            std::thread::park_timeout(pause);
            waker.sleeping(Sleep::Awake);
            pause = if self.round() { BUSY } else { (pause * 2).min(IDLE) };
            // So that it is told while it goes on.
            self.outlets.fold_lost();
        }
    }

    /// Hands on spans of this tracer, until it [finishes](Self::finish).
    pub(crate) fn hand_on_to(&self, outlet: Arc<Outlet>) {
        self.outlets.add(outlet);
    }

    /// The logs it reads.
    pub(crate) const fn registry(&self) -> &Registry {
        &self.registry
    }

    #[cfg(test)]
    pub(crate) fn outlets(&self) -> Arc<Outlets> {
        Arc::clone(&self.outlets)
    }

    #[cfg(test)]
    pub(crate) fn loose_bytes(&self) -> usize {
        self.assembler().loose_bytes()
    }

    #[cfg(test)]
    pub(crate) fn logs(&self) -> usize {
        self.assembler().logs()
    }

    /// Whoever has the assembler hurries, as long as this lives.
    #[cfg(test)]
    pub(crate) fn wanted(&self) -> impl Drop + use<> {
        struct Wanted(Arc<AtomicUsize>);
        impl Drop for Wanted {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::AcqRel);
            }
        }
        self.wanted.fetch_add(1, Ordering::AcqRel);
        Wanted(Arc::clone(&self.wanted))
    }

    #[cfg(test)]
    pub(crate) fn round_now(&self) {
        self.round();
    }

    fn round(&self) -> bool {
        // It can wait: whoever has the assembler now reads what is there, and is not to hurry for this.
        self.lock().round(&self.registry, Patience::of_a_round(&self.wanted))
    }

    /// Reads everything that was written before the call, and hands it on to the tracers. Where their queues are full it
    /// waits for room a little; that of the one that is flushed, until the deadline at most.
    pub(crate) fn flush(&self, tracer: u32, deadline: Instant) {
        // Whatever round runs now is finished first (the lock); one reads what is there, one picks up the late tags.
        let mut assembler = self.assembler();
        self.settle_clock(&assembler);
        for _ in 0..2 {
            assembler.round(&self.registry, Patience::until(deadline, &self.wanted));
        }
        // Others wanted to read: after them.
        while assembler.has_left_over_of(tracer) && Instant::now() < deadline {
            drop(assembler);
            std::thread::sleep(AFTER_OTHERS);
            assembler = self.assembler();
            assembler.round(&self.registry, Patience::until(deadline, &self.wanted));
        }
    }

    /// Reads everything that was written before the call, and reports what a tracer has open as unfinished. Gives what was not
    /// handed on: the last of it, and what found no room because others wanted to read. It `ends` before anybody reads on: what
    /// was reported as unfinished may end now, and would be recorded twice.
    pub(crate) fn finish(&self, tracer: u32, deadline: Instant, ends: impl FnOnce()) -> Rest {
        let mut assembler = self.assembler();
        self.settle_clock(&assembler);
        for _ in 0..2 {
            assembler.round(&self.registry, Patience::until(deadline, &self.wanted));
        }
        let rest = assembler.finish(tracer);
        ends();
        self.outlets.remove(tracer);
        rest
    }

    /// What a tracer has open now.
    pub(crate) fn open_spans(&self, tracer: u32) -> Vec<OpenSpan> {
        let mut assembler = self.assembler();
        assembler.round(&self.registry, Patience::of_a_round(&self.wanted));
        assembler.open_spans(tracer)
    }

    /// Takes out of these spans those that are open here, and those whose end was not handed on yet.
    #[cfg(feature = "tree")]
    pub(crate) fn remove_open(&self, spans: &mut HashSet<(TraceId, SpanId)>) {
        self.assembler().remove_open(spans);
    }

    /// The rate of ticks is measured against the OS clock: waits until that has been possible for a millisecond.
    fn settle_clock(&self, assembler: &Assembler) {
        let settled = assembler.measured_for();
        if let Some(missing) = Duration::from_millis(1).checked_sub(settled) {
            let until = Instant::now() + missing;
            while Instant::now() < until {
                std::thread::yield_now();
            }
        }
    }

    fn assembler(&self) -> MutexGuard<'_, Assembler> {
        self.wanted.fetch_add(1, Ordering::AcqRel);
        let assembler = self.lock();
        self.wanted.fetch_sub(1, Ordering::AcqRel);
        assembler
    }

    fn lock(&self) -> MutexGuard<'_, Assembler> {
        self.assembler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no drain.
#[derive(Debug)]
pub(crate) enum DrainError {
    /// The budget of the logs is another one already.
    LogBytes {
        /// The one in force.
        bytes: usize,
    },
    /// The thread could not be started.
    Spawn(io::Error),
}
