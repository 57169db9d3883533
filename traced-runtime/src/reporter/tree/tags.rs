//! What a span was given, as text on one line.

use std::fmt::Write as _;

use crate::model::kind::Outcome;
use crate::reporter::attributes::TagValue;
use crate::reporter::record::SpanRecord;
use crate::reporter::tree::escape::{self, Quotes, Shown};

/// How much of a span's texts is written.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) shown: Shown,
    /// Characters of one text.
    pub(super) text: usize,
    /// Tags and annotations together.
    pub(super) pieces: usize,
    /// Stands for what is left out.
    pub(super) dots: &'static str,
}

impl Limits {
    /// Appends a text.
    pub(super) fn push(self, line: &mut String, text: &str, quotes: Quotes) {
        if !escape::push(line, text, quotes, self.shown, self.text) {
            line.push_str(self.dots);
        }
    }

    /// Appends tags and annotations, each behind two spaces: `  attempts=2  @ cache miss`. The tag `error` is left to others.
    pub(super) fn push_attributes(self, line: &mut String, span: &SpanRecord) {
        let mut left = self.pieces;
        let mut may_push = || {
            let may = left > 0;
            left = left.saturating_sub(1);
            may
        };
        for (key, value) in span.tags().filter(|(key, _)| *key != "error") {
            if !may_push() {
                break;
            }
            line.push_str("  ");
            self.push(line, key, Quotes::for_text(key));
            line.push('=');
            match value {
                TagValue::Text(text) => self.push(line, text, Quotes::for_text(text)),
                number => {
                    write!(line, "{number}").ok();
                }
            }
        }
        for (_, text) in span.annotations() {
            if !may_push() {
                break;
            }
            line.push_str("  @ ");
            self.push(line, text, Quotes::None);
        }
        if span.tags().filter(|(key, _)| *key != "error").count() + span.annotations().count() > self.pieces {
            line.push_str("  ");
            line.push_str(self.dots);
        }
    }

    /// Appends how the span ended, behind two spaces, if there is something to say. An error that has a text is none of it.
    pub(super) fn push_outcome(self, line: &mut String, span: &SpanRecord) {
        line.push_str(match span.outcome {
            Outcome::Error if span.tag("error").is_none() => "  error",
            Outcome::Returned | Outcome::Error => "",
            Outcome::Panicked => "  panicked",
            Outcome::Cancelled => "  cancelled",
            Outcome::Unfinished => "  unfinished",
        });
    }
}

/// Whether it is to be seen as failed.
#[cfg(feature = "tree")]
pub(super) fn failed(span: &SpanRecord) -> bool {
    matches!(span.outcome, Outcome::Error | Outcome::Panicked) || span.tag("error").is_some()
}
