//! What a role adds to the frame of a call, which is the same for all: see `service`.

use std::borrow::Cow;

use http::HeaderMap;
use traced_runtime::Span;

use crate::call::{Call, Protocol};
use crate::role::Role;
use crate::settings::Settings;

/// What a role does, in the order in which the frame asks for it.
pub trait Hooks: Role {
    /// What is known of a call while it goes on.
    type Exchange: Protocol;

    /// Whether there is a span of this request, and are headers.
    fn traces(_: &Settings<Self>, _: &Self::Request) -> bool {
        true
    }

    /// The name of the span if the user gives it none.
    fn name<'a>(settings: &Settings<Self>, request: &'a Self::Request) -> Cow<'a, str>;

    /// The span of a request, below its parent.
    fn start(settings: &Settings<Self>, name: &str, request: &Self::Request) -> Span;

    /// Tells a span that is recorded of its request.
    fn on_request(settings: &Settings<Self>, request: &Self::Request, span: &Span);

    /// Headers that carry the context on; a server has none.
    fn outgoing(_: &mut Self::Request) -> Option<&mut HeaderMap> {
        None
    }

    /// What is known of a call as it begins.
    fn exchange(settings: &Settings<Self>, request: &Self::Request, span: &Span) -> Self::Exchange;

    /// Tells a span that is recorded of its response, before the user does.
    fn on_response(settings: &Settings<Self>, call: &mut Call<Self::Exchange>, response: &Self::Response);
}

/// How a role takes requests of the type `Q`.
#[diagnostic::on_unimplemented(
    message = "a layer of the role `{Self}` takes no requests of the type `{Q}`",
    note = "the layers of `http` take `http::Request`, those of `grpc` with a body of `Bytes`, that of `reqwest` its own"
)]
pub trait TakesRequest<Q>: Hooks {
    /// What hooks do not see.
    type Body;
    /// What the service below is called with.
    type Sent;

    /// The part that hooks see, and the rest.
    fn split(request: Q) -> (Self::Request, Self::Body);

    /// The request for the service below.
    fn join(
        settings: &Settings<Self>,
        request: Self::Request,
        body: Self::Body,
        call: Option<&Call<Self::Exchange>>,
    ) -> Self::Sent;
}

/// How a role takes what a service gives: a response of the type `P`, or an error of the type `E`.
#[diagnostic::on_unimplemented(
    message = "a layer of the role `{Self}` takes no service that gives `Result<{P}, {E}>`",
    note = "a response is an `http::Response`, reqwest's its own; an error is `Display` below a server, \
            `Into<BoxError>` below a client"
)]
pub trait TakesResult<P, E>: Hooks {
    /// What hooks do not see.
    type Body;
    /// What the caller gets.
    type Output;
    /// What the caller gets instead.
    type Error;

    /// The part that hooks see, and the rest.
    fn split(response: P) -> (Self::Response, Self::Body);

    /// The response for the caller, whose body the call goes on with.
    fn join(call: Option<Call<Self::Exchange>>, response: Self::Response, body: Self::Body) -> Self::Output;

    /// The error for the caller.
    fn error(error: E) -> Self::Error;

    /// The error for the caller, of which a call that is recorded is told and ends.
    fn on_failure(call: Option<Call<Self::Exchange>>, error: E) -> Self::Error;
}
