//! Appends that the runtime has not yet reported, each with what to do when it does.
//!
//! Effects are released in the order of the appends, even when the reports arrive in another one:
//! the state must follow the log. Each append must therefore be reported exactly once.

use std::collections::VecDeque;

use crate::error::AppendError;
use crate::outcome::AppendId;

#[derive(Debug)]
struct Entry<E> {
    id: AppendId,
    effect: E,
    result: Option<Result<(), AppendError>>,
}

#[derive(Debug)]
pub(crate) struct InFlight<E> {
    queue: VecDeque<Entry<E>>,
    next_id: u64,
}

impl<E> Default for InFlight<E> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            next_id: 0,
        }
    }
}

impl<E> InFlight<E> {
    pub(crate) fn push(&mut self, effect: E) -> AppendId {
        let id = AppendId(self.next_id);
        self.next_id += 1;
        self.queue.push_back(Entry {
            id,
            effect,
            result: None,
        });
        id
    }

    /// Queues an effect that waits for nothing but its turn, behind all appends before it.
    pub(crate) fn push_reported(&mut self, effect: E) {
        let id = self.push(effect);
        self.report(id, Ok(()));
    }

    /// Notes the fate of an append; `false` when nothing waits for it.
    pub(crate) fn report(&mut self, id: AppendId, result: Result<(), AppendError>) -> bool {
        // Ids are dense and ascending, so the position follows from the first one.
        let Some(first) = self.queue.front().map(|entry| entry.id.0) else {
            return false;
        };
        let Some(distance) = id.0.checked_sub(first) else {
            return false;
        };
        let position = usize::try_from(distance).unwrap_or(usize::MAX);
        match self.queue.get_mut(position) {
            Some(entry) if entry.result.is_none() => {
                entry.result = Some(result);
                true
            }
            _ => false,
        }
    }

    /// The next effect whose append and all earlier ones have been reported.
    pub(crate) fn pop(&mut self) -> Option<(AppendId, E, Result<(), AppendError>)> {
        let result = self.queue.front()?.result?;
        self.queue
            .pop_front()
            .map(|entry| (entry.id, entry.effect, result))
    }

    /// The effects whose appends are not settled, oldest first.
    pub(crate) fn effects_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut E> + '_ {
        self.queue.iter_mut().map(|entry| &mut entry.effect)
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = E> + '_ {
        self.queue.drain(..).map(|entry| entry.effect)
    }
}
