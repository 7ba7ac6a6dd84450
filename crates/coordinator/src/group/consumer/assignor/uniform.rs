//! `uniform` when all members subscribe to the same topics: numbers of partitions differ by at most
//! one, and no partition moves unless balance asks for it.

use std::collections::BTreeSet;

use super::AssignorInput;
use crate::group::consumer::record::Partitions;
use crate::group::consumer::topics::TopicId;

pub(super) fn assign(input: &AssignorInput) -> Vec<Partitions> {
    let member_count = input.members.len();
    let Some(first) = input.members.first() else {
        return Vec::new();
    };
    let mut unassigned: BTreeSet<(TopicId, i32)> = first
        .topics
        .iter()
        .flat_map(|topic| (0..input.partition_count(*topic)).map(|partition| (*topic, partition)))
        .collect();
    let quota = unassigned.len() / member_count;
    // This many members get one partition more.
    let mut extra = unassigned.len() % member_count;
    let mut targets: Vec<Partitions> = input
        .members
        .iter()
        .map(|member| {
            let keep = quota + extra.min(1);
            let (kept, count) = keep_some(&member.target, keep, &mut unassigned);
            if count > quota {
                extra -= 1;
            }
            kept
        })
        .collect();
    let mut free = unassigned.into_iter();
    for target in &mut targets {
        let mut count: usize = target.values().map(BTreeSet::len).sum();
        let mut wanted = quota;
        if count <= quota && extra > 0 {
            extra -= 1;
            wanted += 1;
        }
        while count < wanted {
            let Some((topic, partition)) = free.next() else {
                break;
            };
            target.entry(topic).or_default().insert(partition);
            count += 1;
        }
    }
    targets
}

/// Keeps up to `keep` of the partitions of a target that are still there to be assigned.
fn keep_some(
    target: &Partitions,
    keep: usize,
    unassigned: &mut BTreeSet<(TopicId, i32)>,
) -> (Partitions, usize) {
    let mut kept = Partitions::new();
    let mut count = 0;
    for (topic, partitions) in target {
        for partition in partitions {
            if count < keep && unassigned.remove(&(*topic, *partition)) {
                kept.entry(*topic).or_default().insert(*partition);
                count += 1;
            }
        }
    }
    (kept, count)
}
