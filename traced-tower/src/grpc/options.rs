//! What both sides of gRPC can be set to.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use traced_runtime::Span;

use super::convention::Convention;
use super::payload::{Payloads, Recorded};
use crate::call::BoxError;
use crate::layer::Layer;
use crate::role;

/// The side of a gRPC call: [`Client`](super::Client) or [`Server`](super::Server).
pub trait Role: role::Role<Request = Parts> + sealed::Sealed {}

pub(crate) mod sealed {
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
    pub(crate) convention: Convention,
    payloads: Option<Payloads>,
    only: Option<Only>,
}

impl Options {
    /// Whether this call is traced.
    pub(crate) fn traces(&self, request: &Parts) -> bool {
        self.only.as_ref().is_none_or(|only| only(request))
    }

    /// How the messages of a call are recorded, if they and it are.
    pub(crate) fn payloads(&self, span: &Span) -> Option<&Payloads> {
        self.payloads.as_ref().filter(|_| span.is_recorded())
    }

    /// A request's body, of which the messages are told the span if they are recorded.
    pub(crate) fn body<B>(&self, body: B, request: &Parts, span: &Span) -> tonic::body::Body
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        match self.payloads(span) {
            Some(payloads) => {
                tonic::body::Body::new(Recorded::new(body, payloads, self.convention, request, span.context()))
            }
            None => tonic::body::Body::new(body),
        }
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

    /// Traces only calls for which this says so. For others there is neither a span nor are there headers: the server begins
    /// a trace of its own. To keep the trace and record nothing, see [`sampler`](Self::sampler).
    #[must_use]
    pub fn only(mut self, only: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.role().options().only = Some(Arc::new(only));
        self
    }
}
