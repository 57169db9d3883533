//! Ticks, and what they mean: the time stamp counter where the kernel trusts it, else the OS clock.
//!
//! A tick is cheap to take and means nothing by itself. [`Timeline`] turns ticks into nanoseconds, on the thread that
//! reads the logs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use once_cell::sync::OnceCell;

/// Where ticks come from. Fixed for the process at the first use; a test's tracer has one of its own.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    /// The time stamp counter; its rate is measured against the OS clock.
    Tsc,
    /// Nanoseconds of the OS's monotonic clock.
    Os,
    /// Nanoseconds that a test sets. Each reading is one more, so that what happens later is later.
    #[cfg_attr(not(any(test, feature = "testing")), expect(dead_code, reason = "made by the test kit alone"))]
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The clock of this process: the TSC if the kernel itself keeps time by it and `TRACED_CLOCK` is not `os`.
    pub(crate) fn of_process() -> Self {
        static TRUSTED: OnceCell<bool> = OnceCell::new();
        let trusted =
            *TRUSTED.get_or_init(|| std::env::var_os("TRACED_CLOCK").is_none_or(|c| c != "os") && tsc_is_trusted());
        if trusted { Self::Tsc } else { Self::Os }
    }

    /// The tick now.
    pub(crate) fn now(&self) -> u64 {
        match self {
            Self::Tsc => tsc(),
            Self::Os => os_nanos(),
            Self::Manual(time) => time.fetch_add(1, Ordering::Relaxed),
        }
    }
}

/// Reads the time stamp counter. Not ordered with what stands around it: a fence would cost more than the read.
#[cfg(all(target_arch = "x86_64", not(loom)))]
#[allow(unsafe_code, reason = "an intrinsic without preconditions; safe in newer compilers")]
#[inline(always)]
pub(crate) fn tsc() -> u64 {
    // SAFETY: every x86_64 processor has the instruction; an OS that forbids it to programs is no clock source of ours
    // (`tsc_is_trusted`).
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Where there is no time stamp counter nothing asks for one: [`tsc_is_trusted`] says no.
#[cfg(not(all(target_arch = "x86_64", not(loom))))]
#[inline(always)]
pub(crate) fn tsc() -> u64 {
    os_nanos()
}

/// Nanoseconds since the first call in this process.
pub(crate) fn os_nanos() -> u64 {
    static START: OnceCell<Instant> = OnceCell::new();
    // Never 0, which means "no time" in some places.
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
}

/// Whether the kernel itself keeps time by the TSC: it has then checked that the counter runs at a constant rate, in
/// step on all processors. A counter that the kernel rejects (as some virtual machines make it) goes backwards.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(loom)))]
fn tsc_is_trusted() -> bool {
    std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        .is_ok_and(|source| source.trim() == "tsc")
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(loom))))]
fn tsc_is_trusted() -> bool {
    false
}

/// Breakpoints kept; when there are more, every second one of the older half goes.
const BREAKPOINTS: usize = 256;

/// Steps of the wall clock kept; a trace older than all of them uses the oldest.
const STEPS: usize = 256;

/// A difference between wall clock and monotonic clock that is a step and not noise, in nanoseconds.
const STEP: u64 = 1_000_000;

/// Turns ticks into time: ticks → monotonic nanoseconds by interpolation between measured points, and from there to
/// the wall clock by an offset.
///
/// A trace keeps, in this process, the offset that was in force when it began here: a step of the wall clock moves
/// later traces and never reorders or stretches a running one.
#[derive(Debug)]
pub(crate) struct Timeline {
    clock: Clock,
    /// Measured points (tick, monotonic nanoseconds), both strictly growing.
    points: Vec<(u64, u64)>,
    /// Since which tick which offset (wall − monotonic) was in force.
    offsets: Vec<(u64, u64)>,
    /// The tick of the last measurement.
    measured: u64,
}

impl Timeline {
    /// A timeline that starts now.
    pub(crate) fn new(clock: Clock) -> Self {
        let mut timeline = Self { clock, points: Vec::new(), offsets: Vec::new(), measured: 0 };
        timeline.measure();
        timeline
    }

    /// The clock whose ticks are read.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How long the rate of ticks has been measured for: it is exact to the time of a measurement (some 50 ns) in this.
    pub(crate) fn measured_for(&self) -> std::time::Duration {
        match (&self.clock, self.points.first()) {
            (Clock::Tsc, Some(&(_, first))) => std::time::Duration::from_nanos(os_nanos().saturating_sub(first)),
            _ => std::time::Duration::MAX,
        }
    }

    /// Takes a point. Called before each round, so that what the round reads lies between two points.
    pub(crate) fn measure(&mut self) {
        if let Clock::Manual(_) = self.clock {
            // A test's wall clock is its tick.
            self.offsets = vec![(0, 0)];
            return;
        }
        let (tick, monotonic, wall) = self.sample();
        self.measured = tick;
        self.add_point(tick, monotonic);
        self.add_offset(tick, wall.wrapping_sub(monotonic));
    }

    /// A whole tick near the end of a span that is read now, and began at `start`: of a span that may have been open for
    /// long the last measurement. A test moves its clock as it likes between the end and the reading.
    pub(crate) fn near(&self, start: u64) -> u64 {
        if matches!(self.clock, Clock::Manual(_)) { start } else { self.measured }
    }

    /// Reads tick, monotonic and wall clock as close together as three tries get them.
    fn sample(&self) -> (u64, u64, u64) {
        let mut best = (u64::MAX, 0, 0, 0);
        for _ in 0..3 {
            let before = self.clock.now();
            let monotonic = os_nanos();
            let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let after = self.clock.now();
            let width = after.wrapping_sub(before);
            if width < best.0 {
                let wall = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
                best = (width, before.wrapping_add(width / 2), monotonic, wall);
            }
        }
        (best.1, best.2, best.3)
    }

