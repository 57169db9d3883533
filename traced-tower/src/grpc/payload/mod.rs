//! The messages of a call, in its trace.

mod body;
mod message;
mod messages;
mod payloads;
#[cfg(feature = "payloads")]
mod text;

pub(crate) use self::body::Recorded;
pub use self::message::{Direction, Payload};
pub(crate) use self::messages::{Messages, encoding};
pub use self::payloads::Payloads;
#[cfg(feature = "payloads")]
pub use self::text::DescriptorError;
