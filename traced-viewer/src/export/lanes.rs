//! Spans in lanes, one beside the other or one within the other, for a format that knows no other way.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use indexmap::IndexMap;

use super::nesting::{Nested, Nesting};
use crate::steps::steps;

/// Where each span lies.
pub(super) struct Lanes<'a> {
    pub(super) services: IndexMap<&'a str, Service>,
    /// By index of the span.
    pub(super) places: Vec<Place>,
    /// The spans by start, the longer ones first.
    pub(super) order: Vec<usize>,
}

/// The lanes of a service.
///
/// No span looks through all lanes: there are as many of them as spans run at one time.
#[derive(Debug, Default)]
pub(super) struct Service {
    /// Of each lane the spans that are open in it, the innermost last.
    lanes: Vec<Vec<usize>>,
    /// Lanes with spans, by the time from which on they may have none.
    used: BinaryHeap<Reverse<(u64, usize)>>,
    /// Lanes without spans, the first one on top.
    free: BinaryHeap<Reverse<usize>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) process: usize,
    pub(super) lane: usize,
}

impl<'a> Lanes<'a> {
    pub(super) fn of(nesting: &'a Nesting) -> Self {
        let spans = &nesting.spans;
        let mut order: Vec<usize> = (0..spans.len()).collect();
        // Of equal ones parents stay in front, as they are in the nesting.
        order.sort_by_key(|at| spans.get(*at).map(|nested| (nested.start, Reverse(nested.end))));
        let above = nearest_of_service(spans);
        let mut lanes = Self { services: IndexMap::new(), places: vec![Place::default(); spans.len()], order };
        for at in &lanes.order {
            let Some(nested) = spans.get(*at) else { continue };
            let entry = lanes.services.entry(service(nested));
            let process = entry.index();
            let own = entry.or_default();
            let parent = above.get(*at).copied().flatten();
            let within = parent.filter(|parent| spans.get(*parent).is_some_and(|parent| parent.end >= nested.end));
            let below = within.and_then(|parent| {
                let lane = lanes.places.get(parent)?.lane;
                own.leave(lane, spans, nested);
                (own.lanes.get(lane)?.last() == Some(&parent)).then_some(lane)
            });
            let lane = below.unwrap_or_else(|| own.free_lane(spans, nested));
            if let Some(lane) = own.lanes.get_mut(lane) {
                lane.push(*at);
            }
            if let Some(place) = lanes.places.get_mut(*at) {
                *place = Place { process, lane };
            }
        }
        lanes
    }
}

impl Service {
    /// How many lanes it has.
    pub(super) fn count(&self) -> usize {
        self.lanes.len()
    }

    /// The first lane that has no spans when this one starts, or a new one.
    fn free_lane(&mut self, spans: &[Nested], next: &Nested) -> usize {
        while let Some(Reverse((end, lane))) = self.used.peek().copied() {
            if end > next.start {
                break;
            }
            steps(1);
            self.used.pop();
            self.leave(lane, spans, next);
            if self.lanes.get(lane).is_some_and(Vec::is_empty) {
                self.free.push(Reverse(lane));
            } else {
                // What is open in it started now and takes no time, as this one. Nothing of it is open later.
                self.used.push(Reverse((next.start.saturating_add(1), lane)));
            }
        }
        let lane = self.free.pop().map_or(self.lanes.len(), |Reverse(lane)| lane);
        if lane == self.lanes.len() {
            self.lanes.push(Vec::new());
        }
        // What else comes into the lane ends no later.
        self.used.push(Reverse((next.end, lane)));
        lane
    }

    /// Closes spans of a lane that have ended when this one starts.
    fn leave(&mut self, lane: usize, spans: &[Nested], next: &Nested) {
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        while lane.last().and_then(|top| spans.get(*top)).is_some_and(|top| !overlaps(top, next)) {
            steps(1);
            lane.pop();
        }
    }
}

/// Whether an earlier span is still open when another starts. One without a duration lies where it is.
fn overlaps(earlier: &Nested, later: &Nested) -> bool {
    earlier.end > later.start || (earlier.start, earlier.end) == (later.start, later.end)
}

fn service(nested: &Nested) -> &str {
    nested.span.local_service().unwrap_or("unknown")
}

/// For each span the nearest ancestor of the same service. What is below a span follows it at once.
fn nearest_of_service(spans: &[Nested]) -> Vec<Option<usize>> {
    let mut nearest = Vec::with_capacity(spans.len());
    // The spans above, outermost first, and of each service those among them.
    let mut above: Vec<usize> = Vec::new();
    let mut of_service: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, nested) in spans.iter().enumerate() {
        while let Some(left) = above.last().copied().filter(|top| Some(*top) != nested.parent) {
            steps(1);
            above.pop();
            if let Some(of_service) = spans.get(left).and_then(|left| of_service.get_mut(service(left))) {
                of_service.pop();
            }
        }
        let same = of_service.entry(service(nested)).or_default();
        nearest.push(same.last().copied());
        same.push(at);
        above.push(at);
    }
    nearest
}
