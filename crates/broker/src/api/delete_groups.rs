//! DeleteGroups (key 42), versions 0-2.
//!
//! Behaviour:
//! - Answered when the tombstones of the groups and their offsets are durable; each group succeeds
//!   or fails on its own.
//! - A group with members is NON_EMPTY_GROUP, an unknown one GROUP_ID_NOT_FOUND. A group that is
//!   named twice is deleted and answered once.
//!
//! Versions: 2 flexible.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use lastword_coordinator::{self as coordinator, GroupError};
use lastword_protocol::messages::delete_groups_response::DeletableGroupResult;
use lastword_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};
use lastword_protocol::{StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups::{self, Pending, Shard};
use crate::error_map::group_code;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DeleteGroupsRequest,
) -> Reply {
    let mut seen = HashSet::new();
    let names: Vec<StrBytes> = request
        .groups_names
        .into_iter()
        .filter(|name| seen.insert(name.to_string()))
        .collect();
    let mut by_shard: BTreeMap<i32, (Arc<Shard>, Vec<String>)> = BTreeMap::new();
    let mut errors: HashMap<String, Option<GroupError>> = HashMap::new();
    for name in &names {
        match groups::shard_of(broker, name).await {
            Ok(shard) => {
                let (_, of_shard) = by_shard
                    .entry(shard.number())
                    .or_insert_with(|| (shard, Vec::new()));
                of_shard.push(name.to_string());
            }
            Err(error) => {
                errors.insert(name.to_string(), Some(error));
            }
        }
    }
    let mut waiting: Vec<(Result<Pending, GroupError>, Vec<String>)> = Vec::new();
    for (shard, of_shard) in by_shard.into_values() {
        let pending = shard
            .submit(|machine, ticket, now_ms| machine.delete_groups(&of_shard, ticket, now_ms));
        waiting.push((pending, of_shard));
    }
    let context = context.clone();
    RequestContext::later(async move {
        for (pending, of_shard) in waiting {
            match groups::wait(pending).await {
                Ok(coordinator::Reply::DeleteGroups(results)) => errors.extend(results),
                other => {
                    let error = groups::error_of(other);
                    errors.extend(of_shard.into_iter().map(|name| (name, Some(error))));
                }
            }
        }
        let results = names.into_iter().map(|group_id| {
            let error = errors.get(&*group_id).copied();
            let error = error.unwrap_or(Some(GroupError::UnknownServerError));
            message!(DeletableGroupResult {
                group_id,
                error_code: group_code(error)
            })
        });
        context.reply(&message!(DeleteGroupsResponse {
            results: results.collect()
        }))
    })
}
