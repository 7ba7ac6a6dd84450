//! Kafka's APIs: their keys, and the versions served of each.
//!
//! The versions are those Kafka 4.3.0 offers, cut to what is implemented here. A key in this
//! table is known, not necessarily served: the broker's dispatch table says which are.

use kafka_wire_core::ApiVersion;

use crate::messages::{self, KafkaMessage};

/// How much wire a request of an API may take, apart from the listener's own limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLimit {
    /// Carries record data: as large as the listener allows.
    Records,
    /// Carries opaque client state or one entry per partition.
    State,
    /// Carries names.
    Names,
}

impl BodyLimit {
    /// The longest request in bytes.
    pub fn bytes(self) -> usize {
        match self {
            BodyLimit::Records => usize::MAX,
            BodyLimit::State => 16 * 1024 * 1024,
            BodyLimit::Names => 1024 * 1024,
        }
    }

    /// How many times its wire form a request may take in memory, decoded.
    ///
    /// An array of empty names grows most: three bytes on the wire become a struct of a hundred.
    /// Entries per partition carry integers, which do not grow much; record data does not grow.
    pub fn expansion(self) -> usize {
        match self {
            BodyLimit::Records => 1,
            BodyLimit::State => 8,
            BodyLimit::Names => 40,
        }
    }
}

macro_rules! apis {
    ($($name:ident = $key:literal, $request:ident, $min:literal..=$max:literal, $limit:ident;)*) => {
        /// A Kafka API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ApiKey { $(
            #[doc = concat!(stringify!($name), ", key ", stringify!($key), ".")]
            $name,
        )* }

        impl ApiKey {
            /// Every API of the table, by key.
            pub const ALL: &[ApiKey] = &[$(ApiKey::$name),*];

            /// The key on the wire.
            pub fn as_i16(self) -> i16 { match self { $(ApiKey::$name => $key),* } }

            /// The API with this key.
            pub fn from_i16(key: i16) -> Option<ApiKey> {
                match key { $($key => Some(ApiKey::$name),)* _ => None }
            }

            /// Kafka's name.
            pub fn name(self) -> &'static str {
                match self { $(ApiKey::$name => stringify!($name)),* }
            }

            /// Lowest and highest version served.
            pub fn versions(self) -> (i16, i16) {
                match self { $(ApiKey::$name => ($min, $max)),* }
            }

            /// Whether a version is framed with tagged fields. A version above those known is.
            pub fn is_flexible(self, version: i16) -> bool {
                match self { $(ApiKey::$name => {
                    <messages::$request as KafkaMessage>::FLEXIBLE_VERSIONS
                        .is_some_and(|range| ApiVersion::new(version) >= range.min())
                }),* }
            }

            /// How large a request may be.
            pub fn body_limit(self) -> BodyLimit {
                match self { $(ApiKey::$name => BodyLimit::$limit),* }
            }
        }
    };
}

