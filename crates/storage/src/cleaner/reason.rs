//! `Reason`: why a partition is not being compacted now: a closed list of words, each with what goes with it.
//!
//! `choose` decides, and its answer is a `Reason`; whoever shows it (log line, metric, HTTP, command line) shows the same
//! word, [`ReasonCode::word`], and the same sentence, [`Reason::sentence`]. Plain data, no clock, no lock; times are UTC.

use std::fmt::Write;
use std::sync::Arc;

use lastword_record::TopicPartition;

use super::choose::Trigger;
use super::progress::{Phase, ProgressView};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Logs that a sentence names.
const NAMED: usize = 3;

/// The words. The list is closed: dashboards and scripts know all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReasonCode {
    /// It is being cleaned.
    Running,
    /// It is being cleaned, and waits for its share of the rate.
    Throttled,
    /// It is due, and others come first.
    Queued,
    /// There is nothing dirty.
    Clean,
    /// Its dirty ratio is not above `min.cleanable.dirty.ratio`.
    BelowRatio,
    /// All that is dirty is in the active segment.
    ActiveSegment,
    /// What is dirty is younger than `min.compaction.lag.ms`.
    MinLag,
    /// What is dirty is above the LastStableOffset.
    OpenTransaction,
    /// Somebody paused it.
    Paused,
    /// It is due, and no thread is there to clean it.
    NoWorker,
    /// The last cleaning found no room on the disk.
    NoDisk,
    /// The last cleaning failed, or met a damaged segment.
    Quarantined,
    /// It is not a compacted topic.
    DeletePolicy,
    /// `log.cleaner.enable=false`.
    Disabled,
}

impl ReasonCode {
    /// All of them.
    pub const ALL: [ReasonCode; 14] = [
        ReasonCode::Running,
        ReasonCode::Throttled,
        ReasonCode::Queued,
        ReasonCode::Clean,
        ReasonCode::BelowRatio,
        ReasonCode::ActiveSegment,
        ReasonCode::MinLag,
        ReasonCode::OpenTransaction,
        ReasonCode::Paused,
        ReasonCode::NoWorker,
        ReasonCode::NoDisk,
        ReasonCode::Quarantined,
        ReasonCode::DeletePolicy,
        ReasonCode::Disabled,
    ];

    /// The word, the same everywhere.
    pub fn word(self) -> &'static str {
        match self {
            ReasonCode::Running => "running",
            ReasonCode::Throttled => "throttled",
            ReasonCode::Queued => "queued",
            ReasonCode::Clean => "clean",
            ReasonCode::BelowRatio => "below-ratio",
            ReasonCode::ActiveSegment => "active-segment",
            ReasonCode::MinLag => "min-lag",
            ReasonCode::OpenTransaction => "open-transaction",
            ReasonCode::Paused => "paused",
            ReasonCode::NoWorker => "no-worker",
            ReasonCode::NoDisk => "no-disk",
            ReasonCode::Quarantined => "quarantined",
            ReasonCode::DeletePolicy => "delete-policy",
            ReasonCode::Disabled => "disabled",
        }
    }

    /// Waiting does not help: somebody should look.
    pub fn is_stuck(self) -> bool {
        matches!(
            self,
            ReasonCode::Quarantined
                | ReasonCode::NoDisk
                | ReasonCode::NoWorker
                | ReasonCode::OpenTransaction
        )
    }
}

/// A word, and what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    Running(Running),
    Throttled {
        running: Running,
        /// What all cleanings may read and write together.
        bytes_per_second: f64,
    },
    Queued {
        /// From 1.
        place: usize,
        of: usize,
        /// What is being cleaned meanwhile.
        busy_with: Arc<[TopicPartition]>,
    },
    Clean,
    BelowRatio {
        ratio: f64,
        threshold: f64,
    },
    ActiveSegment {
        /// By the clock; earlier when it is full. None: only then.
        rolls_at_ms: Option<i64>,
    },
    MinLag {
        until_ms: i64,
    },
    OpenTransaction {
        /// None: records wait to become visible, and no transaction is open.
        transaction: Option<OpenTransaction>,
        last_stable_offset: i64,
    },
    Paused(Pause),
    NoWorker {
        running: usize,
        configured: u32,
    },
    NoDisk {
        /// What a cleaning takes until old segments go, at the most.
        needs_bytes: u64,
        free_bytes: u64,
        retry_at_ms: i64,
    },
    Quarantined {
        /// What is wrong, and where.
        error: Arc<str>,
        /// None: with the next cleaning.
        retry_at_ms: Option<i64>,
    },
    DeletePolicy,
    Disabled,
}

