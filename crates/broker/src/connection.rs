//! One client: frames in, replies out in request order.
//!
//! One task per connection runs a reading and a writing half side by side. The reader starts
//! requests in order and hands each reply to the writer through a short queue; when the queue is
//! full nothing more is read, so a client that does not read its answers stops being served and
//! costs a bounded amount of memory.
//!
//! What a frame may take once decoded is charged to the broker's request memory before its body is
//! read, and given back when its handler has returned. What a client sends can close its own connection, with one
//! rate-limited log line, and nothing else.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use lastword_protocol::frame::{LENGTH_PREFIX_BYTES, request_length};
use lastword_protocol::{ApiKey, RequestHeader, ResponseFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::api::{Reply, RequestContext};
use crate::broker::{Broker, Endpoint};
use crate::dispatch::dispatch;

/// Requests of one connection that may be in work or waiting for their turn to be answered.
const MAX_PIPELINED: usize = 16;
/// The first frame of a connection must have come by then.
const FIRST_FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// A frame that has begun must end: this long, and longer for big ones.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// The slowest client that is waited for while it sends a big frame.
const SLOWEST_BYTES_PER_SECOND: usize = 256 * 1024;
/// A client that takes no byte of its answer for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an answer may still take once the broker stops.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// Read ahead by this much.
const READ_AHEAD_BYTES: usize = 16 * 1024;
/// An idle connection gives its read buffer back after this long.
const BUFFER_RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// Length, api key and version: enough to know how long the frame may be.
const PEEK_BYTES: usize = LENGTH_PREFIX_BYTES + 4;

/// Why a connection ends early.
enum Close {
    /// The client did what it may not do.
    Refused(String),
    /// The client is gone, or too slow to tell apart from one that is.
    Gone(String),
}

/// The end of a connection for something the client sent.
fn refused(reason: impl ToString) -> Close {
    Close::Refused(reason.to_string())
}

/// What connections share.
pub(crate) struct ConnectionLimits {
    /// Bytes of requests in work over all connections.
    pub(crate) request_memory: Semaphore,
    /// All of it.
    pub(crate) request_memory_bytes: usize,
    pub(crate) max_request_bytes: usize,
    pub(crate) idle_timeout: Duration,
}

/// Serves one client until it leaves, misbehaves, or the broker stops.
pub(crate) async fn serve(
    broker: Arc<Broker>,
    limits: Arc<ConnectionLimits>,
    stream: TcpStream,
    (peer, endpoint): (SocketAddr, Arc<Endpoint>),
    stop: watch::Receiver<bool>,
) {
    let (read_half, write_half) = stream.into_split();
    let (sender, receiver) = mpsc::channel(MAX_PIPELINED);
    let from = (peer, endpoint);
    let reading = read_requests(&broker, &limits, read_half, from, stop.clone(), sender);
    let writing = write_replies(write_half, receiver, stop.clone());
    // The reader's end drops the queue: the writer finishes what was begun, then ends as well.
    let (read, written) = tokio::join!(
        async {
            let result = reading.await;
            (result, ())
        },
        writing
    );
    let reason = match written.and(read.0) {
        Ok(()) => return,
        Err(Close::Gone(reason)) => {
            tracing::debug!("lost {peer}: {}", escaped(&reason));
            return;
        }
        Err(Close::Refused(reason)) => reason,
    };
    crate::server::log_rejected(&format!("closed {peer}: {}", escaped(&reason)));
}

/// Names from the network go into logs on one line and not for ever.
fn escaped(reason: &str) -> String {
    reason
        .chars()
        .take(256)
        .flat_map(char::escape_debug)
        .collect()
}

async fn read_requests(
    broker: &Arc<Broker>,
    limits: &ConnectionLimits,
    stream: OwnedReadHalf,
    (peer, endpoint): (SocketAddr, Arc<Endpoint>),
    mut stop: watch::Receiver<bool>,
    replies: mpsc::Sender<Reply>,
) -> Result<(), Close> {
    let mut reader = FrameReader {
        stream,
        buffer: BytesMut::new(),
        first: true,
    };
    loop {
        let frame = tokio::select! {
            biased;
            _ = stop.wait_for(|&stopping| stopping) => return Ok(()),
            () = replies.closed() => return Ok(()),
            frame = reader.next_frame(limits) => frame?,
        };
        let Some((frame, permit)) = frame else {
            return Ok(());
        };
        let (header, body) = RequestHeader::parse(frame).map_err(refused)?;
        let context = RequestContext {
            api_key: header.api_key,
            api_version: header.api_version,
            correlation_id: header.correlation_id,
            client_id: header.client_id,
            peer,
            endpoint: endpoint.clone(),
        };
        let reply = dispatch(broker, &context, body).await;
        drop(permit);
        match reply {
            Reply::Nothing => {}
            Reply::Close(reason) => return Err(Close::Refused(reason)),
            reply => {
                if replies.send(reply).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

struct FrameReader {
    stream: OwnedReadHalf,
    buffer: BytesMut,
    first: bool,
}

impl FrameReader {
    /// The next frame without its length prefix, and its share of the request memory; `None` when
    /// the client has closed its end between two frames.
    async fn next_frame<'a>(
        &mut self,
        limits: &'a ConnectionLimits,
    ) -> Result<Option<(Bytes, SemaphorePermit<'a>)>, Close> {
        if !self.wait_for_first_byte(limits).await? {
            return Ok(None);
        }
        self.first = false;
        let begun = Instant::now() + FRAME_TIMEOUT;
        // A length that lies is judged before anything more is waited for.
        self.fill(LENGTH_PREFIX_BYTES, begun).await?;
        let length = self.frame_length(limits)?;
        self.fill(PEEK_BYTES, begun).await?;
        let charge = self.frame_charge(length, limits)?;
        let permit = limits
            .request_memory
            .acquire_many(charge)
            .await
            .map_err(|_| Close::Gone("the broker is stopping".to_owned()))?;
        let allowance = Duration::from_secs((length / SLOWEST_BYTES_PER_SECOND) as u64);
        self.fill(
            LENGTH_PREFIX_BYTES + length,
            Instant::now() + FRAME_TIMEOUT + allowance,
        )
        .await?;
        self.buffer.advance(LENGTH_PREFIX_BYTES);
        Ok(Some((self.buffer.split_to(length).freeze(), permit)))
    }

    /// Whether there is another frame. An idle connection holds no buffer.
    async fn wait_for_first_byte(&mut self, limits: &ConnectionLimits) -> Result<bool, Close> {
        if !self.buffer.is_empty() {
            return Ok(true);
        }
        let patience = if self.first {
            FIRST_FRAME_TIMEOUT
        } else {
            limits.idle_timeout
        };
        let deadline = Instant::now() + patience;
        let release = deadline.min(Instant::now() + BUFFER_RELEASE_TIMEOUT);
        if !self.first {
            match timeout_at(release, self.read_more(READ_AHEAD_BYTES)).await {
                Ok(count) => return Ok(count? > 0),
                Err(_) => self.buffer = BytesMut::new(),
            }
        }
        match timeout_at(deadline, self.stream.readable()).await {
            Err(_) if self.first => Err(refused("sent no request in time")),
            Err(_) => Ok(false),
            Ok(ready) => {
                ready.map_err(read_failed)?;
                Ok(self.read_more(READ_AHEAD_BYTES).await? > 0)
            }
        }
    }

    /// Bytes of the frame.
    fn frame_length(&self, limits: &ConnectionLimits) -> Result<usize, Close> {
        let Some(prefix) = self.buffer.first_chunk::<LENGTH_PREFIX_BYTES>() else {
            return Err(refused("short frame"));
        };
        request_length(*prefix, limits.max_request_bytes).map_err(refused)
    }

    /// What a frame of this length may take in memory once decoded.
    fn frame_charge(&self, length: usize, limits: &ConnectionLimits) -> Result<u32, Close> {
        let Some([_, _, _, _, key_high, key_low, ..]) = self.buffer.get(..PEEK_BYTES) else {
            return Err(refused("short frame"));
        };
        let key = i16::from_be_bytes([*key_high, *key_low]);
        let Some(api_key) = ApiKey::from_i16(key) else {
            return Err(refused(format!("unknown api key {key}")));
        };
        let body = api_key.body_limit();
        let limit = body.bytes();
        if length > limit {
            let name = api_key.name();
            return Err(refused(format!(
                "a {name} request of {length} bytes, allowed: {limit}"
            )));
        }
        // One request of the largest size always fits.
        let charge = length
            .saturating_mul(body.expansion())
            .min(limits.request_memory_bytes);
        Ok(u32::try_from(charge).unwrap_or(u32::MAX))
    }

    async fn fill(&mut self, bytes: usize, deadline: Instant) -> Result<(), Close> {
        while self.buffer.len() < bytes {
            let wanted = (bytes - self.buffer.len()).max(READ_AHEAD_BYTES);
            match timeout_at(deadline, self.read_more(wanted)).await {
                Err(_) => return Err(refused("a frame took too long to arrive")),
                Ok(Ok(0)) => return Err(Close::Gone("the client left within a frame".to_owned())),
                Ok(count) => count?,
            };
        }
        Ok(())
    }

    /// Cancel-safe: what was read is in the buffer.
    async fn read_more(&mut self, wanted: usize) -> Result<usize, Close> {
        self.buffer.reserve(wanted);
        self.stream
            .read_buf(&mut self.buffer)
            .await
            .map_err(read_failed)
    }
}

fn read_failed(error: io::Error) -> Close {
    Close::Gone(format!("read failed: {error}"))
}

async fn write_replies(
    mut stream: OwnedWriteHalf,
    mut replies: mpsc::Receiver<Reply>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Close> {
    while let Some(mut reply) = replies.recv().await {
        let frame = loop {
            match reply {
                Reply::Now(frame) => break frame,
                Reply::Later(future) => {
                    reply = tokio::select! {
                        reply = future => reply,
                        () = stopped(&mut stop) => return Ok(()),
                    }
                }
                Reply::Nothing => break ResponseFrame::default(),
                Reply::Close(reason) => return Err(Close::Refused(reason)),
            }
        };
        write_frame(&mut stream, frame).await?;
    }
    Ok(())
}

/// Ready when the broker has been stopping for a while. Durable answers come within that time;
/// a wait for events that may never come is not finished.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|&stopping| stopping).await;
    tokio::time::sleep(STOP_GRACE).await;
}

async fn write_frame(stream: &mut OwnedWriteHalf, frame: ResponseFrame) -> Result<(), Close> {
    let mut parts = frame.into_parts();
    let mut next = 0;
    while next < parts.len() {
        let slices: Vec<IoSlice<'_>> = parts[next..]
            .iter()
            .take(64)
            .map(|part| IoSlice::new(part))
            .collect();
        let written = timeout(WRITE_TIMEOUT, stream.write_vectored(&slices))
            .await
            .map_err(|_| refused("the client does not read its answers"))?
            .map_err(|error| Close::Gone(format!("write failed: {error}")))?;
        if written == 0 {
            let reason = "write failed: the connection takes no more bytes";
            return Err(Close::Gone(reason.to_owned()));
        }
        next = advance(&mut parts, next, written);
    }
    Ok(())
}

/// Marks bytes as written; returns the first part that is not.
fn advance(parts: &mut [Bytes], mut next: usize, mut written: usize) -> usize {
    while let Some(part) = parts.get_mut(next) {
        if written < part.len() {
            part.advance(written);
            break;
        }
        written -= part.len();
        // Record data is freed as soon as it has left.
        *part = Bytes::new();
        next += 1;
    }
    next
}
