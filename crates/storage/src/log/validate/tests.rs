//! What enters a log and what does not, as tables.

use lastword_record::RecordBatch;

use super::*;
use crate::config::CleanupPolicy;

const NOW_MS: i64 = 1_000_000;

struct Row {
    timestamp: i64,
    key: Option<&'static [u8]>,
}

const KEYED: Row = Row {
    timestamp: NOW_MS,
    key: Some(b"k"),
};

fn spec() -> BatchSpec {
    BatchSpec::default()
}

fn batch(spec: BatchSpec, rows: &[Row]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(spec);
    for (offset, row) in (spec.base_offset..).zip(rows) {
        builder.push(offset, row.timestamp, row.key, Some(b"value"), &[]);
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).expect("a batch");
    bytes
}

/// Sets header bytes and makes the checksum right again.
fn patched(mut bytes: Vec<u8>, at: usize, with: &[u8]) -> Vec<u8> {
    bytes[at..at + with.len()].copy_from_slice(with);
    let crc = crc32c(&bytes[CRC_COVERS_FROM..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn run(
    bytes: &[u8],
    config: &LogConfig,
    origin: AppendOrigin,
) -> Result<(Vec<ValidatedBatch>, Vec<u8>), StorageError> {
    let topic_partition = TopicPartition::new("t", 0);
    let rules = Rules {
        topic_partition: &topic_partition,
        config,
        origin,
        now_ms: NOW_MS,
    };
    let mut scratch = Scratch {
        decompressor: Decompressor::new(1 << 20),
        output: Vec::new(),
    };
    let validated = validate(bytes, &rules, &mut scratch)?;
    Ok((validated, scratch.output))
}

fn from_client(bytes: &[u8], config: &LogConfig) -> Result<Vec<u8>, StorageError> {
    run(bytes, config, AppendOrigin::Client).map(|(_, output)| output)
}

#[test]
fn a_good_batch_is_written_as_it_came() {
    for compression in [
        CompressionType::None,
        CompressionType::Gzip,
        CompressionType::Snappy,
        CompressionType::Lz4,
        CompressionType::Zstd,
    ] {
        let bytes = batch(
            BatchSpec {
                compression,
                ..spec()
            },
            &[KEYED, KEYED],
        );
        let output = from_client(&bytes, &LogConfig::default()).expect("valid");
        assert_eq!(output, bytes, "{compression:?}");
    }
}

#[test]
fn a_client_numbers_its_records_one_by_one() {
    // Three records for three offsets, but the first offset twice.
    let mut builder = BatchBuilder::new(spec());
    for offset in [0, 0, 2] {
        builder.push(offset, NOW_MS, Some(b"k"), Some(b"value"), &[]);
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).expect("a batch");
    for topic_codec in [
        TopicCompression::Producer,
        TopicCompression::Codec(CompressionType::Lz4),
    ] {
        let config = LogConfig {
            compression_type: topic_codec,
            ..LogConfig::default()
        };
        let refused = from_client(&bytes, &config);
        assert!(
            matches!(refused, Err(StorageError::InvalidRecord { .. })),
            "{topic_codec:?}: {refused:?}"
        );
    }
}

#[test]
fn a_client_sends_exactly_one_batch() {
    let one = batch(spec(), &[KEYED]);
    let two = [one.clone(), one.clone()].concat();
    let config = LogConfig::default();
    assert!(matches!(
        from_client(&two, &config),
        Err(StorageError::InvalidRecord { .. })
    ));
    assert!(matches!(
        from_client(&[], &config),
        Err(StorageError::InvalidRecord { .. })
    ));
    let (validated, output) = run(&two, &config, AppendOrigin::Coordinator).expect("valid");
    assert_eq!((validated.len(), output.len()), (2, two.len()));
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let bytes = batch(spec(), &[KEYED, KEYED]);
    let table: [(&str, usize, &[u8]); 7] = [
        ("count of 1 with delta 1", 57, &1i32.to_be_bytes()),
        ("count of 0", 57, &0i32.to_be_bytes()),
        ("control bit", 21, &0x20i16.to_be_bytes()),
        ("delete horizon bit", 21, &0x40i16.to_be_bytes()),
        ("transactional without producer", 21, &0x10i16.to_be_bytes()),
        ("producer without sequence", 43, &5i64.to_be_bytes()),
        ("delta of 2 with count 2", 23, &2i32.to_be_bytes()),
    ];
    for (what, at, with) in table {
        let bad = patched(bytes.clone(), at, with);
        let result = from_client(&bad, &LogConfig::default());
        assert!(
            matches!(result, Err(StorageError::InvalidRecord { .. })),
            "{what}: {result:?}"
        );
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = batch(spec(), &[KEYED]);
    for position in 0..bytes.len() {
        // Base offset and leader epoch are outside of the checksum: the log sets them itself.
        if position < 8 || (12..16).contains(&position) {
            continue;
        }
        let mut bad = bytes.clone();
        bad[position] ^= 0x01;
        assert!(
            from_client(&bad, &LogConfig::default()).is_err(),
            "byte {position}"
        );
        assert!(from_client(&bytes[..position], &LogConfig::default()).is_err());
    }
}

#[test]
fn a_compacted_topic_wants_a_key_and_takes_an_empty_one() {
    let keyless = Row { key: None, ..KEYED };
    let empty = Row {
        key: Some(b""),
        ..KEYED
    };
    let mut config = LogConfig::default();
    assert!(from_client(&batch(spec(), &[KEYED, keyless]), &config).is_ok());
    config.cleanup_policy = CleanupPolicy {
        compact: true,
        delete: true,
    };
    let keyless = Row { key: None, ..KEYED };
    let refused = from_client(&batch(spec(), &[KEYED, keyless]), &config);
    assert!(matches!(
        refused,
        Err(StorageError::KeylessRecord { batch_index: 1, .. })
    ));
    assert!(from_client(&batch(spec(), &[empty]), &config).is_ok());
}

#[test]
fn timestamps_outside_of_the_bounds_are_refused() {
    let config = LogConfig {
        message_timestamp_before_max_ms: 100,
        message_timestamp_after_max_ms: 50,
        ..LogConfig::default()
    };
    for (timestamp, is_valid) in [
        (NOW_MS - 101, false),
        (NOW_MS - 100, true),
        (NOW_MS + 50, true),
        (NOW_MS + 51, false),
        (NO_TIMESTAMP, true),
    ] {
        let bytes = batch(spec(), &[KEYED, Row { timestamp, ..KEYED }]);
        let result = from_client(&bytes, &config);
        assert_eq!(result.is_ok(), is_valid, "{timestamp}: {result:?}");
    }
}

#[test]
fn a_wrong_largest_timestamp_is_set_right() {
    let bytes = batch(spec(), &[KEYED]);
    let lying = patched(bytes.clone(), MAX_TIMESTAMP_AT, &i64::MAX.to_be_bytes());
    assert_eq!(
        from_client(&lying, &LogConfig::default()).expect("valid"),
        bytes
    );
}

#[test]
fn log_append_time_stamps_the_batch() {
    let config = LogConfig {
        message_timestamp_type: TimestampType::LogAppendTime,
        ..LogConfig::default()
    };
    let old = Row {
        timestamp: 5,
        ..KEYED
    };
    let output = from_client(&batch(spec(), &[old]), &config).expect("valid");
    let written = RecordBatch::parse(&output).expect("parses");
    written.verify_crc().expect("checksum");
    assert_eq!(written.header().max_timestamp, NOW_MS);
    assert_eq!(
        written.header().timestamp_type(),
        TimestampType::LogAppendTime
    );
    let refused = from_client(&output, &LogConfig::default());
    assert!(matches!(
        refused,
        Err(StorageError::InvalidTimestamp { .. })
    ));
}

#[test]
fn the_topics_codec_replaces_the_producers() {
    let spec = BatchSpec {
        producer_id: 7,
        producer_epoch: 1,
        base_sequence: 40,
        ..spec()
    };
    let bytes = batch(spec, &[KEYED, KEYED, KEYED]);
    let config = LogConfig {
        compression_type: TopicCompression::Codec(CompressionType::Zstd),
        ..LogConfig::default()
    };
    let zstd = from_client(&bytes, &config).expect("valid");
    let written = RecordBatch::parse(&zstd).expect("parses");
    assert_eq!(
        written.header().compression().expect("codec"),
        CompressionType::Zstd
    );
    assert_eq!(written.header().base_sequence, 40);
    assert_eq!(written.header().record_count, 3);
    let config = LogConfig {
        compression_type: TopicCompression::Uncompressed,
        ..LogConfig::default()
    };
    assert_eq!(from_client(&zstd, &config).expect("valid"), bytes);
}

#[test]
fn sizes_are_limited_before_and_after_decompression() {
    let bytes = batch(spec(), &[KEYED]);
    let config = LogConfig {
        max_message_bytes: u32::try_from(bytes.len()).expect("small") - 1,
        ..LogConfig::default()
    };
    assert!(matches!(
        from_client(&bytes, &config),
        Err(StorageError::RecordTooLarge { .. })
    ));

    let mut builder = BatchBuilder::new(BatchSpec {
        compression: CompressionType::Zstd,
        ..spec()
    });
    builder.push(0, NOW_MS, Some(b"k"), Some(&vec![0; 4 << 20]), &[]);
    let mut bomb = Vec::new();
    builder.finish(&mut bomb).expect("a batch");
    assert!(bomb.len() < 4096);
    let refused = from_client(&bomb, &LogConfig::default());
    assert!(
        matches!(refused, Err(StorageError::RecordTooLarge { .. })),
        "{refused:?}"
    );
}
