package lastword.compat.differential;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.utils.ByteBufferOutputStream;

/** Plays a scenario on all copies of its log alike, and remembers what a consumer should find. */
final class Player {
    private static final class Producer {
        int epoch;
        int nextSequence;
    }

    private record Pending(LogView.Rec rec, long transactionOf) { }

    final Scenario scenario;
    final List<Replica> replicas;
    /** Lastword has cleaned this log when it was not dirty, and Kafka has not: its markers are further in life. */
    boolean hasQuietPass;
    /** Kafka's cleaner has given this log up. */
    boolean hasKafkaFailed;
    private final FixedTime time;
    private final Map<Long, Producer> producers = new HashMap<>();
    /** Input in log order; records of open transactions carry the producer, aborted ones are taken out. */
    private List<Pending> input = new ArrayList<>();
    private final List<Op.Flip> flips = new ArrayList<>();
    private final List<Op.Back> backs = new ArrayList<>();
    private final Map<Long, byte[]> valueAt = new HashMap<>();
    private int leaderEpoch;
    private int serial;

    Player(Scenario scenario, List<Replica> replicas, FixedTime time) {
        this.scenario = scenario;
        this.replicas = replicas;
        this.time = time;
    }

    void play(Scenario.Round round) throws Exception {
        for (Op op : round.ops()) {
            if (op instanceof Op.Append append) {
                append(append);
            } else if (op instanceof Op.Marker marker) {
                mark(marker);
            } else if (op instanceof Op.Roll) {
                for (Replica replica : replicas) {
                    replica.roll();
                }
            } else if (op instanceof Op.Reopen reopen) {
                for (Replica replica : replicas) {
                    replica.reopen(reopen.isKill());
                }
            } else if (op instanceof Op.Flip flip) {
                flips.add(flip);
            } else if (op instanceof Op.Back back) {
                backs.add(back);
            }
        }
    }

    /** After the logs were closed. */
    void flip() throws Exception {
        for (Op.Flip flip : flips) {
            for (Replica replica : replicas) {
                replica.flip(flip.offset(), valueAt.get(flip.offset()));
            }
        }
        for (Op.Back back : backs) {
            for (Replica replica : replicas) {
                replica.back(back.offset());
            }
        }
        backs.clear();
    }

    List<Long> flipped() {
        return flips.stream().map(Op.Flip::offset).toList();
    }

    /** The last committed record of every key that has a value, below this offset. */
    Map<LogView.Bytes, LogView.Rec> model(long lastStableOffset) {
        return LogView.fold(input.stream()
            .filter(pending -> pending.transactionOf() < 0 && pending.rec().offset() < lastStableOffset)
            .map(Pending::rec).toList());
    }

    /** Whether a later committed record has the same key. */
    boolean isSuperseded(LogView.Rec rec) {
        return input.stream().anyMatch(pending -> pending.transactionOf() < 0
            && rec.key().equals(pending.rec().key()) && pending.rec().offset() > rec.offset());
    }

