//! `Feed`: what the page is drawn from while it is open. Once a second the counters of the broker are read and become a
//! point of the history; while somebody listens, what has changed since the second before goes out as events.
//!
//! Every listener is sent the same bytes. Who does not keep up gets a new snapshot instead of what he has missed, so a
//! listener costs a few pointers, however long he stays. What is kept of the broker is bounded: ten minutes by the second,
//! a day by the minute, and two numbers for each topic.
//!
//! Lock: `history`, for moments. The task holds no broker between two seconds.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::body::Bytes;
use lastword_broker::Broker;
use lastword_broker::partition::CountBudget;
use lastword_storage::histogram::BOUNDS_US;
use serde::Serialize;
use tokio::sync::{Semaphore, broadcast};
use tokio::time::{MissedTickBehavior, interval};

use crate::api::{cleaner, topics};
use crate::shared::{Phase, Shared};

/// Between two points.
const PERIOD: Duration = Duration::from_secs(1);
/// Points by the second.
const FINE_POINTS: usize = 600;
/// Points by the minute.
const COARSE_POINTS: usize = 1440;
const FINE_PER_COARSE: u32 = 60;
/// Listeners at a time: the other connections are for probes and people.
const MAX_LISTENERS: usize = 64;
/// Events that a listener may be behind.
const BACKLOG: usize = 16;
/// Topics in one event; the others are in the next.
const MOST_TOPICS: usize = 500;
/// What counting records may take of it.
const COUNT_TIME: Duration = Duration::from_millis(50);
/// Every topic is looked at once in so many seconds, because some change by the clock alone.
const FULL_LOOK: u64 = 10;

/// See the file header.
pub struct Feed {
    events: broadcast::Sender<Bytes>,
    places: Arc<Semaphore>,
    history: Mutex<History>,
}

/// Rates at one time, by the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Point {
    /// When it was taken; the rates are of the time before.
    pub at_ms: i64,
    /// Of batches that producers appended.
    pub in_bytes: f64,
    /// Records of them.
    pub in_records: f64,
    /// Of records that consumers read.
    pub out_bytes: f64,
    /// Read and written by the cleaner.
    pub cleaner_bytes: f64,
    /// 99 of 100 produce requests were answered within this; none when there were none. The bounds of the histogram are
    /// what it is known to.
    pub produce_p99_ms: Option<f64>,
    /// The same for reading what fetches were answered with; what they waited for records is not in it.
    pub fetch_p99_ms: Option<f64>,
}

/// What is remembered.
#[derive(Clone, Default, Serialize)]
pub struct History {
    /// By the second, oldest first.
    pub seconds: VecDeque<Point>,
    /// By the minute: means, and the worst of the latencies.
    pub minutes: VecDeque<Point>,
    #[serde(skip)]
    minute: Point,
    #[serde(skip)]
    in_minute: u32,
}

impl History {
    fn push(&mut self, point: Point) {
        if self.seconds.len() == FINE_POINTS {
            self.seconds.pop_front();
        }
        self.seconds.push_back(point);
        let (sum, share) = (&mut self.minute, 1.0 / f64::from(FINE_PER_COARSE));
        sum.in_bytes += point.in_bytes * share;
        sum.in_records += point.in_records * share;
        sum.out_bytes += point.out_bytes * share;
        sum.cleaner_bytes += point.cleaner_bytes * share;
        sum.produce_p99_ms = most(sum.produce_p99_ms, point.produce_p99_ms);
        sum.fetch_p99_ms = most(sum.fetch_p99_ms, point.fetch_p99_ms);
        self.in_minute += 1;
        if self.in_minute < FINE_PER_COARSE {
            return;
        }
        if self.minutes.len() == COARSE_POINTS {
            self.minutes.pop_front();
        }
        let at_ms = point.at_ms;
        self.minutes.push_back(Point { at_ms, ..*sum });
        (self.minute, self.in_minute) = (Point::default(), 0);
    }
}

fn most(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.into_iter().chain(b).reduce(f64::max)
}

impl Feed {
    pub(crate) fn new() -> Feed {
        Feed {
            events: broadcast::Sender::new(BACKLOG),
            places: Arc::new(Semaphore::new(MAX_LISTENERS)),
            history: Mutex::default(),
        }
    }

    /// A place and the events from now on; none when there are too many listeners.
    pub fn listen(
        &self,
    ) -> Option<(
        tokio::sync::OwnedSemaphorePermit,
        broadcast::Receiver<Bytes>,
    )> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        Some((place, self.events.subscribe()))
    }

    /// What is remembered now.
    pub fn history(&self) -> History {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, name: &str, data: &impl Serialize) {
        // An error says that nobody listens any more.
        let _ = self.events.send(event(name, data));
    }
}

