//! A runtime in miniature for groups of the consumer protocol, and consumers that follow it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use lastword_coordinator::{
    ConsumerHeartbeatReply, ConsumerHeartbeatRequest, DescribedConsumerGroup, GroupConfig,
    GroupError, JoinProtocol, JoinReply, JoinRequest, MetadataView, Reply, Ticket, TopicId,
    TopicView,
};

use crate::harness::{GROUP, Machine, join_request};

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
    /// The last answer was lost or an error, so the next heartbeat tells everything.
    pub tells_all: bool,
}

impl Consumer {
    pub fn new(request: ConsumerHeartbeatRequest) -> Consumer {
        Consumer {
            id: request.member_id.clone(),
            epoch: 0,
            owned: Partitions::new(),
            request,
            tells_all: false,
        }
    }

    pub fn next_request(&self) -> ConsumerHeartbeatRequest {
        if self.epoch == 0 {
            return self.request.clone();
        }
        let rest = if self.tells_all {
            self.request.clone()
        } else {
            beat(&self.id, self.epoch)
        };
        ConsumerHeartbeatRequest {
            member_epoch: self.epoch,
            instance_id: self.request.instance_id.clone(),
            owned: Some(self.owned.clone()),
            ..rest
        }
    }

    /// One heartbeat, and what follows from its answer.
    pub fn beat(&mut self, machine: &mut Machine) -> Option<GroupError> {
        let reply = machine.beat(&self.next_request());
        self.follow(&reply);
        reply.error
    }

