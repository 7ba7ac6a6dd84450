//! The states of a transaction, the ways between them, and the feature `transaction.version`.

/// Kafka's states of a transactional id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionState {
    /// No transaction yet, or none since the producer was initialized.
    Empty,
    /// Partitions have been added.
    Ongoing,
    /// Decided; the markers are being written.
    PrepareCommit,
    /// Decided; the markers are being written.
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
    /// Expired; the tombstone is being written.
    Dead,
    /// A producer is about to be fenced, by an abort with a bumped epoch.
    PrepareEpochFence,
}

impl TransactionState {
    /// Every state, by its id on disk.
    pub const ALL: [Self; 8] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    /// Kafka's name, as DescribeTransactions and ListTransactions say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
            Self::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// The state of that name, exactly.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// The number in a record.
    pub(crate) fn id(self) -> i8 {
        match self {
            Self::Empty => 0,
            Self::Ongoing => 1,
            Self::PrepareCommit => 2,
            Self::PrepareAbort => 3,
            Self::CompleteCommit => 4,
            Self::CompleteAbort => 5,
            Self::Dead => 6,
            Self::PrepareEpochFence => 7,
        }
    }

    pub(crate) fn from_id(id: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.id() == id)
    }

    /// Whether Kafka's table of transitions has a way from this state to `next`.
    pub(crate) fn may_become(self, next: Self) -> bool {
        let is_at_rest = matches!(
            self,
            Self::Empty | Self::CompleteCommit | Self::CompleteAbort
        );
        match next {
            Self::Empty | Self::Dead => is_at_rest,
            Self::Ongoing => is_at_rest || self == Self::Ongoing,
            Self::PrepareCommit => self == Self::Ongoing,
            // At rest, a client of version 2 may abort what it cannot know to be empty.
            Self::PrepareAbort => {
                is_at_rest || matches!(self, Self::Ongoing | Self::PrepareEpochFence)
            }
            Self::CompleteCommit => self == Self::PrepareCommit,
            Self::CompleteAbort => self == Self::PrepareAbort,
            Self::PrepareEpochFence => self == Self::Ongoing,
        }
    }

    /// Whether an id may expire in this state.
    pub(crate) fn may_expire(self) -> bool {
        self.may_become(Self::Dead)
    }

    /// Whether the outcome is decided and the markers are still being written.
    pub(crate) fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }
}

/// The feature `transaction.version`, or what a client speaks (KIP-890).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionVersion {
    /// The original protocol.
    V0,
    /// Records of `__transaction_state` may have tagged fields.
    V1,
    /// The end of each transaction bumps the epoch, and producing adds partitions.
    V2,
}

impl TransactionVersion {
    /// The feature level: 0, 1 or 2.
    pub fn level(self) -> i16 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// The version of a feature level; of one that is not known yet, the newest.
    pub fn from_level(level: i16) -> Self {
        match level {
            ..=0 => Self::V0,
            1 => Self::V1,
            2.. => Self::V2,
        }
    }

    /// What a client that sends this version of EndTxn speaks.
    pub fn of_end_txn(api_version: i16) -> Self {
        if api_version > 4 { Self::V2 } else { Self::V0 }
    }

    /// What a client, or a broker on behalf of one, that sends this version of AddPartitionsToTxn
    /// speaks. AddOffsetsToTxn is always sent by clients of [`V0`](Self::V0).
    pub fn of_add_partitions_to_txn(api_version: i16) -> Self {
        if api_version > 3 { Self::V2 } else { Self::V0 }
    }

    pub(crate) fn supports_epoch_bump(self) -> bool {
        self >= Self::V2
    }

    pub(crate) fn value_version(self) -> i16 {
        self.level().min(1)
    }
}
