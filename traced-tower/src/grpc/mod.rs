//! gRPC: clients and servers, by way of tonic.
//!
//! Spans have Brave's names and tags, or [those of otgrpc](crate::Layer::otgrpc). A stream is one span, which ends once:
//! with its status, with an error, or when it is cancelled. The messages of unary calls can be put into the trace, see
//! [`Payloads`].

mod client;
mod code;
pub(crate) mod exchange;
mod payload;
mod policy;
mod server;
mod status;

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;

pub use self::client::{Client, ClientFuture, client};
#[cfg(feature = "payloads")]
pub use self::payload::DescriptorError;
pub use self::payload::{Direction, Payload, Payloads};
use self::policy::Convention;
pub use self::server::{Server, ServerFuture, server};
use crate::layer::{self, Layer};

/// The side of a gRPC call: [`Client`] or [`Server`].
pub trait Role: layer::Role<Request = Parts> + sealed::Sealed {}

mod sealed {
    /// Implemented for this crate's roles alone.
    pub trait Sealed {
        #[doc(hidden)]
        fn options(&mut self) -> &mut super::Options;
    }
}

/// Which calls are traced at all.
type Only = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

/// What both sides can be set to.
#[derive(Clone, Default)]
#[doc(hidden)]
pub struct Options {
    convention: Convention,
    payloads: Option<Payloads>,
    only: Option<Only>,
}

impl Options {
    fn traces(&self, request: &Parts) -> bool {
        self.only.as_ref().is_none_or(|only| only(request))
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("convention", &self.convention)
            .field("payloads", &self.payloads)
            .finish_non_exhaustive()
    }
}

impl<R: Role> Layer<R> {
    /// Gives spans the names, tags and annotations that Go's otgrpc gives them, for services whose traces are read by those:
    /// `/package.Service/Method`, `component`, `response_code` and `response_class`, an annotation for each error.
    #[must_use]
    pub fn otgrpc(mut self) -> Self {
        self.role().options().convention = Convention::Otgrpc;
        self
    }

    /// Puts the messages of unary calls into the trace. Default: no message is looked at.
    #[must_use]
    pub fn payloads(mut self, payloads: Payloads) -> Self {
        self.role().options().payloads = Some(payloads);
        self
    }

    /// Traces only calls for which this says so. For others there is neither a span nor are there headers: whoever is called
    /// begins a trace of his own. To keep the trace and record nothing, see [`sampler`](Self::sampler).
    #[must_use]
    pub fn only(mut self, only: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.role().options().only = Some(Arc::new(only));
        self
    }
}

/// How messages are compressed, as the headers say.
fn encoding(headers: &HeaderMap) -> Option<Box<str>> {
    headers.get("grpc-encoding").and_then(|value| value.to_str().ok()).map(Into::into)
}
