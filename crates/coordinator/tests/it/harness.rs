//! A runtime in miniature: it keeps the log, reports appends, and collects replies by ticket.

use std::collections::BTreeMap;

use bytes::Bytes;
use lastword_coordinator::{
    Append, AppendError, CommitPartition, CommitRequest, CommitTopic, CoordinatorRecord,
    DescribedGroup, FetchedTopic, GroupConfig, GroupCoordinator, GroupError, GroupState,
    HeartbeatRequest, JoinProtocol, JoinReply, JoinRequest, LeaveMember, LeaveReply, LeaveRequest,
    Outcome, Reply, SyncAssignment, SyncReply, SyncRequest, Ticket, TopicPartitions,
};

pub const GROUP: &str = "orders-app";

pub struct Machine {
    pub coordinator: GroupCoordinator,
    pub now_ms: i64,
    pub log: Vec<CoordinatorRecord>,
    pub replies: BTreeMap<Ticket, Reply>,
    /// Appends that wait to be reported, while `hold` is set.
    pub held: Vec<Append>,
    pub hold: bool,
    tickets: u64,
    uuids: u64,
}

pub fn config() -> GroupConfig {
    GroupConfig {
        group_initial_rebalance_delay_ms: 3_000,
        ..GroupConfig::default()
    }
}

/// The subscription of a consumer, version 1 with empty user data and no owned partitions.
pub fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend_from_slice(&(topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend_from_slice(&(topic.len() as i16).to_be_bytes());
        bytes.extend_from_slice(topic.as_bytes());
    }
    bytes.extend_from_slice(&(-1i32).to_be_bytes());
    bytes.extend_from_slice(&0i32.to_be_bytes());
    Bytes::from(bytes)
}

pub fn protocols(names: &[&str]) -> Vec<JoinProtocol> {
    names
        .iter()
        .map(|name| JoinProtocol {
            name: (*name).to_owned(),
            metadata: subscription(&["orders"]),
        })
        .collect()
}

pub fn join_request(member_id: &str) -> JoinRequest {
    JoinRequest {
        group_id: GROUP.to_owned(),
        member_id: member_id.to_owned(),
        group_instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: protocols(&["range"]),
        reason: None,
        api_version: 9,
        uuid: String::new(),
    }
}

pub fn static_request(instance_id: &str) -> JoinRequest {
    JoinRequest {
        group_instance_id: Some(instance_id.to_owned()),
        ..join_request("")
    }
}

pub fn commit_request(member_id: &str, generation_id: i32, offset: i64) -> CommitRequest {
    CommitRequest {
        group_id: GROUP.to_owned(),
        generation_id,
        member_id: member_id.to_owned(),
        group_instance_id: None,
        retention_time_ms: -1,
        topics: vec![CommitTopic {
            name: "orders".to_owned(),
            partitions: vec![CommitPartition {
                partition: 0,
                offset,
                leader_epoch: 4,
                metadata: Some("note".to_owned()),
            }],
        }],
        api_version: 9,
    }
}

pub fn partitions(name: &str, partitions: &[i32]) -> TopicPartitions {
    TopicPartitions {
        name: name.to_owned(),
        partitions: partitions.to_vec(),
    }
}

impl Machine {
    pub fn new() -> Self {
        Self::with_config(config())
    }

    pub fn with_config(config: GroupConfig) -> Self {
        let mut machine = Self::unloaded(config);
        let outcome = machine.coordinator.loaded(machine.now_ms);
        machine.take(outcome);
        machine
    }

    pub fn unloaded(config: GroupConfig) -> Self {
        Self {
            coordinator: GroupCoordinator::new(config),
            now_ms: 1_000_000,
            log: Vec::new(),
            replies: BTreeMap::new(),
            held: Vec::new(),
            hold: false,
            tickets: 0,
            uuids: 0,
        }
    }

    /// Another machine that has loaded this one's log.
    pub fn reloaded(&self, config: GroupConfig) -> Self {
        let mut machine = Self::unloaded(config);
        machine.now_ms = self.now_ms;
        machine.log = self.log.clone();
        machine.uuids = self.uuids;
        for record in &self.log {
            machine
                .coordinator
                .replay(&record.key, record.value.as_deref())
                .unwrap();
        }
        let outcome = machine.coordinator.loaded(machine.now_ms);
        machine.take(outcome);
        machine
    }

    pub fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub fn take(&mut self, outcome: Outcome) {
        for (ticket, reply) in outcome.replies {
            let repeated = self.replies.insert(ticket, reply);
            assert!(repeated.is_none(), "{ticket:?} was answered twice");
        }
        for append in outcome.appends {
            self.held.push(append);
        }
        if !self.hold {
            self.release(Ok(()));
        }
    }

