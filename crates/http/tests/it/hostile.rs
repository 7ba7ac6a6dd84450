use std::io::Write;

use crate::client::{Answer, Running, connect, read_answer, request};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_an_error_as_json() {
    let running = Running::start(&[]).await;
    running.get("/v2").await.is_error(404, "NOT_FOUND");
    running.get("/page.js/").await.is_error(404, "NOT_FOUND");
    send(
        &running,
        "DELETE /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    .await
    .is_error(405, "METHOD_NOT_ALLOWED");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_gibibyte_is_refused_when_it_is_announced_and_when_it_is_not() {
    let running = Running::start(&[]).await;
    let announced = "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n";
    send(&running, announced)
        .await
        .is_error(413, "MESSAGE_TOO_LARGE");

    let address = running.http.local_addr();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        stream
            .write_all(
                b"POST /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
            )
            .expect("write");
        let mut chunk = b"4000\r\n".to_vec();
        chunk.resize(chunk.len() + 0x4000, b'x');
        chunk.extend_from_slice(b"\r\n");
        let mut sent = 0;
        // Until the server has had enough.
        while sent < 1 << 30 && stream.write_all(&chunk).is_ok() {
            sent += chunk.len();
        }
        assert!(sent < 1 << 30, "the server took a gibibyte");
        sent
    })
    .await
    .expect("request");
    assert!(answer < 64 << 20, "{answer} bytes were taken");
    assert_eq!(running.get("/livez").await.status, 200);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_a_little_too_long_is_refused() {
    let running = Running::start(&[]).await;
    let mut bytes =
        b"POST /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    bytes.extend_from_slice(b"10001\r\n");
    bytes.resize(bytes.len() + 0x10001, b'x');
    bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    request(running.http.local_addr(), bytes)
        .await
        .is_error(413, "MESSAGE_TOO_LARGE");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_long_or_no_http_is_refused() {
    let running = Running::start(&[]).await;
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a".repeat(20_000)
    );
    assert!([414, 431].contains(&send(&running, &long).await.status));
    let many: String = (0..100).map(|i| format!("X-{i}: y\r\n")).collect();
    let many = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    assert_eq!(send(&running, &many).await.status, 431);
    // A Kafka client: ApiVersions, version 0, to the wrong port.
    let kafka = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0, 0];
    let answer = request(running.http.local_addr(), kafka).await;
    assert_eq!(answer.status, 400);
    assert_eq!(running.get("/livez").await.status, 200);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loopback_listener_answers_no_other_host_and_no_foreign_page() {
    let running = Running::start(&[]).await;
    for host in ["evil.example", "127.0.0.1.evil.example:9644", ""] {
        let text = format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        send(&running, &text).await.is_error(403, "INVALID_HOST");
    }
    for header in [
        "Origin: http://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
    ] {
        let text = format!(
            "POST /livez HTTP/1.1\r\nHost: localhost\r\n{header}\r\nConnection: close\r\n\r\n"
        );
        send(&running, &text).await.is_error(403, "FOREIGN_ORIGIN");
    }
    let own = "POST /livez HTTP/1.1\r\nHost: localhost:1\r\nOrigin: http://localhost:1\r\nConnection: close\r\n\r\n";
    send(&running, own)
        .await
        .is_error(405, "METHOD_NOT_ALLOWED");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_only_reads_takes_no_post() {
    let running = Running::start(&[("lastword.http.admin.enable", "false")]).await;
    let post = "POST /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    send(&running, post).await.is_error(403, "READ_ONLY");
    assert_eq!(running.get("/livez").await.status, 200);
    // The page leaves its buttons out.
    let broker = running.get("/v1/broker").await.json();
    assert_eq!(broker["is_admin_enabled"], false);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_closed_and_the_others_are_served() {
    let running = Running::start(&[]).await;
    let address = running.http.local_addr();
    tokio::task::spawn_blocking(move || {
        let half = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        let mut open: Vec<_> = (0..256).map(|_| connect(address)).collect();
        for stream in &mut open {
            stream.write_all(half).expect("write");
        }
        let mut first = open.swap_remove(0);
        first.write_all(b"\r\n").expect("write");
        assert_eq!(read_answer(&mut first).status, 200);
    })
    .await
    .expect("requests");
    running.stop().await;
}

async fn send(running: &Running, text: &str) -> Answer {
    request(running.http.local_addr(), text).await
}