    private void append(Op.Append append) throws Exception {
        long end = replicas.get(0).log().logEndOffset();
        boolean isExact = append.magic() < 2, hasKeyless = false;
        List<Long> offsets = new ArrayList<>();
        long next = end;
        for (Op.Rec rec : append.records()) {
            long offset = rec.offset() >= 0 ? rec.offset() : next + rec.gap();
            isExact |= offset != next;
            hasKeyless |= rec.key() == null;
            offsets.add(offset);
            next = offset + 1;
        }
        long base = offsets.get(0);
        // A producer's batch begins at 0, and the leader gives it its place.
        long origin = isExact ? 0 : base;
        int span = Math.toIntExact(next - base);
        Producer producer = append.producerId() < 0 ? null
            : producers.computeIfAbsent(append.producerId(), id -> new Producer());
        short epoch = -1;
        int sequence = -1;
        if (producer != null) {
            if (append.epoch() != null && append.epoch() != producer.epoch) {
                producer.epoch = append.epoch();
                producer.nextSequence = 0;
            }
            epoch = (short) producer.epoch;
            sequence = append.sequence() != null ? append.sequence() : producer.nextSequence;
        }
        leaderEpoch = append.leaderEpoch() == null ? leaderEpoch : Math.max(leaderEpoch, append.leaderEpoch());
        List<LogView.Rec> records = new ArrayList<>();
        ByteBuffer bytes;
        try (MemoryRecordsBuilder builder = new MemoryRecordsBuilder(new ByteBufferOutputStream(512),
            (byte) append.magic(), Compression.of(append.codec()).build(), TimestampType.CREATE_TIME, base - origin,
            -1, append.producerId(), epoch, sequence, append.isTransactional(), false, leaderEpoch,
            Integer.MAX_VALUE)) {
            for (int i = 0; i < offsets.size(); i++) {
                Op.Rec rec = append.records().get(i);
                byte[] key = Notation.bytes(rec.key()), value = Notation.bytes(rec.value());
                long timestampMs = append.magic() == 0 ? -1
                    : rec.timestampMs() != null ? rec.timestampMs() : time.milliseconds() + serial;
                serial++;
                Header[] headers = rec.headers().stream().map(head -> new RecordHeader(head.name(),
                    head.value() == null ? null : head.value().getBytes())).toArray(Header[]::new);
                builder.appendWithOffset(offsets.get(i) - origin, timestampMs, key, value, headers);
                records.add(new LogView.Rec(offsets.get(i), timestampMs, key == null ? null : new LogView.Bytes(key),
                    value == null ? null : new LogView.Bytes(value), List.of()));
                valueAt.put(offsets.get(i), value);
            }
            bytes = builder.build().buffer();
        }
        String outcome = onAll(bytes, isExact, hasKeyless, false, 1);
        // Of a compressed message of the old formats only the last offset is known.
        String first = append.magic() < 2 && outcome.startsWith("-1..") ? "-1" : Long.toString(base);
        if (!outcome.equals(first + ".." + (next - 1))) {
            refused(producer, outcome);
            return;
        }
        if (producer != null) {
            producer.nextSequence = DefaultRecordBatch.incrementSequence(sequence, span);
        }
        long owner = append.isTransactional() ? append.producerId() : -1;
        records.forEach(rec -> input.add(new Pending(rec, owner)));
    }

    private void mark(Op.Marker marker) throws Exception {
        Producer producer = producers.computeIfAbsent(marker.producerId(), id -> new Producer());
        int epoch = producer.epoch + (marker.version() == 2 ? 1 : 0);
        MemoryRecords records = MemoryRecords.withEndTransactionMarker(0, time.milliseconds() + serial++, leaderEpoch,
            marker.producerId(), (short) epoch, new EndTransactionMarker(
                marker.isCommit() ? ControlRecordType.COMMIT : ControlRecordType.ABORT, 0));
        String outcome = onAll(records.buffer(), false, false, true, marker.version());
        if (!outcome.matches("\\d+\\.\\.\\d+")) {
            refused(producer, outcome);
            return;
        }
        if (marker.offset() >= 0 && !outcome.equals(marker.offset() + ".." + marker.offset())) {
            throw new Differs("the marker " + marker + " lies at " + outcome);
        }
        if (marker.version() == 2) {
            producer.epoch = epoch;
            producer.nextSequence = 0;
        }
        List<Pending> kept = new ArrayList<>(input.size());
        for (Pending pending : input) {
            if (pending.transactionOf() != marker.producerId()) {
                kept.add(pending);
            } else if (marker.isCommit()) {
                kept.add(new Pending(pending.rec(), -1));
            }
        }
        input = kept;
    }

    /** What one copy refuses all must refuse; the producer goes on under a new epoch. */
    private static void refused(Producer producer, String outcome) {
        if (producer == null) {
            if (outcome.startsWith("RecordBatchTooLargeException")) {
                return;
            }
            throw new IllegalStateException("a scenario that cannot be played: " + outcome);
        }
        producer.epoch++;
        producer.nextSequence = 0;
    }

    private String onAll(ByteBuffer bytes, boolean isExact, boolean hasKeyless, boolean isMarker, int version)
        throws Differs {
        String first = null;
        for (Replica replica : replicas) {
            ByteBuffer own = ByteBuffer.allocate(bytes.remaining()).put(bytes.duplicate()).flip();
            String outcome = replica.append(own, leaderEpoch, isExact, hasKeyless, isMarker, version);
            if (first != null && !first.equals(outcome)) {
                throw new Differs("an append: " + replicas.get(0).home.folder.getName() + " answers " + first + ", "
                    + replica.home.folder.getName() + " answers " + outcome);
            }
            first = outcome;
        }
        return first;
    }
}
