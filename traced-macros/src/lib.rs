//! The `#[traced]` attribute.
