//! From an API key to its handler: one visible table.
//!
//! The version is checked before the body is decoded. A key or version that is not served closes
//! the connection, as Kafka does, except ApiVersions, which tells a newer client what to use.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use lastword_protocol::messages::KafkaRequest;
use lastword_protocol::{ApiKey, request};

use crate::api::{self, Reply, RequestContext};
use crate::broker::Broker;

/// Writes the list of served APIs and the match from one table, so that they cannot differ.
macro_rules! handlers {
    ($($key:ident => $module:ident,)*) => {
        /// The APIs that ApiVersions offers.
        pub const SERVED: &[ApiKey] = &[$(ApiKey::$key),*];

        async fn handle(
            broker: &Arc<Broker>,
            context: &RequestContext,
            body: Bytes,
        ) -> Result<Reply, String> {
            match context.api_key {
                $(ApiKey::$key => {
                    Ok(api::$module::handle(broker, context, decode(context, body)?).await)
                })*
                other => Err(format!("{} is not served", other.name())),
            }
        }
    };
}

handlers! {
    Produce => produce,
    Fetch => fetch,
    ListOffsets => list_offsets,
    Metadata => metadata,
    OffsetCommit => offset_commit,
    OffsetFetch => offset_fetch,
    FindCoordinator => find_coordinator,
    JoinGroup => join_group,
    Heartbeat => heartbeat,
    LeaveGroup => leave_group,
    SyncGroup => sync_group,
    DescribeGroups => describe_groups,
    ListGroups => list_groups,
    ApiVersions => api_versions,
    CreateTopics => create_topics,
    DeleteTopics => delete_topics,
    DeleteRecords => delete_records,
    InitProducerId => init_producer_id,
    OffsetForLeaderEpoch => offset_for_leader_epoch,
    AddPartitionsToTxn => add_partitions_to_txn,
    AddOffsetsToTxn => add_offsets_to_txn,
    EndTxn => end_txn,
    WriteTxnMarkers => write_txn_markers,
    TxnOffsetCommit => txn_offset_commit,
    DescribeAcls => describe_acls,
    CreateAcls => create_acls,
    DeleteAcls => delete_acls,
    DescribeConfigs => describe_configs,
    AlterConfigs => alter_configs,
    AlterReplicaLogDirs => alter_replica_log_dirs,
    DescribeLogDirs => describe_log_dirs,
    CreatePartitions => create_partitions,
    CreateDelegationToken => create_delegation_token,
    RenewDelegationToken => renew_delegation_token,
    ExpireDelegationToken => expire_delegation_token,
    DescribeDelegationToken => describe_delegation_token,
    DeleteGroups => delete_groups,
    ElectLeaders => elect_leaders,
    IncrementalAlterConfigs => incremental_alter_configs,
    AlterPartitionReassignments => alter_partition_reassignments,
    ListPartitionReassignments => list_partition_reassignments,
    OffsetDelete => offset_delete,
    DescribeClientQuotas => describe_client_quotas,
    AlterClientQuotas => alter_client_quotas,
    DescribeUserScramCredentials => describe_user_scram_credentials,
    AlterUserScramCredentials => alter_user_scram_credentials,
    DescribeQuorum => describe_quorum,
    UpdateFeatures => update_features,
    DescribeCluster => describe_cluster,
    DescribeProducers => describe_producers,
    UnregisterBroker => unregister_broker,
    DescribeTransactions => describe_transactions,
    ListTransactions => list_transactions,
    ConsumerGroupHeartbeat => consumer_group_heartbeat,
    ConsumerGroupDescribe => consumer_group_describe,
    ListConfigResources => list_config_resources,
    DescribeTopicPartitions => describe_topic_partitions,
}

/// Decodes a request and runs its handler.
pub(crate) async fn dispatch(broker: &Arc<Broker>, context: &RequestContext, body: Bytes) -> Reply {
    let key = context.api_key;
    if SERVED.contains(&key) && !key.supports(context.api_version) {
        if key == ApiKey::ApiVersions {
            return api::api_versions::unsupported_version(context);
        }
        return Reply::Close(format!(
            "{} v{} is not served",
            key.name(),
            context.api_version
        ));
    }
    broker.stats.request(key);
    let begun = Instant::now();
    let reply = handle(broker, context, body).await;
    timed(broker, key, begun, reply.unwrap_or_else(Reply::Close))
}

/// Counts how long the answer took, waits included, once it is there.
fn timed(broker: &Arc<Broker>, key: ApiKey, begun: Instant, reply: Reply) -> Reply {
    match reply {
        Reply::Later(later) => {
            let broker = broker.clone();
            RequestContext::later(async move {
                let reply = later.await;
                if let Reply::Close(_) = reply {
                    broker.stats.closed(key);
                }
                broker.stats.answered(key, begun.elapsed());
                reply
            })
        }
        Reply::Close(reason) => {
            broker.stats.closed(key);
            Reply::Close(reason)
        }
        reply => {
            broker.stats.answered(key, begun.elapsed());
            reply
        }
    }
}

fn decode<R: KafkaRequest>(context: &RequestContext, body: Bytes) -> Result<R, String> {
    request::decode(body, context.api_version).map_err(|error| {
        format!(
            "malformed {} v{} request: {error}",
            context.api_key.name(),
            context.api_version
        )
    })
}
