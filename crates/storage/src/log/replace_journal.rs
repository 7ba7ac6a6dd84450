//! `<base>.replace`: the record of a swap of segments, so that it happens wholly or not at all.
//!
//! ```text
//! lastword-replace 1
//! input 00000000000000000000
//! input 00000000000000000042
//! output 00000000000000000000 1234 16 12 -        bytes of .log .index .timeindex .txnindex
//! crc32c 1a2b3c4d                                 of all lines above, with their line feeds
//! ```
//! `-` says that the output has no such file. A journal that is torn or damaged is no journal: it
//! was not finished, so nothing has been renamed. Kafka ignores files of this name.

use std::fmt::Write as _;

use lastword_record::crc32c;

use crate::file_name::SegmentFile;

const TITLE: &str = "lastword-replace 1";
const CHECKSUM: &str = "crc32c ";

/// One segment that is swapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOutput {
    pub base_offset: i64,
    /// Sizes in the order of [`SegmentFile::OF_SEGMENT`]; none for a file it does not have.
    pub file_bytes: [Option<u64>; 4],
}

impl JournalOutput {
    /// The files of this output with their sizes.
    pub fn files(&self) -> impl Iterator<Item = (SegmentFile, Option<u64>)> + '_ {
        SegmentFile::OF_SEGMENT.into_iter().zip(self.file_bytes)
    }
}

/// "These inputs become these outputs." Both sorted by base offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplaceJournal {
    pub inputs: Vec<i64>,
    pub outputs: Vec<JournalOutput>,
}

impl ReplaceJournal {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{TITLE}\n");
        for base_offset in &self.inputs {
            let _ = writeln!(text, "input {base_offset:020}");
        }
        for output in &self.outputs {
            let _ = write!(text, "output {:020}", output.base_offset);
            for size in output.file_bytes {
                let _ = match size {
                    Some(bytes) => write!(text, " {bytes}"),
                    None => write!(text, " -"),
                };
            }
            text.push('\n');
        }
        let checksum = crc32c(text.as_bytes());
        let _ = writeln!(text, "{CHECKSUM}{checksum:08x}");
        text.into_bytes()
    }

    /// The journal in a file; none when it is torn, damaged or of another version.
    pub fn decode(bytes: &[u8]) -> Option<ReplaceJournal> {
        let text = std::str::from_utf8(bytes).ok()?;
        let body_len = text.strip_suffix('\n')?.rfind('\n')? + 1;
        let (body, last) = text.split_at_checked(body_len)?;
        let stored = last.strip_prefix(CHECKSUM)?.strip_suffix('\n')?;
        if u32::from_str_radix(stored, 16).ok()? != crc32c(body.as_bytes()) {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let mut journal = ReplaceJournal::default();
        for line in lines {
            let mut fields = line.split(' ');
            match fields.next()? {
                "input" => journal.inputs.push(fields.next()?.parse().ok()?),
                "output" => journal.outputs.push(parse_output(&mut fields)?),
                _ => return None,
            }
            if fields.next().is_some() {
                return None;
            }
        }
        Some(journal)
    }

    /// Is one of the outputs named by this base offset?
    pub fn has_output(&self, base_offset: i64) -> bool {
        self.outputs
            .iter()
            .any(|output| output.base_offset == base_offset)
    }
}

fn parse_output<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<JournalOutput> {
    let base_offset = fields.next()?.parse().ok()?;
    let mut file_bytes = [None; 4];
    for size in &mut file_bytes {
        *size = match fields.next()? {
            "-" => None,
            bytes => Some(bytes.parse().ok()?),
        };
    }
    Some(JournalOutput {
        base_offset,
        file_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> ReplaceJournal {
        ReplaceJournal {
            inputs: vec![0, 42, 3_000_000_000],
            outputs: vec![
                JournalOutput {
                    base_offset: 0,
                    file_bytes: [Some(1234), Some(16), Some(12), None],
                },
                JournalOutput {
                    base_offset: 3_000_000_000,
                    file_bytes: [Some(0), Some(0), Some(0), Some(34)],
                },
            ],
        }
    }

    #[test]
    fn a_journal_comes_back_as_it_was() {
        let text = String::from_utf8(journal().encode()).expect("text");
        assert!(
            text.contains("output 00000000000000000000 1234 16 12 -\n"),
            "{text}"
        );
        assert_eq!(ReplaceJournal::decode(text.as_bytes()), Some(journal()));
    }

    #[test]
    fn a_torn_or_damaged_journal_is_none() {
        let bytes = journal().encode();
        for position in 0..bytes.len() {
            assert_eq!(
                ReplaceJournal::decode(&bytes[..position]),
                None,
                "cut at {position}"
            );
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x04;
            assert_eq!(ReplaceJournal::decode(&damaged), None, "byte {position}");
        }
    }
}
