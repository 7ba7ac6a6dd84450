use std::time::Instant;

use lastword_protocol::messages::describe_configs_request::DescribeConfigsResource;
use lastword_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use lastword_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use lastword_protocol::messages::{
    ConsumerGroupHeartbeatRequest, DescribeConfigsRequest, FindCoordinatorRequest,
    IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
};
use lastword_protocol::{ErrorCode, StrBytes, message};

use crate::client::{Client, DEADLINE, TestBroker};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Sets a config, or takes it back.
async fn alter(
    client: &mut Client,
    (kind, resource): (i8, &str),
    name: &str,
    value: Option<&str>,
    validate_only: bool,
) -> (i16, String) {
    let request = message!(IncrementalAlterConfigsRequest {
        resources: vec![message!(AlterConfigsResource {
            resource_type: kind,
            resource_name: resource.into(),
            configs: vec![message!(AlterableConfig {
                name: name.into(),
                config_operation: i8::from(value.is_none()),
                value: value.map(StrBytes::from),
            })],
        })],
        validate_only,
    });
    let response = client.call(&request, 1).await.responses.remove(0);
    let text = response.error_message.map(|text| text.as_str().to_owned());
    (response.error_code, text.unwrap_or_default())
}

async fn set(client: &mut Client, resource: (i8, &str), name: &str, value: Option<&str>) {
    let outcome = alter(client, resource, name, value, false).await;
    assert_eq!(outcome, (0, String::new()), "{resource:?} {name}");
}

async fn describe(
    client: &mut Client,
    (kind, resource): (i8, &str),
) -> Result<Vec<DescribeConfigsResourceResult>, i16> {
    let request = message!(DescribeConfigsRequest {
        resources: vec![message!(DescribeConfigsResource {
            resource_type: kind,
            resource_name: resource.into(),
            configuration_keys: None,
        })],
        include_synonyms: true,
        include_documentation: true,
    });
    let result = client.call(&request, 4).await.results.remove(0);
    match result.error_code {
        0 => Ok(result.configs),
        code => Err(code),
    }
}

async fn config(
    client: &mut Client,
    resource: (i8, &str),
    name: &str,
) -> DescribeConfigsResourceResult {
    let all = describe(client, resource).await.unwrap();
    all.into_iter().find(|it| it.name.as_str() == name).unwrap()
}

/// Value and source, and those of each synonym.
fn seen(config: &DescribeConfigsResourceResult) -> Vec<(&str, i8)> {
    let own = (
        config.value.as_deref().unwrap_or("none"),
        config.config_source,
    );
    let synonyms = config.synonyms.iter();
    let synonyms = synonyms.map(|it| (it.value.as_deref().unwrap_or("none"), it.source));
    std::iter::once(own).chain(synonyms).collect()
}

