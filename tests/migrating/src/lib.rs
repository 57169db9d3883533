//! The code blocks of `docs/migrating.md` are the tests of this package.
#![doc = include_str!("../../../docs/migrating.md")]
