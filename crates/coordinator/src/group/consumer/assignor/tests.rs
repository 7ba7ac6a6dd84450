//! Random groups, assigned, changed and assigned again.

use proptest::prelude::*;

use super::*;

fn topic(index: u8) -> TopicId {
    TopicId([index; 16])
}

/// Topics with numbers of partitions, and members with what they subscribe to.
#[derive(Debug, Clone)]
struct Case {
    counts: Vec<i32>,
    members: Vec<(u8, Vec<bool>)>,
}

fn case(is_homogeneous: bool) -> impl Strategy<Value = Case> {
    (1usize..6).prop_flat_map(move |topics| {
        let counts = prop::collection::vec(0i32..12, topics);
        let subscription = prop::collection::vec(any::<bool>(), topics);
        let members = prop::collection::vec((0u8..12, subscription), 1..8);
        (counts, members).prop_map(move |(counts, mut members)| {
            members.sort();
            members.dedup_by_key(|member| member.0);
            if is_homogeneous {
                let first = members[0].1.clone();
                members
                    .iter_mut()
                    .for_each(|member| member.1 = first.clone());
            }
            Case { counts, members }
        })
    })
}

fn input(case: &Case, before: &BTreeMap<Arc<str>, Partitions>) -> AssignorInput {
    let members = case.members.iter().map(|(name, subscription)| {
        let id: Arc<str> = format!("m{name}").into();
        let topics = subscription.iter().enumerate().filter(|(_, wants)| **wants);
        AssignorMember {
            instance_id: (name % 3 == 0).then(|| format!("i{}", 100 - name)),
            topics: topics.map(|(index, _)| topic(index as u8)).collect(),
            target: Arc::new(before.get(&id).cloned().unwrap_or_default()),
            id,
        }
    });
    let counts = case.counts.iter().enumerate();
    AssignorInput {
        members: members.collect(),
        partition_counts: counts
            .map(|(index, count)| (topic(index as u8), *count))
            .collect(),
    }
}

fn by_id(input: &AssignorInput, targets: &[Partitions]) -> BTreeMap<Arc<str>, Partitions> {
    let ids = input.members.iter().map(|member| member.id.clone());
    ids.zip(targets.iter().cloned()).collect()
}

fn load(target: &Partitions) -> usize {
    target.values().map(BTreeSet::len).sum()
}

/// Each partition that somebody subscribes to goes to one of its subscribers, and nothing else.
fn check_complete(input: &AssignorInput, targets: &[Partitions]) {
    assert_eq!(targets.len(), input.members.len());
    let mut owners: BTreeMap<(TopicId, i32), usize> = BTreeMap::new();
    for (member, target) in input.members.iter().zip(targets) {
        for (topic, partitions) in target {
            assert!(member.topics.contains(topic), "{} {topic:?}", member.id);
            assert!(!partitions.is_empty());
            for partition in partitions {
                *owners.entry((*topic, *partition)).or_default() += 1;
            }
        }
    }
    let mut wanted = BTreeMap::new();
    for topic in input.members.iter().flat_map(|member| &member.topics) {
        for partition in 0..input.partition_count(*topic) {
            wanted.insert((*topic, partition), 1);
        }
    }
    assert_eq!(owners, wanted);
}

/// How many partitions stay with who had them.
fn kept(input: &AssignorInput, targets: &[Partitions]) -> usize {
    let pairs = input.members.iter().zip(targets);
    pairs
        .flat_map(|(member, target)| {
            member.target.iter().map(|(topic, partitions)| {
                let now = target.get(topic);
                now.map_or(0, |now| now.intersection(partitions).count())
            })
        })
        .sum()
}

