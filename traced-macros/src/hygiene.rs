//! Whose names generated tokens see, and where errors about them point.

use proc_macro2::Span;

/// Our hygiene and edition, at the user's place.
pub(crate) fn located(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}
