//! A runtime in miniature for groups of the consumer protocol, and consumers that follow it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lastword_coordinator::{
    ConsumerHeartbeatReply, ConsumerHeartbeatRequest, DescribedConsumerGroup, GroupConfig,
    GroupError, MetadataView, Reply, Ticket, TopicId, TopicView,
};

use crate::harness::{GROUP, Machine};

pub type Partitions = BTreeMap<TopicId, BTreeSet<i32>>;

pub fn topic_id(name: &str) -> TopicId {
    let mut id = [0; 16];
    id[..name.len()].copy_from_slice(name.as_bytes());
    TopicId(id)
}

/// A view of topics with these numbers of partitions.
pub fn view(version: i64, topics: &[(&str, i32)]) -> Arc<MetadataView> {
    let topics = topics.iter().map(|(name, partition_count)| TopicView {
        name: Arc::from(*name),
        id: topic_id(name),
        partition_count: *partition_count,
    });
    Arc::new(MetadataView::new(version, topics, None, BTreeMap::new()))
}

pub fn partitions(topics: &[(&str, &[i32])]) -> Partitions {
    topics
        .iter()
        .map(|(name, partitions)| (topic_id(name), partitions.iter().copied().collect()))
        .collect()
}

/// Assigns at each change, so that tests need not wait.
pub fn eager() -> GroupConfig {
    GroupConfig {
        consumer_assignment_interval_ms: 0,
        ..GroupConfig::default()
    }
}

/// A heartbeat that says nothing new.
pub fn beat(member_id: &str, member_epoch: i32) -> ConsumerHeartbeatRequest {
    ConsumerHeartbeatRequest {
        group_id: GROUP.to_owned(),
        member_id: member_id.to_owned(),
        member_epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: -1,
        topic_names: None,
        topic_regex: None,
        server_assignor: None,
        owned: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        api_version: 1,
        uuid: "uuid".to_owned(),
    }
}

/// The first heartbeat of a member.
pub fn joining(member_id: &str, topics: &[&str]) -> ConsumerHeartbeatRequest {
    ConsumerHeartbeatRequest {
        rebalance_timeout_ms: 60_000,
        topic_names: Some(topics.iter().map(|name| (*name).to_owned()).collect()),
        owned: Some(Partitions::new()),
        ..beat(member_id, 0)
    }
}

impl Machine {
    /// A machine that knows these topics.
    pub fn with_topics(topics: &[(&str, i32)]) -> Machine {
        let mut machine = Machine::with_config(eager());
        machine.coordinator.metadata_changed(view(1, topics));
        machine
    }

    pub fn consumer_heartbeat(&mut self, request: &ConsumerHeartbeatRequest) -> Ticket {
        let ticket = self.ticket();
        let now_ms = self.now_ms;
        let outcome = self.coordinator.consumer_heartbeat(request, ticket, now_ms);
        self.take(outcome);
        ticket
    }

    pub fn consumer_reply(&self, ticket: Ticket) -> ConsumerHeartbeatReply {
        match self.replies.get(&ticket) {
            Some(Reply::ConsumerHeartbeat(reply)) => reply.clone(),
            other => panic!("heartbeat was answered with {other:?}"),
        }
    }

    /// A heartbeat and its answer.
    pub fn beat(&mut self, request: &ConsumerHeartbeatRequest) -> ConsumerHeartbeatReply {
        let ticket = self.consumer_heartbeat(request);
        self.consumer_reply(ticket)
    }

    pub fn beat_error(&mut self, request: &ConsumerHeartbeatRequest) -> Option<GroupError> {
        self.beat(request).error
    }

    pub fn consumer_group(&self) -> DescribedConsumerGroup {
        self.coordinator.describe_consumer(GROUP).unwrap()
    }
}

/// A consumer as the Java client is one: it gives up what it is told to, and says so.
#[derive(Debug, Clone)]
pub struct Consumer {
    pub id: String,
    pub epoch: i32,
    pub owned: Partitions,
    pub request: ConsumerHeartbeatRequest,
}

impl Consumer {
    pub fn new(request: ConsumerHeartbeatRequest) -> Consumer {
        Consumer {
            id: request.member_id.clone(),
            epoch: 0,
            owned: Partitions::new(),
            request,
        }
    }

    pub fn next_request(&self) -> ConsumerHeartbeatRequest {
        if self.epoch == 0 {
            return self.request.clone();
        }
        ConsumerHeartbeatRequest {
            instance_id: self.request.instance_id.clone(),
            owned: Some(self.owned.clone()),
            ..beat(&self.id, self.epoch)
        }
    }

    /// One heartbeat, and what follows from its answer.
    pub fn beat(&mut self, machine: &mut Machine) {
        let reply = machine.beat(&self.next_request());
        self.follow(&reply);
    }

    pub fn follow(&mut self, reply: &ConsumerHeartbeatReply) {
        if reply.error.is_some() {
            // Fenced or unknown: it has nothing any more and starts over.
            self.epoch = 0;
            self.owned.clear();
            return;
        }
        self.epoch = reply.member_epoch;
        if let Some(assignment) = &reply.assignment {
            self.owned = assignment.clone();
        }
    }
}

/// Lets all consumers send heartbeats until nothing moves any more.
pub fn settle(machine: &mut Machine, consumers: &mut [Consumer]) {
    for _ in 0..50 {
        let before: Vec<_> = consumers
            .iter()
            .map(|it| (it.epoch, it.owned.clone()))
            .collect();
        for consumer in consumers.iter_mut() {
            consumer.beat(machine);
        }
        let after = consumers.iter().map(|it| (it.epoch, it.owned.clone()));
        if before.into_iter().eq(after) {
            return;
        }
    }
    panic!("the group does not settle: {:#?}", machine.consumer_group());
}
