//! Bodies of requests, within bounds of size, memory and time.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Incoming;

use super::answer::Answer;
use super::{PERMIT, Viewer};

/// Bytes of a body that is refused which are read all the same: a client that is still writing would not see the answer.
const DISCARDED: usize = 64 << 20;

/// Why there is no body.
pub(super) enum Refused {
    /// Zipkin answers 500.
    TooLarge,
    /// All memory for bodies is in use.
    Busy,
    TooSlow,
    /// The client is gone, or does not speak HTTP.
    Broken(String),
    NotGzip,
    Empty,
}

impl Viewer {
    /// Receives a body, and lets `use_it` have it while its memory is counted.
    pub(super) async fn receive(
        &self,
        body: Incoming,
        packed: bool,
        use_it: impl FnOnce(&[u8]) -> Answer,
    ) -> Result<Answer, Refused> {
        let limits = &self.options.limits;
        let mut permits = Vec::new();
        let receive = self.collect(body, &mut permits);
        let bytes = tokio::time::timeout(limits.body_time, receive).await.map_err(|_| Refused::TooSlow)??;
        if !packed {
            return Ok(use_it(&bytes));
        }
        // One body is unpacked at a time, so this one is not counted.
        let mut unpacked = Vec::new();
        let most = (limits.unpacked_bytes as u64).saturating_add(1);
        match MultiGzDecoder::new(&bytes[..]).take(most).read_to_end(&mut unpacked) {
            Ok(length) if length > limits.unpacked_bytes => Err(Refused::TooLarge),
            // Zipkin reads what there is of one that ends too early, and finds it incomplete.
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(Refused::NotGzip),
            _ if unpacked.is_empty() => Err(Refused::Empty),
            _ => Ok(use_it(&unpacked)),
        }
    }

    async fn collect(
        &self,
        mut body: Incoming,
        permits: &mut Vec<tokio::sync::OwnedSemaphorePermit>,
    ) -> Result<Vec<u8>, Refused> {
        let limit = self.options.limits.body_bytes;
        let (mut bytes, mut received, mut refused) = (Vec::new(), 0, None);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Refused::Broken(error.to_string()))?;
            let Some(data) = frame.data_ref() else { continue };
            received += data.len();
            if refused.is_none() && received > limit {
                refused = Some(Refused::TooLarge);
            }
            // Permits are taken ahead, and for more than there is, so that there are few of them.
            if refused.is_none() && received > permits.len() * STEP {
                let step = u32::try_from(STEP / PERMIT).unwrap_or(u32::MAX);
                match self.memory.clone().try_acquire_many_owned(step) {
                    Ok(permit) => permits.push(permit),
                    Err(_) => refused = Some(Refused::Busy),
                }
            }
            match refused {
                None => bytes.extend_from_slice(data),
                Some(_) if received > DISCARDED => break,
                Some(_) => bytes = Vec::new(),
            }
        }
        match refused {
            None => Ok(bytes),
            Some(refused) => Err(refused),
        }
    }

    /// The answer to a request without a body that can be used.
    pub(super) fn refuse(&self, refused: Refused) -> Answer {
        match refused {
            Refused::TooLarge => self.text(StatusCode::INTERNAL_SERVER_ERROR, "413 Request Entity Too Large"),
            Refused::Busy => self.busy(),
            Refused::TooSlow => self.text(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body took longer than {:?}", self.options.limits.body_time),
            ),
            Refused::Broken(error) => self.text(StatusCode::BAD_REQUEST, error),
            // Zipkin answers 500, which clients take for a reason to send the same again.
            Refused::NotGzip => self.text(StatusCode::BAD_REQUEST, "Input is not in the GZIP format"),
            Refused::Empty => self.text(StatusCode::BAD_REQUEST, "Cannot gunzip spans"),
        }
    }
}

/// Bytes of a body that permits are taken for at one time.
const STEP: usize = 256 << 10;
