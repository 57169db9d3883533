//! Which new traces are recorded.

use std::fmt::{self, Display, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::model::id::TraceId;

/// Decides which new traces are recorded.
///
/// It is asked once, when a trace begins in this process and nobody upstream has decided; every other span follows that
/// decision, in this process and in the next ones. It never sees how a trace ended.
///
/// ```
/// use traced_runtime::Sampler;
///
/// // Every payment, no health check, at most 50 of everything else in a second.
/// let sampler = Sampler::rules(
///     [("Payment::*", Sampler::always()), ("GET /health", Sampler::never())],
///     Sampler::per_second(50),
/// );
/// # let _ = sampler;
/// ```
#[derive(Clone, Debug)]
pub struct Sampler {
    policy: Policy,
}

/// A sampler has a ratio that is not between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NoRatio {
    pub(crate) share: f64,
}

#[derive(Clone, Debug)]
enum Policy {
    Always,
    Never,
    /// As it was given: checked by [`Sampler::validate`].
    Ratio(f64),
    PerSecond(Arc<Rate>),
    Rules(Arc<Rules>),
}

impl Sampler {
    /// Records every trace.
    #[must_use]
    pub const fn always() -> Self {
        Self { policy: Policy::Always }
    }

    /// Records no trace that begins here; ids are still made and passed on. A trace of another
    /// process is recorded if its caller says so: see [`RemoteSampling`](crate::RemoteSampling).
    #[must_use]
    pub const fn never() -> Self {
        Self { policy: Policy::Never }
    }

    /// Records this share of the traces, between 0.0 and 1.0.
    ///
    /// The decision depends on the trace's id alone: every process with the same ratio decides alike, and one with a
    /// higher ratio records all that one with a lower ratio does. Any other number is an error of the tracer that is
    /// built with it.
    #[must_use]
    pub const fn ratio(share: f64) -> Self {
        Self { policy: Policy::Ratio(share) }
    }

    /// Records so many traces in a second and no more.
    ///
    /// From 10 on they are spread over the second in tenths: a burst at its beginning cannot use up the whole second; what one
    /// tenth leaves over may be used in a later one of the same second. Clones share one count.
    #[must_use]
    pub fn per_second(traces: u32) -> Self {
        Self::per_second_since(traces, Instant::now())
    }

    /// Seconds are counted from `epoch`.
    fn per_second_since(traces: u32, epoch: Instant) -> Self {
        Self { policy: Policy::PerSecond(Arc::new(Rate { traces, epoch, state: AtomicU64::new(0) })) }
    }

    /// Decides by the name of the trace's first span: the first rule whose pattern matches, else `otherwise`.
    ///
    /// A pattern is a whole name, or the beginning of one followed by `*`; a `*` elsewhere is an ordinary character, because
    /// routes contain it. Case counts. The name is the one the span begins with: one that is set later is not seen.
    #[must_use]
    pub fn rules(rules: impl IntoIterator<Item = (impl Into<String>, Self)>, otherwise: Self) -> Self {
        let rules = rules.into_iter().map(|(pattern, sampler)| (Pattern::new(pattern.into()), sampler)).collect();
        Self { policy: Policy::Rules(Arc::new(Rules { rules, otherwise })) }
    }

    /// Tells what is wrong with the numbers it was made of; until then [`decide`](Self::decide) takes the nearest that
    /// make sense.
    pub(crate) fn validate(&self) -> Result<(), NoRatio> {
        match &self.policy {
            Policy::Ratio(share) if !(0.0..=1.0).contains(share) => Err(NoRatio { share: *share }),
            Policy::Rules(rules) => {
                rules.rules.iter().map(|(_, sampler)| sampler).chain([&rules.otherwise]).try_for_each(Self::validate)
            }
            _ => Ok(()),
        }
    }

