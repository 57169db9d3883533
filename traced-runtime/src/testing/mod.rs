//! seam: the test kit's own; here only to build `diff`.

pub(crate) mod diff;
