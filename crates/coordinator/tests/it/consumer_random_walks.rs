//! Random lives of consumer groups: consumers of both protocols that follow the rules or go silent,
//! topics that change, appends that are late or fail, and loads in between.
//!
//! At every moment: no two consumers have a partition by what they were told; the epochs of a member
//! and of the group never go back; the state in memory is the state that the log gives; no request
//! is answered twice (the harness checks it). At the end: everybody has their share and no request
//! is unanswered.

use std::collections::BTreeMap;

use lastword_coordinator::{
    AppendError, ConsumerHeartbeatRequest, GroupConfig, GroupError, GroupState, Ticket,
};
use proptest::prelude::*;

use crate::consumers::{
    ClassicConsumer, Consumer, Named, beat, eager, joining, owners, topic_id, view,
};
use crate::harness::{GROUP, Machine};

#[derive(Debug, Clone)]
enum Step {
    Join {
        static_index: Option<u8>,
        topics: u8,
        assignor: bool,
    },
    JoinClassic {
        is_cooperative: bool,
    },
    Beat {
        consumer: prop::sample::Index,
    },
    BeatClassic {
        consumer: prop::sample::Index,
    },
    /// The answer is lost.
    LostBeat {
        consumer: prop::sample::Index,
    },
    Leave {
        consumer: prop::sample::Index,
        for_a_while: bool,
    },
    LeaveClassic {
        consumer: prop::sample::Index,
    },
    Resubscribe {
        consumer: prop::sample::Index,
        topics: u8,
    },
    Topics {
        orders: i32,
        bills: Option<i32>,
    },
    Advance {
        duration_ms: i64,
    },
    /// The next heartbeat cannot be stored.
    FailedBeat {
        consumer: prop::sample::Index,
    },
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    let consumer = any::<prop::sample::Index>;
    prop_oneof![
        4 => (prop::option::of(0u8..2), 0u8..3, any::<bool>())
            .prop_map(|(static_index, topics, assignor)| Step::Join { static_index, topics, assignor }),
        2 => any::<bool>().prop_map(|is_cooperative| Step::JoinClassic { is_cooperative }),
        16 => consumer().prop_map(|consumer| Step::Beat { consumer }),
        10 => consumer().prop_map(|consumer| Step::BeatClassic { consumer }),
        2 => consumer().prop_map(|consumer| Step::LostBeat { consumer }),
        2 => (consumer(), any::<bool>())
            .prop_map(|(consumer, for_a_while)| Step::Leave { consumer, for_a_while }),
        1 => consumer().prop_map(|consumer| Step::LeaveClassic { consumer }),
        2 => (consumer(), 0u8..3)
            .prop_map(|(consumer, topics)| Step::Resubscribe { consumer, topics }),
        2 => (1i32..6, prop::option::of(1i32..4))
            .prop_map(|(orders, bills)| Step::Topics { orders, bills }),
        4 => prop_oneof![1i64..5_000, 1i64..40_000]
            .prop_map(|duration_ms| Step::Advance { duration_ms }),
        1 => consumer().prop_map(|consumer| Step::FailedBeat { consumer }),
        1 => Just(Step::Reload),
    ]
}

fn names(topics: u8) -> &'static [&'static str] {
    match topics {
        0 => &["orders"],
        1 => &["orders", "bills"],
        _ => &["bills"],
    }
}

struct Walk {
    machine: Machine,
    config: GroupConfig,
    consumers: Vec<Consumer>,
    classic: Vec<ClassicConsumer>,
    topics: Vec<(&'static str, i32)>,
    version: i64,
    next_id: u32,
    tickets: Vec<Ticket>,
    /// Of the group and of each member, while they live.
    epochs: BTreeMap<String, i32>,
    group_epoch: i32,
}

impl Walk {
    fn new() -> Walk {
        let config = eager();
        let mut walk = Walk {
            machine: Machine::with_config(config.clone()),
            config,
            consumers: Vec::new(),
            classic: Vec::new(),
            topics: vec![("orders", 4), ("bills", 2)],
            version: 1,
            next_id: 0,
            tickets: Vec::new(),
            epochs: BTreeMap::new(),
            group_epoch: 0,
        };
        walk.show_topics();
        walk
    }

