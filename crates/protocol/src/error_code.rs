//! Kafka's error codes by name.
//!
//! The names are the protocol's own; the sentences are what a human reads when no better message
//! is at hand.

macro_rules! error_codes {
    ($($variant:ident = $code:literal, $name:literal, $message:literal;)*) => {
        /// A Kafka error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i16)]
        pub enum ErrorCode { $(
            #[doc = $message]
            $variant = $code,
        )* }

        impl ErrorCode {
            /// Every code, ascending.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant),*];

            /// The protocol's name, in capitals.
            pub fn name(self) -> &'static str { match self { $(ErrorCode::$variant => $name),* } }

            /// One sentence for humans.
            pub fn message(self) -> &'static str {
                match self { $(ErrorCode::$variant => $message),* }
            }

            /// The code with this number.
            pub fn from_code(code: i16) -> Option<ErrorCode> {
                match code { $($code => Some(ErrorCode::$variant),)* _ => None }
            }
        }
    };
}

error_codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", "The server experienced an unexpected error.";
    None = 0, "NONE", "No error.";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE",
        "The requested offset is not within the range of offsets of the partition.";
    CorruptMessage = 2, "CORRUPT_MESSAGE",
        "The record batch is corrupt: its checksum or its structure is wrong.";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION",
        "This server does not host this topic-partition.";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", "The requested fetch size is invalid.";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE",
        "There is no leader for this topic-partition for the moment.";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER",
        "This server is not the leader of the partition.";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", "The request timed out.";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", "The broker is not available.";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", "The replica is not available.";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE",
        "The record batch is larger than the server accepts.";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", "The controller moved to another broker.";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE",
        "The metadata of the offset commit is too large.";
    NetworkException = 13, "NETWORK_EXCEPTION",
        "The server disconnected before a response was received.";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", "The coordinator is loading.";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", "The coordinator is not available.";
    NotCoordinator = 16, "NOT_COORDINATOR", "This is not the right coordinator.";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION",
        "The topic name is invalid, or the topic may not be used this way.";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", "The batch is larger than a segment.";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS",
        "There are fewer in-sync replicas than required.";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        "The batch was written to fewer in-sync replicas than required.";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", "The acks value is invalid.";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", "The group generation id is not valid.";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL",
        "The protocol type or the protocols do not match those of the group.";
    InvalidGroupId = 24, "INVALID_GROUP_ID", "The group id is invalid.";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", "The coordinator does not know this member.";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT",
        "The session timeout is outside the allowed range.";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", "The group is rebalancing.";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE",
        "The size of the offset commit is not valid.";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", "Not authorized for the topic.";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", "Not authorized for the group.";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED",
        "Not authorized for the cluster.";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP",
        "The timestamp of the record is out of the accepted range.";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM",
        "The SASL mechanism is not supported.";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE",
        "The request is not valid in the present SASL state.";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", "The version of the API is not supported.";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", "The topic already exists.";
    InvalidPartitions = 37, "INVALID_PARTITIONS", "The number of partitions is invalid.";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR",
        "The replication factor is below 1 or larger than the number of brokers.";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT",
        "The replica assignment is invalid.";
    InvalidConfig = 40, "INVALID_CONFIG", "The configuration is invalid.";
    NotController = 41, "NOT_CONTROLLER", "This is not the controller of the cluster.";
    InvalidRequest = 42, "INVALID_REQUEST",
        "The request is malformed or asks for something impossible.";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT",
        "The record format does not support the request.";
    PolicyViolation = 44, "POLICY_VIOLATION", "The request does not satisfy the configured policy.";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER",
        "The broker received an out of order sequence number.";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER",
        "The broker received a duplicate sequence number.";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", "The producer has an old epoch.";
    InvalidTxnState = 48, "INVALID_TXN_STATE",
        "The producer attempted a transactional operation in an invalid state.";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING",
        "The producer id is not assigned to this transactional id.";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT",
        "The transaction timeout is larger than allowed.";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS",
        "The transactional id has another operation in progress.";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED",
        "The transaction coordinator is no longer current.";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
        "Not authorized for the transactional id.";
    SecurityDisabled = 54, "SECURITY_DISABLED", "Security features are disabled.";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", "The operation was not attempted.";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", "Disk error when accessing the log.";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", "The log directory is not found.";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", "SASL authentication failed.";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID",
        "The producer id has no state on this partition.";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS",
        "A partition reassignment is in progress.";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED",
        "Delegation tokens are disabled.";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND",
        "The delegation token is not found.";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH",
        "The principal is not the owner of the token.";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
        "Delegation token requests are not allowed on this channel.";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED",
        "Not authorized for delegation tokens.";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", "The delegation token is expired.";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", "The principal type is not supported.";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", "The group is not empty.";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", "The group id does not exist.";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", "The fetch session is not found.";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH",
        "The fetch session epoch is invalid.";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", "There is no matching listener on the leader.";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", "Topic deletion is disabled.";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH",
        "The leader epoch of the request is older than that of the broker.";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH",
        "The leader epoch of the request is newer than that of the broker.";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE",
        "The compression type is not supported.";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", "The broker epoch has changed.";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE",
        "The leader cannot answer for this offset yet.";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED",
        "The member must join again with the id it was given.";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE",
        "The preferred leader is not available.";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", "The group is full.";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", "Another member uses this group instance id.";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE",
        "No eligible leader is available.";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", "A leader election is not needed.";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS",
        "No partition reassignment is in progress.";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC",
        "The group is subscribed to the topic.";
    InvalidRecord = 87, "INVALID_RECORD", "The record failed validation on the broker.";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT",
        "There are offsets not yet committed by a transaction.";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED",
        "The throttling quota has been exceeded.";
    ProducerFenced = 90, "PRODUCER_FENCED",
        "A newer producer with the same transactional id fences this one.";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", "The resource does not exist.";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", "The resource already exists.";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL",
        "The credential does not meet the criteria.";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", "The voter set is inconsistent.";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", "The update version is invalid.";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", "The features could not be updated.";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE",
        "The principal could not be read.";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", "The snapshot is not found.";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", "The position is outside the snapshot.";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", "This server does not host this topic id.";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION",
        "The broker id is already in use.";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", "The broker id is not registered.";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID",
        "The topic id does not match that of the log.";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", "The cluster id does not match.";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND",
        "The transactional id is not found.";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR",
        "The fetch session met inconsistent use of topic ids.";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", "The replica is not eligible.";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", "A new leader was elected.";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE",
        "The offset is in tiered storage.";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", "The member epoch is fenced.";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID",
        "The instance id is still in use by another member.";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", "The assignor is not supported.";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", "The member epoch is stale.";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE",
        "The request was sent to the wrong kind of endpoint.";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", "The endpoint type is not known.";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", "The controller id is not known.";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID",
        "The telemetry subscription id is not known.";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", "The telemetry payload is too large.";
    InvalidRegistration = 119, "INVALID_REGISTRATION", "The registration is invalid.";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", "The transaction must be aborted.";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", "The record state is invalid.";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", "The share session is not found.";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH",
        "The share session epoch is invalid.";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", "The share state epoch is fenced.";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", "The voter key does not match.";
    DuplicateVoter = 126, "DUPLICATE_VOTER", "The voter is already known.";
    VoterNotFound = 127, "VOTER_NOT_FOUND", "The voter is not found.";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION",
        "The regular expression is not valid.";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", "The client must rebootstrap.";
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", "The streams topology is invalid.";
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH",
        "The streams topology epoch is invalid.";
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED",
        "The streams topology epoch is outdated.";
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED",
        "The limit of share sessions is reached.";
}

impl ErrorCode {
    /// The number on the wire.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// Whether this is `NONE`.
    pub fn is_none(self) -> bool {
        self == ErrorCode::None
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} ({})", self.name(), self.code())
    }
}
