//! A broker with its HTTP server, and requests as bytes on a socket.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use lastword_broker::{BrokerConfig, Server};
use lastword_http::Http;
use serde_json::Value;
use tempfile::TempDir;

pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct Running {
    pub server: Server,
    pub http: Http,
    dir: TempDir,
}

pub fn config(dir: &TempDir, settings: &[(&str, &str)]) -> BrokerConfig {
    let mut properties: BTreeMap<String, String> = BTreeMap::new();
    let path = dir.path().to_str().expect("path");
    let all = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("lastword.http.listen", "127.0.0.1:0"),
        ("log.dirs", path),
    ];
    for (name, value) in all.iter().chain(settings) {
        properties.insert((*name).to_owned(), (*value).to_owned());
    }
    BrokerConfig::from_properties(&properties).expect("config")
}

impl Running {
    pub async fn start(settings: &[(&str, &str)]) -> Running {
        let dir = tempfile::tempdir().expect("directory");
        let config = config(&dir, settings);
        let http = Http::start(&config.http)
            .await
            .expect("listens")
            .expect("is on");
        let server = Server::start(config).await.expect("starts");
        http.serve(server.broker());
        Running { server, http, dir }
    }

    pub async fn get(&self, path: &str) -> Answer {
        get(self.http.local_addr(), path).await
    }

    /// The log directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub async fn stop(self) {
        self.server.stop().await.expect("stops");
        self.http.stop().await;
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        assert!(
            self.head.contains("content-type: application/json"),
            "{self:?}"
        );
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// That it is an error of our form, with this status and code.
    pub fn is_error(&self, status: u16, code: &str) {
        let body = self.json();
        assert_eq!(
            (self.status, body["code"].as_str()),
            (status, Some(code)),
            "{self:?}"
        );
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{self:?}"
        );
    }
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    request(
        address,
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    )
    .await
}

/// Sends these bytes on a connection of their own and reads until it is closed.
pub async fn request(address: SocketAddr, bytes: impl Into<Vec<u8>>) -> Answer {
    let bytes = bytes.into();
    tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        stream.write_all(&bytes).expect("write");
        read_answer(&mut stream)
    })
    .await
    .expect("request")
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(DEADLINE)).expect("timeout");
    stream.set_write_timeout(Some(DEADLINE)).expect("timeout");
    stream
}

/// The answer to one request after which the server closes the connection.
pub fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            // The server may reset a connection on which more comes than it reads.
            Err(_) if !bytes.is_empty() => break,
            Err(error) => panic!("no answer: {error}"),
        }
    }
    let text = String::from_utf8(bytes).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.expect("a status"),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}
