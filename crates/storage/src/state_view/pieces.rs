//! `Pieces`: a segment as a row of pieces: runs of batches to be served as they are, runs to be skipped, and single
//! batches of which some records are served.
//!
//! Neighbours that are alike are one piece, so the table is small where batches are small: one of a single record is
//! never mixed. It is bounded; what no longer fits counts as live, which is always right. No lock; no I/O.

/// 12 MiB; then the rest of the segment is served as it is.
const MOST_PIECES: usize = 1 << 20;

/// What becomes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole batches, all served.
    Live,
    /// Whole batches, all skipped.
    Dead,
    /// One batch; some of its records are served.
    Mixed,
}

/// From its position to that of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub position: u32,
    /// Of its first record, counted through the segment.
    pub first_ordinal: u32,
    pub kind: Kind,
}

/// The pieces of one segment, from position 0 on, without gaps.
#[derive(Debug, Default)]
pub struct Pieces {
    pieces: Vec<Piece>,
    end: u32,
}

impl Pieces {
    /// Adds the next batch.
    pub fn push(
        &mut self,
        batch: std::ops::Range<u32>,
        first_ordinal: u32,
        records: u64,
        dead: u64,
    ) {
        let kind = match dead {
            0 => Kind::Live,
            _ if self.pieces.len() >= MOST_PIECES => Kind::Live,
            _ if dead == records => Kind::Dead,
            _ => Kind::Mixed,
        };
        let last = self.pieces.last().map(|piece| piece.kind);
        self.end = batch.end;
        if last != Some(kind) || kind == Kind::Mixed {
            self.pieces.push(Piece {
                position: batch.start,
                first_ordinal,
                kind,
            });
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        (self.pieces.len() * size_of::<Piece>()) as u64
    }

    pub fn shrink_to_fit(&mut self) {
        self.pieces.shrink_to_fit();
    }

    /// The piece at a position, and where it ends; behind the end everything is live.
    pub fn at(&self, position: u32) -> (Piece, u32) {
        let next = self
            .pieces
            .partition_point(|piece| piece.position <= position);
        let piece = next.checked_sub(1).and_then(|index| self.pieces.get(index));
        match piece {
            Some(piece) if position < self.end => {
                let end = self
                    .pieces
                    .get(next)
                    .map_or(self.end, |piece| piece.position);
                (*piece, end)
            }
            _ => {
                let piece = Piece {
                    position: self.end,
                    first_ordinal: 0,
                    kind: Kind::Live,
                };
                (piece, u32::MAX)
            }
        }
    }

    /// How far it is worth reading from a position on in one go, up to `most`: to the next gap that is larger.
    pub fn extent_end(&self, position: u32, most: u32, gap_bytes: u32) -> u32 {
        let mut end = position;
        let mut at = position;
        while at < most {
            let (piece, next) = self.at(at);
            let next = next.min(most);
            match piece.kind {
                Kind::Dead if next - at > gap_bytes => break,
                Kind::Dead => {}
                Kind::Live | Kind::Mixed => end = next,
            }
            at = next;
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_are_alike_become_one_piece_and_mixed_batches_stay_apart() {
        let mut pieces = Pieces::default();
        let counts = [(2, 0), (3, 0), (1, 1), (4, 4), (4, 1), (4, 1), (0, 0)];
        let mut first_ordinal = 0;
        for (index, (records, dead)) in (0u32..).zip(counts) {
            pieces.push(index * 100..index * 100 + 100, first_ordinal, records, dead);
            first_ordinal += records as u32;
        }
        let seen: Vec<_> = [0, 199, 200, 399, 400, 500, 600, 700, 5_000]
            .into_iter()
            .map(|position| {
                let (piece, end) = pieces.at(position);
                (piece.kind, piece.first_ordinal, end)
            })
            .collect();
        use Kind::{Dead, Live, Mixed};
        let expected = [
            (Live, 0, 200),
            (Live, 0, 200),
            (Dead, 5, 400),
            (Dead, 5, 400),
            (Mixed, 10, 500),
            (Mixed, 14, 600),
            (Live, 18, 700),
            (Live, 0, u32::MAX),
            (Live, 0, u32::MAX),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn small_gaps_are_read_over_and_large_ones_are_not() {
        let mut pieces = Pieces::default();
        pieces.push(0..100, 0, 1, 0);
        pieces.push(100..150, 1, 1, 1);
        pieces.push(150..300, 2, 2, 1);
        pieces.push(300..900, 4, 1, 1);
        pieces.push(900..1000, 5, 1, 0);
        assert_eq!(pieces.extent_end(0, 5_000, 50), 300);
        assert_eq!(pieces.extent_end(0, 200, 50), 200);
        assert_eq!(pieces.extent_end(0, 5_000, 49), 100);
        assert_eq!(pieces.extent_end(0, 5_000, 600), 5_000);
    }
}
