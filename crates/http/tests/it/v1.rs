use serde_json::Value;

use crate::client::{Running, get, request};
use crate::kafka::Kafka;

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_partitions_show_what_was_written() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 2).await;
    kafka.create("zoo", 1).await;
    let bytes = kafka
        .produce("prices", &[("a", Some("1")), ("b", Some("2")), ("a", None)])
        .await;

    let topics = running.get("/v1/topics").await.json();
    let names = names(&topics);
    assert_eq!(names, ["prices", "zoo"]);
    let prices = &topics["topics"][0];
    assert_eq!(prices["partitions"], 2);
    assert_eq!(prices["cleanup_policy"], "compact");
    assert_eq!(
        (&prices["offsets"], &prices["records"]),
        (&Value::from(3), &Value::from(3))
    );
    assert_eq!(prices["size_bytes"], bytes);
    assert_eq!(prices["produced_bytes"], bytes);

    let one = running.get("/v1/topics/prices").await.json();
    assert_eq!(one["topic_id"], prices["topic_id"]);
    assert_eq!(one["configs"]["cleanup.policy"], "compact");

    let partitions = running.get("/v1/topics/prices/partitions").await.json();
    let partitions = partitions["partitions"]
        .as_array()
        .expect("partitions")
        .clone();
    assert_eq!(partitions.len(), 2);
    assert_eq!(partitions[0]["log_end_offset"], 3);
    assert_eq!(partitions[0]["high_watermark"], 3);
    assert_eq!(
        (&partitions[0]["records"], &partitions[1]["records"]),
        (&Value::from(3), &Value::from(0))
    );
    assert_eq!(partitions[0]["produced_bytes"], bytes);
    assert_eq!(partitions[0]["reason"], "active-segment");
    assert_eq!(partitions[1]["log_end_offset"], 0);

    let segments = running
        .get("/v1/topics/prices/partitions/0/segments")
        .await
        .json();
    let segments = segments["segments"].as_array().expect("segments").clone();
    assert_eq!(segments.len(), 1);
    assert_eq!(
        (&segments[0]["base_offset"], &segments[0]["end_offset"]),
        (&Value::from(0), &Value::from(3))
    );
    assert_eq!(segments[0]["size_bytes"], bytes);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_come_in_pages_and_every_one_once() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    for name in ["a", "b", "c", "d", "e"] {
        kafka.create(name, 1).await;
    }
    let mut seen = Vec::new();
    let mut from = String::new();
    loop {
        let page = running
            .get(&format!("/v1/topics?limit=2&from={from}"))
            .await
            .json();
        seen.extend(names(&page));
        match page["next"].as_str() {
            Some(next) => from = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_shows_its_offsets_and_its_lag() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    assert_eq!(
        running.get("/v1/groups").await.json()["groups"],
        Value::Array(Vec::new())
    );
    running
        .get("/v1/groups/app")
        .await
        .is_error(404, "GROUP_ID_NOT_FOUND");
    let topics = running.get("/v1/topics").await.json();
    assert!(
        names(&topics).is_empty(),
        "looking has created a topic: {topics}"
    );

    kafka.create("prices", 1).await;
    kafka
        .produce(
            "prices",
            &[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))],
        )
        .await;
    kafka.commit("app/1 ü", "prices", 1).await;
    let groups = running.get("/v1/groups").await.json();
    assert_eq!(groups["groups"][0]["group"], "app/1 ü");
    let group = running.get("/v1/groups/app%2F1%20%C3%BC").await.json();
    assert_eq!(
        (&group["state"], &group["lag"]),
        (&Value::from("Empty"), &Value::from(2))
    );
    let offset = &group["offsets"][0];
    assert_eq!(
        (&offset["topic"], &offset["committed_offset"]),
        (&Value::from("prices"), &Value::from(1))
    );
    assert_eq!(
        (&offset["end_offset"], &offset["lag"]),
        (&Value::from(3), &Value::from(2))
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_shows_the_records_that_exist_and_the_lag_that_is_really_left() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 1).await;
    for round in 0..10 {
        let value = round.to_string();
        let records = [("a", Some(&*value)), ("b", Some(&*value)), ("c", None)];
        kafka.produce("prices", &records).await;
    }
    kafka.commit("app", "prices", 5).await;
    let compact = "/v1/topics/prices/partitions/0/compact?roll=true&wait=true";
    let head = "Host: localhost\r\nContent-Length: 0\r\nConnection: close";
    let compact = format!("POST {compact} HTTP/1.1\r\n{head}\r\n\r\n");
    request(running.http.local_addr(), compact).await.json();
    kafka.produce("prices", &[("b", Some("last"))]).await;

    let topic = running.get("/v1/topics/prices?counts=exact").await.json();
    assert_eq!(
        (&topic["offsets"], &topic["records"]),
        (&Value::from(31), &Value::from(4))
    );
    let group = running.get("/v1/groups/app").await.json();
    assert_eq!(
        (&group["lag"], &group["true_lag"]),
        (&Value::from(26), &Value::from(4))
    );
    let offset = &group["offsets"][0];
    assert_eq!(
        (&offset["lag"], &offset["true_lag"]),
        (&Value::from(26), &Value::from(4))
    );
    let listed = &running.get("/v1/groups").await.json()["groups"][0];
    assert_eq!(
        (&listed["lag"], &listed["true_lag"]),
        (&Value::from(26), &Value::from(4))
    );
    assert_eq!(listed["members"], 0);
    let metrics = running.get("/metrics").await;
    for name in [
        "lastword_partition_records{topic=\"prices\",partition=\"0\"} ",
        "lastword_group_lag_records{group=\"app\",topic=\"prices\"} ",
    ] {
        let mut lines = metrics.body.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)).expect(name);
        assert_eq!(value.parse(), Ok(4.0), "{name}");
    }
    running
        .get("/v1/topics?counts=guessed")
        .await
        .is_error(400, "INVALID_REQUEST");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cleaner_and_the_broker_say_what_they_are() {
    let running = Running::start(&[("log.cleaner.threads", "2")]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 3).await;
    let cleaner = running.get("/v1/cleaner").await.json();
    assert_eq!(
        (&cleaner["is_enabled"], &cleaner["threads_configured"]),
        (&Value::from(true), &Value::from(2))
    );
    let reasons = cleaner["reasons"].as_object().expect("reasons").clone();
    assert_eq!(reasons.len(), 14);
    let sum: u64 = reasons.values().filter_map(Value::as_u64).sum();
    assert_eq!(sum, 3);
    let broker = running.get("/v1/broker").await.json();
    assert_eq!(
        (&broker["topics"], &broker["partitions"]),
        (&Value::from(1), &Value::from(3))
    );
    assert_eq!(broker["connections"], 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_or_is_misspelt_is_named() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 1).await;
    for path in [
        "/v1/topics/nowhere",
        "/v1/topics/nowhere/partitions",
        "/v1/topics/prices/partitions/1/segments",
        "/v1/topics/prices/partitions/-1/segments",
        "/v1/topics/nowhere/partitions/0/segments",
        "/v1/topics/%2e%2e%2fprices",
        "/v1/topics/%00",
    ] {
        running
            .get(path)
            .await
            .is_error(404, "UNKNOWN_TOPIC_OR_PARTITION");
    }
    for path in [
        "/v1/topics/prices/partitions/one/segments",
        "/v1/topics/prices/partitions/99999999999/segments",
        "/v1/topics/%ff",
        "/v1/topics?limit=many",
        "/v1/topics?limit=-1",
        "/v1/topics?form=a",
    ] {
        running.get(path).await.is_error(400, "INVALID_REQUEST");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_run_is_said_to_be_so() {
    let running = Running::start(&[]).await;
    let address = running.http.local_addr();
    running.server.stop().await.expect("stops");
    for path in ["/v1/topics", "/v1/groups", "/v1/cleaner", "/metrics"] {
        get(address, path)
            .await
            .is_error(503, "BROKER_NOT_AVAILABLE");
    }
    assert_eq!(get(address, "/v1").await.status, 200);
    running.http.stop().await;
}

/// Every GET of the document, tried; what it says of a path is in the router.
#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_names_every_endpoint_and_each_answers() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 1).await;
    kafka.commit("app", "prices", 0).await;
    let document = running.get("/v1").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths").clone();
    assert_eq!(paths.len(), paths_of_the_list().len());
    for (path, operations) in &paths {
        let Some(get) = operations.get("get") else {
            continue;
        };
        assert!(
            get["summary"]
                .as_str()
                .is_some_and(|text| text.ends_with('.')),
            "{path}"
        );
        let filled = path
            .replace("{topic}", "prices")
            .replace("{partition}", "0")
            .replace("{group}", "app");
        // A stream has no end: `page` listens to it.
        let is_stream = get["responses"]["200"]["content"]["text/event-stream"].is_object();
        if filled.contains('{') || is_stream {
            continue;
        }
        let answer = running.get(&filled).await;
        assert!(
            answer.status < 500 && ![404, 405].contains(&answer.status)
                || answer.body.contains("NO_SUCH_KEY"),
            "{path}: {answer:?}"
        );
    }
    running.stop().await;
}

fn paths_of_the_list() -> std::collections::BTreeSet<&'static str> {
    let endpoints = lastword_http::api::endpoints();
    endpoints.iter().map(|endpoint| endpoint.path).collect()
}

fn names(topics: &Value) -> Vec<String> {
    let topics = topics["topics"].as_array().expect("topics");
    let name = |topic: &Value| topic["name"].as_str().expect("a name").to_owned();
    // The broker's own are not these tests' subject.
    let own = |name: &String| !name.starts_with("__");
    topics.iter().map(name).filter(own).collect()
}
