//! A page beside the collector, for people.

use std::fmt;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{HeaderValue, header};

use crate::reporter::send::http::config;
use crate::reporter::send::target::Target;

/// How long each step of the question may take: the thread that asks has spans to send.
const PATIENCE: Duration = Duration::from_millis(300);

/// Asks whether pages are there. As a body is sent, so it is asked: with the user and password of the collector's URL, without
/// redirects, without proxies, and never traced.
pub(crate) struct Pages {
    agent: Agent,
    authorization: Option<HeaderValue>,
}

impl Pages {
    /// Pages of the server that has this collector. Nothing is connected yet.
    pub(crate) fn beside(collector: &str) -> Option<Self> {
        let Target { authorization, .. } = Target::parse(collector).ok()?;
        Some(Self { agent: Agent::new_with_config(config(PATIENCE)), authorization })
    }

    /// Whether a page is there; `None` when no answer came in time, or one that says nothing about the page.
    pub(crate) fn have(&self, page: &str) -> Option<bool> {
        let mut request = self.agent.get(page).header("b3", "0");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let status = request.call().ok()?.status();
        (!status.is_server_error()).then_some(status.is_success())
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}
