//! A reader leaves the page cache of real files as it found it.

use std::sync::Arc;

use lastword_record::BatchHeader;
use lastword_storage::dir::{Dir, DropBehind, File, FsDir, Residency, SimDir};
use lastword_storage::segment::Segment;

use crate::segment::{DENSE, single};

const MIB: u64 = 1 << 20;
/// What one page answers for.
const PART: u64 = 8 * MIB;

/// A directory on a file system with a page cache to be dropped; a memory file system has none beside itself.
fn directory() -> Option<(tempfile::TempDir, Arc<FsDir>)> {
    const MEMORY_FILE_SYSTEM: i64 = 0x0102_1994;
    let temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let status = rustix::fs::statfs(temporary.path()).unwrap();
    if status.f_type as i64 == MEMORY_FILE_SYSTEM {
        eprintln!("not tried: the target directory is in memory");
        return None;
    }
    let dir = FsDir::open(temporary.path().join("log")).unwrap();
    Some((temporary, Arc::new(dir)))
}

fn file_of(dir: &dyn Dir, bytes: u64) -> Arc<dyn File> {
    let file = dir.create("x").unwrap();
    file.write_all_at(&vec![1; bytes as usize], 0).unwrap();
    file.sync_data().unwrap();
    file
}

fn read(file: &dyn File, range: std::ops::Range<u64>) {
    let mut buffer = vec![0; MIB as usize];
    for position in range.step_by(MIB as usize) {
        file.read_full_at(&mut buffer, position).unwrap();
    }
}

fn cold_parts(file: &dyn File, len: u64) -> Vec<u64> {
    let residency = Residency::of(file, len);
    (0..len.div_ceil(PART))
        .filter(|part| residency.is_cold(part * PART..len.min((part + 1) * PART)))
        .collect()
}

#[test]
fn what_was_cold_is_dropped_behind_a_reader_and_what_was_hot_stays() {
    let Some((_temporary, dir)) = directory() else {
        return;
    };
    let len = 4 * PART + 1000;
    let file = file_of(&*dir, len);
    assert!(cold_parts(&*file, len).is_empty());
    file.drop_cache(0, 0);
    assert_eq!(cold_parts(&*file, len), [0, 1, 2, 3, 4]);
    // The end: nothing is read ahead of it.
    read(&*file, 3 * PART..len);
    assert_eq!(cold_parts(&*file, len), [0, 1, 2]);
    let residency = Residency::of(&*file, len);
    assert!(residency.is_cold(0..len) && !residency.is_cold(2 * PART..len));
    assert!(!residency.is_cold(5..5) && !residency.is_cold(len..len + PART));

    let mut drop_behind = DropBehind::new(&file, len);
    read(&*file, 0..2 * PART);
    drop_behind.passed(2 * PART - 1);
    assert_eq!(cold_parts(&*file, 2 * PART), [0]);
    drop_behind.passed(0);
    read(&*file, 2 * PART..len);
    // The rest is dropped when the reader goes away.
    drop(drop_behind);
    assert_eq!(cold_parts(&*file, len), [0, 1, 2]);

    read(&*file, 0..len);
    assert!(cold_parts(&*file, len).is_empty(), "nobody dropped it");
}

#[test]
fn a_scan_of_a_cold_segment_leaves_it_cold() {
    let Some((_temporary, dir)) = directory() else {
        return;
    };
    dir.create_dir("a-0").unwrap();
    let segment = Segment::create(dir, "a-0", 0, "", DENSE, 0).unwrap();
    let mut positions = Vec::new();
    while u64::from(segment.size_bytes()) < 3 * PART {
        let batch = single(segment.next_offset(), 1, 1_000_000);
        let header = BatchHeader::parse(&batch).unwrap();
        positions.push(segment.append(&batch, &[header]).unwrap());
    }
    segment.sync().unwrap();
    let (file, end) = (segment.log_file(), segment.size_bytes());
    let parts = (0..u64::from(end).div_ceil(PART)).collect::<Vec<_>>();
    for is_left in [true, false] {
        file.drop_cache(0, 0);
        assert_eq!(cold_parts(&**file, end.into()), parts);
        let mut scan = segment.scan(0, end, 1 << 20);
        if is_left {
            scan = scan.leaving_cache_as_found();
            scan.next_batch().unwrap().unwrap();
            scan.seek(positions[3]..end);
        }
        while scan.next_batch().unwrap().is_some() {}
        drop(scan);
        let expected = if is_left { &parts[..] } else { &[] };
        assert_eq!(cold_parts(&**file, end.into()), expected);
    }
}

#[test]
fn a_simulated_file_is_never_cold() {
    let dir = SimDir::new();
    let file = file_of(&dir, 2 * PART);
    assert!(!Residency::of(&*file, 2 * PART).is_cold(0..2 * PART));
    let operations = dir.operation_count();
    drop(DropBehind::new(&file, 2 * PART));
    assert_eq!(dir.operation_count(), operations);
}
