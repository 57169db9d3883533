//! The user's last word about a span before it leaves the process.

use std::fmt;
use std::sync::Arc;

use crate::model::numbers::Count;
use crate::process::notice::contain;
use crate::reporter::record::SpanRecord;

/// A hook that changes finished spans. It is called on the tracer's own threads.
#[derive(Clone)]
pub(crate) struct Redaction(Arc<dyn Fn(&mut SpanRecord) + Send + Sync>);

impl Redaction {
    pub(crate) fn new(hook: impl Fn(&mut SpanRecord) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    /// Calls the hook with each span that it has not seen. Where it panics the span is taken out: what it was to remove
    /// may still be there. Tells how many were, and what the last panic said.
    pub(crate) fn apply(&self, spans: &mut Vec<SpanRecord>) -> Option<(usize, String)> {
        let before = spans.len();
        let mut message = None;
        spans.retain_mut(|span| {
            if span.redacted {
                return true;
            }
            span.redacted = true;
            contain(|| (self.0)(span)).map_err(|panic| message = Some(panic)).is_ok()
        });
        message.map(|message| (before - spans.len(), message))
    }
}

/// What is told when the hook panicked.
pub(crate) fn failed_text(spans: u64, panic: &str) -> String {
    format!("{} dropped because the redaction hook panicked: {panic}", Count(spans, "span"))
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "a hook that fails is what is tested")]
    use super::*;
    use crate::reporter::attributes::TagValue;

    #[test]
    fn each_span_is_seen_once_and_one_that_panics_is_taken_out() {
        let redaction = Redaction::new(|span| match span.name().as_ref() {
            "bad" => panic!("no"),
            name => {
                let name = format!("{name}!");
                span.set_name(name);
            }
        });
        let named = |name, id| SpanRecord::sample(name, 1, id, 0);
        let mut spans = vec![named("a", 1), named("bad", 2), named("b", 3)];
        assert_eq!(redaction.apply(&mut spans), Some((1, "no".to_owned())));
        assert_eq!(redaction.apply(&mut spans), None);
        let names: Vec<_> = spans.iter().map(|span| span.name().into_owned()).collect();
        assert_eq!(names, ["a!", "b!"]);
    }

    #[test]
    fn texts_are_replaced_and_numbers_stay() {
        let mut span = SpanRecord::sample("of ann", 1, 1, 0);
        span.attributes.tag(1, "user", TagValue::Text("ann"));
        span.attributes.tag(1, "password", TagValue::Text("x"));
        span.attributes.tag(1, "age", TagValue::Unsigned(7));
        span.attributes.annotation(9, "ann came");
        span.retain_tags(|key, _| key != "password");
        span.replace_texts(|text| text.contains("ann").then(|| text.replace("ann", "***")));
        span.set_tag("age", TagValue::Text("adult"));
        assert_eq!(span.name(), "of ***");
        let tags: Vec<_> = span.tags().map(|(key, value)| (key, value.to_string())).collect();
        assert_eq!(tags, [("user", "***".to_owned()), ("age", "adult".to_owned())]);
        assert_eq!(span.attributes.annotations().collect::<Vec<_>>(), [(9, "*** came")]);
    }
}
