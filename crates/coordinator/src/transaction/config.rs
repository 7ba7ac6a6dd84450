//! The broker settings that the transaction coordinator obeys, with Kafka's defaults.

use super::state::TransactionVersion;

/// What the broker's `transaction.*` and `transactional.id.*` settings say, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`
    pub transaction_max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`
    pub transactional_id_expiration_ms: i64,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`
    pub abort_timed_out_transactions_interval_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub remove_expired_transactional_ids_interval_ms: i64,
    /// `transaction.two.phase.commit.enable`
    pub transaction_two_phase_commit_enable: bool,
    /// The finalized feature `transaction.version`: how records are written and how the coordinator
    /// itself ends a transaction. Clients choose for theirs by the versions of their requests.
    pub transaction_version: TransactionVersion,
    /// The leader epoch of the partition, which its markers carry.
    pub coordinator_epoch: i32,
    /// How long to pause before markers, or the record that they are written, are tried again; not
    /// a setting in Kafka, which tries again at once.
    pub marker_retry_backoff_ms: i64,
}

impl Default for TransactionConfig {
    fn default() -> Self {
        Self {
            transaction_max_timeout_ms: 15 * 60 * 1000,
            transactional_id_expiration_ms: 7 * 24 * 60 * 60 * 1000,
            abort_timed_out_transactions_interval_ms: 10_000,
            remove_expired_transactional_ids_interval_ms: 60 * 60 * 1000,
            transaction_two_phase_commit_enable: false,
            transaction_version: TransactionVersion::V2,
            coordinator_epoch: 0,
            marker_retry_backoff_ms: 100,
        }
    }
}
