//! HTTP: clients and servers.
//!
//! ```
//! use axum::{Router, routing::get};
//! use traced_runtime::Sampling;
//! use traced_tower::http;
//!
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(|| async { "ann" }))
//!     .route("/health", get(|| async { "fine" }))
//!     .layer(
//!         http::server()
//!             .sampler(|request| match request.uri.path() {
//!                 "/health" => Sampling::Unsampled,
//!                 _ => Sampling::Deferred,
//!             })
//!             .tags(|request, span| {
//!                 let tenant = request.headers.get("x-tenant");
//!                 span.tag("tenant", tenant.and_then(|tenant| tenant.to_str().ok()));
//!             }),
//!     );
//! ```
//!
//! # Names and tags
//! As [Brave](https://github.com/openzipkin/brave/tree/master/instrumentation/http) has them. A client's span is named by the
//! method: `GET`. A server's by the method and the route that matched: `GET /users/{id}`. Where none did, it is `GET not_found`
//! for 404, `GET redirected` for 301, 302, 303, 305, 306 and 307, else `GET`.
//!
//! | tag | value | when |
//! |---|---|---|
//! | `http.method` | `GET` | always |
//! | `http.path` | `/users/7`, never the query | always |
//! | `http.status_code` | `404` | unless it is 2xx |
//! | `error` | the status, or the text of the error | a status above 399; an error of the service or the body |
//!
//! The text of an error may hold more than it should; a tag `error` that the handler sets beats it.
//!
//! # Routes
//! With the feature `axum` the route is axum's `MatchedPath`. It is there in `Router::layer`, for the routes that were added before;
//! nested routers give the whole path. It is not there in `nest_service` and fallbacks, nor around the router as a whole,
//! where the layer cannot tell what matched: there the name is the method alone. `Router::route_layer` sees no request that
//! matches nothing.
//!
//! # Who calls
//! A server's span knows the address of the caller where it is with the request: by axum's
//! `into_make_service_with_connect_info::<SocketAddr>()`, or a `SocketAddr` that a server of one's own puts into the
//! extensions. Behind a proxy it is in a header, see [`Layer::trust_forwarded`](crate::Layer::trust_forwarded).
//!
//! # Who is called
//! A client's span knows the address of the server where the request names it by number:
//! `http://192.0.2.1:8080/…`. Otherwise [`Layer::remote`](crate::Layer::remote) says who it is, and
//! a client that leaves the connection with the response can be asked:
//!
//! ```
//! use hyper_util::client::legacy::connect::HttpInfo;
//! use traced_runtime::Endpoint;
//!
//! let layer = traced_tower::http::client().response_tags(|response, span| {
//!     if let Some(peer) = response.extensions.get::<HttpInfo>().map(HttpInfo::remote_addr) {
//!         span.remote(Endpoint::new().ip(peer.ip()).port(peer.port()));
//!     }
//! });
//! ```
//!
//! # Calls of gRPC
//! A gRPC call through these layers is the HTTP call that carries it: `POST`, with an HTTP status.
//! Its `grpc-status` is not read. The layers of `grpc` know more; a call that passes layers of both
//! is a span of each.
//!
//! # Layers of others
//! A layer outside of ours sees the response as our [`Body`](crate::Body). A timeout inside is a status like any other; outside
//! it cancels the span. A layer that follows redirects or retries makes one span of each request where it stands outside of
//! [`client`]. The body of a client's request is polled by the connection, outside of the span.

pub(crate) mod callee;
pub(crate) mod caller;
mod client;
pub(crate) mod exchange;
pub(crate) mod policy;
mod server;

pub use client::{Client, ClientFuture, client};
pub use server::{Server, ServerFuture, server};
