//! A tracer's way out: what the drain needs of it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::endpoint::Endpoint;
use crate::process::notice::contain;
use crate::recorder::slot::Slot;
use crate::reporter::block::Block;
use crate::reporter::buffers::Buffers;
use crate::reporter::pipeline::{Patience, Pipeline};
use crate::reporter::terminal::Terminal;

/// Where a tracer's finished spans go.
pub(crate) struct Outlet {
    /// `None`: it records nothing at all.
    slot: Option<&'static Slot>,
    reference: u32,
    pipeline: Arc<Pipeline>,
    /// Prints trees beside the backend.
    trees: Option<Terminal>,
    local: &'static Endpoint,
}

impl Outlet {
    pub(crate) fn new(
        slot: Option<&'static Slot>,
        reference: u32,
        pipeline: Arc<Pipeline>,
        trees: Option<Terminal>,
        local: &'static Endpoint,
    ) -> Self {
        Self { slot, reference, pipeline, trees, local }
    }

    /// The queue, and the thread that empties it.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Who prints trees.
    pub(crate) const fn trees(&self) -> Option<&Terminal> {
        self.trees.as_ref()
    }

    /// This process, as its spans say.
    pub(crate) const fn local_endpoint(&self) -> &'static Endpoint {
        self.local
    }

    /// Takes finished spans, and gives back buffers of others. Waits for room until `patience` at most, and gives back what
    /// found none when somebody wanted that to end: to be offered to the pipeline again.
    pub(crate) fn offer(&self, blocks: Vec<Block>, buffers: &mut Buffers, patience: &mut Patience) -> Vec<Block> {
        if let Some(trees) = &self.trees {
            trees.print(blocks.iter().flat_map(|block| block.spans().iter().cloned()).collect());
        }
        self.pipeline.offer(blocks, buffers, patience)
    }

    /// Takes over what the user's threads counted: spans that could not be recorded, values that were cut.
    pub(crate) fn fold_lost(&self) {
        let Some(slot) = self.slot() else { return };
        for (reason, spans) in slot.take_lost() {
            self.pipeline.lost(reason, spans);
        }
        self.pipeline.count_left_out_baggage(slot.take_left_out_baggage());
        let cut = slot.take_cut_values();
        if cut > 0 {
            self.pipeline.count_cut_values(cut);
        }
    }

    /// The tracer's slot, while it is its own.
    fn slot(&self) -> Option<&'static Slot> {
        self.slot.filter(|slot| slot.reference() == self.reference)
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").field("local", &self.local).finish_non_exhaustive()
    }
}

/// The outlets of all tracers that one drain reads for.
#[derive(Debug, Default)]
pub(crate) struct Outlets(Mutex<Vec<Arc<Outlet>>>);

impl Outlets {
    /// A tracer begins.
    pub(crate) fn add(&self, outlet: Arc<Outlet>) {
        self.lock().push(outlet);
    }

    /// A tracer has ended.
    pub(crate) fn remove(&self, reference: u32) {
        let mut outlets = self.lock();
        let removed = outlets.iter().position(|outlet| outlet.reference == reference).map(|at| outlets.swap_remove(at));
        drop(outlets);
        // Not while it is locked: it may be the last that holds what the user gave.
        drop(removed);
    }

    /// The outlet of the tracer that a context named; `None` if it has shut down.
    pub(crate) fn find(&self, reference: u32) -> Option<Arc<Outlet>> {
        self.lock().iter().find(|outlet| outlet.reference == reference).cloned()
    }

    /// Lets tracers take over what their threads lost, where there is such.
    pub(crate) fn fold_lost(&self) {
        let have_lost = |outlet: &&Arc<Outlet>| outlet.slot().is_some_and(Slot::has_lost);
        let outlets: Vec<_> = self.lock().iter().filter(have_lost).cloned().collect();
        for outlet in outlets {
            outlet.fold_lost();
            // A shutdown on another thread may have left it to us, with all that its user gave it.
            contain(|| drop(outlet)).ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Outlet>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
