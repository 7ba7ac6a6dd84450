//! A small HTTP/1.1 client for the commands that talk to a broker's `--http` address. Blocking; one connection a
//! request; no TLS, no redirects, no proxy: it speaks to this project's own server.
//!
//! Everything that comes back is bounded: the head, the body, and the time that each read may take. A body comes by
//! `Content-Length`, in chunks, or until the connection is closed.
//!
//! No lock.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

/// Where a broker serves HTTP unless it is told otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:9644";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of a line of the head, and of a chunk's size.
const MAX_LINE_BYTES: u64 = 16 << 10;
const MAX_HEADERS: usize = 100;
/// Most bytes of an answer.
const MAX_BODY_BYTES: u64 = 256 << 20;

/// A broker's HTTP address.
#[derive(Clone, Debug)]
pub struct Client {
    address: String,
    timeout: Duration,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// All of it.
    pub body: Vec<u8>,
}

/// What a broker says when it refuses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// One word; Kafka's name of the error where there is one.
    pub code: String,
    /// For people.
    pub message: String,
}

/// The text names no address.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is no HTTP address: expected host:port")]
pub struct InvalidAddress(pub String);

impl Client {
    /// `address` is `host:port`, or `http://host:port`. `timeout` is how long an answer may keep us waiting for its next
    /// byte.
    pub fn new(address: &str, timeout: Duration) -> Result<Client, InvalidAddress> {
        let stripped = address.strip_prefix("http://").unwrap_or(address);
        let stripped = stripped.trim_end_matches('/');
        let has_port = stripped
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !has_port || stripped.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
        {
            return Err(InvalidAddress(address.to_owned()));
        }
        Ok(Client {
            address: stripped.to_owned(),
            timeout,
        })
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// One request on a connection of its own. `path` has its parts encoded ([`encode`]); `body` is JSON, and for
    /// anything but `GET` an empty one is sent when there is none.
    pub fn send(&self, method: &str, path: &str, body: Option<&str>) -> io::Result<Answer> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nConnection: close\r\n",
            self.address
        );
        let body = body.unwrap_or_default();
        if method != "GET" {
            request += &format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        request += "\r\n";
        request += body;
        // A server that refuses early closes before it has read all; its answer says why.
        let written = stream.write_all(request.as_bytes());
        match read_answer(&mut BufReader::new(&stream)) {
            Ok(answer) => Ok(answer),
            Err(error) => Err(written.err().unwrap_or(error)),
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Answer {
    /// Why the broker refused, if it did.
    pub fn refusal(&self) -> Option<Refusal> {
        if (200..300).contains(&self.status) {
            return None;
        }
        let refusal = serde_json::from_slice(&self.body);
        Some(refusal.unwrap_or_else(|_| Refusal {
            code: format!("HTTP_{}", self.status),
            message: "the answer does not say more".to_owned(),
        }))
    }
}

/// A part of a path or of a query, with everything that could be taken for something else as %XX.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            byte => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

fn read_answer(reader: &mut impl BufRead) -> io::Result<Answer> {
    let status_line = read_line(reader)?;
    let status = status_line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| malformed("this is no HTTP"))?;
    let mut length = None;
    let mut is_chunked = false;
    for number in 0.. {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        if number == MAX_HEADERS {
            return Err(malformed("the answer has too many headers"));
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| malformed("a header without a colon"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let parsed = value.parse::<u64>();
            length = Some(parsed.map_err(|_| malformed("a length that is no number"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            is_chunked = value.eq_ignore_ascii_case("chunked");
        }
    }
    let mut body = Vec::new();
    match length {
        _ if is_chunked => read_chunks(reader, &mut body)?,
        Some(length) => read_exactly(reader, length, &mut body)?,
        None => {
            reader.take(MAX_BODY_BYTES + 1).read_to_end(&mut body)?;
            check_room(&body, 0)?;
        }
    }
    Ok(Answer { status, body })
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(reader)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size =
            u64::from_str_radix(size, 16).map_err(|_| malformed("a chunk without a size"))?;
        if size == 0 {
            return Ok(());
        }
        read_exactly(reader, size, body)?;
        if !read_line(reader)?.is_empty() {
            return Err(malformed("a chunk that does not end"));
        }
    }
}

/// What is announced decides how much is read, and only what has come is kept.
fn read_exactly(reader: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    check_room(body, length)?;
    let read = reader.take(length).read_to_end(body)?;
    match read as u64 == length {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn check_room(body: &[u8], more: u64) -> io::Result<()> {
    match (body.len() as u64).checked_add(more) {
        Some(length) if length <= MAX_BODY_BYTES => Ok(()),
        _ => Err(malformed("the answer is too long")),
    }
}

/// A line without its end.
fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(match line.len() as u64 + 1 >= MAX_LINE_BYTES {
            true => malformed("a line that does not end"),
            false => io::ErrorKind::UnexpectedEof.into(),
        });
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| malformed("a head that is not text"))
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> io::Result<Answer> {
        read_answer(&mut text.as_bytes())
    }

    #[test]
    fn a_body_comes_by_length_in_chunks_or_until_the_end() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\n\nhello",
        ] {
            let answer = read(text).expect(text);
            assert_eq!((answer.status, &answer.body[..]), (200, &b"hello"[..]));
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error_and_takes_no_memory() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(20_000));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200));
        for text in [
            "",
            "\0\0\0\n",
            "HTTP/1.1 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            &long,
            &many,
        ] {
            assert!(read(text).is_err(), "{text:.60}");
        }
    }

    #[test]
    fn an_address_has_a_port_and_nothing_behind_it() {
        for address in ["127.0.0.1:9644", "http://localhost:1/", "[::1]:9644"] {
            assert!(Client::new(address, CONNECT_TIMEOUT).is_ok(), "{address}");
        }
        for address in [
            "",
            "localhost",
            ":1",
            "a:b",
            "a:1/x",
            "a b:1",
            "a\r\nX: y:1",
            "https://a:1",
        ] {
            assert!(Client::new(address, CONNECT_TIMEOUT).is_err(), "{address}");
        }
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_encoded() {
        assert_eq!(encode("a-b.c_d~9"), "a-b.c_d~9");
        assert_eq!(encode("a/b?c&d=%é\n"), "a%2Fb%3Fc%26d%3D%25%C3%A9%0A");
    }
}
