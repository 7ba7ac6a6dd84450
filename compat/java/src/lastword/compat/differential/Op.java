package lastword.compat.differential;

import java.util.List;

/** One step of a scenario. Offsets and sequences that are not given are the next ones. */
sealed interface Op {
    /**
     * A record. `key` and `value` are words of the notation (see Notation), null when absent; `offset` is where it
     * must lie, or -1; `gap` is how many offsets it leaves out before it.
     */
    record Rec(String key, String value, Long timestampMs, List<Head> headers, long offset, long gap) { }

    record Head(String name, String value) { }

    /** A batch; `epoch` and `sequence` only when the scenario says so. */
    record Append(String codec, int magic, long producerId, Integer epoch, Integer sequence,
                  boolean isTransactional, Integer leaderEpoch, List<Rec> records) implements Op { }

    /** The end of a transaction; version 2 raises the producer's epoch with the marker, as KIP-890 does. */
    record Marker(boolean isCommit, long producerId, int version, long offset) implements Op { }

    record Roll() implements Op { }

    /** Closed and opened again; `isKill` leaves neither snapshots nor a clean mark. */
    record Reopen(boolean isKill) implements Op { }

    /** One bit of a value is flipped on disk: the record stays readable, its checksum does not hold. */
    record Flip(long offset) implements Op { }

    /** A message of an old format gets the offset of the one before it, on disk: its checksum does not cover that. */
    record Back(long offset) implements Op { }
}
