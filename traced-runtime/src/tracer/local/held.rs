//! A place for baggage in a thread local that has no destructor.

use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use crate::propagation::baggage::Baggage;

/// Owns a reference to baggage, and never drops it by itself: with a destructor the thread local would be registered on
/// first use, and asked about at each. A context that is still attached when its thread ends was leaked, and so is its
/// baggage.
pub(super) struct Held(Cell<ManuallyDrop<Option<Arc<Baggage>>>>);

impl Held {
    pub(super) const fn nothing() -> Self {
        Self(Cell::new(ManuallyDrop::new(None)))
    }

    /// Puts another one there; what was there is the caller's.
    #[inline]
    pub(super) fn replace(&self, baggage: Option<Arc<Baggage>>) -> Option<Arc<Baggage>> {
        ManuallyDrop::into_inner(self.0.replace(ManuallyDrop::new(baggage)))
    }

    /// A reference to what is there.
    pub(super) fn get(&self) -> Option<Arc<Baggage>> {
        let here = self.replace(None);
        let copy = here.clone();
        let none = self.replace(here);
        debug_assert!(none.is_none(), "nobody else wrote meanwhile");
        copy
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.get()).finish()
    }
}
