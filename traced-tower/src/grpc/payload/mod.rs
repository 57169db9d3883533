//! The messages of a call, in its trace.

mod body;
mod messages;
#[cfg(feature = "payloads")]
mod text;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub(super) use self::body::Recorded;
pub(super) use self::messages::Messages;
use super::policy::{Convention, logfmt};

/// Puts the messages of unary calls into the trace, as annotations: the request, and the response if there was no error.
///
/// They may hold what must not be recorded. So it is off unless it is [set](crate::Layer::payloads), and says no more than
/// sizes unless it is told how to read a message. Streams are not recorded: with [descriptors](Self::described) it is known
/// which methods are, without them a stream of one message is taken for a unary call.
///
/// ```
/// use traced_tower::grpc::{self, Payloads};
///
/// let layer = grpc::client().payloads(Payloads::rendered(|payload| match payload.method() {
///     "/shop.Login/Enter" => "…".to_owned(),
///     _ => format!("{:02x?}", payload.message()),
/// }));
/// ```
#[derive(Clone)]
pub struct Payloads {
    render: Render,
    limit: usize,
}

#[derive(Clone)]
enum Render {
    Sizes,
    Function(Arc<dyn Fn(&Payload<'_>) -> String + Send + Sync>),
    #[cfg(feature = "payloads")]
    Descriptors(text::Descriptors),
}

/// One message of a call.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    method: &'a str,
    direction: Direction,
    message: &'a [u8],
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

impl Payloads {
    /// Bytes of a message that are kept to be read. Of a longer one the size is told.
    pub const BYTES: usize = 4 << 10;

    /// Tells the sizes of messages: `request <5 bytes>`.
    #[must_use]
    pub const fn sizes() -> Self {
        Self { render: Render::Sizes, limit: Self::BYTES }
    }

    /// Tells what this function makes of a message. It runs wherever the message passes, for a client on the connection's own
    /// task: if it panics, the size is told instead.
    #[must_use]
    pub fn rendered(render: impl Fn(&Payload<'_>) -> String + Send + Sync + 'static) -> Self {
        Self { render: Render::Function(Arc::new(render)), limit: Self::BYTES }
    }

    /// Tells messages as text, by the descriptors of their types: an encoded `FileDescriptorSet`, as `protoc
    /// --include_imports --descriptor_set_out` writes it and as tonic's code generator does. The text is Go's compact form,
    /// `key:"231" `.
    ///
    /// # Errors
    /// The bytes are no such set, or a type in it is missing.
    #[cfg(feature = "payloads")]
    pub fn described(file_descriptor_set: &[u8]) -> Result<Self, DescriptorError> {
        let descriptors = text::Descriptors::decode(file_descriptor_set)?;
        Ok(Self { render: Render::Descriptors(descriptors), limit: Self::BYTES })
    }

    /// Hides the values of these fields, given by their full names, `package.Message.field`. It is for
    /// [described](Self::described) messages; others are read by a function of your own.
    ///
    /// # Errors
    /// There is no such field: a name that is misspelt must not show what it was to hide.
    #[cfg(feature = "payloads")]
    pub fn hiding<F: Into<String>>(mut self, fields: impl IntoIterator<Item = F>) -> Result<Self, DescriptorError> {
        for field in fields.into_iter().map(Into::into) {
            match &mut self.render {
                Render::Descriptors(descriptors) => descriptors.hide(field)?,
                _ => return Err(DescriptorError(Problem::NoField(field))),
            }
        }
        Ok(self)
    }

    /// Keeps so many bytes of a message. Default: [`BYTES`](Self::BYTES).
    #[must_use]
    pub const fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// A place for the messages of a call of this method in one direction; `None` if they are known to be a stream's.
    pub(super) fn messages(&self, method: &str) -> Option<Messages> {
        (self.streams(method) != Some(true)).then(|| Messages::new(self.limit))
    }

    /// Whether a method is known to be a stream, or to be none.
    pub(super) fn streams(&self, method: &str) -> Option<bool> {
        match &self.render {
            #[cfg(feature = "payloads")]
            Render::Descriptors(descriptors) => descriptors.streams(method),
            _ => {
                let _ = method;
                None
            }
        }
    }

    /// The annotation for the only message that was seen; `None` if there was none, or several.
    pub(super) fn annotation(
        &self,
        convention: Convention,
        method: &str,
        direction: Direction,
        encoding: Option<&str>,
        messages: &Messages,
    ) -> Option<String> {
        let only = messages.only()?;
        let text = match (only.is_compressed, only.bytes) {
            (true, _) => format!("<{} {} bytes>", encoding.unwrap_or("compressed"), only.size),
            (false, Some(message)) => {
                self.text(&Payload { method, direction, message }).unwrap_or_else(|| format!("<{} bytes>", only.size))
            }
            (false, None) => format!("<{} bytes>", only.size),
        };
        Some(match (convention, direction) {
            (Convention::Otgrpc, Direction::Request) => logfmt(&[("gRPCrequest", &text)]),
            (Convention::Otgrpc, Direction::Response) => logfmt(&[("gRPCresponse", &text)]),
            (Convention::Brave, Direction::Request) => format!("request {text}"),
            (Convention::Brave, Direction::Response) => format!("response {text}"),
        })
    }

    fn text(&self, payload: &Payload<'_>) -> Option<String> {
        match &self.render {
            Render::Sizes => None,
            // The connection is others', too.
            Render::Function(render) => catch_unwind(AssertUnwindSafe(|| render(payload))).ok(),
            #[cfg(feature = "payloads")]
            Render::Descriptors(descriptors) => descriptors.text(payload),
        }
    }
}

impl fmt::Debug for Payloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match &self.render {
            Render::Sizes => "sizes",
            Render::Function(_) => "rendered",
            #[cfg(feature = "payloads")]
            Render::Descriptors(_) => "described",
        };
        f.debug_struct("Payloads").field("how", &how).field("limit", &self.limit).finish()
    }
}

/// Descriptors cannot be read, or have no such field.
#[cfg(feature = "payloads")]
#[derive(Debug)]
pub struct DescriptorError(Problem);

#[cfg(feature = "payloads")]
#[derive(Debug)]
enum Problem {
    Set(prost_reflect::DescriptorError),
    NoField(String),
}

#[cfg(feature = "payloads")]
impl fmt::Display for DescriptorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Problem::Set(error) => write!(
                f,
                "cannot read the descriptors of messages: {error}; give a FileDescriptorSet with all files that it imports"
            ),
            Problem::NoField(field) => {
                write!(f, "cannot hide {field:?}: no field described has this full name; write package.Message.field")
            }
        }
    }
}

#[cfg(feature = "payloads")]
impl std::error::Error for DescriptorError {}