/// One event, as Server-Sent Events write it.
pub fn event(name: &str, data: &impl Serialize) -> Bytes {
    // Numbers, names and lists of them can be written.
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// Reads and sends, until the server stops.
pub(crate) async fn run(shared: Weak<Shared>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut watch = Watch::default();
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let broker = match shared.phase() {
            Phase::Running(broker) => broker,
            Phase::Recovering => continue,
            Phase::Stopping => return,
        };
        let looked = tokio::task::spawn_blocking(move || {
            watch.look(&shared.feed, &broker);
            watch
        });
        match looked.await {
            Ok(next) => watch = next,
            Err(error) => {
                tracing::warn!(%error, "http: the feed of the page begins anew");
                watch = Watch::default();
            }
        }
    }
}

/// What was seen last.
#[derive(Default)]
struct Watch {
    counters: Option<Counters>,
    topics: HashMap<String, Sign>,
    /// The last cleaning that was told of.
    cleaning: u64,
    busy: HashSet<String>,
    looks: u64,
}

#[derive(Default)]
struct Counters {
    at_ms: i64,
    produced_bytes: u64,
    produced_records: u64,
    fetched_bytes: u64,
    cleaner_bytes: u64,
    produce: Vec<u64>,
    fetch: Vec<u64>,
}

impl Watch {
    fn look(&mut self, feed: &Feed, broker: &Broker) {
        let now = counters(broker);
        let point = self
            .counters
            .as_ref()
            .and_then(|before| rates(before, &now));
        self.counters = Some(now);
        if let Some(point) = point {
            feed.lock().push(point);
        }
        self.looks += 1;
        if feed.events.receiver_count() == 0 {
            self.topics.clear();
            self.cleaning = broker.cleaner.recent().last().map_or(0, |it| it.number);
            return;
        }
        let pulse = cleaner::pulse(broker, point.unwrap_or_default());
        let busy: HashSet<String> = pulse.running.iter().map(|it| it.topic.clone()).collect();
        feed.send("rates", &pulse);
        let recent = broker.cleaner.recent();
        let news: Vec<_> = recent
            .iter()
            .filter(|it| it.number > self.cleaning)
            .collect();
        let mut touched = std::mem::replace(&mut self.busy, busy.clone());
        touched.extend(busy);
        touched.extend(news.iter().map(|it| it.topic_partition.topic.to_string()));
        if let Some(last) = news.last() {
            self.cleaning = last.number;
            let news: Vec<_> = news.into_iter().map(cleaner::past).collect();
            feed.send("cleaning", &news);
        }
        self.topics(feed, broker, &touched);
    }

    fn topics(&mut self, feed: &Feed, broker: &Broker, touched: &HashSet<String>) {
        let image = broker.metadata.image();
        let is_first = self.topics.is_empty();
        let budget = CountBudget::new(COUNT_TIME);
        let mut changed = Vec::new();
        let mut statuses = None;
        let mut known = HashMap::with_capacity(self.topics.len());
        for (topic, index) in image.topics_from("").zip(0..) {
            let name = topic.name.to_string();
            let old = self.topics.remove(&name).unwrap_or_default();
            let sign = sign(broker, &name);
            let is_touched = sign != old.sign || touched.contains(&name);
            let is_turn = (self.looks + index).is_multiple_of(FULL_LOOK);
            if is_first || changed.len() == MOST_TOPICS || !(is_touched || is_turn) {
                // Beyond the most it is still to be told, so it stays what it was.
                let sign = if is_first { sign } else { old.sign };
                known.insert(name, Sign { sign, ..old });
                continue;
            }
            let statuses = statuses.get_or_insert_with(|| topics::statuses(broker));
            let statuses = statuses.get(&topic.name).map_or(&[][..], Vec::as_slice);
            let shown = topics::topic(broker, topic, statuses, budget);
            let shown_sign = hash(&serde_json::to_string(&shown).unwrap_or_default());
            if shown_sign != old.shown {
                changed.push(shown);
            }
            let shown = shown_sign;
            known.insert(name, Sign { sign, shown });
        }
        let gone: Vec<String> = self.topics.drain().map(|(name, _)| name).collect();
        self.topics = known;
        if !changed.is_empty() {
            feed.send("topics", &changed);
        }
        if !gone.is_empty() {
            feed.send("gone", &gone);
        }
    }
}

