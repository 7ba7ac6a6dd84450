//! The bytes of the indexes are Kafka's.

use lastword_storage::segment::{AbortedTransaction, CollectedAborts, IndexSettings};

use super::*;

#[test]
fn offset_and_time_index_are_byte_exact() {
    let dir = partition();
    let segment = create(&dir, DENSE);
    // Three batches of 69 + 100 bytes or so; the third has the smallest timestamp.
    let sizes: Vec<u32> = [(100, 0x1111), (101, 0x3333), (103, 0x2222)]
        .into_iter()
        .map(|(offset, timestamp)| {
            let batch = single(offset, timestamp, 100);
            append(&segment, &batch);
            batch.len() as u32
        })
        .collect();
    let mut index = Vec::new();
    index.extend([0, 0, 0, 1]);
    index.extend(sizes[0].to_be_bytes());
    index.extend([0, 0, 0, 3]);
    index.extend((sizes[0] + sizes[1]).to_be_bytes());
    assert_eq!(bytes_of(&dir, INDEX), index);
    // The first batch gets no entry; the second brings the largest timestamp so far, the third a smaller one.
    let time_index = [0, 0, 0, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 1];
    assert_eq!(bytes_of(&dir, TIME_INDEX), time_index);
    segment.seal().unwrap();
    assert_eq!(
        bytes_of(&dir, TIME_INDEX),
        time_index,
        "the largest timestamp is there already"
    );
    assert_eq!(
        (segment.index_size_bytes(), segment.time_index_size_bytes()),
        (16, 12)
    );
    assert_eq!(
        (segment.max_timestamp(), segment.offset_of_max_timestamp()),
        (0x3333, 101)
    );
}

#[test]
fn a_batch_gets_an_entry_when_more_than_the_interval_was_written() {
    let dir = partition();
    let size_bytes = single(100, 1, 100).len() as u32;
    let settings = IndexSettings {
        index_interval_bytes: 2 * size_bytes,
        ..DENSE
    };
    let segment = create(&dir, settings);
    for offset in 100..110 {
        append(&segment, &single(offset, offset, 100));
    }
    // Exactly two batches are not more than the interval: entries at batches 3, 6 and 9.
    let mut expected = Vec::new();
    for number in [3u32, 6, 9] {
        expected.extend(number.to_be_bytes());
        expected.extend((number * size_bytes).to_be_bytes());
    }
    assert_eq!(bytes_of(&dir, INDEX), expected);
    assert_eq!(segment.time_index_size_bytes(), 3 * 12);
}

#[test]
fn sealing_writes_the_last_time_entry_once() {
    let dir = partition();
    let segment = create(
        &dir,
        IndexSettings {
            index_interval_bytes: 4096,
            ..DENSE
        },
    );
    append(&segment, &single(100, 5, 10));
    append(&segment, &single(101, 9, 10));
    assert_eq!(bytes_of(&dir, TIME_INDEX), []);
    segment.seal().unwrap();
    segment.seal().unwrap();
    assert_eq!(
        bytes_of(&dir, TIME_INDEX),
        [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1]
    );
}

#[test]
fn batches_without_timestamps_have_no_time_entries() {
    let dir = partition();
    let segment = create(&dir, DENSE);
    for offset in 100..105 {
        append(&segment, &single(offset, -1, 10));
    }
    segment.seal().unwrap();
    assert_eq!(bytes_of(&dir, TIME_INDEX), []);
    assert_eq!(
        (segment.max_timestamp(), segment.first_batch_timestamp()),
        (-1, None)
    );
    segment.set_modified_ms(777).unwrap();
    assert_eq!(segment.largest_timestamp_ms(), 777);
}

#[test]
fn the_transaction_index_is_byte_exact_and_exists_once_it_is_needed() {
    let dir = partition();
    let segment = create(&dir, DENSE);
    append(&segment, &single(100, 1, 10));
    assert!(!dir.exists(TRANSACTION_INDEX).unwrap());
    let transaction = AbortedTransaction {
        producer_id: 9,
        first_offset: 0x50,
        last_offset: 0x64,
        last_stable_offset: 0x60,
    };
    segment.append_aborted(&transaction).unwrap();
    let mut expected = vec![0, 0];
    for field in [9i64, 0x50, 0x64, 0x60] {
        expected.extend(field.to_be_bytes());
    }
    assert_eq!(expected.len(), 34);
    assert_eq!(bytes_of(&dir, TRANSACTION_INDEX), expected);
    let again = open(&dir, DENSE);
    assert_eq!(again.transaction_index().entries().unwrap(), [transaction]);
}

#[test]
fn aborted_transactions_are_collected_until_none_can_follow() {
    let dir = partition();
    let segment = create(&dir, DENSE);
    let entry = |first_offset, last_offset, last_stable_offset| AbortedTransaction {
        producer_id: 1,
        first_offset,
        last_offset,
        last_stable_offset,
    };
    let entries = [
        entry(100, 110, 90),
        entry(105, 120, 104),
        entry(130, 140, 130),
    ];
    for entry in &entries {
        segment.append_aborted(entry).unwrap();
    }
    let collect = |from, to| {
        let mut collected = CollectedAborts::default();
        segment
            .transaction_index()
            .collect(from, to, &mut collected)
            .unwrap();
        (collected.transactions, collected.is_complete)
    };
    assert_eq!(collect(100, 106), (entries[..2].to_vec(), true));
    assert_eq!(collect(111, 125), (entries[1..2].to_vec(), true));
    assert_eq!(collect(121, 200), (entries[2..].to_vec(), false));
    assert_eq!(collect(100, 104), (entries[..1].to_vec(), true));
    assert_eq!(collect(200, 300), (vec![], false));
}

#[test]
fn an_index_is_full_at_its_limit() {
    let settings = IndexSettings {
        index_interval_bytes: 0,
        segment_index_bytes: 24,
    };
    for (timestamp, batches) in [(-1, 4), (1, 2)] {
        let dir = partition();
        let segment = create(&dir, settings);
        let mut offset = BASE_OFFSET;
        while !segment.is_index_full() {
            append(&segment, &single(offset, timestamp, 10));
            offset += 1;
        }
        // One batch without an entry; then three offset entries, or one time entry and the slot kept for the last.
        assert_eq!(offset - BASE_OFFSET, batches, "timestamp {timestamp}");
    }
}

#[test]
fn offsets_that_do_not_fit_are_refused_and_change_nothing() {
    let dir = partition();
    let segment = create(&dir, DENSE);
    append(&segment, &single(100, 1, 10));
    let most = BASE_OFFSET + i64::from(i32::MAX);
    assert!(segment.can_hold_offset(most) && !segment.can_hold_offset(most + 1));
    assert!(!segment.can_hold_offset(99));
    let try_append = |offset| {
        let batch = single(offset, 1, 10);
        segment.append(&batch, &[BatchHeader::parse(&batch).unwrap()])
    };
    let before = (segment.size_bytes(), segment.next_offset());
    assert!(matches!(
        try_append(most + 1),
        Err(StorageError::SegmentFull { .. })
    ));
    assert!(matches!(
        try_append(100),
        Err(StorageError::CorruptBatch { .. })
    ));
    assert_eq!((segment.size_bytes(), segment.next_offset()), before);
    try_append(most).unwrap();
    assert_eq!(segment.next_offset(), most + 1);
    assert_eq!(
        segment
            .position_of(101)
            .unwrap()
            .unwrap()
            .header
            .base_offset,
        most
    );
}
