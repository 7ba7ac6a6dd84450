//! Consumer groups, with the lag of each committed offset.

use axum::Json;
use axum::routing::get;
use lastword_broker::coordinator::group_view::{self, GroupSummary, GroupView};
use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::error::HttpError;
use crate::extract::{Param, Running, blocking};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(
            "/v1/groups",
            "Every group by id, with its state.",
            get(list),
        ),
        Endpoint::get(
            "/v1/groups/{group}",
            "One group: members, committed offsets, and the lag of each.",
            get(one),
        ),
    ]
}

#[derive(Serialize)]
struct List {
    groups: Vec<Summary>,
}

#[derive(Serialize)]
struct Summary {
    group: String,
    state: &'static str,
    r#type: &'static str,
    protocol_type: String,
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
}

async fn list(Running(broker): Running) -> Result<Json<List>, HttpError> {
    let listed = blocking(move || group_view::list(&broker)).await??;
    let groups = listed.into_iter().map(summary).collect();
    Ok(Json(List { groups }))
}

async fn one(
    Running(broker): Running,
    Param(group): Param<String>,
) -> Result<Json<Group>, HttpError> {
    let described = blocking(move || group_view::describe(&broker, &group)).await??;
    Ok(Json(document(described)))
}

fn summary(group: GroupSummary) -> Summary {
    Summary {
        group: group.group_id,
        state: group.state,
        r#type: group.group_type,
        protocol_type: group.protocol_type,
    }
}

fn document(view: GroupView) -> Group {
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
        topic: each.topic,
        partition: each.partition,
        committed_offset: each.offset,
        end_offset: each.end_offset,
    });
    Group {
        summary: summary(view.summary),
        epoch: view.epoch,
        assignor: view.assignor,
        members: members.collect(),
        offsets: offsets.collect(),
        lag,
    }
}
