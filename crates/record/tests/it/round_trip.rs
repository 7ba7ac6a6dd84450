//! Whatever is written is read back, in every codec.

use lastword_record::{BatchSpec, CompressionType, RecordBatch, RecordBatches, TimestampType};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::support::{OwnedRecord, build, read};

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..most),
        (any::<u8>(), 0..most * 8).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

fn timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(-1),
        0..2_000_000_000_000i64,
        any::<i64>().prop_map(|t| t.max(-1))
    ]
}

pub fn records() -> impl Strategy<Value = Vec<OwnedRecord>> {
    let header = (bytes(12), option::of(bytes(12)));
    let record = (
        1..1_000i64,
        timestamp(),
        option::of(bytes(40)),
        option::of(bytes(300)),
        vec(header, 0..3),
    );
    vec(record, 1..40).prop_map(|records| {
        let mut offset = 0;
        let record = |(gap, timestamp, key, value, headers)| {
            offset += gap;
            OwnedRecord {
                offset,
                timestamp,
                key,
                value,
                headers,
            }
        };
        records.into_iter().map(record).collect()
    })
}

pub fn spec() -> impl Strategy<Value = BatchSpec> {
    let producer = (-1..i64::MAX, -1..i16::MAX, -1..i32::MAX);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (0..1i64 << 60, 0..5u8, producer, flags, any::<i32>()).prop_map(
        |(base_offset, codec, producer, flags, leader_epoch)| BatchSpec {
            base_offset,
            compression: CompressionType::from_id(codec).unwrap_or_default(),
            compression_level: None,
            timestamp_type: match flags.0 {
                true => TimestampType::LogAppendTime,
                false => TimestampType::CreateTime,
            },
            producer_id: producer.0,
            producer_epoch: producer.1,
            base_sequence: producer.2,
            leader_epoch,
            is_transactional: flags.1,
            is_control: flags.2,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn records_read_back_as_pushed(spec in spec(), mut records in records()) {
        for record in &mut records {
            record.offset += spec.base_offset;
        }
        let batch_bytes = build(spec, &records);
        let batch = RecordBatch::parse(&batch_bytes).expect("a whole batch");
        prop_assert_eq!(batch.verify_crc(), Ok(()));

        let header = batch.header();
        let max_timestamp = records.iter().map(|r| r.timestamp).max();
        prop_assert_eq!(Some(header.max_timestamp), max_timestamp);
        prop_assert_eq!(Some(header.last_offset()), records.last().map(|r| r.offset));
        prop_assert_eq!(header.compression(), Ok(spec.compression));
        prop_assert_eq!(header.timestamp_type(), spec.timestamp_type);
        prop_assert_eq!(header.is_transactional(), spec.is_transactional);
        prop_assert_eq!(header.is_control(), spec.is_control);
        prop_assert_eq!(header.producer_id, spec.producer_id);
        prop_assert_eq!(header.producer_epoch, spec.producer_epoch);
        prop_assert_eq!(header.base_sequence, spec.base_sequence);
        prop_assert_eq!(header.leader_epoch, spec.leader_epoch);
        prop_assert_eq!(header.delete_horizon_ms(), None);

        if spec.timestamp_type == TimestampType::LogAppendTime {
            for record in &mut records {
                record.timestamp = header.max_timestamp;
            }
        }
        prop_assert_eq!(read(&batch_bytes), Ok(records));
    }

    #[test]
    fn batches_in_a_row_are_walked_to_the_end(specs in vec(spec(), 0..6), records in records()) {
        let mut log = Vec::new();
        let mut starts = Vec::new();
        for mut spec in specs {
            spec.base_offset = 0;
            starts.push(log.len());
            log.extend(build(spec, &records));
        }
        let mut walk = RecordBatches::new(&log);
        for start in starts {
            prop_assert_eq!(walk.position(), start);
            let batch = walk.next().expect("another batch").expect("a whole batch");
            prop_assert_eq!(batch.verify_crc(), Ok(()));
        }
        prop_assert_eq!(walk.position(), log.len());
        prop_assert!(walk.next().is_none());
    }
}
