//! How messages are put into a trace.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::message::{Direction, Payload};
use super::messages::Messages;
#[cfg(feature = "payloads")]
use super::text::{DescriptorError, Descriptors};
use crate::grpc::convention::Convention;
use crate::grpc::policy::logfmt;

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
    Descriptors(Descriptors),
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
        let descriptors = Descriptors::decode(file_descriptor_set)?;
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
                _ => return Err(DescriptorError::no_field(field)),
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
    pub(crate) fn messages(&self, method: &str) -> Option<Messages> {
        (self.streams(method) != Some(true)).then(|| Messages::new(self.limit))
    }

    /// Whether a method is known to be a stream, or to be none.
    pub(crate) fn streams(&self, method: &str) -> Option<bool> {
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
    pub(crate) fn annotation(
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

#[cfg(all(test, feature = "payloads"))]
mod tests {
    use super::*;

    #[test]
    fn without_descriptors_no_field_can_be_hidden() {
        let error = Payloads::sizes().hiding(["shop.Login.password"]).expect_err("no field is known").to_string();
        assert!(error.starts_with("cannot hide \"shop.Login.password\""), "{error}");
    }
}
