//! A few compressed bytes never become more plain bytes than the caller allows.

use lastword_record::{CompressionType, Compressor, Decompressor, RecordError};

const PLAIN_BYTES: usize = 8 << 20;

fn compressed(codec: CompressionType, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compressor::new()
        .compress(codec, None, plain, &mut out)
        .expect("compressible");
    out
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    for codec in CompressionType::ALL {
        let bomb = compressed(codec, &vec![0; PLAIN_BYTES]);
        for limit in [0, 1, 4_096, 1 << 20, PLAIN_BYTES - 1] {
            let mut decompressor = Decompressor::new(limit);
            let result = decompressor.decompress(codec, &bomb).map(<[u8]>::len);
            assert_eq!(
                result,
                Err(RecordError::DecompressedTooLarge { limit }),
                "{codec}"
            );
        }
    }
}

#[test]
fn exactly_the_limit_is_allowed() {
    for codec in CompressionType::ALL {
        for size_bytes in [0, 1, 65_535, 65_536, 65_537, 1 << 20] {
            let plain: Vec<u8> = (0..size_bytes).map(|i| (i / 7) as u8).collect();
            let bytes = compressed(codec, &plain);
            let mut decompressor = Decompressor::new(size_bytes);
            assert_eq!(
                decompressor.decompress(codec, &bytes),
                Ok(&plain[..]),
                "{codec}"
            );
        }
    }
}

#[test]
fn no_limit_means_no_limit() {
    let bytes = compressed(CompressionType::Zstd, &[7; 1_000]);
    let mut decompressor = Decompressor::new(usize::MAX);
    assert_eq!(
        decompressor.decompress(CompressionType::Zstd, &bytes),
        Ok(&[7; 1_000][..])
    );
}

#[test]
fn a_decompressor_survives_errors_and_changes_of_codec() {
    let mut decompressor = Decompressor::new(1 << 20);
    let plain = b"the same words, the same words, the same words".repeat(50);
    for round in 0..3 {
        for codec in CompressionType::ALL {
            let mut bytes = compressed(codec, &plain);
            assert_eq!(
                decompressor.decompress(codec, &bytes),
                Ok(&plain[..]),
                "{codec} {round}"
            );
            bytes.truncate(bytes.len() / 2);
            if codec != CompressionType::None {
                assert!(
                    decompressor.decompress(codec, &bytes).is_err(),
                    "{codec} cut in half"
                );
            }
        }
        decompressor.shrink_to(16);
    }
}

#[test]
fn gzip_members_and_zstd_frames_are_concatenated() {
    for codec in [CompressionType::Gzip, CompressionType::Zstd] {
        let mut bytes = compressed(codec, b"one, ");
        bytes.extend(compressed(codec, b"two"));
        assert_eq!(
            Decompressor::new(8).decompress(codec, &bytes),
            Ok(&b"one, two"[..])
        );
        let result = Decompressor::new(7)
            .decompress(codec, &bytes)
            .map(<[u8]>::len);
        assert_eq!(result, Err(RecordError::DecompressedTooLarge { limit: 7 }));
    }
}

#[test]
fn snappy_without_framing_is_one_block() {
    let framed = compressed(CompressionType::Snappy, b"unframed");
    let raw = &framed[20..];
    let mut decompressor = Decompressor::new(100);
    assert_eq!(
        decompressor.decompress(CompressionType::Snappy, raw),
        Ok(&b"unframed"[..])
    );
    let twice = [framed.clone(), framed].concat();
    let result = decompressor.decompress(CompressionType::Snappy, &twice);
    assert_eq!(result, Ok(&b"unframedunframed"[..]));
}

#[test]
fn a_snappy_block_that_declares_gigabytes_is_refused() {
    // The declared length, 2^32-1, as a raw block and inside the framing.
    let raw = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let mut framed = compressed(CompressionType::Snappy, b"");
    framed.extend([0, 0, 0, raw.len() as u8]);
    framed.extend(raw);
    for bytes in [&raw[..], &framed] {
        let mut decompressor = Decompressor::new(usize::MAX);
        assert!(
            decompressor
                .decompress(CompressionType::Snappy, bytes)
                .is_err()
        );
    }
}

#[test]
fn bytes_behind_an_lz4_frame_are_refused() {
    let mut bytes = compressed(CompressionType::Lz4, b"frame");
    bytes.push(0);
    assert!(
        Decompressor::new(100)
            .decompress(CompressionType::Lz4, &bytes)
            .is_err()
    );
}

#[test]
fn every_gzip_and_zstd_level_reads_back() {
    let plain = b"levels change the work, not the words ".repeat(100);
    let levels = (-1..=9).map(|level| (CompressionType::Gzip, level));
    let levels = levels.chain([-50, -1, 1, 3, 9].map(|level| (CompressionType::Zstd, level)));
    let mut compressor = Compressor::new();
    for (codec, level) in levels {
        let mut bytes = b"before".to_vec();
        compressor
            .compress(codec, Some(level), &plain, &mut bytes)
            .expect("a level of Kafka");
        let mut decompressor = Decompressor::new(plain.len());
        assert_eq!(
            decompressor.decompress(codec, &bytes[6..]),
            Ok(&plain[..]),
            "{codec} {level}"
        );
    }
}
