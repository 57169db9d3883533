//! The live stream: server-sent events about traces that changed.
//!
//! A listener remembers how far it has seen, and nothing else waits for it: what changes while it is slow goes into its
//! next event. So however many there are, and however slow, they hold no more than one event each.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{MissedTickBehavior, timeout};

use super::Viewer;
use super::answer::Answer;
use crate::store::Time;

/// The least time between two events of one listener.
const EVENT_EVERY: Duration = Duration::from_millis(250);

/// Summaries in one event. When more traces changed it has those that changed last; a list has all.
pub(crate) const SUMMARIES: usize = 100;

/// How often something is sent when nothing happens.
const PING_EVERY: Duration = Duration::from_secs(15);

impl Viewer {
    /// A stream of what changes from now on.
    pub(super) fn live(self: &Arc<Self>) -> Answer {
        let Ok(place) = self.listeners.clone().try_acquire_owned() else {
            let text = "the viewer has as many listeners as it takes: close a page and try again";
            return self.text(StatusCode::SERVICE_UNAVAILABLE, text);
        };
        // Where it begins is noted before the answer, so that nothing falls between.
        let seen = self.store().now();
        let (sender, body) = Channel::new(1);
        tokio::spawn(tell(self.clone(), sender, seen, place));
        let mut answer = Response::new(body.boxed_unsync());
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        answer
    }
}

/// Sends events until the listener is gone.
async fn tell(viewer: Arc<Viewer>, mut sender: Sender<Bytes>, mut seen: Time, place: OwnedSemaphorePermit) {
    let mut changed = viewer.changed.subscribe();
    let mut cleared = *changed.borrow_and_update();
    let mut pace = tokio::time::interval(EVENT_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stall = viewer.options.limits.stall_time;
    // The head of the answer is sent with the first bytes.
    let mut event = ": the viewer's live stream\n\n".to_owned();
    loop {
        match timeout(stall, sender.send_data(Bytes::from(event))).await {
            Ok(Ok(())) => {}
            // It has left, or reads no more.
            _ => break,
        }
        pace.tick().await;
        event = match timeout(PING_EVERY, changed.changed()).await {
            Err(_) => ": ping\n\n".to_owned(),
            Ok(Err(_)) => break,
            Ok(Ok(())) => {
                let mut event = String::new();
                let clears = *changed.borrow_and_update();
                if clears != cleared {
                    cleared = clears;
                    event.push_str("event: cleared\ndata: {}\n\n");
                }
                let store = viewer.store();
                let summaries = store.changed_since(seen, SUMMARIES);
                seen = store.now();
                drop(store);
                // JSON has no line breaks.
                if let (false, Ok(json)) = (summaries.is_empty(), serde_json::to_string(&summaries)) {
                    event.push_str("event: traces\ndata: ");
                    event.push_str(&json);
                    event.push_str("\n\n");
                }
                event
            }
        };
    }
    drop(place);
}
