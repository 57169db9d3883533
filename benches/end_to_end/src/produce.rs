//! The process that is measured.

use std::fmt;
use std::time::{Duration, Instant};

use versus::machine;

use crate::contestants::Entry;

/// Threads that make traces.
pub const PRODUCERS: u64 = 2;

/// Children of each root.
pub const CHILDREN: u32 = 20;

/// Spans of a trace.
pub const SPANS: u64 = CHILDREN as u64 + 1;

/// How long they make them.
const DURATION: Duration = Duration::from_secs(4);

/// How often a thread that keeps a pace looks at the clock.
const BEAT: Duration = Duration::from_millis(4);

/// What it took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Produced {
    /// Spans made.
    pub spans: u64,
    /// Microseconds until the last was made and everything was handed over.
    pub micros: u64,
    /// Microseconds of processor time of the whole process meanwhile.
    pub cpu_micros: u64,
    /// The most memory that the process had, in KiB.
    pub peak_kib: u64,
    /// Microseconds until the tracer was there.
    pub start_micros: u64,
}

impl fmt::Display for Produced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spans, micros, cpu_micros, peak_kib, start_micros } = self;
        write!(f, "{spans} {micros} {cpu_micros} {peak_kib} {start_micros}")
    }
}

impl Produced {
    /// Reads the line back.
    pub fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        let mut next = || numbers.next()?;
        Some(Self { spans: next()?, micros: next()?, cpu_micros: next()?, peak_kib: next()?, start_micros: next()? })
    }
}

/// Makes traces at `rate` spans in a second, or as fast as it can without one.
pub fn run(entry: &Entry, port: u16, rate: Option<u64>) -> Produced {
    let before = Instant::now();
    let finish = (entry.start)(&format!("http://127.0.0.1:{port}/api/v2/spans"));
    let start_micros = micros(before.elapsed());
    let (start, cpu) = (Instant::now(), process_cpu());
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|_| {
            let trace = entry.trace;
            std::thread::spawn(move || produce(trace, rate.map(|rate| rate / PRODUCERS)))
        })
        .collect();
    let spans = producers.into_iter().map(|producer| producer.join().unwrap_or(0)).sum();
    finish();
    Produced {
        spans,
        micros: micros(start.elapsed()),
        cpu_micros: micros(process_cpu() - cpu),
        peak_kib: machine::peak_kib(),
        start_micros,
    }
}

fn produce(trace: fn(), rate: Option<u64>) -> u64 {
    let start = Instant::now();
    let mut traces = 0;
    loop {
        let elapsed = start.elapsed();
        if elapsed >= DURATION {
            return traces * SPANS;
        }
        let due = match rate {
            Some(rate) => u64::try_from(elapsed.as_nanos() * u128::from(rate) / 1_000_000_000).unwrap_or(0) / SPANS,
            None => traces + 16,
        };
        while traces < due {
            trace();
            traces += 1;
        }
        if rate.is_some() {
            std::thread::sleep(BEAT);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn process_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes the one struct it is given.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "a clock that every Linux has");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