/// A cleaning under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    pub trigger: Trigger,
    pub since_ms: i64,
    pub progress: ProgressView,
}

/// The transaction that keeps the LastStableOffset down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
    /// The time of its first batch, if that has one.
    pub since_ms: Option<i64>,
}

/// Who paused a log, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    pub by: Arc<str>,
    pub since_ms: i64,
}

impl Reason {
    /// The word.
    pub fn code(&self) -> ReasonCode {
        match self {
            Reason::Running(_) => ReasonCode::Running,
            Reason::Throttled { .. } => ReasonCode::Throttled,
            Reason::Queued { .. } => ReasonCode::Queued,
            Reason::Clean => ReasonCode::Clean,
            Reason::BelowRatio { .. } => ReasonCode::BelowRatio,
            Reason::ActiveSegment { .. } => ReasonCode::ActiveSegment,
            Reason::MinLag { .. } => ReasonCode::MinLag,
            Reason::OpenTransaction { .. } => ReasonCode::OpenTransaction,
            Reason::Paused(_) => ReasonCode::Paused,
            Reason::NoWorker { .. } => ReasonCode::NoWorker,
            Reason::NoDisk { .. } => ReasonCode::NoDisk,
            Reason::Quarantined { .. } => ReasonCode::Quarantined,
            Reason::DeletePolicy => ReasonCode::DeletePolicy,
            Reason::Disabled => ReasonCode::Disabled,
        }
    }

    /// One sentence without the word, seen at `now_ms`.
    pub fn sentence(&self, now_ms: i64) -> String {
        let at = |ms: i64| time_of_day(ms, now_ms);
        match self {
            Reason::Running(running) => running.sentence(now_ms),
            Reason::Throttled {
                running,
                bytes_per_second,
            } => format!(
                "{}; all cleanings together may read and write {}/s",
                running.sentence(now_ms),
                human_bytes(*bytes_per_second as u64)
            ),
            Reason::Queued {
                place,
                of,
                busy_with,
            } => {
                let mut text = format!("place {place} of {of}");
                let names: Vec<String> = busy_with.iter().map(ToString::to_string).collect();
                if !names.is_empty() {
                    let more = if names.len() > NAMED { ", ..." } else { "" };
                    let names = names[..names.len().min(NAMED)].join(", ");
                    let _ = write!(text, "; {names}{more} being cleaned");
                }
                text
            }
            Reason::Clean => "nothing is dirty".to_owned(),
            Reason::BelowRatio { ratio, threshold } => below_ratio(*ratio, *threshold),
            Reason::ActiveSegment { rolls_at_ms } => match rolls_at_ms {
                Some(ms) if *ms > now_ms => format!(
                    "rolls in {}, or when it is full",
                    human_duration(ms - now_ms)
                ),
                Some(_) => "rolls now".to_owned(),
                None => "rolls when it is full".to_owned(),
            },
            Reason::MinLag { until_ms } => format!("until {}", at(*until_ms)),
            Reason::OpenTransaction {
                transaction,
                last_stable_offset,
            } => match transaction {
                Some(open) => {
                    let since = open.since_ms.map(|ms| format!(" since {}", at(ms)));
                    let producer_id = open.producer_id;
                    let since = since.unwrap_or_default();
                    format!(
                        "producer {producer_id}{since}, from offset {}",
                        open.first_offset
                    )
                }
                None => format!("from offset {last_stable_offset} on nothing is committed yet"),
            },
            Reason::Paused(pause) => format!(
                "by {} since {}, until resumed or restart",
                pause.by,
                at(pause.since_ms)
            ),
            Reason::NoWorker {
                running,
                configured,
            } => format!("{running} of {configured} threads run (log.cleaner.threads)"),
            Reason::NoDisk {
                needs_bytes,
                free_bytes,
                retry_at_ms,
            } => format!(
                "needs up to {}, has {}; next try {}",
                human_bytes(*needs_bytes),
                human_bytes(*free_bytes),
                at(*retry_at_ms)
            ),
            Reason::Quarantined { error, retry_at_ms } => match retry_at_ms {
                Some(ms) => format!("{error}; next try {}", at(*ms)),
                None => format!("{error}; next try with the next cleaning"),
            },
            Reason::DeletePolicy => "cleanup.policy is not compact".to_owned(),
            Reason::Disabled => "log.cleaner.enable=false".to_owned(),
        }
    }
}

