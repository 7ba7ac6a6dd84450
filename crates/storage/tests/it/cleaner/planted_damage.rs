//! A proof fails on every kind of damage that can be planted in a cleaned log, and names the offset.

use std::sync::Arc;

use lastword_record::{BatchBuilder, BatchHeader, crc32c};
use lastword_storage::dir::{CrashModel, Dir, DirEntry, SimDir, read_file};
use lastword_storage::verify::{Kind, Verified};

use super::scene::{Batch, Row, Scene, batches_in};

const LOG: &str = "[a1@0 b1@1 cT@2]{p9 s0} d1@3 [e1@4 f1@5]{p5 txn} X@6{p5} [g1@7]{p6 txn} C@8{p6} | \
                   a2@9 h1@10 [i1@11 k1@13]{p7 s0 zstd} l1@14 | \
                   A: b2@15 j1@16 [n1@17]{p5 s6 txn} C@18{p5}";

/// Which two directories a damage is planted between.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Between {
    /// A log as it was written, and itself.
    Written,
    /// The same, and what a cleaning has made of it.
    Cleaned,
    /// What a cleaning has made, and itself.
    Stamped,
}

fn segment(base_offset: i64, extension: &str) -> String {
    format!("t-0/{base_offset:020}.{extension}")
}

fn read(dir: &SimDir, path: &str) -> Vec<u8> {
    read_file(dir, path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn write(dir: &SimDir, path: &str, bytes: &[u8]) {
    dir.create(path).unwrap().write_all_at(bytes, 0).unwrap();
}

/// Writes a segment anew. Its key index would be told to be another log's.
fn edit(dir: &SimDir, base_offset: i64, change: impl FnOnce(Vec<Batch>) -> Vec<Vec<u8>>) {
    let path = segment(base_offset, "log");
    let batches = change(batches_in(&read(dir, &path)));
    write(dir, &path, &batches.concat());
    for extension in ["index", "timeindex", "keyindex"] {
        let _ = dir.remove(&segment(base_offset, extension));
    }
}

fn as_they_are(batches: &[Batch]) -> Vec<Vec<u8>> {
    batches.iter().map(|batch| batch.bytes.clone()).collect()
}

/// A batch with other records under the same header.
fn rebuild(batch: &Batch, horizon_ms: Option<i64>, rows: &[Row]) -> Vec<u8> {
    let mut builder = BatchBuilder::rebuild(&batch.header, horizon_ms);
    for row in rows {
        let value: &[u8] = if row.headers.len() > 20 { b"2" } else { b"1" };
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"h", Some(value)), (b"null", None)];
        let (key, value) = (row.key.as_deref(), row.value.as_deref());
        builder.push(row.offset, row.timestamp, key, value, &headers);
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    bytes
}

/// Changes the batch that holds an offset, its records and its delete horizon.
fn rewrite(dir: &SimDir, base: i64, offset: i64, change: impl Fn(&mut Vec<Row>, &mut Option<i64>)) {
    edit(dir, base, |batches| {
        let changed = batches.iter().map(|batch| {
            let mut rows = batch.rows.clone();
            let mut horizon_ms = batch.header.delete_horizon_ms();
            match (batch.header.base_offset..=batch.header.last_offset()).contains(&offset) {
                true => {
                    change(&mut rows, &mut horizon_ms);
                    rebuild(batch, horizon_ms, &rows)
                }
                false => batch.bytes.clone(),
            }
        });
        changed.collect()
    });
}

/// Changes one record.
fn with_record(dir: &SimDir, base: i64, offset: i64, change: impl Fn(&mut Row)) {
    rewrite(dir, base, offset, |rows, _| {
        rows.iter_mut()
            .filter(|row| row.offset == offset)
            .for_each(&change);
    });
}

fn without_record(dir: &SimDir, base: i64, offset: i64) {
    rewrite(dir, base, offset, |rows, _| {
        rows.retain(|row| row.offset != offset)
    });
}

fn without_batch(dir: &SimDir, base: i64, offset: i64) {
    edit(dir, base, |mut batches| {
        batches.retain(|batch| {
            !(batch.header.base_offset..=batch.header.last_offset()).contains(&offset)
        });
        as_they_are(&batches)
    });
}

/// Changes a header, and gives the batch a checksum that fits.
fn with_header(dir: &SimDir, base: i64, offset: i64, change: impl Fn(&mut BatchHeader)) {
    edit(dir, base, |batches| {
        let changed = batches.into_iter().map(|batch| {
            let mut bytes = batch.bytes;
            if (batch.header.base_offset..=batch.header.last_offset()).contains(&offset) {
                let mut header = batch.header;
                change(&mut header);
                bytes[..61].copy_from_slice(&header.to_bytes());
                header.crc = crc32c(&bytes[21..]);
                bytes[..61].copy_from_slice(&header.to_bytes());
            }
            bytes
        });
        changed.collect()
    });
}

fn flip(dir: &SimDir, path: &str, at_from_end: usize) {
    let mut bytes = read(dir, path);
    let at = bytes.len() - at_from_end;
    bytes[at] ^= 0x20;
    write(dir, path, &bytes);
}

struct Damage {
    what: &'static str,
    between: Between,
    offset: i64,
    kind: Kind,
    plant: fn(&SimDir),
}

const fn damage(
    what: &'static str,
    between: Between,
    offset: i64,
    kind: Kind,
    plant: fn(&SimDir),
) -> Damage {
    Damage {
        what,
        between,
        offset,
        kind,
        plant,
    }
}

/// What is planted, and what has to be found first.
fn damages() -> Vec<Damage> {
    use Between::{Cleaned, Stamped, Written};
    vec![
        damage(
            "the last record of a key, alone in its batch",
            Cleaned,
            3,
            Kind::Lost,
            |dir| {
                without_batch(dir, 0, 3);
            },
        ),
        damage(
            "the last record of a key, of several",
            Cleaned,
            11,
            Kind::Lost,
            |dir| {
                without_record(dir, 0, 11);
            },
        ),
        damage("another value", Cleaned, 10, Kind::Changed, |dir| {
            with_record(dir, 0, 10, |row| row.value = Some(b"9".to_vec()));
        }),
        damage("another key", Cleaned, 10, Kind::Changed, |dir| {
            with_record(dir, 0, 10, |row| row.key = Some(b"z".to_vec()));
        }),
        damage("another timestamp", Cleaned, 13, Kind::Changed, |dir| {
            with_record(dir, 0, 13, |row| row.timestamp -= 1);
        }),
        damage("another header", Cleaned, 13, Kind::Changed, |dir| {
            with_record(dir, 0, 13, |row| row.headers = vec![0; 99]);
        }),
        damage(
            "a value that became a tombstone",
            Cleaned,
            7,
            Kind::Changed,
            |dir| {
                with_record(dir, 0, 7, |row| row.value = None);
            },
        ),
        damage(
            "a record that nobody wrote",
            Cleaned,
            12,
            Kind::Invented,
            |dir| {
                rewrite(dir, 0, 11, |rows, _| {
                    let mut row = rows[0].clone();
                    (row.offset, row.key) = (12, Some(b"new".to_vec()));
                    rows.insert(1, row);
                });
            },
        ),
        damage(
            "a record at another offset",
            Cleaned,
            8,
            Kind::Transaction,
            |dir| {
                // The marker at 8 moves behind the section: its transaction does not end any more.
                edit(dir, 0, |batches| {
                    let mut bytes = as_they_are(&batches);
                    bytes.retain(|bytes| bytes[7] != 8);
                    bytes
                });
            },
        )
        .at(7),
        damage(
            "two batches in the wrong order",
            Cleaned,
            9,
            Kind::Order,
            |dir| {
                edit(dir, 0, |batches| {
                    let mut bytes = as_they_are(&batches);
                    let place =
                        |offset: u8| bytes.iter().position(|bytes| bytes[7] == offset).unwrap();
                    let (left, right) = (place(9), place(10));
                    bytes.swap(left, right);
                    bytes
                });
            },
        ),
        damage(
            "a batch that is there twice",
            Cleaned,
            14,
            Kind::Order,
            |dir| {
                edit(dir, 0, |batches| {
                    let mut bytes = as_they_are(&batches);
                    bytes.push(bytes.last().unwrap().clone());
                    bytes
                });
            },
        ),
        damage(
            "a record of the head",
            Cleaned,
            15,
            Kind::AboveBound,
            |dir| {
                without_batch(dir, 15, 15);
            },
        ),
        damage("the end of the log", Cleaned, 18, Kind::LogEnd, |dir| {
            without_batch(dir, 15, 18);
        }),
        damage(
            "a batch that is cut off",
            Cleaned,
            18,
            Kind::LogEnd,
            |dir| {
                let path = segment(15, "log");
                let bytes = read(dir, &path);
                write(dir, &path, &bytes[..bytes.len() - 3]);
            },
        ),
        damage(
            "a tombstone that has no horizon yet",
            Cleaned,
            2,
            Kind::TombstoneEarly,
            |dir| {
                without_record(dir, 0, 2);
            },
        ),
        damage(
            "a tombstone before its horizon",
            Stamped,
            2,
            Kind::TombstoneEarly,
            |dir| {
                without_record(dir, 0, 2);
            },
        ),
        damage(
            "a horizon that was put off",
            Stamped,
            1,
            Kind::Horizon,
            |dir| {
                rewrite(dir, 0, 2, |_, horizon_ms| *horizon_ms = Some(9_999));
            },
        ),
        damage(
            "a horizon that was taken away",
            Stamped,
            1,
            Kind::Horizon,
            |dir| {
                rewrite(dir, 0, 2, |_, horizon_ms| *horizon_ms = None);
            },
        ),
        damage(
            "a commit marker whose data is there",
            Cleaned,
            7,
            Kind::Transaction,
            |dir| {
                without_batch(dir, 0, 8);
            },
        ),
        damage(
            "an abort marker whose data is there",
            Written,
            4,
            Kind::Transaction,
            |dir| {
                without_batch(dir, 0, 6);
            },
        ),
        damage(
            "an abort marker before its time",
            Cleaned,
            6,
            Kind::MarkerEarly,
            |dir| {
                without_batch(dir, 0, 6);
            },
        ),
        damage(
            "rolled back data without its entry",
            Written,
            4,
            Kind::TransactionIndex,
            |dir| {
                dir.remove(&segment(0, "txnindex")).unwrap();
            },
        ),
        damage(
            "an entry that hides committed data",
            Written,
            8,
            Kind::TransactionIndex,
            |dir| {
                let path = segment(0, "txnindex");
                let mut bytes = read(dir, &path);
                let mut entry = bytes[..34].to_vec();
                entry[2..10].copy_from_slice(&6i64.to_be_bytes());
                entry[10..18].copy_from_slice(&7i64.to_be_bytes());
                entry[18..26].copy_from_slice(&8i64.to_be_bytes());
                bytes.extend(entry);
                write(dir, &path, &bytes);
            },
        ),
        damage(
            "a flipped bit in a value",
            Cleaned,
            14,
            Kind::Damaged,
            |dir| {
                flip(dir, &segment(0, "log"), 16);
            },
        ),
        damage(
            "a flipped bit in compressed records",
            Cleaned,
            11,
            Kind::Damaged,
            |dir| {
                let path = segment(0, "log");
                let bytes = read(dir, &path);
                let batches = batches_in(&bytes);
                let end = batches
                    .iter()
                    .take_while(|batch| batch.header.base_offset < 14);
                let end: usize = end.map(|batch| batch.bytes.len()).sum();
                flip(dir, &path, bytes.len() - end + 5);
            },
        ),
        damage(
            "a length that leads nowhere",
            Cleaned,
            9,
            Kind::Damaged,
            |dir| {
                let path = segment(0, "log");
                let mut bytes = read(dir, &path);
                let batches = batches_in(&bytes);
                let before = batches
                    .iter()
                    .take_while(|batch| batch.header.base_offset < 9);
                let at: usize = before.map(|batch| batch.bytes.len()).sum();
                bytes[at + 8] = 0x7f;
                write(dir, &path, &bytes);
            },
        ),
        damage("the first segment", Written, 0, Kind::LogStart, |dir| {
            dir.remove(&segment(0, "log")).unwrap();
        }),
        damage("a segment in the middle", Written, 9, Kind::Lost, |dir| {
            dir.remove(&segment(9, "log")).unwrap();
        }),
        damage(
            "the last batch of a producer",
            Cleaned,
            13,
            Kind::Producer,
            |dir| {
                with_header(dir, 0, 11, |header| {
                    (
                        header.producer_id,
                        header.producer_epoch,
                        header.base_sequence,
                    ) = (-1, -1, -1);
                });
            },
        ),
        damage(
            "another sequence number",
            Cleaned,
            11,
            Kind::Producer,
            |dir| {
                with_header(dir, 0, 11, |header| header.base_sequence = 4);
            },
        ),
        damage("another leader epoch", Cleaned, 10, Kind::Changed, |dir| {
            with_header(dir, 0, 10, |header| header.leader_epoch = 5);
        }),
        damage(
            "a largest timestamp below a record's",
            Cleaned,
            10,
            Kind::Changed,
            |dir| {
                with_header(dir, 0, 10, |header| header.max_timestamp -= 1);
            },
        ),
        damage(
            "an index entry into the middle of a batch",
            Written,
            9,
            Kind::OffsetIndex,
            |dir| {
                let path = segment(9, "index");
                let mut bytes = read(dir, &path);
                bytes[7] ^= 1;
                write(dir, &path, &bytes);
            },
        )
        .at(10),
        damage(
            "an index entry that leads too far",
            Written,
            9,
            Kind::OffsetIndex,
            |dir| {
                let path = segment(9, "index");
                let mut bytes = read(dir, &path);
                bytes[..4].copy_from_slice(&0i32.to_be_bytes());
                write(dir, &path, &bytes);
            },
        ),
        damage(
            "a time that is too early",
            Written,
            10,
            Kind::TimeIndex,
            |dir| {
                let path = segment(9, "timeindex");
                let mut bytes = read(dir, &path);
                bytes[..8].copy_from_slice(&500i64.to_be_bytes());
                write(dir, &path, &bytes);
            },
        ),
        damage(
            "a key index with another key",
            Cleaned,
            0,
            Kind::KeyIndex,
            |dir| {
                flip(dir, &segment(0, "keyindex"), 3);
            },
        ),
        damage(
            "a snapshot of producers",
            Cleaned,
            15,
            Kind::Snapshot,
            |dir| {
                flip(dir, &segment(15, "snapshot"), 2);
            },
        ),
    ]
}

impl Damage {
    fn at(mut self, offset: i64) -> Damage {
        self.offset = offset;
        self
    }
}

fn copy(dir: &SimDir) -> SimDir {
    dir.crash(CrashModel::Killed, 0)
}

/// The scene, and its directory before and after a cleaning.
fn scene() -> (Scene, SimDir, SimDir) {
    let mut scene = Scene::with_config(LOG, |config| config.index_interval_bytes = 0);
    scene.log.sync().unwrap();
    let written = copy(&scene.dir);
    scene.clean_at(500);
    // Its key indexes are there when somebody has asked for them.
    scene
        .cleaner
        .dry_run(&super::scene::topic_partition())
        .unwrap();
    let cleaned = copy(&scene.dir);
    (scene, written, cleaned)
}

fn verify(scene: &mut Scene, old: &SimDir, new: &SimDir) -> Verified {
    scene.dir = Arc::new(new.clone());
    scene.verify(old)
}

#[test]
fn every_kind_of_planted_damage_is_found_at_its_offset() {
    let (mut scene, written, cleaned) = scene();
    let pair = |between| match between {
        Between::Written => (&written, &written),
        Between::Cleaned => (&written, &cleaned),
        Between::Stamped => (&cleaned, &cleaned),
    };
    for between in [Between::Written, Between::Cleaned, Between::Stamped] {
        let (old, new) = pair(between);
        let verified = verify(&mut scene, old, new);
        assert!(
            verified.is_right() && verified.notes.is_empty(),
            "{between:?}: {verified:?}"
        );
    }
    let damages = damages();
    assert!(damages.len() >= 20);
    let mut wrong = Vec::new();
    for damage in &damages {
        let (old, new) = pair(damage.between);
        let new = copy(new);
        (damage.plant)(&new);
        let verified = verify(&mut scene, old, &new);
        let first = verified.violations.first();
        let found = first.map(|violation| (violation.offset, violation.kind));
        if found != Some((damage.offset, damage.kind)) {
            wrong.push(format!(
                "{} ({:?}): expected {:?} at {}, found {:?}",
                damage.what, damage.between, damage.kind, damage.offset, verified.violations
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_a_second_cleaning_takes_is_right_when_its_time_has_come() {
    let (mut scene, written, _) = scene();
    let stamped = copy(&scene.dir);
    scene.write("| A: m1@19");
    scene.clean_at(5_000);
    let last = copy(&scene.dir);
    // Between the copies there was one cleaning, and more was written: that is told, and nothing else.
    let verified = verify(&mut scene, &stamped, &last);
    let kinds: Vec<Kind> = verified.violations.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [Kind::LogEnd, Kind::Invented], "{verified:?}");
    assert_eq!(verified.gone.expired_tombstones, 1, "{verified:?}");
    drop(written);
}

#[test]
fn a_deleted_key_that_is_back_is_found() {
    let mut scene = Scene::new("b1@0 c1@1 | cT@2 | A: d1@3");
    let old = copy(&scene.dir);
    let new = copy(&old);
    scene.set_clock(5_000);
    without_batch(&new, 2, 2);
    scene.dir = Arc::new(new);
    // The tombstone may be gone after so long, but the value before it may not outlive it.
    let verified = scene.verify_since(&old, Some(0));
    let found: Vec<_> = verified
        .violations
        .iter()
        .map(|it| (it.offset, it.kind))
        .collect();
    assert_eq!(found, [(1, Kind::Resurrected)], "{verified:?}");
    assert_eq!(scene.verify(&old).violations[0].kind, Kind::TombstoneEarly);
}

/// Without the snapshots of producers, or with those of another log in their place.
fn with_snapshots(dir: &SimDir, other: Option<&[u8]>) -> SimDir {
    let dir = copy(dir);
    for DirEntry { name, .. } in dir.list("t-0").unwrap() {
        if name.ends_with(".snapshot") {
            let path = format!("t-0/{name}");
            dir.remove(&path).unwrap();
            if let Some(bytes) = other {
                write(&dir, &path, bytes);
            }
        }
    }
    dir
}

fn found(verified: &Verified) -> Vec<(i64, Kind)> {
    let found = verified.violations.iter();
    found.map(|it| (it.offset, it.kind)).collect()
}

#[test]
fn an_emptied_marker_may_go_only_when_no_snapshot_knows_its_producer() {
    let mut scene = Scene::new("C@0{p9} | a1@1 | b1@2");
    scene.clean_at(0);
    scene.write("| c1@3");
    scene.clean_at(2 * super::scene::RETENTION_MS);
    let old = copy(&scene.dir);
    let headers = || scene.batches().into_iter().map(|batch| batch.header);
    let emptied = headers().next().unwrap();
    assert!(emptied.is_control() && emptied.record_count == 0);
    let new = copy(&old);
    without_batch(&new, 0, 0);
    // Kafka pins it while it knows the producer, and passes over it when it has nothing but the log to read.
    let verified = verify(&mut scene, &old, &new);
    assert_eq!(found(&verified), [(0, Kind::Producer)], "{verified:?}");
    let verified = verify(&mut scene, &with_snapshots(&old, None), &new);
    assert!(verified.is_right(), "{verified:?}");
    let verified = verify(&mut scene, &with_snapshots(&old, None), &old);
    assert!(verified.is_right(), "{verified:?}");
}

#[test]
fn a_marker_that_still_has_its_record_speaks_for_its_producer_without_a_snapshot() {
    let mut scene = Scene::new("C@0{p9} | a1@1 | b1@2");
    scene.clean_at(0);
    let old = copy(&scene.dir);
    let new = copy(&old);
    without_batch(&new, 0, 0);
    scene.set_clock(2 * super::scene::RETENTION_MS);
    let verified = verify(&mut scene, &with_snapshots(&old, None), &new);
    assert_eq!(found(&verified), [(0, Kind::Producer)], "{verified:?}");
}

#[test]
fn a_producer_that_the_broker_has_forgotten_is_not_asked_for_by_an_older_batch_of_it() {
    let mut scene = Scene::new("[a1@0]{p9 s0} b1@1 | a2@2 | c1@3");
    let old = copy(&scene.dir);
    let new = copy(&old);
    without_batch(&new, 0, 0);
    let verified = verify(&mut scene, &old, &new);
    assert_eq!(found(&verified), [(0, Kind::Producer)], "{verified:?}");
    let empty = read(&Scene::new("a1@0 |").dir, &segment(1, "snapshot"));
    let verified = verify(&mut scene, &with_snapshots(&old, Some(&empty)), &new);
    assert!(verified.is_right(), "{verified:?}");
    // A snapshot that cannot be read says nothing: the log does.
    let verified = verify(&mut scene, &with_snapshots(&old, Some(&empty[..4])), &new);
    assert_eq!(verified.violations[0].offset, 0, "{verified:?}");
    assert_eq!(verified.violations[0].kind, Kind::Producer, "{verified:?}");
}

#[test]
fn a_producer_is_asked_for_by_its_batch_behind_a_snapshot_that_has_forgotten_it() {
    let mut scene = Scene::new("[a1@0]{p9 s0} | a2@1 [d1@2]{p9 s1} | d2@3 | c1@4");
    let old = copy(&scene.dir);
    let empty = read(&Scene::new("a1@0 |").dir, &segment(1, "snapshot"));
    let old = with_snapshots(&old, Some(&empty));
    // The snapshot of the first roll only.
    for base_offset in [3, 4] {
        old.remove(&segment(base_offset, "snapshot")).unwrap();
    }
    let new = copy(&old);
    without_batch(&new, 1, 2);
    let verified = verify(&mut scene, &old, &new);
    assert_eq!(found(&verified), [(2, Kind::Producer)], "{verified:?}");
}

#[test]
fn what_fetches_call_rolled_back_stands_for_the_transaction_indexes() {
    let (mut scene, written, _) = scene();
    scene.dir = Arc::new(written.clone());
    // 4 to 6 of producer 5 were rolled back, 7 to 8 of producer 6 were committed.
    let told = |aborts: &[(i64, i64)]| {
        let verified = scene.verify_fetched(&written, None, Some(aborts.to_vec()));
        found(&verified)
    };
    assert_eq!(told(&[(5, 4)]), []);
    assert_eq!(told(&[]), [(4, Kind::TransactionIndex)]);
    assert_eq!(told(&[(5, 4), (6, 7)]), [(7, Kind::TransactionIndex)]);
    assert_eq!(told(&[(6, 4)]), [(4, Kind::TransactionIndex); 2]);
}
