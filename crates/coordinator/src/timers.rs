//! Deadlines by key, for a caller that owns the clock.
//!
//! A heartbeat moves its member's deadline further away thousands of times for each time that it
//! fires, so the queue is lazy: moving a deadline later leaves the queue entry where it is, and the
//! entry is put back when it comes up. `next_deadline_ms` may therefore be early, never late.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

#[derive(Debug)]
struct Slot {
    deadline_ms: i64,
    queued_ms: i64,
}

#[derive(Debug)]
pub(crate) struct Timers<K> {
    slots: HashMap<K, Slot>,
    queue: BTreeSet<(i64, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self {
            slots: HashMap::new(),
            queue: BTreeSet::new(),
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> Timers<K> {
    pub(crate) fn schedule(&mut self, key: K, deadline_ms: i64) {
        match self.slots.get_mut(&key) {
            Some(slot) if slot.queued_ms <= deadline_ms => slot.deadline_ms = deadline_ms,
            Some(slot) => {
                let queued_ms = slot.queued_ms;
                *slot = Slot {
                    deadline_ms,
                    queued_ms: deadline_ms,
                };
                self.queue.remove(&(queued_ms, key.clone()));
                self.queue.insert((deadline_ms, key));
            }
            None => {
                self.slots.insert(
                    key.clone(),
                    Slot {
                        deadline_ms,
                        queued_ms: deadline_ms,
                    },
                );
                self.queue.insert((deadline_ms, key));
            }
        }
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.slots.contains_key(key)
    }

    pub(crate) fn cancel(&mut self, key: &K) {
        if let Some(slot) = self.slots.remove(key) {
            self.queue.remove(&(slot.queued_ms, key.clone()));
        }
    }

    pub(crate) fn next_deadline_ms(&self) -> Option<i64> {
        self.queue.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// Removes and returns the key of a timer that is due.
    pub(crate) fn pop_due(&mut self, now_ms: i64) -> Option<K> {
        while self.next_deadline_ms()? <= now_ms {
            let (_, key) = self.queue.pop_first()?;
            let slot = self.slots.get_mut(&key)?;
            if slot.deadline_ms <= now_ms {
                self.slots.remove(&key);
                return Some(key);
            }
            slot.queued_ms = slot.deadline_ms;
            self.queue.insert((slot.deadline_ms, key));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Timers;

    #[test]
    fn a_timer_moved_later_does_not_fire_at_its_old_deadline() {
        let mut timers = Timers::default();
        timers.schedule("a", 10);
        timers.schedule("a", 30);
        assert_eq!(timers.pop_due(20), None);
        assert_eq!(timers.next_deadline_ms(), Some(30));
        assert_eq!(timers.pop_due(30), Some("a"));
        assert_eq!(timers.next_deadline_ms(), None);
    }

    #[test]
    fn a_timer_moved_earlier_fires_earlier_and_once() {
        let mut timers = Timers::default();
        timers.schedule("a", 30);
        timers.schedule("a", 10);
        assert_eq!(timers.pop_due(10), Some("a"));
        assert_eq!(timers.pop_due(100), None);
    }

    #[test]
    fn a_cancelled_timer_does_not_fire() {
        let mut timers = Timers::default();
        timers.schedule("a", 10);
        timers.schedule("b", 11);
        timers.cancel(&"a");
        assert_eq!(timers.pop_due(100), Some("b"));
        assert_eq!(timers.pop_due(100), None);
    }
}