    fn show_topics(&mut self) {
        let view = view(self.version, &self.topics);
        self.machine.coordinator.metadata_changed(view);
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Join {
                static_index,
                topics,
                assignor,
            } => {
                if self.consumers.len() < 5 {
                    self.next_id += 1;
                    let id = format!("m{}", self.next_id);
                    self.consumers.push(Consumer::new(ConsumerHeartbeatRequest {
                        instance_id: static_index.map(|index| format!("i{index}")),
                        server_assignor: assignor.then(|| "range".to_owned()),
                        ..joining(&id, names(*topics))
                    }));
                    self.beat(self.consumers.len() - 1);
                }
            }
            Step::JoinClassic { is_cooperative } => {
                if self.classic.len() < 3 {
                    let consumer = ClassicConsumer::new(&["orders"], *is_cooperative);
                    self.classic.push(consumer);
                }
            }
            Step::Beat { consumer } => {
                if !self.consumers.is_empty() {
                    self.beat(consumer.index(self.consumers.len()));
                }
            }
            Step::BeatClassic { consumer } => {
                if !self.classic.is_empty() {
                    let index = consumer.index(self.classic.len());
                    self.classic[index].step(&mut self.machine);
                }
            }
            Step::LostBeat { consumer } => {
                if !self.consumers.is_empty() {
                    let index = consumer.index(self.consumers.len());
                    let request = self.consumers[index].next_request();
                    let ticket = self.machine.consumer_heartbeat(&request);
                    self.tickets.push(ticket);
                    self.consumers[index].tells_all = true;
                }
            }
            Step::Leave {
                consumer,
                for_a_while,
            } => {
                if !self.consumers.is_empty() {
                    let index = consumer.index(self.consumers.len());
                    let gone = self.consumers.remove(index);
                    let is_static = gone.request.instance_id.is_some();
                    let epoch = if *for_a_while && is_static { -2 } else { -1 };
                    self.machine.consumer_heartbeat(&ConsumerHeartbeatRequest {
                        instance_id: gone.request.instance_id.clone(),
                        ..beat(&gone.id, epoch)
                    });
                }
            }
            Step::LeaveClassic { consumer } => {
                if !self.classic.is_empty() {
                    let gone = self.classic.remove(consumer.index(self.classic.len()));
                    self.machine.leave(&[(&gone.id, None)]);
                }
            }
            Step::Resubscribe { consumer, topics } => {
                if !self.consumers.is_empty() {
                    let index = consumer.index(self.consumers.len());
                    let consumer = &mut self.consumers[index];
                    let topics: Vec<String> = names(*topics)
                        .iter()
                        .map(|name| (*name).to_owned())
                        .collect();
                    consumer.request.topic_names = Some(topics.clone());
                    let request = ConsumerHeartbeatRequest {
                        topic_names: Some(topics),
                        ..consumer.next_request()
                    };
                    let reply = self.machine.beat(&request);
                    consumer.follow(&reply);
                }
            }
            Step::Topics { orders, bills } => {
                self.version += 1;
                self.topics = vec![("orders", *orders)];
                self.topics.extend(bills.map(|bills| ("bills", bills)));
                self.show_topics();
            }
            Step::Advance { duration_ms } => self.machine.advance(*duration_ms),
            Step::FailedBeat { consumer } => {
                if !self.consumers.is_empty() {
                    let index = consumer.index(self.consumers.len());
                    let request = self.consumers[index].next_request();
                    self.machine.hold = true;
                    let ticket = self.machine.consumer_heartbeat(&request);
                    self.machine.hold = false;
                    self.machine.release(Err(AppendError::NotEnoughReplicas));
                    self.tickets.push(ticket);
                    self.consumers[index].tells_all = true;
                }
            }
            Step::Reload => self.reload(),
        }
    }

    fn beat(&mut self, index: usize) {
        let was_member = self.consumers[index].epoch > 0;
        let error = self.consumers[index].beat(&mut self.machine);
        if matches!(
            error,
            Some(GroupError::UnreleasedInstanceId | GroupError::FencedInstanceId)
        ) {
            // Another consumer has its name, which is fatal.
            self.consumers.remove(index);
        } else if was_member && self.consumers[index].epoch == 0 {
            // It was removed and knows it now; it comes back under another id.
            self.next_id += 1;
            let id = format!("m{}", self.next_id);
            let consumer = &mut self.consumers[index];
            consumer.id = id.clone();
            consumer.request.member_id = id;
        }
    }

    /// A broker that starts again has the log and nothing else; classic members notice nothing but
    /// that what they had parked is gone.
    fn reload(&mut self) {
        self.machine = self.machine.reloaded(self.config.clone());
        self.tickets.clear();
        self.epochs.clear();
        for consumer in &mut self.classic {
            consumer.forget_parked();
        }
        self.show_topics();
    }

