//! The services that layers make.

use std::fmt;
use std::sync::Arc;

use crate::role::Role;
use crate::settings::Settings;

/// A service whose calls are spans; made by [`Layer`].
pub struct Service<S, R: Role> {
    pub(crate) inner: S,
    pub(crate) settings: Arc<Settings<R>>,
}

impl<S: Clone, R: Role> Clone for Service<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), settings: Arc::clone(&self.settings) }
    }
}

impl<S: fmt::Debug, R: Role> fmt::Debug for Service<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("role", &self.settings.role).field("inner", &self.inner).finish()
    }
}
