//! Incremental fetch sessions (KIP-227).
//!
//! A consumer of many partitions names them once; afterwards it sends only what changed, and is
//! answered only about partitions that have news. The session keeps the list, and what the client
//! was last told of each partition.
//!
//! Invariants
//! - At most `slots` sessions of at most `MAX_SESSION_PARTITIONS` partitions. A client that finds
//!   no place gets session id 0 and goes on with full requests, as KIP-227 wants it.
//! - A session gives way to a new one only when it was not used for two minutes.
//! - The epoch goes up with each request, so that a request sent twice is noticed.
//!
//! Locks: `sessions`, then `Session` inside of it; held for map operations only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use lastword_protocol::messages::FetchRequest;
use lastword_protocol::messages::fetch_request::FetchPartition;
use lastword_protocol::messages::fetch_response::PartitionData;
use lastword_protocol::{ErrorCode, StrBytes, Uuid};

use crate::lock::lock;

/// Partitions a session may keep.
const MAX_SESSION_PARTITIONS: usize = 20_000;
/// A session used within this time is not given up for a new one.
const MIN_EVICTION_MS: i64 = 120_000;
/// The epoch of a request that opens a session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request outside of a session, or of one that closes it.
const FINAL_EPOCH: i32 = -1;
/// From this version on topics are named by id.
const TOPIC_IDS_VERSION: i16 = 13;

/// A partition as a fetch names it: by the topic's name or, later, by its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionKey {
    /// Empty when the id is used.
    pub topic: StrBytes,
    /// Zero when the name is used.
    pub topic_id: Uuid,
    /// The number.
    pub partition: i32,
}

/// What is asked of one partition.
#[derive(Clone, Debug)]
pub struct FetchItem {
    /// Which partition.
    pub key: PartitionKey,
    /// From this offset on.
    pub fetch_offset: i64,
    /// At most so much of it.
    pub max_bytes: i32,
    /// The leader epoch the client knows; -1 for none.
    pub current_leader_epoch: i32,
}

/// One fetch request, resolved against its session.
pub struct FetchContext {
    /// What to fetch, in order.
    pub items: Vec<FetchItem>,
    kind: Kind,
}

enum Kind {
    Sessionless,
    Opening { version: i16 },
    Incremental(Arc<Mutex<Session>>),
}

struct Session {
    id: i32,
    epoch: i32,
    by_topic_id: bool,
    last_used_ms: i64,
    /// Where the next fetch begins, so that early partitions do not starve later ones.
    start: usize,
    partitions: Vec<SessionPartition>,
    places: HashMap<PartitionKey, usize>,
}

struct SessionPartition {
    item: FetchItem,
    /// What the client was told; -1 when it has to be told again.
    known_high_watermark: i64,
    known_log_start_offset: i64,
}

/// The sessions of this broker.
pub struct FetchSessions {
    slots: usize,
    sessions: Mutex<HashMap<i32, Arc<Mutex<Session>>>>,
}

impl FetchSessions {
    /// A cache with this many places.
    pub fn new(slots: usize) -> FetchSessions {
        FetchSessions {
            slots,
            sessions: Mutex::default(),
        }
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        lock(&self.sessions).len()
    }

    /// Resolves a request: which partitions it is about.
    pub fn begin(
        &self,
        request: FetchRequest,
        version: i16,
        now_ms: i64,
    ) -> Result<FetchContext, ErrorCode> {
        let (id, epoch) = (request.session_id, request.session_epoch);
        if version < 7 || epoch == FINAL_EPOCH || epoch == INITIAL_EPOCH {
            if id != 0 {
                lock(&self.sessions).remove(&id);
            }
            let opening = version >= 7 && epoch == INITIAL_EPOCH && self.slots > 0;
            let kind = if opening {
                Kind::Opening { version }
            } else {
                Kind::Sessionless
            };
            return Ok(FetchContext {
                items: items_of(request),
                kind,
            });
        }
        let session = lock(&self.sessions).get(&id).cloned();
        let session = session.ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let items = {
            let mut session = lock(&session);
            if session.epoch != epoch {
                return Err(ErrorCode::InvalidFetchSessionEpoch);
            }
            if session.by_topic_id != (version >= TOPIC_IDS_VERSION) {
                return Err(ErrorCode::FetchSessionTopicIdError);
            }
            session.epoch = next_epoch(epoch);
            session.last_used_ms = now_ms;
            session.update(request);
            session.items()
        };
        Ok(FetchContext {
            items,
            kind: Kind::Incremental(session),
        })
    }

    /// Records what the client is about to be told; returns the session id and the answers that
    /// are news. `answers` are those of `items`, in order.
    pub fn finish(
        &self,
        kind: FinishContext,
        answers: Vec<(FetchItem, PartitionData)>,
        now_ms: i64,
    ) -> (i32, Vec<(FetchItem, PartitionData)>) {
        match kind.0 {
            Kind::Sessionless => (0, answers),
            Kind::Opening { version } => (self.open(version, &answers, now_ms), answers),
            Kind::Incremental(session) => {
                let mut session = lock(&session);
                let news = session.news(answers);
                (session.id, news)
            }
        }
    }