    fn check(&mut self) {
        let members = self.machine.coordinator.describe_consumer(GROUP);
        let Ok(group) = members else {
            self.epochs.clear();
            self.group_epoch = 0;
            return;
        };
        assert!(
            group.epoch >= self.group_epoch,
            "the epoch of the group went back"
        );
        self.group_epoch = group.epoch;
        let mut epochs = BTreeMap::new();
        for member in &group.members {
            let before = self.epochs.get(&member.member_id).copied().unwrap_or(0);
            assert!(
                member.member_epoch == -2 || member.member_epoch >= before,
                "the epoch of {} went back",
                member.member_id
            );
            epochs.insert(member.member_id.clone(), member.member_epoch);
        }
        self.epochs = epochs;
        let mut taken: BTreeMap<(String, i32), String> = BTreeMap::new();
        for member in &group.members {
            for topic in &member.assignment {
                for partition in &topic.partitions {
                    let key = (topic.name.clone(), *partition);
                    let other = taken.insert(key, member.member_id.clone());
                    assert_eq!(other, None, "{} {partition} is owned twice", topic.name);
                }
            }
        }
        let reloaded = self.machine.reloaded(self.config.clone());
        let mut reloaded = reloaded;
        let view = view(self.version, &self.topics);
        reloaded.coordinator.metadata_changed(view);
        assert_eq!(reloaded.coordinator.describe_consumer(GROUP), Ok(group));
    }

    /// What those who believe to be members were told; who was removed may not know it yet.
    fn check_owners(&self) {
        let group = self.machine.coordinator.describe_consumer(GROUP);
        let Ok(group) = group else { return };
        let is_member = |id: &str, epoch: i32| {
            group
                .members
                .iter()
                .any(|member| member.member_id == id && member.member_epoch == epoch)
        };
        let consumers: Vec<Consumer> = self
            .consumers
            .iter()
            .filter(|it| is_member(&it.id, it.epoch))
            .cloned()
            .collect();
        let classic: Vec<ClassicConsumer> = self
            .classic
            .iter()
            .filter(|it| is_member(&it.id, it.generation_id))
            .cloned()
            .collect();
        for (partition, count) in owners(&consumers, &classic) {
            assert_eq!(
                count, 1,
                "{partition:?} {consumers:#?} {classic:#?} {group:#?}"
            );
        }
    }

    /// Everybody follows the rules until nothing moves.
    fn end(&mut self) {
        self.version += 1;
        self.topics = vec![("orders", 4), ("bills", 2)];
        self.show_topics();
        for _ in 0..200 {
            for index in (0..self.consumers.len()).rev() {
                self.beat(index);
            }
            for consumer in &mut self.classic {
                consumer.step(&mut self.machine);
            }
            self.machine.advance(2_000);
            self.check();
            let group = &self.machine.coordinator.list().unwrap();
            let state = group.first().map_or(GroupState::Empty, |group| group.state);
            let alone = self.consumers.is_empty() && self.classic.is_empty();
            if alone || (state == GroupState::Stable && self.has_everything()) {
                return;
            }
        }
        let group = self.machine.coordinator.describe_consumer(GROUP);
        panic!("{group:#?} {:#?} {:#?}", self.consumers, self.classic);
    }

    fn has_everything(&self) -> bool {
        let mut wanted: Named = Named::new();
        for consumer in &self.consumers {
            for name in consumer.request.topic_names.iter().flatten() {
                let count = if name == "orders" { 4 } else { 2 };
                wanted.insert(name.clone(), (0..count).collect());
            }
        }
        if !self.classic.is_empty() {
            wanted.insert("orders".to_owned(), (0..4).collect());
        }
        let owners = owners(&self.consumers, &self.classic);
        let has = |name: &str, partition: i32| owners.get(&(topic_id(name), partition)) == Some(&1);
        let all = |(name, partitions): (&String, &std::collections::BTreeSet<i32>)| {
            partitions.iter().all(|each| has(name, *each))
        };
        wanted.iter().all(all)
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 1_000,
        ..ProptestConfig::with_cases(100)
    })]

    #[test]
    fn no_partition_is_owned_twice_and_all_are_owned_in_the_end(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut walk = Walk::new();
        for step in &steps {
            walk.take(step);
            walk.check();
            walk.check_owners();
        }
        walk.end();
        for ticket in &walk.tickets {
            prop_assert!(!walk.machine.is_parked(*ticket), "{ticket:?} was never answered");
        }
    }
}
