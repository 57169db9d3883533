//! Zipkin JSON over HTTP for those who leave it to the user.

use ureq::Agent;

/// Sends what is encoded to a collector.
#[derive(Clone, Debug)]
pub struct Collector {
    agent: Agent,
    url: String,
}

impl Collector {
    pub fn new(url: &str) -> Self {
        Self { agent: Agent::new_with_defaults(), url: url.to_owned() }
    }

    pub fn send(&self, body: &[u8]) {
        if let Err(error) = self.agent.post(&self.url).content_type("application/json").send(body) {
            eprintln!("{error}");
        }
    }
}
