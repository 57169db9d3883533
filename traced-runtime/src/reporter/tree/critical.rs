//! The critical path of a trace: at each instant the one span that held everything up.

use std::cmp::Reverse;

/// When something ran, in nanoseconds of any clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Interval {
    pub(super) const fn length(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The part of it inside of another; of no length if there is none.
    fn within(self, other: Self) -> Self {
        let start = self.start.clamp(other.start, other.end);
        Self { start, end: self.end.clamp(start, other.end) }
    }
}

/// A part of the critical path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) span: usize,
    pub(super) when: Interval,
}

/// The critical path below one span: sections that cover it without a gap and without overlap, in no order.
///
/// It is found from the end: the child that finished last is what its parent waited for at the end, and before that child
/// began it waited for the last one that had finished by then, be it at the same instant. What is left is the parent's own
/// time. Children count as far as they ran inside their parent. Depth is the program's, so it does not recurse.
pub(super) fn path(root: usize, times: &[Interval], children: &[Vec<usize>]) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add = |span, start, end| {
        if start < end {
            sections.push(Section { span, when: Interval { start, end } });
        }
    };
    let mut on_path = vec![(root, times[root])];
    while let Some((span, window)) = on_path.pop() {
        let mut below: Vec<(usize, Interval)> = children[span]
            .iter()
            .map(|child| (*child, times[*child].within(window)))
            .filter(|(_, when)| when.length() > 0)
            .collect();
        // Of those that finish together, the one that explains most.
        below.sort_by_key(|(_, when)| (Reverse(when.end), when.start));
        let mut until = window.end;
        for (child, when) in below {
            if when.end <= until {
                add(span, when.end, until);
                until = when.start;
                on_path.push((child, when));
            }
        }
        add(span, window.start, until);
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};

    /// Spans as `(parent, start, end)`, the root first.
    fn of(spans: &[(usize, u64, u64)]) -> (Vec<Interval>, Vec<Vec<usize>>) {
        let mut children = vec![Vec::new(); spans.len()];
        for (at, (parent, ..)) in spans.iter().enumerate().skip(1) {
            children[*parent].push(at);
        }
        (spans.iter().map(|(_, start, end)| Interval { start: *start, end: *end }).collect(), children)
    }

    /// The path as `(span, start, end)` in order of time.
    fn sorted(spans: &[(usize, u64, u64)]) -> Vec<(usize, u64, u64)> {
        let (times, children) = of(spans);
        let mut sections: Vec<_> =
            path(0, &times, &children).iter().map(|part| (part.span, part.when.start, part.when.end)).collect();
        sections.sort_by_key(|(_, start, _)| *start);
        sections
    }

    #[test]
    fn it_follows_the_child_that_finished_last() {
        assert_eq!(sorted(&[(0, 0, 10)]), [(0, 0, 10)]);
        let parallel = [(0, 0, 10), (0, 1, 5), (0, 2, 9), (0, 3, 4)];
        assert_eq!(sorted(&parallel), [(0, 0, 2), (2, 2, 9), (0, 9, 10)]);
        let nested = [(0, 0, 10), (0, 1, 9), (1, 2, 3), (1, 4, 8)];
        assert_eq!(sorted(&nested), [(0, 0, 1), (1, 1, 2), (2, 2, 3), (1, 3, 4), (3, 4, 8), (1, 8, 9), (0, 9, 10)]);
    }

    #[test]
    fn a_child_that_ends_exactly_where_the_next_starts_is_on_it() {
        let chain = [(0, 0, 9), (0, 0, 3), (0, 3, 6), (0, 6, 9)];
        assert_eq!(sorted(&chain), [(1, 0, 3), (2, 3, 6), (3, 6, 9)]);
    }

    #[test]
    fn what_runs_on_after_its_parent_counts_until_then() {
        assert_eq!(
            sorted(&[(0, 5, 10), (0, 7, 20), (0, 1, 6), (1, 8, 30)]),
            [(2, 5, 6), (0, 6, 7), (1, 7, 8), (3, 8, 10)]
        );
        assert_eq!(sorted(&[(0, 5, 10), (0, 10, 20), (0, 1, 5)]), [(0, 5, 10)]);
    }

    /// Recursive, and by another way: from each instant at which something begins or ends to the next, who is it?
    fn holder(spans: &[(usize, u64, u64)], children: &[Vec<usize>], span: usize, window: Interval, at: u64) -> usize {
        let mut until = window.end;
        loop {
            let clipped = |child: &usize| Interval { start: spans[*child].1, end: spans[*child].2 }.within(window);
            let last = children[span]
                .iter()
                .map(|child| (*child, clipped(child)))
                .filter(|(_, when)| when.length() > 0 && when.end <= until)
                .max_by_key(|(child, when)| (when.end, Reverse(when.start), Reverse(*child)));
            match last {
                Some((child, when)) if (when.start..when.end).contains(&at) => {
                    return holder(spans, children, child, when, at);
                }
                Some((_, when)) if at < when.start => until = when.start,
                _ => return span,
            }
        }
    }

    #[test]
    fn its_sections_sum_to_the_roots_duration_whatever_the_tree() {
        for seed in 0..3_000 {
            let mut random = SmallRng::seed_from_u64(seed);
            let size = random.random_range(1..40);
            let most = random.random_range(1..60);
            let spans: Vec<(usize, u64, u64)> = (0..size)
                .map(|at| {
                    let start = random.random_range(0..most);
                    (random.random_range(0..at.max(1)), start, start + random.random_range(0..most))
                })
                .collect();
            let sections = sorted(&spans);
            let (_, start, end) = spans[0];
            assert_eq!(sections.iter().map(|(_, from, to)| to - from).sum::<u64>(), end - start, "seed {seed}");
            let mut at = start;
            for (span, from, to) in &sections {
                assert_eq!(*from, at, "seed {seed}: a gap or an overlap in {sections:?} of {spans:?}");
                assert!(spans[*span].1 <= *from && *to <= spans[*span].2, "seed {seed}: {span} did not run");
                at = *to;
            }
            let (_, children) = of(&spans);
            for instant in start..end {
                let expected = holder(&spans, &children, 0, Interval { start, end }, instant);
                let found = sections.iter().find(|(_, from, to)| (*from..*to).contains(&instant));
                assert_eq!(found.map(|(span, ..)| *span), Some(expected), "seed {seed} at {instant}: {spans:?}");
            }
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        const DEPTH: usize = 100_000;
        let spans: Vec<_> =
            (0..DEPTH).map(|at| (at.saturating_sub(1), at as u64, 3 * DEPTH as u64 - at as u64)).collect();
        let sections = sorted(&spans);
        assert_eq!(sections.iter().map(|(_, from, to)| to - from).sum::<u64>(), 3 * DEPTH as u64);
        assert_eq!(sections.len(), 2 * DEPTH - 1);
    }
}