    pub fn follow(&mut self, reply: &ConsumerHeartbeatReply) {
        if reply.error.is_some() {
            // Fenced or unknown: it has nothing any more and starts over.
            self.epoch = 0;
            self.owned.clear();
            return;
        }
        self.epoch = reply.member_epoch;
        self.tells_all = false;
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

/// A subscription as classic consumers write it, version 3.
pub fn embedded_subscription(topics: &[&str], owned: &Named) -> Bytes {
    let mut bytes = vec![0, 3];
    put_count(&mut bytes, topics.len());
    topics.iter().for_each(|topic| put_text(&mut bytes, topic));
    bytes.extend_from_slice(&(-1i32).to_be_bytes());
    put_partitions(&mut bytes, owned);
    bytes.extend_from_slice(&(-1i32).to_be_bytes());
    bytes.extend_from_slice(&(-1i16).to_be_bytes());
    Bytes::from(bytes)
}

/// An assignment as a leader writes it.
pub fn embedded_assignment(partitions: &Named, user_data: Option<&[u8]>) -> Bytes {
    let mut bytes = vec![0, 3];
    put_partitions(&mut bytes, partitions);
    match user_data {
        None => bytes.extend_from_slice(&(-1i32).to_be_bytes()),
        Some(data) => {
            put_count(&mut bytes, data.len());
            bytes.extend_from_slice(data);
        }
    }
    Bytes::from(bytes)
}

pub type Named = BTreeMap<String, BTreeSet<i32>>;

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend_from_slice(&(count as i32).to_be_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as i16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn put_partitions(bytes: &mut Vec<u8>, partitions: &Named) {
    put_count(bytes, partitions.len());
    for (topic, partitions) in partitions {
        put_text(bytes, topic);
        put_count(bytes, partitions.len());
        for partition in partitions {
            bytes.extend_from_slice(&partition.to_be_bytes());
        }
    }
}

/// What an assignment says.
pub fn read_embedded_assignment(bytes: &[u8]) -> Named {
    let mut at = 2;
    let int32 = |bytes: &[u8], at: &mut usize| {
        let value = i32::from_be_bytes(bytes[*at..*at + 4].try_into().unwrap());
        *at += 4;
        value
    };
    let mut named = Named::new();
    if bytes.is_empty() {
        return named;
    }
    for _ in 0..int32(bytes, &mut at) {
        let length = usize::from(u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap()));
        let topic = String::from_utf8(bytes[at + 2..at + 2 + length].to_vec()).unwrap();
        at += 2 + length;
        let count = int32(bytes, &mut at);
        named.insert(topic, (0..count).map(|_| int32(bytes, &mut at)).collect());
    }
    named
}

/// A consumer of the classic protocol that leaves assigning to whoever does it.
#[derive(Debug, Clone)]
pub struct ClassicConsumer {
    pub id: String,
    pub instance_id: Option<String>,
    pub generation_id: i32,
    pub topics: Vec<&'static str>,
    pub owned: Named,
    /// Keeps its partitions through a rebalance, as the cooperative protocol does.
    pub is_cooperative: bool,
    parked: Option<Ticket>,
}

impl ClassicConsumer {
    pub fn new(topics: &[&'static str], is_cooperative: bool) -> ClassicConsumer {
        ClassicConsumer {
            id: String::new(),
            instance_id: None,
            generation_id: -1,
            topics: topics.to_vec(),
            owned: Named::new(),
            is_cooperative,
            parked: None,
        }
    }

    pub fn join_request(&self) -> JoinRequest {
        JoinRequest {
            group_instance_id: self.instance_id.clone(),
            protocols: vec![JoinProtocol {
                name: "range".to_owned(),
                metadata: embedded_subscription(&self.topics, &self.owned),
            }],
            ..join_request(&self.id)
        }
    }

    /// Does what its state asks for: takes an answer, sends a heartbeat, or joins.
    pub fn step(&mut self, machine: &mut Machine) {
        if let Some(ticket) = self.parked {
            if let Some(reply) = machine.replies.get(&ticket).cloned() {
                self.parked = None;
                self.joined(machine, reply);
            }
            return;
        }
        if self.generation_id >= 0 {
            let instance_id = self.instance_id.as_deref();
            match machine.heartbeat_as(&self.id, self.generation_id, instance_id) {
                Ok(()) => return,
                Err(GroupError::RebalanceInProgress) => {}
                Err(_) => self.start_over(),
            }
            if !self.is_cooperative {
                self.owned.clear();
            }
        }
        self.parked = Some(machine.join(self.join_request()));
        self.step_if_answered(machine);
    }

    fn step_if_answered(&mut self, machine: &mut Machine) {
        if self.parked.is_some_and(|ticket| !machine.is_parked(ticket)) {
            self.step(machine);
        }
    }

    /// The broker that would have answered is gone.
    pub fn forget_parked(&mut self) {
        self.parked = None;
    }

    pub fn start_over(&mut self) {
        self.id = String::new();
        self.generation_id = -1;
        self.owned.clear();
    }

    fn joined(&mut self, machine: &mut Machine, reply: Reply) {
        let Reply::Join(reply) = reply else {
            return self.synced(machine, reply);
        };
        match reply.error {
            None => {}
            Some(GroupError::MemberIdRequired) => {
                self.id = reply.member_id;
                self.parked = Some(machine.join(self.join_request()));
                return self.step_if_answered(machine);
            }
            Some(GroupError::RebalanceInProgress) => {
                self.id = reply.member_id;
                return;
            }
            Some(_) => return self.start_over(),
        }
        self.id = reply.member_id.clone();
        self.generation_id = reply.generation_id;
        let assignments = self.assign(&reply);
        let assigned: Vec<(&str, Bytes)> = assignments
            .iter()
            .map(|(id, partitions)| (id.as_str(), embedded_assignment(partitions, None)))
            .collect();
        let ticket = machine.sync_bytes(&self.id, self.generation_id, &assigned, |request| {
            request.group_instance_id = self.instance_id.clone();
        });
        self.parked = Some(ticket);
        self.step_if_answered(machine);
    }

    /// A leader gives partition 0 to 3 of each topic to the members in turn.
    fn assign(&self, reply: &JoinReply) -> BTreeMap<String, Named> {
        let mut assignments: BTreeMap<String, Named> = BTreeMap::new();
        let count = reply.members.len();
        for (index, member) in reply.members.iter().enumerate() {
            let named = assignments.entry(member.member_id.clone()).or_default();
            for topic in &self.topics {
                let partitions = (0..4).filter(|each| *each as usize % count == index);
                named.insert((*topic).to_owned(), partitions.collect());
            }
        }
        assignments
    }

    fn synced(&mut self, _machine: &mut Machine, reply: Reply) {
        let Reply::Sync(reply) = reply else {
            panic!("{reply:?}");
        };
        match reply.error {
            None => self.owned = read_embedded_assignment(&reply.assignment),
            Some(GroupError::RebalanceInProgress) => {}
            Some(_) => self.start_over(),
        }
    }
}

/// Every partition that these consumers say they have, with how many have it.
pub fn owners(
    consumers: &[Consumer],
    classic: &[ClassicConsumer],
) -> BTreeMap<(TopicId, i32), usize> {
    let mut owners = BTreeMap::new();
    let of_new = consumers.iter().flat_map(|it| it.owned.clone());
    let of_old = classic.iter().flat_map(|it| it.owned.clone());
    let of_old = of_old.map(|(name, partitions)| (topic_id(&name), partitions));
    for (topic, partitions) in of_new.chain(of_old) {
        for partition in partitions {
            *owners.entry((topic, partition)).or_default() += 1;
        }
    }
    owners
}
