//! The one thread of the process that prints trees, for all its tracers.

use std::collections::HashSet;
use std::io::{self, Stderr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::Instant;

use super::link;
use crate::model::id::{SpanId, TraceId};
use crate::model::numbers::Count;
use crate::process::per_process::PerProcess;
use crate::process::thread::spawn_quiet;
use crate::reporter::drain::Drain;
use crate::reporter::pipeline::AcceptHook;
use crate::reporter::record::SpanRecord;
use crate::reporter::redaction::Redaction;
use crate::reporter::tree::look::{Look, terminal_columns};
use crate::reporter::tree::printer::TreePrinter;

/// Bytes of spans that wait for the printing thread, which a terminal may hold up. Beyond it they are left out, and counted.
const QUEUE_BYTES: usize = 16 << 20;

/// Accepted traces that wait for the printing thread. Beyond it traces get no link.
const QUEUE_LINKS: usize = 16 << 10;

/// Flushes that wait for the printing thread. Beyond it nobody waits: it prints nothing.
const QUEUE_FLUSHES: usize = 1024;

/// Orders that are taken at once.
const ORDERS: usize = 4096;

/// Times that the drain is asked about parents before something is printed, while new ones keep coming.
const LAPS: usize = 8;

/// A tracer's way to the terminal. All tracers of a process share one, so that what belongs together is one tree, and
/// nothing stands between the lines of a tree.
#[derive(Debug)]
pub(crate) struct Terminal {
    thread: Arc<Thread>,
    redaction: Option<Redaction>,
    is_finished: AtomicBool,
}

/// What tracers and the printing thread share.
#[derive(Debug)]
struct Thread {
    id: ThreadId,
    orders: Mutex<Sender<Order>>,
    queue: Arc<Queue>,
    /// Tracers that have not finished.
    users: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: AtomicUsize,
    links: AtomicUsize,
    flushes: AtomicUsize,
    /// Spans that found no room, and have not been told of.
    left_out: AtomicU64,
}

#[derive(Debug)]
enum Order {
    Print {
        spans: Vec<SpanRecord>,
        bytes: usize,
        redaction: Option<Redaction>,
    },
    Accepted {
        traces: Vec<TraceId>,
        at: Arc<str>,
    },
    /// Answer when everything before it is printed: with what waits for its root, if the last tracer asks.
    Flush {
        is_last: bool,
        done: SyncSender<()>,
    },
}

/// Asks whether a page is there; `None` when no answer came.
pub(crate) type Asks = Box<dyn Fn(&str) -> Option<bool> + Send>;

/// A forked child starts one of its own.
static PROCESS: PerProcess<Mutex<Option<Arc<Thread>>>> = PerProcess::new();

impl Terminal {
    /// For one more tracer, all of whose spans come from this drain, the process's.
    pub(crate) fn of_process(drain: &Arc<Drain>, redaction: Option<Redaction>) -> io::Result<Self> {
        let mut process = PROCESS.get_or_make(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let thread = match &*process {
            Some(thread) => thread.clone(),
            None => process.insert(Arc::new(Thread::start(drain.clone())?)).clone(),
        };
        thread.users.fetch_add(1, Ordering::AcqRel);
        Ok(Self { thread, redaction, is_finished: AtomicBool::new(false) })
    }

    /// In a forked child: the parent's thread is not here, the next tracer that needs one starts another.
    #[cfg(unix)]
    pub(crate) fn forget_parents() {
        PROCESS.forget();
    }

    /// Takes finished spans, in the order in which the drain hands them on.
    pub(crate) fn print(&self, spans: Vec<SpanRecord>) {
        let bytes: usize = spans.iter().map(SpanRecord::size).sum();
        let queue = &self.thread.queue;
        // The drain alone adds to it.
        if queue.bytes.load(Ordering::Acquire) + bytes > QUEUE_BYTES {
            queue.left_out.fetch_add(spans.len() as u64, Ordering::AcqRel);
            return;
        }
        queue.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.thread.order(Order::Print { spans, bytes, redaction: self.redaction.clone() });
    }

    /// What has links printed to the traces that this collector accepts, where `asks` finds that they can be seen.
    pub(crate) fn links(&self, collector: &str, asks: Asks) -> Option<AcceptHook> {
        link::printed_by(self, collector, asks)
    }

    /// What tells that a collector has accepted the local roots of some traces, which can be seen at `at` with their id.
    pub(super) fn link(&self, at: String) -> Box<dyn Fn(Vec<TraceId>) + Send> {
        let (thread, at): (_, Arc<str>) = (self.thread.clone(), at.into());
        Box::new(move |traces| thread.link(traces, &at))
    }

    /// Asks for everything given before the call to be printed.
    pub(crate) fn flush(&self) -> Printed {
        self.thread.flush(false)
    }

    /// The tracer gives no more spans. The last one of the process has what still waits printed.
    pub(crate) fn finish(&self) -> Printed {
        let is_last = self.leave();
        self.thread.flush(is_last)
    }

    /// Whether the caller is the thread that prints, where the redaction hook runs, too.
    pub(crate) fn is_here(&self) -> bool {
        self.thread.id == std::thread::current().id()
    }

    fn leave(&self) -> bool {
        !self.is_finished.swap(true, Ordering::AcqRel) && self.thread.users.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Thread {
    fn start(drain: Arc<Drain>) -> io::Result<Self> {
        let (orders, inbox) = channel();
        let queue = Arc::<Queue>::default();
        let printer = TreePrinter::new(io::stderr(), Look::of_stderr());
        let mut printing = Printing { inbox, queue: queue.clone(), drain, printer, is_behind: false };
        let thread = spawn_quiet("traced-trees".to_owned(), move || while printing.round() {})?;
        Ok(Self { id: thread.thread().id(), orders: Mutex::new(orders), queue, users: AtomicUsize::new(0) })
    }

    fn order(&self, order: Order) {
        // The thread ends with the process: if it is gone, so is what it would print to.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).send(order).ok();
    }

    fn link(&self, mut traces: Vec<TraceId>, at: &Arc<str>) {
        let links = &self.queue.links;
        let before = links.fetch_add(traces.len(), Ordering::AcqRel);
        let room = QUEUE_LINKS.saturating_sub(before);
        links.fetch_sub(traces.len().saturating_sub(room), Ordering::AcqRel);
        traces.truncate(room);
        if !traces.is_empty() {
            self.order(Order::Accepted { traces, at: at.clone() });
        }
    }

    fn flush(&self, is_last: bool) -> Printed {
        let flushes = &self.queue.flushes;
        if flushes.fetch_add(1, Ordering::AcqRel) >= QUEUE_FLUSHES {
            flushes.fetch_sub(1, Ordering::AcqRel);
            return Printed(None);
        }
        let (done, answer) = sync_channel(1);
        self.order(Order::Flush { is_last, done });
        Printed(Some(answer))
    }
}

/// What was asked to be printed; `None`: nobody will tell.
#[derive(Debug)]
#[must_use]
pub(crate) struct Printed(Option<Receiver<()>>);

impl Printed {
    /// Waits until it is printed, or until the deadline.
    pub(crate) fn wait(&self, deadline: Instant) {
        if let Some(answer) = &self.0 {
            answer.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok();
        }
    }
}

/// The state of the printing thread.
struct Printing {
    inbox: Receiver<Order>,
    queue: Arc<Queue>,
    drain: Arc<Drain>,
    printer: TreePrinter<Stderr>,
    /// There are local roots whose parents were not asked for yet.
    is_behind: bool,
}

impl Printing {
    /// Waits for orders and carries out all there are; `false` when there will be no more.
    fn round(&mut self) -> bool {
        let now = Instant::now();
        let due = if self.is_behind { Some(now) } else { self.printer.due() };
        let order = match due {
            None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => self.inbox.recv_timeout(due.saturating_duration_since(now)),
        };
        let mut flushes = Vec::new();
        match order {
            Ok(order) => self.take(order, &mut flushes),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        self.take_all(&mut flushes);
        let elsewhere = self.parents_elsewhere(&mut flushes);
        self.printer.look = self.printer.look.in_columns(terminal_columns());
        self.printer.print(&elsewhere, Instant::now());
        let left_out = self.queue.left_out.swap(0, Ordering::AcqRel);
        if left_out > 0 {
            let verb = if left_out == 1 { "is" } else { "are" };
            self.printer.write(&format!(
                "traced: {} {verb} missing in the trees: they end faster than the terminal takes them; print no trees, or \
                 sample less\n",
                Count(left_out, "span")
            ));
        }
        for (is_last, done) in flushes {
            if is_last {
                self.printer.finish()
            } else {
                self.printer.flush()
            }
            done.send(()).ok();
        }
        true
    }

    /// The parents of local roots that are not open in this process, and not on their way to us.
    fn parents_elsewhere(&mut self, flushes: &mut Vec<(bool, SyncSender<()>)>) -> HashSet<(TraceId, SpanId)> {
        let (mut known, mut elsewhere) = (HashSet::new(), HashSet::new());
        self.is_behind = true;
        for _ in 0..LAPS {
            let mut asked = self.printer.asks();
            asked.retain(|parent| !known.contains(parent));
            if asked.is_empty() {
                self.is_behind = false;
                break;
            }
            known.extend(asked.iter().copied());
            self.drain.remove_open(&mut asked);
            elsewhere.extend(asked);
            // What ended before the drain was asked was given to us under its lock: it is taken now, and may bring other
            // roots with it.
            self.take_all(flushes);
        }
        elsewhere
    }

    fn take_all(&mut self, flushes: &mut Vec<(bool, SyncSender<()>)>) {
        for _ in 0..ORDERS {
            let Ok(order) = self.inbox.try_recv() else { break };
            self.take(order, flushes);
        }
    }

    fn take(&mut self, order: Order, flushes: &mut Vec<(bool, SyncSender<()>)>) {
        match order {
            Order::Print { mut spans, bytes, redaction } => {
                self.queue.bytes.fetch_sub(bytes, Ordering::AcqRel);
                // What it panics on is missing here; the tracer's own thread counts and tells.
                drop(redaction.and_then(|redaction| redaction.apply(&mut spans)));
                self.printer.take(spans);
            }
            Order::Accepted { traces, at } => {
                self.queue.links.fetch_sub(traces.len(), Ordering::AcqRel);
                self.printer.accepted(&traces, &at);
            }
            Order::Flush { is_last, done } => {
                self.queue.flushes.fetch_sub(1, Ordering::AcqRel);
                flushes.push((is_last, done));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reporter::record::SpanRecord;

    /// A thread that a terminal holds up for ever takes no order.
    #[test]
    fn what_waits_for_the_printing_thread_is_bounded() {
        let (orders, inbox) = channel();
        let (queue, users) = (Arc::<Queue>::default(), AtomicUsize::new(1));
        let thread = Arc::new(Thread { id: std::thread::current().id(), orders: Mutex::new(orders), queue, users });
        let terminal = Terminal { thread, redaction: None, is_finished: AtomicBool::new(false) };
        let link = terminal.link("http://z/".to_owned());
        let span = SpanRecord::sample("span", 1, 1, 0);
        let spans = QUEUE_BYTES / span.size() / 100 + 1;
        for _ in 0..2_000 {
            link(vec![span.trace; 50]);
            terminal.flush().wait(Instant::now());
        }
        for _ in 0..200 {
            terminal.print(vec![span.clone(); spans]);
        }
        terminal.finish().wait(Instant::now());
        let (mut traces, mut flushes, mut bytes) = (0, 0, 0);
        while let Ok(order) = inbox.try_recv() {
            match order {
                Order::Accepted { traces: more, .. } => traces += more.len(),
                Order::Flush { .. } => flushes += 1,
                Order::Print { bytes: more, .. } => bytes += more,
            }
        }
        assert_eq!((traces, flushes), (QUEUE_LINKS, QUEUE_FLUSHES));
        assert!(bytes <= QUEUE_BYTES && bytes > QUEUE_BYTES / 2, "{bytes}");
    }
}
