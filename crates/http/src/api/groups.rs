//! Consumer groups, with the lag of each committed offset.

use axum::Json;
use axum::routing::get;
use lastword_broker::Broker;
use lastword_broker::coordinator::group_view::{self, GroupSummary, GroupView};
use lastword_broker::partition::CountBudget;
use serde::Serialize;

use super::counts::{COUNTS, CountsQuery, records_from};
use crate::endpoint::Endpoint;
use crate::error::HttpError;
use crate::extract::{Param, Query, Running, blocking};

/// Groups of a list whose members and lag are looked up.
const MAX_DESCRIBED: usize = 1_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint {
            query: &[COUNTS],
            ..Endpoint::get(
                "/v1/groups",
                "Every group by id, with its state; the first 1000 with their members and lag.",
                get(list),
            )
        },
        Endpoint {
            query: &[COUNTS],
            ..Endpoint::get(
                "/v1/groups/{group}",
                "One group: members, committed offsets, and of each the lag and the records that are really left.",
                get(one),
            )
        },
    ]
}

#[derive(Serialize)]
struct List {
    groups: Vec<Listed>,
}

#[derive(Serialize)]
struct Summary {
    group: String,
    state: &'static str,
    r#type: &'static str,
    protocol_type: String,
}

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    summary: Summary,
    members: Option<usize>,
    lag: Option<i64>,
    true_lag: Option<u64>,
}

#[derive(Serialize)]
struct Group {
    #[serde(flatten)]
    summary: Summary,
    epoch: i32,
    assignor: String,
    members: Vec<Member>,
    offsets: Vec<Offset>,
    /// Summed over the offsets below; of those whose partition is there.
    lag: i64,
    /// Records that exist among them; null while they are being counted.
    true_lag: Option<u64>,
}

#[derive(Serialize)]
struct Member {
    member_id: String,
    instance_id: Option<String>,
    client_id: String,
    client_host: String,
    /// Null for members of the classic protocol, whose assignments are bytes of their own.
    assignment: Option<Vec<Assignment>>,
}

#[derive(Serialize)]
struct Assignment {
    topic: String,
    partitions: Vec<i32>,
}

#[derive(Serialize)]
struct Offset {
    topic: String,
    partition: i32,
    committed_offset: i64,
    /// HighWatermark; null when the partition is gone.
    end_offset: Option<i64>,
    lag: Option<i64>,
    /// Records that exist from the committed offset to the end; null when the partition is gone, or while they are being
    /// counted.
    true_lag: Option<u64>,
}

async fn list(
    Running(broker): Running,
    Query(query): Query<CountsQuery>,
) -> Result<Json<List>, HttpError> {
    blocking(move || {
        let budget = query.counts.budget();
        let listed = group_view::list(&broker)?;
        let groups = listed.into_iter().zip(0..).map(|(group, number)| {
            let view = match number < MAX_DESCRIBED {
                true => group_view::describe(&broker, &group.group_id).ok(),
                false => None,
            };
            let view = view.map(|view| document(&broker, view, budget));
            Listed {
                summary: summary(group),
                members: view.as_ref().map(|view| view.members.len()),
                lag: view.as_ref().map(|view| view.lag),
                true_lag: view.as_ref().and_then(|view| view.true_lag),
            }
        });
        let groups = groups.collect();
        Ok(Json(List { groups }))
    })
    .await?
}

async fn one(
    Running(broker): Running,
    Param(group): Param<String>,
    Query(query): Query<CountsQuery>,
) -> Result<Json<Group>, HttpError> {
    blocking(move || {
        let budget = query.counts.budget();
        let view = group_view::describe(&broker, &group)?;
        Ok(Json(document(&broker, view, budget)))
    })
    .await?
}

fn summary(group: GroupSummary) -> Summary {
    Summary {
        group: group.group_id,
        state: group.state,
        r#type: group.group_type,
        protocol_type: group.protocol_type,
    }
}

fn document(broker: &Broker, view: GroupView, budget: CountBudget) -> Group {
    let members = view.members.into_iter().map(|member| Member {
        member_id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        assignment: member.assignment.map(|topics| {
            let named = |(topic, partitions)| Assignment { topic, partitions };
            topics.into_iter().map(named).collect()
        }),
    });
    let lag = view.offsets.iter().filter_map(|each| each.lag());
    let lag = lag.fold(0, i64::saturating_add);
    let offsets = view.offsets.into_iter().map(|each| Offset {
        lag: each.lag(),
        true_lag: records_from(broker, &each, budget),
        topic: each.topic,
        partition: each.partition,
        committed_offset: each.offset,
        end_offset: each.end_offset,
    });
    let offsets: Vec<Offset> = offsets.collect();
    let there = offsets.iter().filter(|each| each.lag.is_some());
    Group {
        true_lag: there.map(|each| each.true_lag).sum(),
        summary: summary(view.summary),
        epoch: view.epoch,
        assignor: view.assignor,
        members: members.collect(),
        offsets,
        lag,
    }
}