/// The most that can stay with balanced loads when all subscribe to the same.
fn most_to_keep(input: &AssignorInput) -> usize {
    let topics = &input.members[0].topics;
    let total: i32 = topics
        .iter()
        .map(|topic| input.partition_count(*topic))
        .sum();
    let count = input.members.len();
    let (quota, mut extra) = (total as usize / count, total as usize % count);
    let mut sum = 0;
    for member in &input.members {
        let still_there = member
            .target
            .iter()
            .filter(|(topic, _)| topics.contains(topic));
        let had: usize = still_there
            .map(|(topic, partitions)| {
                let exists = 0..input.partition_count(*topic);
                partitions
                    .iter()
                    .filter(|each| exists.contains(each))
                    .count()
            })
            .sum();
        if had > quota && extra > 0 {
            extra -= 1;
            sum += quota + 1;
        } else {
            sum += had.min(quota);
        }
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn uniform_balances_equal_subscriptions_and_moves_no_more_than_it_must(
        first in case(true), second in case(true)
    ) {
        let mut before = BTreeMap::new();
        for case in [first, second] {
            let input = input(&case, &before);
            let targets = Assignor::Uniform.assign(&input);
            check_complete(&input, &targets);
            let loads: Vec<usize> = targets.iter().map(load).collect();
            prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1);
            prop_assert_eq!(kept(&input, &targets), most_to_keep(&input));
            before = by_id(&input, &targets);
        }
    }

    #[test]
    fn uniform_leaves_no_move_that_would_make_two_members_more_equal(
        first in case(false), second in case(false)
    ) {
        let mut before = BTreeMap::new();
        for case in [first, second] {
            let input = input(&case, &before);
            let targets = Assignor::Uniform.assign(&input);
            check_complete(&input, &targets);
            for (from, target) in targets.iter().enumerate() {
                for topic in target.keys() {
                    for (to, member) in input.members.iter().enumerate() {
                        if member.topics.contains(topic) {
                            prop_assert!(load(&targets[from]) <= load(&targets[to]) + 1);
                        }
                    }
                }
            }
            before = by_id(&input, &targets);
            // The same again moves nothing.
            let mut again = input.clone();
            for (member, target) in again.members.iter_mut().zip(&targets) {
                member.target = Arc::new(target.clone());
            }
            prop_assert_eq!(Assignor::Uniform.assign(&again), targets);
        }
    }

    #[test]
    fn range_gives_each_subscriber_consecutive_partitions_of_every_topic(case in case(false)) {
        let input = input(&case, &BTreeMap::new());
        let targets = Assignor::Range.assign(&input);
        check_complete(&input, &targets);
        for topic in input.partition_counts.keys() {
            let subscribers = input.members.iter().zip(&targets);
            let subscribers = subscribers.filter(|(member, _)| member.topics.contains(topic));
            let empty = BTreeSet::new();
            let shares: Vec<&BTreeSet<i32>> =
                subscribers.map(|(_, target)| target.get(topic).unwrap_or(&empty)).collect();
            let sizes = || shares.iter().map(|share| share.len());
            prop_assert!(sizes().max().unwrap_or(0) - sizes().min().unwrap_or(0) <= 1);
            for share in shares.iter().filter(|share| !share.is_empty()) {
                let (low, high) = (share.first().unwrap(), share.last().unwrap());
                prop_assert_eq!((high - low + 1) as usize, share.len());
            }
        }
    }
}

#[test]
fn range_orders_static_members_by_instance_and_before_the_others() {
    let member = |id: &str, instance_id: Option<&str>| AssignorMember {
        id: id.into(),
        instance_id: instance_id.map(str::to_owned),
        topics: [topic(1), topic(2)].into(),
        target: Arc::default(),
    };
    let input = AssignorInput {
        members: vec![
            member("a", None),
            member("b", Some("z")),
            member("c", Some("y")),
        ],
        partition_counts: [(topic(1), 3), (topic(2), 4)].into(),
    };
    let targets = Assignor::Range.assign(&input);
    let share = |first: &[i32], second: &[i32]| -> Partitions {
        let set = |partitions: &[i32]| partitions.iter().copied().collect();
        [(topic(1), set(first)), (topic(2), set(second))].into()
    };
    assert_eq!(
        targets,
        [share(&[2], &[3]), share(&[1], &[2]), share(&[0], &[0, 1])]
    );
}

#[test]
fn nobody_and_nothing_are_no_trouble() {
    for assignor in [Assignor::Uniform, Assignor::Range] {
        assert!(assignor.assign(&AssignorInput::default()).is_empty());
    }
}
