//! The tree as tests write it: without ids and times.

use std::ops::ControlFlow;

use crate::model::kind::Kind;
use crate::reporter::record::SpanRecord;
use crate::reporter::tree::Tree;
use crate::reporter::tree::escape::{Quotes, Shown};
use crate::reporter::tree::tags::Limits;

impl Tree<'_> {
    /// Puts siblings in the order of their text, with what is below them: the same for the same spans, whichever came
    /// first.
    pub(crate) fn sort_by_text(&mut self) {
        let mut below: Vec<String> = vec![String::new(); self.spans.len()];
        let mut order = Vec::with_capacity(self.spans.len());
        self.walk(|_, at| {
            order.push(at);
            ControlFlow::Continue(())
        });
        // From the leaves up: a span's key is its line and the keys of its children. Lines contain no control
        // characters, so that these cannot be mistaken for text.
        for at in order.into_iter().rev() {
            let mut children = std::mem::take(&mut self.children[at]);
            children.sort_by(|a, b| below[*a].cmp(&below[*b]));
            let mut key = line(self.spans[at]);
            for child in &children {
                key.push('\u{1}');
                key.push_str(&std::mem::take(&mut below[*child]));
            }
            key.push('\0');
            below[at] = key;
            self.children[at] = children;
        }
        self.roots.sort_by(|a, b| below[*a].cmp(&below[*b]));
    }

    /// The tree as tests write it: no ids, no times.
    ///
    /// ```text
    /// checkout
    /// ├─ load_cart  [client]  rows=3  note="two words"  @ cache miss
    /// └─ pay  cancelled  error: declined
    /// ```
    ///
    /// A line is the span's name, its kind, its tags, its annotations behind `@`, how it ended (`panicked`, `cancelled`,
    /// `unfinished`; `error` when there is no text), and the tag `error`. A tag with white space, quotes or nothing in it is
    /// quoted. Control characters are escaped.
    pub(crate) fn plain(&self) -> String {
        let mut text = String::new();
        self.walk(|indent, at| {
            text.push_str(indent);
            text.push_str(&line(self.spans[at]));
            text.push('\n');
            ControlFlow::Continue(())
        });
        text
    }
}

fn line(span: &SpanRecord) -> String {
    let limits = Limits { shown: Shown::Harmless, text: usize::MAX, pieces: usize::MAX, dots: "…" };
    let mut line = String::new();
    limits.push(&mut line, &span.name(), Quotes::None);
    if let Some(kind) = span.kind() {
        line.push_str(match kind {
            Kind::Client => "  [client]",
            Kind::Server => "  [server]",
            Kind::Producer => "  [producer]",
            Kind::Consumer => "  [consumer]",
        });
    }
    limits.push_attributes(&mut line, span);
    limits.push_outcome(&mut line, span);
    if let Some(error) = span.tag("error") {
        line.push_str("  error: ");
        limits.push(&mut line, &error.to_string(), Quotes::None);
    }
    line
}
