use lastword_broker::Server;
use lastword_http::Http;
use lastword_record::TopicPartition;

use crate::client::{Running, config, get};
use crate::kafka::Kafka;

#[tokio::test(flavor = "multi_thread")]
async fn a_running_broker_is_live_and_ready_and_says_what_was_looked_at() {
    let running = Running::start(&[]).await;
    let live = running.get("/livez").await;
    assert_eq!(
        (live.status, live.json()["status"].as_str()),
        (200, Some("live"))
    );
    let ready = running.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let body = ready.json();
    assert_eq!(body["status"], "ready");
    let checks = body["checks"].as_array().expect("checks");
    assert!(checks.iter().all(|check| check["ok"] == true), "{checks:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_broker_runs_it_is_live_but_not_ready_and_so_it_is_when_it_stops() {
    let dir = tempfile::tempdir().expect("directory");
    let config = config(&dir, &[]);
    let http = Http::start(&config.http)
        .await
        .expect("listens")
        .expect("is on");
    let address = http.local_addr();
    assert_eq!(get(address, "/livez").await.status, 200);
    let answer = get(address, "/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["checks"][0]["name"], "recovery");

    let server = Server::start(config).await.expect("starts");
    http.serve(server.broker());
    assert_eq!(get(address, "/readyz").await.status, 200);

    server.stop().await.expect("stops");
    let answer = get(address, "/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["checks"][0]["why"], "the broker is stopping");
    assert_eq!(get(address, "/livez").await.status, 200);
    http.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_off_is_not_there_and_a_port_in_use_is_named() {
    let dir = tempfile::tempdir().expect("directory");
    let off = config(&dir, &[("lastword.http.listen", "off")]);
    assert!(Http::start(&off.http).await.expect("is no error").is_none());

    let first = Http::start(&config(&dir, &[]).http)
        .await
        .expect("listens")
        .expect("is on");
    let address = first.local_addr().to_string();
    let second = config(&dir, &[("lastword.http.listen", &address)]);
    let Err(error) = Http::start(&second.http).await else {
        panic!("listened twice");
    };
    assert!(error.is_named);
    assert_eq!(error.address, address);
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_directory_that_takes_no_writes_is_not_ready_and_the_reason_is_told() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 1).await;
    kafka.produce("prices", &[("a", Some("1"))]).await;
    let broker = running.server.broker().clone();
    std::fs::remove_dir_all(running.path().join("prices-0")).expect("removes");
    let log = broker.logs.get(&TopicPartition::new("prices", 0));
    // A new segment has no directory to be in.
    assert!(log.expect("a log").roll().is_err());

    let answer = running.get("/readyz").await;
    assert_eq!(answer.status, 503);
    let body = answer.json();
    let checks = body["checks"].as_array().expect("checks");
    let failed: Vec<_> = checks.iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["name"], "log_dir");
    assert!(failed[0]["why"].as_str().is_some_and(|why| !why.is_empty()));
    assert_eq!(running.get("/livez").await.status, 200);
    let metrics = running.get("/metrics").await.body;
    let offline = metrics
        .lines()
        .find(|line| line.starts_with("lastword_log_dir_offline{"));
    assert!(
        offline.is_some_and(|line| line.ends_with(" 1.0")),
        "{offline:?}"
    );
    running.http.stop().await;
}