    fn open(&self, version: i16, answers: &[(FetchItem, PartitionData)], now_ms: i64) -> i32 {
        if answers.is_empty() || answers.len() > MAX_SESSION_PARTITIONS {
            return 0;
        }
        let mut session = Session {
            id: 0,
            epoch: next_epoch(INITIAL_EPOCH),
            by_topic_id: version >= TOPIC_IDS_VERSION,
            last_used_ms: now_ms,
            start: 0,
            partitions: Vec::with_capacity(answers.len()),
            places: HashMap::with_capacity(answers.len()),
        };
        for (item, answer) in answers {
            session.put(item.clone());
            session.remember(&item.key, answer);
        }
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= self.slots && !evict_idle(&mut sessions, now_ms) {
            return 0;
        }
        let Some(id) = free_id(&sessions) else {
            return 0;
        };
        session.id = id;
        sessions.insert(id, Arc::new(Mutex::new(session)));
        id
    }
}

/// What [`FetchSessions::finish`] needs of a [`FetchContext`].
pub struct FinishContext(Kind);

impl FetchContext {
    /// Splits the context into what to fetch and what remembers it.
    pub fn into_parts(self) -> (Vec<FetchItem>, FinishContext) {
        (self.items, FinishContext(self.kind))
    }
}

impl Session {
    fn put(&mut self, item: FetchItem) {
        if let Some(&place) = self.places.get(&item.key) {
            if let Some(partition) = self.partitions.get_mut(place) {
                partition.item = item;
            }
            return;
        }
        if self.partitions.len() >= MAX_SESSION_PARTITIONS {
            return;
        }
        self.places.insert(item.key.clone(), self.partitions.len());
        self.partitions.push(SessionPartition {
            item,
            known_high_watermark: -1,
            known_log_start_offset: -1,
        });
    }

    fn remove(&mut self, key: &PartitionKey) {
        let Some(place) = self.places.remove(key) else {
            return;
        };
        self.partitions.swap_remove(place);
        if let Some(moved) = self.partitions.get(place) {
            self.places.insert(moved.item.key.clone(), place);
        }
    }

    fn update(&mut self, mut request: FetchRequest) {
        let forgotten = std::mem::take(&mut request.forgotten_topics_data);
        for item in items_of(request) {
            self.put(item);
        }
        for topic in forgotten {
            for partition in topic.partitions {
                self.remove(&PartitionKey {
                    topic: topic.topic.clone(),
                    topic_id: topic.topic_id,
                    partition,
                });
            }
        }
    }

    fn items(&self) -> Vec<FetchItem> {
        let start = self.start.min(self.partitions.len());
        let (before, after) = self.partitions.split_at(start);
        after
            .iter()
            .chain(before)
            .map(|partition| partition.item.clone())
            .collect()
    }

    fn remember(&mut self, key: &PartitionKey, answer: &PartitionData) {
        let place = self.places.get(key).copied();
        if let Some(partition) = place.and_then(|place| self.partitions.get_mut(place)) {
            let failed = answer.error_code != 0;
            partition.known_high_watermark = if failed { -1 } else { answer.high_watermark };
            partition.known_log_start_offset = if failed { -1 } else { answer.log_start_offset };
        }
    }

    fn is_news(&self, key: &PartitionKey, answer: &PartitionData) -> bool {
        let place = self.places.get(key).copied();
        let Some(known) = place.and_then(|place| self.partitions.get(place)) else {
            return true;
        };
        answer.error_code != 0
            || answer
                .records
                .as_ref()
                .is_some_and(|records| !records.is_empty())
            || answer.high_watermark != known.known_high_watermark
            || answer.log_start_offset != known.known_log_start_offset
    }

    fn news(
        &mut self,
        answers: Vec<(FetchItem, PartitionData)>,
    ) -> Vec<(FetchItem, PartitionData)> {
        let mut news = Vec::new();
        for (item, answer) in answers {
            if !self.is_news(&item.key, &answer) {
                continue;
            }
            self.remember(&item.key, &answer);
            if answer
                .records
                .as_ref()
                .is_some_and(|records| !records.is_empty())
                && let Some(&place) = self.places.get(&item.key)
            {
                self.start = place + 1;
            }
            news.push((item, answer));
        }
        if self.start >= self.partitions.len() {
            self.start = 0;
        }
        news
    }
}

fn items_of(request: FetchRequest) -> Vec<FetchItem> {
    let mut items = Vec::new();
    for topic in request.topics {
        let (name, id) = (topic.topic, topic.topic_id);
        items.extend(
            topic
                .partitions
                .iter()
                .map(|partition| item_of(&name, id, partition)),
        );
    }
    items
}

fn item_of(topic: &StrBytes, topic_id: Uuid, partition: &FetchPartition) -> FetchItem {
    FetchItem {
        key: PartitionKey {
            topic: topic.clone(),
            topic_id,
            partition: partition.partition,
        },
        fetch_offset: partition.fetch_offset,
        max_bytes: partition.partition_max_bytes,
        current_leader_epoch: partition.current_leader_epoch,
    }
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

fn evict_idle(sessions: &mut HashMap<i32, Arc<Mutex<Session>>>, now_ms: i64) -> bool {
    let oldest = sessions
        .iter()
        .map(|(&id, session)| (lock(session).last_used_ms, id))
        .min()
        .filter(|&(last_used_ms, _)| now_ms - last_used_ms >= MIN_EVICTION_MS);
    oldest.is_some_and(|(_, id)| sessions.remove(&id).is_some())
}

/// A random id, so that nobody meets the session of somebody else by counting.
fn free_id(sessions: &HashMap<i32, Arc<Mutex<Session>>>) -> Option<i32> {
    for _ in 0..100 {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).ok()?;
        let id = i32::from_be_bytes(bytes) & i32::MAX;
        if id != 0 && !sessions.contains_key(&id) {
            return Some(id);
        }
    }
    None
}

#[cfg(test)]
mod tests;