#[tokio::test]
async fn a_topic_config_is_traced_from_the_topic_over_broker_all_brokers_and_start_to_the_default()
{
    let (of_broker, of_topic) = ("log.cleaner.delete.retention.ms", "delete.retention.ms");
    let broker = TestBroker::start(&[(of_broker, "4000")]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    set(&mut client, (BROKER, ""), of_broker, Some("3000")).await;
    set(&mut client, (BROKER, "1"), of_broker, Some("2000")).await;
    set(&mut client, (TOPIC, "t"), of_topic, Some("1000")).await;
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let (fixed, default) = (("4000", 4), ("86400000", 5));
    let (own, all) = (("2000", 2), ("3000", 3));
    let found = config(&mut client, (TOPIC, "t"), of_topic).await;
    let topic = ("1000", 1);
    assert_eq!(seen(&found), [topic, topic, own, all, fixed, default]);
    assert!(found.documentation.is_some_and(|text| !text.is_empty()));
    let found = config(&mut client, (BROKER, "1"), of_broker).await;
    assert_eq!(seen(&found), [own, own, all, fixed, default]);
    assert_eq!((found.read_only, found.is_sensitive), (false, false));
    let found = config(&mut client, (BROKER, ""), of_broker).await;
    assert_eq!(seen(&found), [all, all]);
    for (resource, expected) in [
        ((TOPIC, "t"), own),
        ((BROKER, "1"), all),
        ((BROKER, ""), fixed),
    ] {
        let name = if resource.0 == TOPIC {
            of_topic
        } else {
            of_broker
        };
        set(&mut client, resource, name, None).await;
        let found = config(&mut client, (TOPIC, "t"), of_topic).await;
        assert_eq!(seen(&found)[0], expected);
    }
}

#[tokio::test]
async fn hours_are_in_force_and_shown_on_the_broker_but_are_no_synonym_of_a_topics() {
    let broker = TestBroker::start(&[("log.retention.hours", "48")]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let of_topic = config(&mut client, (TOPIC, "t"), "retention.ms").await;
    assert_eq!(seen(&of_topic), [("172800000", 5)]);
    let hours = config(&mut client, (BROKER, "1"), "log.retention.hours").await;
    assert_eq!(seen(&hours), [("48", 4), ("48", 4), ("168", 5)]);
    assert!(hours.read_only);
    set(&mut client, (BROKER, "1"), "log.retention.ms", Some("7000")).await;
    let of_topic = config(&mut client, (TOPIC, "t"), "retention.ms").await;
    assert_eq!(of_topic.value.as_deref(), Some("7000"));
}

#[tokio::test]
async fn a_dynamic_setting_of_the_broker_acts_at_once() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let inside = broker.server.broker();
    let log = inside.partitions.get("t", 0).unwrap();
    set(&mut client, (BROKER, ""), "log.retention.ms", Some("7000")).await;
    assert_eq!(log.log().config().retention_ms, 7000);
    let expiration = "producer.id.expiration.ms";
    set(&mut client, (BROKER, "1"), expiration, Some("60000")).await;
    assert_eq!(inside.logs.producer_id_expiration_ms(), 60_000);
    // The next connection is one too many: it is closed, and this one goes on.
    set(&mut client, (BROKER, "1"), "max.connections", Some("1")).await;
    let mut refused = broker.connect().await;
    assert_eq!(refused.receive_frame().await, None);
    set(&mut client, (BROKER, "1"), "max.connections", None).await;
    broker.connect().await.create("u").await;
}

#[tokio::test]
async fn a_setting_of_the_start_an_unknown_one_and_a_wrong_value_are_refused_with_words() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let before = describe(&mut client, (BROKER, "1")).await;
    let (request, config) = (ErrorCode::InvalidRequest, ErrorCode::InvalidConfig);
    let topic = ErrorCode::UnknownTopicOrPartition;
    for (resource, name, value, code, words) in [
        (
            (BROKER, "1"),
            "num.partitions",
            "4",
            request,
            "set it at start",
        ),
        (
            (BROKER, ""),
            "log.retention.hours",
            "4",
            request,
            "set it at start",
        ),
        (
            (BROKER, "1"),
            "ssl.keystore.location",
            "x",
            request,
            "set it at start",
        ),
        (
            (BROKER, "1"),
            "no.such.config",
            "4",
            request,
            "no.such.config",
        ),
        (
            (BROKER, "2"),
            "log.retention.ms",
            "4",
            request,
            "expected 1",
        ),
        ((BROKER, "1"), "log.retention.ms", "soon", request, "soon"),
        (
            (BROKER, ""),
            "log.cleaner.threads",
            "-1",
            request,
            "log.cleaner.threads",
        ),
        (
            (BROKER, ""),
            "max.connections",
            "many",
            request,
            "max.connections",
        ),
        (
            (TOPIC, "t"),
            "no.such.config",
            "4",
            config,
            "no.such.config",
        ),
        ((TOPIC, "t"), "retention.ms", "soon", config, "soon"),
        ((TOPIC, "u"), "retention.ms", "1", topic, ""),
        ((TOPIC, ""), "retention.ms", "1", request, "name is empty"),
        (
            (GROUP, "g"),
            "consumer.session.timeout.ms",
            "1",
            config,
            "45000",
        ),
        (
            (GROUP, "g"),
            "beauty",
            "1",
            config,
            "consumer.session.timeout.ms",
        ),
        (
            (GROUP, ""),
            "consumer.session.timeout.ms",
            "50000",
            request,
            "name is empty",
        ),
        (
            (CLIENT_METRICS, "m"),
            "interval.ms",
            "1",
            request,
            "interval.ms",
        ),
        (
            (CLIENT_METRICS, "m"),
            "interval.ms",
            "soon",
            config,
            "interval.ms",
        ),
        (
            (CLIENT_METRICS, "m"),
            "match",
            "beauty=1",
            config,
            "client_id",
        ),
        ((CLIENT_METRICS, "m"), "beauty", "1", request, "interval.ms"),
        ((99, "x"), "a", "b", request, "99"),
    ] {
        for validate_only in [true, false] {
            let outcome = alter(&mut client, resource, name, Some(value), validate_only).await;
            assert_eq!(outcome.0, code.code(), "{resource:?} {name}: {outcome:?}");
            assert!(
                outcome.1.contains(words),
                "{resource:?} {name}: {outcome:?}"
            );
        }
    }
    assert_eq!(describe(&mut client, (BROKER, "1")).await, before);
}

