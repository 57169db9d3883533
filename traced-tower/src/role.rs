//! The sides of calls, and their protocols.

use traced_runtime::{RemoteSampling, ServerSpan};

/// The side of a call, and its protocol: what a layer traces.
pub trait Role: Clone + std::fmt::Debug + sealed::Sealed {
    /// The request, as a layer's functions see it: without its body.
    type Request;
    /// The response, as a layer's functions see it: without its body.
    type Response;
}

/// The side of a call that is called.
pub trait ServerRole: Role + sealed::Serves {}

impl<R: Role + sealed::Serves> ServerRole for R {}

pub(crate) mod sealed {
    /// Implemented for this crate's roles alone.
    pub trait Sealed {}

    /// Implemented for this crate's servers alone.
    pub trait Serves {
        #[doc(hidden)]
        fn callers(&mut self) -> &mut super::Callers;
    }
}

/// What a server makes of its callers' contexts.
#[derive(Clone, Copy, Debug, Default)]
#[doc(hidden)]
pub struct Callers {
    pub(crate) form: Option<ServerSpan>,
    pub(crate) sampling: RemoteSampling,
}
