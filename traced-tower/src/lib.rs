//! Carries a traced request from process to process: [`tower`](https://docs.rs/tower) layers for clients and servers.
//!
//! ```
//! use axum::{Router, routing::get};
//!
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(|| async { "ann" }))
//!     .layer(traced_tower::http::server());
//! ```
//!
//! Each request is a span of kind `SERVER`, joined to the trace that its headers tell of, and current while the handler and the
//! body of the response are polled: what is traced below belongs to it. On the other side each request that goes out is a
//! span of kind `CLIENT`, and its headers say so. Names and tags are those of Brave, Zipkin's own library.
//!
//! | for | there is | feature |
//! |---|---|---|
//! | HTTP servers: axum, hyper | [`http::server`] | `axum` for names by routes, and addresses of callers |
//! | HTTP clients: hyper, anything that takes `http::Request` | [`http::client`] | |
//! | clients of reqwest | `reqwest::client` | `reqwest` |
//! | gRPC servers and clients: tonic | `grpc::server`, `grpc::client` | `tonic`, and `payloads` for messages as text |
//!
//! Which headers there are, and whether a server's span joins the client's, is set on the
//! [tracer](traced_runtime::Builder::propagation); what is set on a [`Layer`] is its own. A server
//! that strangers reach sets how much their decisions to record count: [`Layer::remote_sampling`].
//!
//! # How a call ends
//! The span of a call goes on until the last byte of the response has passed, and ends once. A gRPC call ends with its status, in
//! trailers or headers; a client that leaves before it has cancelled the call. An HTTP call:
//!
//! | what happens | the span is |
//! |---|---|
//! | the body comes to its end, or all bytes that were promised have passed | an ordinary one; failed by a status above 399 |
//! | the service, or the body, gives an error | failed, with the text of the error |
//! | the handler panics | panicked |
//! | nobody waits any more before there is a response: the client is gone, a timeout outside strikes | cancelled |
//! | a server's body is dropped before its end | cancelled |
//! | an HTTP client drops the body before its end | an ordinary one: it has what it wanted |
//! | the connection becomes another protocol's (101) | an ordinary one, which ends with the response |
//!
//! # What it promises
//! Headers that are malformed, oversized or contradict each other never fail or delay a request: it begins a trace of its
//! own. Requests that are not recorded cost little and still pass their ids on. Nothing of a query, a header or a body is
//! recorded by itself.
//!
//! # What it does not do
//! It reports no metrics, writes no logs, retries nothing. It does not change requests but for the headers; the response's
//! body becomes a [`Body`], the error of [`http::client`] and `grpc::client` a [`BoxError`], for gRPC mostly a
//! `tonic::Status`.

mod body;
mod call;
#[cfg(feature = "tonic")]
pub mod grpc;
mod hooks;
pub mod http;
mod layer;
#[cfg(feature = "reqwest")]
pub mod reqwest;
mod role;
mod service;
mod settings;

pub use body::Body;
pub use call::BoxError;
pub use layer::Layer;
pub use role::{Role, ServerRole};
pub use service::Service;

/// The code of the README, compiled.
#[cfg(all(doctest, feature = "axum", feature = "reqwest"))]
#[doc = include_str!("../README.md")]
struct Readme;
