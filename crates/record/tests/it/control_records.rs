//! Markers are those of Kafka, and unknown control records are tolerated.

use lastword_record::control::{
    ControlRecordType, EndTxnMarker, coordinator_epoch, end_txn_marker,
};
use lastword_record::{Decompressor, RecordBatch};

use crate::support::fixture;

#[test]
fn markers_are_written_like_kafka_does() {
    for (is_commit, name) in [(true, "marker-commit"), (false, "marker-abort")] {
        let marker = EndTxnMarker {
            is_commit,
            base_offset: 500,
            timestamp: 8_000,
            leader_epoch: 9,
            producer_id: 4242,
            producer_epoch: 3,
            coordinator_epoch: 7,
        };
        assert_eq!(end_txn_marker(&marker), Ok(fixture(name)));
    }
}

#[test]
fn a_commit_marker_has_the_documented_bytes() {
    let bytes = fixture("marker-commit");
    let batch = RecordBatch::parse(&bytes).expect("a whole batch");
    assert!(batch.header().is_control() && batch.header().is_transactional());
    assert_eq!(batch.header().base_sequence, -1);

    let mut decompressor = Decompressor::new(0);
    let mut records = batch
        .records(&mut decompressor)
        .expect("uncompressed records");
    let record = records.next().expect("one record").expect("a valid record");
    assert_eq!(record.key, Some(&[0, 0, 0, 1][..]));
    assert_eq!(record.value, Some(&[0, 0, 0, 0, 0, 7][..]));
    assert_eq!(
        record.key.map(ControlRecordType::parse),
        Some(Ok(ControlRecordType::Commit))
    );
    assert_eq!(record.value.map(coordinator_epoch), Some(Ok(7)));
    assert!(records.next().is_none());
}

#[test]
fn every_type_reads_back_as_itself() {
    for id in -2..9 {
        let control_type = ControlRecordType::parse(&[0, 0, (id >> 8) as u8, id as u8]);
        let control_type = control_type.expect("a whole key");
        assert_eq!(control_type.id(), id);
        assert_eq!(
            ControlRecordType::parse(&control_type.key()),
            Ok(control_type)
        );
    }
    assert_eq!(
        ControlRecordType::parse(&[0, 0, 0, 7]),
        Ok(ControlRecordType::Unknown(7))
    );
    assert_eq!(
        ControlRecordType::parse(&[0, 9, 0, 0, 1]),
        Ok(ControlRecordType::Abort)
    );
}

#[test]
fn short_keys_and_values_are_refused() {
    for length in 0..4 {
        assert!(ControlRecordType::parse(&[0; 4][..length]).is_err());
    }
    for length in 0..6 {
        assert!(coordinator_epoch(&[0; 6][..length]).is_err());
    }
    assert!(ControlRecordType::parse(&[0xff, 0xff, 0, 0]).is_err());
    assert!(coordinator_epoch(&[0x80, 0, 0, 0, 0, 7]).is_err());
}
