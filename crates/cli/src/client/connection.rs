//! One connection to one broker: connect, negotiate versions, ask, read the answer.
//!
//! After any failure in the middle of an exchange the connection is broken for good: the next answer on it could be
//! anyone's.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use lastword_protocol::messages::RequestResponsePair;
use lastword_protocol::messages::api_versions_request::ApiVersionsRequest;
use lastword_protocol::{ApiKey, Bytes, client, frame, message};

use crate::error::{CliError, Exit, Result};

/// The largest answer that is read: more than any fetch asks for.
const MAX_RESPONSE_BYTES: usize = 256 << 20;
const CLIENT_ID: &str = "lastword-cli";

pub struct Connection {
    address: String,
    stream: TcpStream,
    timeout: Duration,
    correlation_id: i32,
    /// Lowest and highest version by API key, as the broker stated.
    versions: HashMap<i16, (i16, i16)>,
    is_broken: bool,
}

impl Connection {
    pub fn open(address: &str, timeout: Duration) -> Result<Connection> {
        let stream = connect(address, timeout)?;
        let mut connection = Connection {
            address: address.to_owned(),
            stream,
            timeout,
            correlation_id: 0,
            versions: HashMap::new(),
            is_broken: false,
        };
        // Version 0 is the one that every broker since 0.10 answers without a second round.
        let response = connection.exchange(&message!(ApiVersionsRequest {}), 0, Duration::ZERO)?;
        if response.error_code != 0 {
            return Err(CliError::refused(
                format!("{address} does not tell its versions"),
                response.error_code,
                None,
            ));
        }
        for api in &response.api_keys {
            connection
                .versions
                .insert(api.api_key, (api.min_version, api.max_version));
        }
        Ok(connection)
    }

    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Asks in the highest version that both sides know and that is at most `highest`.
    pub fn call<R: RequestResponsePair>(
        &mut self,
        request: &R,
        highest: i16,
        wait: Duration,
    ) -> Result<R::Response> {
        let key = R::API_KEY.value();
        let name = ApiKey::from_i16(key).map_or("this request", ApiKey::name);
        let ours = (
            R::SUPPORTED_VERSIONS.min().value(),
            R::SUPPORTED_VERSIONS.max().value().min(highest),
        );
        // What is encoded must be what this tool was tested with, not merely what the codec can write.
        let ours = ApiKey::from_i16(key).map_or(ours, |key| {
            (ours.0.max(key.versions().0), ours.1.min(key.versions().1))
        });
        let Some(theirs) = self.versions.get(&key).copied() else {
            return Err(CliError::new(
                Exit::Refused,
                "UNSUPPORTED_VERSION",
                format!("{} does not serve {name}", self.address),
            ));
        };
        let version = ours.1.min(theirs.1);
        if version < ours.0.max(theirs.0) {
            return Err(CliError::new(
                Exit::Refused,
                "UNSUPPORTED_VERSION",
                format!(
                    "{} and this tool have no version of {name} in common",
                    self.address
                ),
            )
            .why(format!(
                "it serves {} to {}, this tool speaks {} to {}",
                theirs.0, theirs.1, ours.0, ours.1
            )));
        }
        self.exchange(request, version, wait)
    }

