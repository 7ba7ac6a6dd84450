//! `lastword group describe GROUP`
//!
//! The headings of kafka-consumer-groups, and TRUE-LAG beside LAG: the records that really exist from the committed offset
//! to the end. In a compacted topic that is what a consumer has still to read; the offsets between are more.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::groups::{self, DescribedGroup};
use crate::client::offsets::{LATEST, list_offsets};
use crate::client::{Client, ClientArgs};
use crate::error::Result;
use crate::output::{self, OutputFormat, count};
use crate::true_counts::TrueCountArgs;

#[derive(clap::Args)]
pub struct Args {
    /// Ids
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputFormat,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    true_counts: TrueCountArgs,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    group: String,
    state: String,
    r#type: &'static str,
    assignor: String,
    members: Vec<Member>,
    /// Summed over the partitions below.
    lag: i64,
    true_lag: Option<u64>,
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
struct Member {
    member_id: String,
    instance_id: Option<String>,
    client_id: String,
    host: String,
    partitions: usize,
}

#[derive(Serialize)]
struct Partition {
    topic: String,
    partition: i32,
    /// Null when nothing is committed.
    current_offset: Option<i64>,
    /// Null when the partition is gone.
    log_end_offset: Option<i64>,
    lag: Option<i64>,
    /// Records that exist; null when the broker's HTTP address is not there.
    true_lag: Option<u64>,
    member_id: Option<String>,
    host: Option<String>,
    client_id: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let mut client = Client::connect(&args.client)?;
    let mut described = Vec::new();
    for id in &args.groups {
        described.push((id, groups::describe(&mut client, id)?));
    }
    let is_quiet = args.format == OutputFormat::Json;
    let counts = args.true_counts.find(&mut client, is_quiet)?;
    let mut groups = Vec::new();
    for (id, group) in described {
        let mut true_lags = BTreeMap::new();
        if let Some(counts) = &counts {
            for offset in counts.group(id)?.offsets {
                true_lags.insert((offset.topic, offset.partition), offset.true_lag);
            }
        }
        groups.push(document(&mut client, id, group, &true_lags)?);
    }
    if args.format == OutputFormat::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            groups,
        });
    }
    let texts: Vec<String> = groups.iter().map(text).collect();
    output::text(&texts.join("\n"))
}

fn document(
    client: &mut Client,
    id: &str,
    group: DescribedGroup,
    true_lags: &BTreeMap<(String, i32), Option<u64>>,
) -> Result<Group> {
    let committed = groups::committed(client, id)?;
    let mut keys: BTreeSet<(String, i32)> = committed.keys().cloned().collect();
    for member in &group.members {
        for (topic, partitions) in &member.assignment {
            keys.extend(
                partitions
                    .iter()
                    .map(|partition| (topic.clone(), *partition)),
            );
        }
    }
    let ends = ends(client, &keys)?;
    let mut partitions = Vec::new();
    for (topic, partition) in keys {
        let key = (topic, partition);
        let current_offset = committed.get(&key).copied();
        let log_end_offset = ends.get(&key).copied();
        let owns = |it: &&groups::Member| {
            let mut assigned = it.assignment.iter();
            assigned.any(|(topic, partitions)| *topic == key.0 && partitions.contains(&partition))
        };
        let member = group.members.iter().find(owns);
        partitions.push(Partition {
            current_offset,
            log_end_offset,
            lag: match (current_offset, log_end_offset) {
                (Some(current), Some(end)) => Some(end.saturating_sub(current).max(0)),
                _ => None,
            },
            true_lag: true_lags.get(&key).copied().flatten(),
            member_id: member.map(|it| it.id.clone()),
            host: member.map(|it| it.host.clone()),
            client_id: member.map(|it| it.client_id.clone()),
            topic: key.0,
            partition,
        });
    }
    let counted = partitions.iter().filter(|it| it.lag.is_some());
    let true_lag = match true_lags.is_empty() && !committed.is_empty() {
        true => None,
        false => counted.map(|it| it.true_lag).sum(),
    };
    let members = group.members.into_iter().map(|member| Member {
        partitions: member.assignment.iter().map(|(_, it)| it.len()).sum(),
        member_id: member.id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        host: member.host,
    });
    Ok(Group {
        group: id.to_owned(),
        state: group.state,
        r#type: group.kind,
        assignor: group.assignor,
        members: members.collect(),
        lag: partitions.iter().filter_map(|it| it.lag).sum(),
        true_lag,
        partitions,
    })
}

/// Where partitions end; those that are gone have no end.
pub(super) fn ends(
    client: &mut Client,
    keys: &BTreeSet<(String, i32)>,
) -> Result<BTreeMap<(String, i32), i64>> {
    let mut ends = BTreeMap::new();
    for topic in client.topics()? {
        let wanted = keys.iter().filter(|(name, _)| *name == topic.name);
        let wanted = wanted.map(|(_, partition)| *partition);
        let is_there = |it: &i32| topic.partitions.iter().any(|known| known.index == *it);
        let wanted: Vec<i32> = wanted.filter(is_there).collect();
        if wanted.is_empty() {
            continue;
        }
        for (partition, end) in list_offsets(client, &topic, &wanted, LATEST, false)? {
            ends.insert((topic.name.clone(), partition), end);
        }
    }
    Ok(ends)
}

fn text(group: &Group) -> String {
    fn number(number: Option<impl ToString>) -> String {
        number.map_or_else(|| "-".to_owned(), |number| number.to_string())
    }
    let mut text = format!(
        "GROUP     {}\nSTATE     {}\nTYPE      {}\nMEMBERS   {}\nLAG       {}\nTRUE-LAG  {}\n",
        group.group,
        group.state,
        group.r#type,
        group.members.len(),
        group.lag,
        number(group.true_lag),
    );
    if group.partitions.is_empty() {
        text.push_str(&format!(
            "nothing is committed by {}\n",
            count(group.members.len(), "member")
        ));
        return text;
    }
    let text_of = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = group
        .partitions
        .iter()
        .map(|it| {
            vec![
                group.group.clone(),
                it.topic.clone(),
                it.partition.to_string(),
                number(it.current_offset),
                number(it.log_end_offset),
                number(it.lag),
                number(it.true_lag),
                text_of(&it.member_id),
                text_of(&it.host),
                text_of(&it.client_id),
            ]
        })
        .collect();
    let header = [
        "GROUP",
        "TOPIC",
        "PARTITION",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "TRUE-LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ];
    text.push('\n');
    text.push_str(&output::table(&header, &rows));
    text
}