    fn add_point(&mut self, tick: u64, monotonic: u64) {
        if self.points.last().is_some_and(|&(t, m)| tick <= t || monotonic <= m) {
            return;
        }
        if self.points.len() >= BREAKPOINTS {
            let half = BREAKPOINTS / 2;
            let mut at = 0;
            self.points.retain(|_| {
                at += 1;
                at > half || at % 2 == 1
            });
        }
        self.points.push((tick, monotonic));
    }

    fn add_offset(&mut self, tick: u64, offset: u64) {
        if let Some(&(_, last)) = self.offsets.last() {
            if last.abs_diff(offset) < STEP {
                return;
            }
        }
        if self.offsets.len() >= STEPS {
            self.offsets.remove(0);
        }
        self.offsets.push((tick, offset));
    }

    /// Monotonic nanoseconds of a tick.
    pub(crate) fn monotonic(&self, tick: u64) -> u64 {
        let (low, high) = match (&self.clock, self.points.as_slice()) {
            (Clock::Os | Clock::Manual(_), _) | (_, []) => return tick,
            // The first span is reported milliseconds after the start; until a second point is there a tick counts as a
            // third of a nanosecond, the rate of a 3 GHz counter.
            (Clock::Tsc, [only]) => (*only, (only.0.saturating_add(3), only.1.saturating_add(1))),
            (Clock::Tsc, points) => {
                // What is read was mostly written after the last but one.
                let at = if points[points.len() - 2].0 <= tick {
                    points.len() - 1
                } else {
                    points.partition_point(|&(t, _)| t <= tick).clamp(1, points.len() - 1)
                };
                // Short sections are mostly noise of the measurement at their ends: outside of all points the rate is
                // that of the whole line.
                if tick > points[points.len() - 1].0 {
                    (points[0], points[points.len() - 1])
                } else {
                    (points[at - 1], points[at])
                }
            }
        };
        let base = if tick > high.0 { high } else { low };
        let rate = (high.1 - low.1) as f64 / (high.0 - low.0) as f64;
        #[allow(clippy::cast_possible_truncation, reason = "saturates, and a difference of ticks is far below 2^63")]
        let distance = (tick.wrapping_sub(base.0) as i64 as f64 * rate) as i64;
        base.1.saturating_add_signed(distance)
    }

    /// Nanoseconds between two ticks; 0 if `end` is before `start`.
    pub(crate) fn between(&self, start: u64, end: u64) -> u64 {
        self.monotonic(end).saturating_sub(self.monotonic(start))
    }

    /// Nanoseconds since the epoch of a tick, in a trace that began in this process at tick `origin`.
    pub(crate) fn wall(&self, origin: u64, tick: u64) -> u64 {
        self.wall_at(origin, self.monotonic(tick))
    }

    /// The same of monotonic nanoseconds.
    pub(crate) fn wall_at(&self, origin: u64, monotonic: u64) -> u64 {
        let at = self.offsets.partition_point(|&(since, _)| since <= origin).max(1);
        let offset = self.offsets.get(at - 1).map_or(0, |&(_, offset)| offset);
        monotonic.wrapping_add(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(points: &[(u64, u64)], offsets: &[(u64, u64)]) -> Timeline {
        Timeline { clock: Clock::Tsc, points: points.to_vec(), offsets: offsets.to_vec(), measured: 0 }
    }

    #[test]
    fn ticks_between_points_are_interpolated() {
        let line = timeline(&[(1000, 10), (4000, 1010), (5000, 1510)], &[(0, 0)]);
        assert_eq!(line.monotonic(1000), 10);
        assert_eq!(line.monotonic(2500), 510);
        assert_eq!(line.monotonic(4500), 1260);
        assert_eq!(line.monotonic(9000), 3010, "behind the last point the whole line's rate holds");
        assert_eq!(line.between(4500, 2500), 0);
    }

    #[test]
    fn a_step_of_the_wall_clock_counts_for_later_traces_only() {
        let line = timeline(&[(0, 0), (1000, 1000)], &[(0, 5_000), (500, 9_000_000)]);
        assert_eq!(line.wall(100, 600), 5_600, "began before the step");
        assert_eq!(line.wall(501, 600), 9_000_600);
    }

    #[test]
    fn points_stay_bounded_and_ordered() {
        let mut line = timeline(&[], &[]);
        for n in 0..10_000_u64 {
            line.add_point(n * 3, n);
        }
        assert!(line.points.len() <= BREAKPOINTS);
        assert!(line.points.is_sorted());
        assert_eq!(line.points.last(), Some(&(29_997, 9_999)));
        assert_eq!(line.monotonic(15_000), 5_000);
    }

    #[test]
    fn the_clock_of_this_machine_agrees_with_the_os() {
        for clock in [Clock::of_process(), Clock::Os] {
            let mut line = Timeline::new(clock.clone());
            let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos();
            let (start, os_start) = (clock.now(), os_nanos());
            while os_nanos() - os_start < 20_000_000 {
                std::hint::spin_loop();
            }
            let (end, os_end) = (clock.now(), os_nanos());
            line.measure();
            let (ours, theirs) = (line.between(start, end), os_end - os_start);
            assert!(ours.abs_diff(theirs) < theirs / 20, "{clock:?}: {ours} ns by ticks, {theirs} ns by the OS");
            let ours = u128::from(line.wall(start, start));
            assert!(ours.abs_diff(wall) < 50_000_000, "{clock:?}: wall clock {ours} and {wall}");
        }
    }
}