    /// Whether to record the trace that begins at `now` with a span of this name.
    ///
    /// Neither locks nor allocates; the name is formatted once for each rule that is looked at.
    pub(crate) fn decide(&self, name: &dyn Display, trace: TraceId, now: Instant) -> bool {
        match &self.policy {
            Policy::PerSecond(rate) => rate.take(now),
            Policy::Rules(rules) => {
                let matching = rules.rules.iter().find(|(pattern, _)| pattern.matches(name));
                matching.map_or(&rules.otherwise, |(_, sampler)| sampler).decide(name, trace, now)
            }
            Policy::Always | Policy::Never | Policy::Ratio(_) => {
                #[expect(clippy::cast_possible_truncation, reason = "the low half is what counts")]
                let low = trace.get() as u64;
                self.boundary().is_some_and(|boundary| Self::within(boundary, low))
            }
        }
    }

    /// The sampler as a number, if the trace id alone decides: 0 for never, `u64::MAX` for always, else what
    /// [`within`](Self::within) takes. `None`: ask [`decide`](Self::decide).
    pub(crate) fn boundary(&self) -> Option<u64> {
        /// 2⁶⁴.
        const SCALE: f64 = 18_446_744_073_709_551_616.0;
        match self.policy {
            Policy::Always => Some(u64::MAX),
            Policy::Never => Some(0),
            #[expect(clippy::cast_possible_truncation, reason = "saturates, and NaN is 0")]
            Policy::Ratio(share) => Some((share * SCALE) as u64),
            Policy::PerSecond(_) | Policy::Rules(_) => None,
        }
    }

    /// Whether the trace's id lies below the boundary.
    ///
    /// The low half is mixed first: ids that count up, begin with a time or have 63 bits are sampled at the same rate as
    /// random ones. Only the low half counts, because some systems on the way pass on nothing else.
    #[inline]
    pub(crate) const fn within(boundary: u64, trace_low: u64) -> bool {
        boundary == u64::MAX || mix(trace_low) < boundary
    }
}

/// Spreads ids evenly: the finaliser of SplitMix64, each step of which can be undone.
const fn mix(mut id: u64) -> u64 {
    id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    id ^ (id >> 31)
}

/// So many in each second since the epoch.
#[derive(Debug)]
struct Rate {
    traces: u32,
    epoch: Instant,
    /// The second in the high half, how many were taken in it in the low half: one word, so that a new second and its
    /// fresh count are one step.
    state: AtomicU64,
}

/// Seconds by which a thread's reading of the clock may be late. Seconds are counted modulo 2³².
const LATE: u32 = 3600;

impl Rate {
    fn take(&self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.epoch);
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2³², as the state has it")]
        let second = since.as_secs() as u32;
        let allowed = self.allowed(since);
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            #[expect(clippy::cast_possible_truncation, reason = "the halves are taken out by truncation")]
            let (current, taken) = ((state >> 32) as u32, state as u32);
            // A thread that read its clock before another one opened a second counts in that one's first tenth.
            let (second, taken, allowed) = match current.wrapping_sub(second) {
                0 => (second, taken, allowed),
                1..LATE => (current, taken, self.allowed(Duration::ZERO)),
                _ => (second, 0, allowed),
            };
            if taken >= allowed {
                return false;
            }
            let next = u64::from(second) << 32 | u64::from(taken + 1);
            match self.state.compare_exchange_weak(state, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(changed) => state = changed,
            }
        }
    }

    /// How many may have been taken by this time of its second.
    fn allowed(&self, since: Duration) -> u32 {
        if self.traces < 10 {
            return self.traces;
        }
        let tenths = u64::from(since.subsec_millis() / 100) + 1;
        u32::try_from(u64::from(self.traces) * tenths / 10).unwrap_or(self.traces)
    }
}

#[derive(Debug)]
struct Rules {
    rules: Vec<(Pattern, Sampler)>,
    otherwise: Sampler,
}

/// A whole name, or the beginning of one.
#[derive(Debug)]
struct Pattern {
    text: String,
    prefix: bool,
}

impl Pattern {
    fn new(mut text: String) -> Self {
        let prefix = text.ends_with('*');
        if prefix {
            text.pop();
        }
        Self { text, prefix }
    }

