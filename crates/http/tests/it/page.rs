use std::io::{Read, Write};

use crate::client::{DEADLINE, Running, connect, request};
use crate::kafka::Kafka;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_whole_and_may_ask_this_server_alone() {
    let running = Running::start(&[]).await;
    for (path, media_type) in [
        ("/", "text/html"),
        ("/app.css", "text/css"),
        ("/app.js", "text/javascript"),
        ("/licenses", "text/plain"),
    ] {
        let answer = running.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        for header in [
            &format!("content-type: {media_type}; charset=utf-8"),
            "content-security-policy: default-src 'self'",
            "x-content-type-options: nosniff",
        ] {
            assert!(answer.head.contains(header), "{path}: {}", answer.head);
        }
        // Nothing is loaded from elsewhere, and nothing from the broker becomes markup.
        for forbidden in [
            "src=\"http",
            "src=http",
            "url(http",
            "@import",
            "//cdn",
            "document.write",
        ] {
            assert!(!answer.body.contains(forbidden), "{path} has {forbidden}");
        }
    }
    let licences = running.get("/licenses").await.body;
    for name in ["preact", "uplot", "@picocss/pico"] {
        assert!(licences.contains(name), "{name}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_page_is_sent_packed_and_only_when_it_has_changed() {
    let running = Running::start(&[]).await;
    let address = running.http.local_addr();
    let head = "GET /app.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let plain = running.get("/app.js").await;
    let tag = plain
        .head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "));
    let tag = tag.expect("a tag").to_owned();
    let known = request(address, format!("{head}If-None-Match: {tag}\r\n\r\n")).await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    let other = request(address, format!("{head}If-None-Match: \"0\"\r\n\r\n")).await;
    assert_eq!(other.status, 200);

    let packed = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        let asked = format!("{head}Accept-Encoding: br, gzip\r\n\r\n");
        stream.write_all(asked.as_bytes()).expect("write");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("read");
        bytes
    });
    let packed = packed.await.expect("request");
    let text = String::from_utf8_lossy(&packed).into_owned();
    assert!(text.to_ascii_lowercase().contains("content-encoding: gzip"));
    assert!(packed.len() < plain.body.len() / 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_script_there_is_a_table_of_topics() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 2).await;
    let page = running.get("/").await.body;
    assert!(
        page.contains("<th scope=row>prices</th><td>compact</td><td>2</td>"),
        "{page}"
    );
    running.stop().await;
}

