//! A view of one record batch in borrowed bytes, the walk from batch to batch, and the three edits
//! that a log makes to a batch without looking at its records.

use crate::header::{ATTRIBUTES_AT, CRC_AT, MAX_TIMESTAMP_AT, attributes, with_log_append_time};
use crate::{
    BATCH_HEADER_BYTES, BatchHeader, CompressionType, Decompressor, NO_TIMESTAMP, RecordError,
    RecordKeys, Records, crc32c,
};

/// One whole batch: a parsed header and the bytes it came from.
#[derive(Debug, Clone, Copy)]
pub struct RecordBatch<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> RecordBatch<'a> {
    /// The first batch in `bytes`. The CRC is not looked at, see [`RecordBatch::verify_crc`].
    pub fn parse(bytes: &'a [u8]) -> Result<RecordBatch<'a>, RecordError> {
        let header = BatchHeader::parse(bytes)?;
        let needed = header.size_bytes();
        let available = bytes.len();
        let bytes = bytes
            .get(..needed)
            .ok_or(RecordError::Truncated { needed, available })?;
        Ok(RecordBatch { header, bytes })
    }

    /// The parsed header.
    #[inline]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, header included.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records as stored, compressed or not.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(BATCH_HEADER_BYTES..).unwrap_or_default()
    }

    /// Compares the stored CRC with the bytes it covers.
    pub fn verify_crc(&self) -> Result<(), RecordError> {
        let computed = crc32c(self.bytes.get(ATTRIBUTES_AT..).unwrap_or_default());
        if computed == self.header.crc {
            return Ok(());
        }
        Err(RecordError::CorruptCrc {
            stored: self.header.crc,
            computed,
        })
    }

    /// The records. Compressed ones are decompressed into a buffer of `decompressor`; uncompressed
    /// ones are borrowed from the batch. Records are checked while iterating.
    pub fn records<'b>(
        &self,
        decompressor: &'b mut Decompressor,
    ) -> Result<Records<'b>, RecordError>
    where
        'a: 'b,
    {
        let payload = self.plain_payload(decompressor)?;
        Ok(Records::new(&self.header, payload))
    }

    /// The keys of the records and what else a key index needs, as [`RecordBatch::records`] but
    /// without a look at the headers.
    pub fn keys<'b>(
        &self,
        decompressor: &'b mut Decompressor,
    ) -> Result<RecordKeys<'b>, RecordError>
    where
        'a: 'b,
    {
        let payload = self.plain_payload(decompressor)?;
        Ok(RecordKeys::new(&self.header, payload))
    }

    /// The records without compression.
    pub(crate) fn plain_payload<'b>(
        &self,
        decompressor: &'b mut Decompressor,
    ) -> Result<&'b [u8], RecordError>
    where
        'a: 'b,
    {
        let payload: &'b [u8] = self.payload();
        let compression = self.header.compression()?;
        if compression == CompressionType::None || payload.is_empty() {
            return Ok(payload);
        }
        decompressor.decompress(compression, payload)
    }
}

/// Walks the batches that lie one behind the other in a slice.
///
/// Ends at the end of the slice. A torn last batch gives one [`RecordError::Truncated`], anything
/// malformed one error of its kind; after an error there is nothing more.
#[derive(Debug, Clone)]
pub struct RecordBatches<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> RecordBatches<'a> {
    /// `bytes` begins where a batch begins.
    pub fn new(bytes: &'a [u8]) -> RecordBatches<'a> {
        RecordBatches {
            rest: bytes,
            position: 0,
        }
    }

    /// Where the next batch starts; after an error, where the bad one starts.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for RecordBatches<'a> {
    type Item = Result<RecordBatch<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match RecordBatch::parse(self.rest) {
            Ok(batch) => {
                let size_bytes = batch.bytes().len();
                self.rest = self.rest.get(size_bytes..).unwrap_or_default();
                self.position += size_bytes;
                Some(Ok(batch))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

impl std::iter::FusedIterator for RecordBatches<'_> {}

/// What stays of a batch whose records are all gone but whose offsets or sequence numbers are
/// still needed: the header alone. Kept are offsets, leader epoch, producer fields, timestamp type,
/// transactional and control bits and maxTimestamp; codec and delete-horizon bits are cleared and
/// the base timestamp becomes -1.
pub fn empty_batch(header: &BatchHeader) -> [u8; BATCH_HEADER_BYTES] {
    let mut empty = BatchHeader {
        batch_length: (BATCH_HEADER_BYTES - crate::LOG_OVERHEAD) as i32,
        attributes: attributes(
            CompressionType::None,
            header.timestamp_type(),
            header.is_transactional(),
            header.is_control(),
            false,
        ),
        base_timestamp: NO_TIMESTAMP,
        record_count: 0,
        ..*header
    };
    empty.crc = crc32c(&empty.to_bytes()[ATTRIBUTES_AT..]);
    empty.to_bytes()
}

/// Gives a batch its place in the log. Both fields lie outside the CRC.
///
/// # Panics
/// If `batch` is shorter than a header: it was parsed before it got here.
pub fn assign_offsets(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    assert_header(batch);
    batch[0..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Makes `timestamp_ms` the timestamp of every record of `batch`, which is exactly one batch, and
/// computes its CRC again.
///
/// # Panics
/// If `batch` is shorter than a header: it was parsed before it got here.
pub fn set_log_append_time(batch: &mut [u8], timestamp_ms: i64) {
    assert_header(batch);
    let attributes = i16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]);
    let attributes = with_log_append_time(attributes);
    batch[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.to_be_bytes());
    batch[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&timestamp_ms.to_be_bytes());
    let crc = crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

fn assert_header(batch: &[u8]) {
    assert!(
        batch.len() >= BATCH_HEADER_BYTES,
        "a batch to edit has {} bytes, a header {BATCH_HEADER_BYTES}",
        batch.len()
    );
}
