//! `uniform` when subscriptions differ: each partition goes to the least loaded of its subscribers,
//! and then partitions move from the most to the least loaded subscriber of a topic, as long as
//! that makes the two more equal.
//!
//! What it ends with: no single move makes two members more equal, or 16 rounds are over. What a
//! member has of a topic it still subscribes to moves for balance only.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::AssignorInput;
use crate::group::consumer::record::Partitions;
use crate::group::consumer::topics::TopicId;

const MAX_ROUNDS: usize = 16;

struct Topic {
    id: TopicId,
    partition_count: i32,
    /// Indexes of members, ascending.
    subscribers: Vec<usize>,
}

struct Work {
    targets: Vec<Partitions>,
    /// Partitions of each member over all topics.
    loads: Vec<usize>,
}

pub(super) fn assign(input: &AssignorInput) -> Vec<Partitions> {
    let topics = topics_in_order(input);
    let mut work = keep_subscribed(input);
    for topic in &topics {
        let assigned: BTreeSet<i32> = work
            .targets
            .iter()
            .filter_map(|target| target.get(&topic.id))
            .flatten()
            .copied()
            .collect();
        for partition in (0..topic.partition_count).filter(|each| !assigned.contains(each)) {
            if let Some(member) = work.least_loaded(topic) {
                work.give(topic.id, partition, member);
            }
        }
    }
    for _ in 0..MAX_ROUNDS {
        let moved: usize = topics.iter().map(|topic| work.balance(topic)).sum();
        if moved == 0 {
            break;
        }
    }
    work.targets
}

/// The topics with the most partitions a subscriber first, for they leave the least choice.
fn topics_in_order(input: &AssignorInput) -> Vec<Topic> {
    let mut subscribers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for (index, member) in input.members.iter().enumerate() {
        for topic in &member.topics {
            subscribers.entry(*topic).or_default().push(index);
        }
    }
    let mut topics: Vec<Topic> = subscribers
        .into_iter()
        .map(|(id, subscribers)| Topic {
            id,
            partition_count: input.partition_count(id),
            subscribers,
        })
        .collect();
    topics.sort_by(compare);
    topics
}

fn compare(left: &Topic, right: &Topic) -> Ordering {
    // left.count / left.subscribers against right's, without dividing.
    let weight = |topic: &Topic, other: &Topic| {
        i64::from(topic.partition_count) * other.subscribers.len() as i64
    };
    weight(right, left)
        .cmp(&weight(left, right))
        .then(left.subscribers.len().cmp(&right.subscribers.len()))
        .then(left.id.cmp(&right.id))
}

/// What members keep: partitions that exist, of topics they subscribe to, each once.
fn keep_subscribed(input: &AssignorInput) -> Work {
    let mut taken: BTreeSet<(TopicId, i32)> = BTreeSet::new();
    let mut targets = Vec::with_capacity(input.members.len());
    for member in &input.members {
        let mut target = Partitions::new();
        for (topic, partitions) in member.target.iter() {
            if !member.topics.contains(topic) {
                continue;
            }
            let exists = 0..input.partition_count(*topic);
            let kept: BTreeSet<i32> = partitions
                .iter()
                .copied()
                .filter(|each| exists.contains(each) && taken.insert((*topic, *each)))
                .collect();
            if !kept.is_empty() {
                target.insert(*topic, kept);
            }
        }
        targets.push(target);
    }
    let loads = targets
        .iter()
        .map(|target| target.values().map(BTreeSet::len).sum())
        .collect();
    Work { targets, loads }
}

impl Work {
    fn least_loaded(&self, topic: &Topic) -> Option<usize> {
        let subscribers = topic.subscribers.iter().copied();
        subscribers.min_by_key(|member| self.loads[*member])
    }

    /// The most loaded subscriber that has a partition of the topic to give up.
    fn most_loaded(&self, topic: &Topic) -> Option<usize> {
        let subscribers = topic.subscribers.iter().copied();
        subscribers
            .filter(|member| self.targets[*member].contains_key(&topic.id))
            .max_by_key(|member| self.loads[*member])
    }

    fn give(&mut self, topic: TopicId, partition: i32, member: usize) {
        self.targets[member]
            .entry(topic)
            .or_default()
            .insert(partition);
        self.loads[member] += 1;
    }

    /// Takes the last partition of a topic from a member.
    fn take(&mut self, topic: TopicId, member: usize) -> Option<i32> {
        let partitions = self.targets[member].get_mut(&topic)?;
        let partition = partitions.pop_last()?;
        if partitions.is_empty() {
            self.targets[member].remove(&topic);
        }
        self.loads[member] -= 1;
        Some(partition)
    }

    /// Makes the subscribers of one topic more equal; returns how many partitions moved.
    fn balance(&mut self, topic: &Topic) -> usize {
        let mut moved = 0;
        while let Some(from) = self.most_loaded(topic)
            && let Some(to) = self.least_loaded(topic)
            && self.loads[from] > self.loads[to] + 1
            && let Some(partition) = self.take(topic.id, from)
        {
            self.give(topic.id, partition, to);
            moved += 1;
        }
        moved
    }
}