/// Reads events until one of this name comes; answers its data.
fn next_event(
    stream: &mut std::net::TcpStream,
    seen: &mut String,
    name: &str,
) -> serde_json::Value {
    let deadline = std::time::Instant::now() + DEADLINE;
    let mut chunk = [0; 4096];
    loop {
        let begin = format!("event: {name}\ndata: ");
        let found = seen.find(&begin).and_then(|at| {
            let rest = &seen[at + begin.len()..];
            let end = rest.find("\n\n")?;
            Some((rest[..end].to_owned(), at + begin.len() + end))
        });
        if let Some((data, end)) = found {
            // Events are chunks of their own, so no chunk's size stands within the data.
            seen.drain(..end);
            return serde_json::from_str(&data).expect("JSON");
        }
        assert!(std::time::Instant::now() < deadline, "no {name}: {seen}");
        let length = stream.read(&mut chunk).expect("more");
        assert!(length > 0, "it ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&chunk[..length]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_of_what_is_written_cleaned_and_deleted_and_of_the_end() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 1).await;
    let address = running.http.local_addr();
    let listening = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        let asked = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(asked).expect("write");
        let mut seen = String::new();
        let snapshot = next_event(&mut stream, &mut seen, "snapshot");
        assert_eq!(snapshot["threads_configured"], 1);
        next_event(&mut stream, &mut seen, "rates");
        (stream, seen)
    });
    let (stream, seen) = listening.await.expect("listens");
    kafka
        .produce("prices", &[("a", Some("1")), ("a", Some("2"))])
        .await;
    let heard = tokio::task::spawn_blocking(move || {
        let (mut stream, mut seen) = (stream, seen);
        loop {
            let topics = next_event(&mut stream, &mut seen, "topics");
            let topics = topics.as_array().expect("topics").clone();
            if let Some(topic) = topics.iter().find(|topic| topic["records"] == 2) {
                assert_eq!(topic["name"], "prices");
                return (stream, seen);
            }
        }
    });
    let (stream, seen) = heard.await.expect("hears");
    let compact = "/v1/topics/prices/partitions/0/compact?roll=true&wait=true";
    let asked = format!("POST {compact} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(request(address, asked).await.status, 200);
    let heard = tokio::task::spawn_blocking(move || {
        let (mut stream, mut seen) = (stream, seen);
        let cleanings = next_event(&mut stream, &mut seen, "cleaning");
        assert_eq!(cleanings[0]["topic"], "prices");
        assert_eq!(cleanings[0]["removed_records"], 1);
        stream
    });
    let mut stream = heard.await.expect("hears");
    let past = running.get("/v1/cleanings?topic=prices").await.json();
    assert_eq!(past["cleanings"][0]["removed_records"], 1);
    assert!(running.get("/v1/history").await.json()["seconds"][0]["at_ms"].is_i64());
    // A server that stops does not wait for its listeners.
    running.stop().await;
    let ended = tokio::task::spawn_blocking(move || {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest)
    });
    ended.await.expect("ends").expect("is closed well");
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_beyond_the_limit_are_told_so_and_everybody_else_is_served() {
    let running = Running::start(&[]).await;
    let address = running.http.local_addr();
    let streams = tokio::task::spawn_blocking(move || {
        let mut streams: Vec<_> = (0..64).map(|_| connect(address)).collect();
        for stream in &mut streams {
            let asked = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write_all(asked).expect("write");
            next_event(stream, &mut String::new(), "snapshot");
        }
        streams
    });
    let mut streams = streams.await.expect("listen");
    running
        .get("/v1/events")
        .await
        .is_error(503, "TOO_MANY_LISTENERS");
    assert_eq!(running.get("/livez").await.status, 200);
    // A place that was left is free for another.
    streams.pop();
    let again = tokio::task::spawn_blocking(move || {
        let deadline = std::time::Instant::now() + DEADLINE;
        loop {
            let mut stream = connect(address);
            let asked = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write_all(asked).expect("write");
            let mut start = [0; 12];
            stream.read_exact(&mut start).expect("a status");
            if &start == b"HTTP/1.1 200" {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "no place");
        }
    });
    again.await.expect("listens");
    drop(streams);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_shown_from_an_offset_by_key_and_as_the_state() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 1).await;
    kafka
        .produce(
            "prices",
            &[("apple", Some("1")), ("pear", Some("2")), ("apple", None)],
        )
        .await;
    let long = "x".repeat(10_000);
    kafka.produce("prices", &[("long", Some(&long))]).await;
    let path = "/v1/topics/prices/partitions/0/records";
    let offsets = |answer: &serde_json::Value| -> Vec<i64> {
        let records = answer["records"].as_array().expect("records").iter();
        records.filter_map(|it| it["offset"].as_i64()).collect()
    };
    let all = running.get(path).await.json();
    assert_eq!(offsets(&all), [0, 1, 2, 3]);
    assert_eq!(
        (&all["is_end"], &all["next_offset"]),
        (&true.into(), &4.into())
    );
    assert_eq!(all["records"][2]["value"], serde_json::Value::Null);
    let cut = &all["records"][3];
    assert_eq!(
        (&cut["is_cut"], &cut["value_bytes"]),
        (&true.into(), &10_000.into())
    );
    assert_eq!(cut["value"].as_str().map(str::len), Some(4096));

    let page = running
        .get(&format!("{path}?offset=1&limit=1"))
        .await
        .json();
    assert_eq!((offsets(&page), &page["next_offset"]), (vec![1], &2.into()));
    assert_eq!(page["is_end"], false);
    let apples = running.get(&format!("{path}?key=ppl")).await.json();
    assert_eq!(offsets(&apples), [0, 2]);
    let state = running.get(&format!("{path}?view=state")).await.json();
    assert_eq!(offsets(&state), [1, 2, 3]);
    let later = running
        .get(&format!("{path}?time=99999999999999"))
        .await
        .json();
    assert_eq!((offsets(&later), &later["is_end"]), (vec![], &true.into()));
    for far in ["-5", "9223372036854775807", "-9223372036854775808"] {
        let answer = running.get(&format!("{path}?offset={far}")).await;
        assert_eq!(answer.status, 200, "{far}");
    }
    for wrong in ["offset=1&time=1", "limit=-1", "view=some", "offset=x"] {
        let answer = running.get(&format!("{path}?{wrong}")).await;
        answer.is_error(400, "INVALID_REQUEST");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outline_has_a_few_partitions_and_says_where_the_next_are() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 5).await;
    kafka.produce("prices", &[("a", Some("1"))]).await;
    let page = running
        .get("/v1/topics/prices/outline?from=0&limit=2")
        .await
        .json();
    assert_eq!(
        (&page["partition_count"], &page["next"]),
        (&5.into(), &2.into())
    );
    let first = &page["partitions"][0];
    assert_eq!(first["stretches"][0]["section"], "active");
    assert_eq!(first["stretches"][0]["end_offset"], 1);
    assert_eq!(first["status"]["reason"], "active-segment");
    let last = running
        .get("/v1/topics/prices/outline?from=4&limit=200")
        .await
        .json();
    assert_eq!(last["partitions"].as_array().map(Vec::len), Some(1));
    assert_eq!(last["next"], serde_json::Value::Null);
    let beyond = format!("/v1/topics/prices/outline?from={}", u64::MAX);
    assert_eq!(
        running.get(&beyond).await.json()["partitions"],
        serde_json::json!([])
    );
    let two = running
        .get("/v1/topics/prices/partitions?from=3&limit=1")
        .await
        .json();
    assert_eq!(two["partitions"][0]["partition"], 3);
    running
        .get("/v1/topics/nowhere/outline")
        .await
        .is_error(404, "UNKNOWN_TOPIC_OR_PARTITION");
    running.stop().await;
}
