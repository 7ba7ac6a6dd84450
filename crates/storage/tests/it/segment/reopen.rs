//! Opening reads the ends of the files only, and rebuilds indexes that cannot be right.

use lastword_storage::segment::IndexSettings;

use super::*;

const SETTINGS: IndexSettings = IndexSettings {
    index_interval_bytes: 500,
    segment_index_bytes: 10 << 20,
};

#[test]
fn a_reopened_segment_knows_what_the_closed_one_knew() {
    for seed in 0..30 {
        let mut random = Random(seed);
        let dir = partition();
        let segment = create(&dir, SETTINGS);
        random_records(&segment, &mut random, seed);
        if seed % 2 == 0 {
            segment.seal().unwrap();
        }
        let again = open(&dir, SETTINGS);
        let state = |segment: &Segment| {
            let max = (segment.max_timestamp(), segment.offset_of_max_timestamp());
            (
                segment.size_bytes(),
                segment.next_offset(),
                max,
                segment.first_batch_timestamp(),
            )
        };
        assert_eq!(state(&again), state(&segment), "seed {seed}");
        assert!(!again.needs_recovery());
    }
}

#[test]
fn indexes_do_not_depend_on_how_often_the_segment_was_opened() {
    let (once, often) = (partition(), partition());
    let (mut random_once, mut random_often) = (Random(1), Random(1));
    random_records(&create(&once, SETTINGS), &mut random_once, 60);
    drop(create(&often, SETTINGS));
    for _ in 0..60 {
        random_records(&open(&often, SETTINGS), &mut random_often, 1);
    }
    assert_eq!(once.files(), often.files());
}

#[test]
fn a_lost_index_is_rebuilt_equal() {
    for seed in 0..10 {
        let mut random = Random(seed);
        let dir = partition();
        let segment = create(&dir, SETTINGS);
        random_records(&segment, &mut random, 50);
        segment.seal().unwrap();
        let before = dir.files();
        for lost in [&[INDEX][..], &[TIME_INDEX], &[INDEX, TIME_INDEX]] {
            for path in lost {
                dir.remove(path).unwrap();
            }
            open(&dir, SETTINGS);
            assert_eq!(dir.files(), before, "seed {seed}, lost {lost:?}");
        }
    }
}

#[test]
fn an_index_that_cannot_be_right_is_rebuilt() {
    let dir = partition();
    let segment = create(&dir, SETTINGS);
    random_records(&segment, &mut Random(5), 50);
    segment.seal().unwrap();
    let good = dir.files();
    let (index, time_index) = (bytes_of(&dir, INDEX), bytes_of(&dir, TIME_INDEX));
    let zeros = |bytes: &[u8]| [bytes, &[0; 24]].concat();
    let damages: [(&str, Vec<u8>); 6] = [
        (INDEX, index[..index.len() - 1].to_vec()),
        (INDEX, zeros(&index)),
        (INDEX, [&index[..], &[0, 0, 0, 200, 0x7F, 0, 0, 0]].concat()),
        (TIME_INDEX, zeros(&time_index)),
        (TIME_INDEX, time_index[..time_index.len() - 5].to_vec()),
        (
            TIME_INDEX,
            [&time_index[..], &[0x7F, 0, 0, 0, 0, 0, 0, 0, 0x7F, 0, 0, 0]].concat(),
        ),
    ];
    for (path, damaged) in damages {
        dir.create(path).unwrap().write_all_at(&damaged, 0).unwrap();
        let opened = open(&dir, SETTINGS);
        assert_eq!(opened.max_timestamp(), segment.max_timestamp());
        assert_eq!(dir.files(), good, "{path}");
    }
}

#[test]
fn an_index_that_stops_too_early_is_rebuilt() {
    let dir = partition();
    let segment = create(&dir, SETTINGS);
    for offset in 100..130 {
        append(&segment, &single(offset, offset, 100_000));
    }
    segment.seal().unwrap();
    let good = dir.files();
    dir.create(INDEX).unwrap();
    dir.create(TIME_INDEX).unwrap();
    let opened = open(&dir, SETTINGS);
    assert_eq!((opened.next_offset(), opened.max_timestamp()), (130, 129));
    assert_eq!(dir.files(), good);
}

#[test]
fn a_missing_log_is_an_error_with_its_name() {
    let dir = partition();
    match try_open(&dir, SETTINGS) {
        Err(StorageError::Io {
            action: "open",
            file,
            ..
        }) => assert_eq!(file, LOG),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unfinished_batch_at_the_end_needs_recovery_and_is_not_written_over() {
    let dir = partition();
    let segment = create(&dir, SETTINGS);
    append(&segment, &single(100, 1, 10));
    let whole = segment.size_bytes();
    dir.open(LOG)
        .unwrap()
        .write_all_at(&single(101, 1, 10)[..40], whole.into())
        .unwrap();
    let opened = open(&dir, SETTINGS);
    assert!(opened.needs_recovery());
    assert_eq!(
        (opened.next_offset(), opened.size_bytes()),
        (101, whole + 40)
    );
    let batch = single(101, 1, 10);
    assert!(
        opened
            .append(&batch, &[BatchHeader::parse(&batch).unwrap()])
            .is_err()
    );
}

#[test]
fn a_damaged_transaction_index_needs_recovery() {
    let dir = partition();
    append(&create(&dir, SETTINGS), &single(100, 1, 10));
    for damaged in [&[0; 33][..], &[1; 34]] {
        dir.create(TRANSACTION_INDEX)
            .unwrap()
            .write_all_at(damaged, 0)
            .unwrap();
        assert!(open(&dir, SETTINGS).needs_recovery());
    }
}

#[test]
fn index_files_are_opened_when_needed_and_can_be_closed() {
    let dir = partition();
    let segment = create(&dir, DENSE);
    for offset in 100..110 {
        append(&segment, &single(offset, offset, 20));
        segment.close_index_files();
    }
    segment.seal().unwrap();
    segment.sync().unwrap();
    assert_eq!(
        segment
            .position_of(105)
            .unwrap()
            .unwrap()
            .header
            .base_offset,
        105
    );
    let rebuilt = partition();
    let other = create(&rebuilt, DENSE);
    for offset in 100..110 {
        append(&other, &single(offset, offset, 20));
    }
    other.seal().unwrap();
    assert_eq!(dir.files(), rebuilt.files());
}

#[test]
fn a_suffix_is_renamed_and_files_are_deleted_together() {
    let dir = partition();
    let segment = Segment::create(
        Arc::new(dir.clone()),
        PARTITION,
        BASE_OFFSET,
        ".cleaned",
        DENSE,
        5_000,
    )
    .unwrap();
    append(&segment, &single(100, 1, 10));
    segment.close_index_files();
    segment.rename_suffix(".swap").unwrap();
    segment.rename_suffix("").unwrap();
    assert_eq!(segment.suffix(), "");
    let names: Vec<_> = dir.files().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [INDEX, LOG, TIME_INDEX]);
    append(&segment, &single(101, 1, 10));
    assert_eq!(segment.index_size_bytes(), 8);
    segment.delete_files().unwrap();
    assert!(dir.files().is_empty());
    assert_eq!(
        scan_all(&segment).len(),
        2,
        "an open reader keeps what it has"
    );
}