/// What stands for a topic: what it has taken, given and stores, and all that is shown of it.
#[derive(Clone, Copy, Default)]
struct Sign {
    sign: u64,
    shown: u64,
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Changes whenever what is written, read, stored or cleaned of a topic does.
fn sign(broker: &Broker, topic: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for partition in broker.partitions.of_topic(topic) {
        let offsets = partition.offsets();
        offsets.log_start_offset.hash(&mut hasher);
        offsets.log_end_offset.hash(&mut hasher);
        offsets.last_stable_offset.hash(&mut hasher);
        partition.size_bytes().hash(&mut hasher);
        let traffic = partition.traffic().counts();
        traffic.produced_bytes.hash(&mut hasher);
        traffic.fetched_bytes.hash(&mut hasher);
    }
    hasher.finish()
}

fn counters(broker: &Broker) -> Counters {
    let mut sum = Counters {
        at_ms: broker.clock.now_ms(),
        cleaner_bytes: broker.cleaner.throttled_bytes(),
        fetch: broker.stats.fetch_reads().counts.to_vec(),
        ..Counters::default()
    };
    let mut durations = broker.stats.durations();
    if let Some((_, view)) = durations.find(|(api, _)| api.name() == "Produce") {
        sum.produce = view.counts.to_vec();
    }
    for partition in broker.partitions.all() {
        let counts = partition.traffic().counts();
        sum.produced_bytes += counts.produced_bytes;
        sum.produced_records += counts.produced_records;
        sum.fetched_bytes += counts.fetched_bytes;
    }
    sum
}

/// None when the clock went back. A topic that was deleted takes its counts with it: then a rate is 0.
fn rates(before: &Counters, now: &Counters) -> Option<Point> {
    let seconds = (now.at_ms - before.at_ms) as f64 / 1e3;
    let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
    (seconds > 0.0).then(|| Point {
        at_ms: now.at_ms,
        in_bytes: rate(before.produced_bytes, now.produced_bytes),
        in_records: rate(before.produced_records, now.produced_records),
        out_bytes: rate(before.fetched_bytes, now.fetched_bytes),
        cleaner_bytes: rate(before.cleaner_bytes, now.cleaner_bytes),
        produce_p99_ms: p99_ms(&before.produce, &now.produce),
        fetch_p99_ms: p99_ms(&before.fetch, &now.fetch),
    })
}

/// Of what came into the buckets since; within a bucket as if evenly spread.
fn p99_ms(before: &[u64], now: &[u64]) -> Option<f64> {
    let before = before.iter().copied().chain(std::iter::repeat(0));
    let came: Vec<u64> = now
        .iter()
        .zip(before)
        .map(|(now, before)| now.saturating_sub(before))
        .collect();
    let all: u64 = came.iter().sum();
    if all == 0 {
        return None;
    }
    let wanted = all as f64 * 0.99;
    let mut below = 0.0;
    let mut lower_us = 0.0;
    for (bucket, count) in came.iter().enumerate() {
        let Some(upper_us) = BOUNDS_US.get(bucket).map(|us| *us as f64) else {
            break;
        };
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            let share = (wanted - below) / count;
            return Some((lower_us + (upper_us - lower_us) * share) / 1e3);
        }
        below += count;
        lower_us = upper_us;
    }
    Some(lower_us / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_stays_within_ten_minutes_and_a_day_and_minutes_are_means() {
        let mut history = History::default();
        for second in 0..200_000 {
            history.push(Point {
                at_ms: second * 1000,
                in_bytes: (second % 60) as f64,
                ..Point::default()
            });
        }
        assert_eq!(history.seconds.len(), FINE_POINTS);
        assert_eq!(history.minutes.len(), COARSE_POINTS);
        assert!(
            history
                .minutes
                .iter()
                .all(|minute| (minute.in_bytes - 29.5).abs() < 1e-6)
        );
        assert_eq!(history.seconds.back().map(|it| it.at_ms), Some(199_999_000));
    }

    #[test]
    fn a_percentile_is_of_what_came_since_and_lies_in_the_bucket_that_has_it() {
        assert_eq!(p99_ms(&[], &[]), None);
        assert_eq!(p99_ms(&[5, 0, 1], &[5, 0, 1]), None);
        // A hundred in the second bucket, from 50 to 100 µs.
        let found = p99_ms(&[7], &[7, 100]).expect("something came");
        assert!((0.099..=0.1).contains(&found), "{found}");
        // Beyond every bound: the last one is all that is known.
        let mut beyond = vec![0; BOUNDS_US.len() + 1];
        beyond[BOUNDS_US.len()] = 1;
        assert_eq!(p99_ms(&[], &beyond), Some(60_000.0));
    }

    #[test]
    fn a_clock_that_goes_back_and_a_topic_that_goes_give_no_wrong_rate() {
        let before = Counters {
            at_ms: 1000,
            produced_bytes: 500,
            ..Counters::default()
        };
        let later = Counters {
            at_ms: 3000,
            produced_bytes: 100,
            fetched_bytes: 4,
            ..Counters::default()
        };
        assert_eq!(rates(&later, &before), None);
        let point = rates(&before, &later).expect("time has passed");
        assert_eq!((point.in_bytes, point.out_bytes), (0.0, 2.0));
    }
}
