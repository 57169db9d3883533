//! See the traces of a Rust program in the browser, without installing a server.
//!
//! ```no_run
//! let _tracing = traced_viewer::init("user-service");
//! ```
//!
//! In a debug build [`init`] finds the Zipkin or the viewer that is at `localhost:9411`, or starts a viewer there, inside the
//! program. In a release build it is [`traced_runtime::init`].
//!
//! | for | there is |
//! |---|---|
//! | one line in `main` | [`init`], [`Installed`] |
//! | a tracer with settings of its own | [`Collector::find`] |
//! | a viewer by itself | [`Server`], or the program `traced-viewer` |
//! | traces for other tools | [`Format`] |
//! | something to look at | [`Demo`] |
//!
//! A [`Server`] is Zipkin's collector and query API, and a UI of its own, on one port of the loopback interface. It keeps
//! traces in memory, within [`StoreLimits`], and forgets the oldest; it takes Zipkin's formats (JSON v1 and v2, protocol
//! buffers) from any client of Zipkin's. `docs/viewer.md` has what it answers, and where that differs from Zipkin.
//!
//! # What it does not do
//! It stores nothing, and it answers to nobody but programs of this machine and its own pages. For traces that last, or that
//! others may see, run Zipkin.

mod assets;
mod decode;
mod demo;
mod dependencies;
mod endpoint;
mod export;
mod id;
mod name;
mod query;
mod rendezvous;
mod server;
mod span;
mod steps;
mod store;
mod trace;
mod tree;

pub use demo::Demo;
pub use export::Format;
pub use rendezvous::{Collector, Installed, Neighbour, PORT_VARIABLE, init};
pub use server::{Counts, Limits, Options, ServeError, Server};
pub use store::StoreLimits;
