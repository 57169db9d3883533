//! HTTP: clients and servers.

mod caller;
mod client;
pub(crate) mod exchange;
pub(crate) mod policy;
mod server;

pub use client::{Client, ClientFuture, client};
pub use server::{Server, ServerFuture, server};
