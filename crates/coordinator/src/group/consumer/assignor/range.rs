//! `range`: members in order, static ones by instance id first, get consecutive partitions of each
//! topic; the first members get one more when they do not divide. Not sticky.

use std::collections::BTreeMap;

use super::{AssignorInput, AssignorMember};
use crate::group::consumer::record::Partitions;
use crate::group::consumer::topics::TopicId;

struct Ranges {
    partition_count: i32,
    /// What every subscriber gets at least.
    quota: i32,
    /// How many more get one more.
    extra: i32,
    next: i32,
}

pub(super) fn assign(input: &AssignorInput) -> Vec<Partitions> {
    let mut subscribers: BTreeMap<TopicId, i32> = BTreeMap::new();
    for topic in input.members.iter().flat_map(|member| &member.topics) {
        *subscribers.entry(*topic).or_default() += 1;
    }
    let mut topics: BTreeMap<TopicId, Ranges> = subscribers
        .into_iter()
        .map(|(topic, subscribers)| {
            let partition_count = input.partition_count(topic);
            let ranges = Ranges {
                partition_count,
                quota: partition_count / subscribers,
                extra: partition_count % subscribers,
                next: 0,
            };
            (topic, ranges)
        })
        .collect();
    let mut order: Vec<usize> = (0..input.members.len()).collect();
    order.sort_by_key(|index| rank(&input.members[*index]));
    let mut targets = vec![Partitions::new(); input.members.len()];
    for index in order {
        for topic in &input.members[index].topics {
            let Some(ranges) = topics.get_mut(topic) else {
                continue;
            };
            let count = ranges.quota + ranges.extra.min(1);
            ranges.extra = (ranges.extra - 1).max(0);
            let end = (ranges.next + count).min(ranges.partition_count);
            if ranges.next < end {
                targets[index].insert(*topic, (ranges.next..end).collect());
            }
            ranges.next = end;
        }
    }
    targets
}

/// Static members keep their place when they come back with another member id.
fn rank(member: &AssignorMember) -> (bool, &str) {
    match &member.instance_id {
        Some(instance_id) => (false, instance_id),
        None => (true, &member.id),
    }
}
