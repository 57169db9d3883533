//! A reporter that keeps what it is given.

use std::sync::{Arc, Mutex, PoisonError};

use traced_runtime::{ReportError, Reporter, SpanRecord};

/// Keeps all spans. Clones keep them together: one is given to the tracer, one is asked.
#[derive(Clone, Debug, Default)]
pub struct Keep(Arc<Mutex<Vec<SpanRecord>>>);

impl Keep {
    /// The spans so far, in the order in which they came.
    #[must_use]
    pub fn spans(&self) -> Vec<SpanRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reporter for Keep {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(batch);
        Ok(())
    }
}
