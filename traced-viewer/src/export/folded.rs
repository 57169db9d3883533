//! Folded stacks, as flame graph tools read them: `shop: checkout;bank: pay 1200`.

use std::fmt::Write as _;
use std::sync::Arc;

use indexmap::IndexMap;

use super::nesting::{Nested, Nesting};
use crate::span::Span;
use crate::steps::steps;

/// Writes a line per stack of names: the microseconds in which its last span ran and none of its children did.
pub(super) fn write(spans: &[Arc<Span>]) -> Vec<u8> {
    let nesting = Nesting::of(spans);
    let children = nesting.children();
    let mut stacks: IndexMap<String, u64> = IndexMap::new();
    // The stack of each span, by index.
    let mut own_stacks: Vec<usize> = Vec::with_capacity(children.len());
    for (nested, children) in nesting.spans.iter().zip(&children) {
        // Parents come before their children.
        let above = nested.parent.and_then(|parent| own_stacks.get(parent).copied());
        let above = above.and_then(|at| Some((at, stacks.get_index(at)?.0)));
        let stack = match above {
            Some((_, above)) if above.len() < STACK_BYTES => Err(format!("{above};{}", frame(&nested.span))),
            // A deep trace would repeat all names above for each span of it.
            Some((at, _)) => Ok(at),
            None => Err(frame(&nested.span)),
        };
        let at = stack.unwrap_or_else(|text| {
            steps(text.len());
            let entry = stacks.entry(text);
            let at = entry.index();
            entry.or_default();
            at
        });
        let own = self_time(nested, children.iter().filter_map(|child| nesting.spans.get(*child)));
        if let Some((_, time)) = stacks.get_index_mut(at) {
            *time = time.saturating_add(own);
        }
        own_stacks.push(at);
    }
    stacks.sort_unstable_keys();
    let mut text = String::new();
    for (stack, time) in stacks.iter().filter(|(_, time)| **time > 0) {
        writeln!(text, "{stack} {time}").ok();
    }
    text.into_bytes()
}

/// Bytes of one stack. What lies deeper counts for the last one that fits.
const STACK_BYTES: usize = 4096;

/// The microseconds in which a span ran and none of its children did.
fn self_time<'a>(span: &Nested, children: impl Iterator<Item = &'a Nested>) -> u64 {
    let mut inside: Vec<(u64, u64)> = children
        .map(|child| (child.start.max(span.start), child.end.min(span.end)))
        .filter(|(start, end)| start < end)
        .collect();
    steps(1 + inside.len());
    inside.sort_unstable();
    let (mut covered, mut until) = (0, span.start);
    for (start, end) in inside {
        if end > until {
            covered += end - start.max(until);
            until = end;
        }
    }
    span.end - span.start - covered
}

/// A span's name in a stack; `;` and line breaks mean something there.
fn frame(span: &Span) -> String {
    let name = span.name.as_deref().unwrap_or("unknown");
    let frame = match span.local_service() {
        Some(service) => format!("{service}: {name}"),
        None => name.to_owned(),
    };
    frame.replace(';', ",").replace(char::is_control, " ")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::super::nesting::tests::{Random, random_trace, span};
    use super::*;

    fn text(spans: &[Span]) -> String {
        let spans: Vec<_> = spans.iter().cloned().map(Arc::new).collect();
        String::from_utf8(write(&spans)).unwrap()
    }

    #[test]
    fn time_of_children_is_theirs_and_counts_once() {
        let spans =
            [span(1, None, 0, 100), span(2, Some(1), 10, 30), span(3, Some(1), 20, 30), span(4, Some(3), 25, 90)];
        assert_eq!(text(&spans), "1 60\n1;2 30\n1;3 5\n1;3;4 90\n");
    }

    #[test]
    fn stacks_of_the_same_names_are_one_line() {
        let mut spans = [span(1, None, 0, 9), span(2, Some(1), 1, 2), span(3, Some(1), 4, 2)];
        for span in &mut spans[1..] {
            span.name = Some("a;b\nc".into());
        }
        assert_eq!(text(&spans), "1 5\n1;a,b c 4\n");
    }

    /// Against a count of single microseconds.
    #[test]
    fn self_time_is_the_duration_without_the_union_of_children() {
        let mut random = Random::new(7);
        for _ in 0..300 {
            let spans: Vec<_> = random_trace(&mut random, 12, 60).into_iter().map(Arc::new).collect();
            let nesting = Nesting::of(&spans);
            let children = nesting.children();
            for (nested, children) in nesting.spans.iter().zip(&children) {
                let covered = |time: &u64| {
                    children.iter().any(|child| {
                        let child = &nesting.spans[*child];
                        child.start <= *time && *time < child.end
                    })
                };
                let expected = (nested.start..nested.end).filter(|time| !covered(time)).count() as u64;
                let own = self_time(nested, children.iter().map(|child| &nesting.spans[*child]));
                assert_eq!(own, expected, "{spans:#?}");
            }
        }
    }
}
