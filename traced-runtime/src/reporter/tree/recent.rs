//! What happened lately.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A map that forgets what was put in first when there is too much.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    map: HashMap<K, V>,
    /// The order in which they came; of some that were taken out already.
    order: VecDeque<K>,
    limit: usize,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { map: HashMap::new(), order: VecDeque::new(), limit }
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.map.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.limit {
            if let Some(forgotten) = self.order.pop_front() {
                self.map.remove(&forgotten);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.map.remove(key)
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.map.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_forgotten_first() {
        let mut recent = Recent::new(2);
        for key in 1..=3 {
            recent.insert(key, ());
            recent.insert(key, ());
        }
        assert_eq!([1, 2, 3].map(|key| recent.contains(&key)), [false, true, true]);
        assert_eq!((recent.remove(&3), recent.remove(&3)), (Some(()), None));
        (4..100).for_each(|key| recent.insert(key, ()));
        assert_eq!((recent.map.len(), recent.order.len()), (2, 2));
    }
}
