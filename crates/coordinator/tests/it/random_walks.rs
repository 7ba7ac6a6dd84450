//! Random sequences of requests, of time that passes, and of appends that are late or fail.
//!
//! Whatever happens, no request is answered twice (the harness checks it) or never, and what the
//! log says is what the coordinator says.

use lastword_coordinator::{AppendError, JoinRequest, Reply, Ticket};
use proptest::prelude::*;

use crate::harness::{GROUP, Machine, commit_request, config, join_request, partitions};

#[derive(Debug, Clone)]
enum Step {
    JoinNew {
        static_index: Option<u8>,
        api_version: i16,
        protocol: u8,
    },
    JoinAgain {
        member: prop::sample::Index,
        protocol: u8,
    },
    Sync {
        member: prop::sample::Index,
    },
    SyncAll,
    Heartbeat {
        member: prop::sample::Index,
    },
    Leave {
        member: prop::sample::Index,
    },
    Commit {
        member: prop::sample::Index,
    },
    CommitSimple,
    DeleteOffsets,
    DeleteGroup,
    Advance {
        duration_ms: i64,
    },
    Hold,
    Release {
        result: Result<(), AppendError>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let member = any::<prop::sample::Index>;
    let result = prop_oneof![4 => Just(Ok(())), 1 => Just(Err(AppendError::NotEnoughReplicas))];
    prop_oneof![
        4 => (prop::option::of(0u8..3), prop_oneof![Just(3i16), Just(8), Just(9)], 0u8..3).prop_map(
            |(static_index, api_version, protocol)| Step::JoinNew { static_index, api_version, protocol }
        ),
        6 => (member(), 0u8..3).prop_map(|(member, protocol)| Step::JoinAgain { member, protocol }),
        4 => member().prop_map(|member| Step::Sync { member }),
        2 => Just(Step::SyncAll),
        2 => member().prop_map(|member| Step::Heartbeat { member }),
        2 => member().prop_map(|member| Step::Leave { member }),
        2 => member().prop_map(|member| Step::Commit { member }),
        1 => Just(Step::CommitSimple),
        1 => Just(Step::DeleteOffsets),
        1 => Just(Step::DeleteGroup),
        4 => prop_oneof![1i64..5_000, 1i64..100_000]
            .prop_map(|duration_ms| Step::Advance { duration_ms }),
        2 => Just(Step::Hold),
        3 => result.prop_map(|result| Step::Release { result }),
    ]
}

#[derive(Default)]
struct Walk {
    /// Every member id that was ever given, with its instance.
    members: Vec<(String, Option<String>)>,
    tickets: Vec<Ticket>,
}

fn protocols_of(protocol: u8) -> Vec<lastword_coordinator::JoinProtocol> {
    match protocol {
        0 => crate::harness::protocols(&["range"]),
        1 => crate::harness::protocols(&["range", "sticky"]),
        _ => crate::harness::protocols(&["sticky", "range"]),
    }
}

impl Walk {
    fn member(&self, index: &prop::sample::Index) -> Option<(String, Option<String>)> {
        (!self.members.is_empty()).then(|| index.get(&self.members).clone())
    }

    fn take(&mut self, machine: &mut Machine, step: &Step) {
        match step {
            Step::JoinNew {
                static_index,
                api_version,
                protocol,
            } => {
                let ticket = machine.join(JoinRequest {
                    group_instance_id: static_index.map(|index| format!("i{index}")),
                    api_version: *api_version,
                    protocols: protocols_of(*protocol),
                    ..join_request("")
                });
                self.tickets.push(ticket);
            }
            Step::JoinAgain { member, protocol } => {
                if let Some((member_id, instance_id)) = self.member(member) {
                    let ticket = machine.join(JoinRequest {
                        group_instance_id: instance_id,
                        protocols: protocols_of(*protocol),
                        ..join_request(&member_id)
                    });
                    self.tickets.push(ticket);
                }
            }
            Step::Sync { member } => {
                if let Some((member_id, _)) = self.member(member) {
                    self.sync(machine, &member_id);
                }
            }
            Step::SyncAll => {
                for (member_id, _) in self.members.clone() {
                    self.sync(machine, &member_id);
                }
            }
            Step::Heartbeat { member } => {
                if let Some((member_id, instance_id)) = self.member(member) {
                    let generation_id = generation(machine);
                    let _ = machine.heartbeat_as(&member_id, generation_id, instance_id.as_deref());
                }
            }
            Step::Leave { member } => {
                if let Some((member_id, instance_id)) = self.member(member) {
                    machine.leave(&[(&member_id, instance_id.as_deref())]);
                }
            }
            Step::Commit { member } => {
                if let Some((member_id, _)) = self.member(member) {
                    let request = commit_request(&member_id, generation(machine), machine.now_ms);
                    self.tickets.push(machine.commit(request));
                }
            }
            Step::CommitSimple => {
                let request = commit_request("", -1, machine.now_ms);
                self.tickets.push(machine.commit(request));
            }
            Step::DeleteOffsets => {
                self.tickets
                    .push(machine.delete_offsets(vec![partitions("orders", &[0])]));
            }
            Step::DeleteGroup => self.tickets.push(machine.delete_groups(&[GROUP])),
            Step::Advance { duration_ms } => machine.advance(*duration_ms),
            Step::Hold => machine.hold = true,
            Step::Release { result } => {
                machine.hold = false;
                machine.release(*result);
            }
        }
        self.learn(machine);
    }

    fn sync(&mut self, machine: &mut Machine, member_id: &str) {
        let assigned: Vec<(&str, &str)> = self
            .members
            .iter()
            .map(|(id, _)| (id.as_str(), id.as_str()))
            .collect();
        let generation_id = generation(machine);
        let ticket = machine.sync_with(member_id, generation_id, &assigned, |request| {
            request.api_version = 4;
            request.protocol_name = None;
        });
        self.tickets.push(ticket);
    }

    fn learn(&mut self, machine: &Machine) {
        for reply in machine.replies.values() {
            let Reply::Join(reply) = reply else { continue };
            let known = self.members.iter().any(|(id, _)| *id == reply.member_id);
            if !known && !reply.member_id.is_empty() {
                let instance_id = reply
                    .member_id
                    .strip_prefix('i')
                    .map(|rest| format!("i{}", &rest[..1]));
                self.members.push((reply.member_id.clone(), instance_id));
            }
        }
    }
}

fn generation(machine: &Machine) -> i32 {
    machine
        .coordinator
        .describe(GROUP)
        .map_or(0, |group| group.generation_id)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_request_is_answered_once_and_the_log_agrees(steps in prop::collection::vec(step(), 1..80)) {
        let mut machine = Machine::new();
        let mut walk = Walk::default();
        for step in &steps {
            walk.take(&mut machine, step);
        }
        machine.hold = false;
        machine.release(Ok(()));
        // Without heartbeats all members go; shorter than the retention check would be too short
        // for a new member that is parked.
        machine.advance(599_000);
        for ticket in &walk.tickets {
            prop_assert!(!machine.is_parked(*ticket), "{ticket:?} was never answered");
        }
        let reloaded = machine.reloaded(config());
        prop_assert_eq!(reloaded.all_offsets(), machine.all_offsets());
        let failed = steps.iter().any(|step| matches!(step, Step::Release { result: Err(_) }));
        if !failed {
            prop_assert_eq!(reloaded.coordinator.list(), machine.coordinator.list());
            prop_assert_eq!(reloaded.coordinator.describe(GROUP), machine.coordinator.describe(GROUP));
        }
    }
}