    /// Reports all held appends, in order.
    pub fn release(&mut self, result: Result<(), AppendError>) {
        for append in std::mem::take(&mut self.held) {
            if result.is_ok() {
                self.log.extend(append.records);
            }
            let outcome = self.coordinator.appended(append.id, result, self.now_ms);
            self.take(outcome);
        }
    }

    /// Lets time pass, stopping at every deadline on the way.
    pub fn advance(&mut self, duration_ms: i64) {
        let end_ms = self.now_ms + duration_ms;
        while let Some(deadline_ms) = self.coordinator.next_deadline_ms() {
            if deadline_ms > end_ms {
                break;
            }
            self.now_ms = self.now_ms.max(deadline_ms);
            let outcome = self.coordinator.tick(self.now_ms);
            self.take(outcome);
        }
        self.now_ms = end_ms;
    }

    /// Lets just so much time pass that the next generation starts.
    pub fn end_join_phase(&mut self) {
        while self.state() == GroupState::PreparingRebalance {
            let deadline_ms = self.coordinator.next_deadline_ms().unwrap();
            self.advance((deadline_ms - self.now_ms).max(0));
        }
    }

    pub fn join(&mut self, mut request: JoinRequest) -> Ticket {
        self.uuids += 1;
        request.uuid = format!("uuid{}", self.uuids);
        let ticket = self.ticket();
        let outcome = self.coordinator.join(request, ticket, self.now_ms);
        self.take(outcome);
        ticket
    }

    /// The two joins of a dynamic member; returns its id and the parked one.
    pub fn join_dynamic(&mut self, request: JoinRequest) -> (String, Ticket) {
        let first = self.join(request.clone());
        let reply = self.join_reply(first);
        assert_eq!(reply.error, Some(GroupError::MemberIdRequired));
        let member_id = reply.member_id;
        let ticket = self.join(JoinRequest {
            member_id: member_id.clone(),
            ..request
        });
        (member_id, ticket)
    }

    pub fn sync(
        &mut self,
        member_id: &str,
        generation_id: i32,
        assigned: &[(&str, &str)],
    ) -> Ticket {
        self.sync_with(member_id, generation_id, assigned, |_| {})
    }

    pub fn sync_with(
        &mut self,
        member_id: &str,
        generation_id: i32,
        assigned: &[(&str, &str)],
        change: impl FnOnce(&mut SyncRequest),
    ) -> Ticket {
        let assigned: Vec<(&str, Bytes)> = assigned
            .iter()
            .map(|(member_id, text)| (*member_id, Bytes::copy_from_slice(text.as_bytes())))
            .collect();
        self.sync_bytes(member_id, generation_id, &assigned, change)
    }

    pub fn sync_bytes(
        &mut self,
        member_id: &str,
        generation_id: i32,
        assigned: &[(&str, Bytes)],
        change: impl FnOnce(&mut SyncRequest),
    ) -> Ticket {
        let assign = |(member_id, assignment): &(&str, Bytes)| SyncAssignment {
            member_id: (*member_id).to_owned(),
            assignment: assignment.clone(),
        };
        let mut request = SyncRequest {
            group_id: GROUP.to_owned(),
            generation_id,
            member_id: member_id.to_owned(),
            group_instance_id: None,
            protocol_type: Some("consumer".to_owned()),
            protocol_name: Some("range".to_owned()),
            assignments: assigned.iter().map(assign).collect(),
            api_version: 5,
        };
        change(&mut request);
        let ticket = self.ticket();
        let outcome = self.coordinator.sync(request, ticket, self.now_ms);
        self.take(outcome);
        ticket
    }

    pub fn heartbeat(&mut self, member_id: &str, generation_id: i32) -> Result<(), GroupError> {
        self.heartbeat_as(member_id, generation_id, None)
    }

    pub fn heartbeat_as(
        &mut self,
        member_id: &str,
        generation_id: i32,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        let request = HeartbeatRequest {
            group_id: GROUP.to_owned(),
            generation_id,
            member_id: member_id.to_owned(),
            group_instance_id: instance_id.map(str::to_owned),
        };
        self.coordinator.heartbeat(&request, self.now_ms)
    }

    pub fn leave(&mut self, members: &[(&str, Option<&str>)]) -> LeaveReply {
        let request = LeaveRequest {
            group_id: GROUP.to_owned(),
            members: members
                .iter()
                .map(|(member_id, instance_id)| LeaveMember {
                    member_id: (*member_id).to_owned(),
                    group_instance_id: instance_id.map(str::to_owned),
                    reason: None,
                })
                .collect(),
        };
        let ticket = self.ticket();
        let outcome = self.coordinator.leave(request, ticket, self.now_ms);
        self.take(outcome);
        match self.replies.get(&ticket) {
            Some(Reply::Leave(reply)) => reply.clone(),
            other => panic!("leave was answered with {other:?}"),
        }
    }