    /// Compares while the name is being formatted, and stops at the first difference.
    fn matches(&self, name: &dyn Display) -> bool {
        struct Rest<'a> {
            expected: &'a str,
            prefix: bool,
        }
        impl Write for Rest<'_> {
            fn write_str(&mut self, piece: &str) -> fmt::Result {
                if let Some(rest) = self.expected.strip_prefix(piece) {
                    self.expected = rest;
                    Ok(())
                } else if self.prefix && piece.starts_with(self.expected) {
                    self.expected = "";
                    Ok(())
                } else {
                    Err(fmt::Error)
                }
            }
        }
        let mut rest = Rest { expected: &self.text, prefix: self.prefix };
        write!(rest, "{name}").is_ok() && rest.expected.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn id(value: u128) -> TraceId {
        TraceId::new(value).unwrap()
    }

    fn share(sampler: &Sampler, ids: impl Iterator<Item = u128>) -> f64 {
        let now = Instant::now();
        let (mut all, mut sampled) = (0_u32, 0_u32);
        for trace in ids {
            all += 1;
            sampled += u32::from(sampler.decide(&"", id(trace), now));
        }
        f64::from(sampled) / f64::from(all)
    }

    #[test]
    fn a_ratio_is_honoured_to_one_percent_whatever_the_ids_look_like() {
        let mut random = SmallRng::seed_from_u64(7);
        let random: Vec<u128> = (0..200_000).map(|_| random.random::<u128>() | 1).collect();
        for ratio in [0.1, 0.5, 0.9] {
            let sampler = Sampler::ratio(ratio);
            for (ids, got) in [
                ("random", share(&sampler, random.iter().copied())),
                ("63 bits", share(&sampler, random.iter().map(|id| id & u128::from(u64::MAX >> 1) | 1))),
                ("counting", share(&sampler, 1..=200_000)),
                ("nanoseconds", share(&sampler, (0..200_000).map(|n| 1_700_000_000_000_000_000 + n * 1000))),
            ] {
                assert!((got - ratio).abs() < 0.01 * ratio.max(0.5), "{ratio}: {got} of {ids} ids");
            }
        }
        let rare = share(&Sampler::ratio(0.001), 1..=2_000_000);
        assert!((rare - 0.001).abs() < 0.000_1, "{rare}");
    }

    #[test]
    fn a_trace_gets_the_same_decision_everywhere_and_a_higher_ratio_keeps_more() {
        let (low, high) = (Sampler::ratio(0.2), Sampler::ratio(0.4));
        let now = Instant::now();
        for trace in 1..10_000 {
            let long = id(trace | 0xabcd << 64);
            assert_eq!(low.decide(&"a", id(trace), now), low.clone().decide(&"b", long, now));
            assert!(!low.decide(&"", long, now) || high.decide(&"", long, now));
        }
    }

    #[test]
    fn the_boundary_agrees_with_the_decision() {
        for sampler in
            [Sampler::always(), Sampler::never(), Sampler::ratio(0.3), Sampler::ratio(1.0), Sampler::ratio(0.0)]
        {
            let boundary = sampler.boundary().unwrap();
            for trace in 1..1000 {
                let decided = sampler.decide(&"", id(trace), Instant::now());
                assert_eq!(Sampler::within(boundary, u64::try_from(trace).unwrap()), decided, "{sampler:?}");
            }
        }
        assert_eq!(Sampler::ratio(1.0).boundary(), Some(u64::MAX));
        assert_eq!(Sampler::ratio(0.0).boundary(), Some(0));
        assert_eq!(Sampler::ratio(0.5).boundary(), Some(1 << 63));
        assert_eq!(Sampler::per_second(1).boundary(), None);
    }

    #[test]
    fn ratios_that_are_none_are_named() {
        for ratio in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let nested = Sampler::rules([("a", Sampler::ratio(ratio))], Sampler::always());
            let NoRatio { share } = nested.validate().unwrap_err();
            assert_eq!(share.to_bits(), ratio.to_bits());
        }
        assert!(Sampler::ratio(0.0).validate().is_ok());
        assert!(Sampler::rules([("a", Sampler::never())], Sampler::ratio(1.0)).validate().is_ok());
    }

    /// How many are recorded of 1,000 in each tenth of a second.
    fn tenths(sampler: &Sampler, epoch: Instant, count: u32) -> Vec<usize> {
        let now = |tenth: u32| epoch + Duration::from_millis(100) * tenth;
        (0..count).map(|tenth| (0..1000).filter(|_| sampler.decide(&"", id(1), now(tenth))).count()).collect()
    }

    #[test]
    fn a_rate_is_spread_over_the_second() {
        let epoch = Instant::now();
        let sampler = Sampler::per_second_since(10, epoch);
        assert_eq!(tenths(&sampler, epoch, 20), [1; 20]);
        let sampler = Sampler::per_second_since(25, epoch);
        assert_eq!(tenths(&sampler, epoch, 10), [2, 3, 2, 3, 2, 3, 2, 3, 2, 3]);
        let sampler = Sampler::per_second_since(u32::MAX, epoch);
        assert_eq!(tenths(&sampler, epoch, 2), [1000, 1000]);
    }

    #[test]
    fn a_small_rate_may_be_used_at_once() {
        let epoch = Instant::now();
        let sampler = Sampler::per_second_since(3, epoch);
        assert_eq!(tenths(&sampler, epoch, 11), [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!(tenths(&Sampler::per_second_since(0, epoch), epoch, 11), [0; 11]);
    }

    #[test]
    fn what_a_tenth_leaves_over_is_used_later_in_the_second_only() {
        let epoch = Instant::now();
        let sampler = Sampler::per_second_since(100, epoch);
        let burst = |at| (0..1000).filter(|_| sampler.decide(&"", id(1), epoch + Duration::from_millis(at))).count();
        assert_eq!((burst(850), burst(999), burst(1000), burst(5000)), (90, 10, 10, 10));
        // A clock that was read earlier than another thread's.
        assert_eq!((burst(4000), burst(5100)), (0, 10));
    }

    #[test]
    fn a_rate_holds_after_as_many_seconds_as_it_counts() {
        let epoch = Instant::now();
        let sampler = Sampler::per_second_since(3, epoch);
        let wraps = u64::from(u32::MAX) + 1;
        for second in [1, wraps / 2, wraps - 2, wraps - 1, wraps, wraps + 1, wraps + wraps / 2, 3 * wraps] {
            let burst = || (0..10).filter(|_| sampler.decide(&"", id(1), epoch + Duration::from_secs(second))).count();
            assert_eq!((burst(), burst()), (3, 0), "second {second}");
        }
    }

    #[test]
    fn threads_together_keep_the_rate() {
        let epoch = Instant::now();
        let sampler = Sampler::per_second_since(50, epoch);
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let sampler = sampler.clone();
                    scope.spawn(move || {
                        let at = |n: u64| epoch + Duration::from_millis(n * 2);
                        (0..1000_u64).filter(|n| sampler.decide(&"", id(1), at(*n))).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // Two seconds; a late thread finds the second that it counts in over.
        assert!((50..=100).contains(&taken), "{taken}");
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let sampler = Sampler::rules(
            [
                ("GET /health", Sampler::never()),
                ("GET /health*", Sampler::always()),
                ("Cart::*", Sampler::always()),
                ("GET /{*rest}", Sampler::always()),
            ],
            Sampler::never(),
        );
        let decide = |name: &dyn Display| sampler.decide(name, id(1), Instant::now());
        assert!(!decide(&"GET /health"));
        assert!(decide(&"GET /healthy"));
        assert!(decide(&format_args!("{}::{}", "Cart", "add")));
        assert!(decide(&"Cart::"));
        assert!(!decide(&"Cart:"));
        assert!(!decide(&format_args!("{}::{}", "MyCart", "add")));
        assert!(decide(&"GET /{*rest}"));
        assert!(!decide(&"GET /{*other}"));
        assert!(!decide(&""));
        assert!(Sampler::rules([("*", Sampler::always())], Sampler::never()).decide(&"", id(1), Instant::now()));
    }
}