impl Running {
    fn sentence(&self, now_ms: i64) -> String {
        let step = match self.progress.phase {
            Phase::Waiting => "beginning",
            Phase::Indexing => "building key indexes",
            Phase::Planning => "finding what is dead",
            Phase::Rewriting => "rewriting",
        };
        let since = time_of_day(self.since_ms, now_ms);
        match self.progress.expected_bytes {
            0 => format!("since {since}: {step}"),
            expected => format!(
                "since {since}: {step}, {} of {}",
                human_bytes(self.progress.done_bytes),
                human_bytes(expected)
            ),
        }
    }
}

fn below_ratio(ratio: f64, threshold: f64) -> String {
    let percent = |share: f64, digits: usize| format!("{:.digits$} %", share * 100.0);
    for digits in 0..3 {
        let (dirty, least) = (percent(ratio, digits), percent(threshold, digits));
        if dirty != least {
            return format!("dirty {dirty} < {least}");
        }
    }
    format!("dirty {} is not above it", percent(ratio, 0))
}

/// `14:02 UTC`, with the date when it is another day's.
fn time_of_day(ms: i64, now_ms: i64) -> String {
    let (days, of_day_ms) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (hour, minute) = (of_day_ms / HOUR_MS, of_day_ms % HOUR_MS / 60_000);
    let time = format!("{hour:02}:{minute:02} UTC");
    if days == now_ms.div_euclid(DAY_MS) {
        return time;
    }
    // A time that nobody will live to see.
    if days.abs() > 3_000_000 {
        return "never".to_owned();
    }
    let (year, month, day) = civil_date(days);
    format!("{year:04}-{month:02}-{day:02} {time}")
}

/// The date of a day since 1970, by the proleptic Gregorian calendar: eras of 400 years that begin in March.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn human_duration(ms: i64) -> String {
    let units = [(DAY_MS, "d"), (HOUR_MS, "h"), (60_000, "min"), (1_000, "s")];
    let fitting = units.into_iter().find(|(unit_ms, _)| ms >= *unit_ms);
    match fitting {
        Some((unit_ms, unit)) => format!("{} {unit}", (ms + unit_ms / 2) / unit_ms),
        None => format!("{ms} ms"),
    }
}

fn human_bytes(bytes: u64) -> String {
    let units = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    let fitting = units.into_iter().find(|(unit, _)| bytes >= *unit);
    match fitting {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_different_and_one_word_each() {
        let words: std::collections::BTreeSet<&str> =
            ReasonCode::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(words.len(), ReasonCode::ALL.len());
        assert!(words.iter().all(|word| {
            word.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        }));
    }

    #[test]
    fn a_ratio_just_below_the_threshold_is_not_shown_as_the_threshold() {
        assert_eq!(below_ratio(0.314, 0.5), "dirty 31 % < 50 %");
        assert_eq!(below_ratio(0.499, 0.5), "dirty 49.9 % < 50.0 %");
        assert_eq!(below_ratio(1.0, 1.0), "dirty 100 % is not above it");
    }

    #[test]
    fn times_have_a_date_when_it_is_another_day() {
        let now_ms = 1_795_437_720_000;
        assert_eq!(time_of_day(now_ms, now_ms), "12:42 UTC");
        assert_eq!(time_of_day(now_ms + DAY_MS, now_ms), "2026-11-24 12:42 UTC");
        assert_eq!(time_of_day(0, now_ms), "1970-01-01 00:00 UTC");
        assert_eq!(time_of_day(951_782_400_000, 0), "2000-02-29 00:00 UTC");
        assert_eq!(time_of_day(i64::MAX, now_ms), "never");
        assert_eq!(time_of_day(i64::MIN, 0), "never");
    }

    #[test]
    fn a_duration_is_rounded_to_its_largest_unit() {
        let shown = [5, 1_499, 90_000, 3 * HOUR_MS + 1, 7 * DAY_MS].map(human_duration);
        assert_eq!(shown, ["5 ms", "1 s", "2 min", "3 h", "7 d"]);
    }
}
