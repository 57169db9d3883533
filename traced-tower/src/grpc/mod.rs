//! gRPC: clients and servers, by way of tonic.
//!
//! Spans have Brave's names and tags, or [those of otgrpc](crate::Layer::otgrpc). A stream is one span, which ends once:
//! with its status, with an error, or when it is cancelled. The messages of unary calls can be put into the trace, see
//! [`Payloads`].
//!
//! # Calls that are not gRPC
//! An HTTP call through these layers, of a health check say, is a span, too. It is named by its path
//! and ends by the table that gRPC has for [HTTP statuses][table]: without a `grpc-status` even 200
//! is an error. A server's span says so: `no grpc-status, HTTP status 200`. Where such calls are
//! usual, [`Layer::only`](crate::Layer::only) leaves them out.
//!
//! [table]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md

mod client;
mod code;
mod convention;
pub(crate) mod exchange;
mod options;
mod payload;
mod policy;
mod server;
mod status;

pub use self::client::{Client, ClientFuture, client};
pub use self::options::Role;
#[cfg(feature = "payloads")]
pub use self::payload::DescriptorError;
pub use self::payload::{Direction, Payload, Payloads};
pub use self::server::{Server, ServerFuture, server};
