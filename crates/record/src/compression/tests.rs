//! What a hostile batch can make us hold.

use super::{CompressionType, Compressor, Decompressor, output::Output};
use crate::RecordError;

#[test]
fn a_bomb_leaves_at_most_the_limit_and_one_byte_behind() {
    let plain = vec![0; 8 << 20];
    for codec in CompressionType::ALL {
        let mut bomb = Vec::new();
        Compressor::new()
            .compress(codec, None, &plain, &mut bomb)
            .expect("compressible");
        for limit in [0, 1, 1_000, 100_000, 1 << 20] {
            let mut decompressor = Decompressor::new(limit);
            assert!(decompressor.decompress(codec, &bomb).is_err());
            assert!(
                decompressor.output.capacity_bytes() <= limit + 1,
                "{codec} {limit}"
            );
        }
    }
}

#[test]
fn a_stated_size_without_bytes_behind_it_is_not_reserved() {
    // A zstd frame that states 2^30 bytes of content and a Snappy block that declares as many.
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x40, 1, 0, 0];
    let snappy = [0x80, 0x80, 0x80, 0x80, 0x04, 0, 0];
    for (codec, bytes) in [
        (CompressionType::Zstd, &zstd[..]),
        (CompressionType::Snappy, &snappy[..]),
    ] {
        let mut decompressor = Decompressor::new(usize::MAX);
        assert!(decompressor.decompress(codec, bytes).is_err());
        assert!(
            decompressor.output.capacity_bytes() <= 128 * 1024,
            "{codec}"
        );
    }
}

#[test]
fn zstd_windows_above_128_mib_are_refused() {
    // A frame without content size: descriptor 0, window descriptor, one empty last block.
    let frame = |window_log: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3, 1, 0, 0];
    let mut decompressor = Decompressor::new(1 << 20);
    assert_eq!(
        decompressor.decompress(CompressionType::Zstd, &frame(27)),
        Ok(&[][..])
    );
    let error = decompressor.decompress(CompressionType::Zstd, &frame(28));
    assert!(matches!(
        error,
        Err(RecordError::Decompression { codec: "zstd", .. })
    ));
}

#[test]
fn output_grows_to_the_limit_and_not_beyond() {
    let mut output = Output::new(10);
    assert_eq!(output.room(4).map(|room| room.len()), Ok(4));
    output.wrote(4);
    assert_eq!(
        output.extend(&[0; 7]),
        Err(RecordError::DecompressedTooLarge { limit: 10 })
    );
    assert_eq!(output.room(100).map(|room| room.len()), Ok(7));
    output.wrote(6);
    assert_eq!(output.finish().map(<[u8]>::len), Ok(10));
    output.wrote(1);
    assert!(output.finish().is_err());
    assert!(output.room(1).is_err());
    output.clear();
    output.shrink_to(3);
    assert_eq!(output.capacity_bytes(), 3);
}

#[test]
fn xxh32_has_the_published_answers() {
    assert_eq!(super::xxh32::xxh32(b""), 0x02cc_5d05);
    assert_eq!(super::xxh32::xxh32(b"a"), 0x550d_7456);
    assert_eq!(super::xxh32::xxh32(b"abc"), 0x32d1_53ff);
    assert_eq!(
        super::xxh32::xxh32(b"Nobody inspects the spammish repetition"),
        0xe229_3b2f
    );
}
