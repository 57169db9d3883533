//! One message of a call, as a user's function sees it.

/// One message of a call.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    pub(super) method: &'a str,
    pub(super) direction: Direction,
    pub(super) message: &'a [u8],
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Request,
    /// From the server to the client.
    Response,
}

impl<'a> Payload<'a> {
    /// The method that is called: `/package.Service/Method`.
    #[must_use]
    pub const fn method(&self) -> &'a str {
        self.method
    }

    /// Which way the message goes.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// The encoded message.
    #[must_use]
    pub const fn message(&self) -> &'a [u8] {
        self.message
    }
}