#[tokio::test]
async fn what_is_only_validated_changes_nothing() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    for (resource, name, value) in [
        ((BROKER, "1"), "log.retention.ms", "1"),
        ((BROKER, ""), "log.cleaner.threads", "3"),
        ((TOPIC, "t"), "retention.ms", "1"),
        ((GROUP, "g"), "consumer.session.timeout.ms", "46000"),
        ((CLIENT_METRICS, "m"), "interval.ms", "1000"),
    ] {
        let before = describe(&mut client, resource).await;
        let outcome = alter(&mut client, resource, name, Some(value), true).await;
        assert_eq!(outcome.0, 0, "{outcome:?}");
        assert_eq!(describe(&mut client, resource).await, before, "{name}");
    }
}

#[tokio::test]
async fn groups_and_subscriptions_with_configs_are_listed_and_outlive_a_restart() {
    let broker = TestBroker::start(&[("group.consumer.session.timeout.ms", "47000")]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let (session, interval) = ("consumer.session.timeout.ms", "interval.ms");
    let of_broker = config(&mut client, (GROUP, "g"), session).await;
    assert_eq!(seen(&of_broker), [("47000", 4), ("47000", 4), ("45000", 5)]);
    set(&mut client, (GROUP, "g"), session, Some("46000")).await;
    set(&mut client, (CLIENT_METRICS, "m"), interval, Some("1000")).await;
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let own = config(&mut client, (GROUP, "g"), session).await;
    assert_eq!(seen(&own)[..2], [("46000", 8), ("46000", 8)]);
    let own = config(&mut client, (CLIENT_METRICS, "m"), interval).await;
    assert_eq!(seen(&own), [("1000", 7), ("1000", 7)]);

    let list = async |client: &mut Client, version: i16, resource_types: Vec<i8>| {
        let request = message!(ListConfigResourcesRequest { resource_types });
        let response = client.call(&request, version).await;
        let found = response.config_resources.into_iter();
        let found = found.map(|it| (it.resource_type, it.resource_name.as_str().to_owned()));
        (response.error_code, found.collect::<Vec<_>>())
    };
    let named = |kind: i8, name: &str| (kind, name.to_owned());
    let all = list(&mut client, 1, Vec::new()).await;
    let expected = vec![
        named(GROUP, "g"),
        named(CLIENT_METRICS, "m"),
        named(BROKER_LOGGER, "1"),
        named(BROKER, "1"),
        named(TOPIC, "t"),
    ];
    assert_eq!(all, (0, expected));
    let groups = list(&mut client, 1, vec![GROUP]).await;
    assert_eq!(groups, (0, vec![named(GROUP, "g")]));
    assert_eq!(list(&mut client, 0, Vec::new()).await.1.len(), 1);
    let unknown = list(&mut client, 1, vec![TOPIC, 99]).await;
    assert_eq!(unknown, (ErrorCode::UnsupportedVersion.code(), Vec::new()));
    set(&mut client, (GROUP, "g"), session, None).await;
    assert_eq!(list(&mut client, 1, vec![GROUP]).await, (0, Vec::new()));
}

#[tokio::test]
async fn a_groups_own_heartbeat_interval_is_what_its_members_are_told() {
    let broker = TestBroker::start(&[("offsets.topic.num.partitions", "1")]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let heartbeat = "consumer.heartbeat.interval.ms";
    set(&mut client, (GROUP, "g"), heartbeat, Some("9000")).await;
    for (group, expected) in [("g", 9000), ("h", 5000)] {
        let request = message!(ConsumerGroupHeartbeatRequest {
            group_id: group.into(),
            member_id: "member-1".into(),
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: Some(vec!["t".into()]),
            topic_partitions: Some(Vec::new()),
        });
        let deadline = Instant::now() + DEADLINE;
        let response = loop {
            let response = client.call(&request, 1).await;
            // The topic of the offsets is made when it is first needed.
            if response.error_code != ErrorCode::CoordinatorNotAvailable.code()
                && response.error_code != ErrorCode::CoordinatorLoadInProgress.code()
                && response.error_code != ErrorCode::NotCoordinator.code()
            {
                break response;
            }
            assert!(Instant::now() < deadline, "{response:?}");
            client
                .call(&message!(FindCoordinatorRequest { key: group.into() }), 2)
                .await;
        };
        let found = (response.error_code, response.heartbeat_interval_ms);
        assert_eq!(found, (0, expected), "{group}");
    }
}
