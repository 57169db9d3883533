//! Functions of every shape compile under the attribute, behave as before, and are told nothing new by strict lints.

#![deny(warnings, unused, future_incompatible, rust_2018_idioms, nonstandard_style, let_underscore_drop)]
#![deny(unreachable_pub, unused_qualifications, refining_impl_trait, unsafe_op_in_unsafe_fn)]
#![deny(clippy::shadow_same, clippy::redundant_locals, clippy::needless_return, clippy::used_underscore_binding)]
#![deny(clippy::no_effect_underscore_binding, clippy::items_after_statements, clippy::async_yields_async)]
#![deny(clippy::print_stdout, clippy::let_underscore_untyped, clippy::let_underscore_must_use, clippy::too_many_lines)]
#![deny(clippy::needless_pass_by_ref_mut, clippy::trivially_copy_pass_by_ref, clippy::semicolon_if_nothing_returned)]
#![expect(missing_docs, missing_debug_implementations, reason = "it is enough that they compile")]
#![expect(
    clippy::missing_safety_doc,
    clippy::undocumented_unsafe_blocks,
    unsafe_code,
    reason = "`unsafe fn` is a shape"
)]

pub mod asynchronous;
pub mod attributes;
pub mod blocks;
pub mod bodies;
pub mod futures;
pub mod impls;
pub mod limits;
pub mod methods;
pub mod names;
pub mod parents;
pub mod sync;
pub mod traits;
