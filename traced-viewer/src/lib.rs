//! See the traces of a Rust program in the browser, without installing a server.
//!
//! ```no_run
//! use traced_viewer::{Options, Server};
//!
//! let server = Server::start(Server::ADDRESS, Options::default())?;
//! println!("traces at {}", server.url());
//! # Ok::<_, traced_viewer::ServeError>(())
//! ```
//!
//! A [`Server`] is Zipkin's collector and query API, and a UI of its own, on one port of the loopback interface. It keeps
//! traces in memory, within [`StoreLimits`], and forgets the oldest; what is sent to it in Zipkin's formats (JSON v1 and v2,
//! protocol buffers) comes from any client of Zipkin's.
//!
//! [`Format`] writes traces for other tools.
//!
//! # What it does not do
//! It stores nothing, and it answers to nobody but programs of this machine and its own pages. For traces that last, or that
//! others may see, run Zipkin.

mod assets;
mod decode;
mod dependencies;
mod export;
mod id;
mod query;
mod server;
mod span;
mod store;
mod trace;
mod tree;

pub use export::Format;
pub use server::{Counts, Limits, Options, ServeError, Server};
pub use store::StoreLimits;
