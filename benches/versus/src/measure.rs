//! One measurement: a scenario of a contestant, in a process of its own.

use std::fmt;
use std::time::{Duration, Instant};

use crate::contestants::{self, Arrived, Contestant};
use crate::machine;
use crate::scenario::Scenario;

/// Spans between two looks at the clock: long enough that the looks are not seen, short enough that no queue overflows.
const BURST: u32 = 4096;

/// Bursts before the first that counts: logs and queues have their size then.
const WARM_UP: u32 = 20;

/// Bursts that count.
const BURSTS: u32 = 200;

/// What a span cost the thread that made it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// Nanoseconds that the thread ran: the median burst's.
    pub cpu_ns: f64,
    /// The same, of the burst that only a tenth of all beat: for tuning on a machine that has other work to do. Not in
    /// tables.
    pub quiet_ns: f64,
    /// Nanoseconds that passed: the median burst's.
    pub wall_ns: f64,
    /// Allocations of the thread, mean of all bursts; only counted by the program `allocations`.
    pub allocations: f64,
    /// The most memory that the process had, in KiB.
    pub peak_kib: u64,
    /// Spans that were to arrive.
    pub expected: u64,
    /// Spans that did; `None` where nobody knows.
    pub delivered: Option<u64>,
    /// Spans that the contestant says it dropped.
    pub dropped: u64,
}

/// One line, as [`Measured::parse`] reads it.
impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu_ns, quiet_ns, wall_ns, allocations, peak_kib, expected, delivered, dropped } = self;
        write!(f, "cpu_ns={cpu_ns:.3} quiet_ns={quiet_ns:.3} wall_ns={wall_ns:.3} allocations={allocations:.4} ")?;
        write!(f, "peak_kib={peak_kib} expected={expected} dropped={dropped}")?;
        delivered.map_or(Ok(()), |delivered| write!(f, " delivered={delivered}"))
    }
}

impl Measured {
    /// Reads the line back.
    pub fn parse(line: &str) -> Option<Self> {
        let mut measured = Self::default();
        for field in line.split_whitespace() {
            let (key, value) = field.split_once('=')?;
            match key {
                "cpu_ns" => measured.cpu_ns = value.parse().ok()?,
                "quiet_ns" => measured.quiet_ns = value.parse().ok()?,
                "wall_ns" => measured.wall_ns = value.parse().ok()?,
                "allocations" => measured.allocations = value.parse().ok()?,
                "expected" => measured.expected = value.parse().ok()?,
                "peak_kib" => measured.peak_kib = value.parse().ok()?,
                "delivered" => measured.delivered = Some(value.parse().ok()?),
                "dropped" => measured.dropped = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(measured)
    }
}

/// Measures what the command line names: `<contestant> <scenario> [traces]`. With a number of traces it runs them once,
/// for tools that count instructions. Prints the line.
pub fn main(allocations: fn() -> u64) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = match arguments.as_slice() {
        [contestant, scenario, ..] => contestants::named(contestant).zip(Scenario::named(scenario)),
        _ => None,
    };
    let Some((entry, scenario)) = named else {
        eprintln!("usage: measure <contestant> <scenario> [traces]");
        std::process::exit(2);
    };
    let Some(contestant) = (entry.start)(scenario) else {
        println!("none");
        return;
    };
    match arguments.get(2).and_then(|traces| traces.parse().ok()) {
        Some(traces) => {
            counted(contestant.run, traces);
            (contestant.finish)();
        }
        None => println!("{}", bursts(contestant, scenario, allocations)),
    }
}

/// What tools that count instructions are told to count.
#[inline(never)]
fn counted(run: fn(u32), traces: u32) {
    run(traces);
    // Else the call is the last thing it does, and a jump: tools would not see it return.
    std::hint::black_box(());
}

fn bursts(contestant: Contestant, scenario: Scenario, allocations: fn() -> u64) -> Measured {
    let traces = (BURST / scenario.spans()).max(1);
    let spans = f64::from(traces * scenario.spans());
    let (mut cpu, mut wall, mut allocated) = (Vec::new(), Vec::new(), 0);
    for burst in 0..WARM_UP + BURSTS {
        // On another thread, as in a program: what this one allocates or reads there is not its own work.
        std::thread::scope(|scope| _ = scope.spawn(contestant.settle));
        let before = (allocations(), Instant::now(), thread_cpu());
        (contestant.run)(traces);
        let after = (thread_cpu(), Instant::now(), allocations());
        if burst >= WARM_UP {
            cpu.push((after.0 - before.2).as_nanos() as f64 / spans);
            wall.push((after.1 - before.1).as_nanos() as f64 / spans);
            allocated += after.2 - before.0;
        }
    }
    let Arrived { delivered, dropped } = (contestant.finish)();
    Measured {
        cpu_ns: median(&mut cpu),
        quiet_ns: cpu[cpu.len() / 10],
        wall_ns: median(&mut wall),
        allocations: allocated as f64 / (spans * f64::from(BURSTS)),
        peak_kib: machine::peak_kib(),
        expected: u64::from(WARM_UP + BURSTS) * u64::from(traces) * u64::from(scenario.delivered()),
        delivered,
        dropped,
    }
}

/// The one in the middle; the upper of two.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How long the calling thread has run.
pub fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes the one struct it is given.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "a clock that every Linux has");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
