//! A stack that any thread pushes onto, and that is only ever taken as a whole.

use std::ptr;

use super::chunk::sync::{AtomicPtr, Ordering};

/// Pushes and takes without a lock. There is no `pop`, so a node's address cannot come back between the look and the
/// exchange (the ABA problem).
#[derive(Debug)]
pub(crate) struct Stack<T> {
    head: AtomicPtr<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    value: T,
    next: *mut Node<T>,
}

impl<T> Default for Stack<T> {
    fn default() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()) }
    }
}

#[allow(unsafe_code, reason = "an intrusive list cannot be linked without raw pointers")]
impl<T> Stack<T> {
    /// Adds a value.
    pub(crate) fn push(&self, value: T) {
        let node = Box::into_raw(Box::new(Node { value, next: ptr::null_mut() }));
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: the node is ours until the exchange below succeeds.
            unsafe { (*node).next = head };
            match self.head.compare_exchange_weak(head, node, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes all values, the newest first.
    pub(crate) fn take_all(&self) -> Vec<T> {
        let mut head = self.head.swap(ptr::null_mut(), Ordering::AcqRel);
        let mut all = Vec::new();
        while !head.is_null() {
            // SAFETY: the swap made this list ours alone; every node of it came from `Box::into_raw` in `push`.
            let node = *unsafe { Box::from_raw(head) };
            head = node.next;
            all.push(node.value);
        }
        all
    }
}

impl<T> Drop for Stack<T> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

#[allow(unsafe_code, reason = "the raw pointers own their nodes, as a Box would")]
// SAFETY: values move from the pushing to the taking thread, and nothing else is shared.
unsafe impl<T: Send> Send for Stack<T> {}
#[allow(unsafe_code, reason = "the raw pointers own their nodes, as a Box would")]
// SAFETY: as above; no reference to a value is handed out.
unsafe impl<T: Send> Sync for Stack<T> {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn everything_pushed_by_any_thread_is_taken_once() {
        let stack = Stack::default();
        let mut taken: Vec<u32> = std::thread::scope(|scope| {
            for base in 0..4_u32 {
                let stack = &stack;
                scope.spawn(move || (0..1000).for_each(|n| stack.push(base * 1000 + n)));
            }
            let mut taken = Vec::new();
            while taken.len() < 2000 {
                taken.extend(stack.take_all());
            }
            taken
        });
        taken.extend(stack.take_all());
        taken.sort_unstable();
        assert_eq!(taken, (0..4000).collect::<Vec<_>>());
    }
}

#[cfg(all(test, loom))]
mod loom_model {
    use std::sync::Arc;

    use super::*;

    /// Whoever pushes and takes at the same time, each value is taken once.
    #[test]
    fn loom_everything_pushed_is_taken_once() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let stack: Arc<Stack<u32>> = Arc::default();
            let pushing = [0, 10].map(|base| {
                let stack = stack.clone();
                loom::thread::spawn(move || {
                    stack.push(base + 1);
                    stack.push(base + 2);
                })
            });
            let mut taken = stack.take_all();
            taken.extend(stack.take_all());
            for thread in pushing {
                thread.join().expect("no panic");
            }
            taken.extend(stack.take_all());
            taken.sort_unstable();
            assert_eq!(taken, [1, 2, 11, 12]);
        });
    }
}
