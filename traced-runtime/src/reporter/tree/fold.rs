//! Spans that repeat, as one row.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::kind::Outcome;
use crate::reporter::tree::Tree;
use crate::reporter::tree::tags::failed;

/// Siblings next to each other that say the same, down to their leaves, from which on they are one row.
const REPEATS: usize = 4;

/// What one row stands for: a span, or several of the same shape. The first is the earliest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row(pub(super) Vec<usize>);

/// Which spans have the same shape: name, kind, service, and those of all below. Only what returned has one; two others are
/// never the same.
#[derive(Debug)]
pub(super) struct Shapes(Vec<Option<u32>>);

impl Shapes {
    pub(super) fn of(tree: &Tree<'_>) -> Self {
        let mut shapes: Vec<Option<u32>> = vec![None; tree.spans.len()];
        // Numbered, so that a shape is compared without a look at all below it.
        let mut numbers: HashMap<(u64, Vec<u32>), u32> = HashMap::new();
        // Parents before children; read backwards.
        let mut order = tree.roots.clone();
        let mut next = 0;
        while let Some(at) = order.get(next).copied() {
            order.extend_from_slice(&tree.children[at]);
            next += 1;
        }
        for at in order.into_iter().rev() {
            let span = tree.spans[at];
            if span.outcome != Outcome::Returned || failed(span) {
                continue;
            }
            let Some(below) = tree.children[at].iter().map(|child| shapes[*child]).collect::<Option<Vec<u32>>>() else {
                continue;
            };
            let mut own = DefaultHasher::new();
            (span.name(), span.kind(), span.local.service_name()).hash(&mut own);
            let number = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            shapes[at] = Some(*numbers.entry((own.finish(), below)).or_insert(number));
        }
        Self(shapes)
    }

    /// Rows of the same level in order, with those of one shape made one.
    fn fold(&self, rows: Vec<Row>) -> Vec<Row> {
        let shape = |row: &Row| row.0.first().and_then(|first| self.0[*first]);
        let mut folded: Vec<Row> = Vec::new();
        for run in rows.chunk_by(|a, b| shape(a).is_some() && shape(a) == shape(b)) {
            if run.len() < REPEATS {
                folded.extend_from_slice(run);
            } else {
                folded.push(Row(run.iter().flat_map(|row| row.0.iter().copied()).collect()));
            }
        }
        folded
    }

    pub(super) fn roots(&self, tree: &Tree<'_>) -> Vec<Row> {
        self.fold(tree.roots.iter().map(|root| Row(vec![*root])).collect())
    }

    /// The rows below a row: of several spans of one shape, the first child of each is a row, the second, and so on.
    pub(super) fn children(&self, tree: &Tree<'_>, row: &Row) -> Vec<Row> {
        let count = row.0.first().map_or(0, |first| tree.children[*first].len());
        let nth = |n: usize| Row(row.0.iter().filter_map(|span| tree.children[*span].get(n).copied()).collect());
        self.fold((0..count).map(nth).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reporter::record::SpanRecord;

    fn span(name: &'static str, id: u64, parent: u64) -> SpanRecord {
        let mut span = SpanRecord::sample(name, 1, id, parent);
        span.start += id;
        span
    }

    /// Each row with its level and the number of its spans.
    fn rows(spans: &[SpanRecord]) -> Vec<String> {
        let tree = Tree::new(spans);
        let shapes = Shapes::of(&tree);
        let mut found = Vec::new();
        let mut stack: Vec<(usize, Row)> = shapes.roots(&tree).into_iter().rev().map(|row| (0, row)).collect();
        while let Some((level, row)) = stack.pop() {
            found.push(format!("{}{} {}", " ".repeat(level), tree.spans[row.0[0]].name(), row.0.len()));
            stack.extend(shapes.children(&tree, &row).into_iter().rev().map(|row| (level + 1, row)));
        }
        found
    }

    #[test]
    fn repeats_are_one_row_with_all_below_them() {
        let mut spans = vec![span("import", 1, 0)];
        for item in 0..6 {
            let id = 10 + 10 * item;
            spans.extend([span("item", id, 1), span("parse", id + 1, id)]);
            spans.extend((2..8).map(|query| span("query", id + query, id)));
        }
        assert_eq!(rows(&spans), ["import 1", " item 6", "  parse 6", "  query 36"]);
    }

    #[test]
    fn what_differs_is_not_folded() {
        let mut spans = vec![span("import", 1, 0)];
        spans.extend((10..20).map(|id| span("insert", id, 1)));
        spans[5].outcome = Outcome::Error;
        spans.push(span("retry", 30, 16));
        assert_eq!(
            rows(&spans),
            [
                "import 1",
                " insert 4",
                " insert 1",
                " insert 1",
                " insert 1",
                "  retry 1",
                " insert 1",
                " insert 1",
                " insert 1"
            ]
        );
    }
}