apis! {
    Produce = 0, ProduceRequest, 3..=13, Records;
    Fetch = 1, FetchRequest, 4..=18, State;
    ListOffsets = 2, ListOffsetsRequest, 1..=11, State;
    Metadata = 3, MetadataRequest, 0..=13, Names;
    OffsetCommit = 8, OffsetCommitRequest, 2..=10, State;
    OffsetFetch = 9, OffsetFetchRequest, 1..=10, Names;
    FindCoordinator = 10, FindCoordinatorRequest, 0..=6, Names;
    JoinGroup = 11, JoinGroupRequest, 0..=9, State;
    Heartbeat = 12, HeartbeatRequest, 0..=4, Names;
    LeaveGroup = 13, LeaveGroupRequest, 0..=5, Names;
    SyncGroup = 14, SyncGroupRequest, 0..=5, State;
    DescribeGroups = 15, DescribeGroupsRequest, 0..=6, Names;
    ListGroups = 16, ListGroupsRequest, 0..=5, Names;
    SaslHandshake = 17, SaslHandshakeRequest, 0..=1, Names;
    ApiVersions = 18, ApiVersionsRequest, 0..=4, Names;
    CreateTopics = 19, CreateTopicsRequest, 2..=7, Names;
    DeleteTopics = 20, DeleteTopicsRequest, 1..=6, Names;
    DeleteRecords = 21, DeleteRecordsRequest, 0..=2, Names;
    InitProducerId = 22, InitProducerIdRequest, 0..=5, Names;
    OffsetForLeaderEpoch = 23, OffsetForLeaderEpochRequest, 2..=4, State;
    AddPartitionsToTxn = 24, AddPartitionsToTxnRequest, 0..=5, Names;
    AddOffsetsToTxn = 25, AddOffsetsToTxnRequest, 0..=4, Names;
    EndTxn = 26, EndTxnRequest, 0..=5, Names;
    WriteTxnMarkers = 27, WriteTxnMarkersRequest, 1..=2, Names;
    TxnOffsetCommit = 28, TxnOffsetCommitRequest, 0..=5, State;
    DescribeAcls = 29, DescribeAclsRequest, 1..=3, Names;
    CreateAcls = 30, CreateAclsRequest, 1..=3, Names;
    DeleteAcls = 31, DeleteAclsRequest, 1..=3, Names;
    DescribeConfigs = 32, DescribeConfigsRequest, 1..=4, Names;
    AlterConfigs = 33, AlterConfigsRequest, 0..=2, Names;
    AlterReplicaLogDirs = 34, AlterReplicaLogDirsRequest, 1..=2, Names;
    DescribeLogDirs = 35, DescribeLogDirsRequest, 1..=5, Names;
    SaslAuthenticate = 36, SaslAuthenticateRequest, 0..=2, Names;
    CreatePartitions = 37, CreatePartitionsRequest, 0..=3, Names;
    CreateDelegationToken = 38, CreateDelegationTokenRequest, 1..=3, Names;
    RenewDelegationToken = 39, RenewDelegationTokenRequest, 1..=2, Names;
    ExpireDelegationToken = 40, ExpireDelegationTokenRequest, 1..=2, Names;
    DescribeDelegationToken = 41, DescribeDelegationTokenRequest, 1..=3, Names;
    DeleteGroups = 42, DeleteGroupsRequest, 0..=2, Names;
    ElectLeaders = 43, ElectLeadersRequest, 0..=2, Names;
    IncrementalAlterConfigs = 44, IncrementalAlterConfigsRequest, 0..=1, Names;
    AlterPartitionReassignments = 45, AlterPartitionReassignmentsRequest, 0..=1, Names;
    ListPartitionReassignments = 46, ListPartitionReassignmentsRequest, 0..=0, Names;
    OffsetDelete = 47, OffsetDeleteRequest, 0..=0, Names;
    DescribeClientQuotas = 48, DescribeClientQuotasRequest, 0..=1, Names;
    AlterClientQuotas = 49, AlterClientQuotasRequest, 0..=1, Names;
    DescribeUserScramCredentials = 50, DescribeUserScramCredentialsRequest, 0..=0, Names;
    AlterUserScramCredentials = 51, AlterUserScramCredentialsRequest, 0..=0, Names;
    DescribeQuorum = 55, DescribeQuorumRequest, 0..=2, Names;
    UpdateFeatures = 57, UpdateFeaturesRequest, 0..=2, Names;
    DescribeCluster = 60, DescribeClusterRequest, 0..=2, Names;
    DescribeProducers = 61, DescribeProducersRequest, 0..=0, Names;
    UnregisterBroker = 64, UnregisterBrokerRequest, 0..=0, Names;
    DescribeTransactions = 65, DescribeTransactionsRequest, 0..=0, Names;
    ListTransactions = 66, ListTransactionsRequest, 0..=2, Names;
    ConsumerGroupHeartbeat = 68, ConsumerGroupHeartbeatRequest, 0..=1, State;
    ConsumerGroupDescribe = 69, ConsumerGroupDescribeRequest, 0..=1, Names;
    GetTelemetrySubscriptions = 71, GetTelemetrySubscriptionsRequest, 0..=0, Names;
    PushTelemetry = 72, PushTelemetryRequest, 0..=0, Names;
    ListConfigResources = 74, ListConfigResourcesRequest, 0..=1, Names;
    DescribeTopicPartitions = 75, DescribeTopicPartitionsRequest, 0..=0, Names;
}

impl ApiKey {
    /// Whether a request of this version is answered with its own schema.
    pub fn supports(self, version: i16) -> bool {
        let (min, max) = self.versions();
        (min..=max).contains(&version)
    }

    /// The lowest version ApiVersions lists.
    ///
    /// Produce is listed from 0, as Kafka 4 does: librdkafka before 2.9 takes a higher minimum as
    /// a broker without support for record batches. Versions 0 to 2 are refused all the same.
    pub fn advertised_min(self) -> i16 {
        if self == ApiKey::Produce {
            0
        } else {
            self.versions().0
        }
    }

    /// The version of the header that frames a response.
    pub fn response_header_version(self, version: i16) -> i16 {
        if self == ApiKey::ApiVersions {
            0
        } else {
            i16::from(self.is_flexible(version))
        }
    }
}
