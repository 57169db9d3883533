//! Traces for other tools.

mod chrome;
mod folded;
mod html;
mod lanes;
mod nesting;
mod zipkin;

use std::str::FromStr;
use std::sync::Arc;

use crate::decode::Encoding;
use crate::span::Span;

/// What spans can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Events for Perfetto and Chrome's `about:tracing`: a process per service, spans nested in lanes.
    Chrome,
    /// Folded stacks for flame graphs: a line per stack of names, with the microseconds spent in its last one alone.
    Folded,
    /// Zipkin's JSON v2, a list.
    Zipkin,
    /// One file with the viewer's page and the spans in it, which needs no server.
    Html,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Chrome, Self::Folded, Self::Zipkin, Self::Html];

    /// Its name in URLs and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chrome => "chrome",
            Self::Folded => "folded",
            Self::Zipkin => "zipkin",
            Self::Html => "html",
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Chrome | Self::Zipkin => "application/json",
            Self::Folded => "text/plain; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }

    /// How the name of its file ends.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Chrome => "chrome.json",
            Self::Folded => "folded",
            Self::Zipkin => "json",
            Self::Html => "html",
        }
    }

    /// Writes spans.
    pub(crate) fn write(self, spans: &[Arc<Span>]) -> Vec<u8> {
        match self {
            Self::Chrome => chrome::write(spans),
            Self::Folded => folded::write(spans),
            Self::Zipkin => zipkin::write(spans),
            Self::Html => html::write(spans),
        }
    }

    /// Writes the spans of a file: Zipkin's JSON v2, a list of spans or a list of traces.
    ///
    /// # Errors
    /// The file is neither; the message is Zipkin's, and says where.
    pub fn convert(self, json: &[u8]) -> Result<Vec<u8>, String> {
        let spans = Encoding::JsonV2.decode_file(json)?;
        let spans: Vec<_> = spans.into_iter().map(Arc::new).collect();
        Ok(self.write(&spans))
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| format!("there is no format {name:?}: give one of chrome, folded, zipkin, html"))
    }
}
