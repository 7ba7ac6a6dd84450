//! What ListTransactions asks for.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};

use super::record::TransactionLogValue;
use super::state::TransactionState;
use crate::error::TransactionError;

/// At most what the automaton of a pattern may take. Patterns come from clients.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Which transactions are listed: those that pass every filter that is set.
#[derive(Debug, Clone, Default)]
pub struct TransactionFilters {
    states: BTreeSet<TransactionState>,
    unknown_states: Vec<String>,
    producer_ids: BTreeSet<i64>,
    duration_ms: Option<i64>,
    transactional_id_pattern: Option<Regex>,
}

impl TransactionFilters {
    /// Empty lists, a negative duration and no or an empty pattern filter nothing. A transaction
    /// passes the duration when it is open for longer; the pattern must match the whole id.
    pub fn new(
        states: &[String],
        producer_ids: &[i64],
        duration_ms: i64,
        transactional_id_pattern: Option<&str>,
    ) -> Result<Self, TransactionError> {
        let mut filters = Self {
            producer_ids: producer_ids.iter().copied().collect(),
            duration_ms: Some(duration_ms).filter(|duration_ms| *duration_ms >= 0),
            ..Self::default()
        };
        for name in states {
            match TransactionState::from_name(name) {
                Some(state) => {
                    filters.states.insert(state);
                }
                None => filters.unknown_states.push(name.clone()),
            }
        }
        if let Some(pattern) = transactional_id_pattern.filter(|pattern| !pattern.is_empty()) {
            // Judged alone first: `a)(b` would make sense between the parentheses.
            let whole = RegexBuilder::new(pattern)
                .size_limit(PATTERN_BYTES_MAX)
                .build()
                .and_then(|_| {
                    RegexBuilder::new(&format!("^(?:{pattern})$"))
                        .size_limit(2 * PATTERN_BYTES_MAX)
                        .build()
                })
                .map_err(|_| TransactionError::InvalidRegularExpression)?;
            filters.transactional_id_pattern = Some(whole);
        }
        Ok(filters)
    }

    /// Names among the states that are none, in the order given.
    pub fn unknown_states(&self) -> &[String] {
        &self.unknown_states
    }

    pub(super) fn pass(
        &self,
        transactional_id: &str,
        value: &TransactionLogValue,
        now_ms: i64,
    ) -> bool {
        let filters_states = !self.states.is_empty() || !self.unknown_states.is_empty();
        let open_ms = now_ms.saturating_sub(value.start_timestamp_ms);
        let is_long = self
            .duration_ms
            .is_none_or(|duration_ms| open_ms > duration_ms);
        let pattern = self.transactional_id_pattern.as_ref();
        (self.producer_ids.is_empty() || self.producer_ids.contains(&value.producer_id))
            && (!filters_states || self.states.contains(&value.state))
            && is_long
            && pattern.is_none_or(|pattern| pattern.is_match(transactional_id))
    }
}