    pub fn commit(&mut self, request: CommitRequest) -> Ticket {
        let ticket = self.ticket();
        let outcome = self
            .coordinator
            .commit_offsets(request, ticket, self.now_ms);
        self.take(outcome);
        ticket
    }

    /// The error of the only partition that was committed.
    pub fn commit_error(&self, ticket: Ticket) -> Option<GroupError> {
        match self.replies.get(&ticket) {
            Some(Reply::Commit(reply)) => reply.topics[0].partitions[0].error,
            other => panic!("commit was answered with {other:?}"),
        }
    }

    pub fn delete_offsets(&mut self, topics: Vec<TopicPartitions>) -> Ticket {
        let ticket = self.ticket();
        let outcome = self
            .coordinator
            .delete_offsets(GROUP, topics, ticket, self.now_ms);
        self.take(outcome);
        ticket
    }

    pub fn delete_groups(&mut self, group_ids: &[&str]) -> Ticket {
        let ticket = self.ticket();
        let group_ids: Vec<String> = group_ids.iter().map(|id| (*id).to_owned()).collect();
        let outcome = self
            .coordinator
            .delete_groups(&group_ids, ticket, self.now_ms);
        self.take(outcome);
        ticket
    }

    pub fn is_parked(&self, ticket: Ticket) -> bool {
        !self.replies.contains_key(&ticket)
    }

    pub fn join_reply(&self, ticket: Ticket) -> JoinReply {
        match self.replies.get(&ticket) {
            Some(Reply::Join(reply)) => reply.clone(),
            other => panic!("join was answered with {other:?}"),
        }
    }

    pub fn sync_reply(&self, ticket: Ticket) -> SyncReply {
        match self.replies.get(&ticket) {
            Some(Reply::Sync(reply)) => reply.clone(),
            other => panic!("sync was answered with {other:?}"),
        }
    }

    pub fn group(&self) -> DescribedGroup {
        self.coordinator.describe(GROUP).unwrap()
    }

    pub fn state(&self) -> GroupState {
        self.group().state
    }

    /// The offset of one partition, -1 without one.
    pub fn offset(&self, topic: &str, partition: i32) -> i64 {
        let topics = [partitions(topic, &[partition])];
        let fetched = self
            .coordinator
            .fetch_offsets(GROUP, Some(&topics), false)
            .unwrap();
        fetched[0].partitions[0].offset
    }

    pub fn all_offsets(&self) -> Vec<FetchedTopic> {
        self.coordinator.fetch_offsets(GROUP, None, false).unwrap()
    }

    /// A Stable group of dynamic members in generation 1; the first is the leader.
    pub fn stable_group(&mut self, count: usize) -> Vec<String> {
        let joined: Vec<_> = (0..count)
            .map(|_| self.join_dynamic(join_request("")))
            .collect();
        self.finish_rebalance(joined)
    }

    /// A Stable group of static members `i0`, `i1` and so on; the first is the leader.
    pub fn stable_static_group(&mut self, count: usize) -> Vec<String> {
        let tickets: Vec<_> = (0..count)
            .map(|index| self.join(static_request(&format!("i{index}"))))
            .collect();
        self.end_join_phase();
        let ids: Vec<_> = tickets
            .iter()
            .map(|ticket| self.join_reply(*ticket).member_id)
            .collect();
        self.assign_all(&ids, 1);
        ids
    }

    fn finish_rebalance(&mut self, joined: Vec<(String, Ticket)>) -> Vec<String> {
        self.end_join_phase();
        let generation_id = self.join_reply(joined[0].1).generation_id;
        let ids: Vec<String> = joined.into_iter().map(|(member_id, _)| member_id).collect();
        self.assign_all(&ids, generation_id);
        ids
    }

    /// All members sync; each is assigned `a-` and its own id.
    pub fn assign_all(&mut self, ids: &[String], generation_id: i32) {
        let described = self.group();
        assert_eq!(described.state, GroupState::CompletingRebalance);
        let assignments: Vec<(String, String)> = ids
            .iter()
            .map(|id| (id.clone(), format!("a-{id}")))
            .collect();
        let assigned: Vec<(&str, &str)> = assignments
            .iter()
            .map(|(id, assignment)| (id.as_str(), assignment.as_str()))
            .collect();
        // Only the leader's assignments count, so all may send them.
        let tickets: Vec<Ticket> = ids
            .iter()
            .map(|id| self.sync(id, generation_id, &assigned))
            .collect();
        for (id, ticket) in ids.iter().zip(tickets) {
            let reply = self.sync_reply(ticket);
            assert_eq!(reply.error, None);
            assert_eq!(reply.assignment, format!("a-{id}"));
        }
        assert_eq!(self.state(), GroupState::Stable);
    }
}
