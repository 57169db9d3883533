//! Carries a traced request from process to process: [`tower`](https://docs.rs/tower) layers for HTTP clients and servers.
//!
//! ```
//! use axum::{Router, routing::get};
//!
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(|| async { "ann" }))
//!     .layer(traced_tower::http::server());
//! ```

mod body;
mod call;
#[cfg(feature = "tonic")]
pub mod grpc;
pub mod http;
mod layer;
#[cfg(feature = "reqwest")]
pub mod reqwest;

pub use body::Body;
pub use layer::{Layer, Role, Service};

/// An error of any type, as [`tower`](https://docs.rs/tower) has it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
