//! Sorts entries: first in place into 256 parts by the leading bits of their hashes, which are spread evenly, and then
//! each part, which fits a processor's cache. Pure.

use super::entry::Entry;
use super::hash::KeyHash;

const PARTS: usize = 256;
/// Fewer are sorted at once.
const FEW: usize = 4 * PARTS;

/// Sorts by hash, and then by place.
pub fn sort(entries: &mut [Entry]) {
    if entries.len() < FEW {
        entries.sort_unstable();
        return;
    }
    let mut counts = [0; PARTS];
    for entry in entries.iter() {
        counts[part(*entry)] += 1;
    }
    let mut ends = [0; PARTS];
    let mut next = [0; PARTS];
    let mut sum = 0;
    for index in 0..PARTS {
        next[index] = sum;
        sum += counts[index];
        ends[index] = sum;
    }
    // Every swap brings one entry into its part.
    for index in 0..PARTS {
        while next[index] < ends[index] {
            let home = part(entries[next[index]]);
            if home != index {
                entries.swap(next[index], next[home]);
            }
            next[home] += 1;
        }
    }
    let mut rest = entries;
    for count in counts {
        let (part, behind) = rest.split_at_mut(count);
        part.sort_unstable();
        rest = behind;
    }
}

#[inline]
fn part(entry: Entry) -> usize {
    (entry.hash().bits() >> (KeyHash::BITS - PARTS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_index::KeyHasher;

    #[test]
    fn entries_come_out_in_order_and_none_is_lost() {
        let hasher = KeyHasher::new(&[5; 16]);
        for (count, keys) in [
            (0, 1),
            (10, 3),
            (FEW as u32, 1),
            (20_000, 20_000),
            (20_000, 7),
        ] {
            let mut entries: Vec<Entry> = (0..count)
                .map(|ordinal| {
                    let key = ordinal.wrapping_mul(2_654_435_761) % keys;
                    Entry::new(hasher.hash(&key.to_be_bytes()), ordinal, ordinal % 2 == 0)
                })
                .collect();
            let mut expected = entries.clone();
            expected.sort_unstable();
            sort(&mut entries);
            assert!(entries == expected, "{count} entries of {keys} keys");
        }
    }
}