    fn exchange<R: RequestResponsePair>(
        &mut self,
        request: &R,
        version: i16,
        wait: Duration,
    ) -> Result<R::Response> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let bytes = client::encode_request(request, version, self.correlation_id, CLIENT_ID)
            .map_err(|error| {
                CliError::local("ENCODE", "this request cannot be written").why(error.to_string())
            })?;
        self.is_broken = true;
        let frame = self
            .stream
            .write_all(&bytes)
            .and_then(|()| self.stream.set_read_timeout(Some(self.timeout + wait)))
            .map_err(|error| self.lost(&error))
            .and_then(|()| self.read_frame())?;
        let (correlation_id, response) =
            client::decode_response::<R>(frame, version).map_err(|error| {
                CliError::new(
                    Exit::Refused,
                    "PROTOCOL",
                    format!("{} sent an answer that cannot be read", self.address),
                )
                .why(error.to_string())
            })?;
        if correlation_id != self.correlation_id {
            return Err(CliError::new(
                Exit::Refused,
                "PROTOCOL",
                format!("{} answered another request", self.address),
            ));
        }
        self.is_broken = false;
        Ok(response)
    }

    fn read_frame(&mut self) -> Result<Bytes> {
        let mut prefix = [0; frame::LENGTH_PREFIX_BYTES];
        self.stream
            .read_exact(&mut prefix)
            .map_err(|error| self.lost(&error))?;
        if let Some(error) = self.other_protocol(prefix) {
            return Err(error);
        }
        let length = frame::response_length(prefix, MAX_RESPONSE_BYTES).map_err(|error| {
            CliError::new(
                Exit::Refused,
                "PROTOCOL",
                format!("{} does not answer like a Kafka broker", self.address),
            )
            .why(error.to_string())
            .hint("check that this is the port of the Kafka listener")
        })?;
        // Grown as the bytes come: the length is only a claim.
        let mut bytes = Vec::new();
        let read = (&mut self.stream)
            .take(length as u64)
            .read_to_end(&mut bytes)
            .map_err(|error| self.lost(&error))?;
        if read < length {
            return Err(self.lost(&io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Bytes::from(bytes))
    }

    /// Two mistakes that everyone makes once.
    fn other_protocol(&self, prefix: [u8; 4]) -> Option<CliError> {
        let error = |what: &str, hint: &str| {
            CliError::new(
                Exit::Refused,
                "PROTOCOL",
                format!("{} {what}", self.address),
            )
            .hint(hint)
        };
        match &prefix {
            // A TLS record: alert or handshake, version 3.x.
            [0x15 | 0x16, 0x03, ..] => Some(error(
                "speaks TLS",
                "use the plaintext listener: this tool does not speak TLS",
            )),
            b"HTTP" => Some(error(
                "speaks HTTP",
                "use the port of the Kafka listener, 9092 by default",
            )),
            _ => None,
        }
    }

    fn lost(&self, error: &io::Error) -> CliError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => CliError::new(
                Exit::Unreachable,
                "REQUEST_TIMED_OUT",
                format!("{} did not answer in {} s", self.address, self.timeout.as_secs()),
            )
            .hint("try again, or give it longer with --timeout SECONDS"),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => CliError::new(
                Exit::Unreachable,
                "DISCONNECTED",
                format!("{} closed the connection", self.address),
            )
            .hint("look at the broker's log; a listener with TLS or SASL closes a plain connection like this"),
            _ => CliError::new(Exit::Unreachable, "NETWORK", format!("lost {}", self.address)).why(error.to_string()),
        }
    }
}

/// Tries every address that the name has: `localhost` is often two.
fn connect(address: &str, timeout: Duration) -> Result<TcpStream> {
    let unreachable = |why: String| {
        CliError::new(
            Exit::Unreachable,
            "UNREACHABLE",
            format!("cannot reach {address}"),
        )
        .why(why)
        .hint("start a broker with `lastword serve`, or name another with -b HOST:PORT")
    };
    let resolved = address
        .to_socket_addrs()
        .map_err(|error| unreachable(error.to_string()))?;
    let mut why = "the name has no address".to_owned();
    for socket_address in resolved {
        match TcpStream::connect_timeout(&socket_address, timeout.min(Duration::from_secs(10))) {
            Ok(stream) => {
                let set = stream
                    .set_nodelay(true)
                    .and_then(|()| stream.set_write_timeout(Some(timeout)));
                return set
                    .map(|()| stream)
                    .map_err(|error| unreachable(error.to_string()));
            }
            Err(error) => why = error.to_string(),
        }
    }
    Err(unreachable(why))
}
