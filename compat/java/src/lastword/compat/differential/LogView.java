package lastword.compat.differential;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Set;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.message.FetchResponseData.AbortedTransaction;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.FileRecords;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.server.storage.log.FetchIsolation;
import org.apache.kafka.storage.internals.log.AbortedTxn;
import org.apache.kafka.storage.internals.log.FetchDataInfo;
import org.apache.kafka.storage.internals.log.TransactionIndex;
import org.apache.kafka.storage.internals.log.UnifiedLog;

/** What a log holds, read with Kafka's FileRecords and UnifiedLog. */
final class LogView {
    static final int HORIZON = 0x40;
    static final int CONTROL = 0x20;
    static final int TRANSACTIONAL = 0x10;
    static final int CODEC = 0x07;

    /** Bytes compare by content and print as text; null is null. */
    record Bytes(byte[] bytes) {
        static Bytes of(ByteBuffer buffer) {
            return buffer == null ? null : new Bytes(Utils.toArray(buffer));
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Bytes that && Arrays.equals(bytes, that.bytes);
        }

        @Override
        public int hashCode() {
            return Arrays.hashCode(bytes);
        }

        @Override
        public String toString() {
            for (byte one : bytes) {
                if (one < 0x20 || one > 0x7e) {
                    String hex = HexFormat.of().formatHex(bytes, 0, Math.min(bytes.length, 12));
                    return "0x" + hex + (bytes.length > 12 ? "..(" + bytes.length + ")" : "");
                }
            }
            return "\"" + new String(bytes) + "\"";
        }
    }

    record Head(String name, Bytes value) { }

    record Rec(long offset, long timestampMs, Bytes key, Bytes value, List<Head> headers) {
        static Rec of(Record record) {
            List<Head> headers = new ArrayList<>();
            for (Header header : record.headers()) {
                headers.add(new Head(header.key(), header.value() == null ? null : new Bytes(header.value())));
            }
            return new Rec(record.offset(), record.timestamp(), Bytes.of(record.key()), Bytes.of(record.value()),
                headers);
        }

        @Override
        public String toString() {
            return key + "=" + value + "@" + offset + "~" + timestampMs + (headers.isEmpty() ? "" : headers);
        }
    }

    /** A batch; `bytes` are null when it is compressed. `attributes` are the sixteen bits of a v2 batch. */
    record Batch(int position, long baseOffset, long lastOffset, int magic, int attributes, int leaderEpoch,
                 long baseTimestamp, long maxTimestamp, long producerId, int producerEpoch, int baseSequence,
                 int count, boolean isValid, List<Rec> records, List<Integer> sequences, Bytes bytes) {
        boolean isControl() {
            return (attributes & CONTROL) != 0;
        }

        boolean isTransactional() {
            return (attributes & TRANSACTIONAL) != 0;
        }

        /** The delete horizon, or -1. */
        long horizonMs() {
            return (attributes & HORIZON) != 0 ? baseTimestamp : -1;
        }

        boolean hasTombstone() {
            return !isControl() && records.stream().anyMatch(rec -> rec.value() == null);
        }

        /** For control batches: COMMIT, ABORT, ... */
        String controlType() {
            return ControlRecordType.parse(ByteBuffer.wrap(records.get(0).key().bytes())).name();
        }

        /** All but the position, the checksum and what compression makes of it. */
        String facts() {
            return String.format("batch %d..%d magic=%d attributes=0x%02x leaderEpoch=%d baseTimestamp=%d "
                    + "maxTimestamp=%d producer=%d/%d/%d count=%d%s", baseOffset, lastOffset, magic, attributes,
                leaderEpoch, baseTimestamp, maxTimestamp, producerId, producerEpoch, baseSequence, count,
                isValid ? "" : " INVALID CHECKSUM");
        }

        @Override
        public String toString() {
            String text = records.toString();
            return facts() + " " + (text.length() > 1500 ? text.substring(0, 1500) + "..." : text);
        }
    }

    private LogView() {
    }

    static List<Batch> batches(Replica replica) throws IOException {
        List<Batch> batches = new ArrayList<>();
        for (File file : replica.files(".log")) {
            batches.addAll(batches(file));
        }
        return batches;
    }

    static List<Batch> batches(File file) throws IOException {
        List<Batch> batches = new ArrayList<>();
        int position = 0;
        try (FileRecords records = FileRecords.open(file, false)) {
            for (RecordBatch batch : records.batches()) {
                batches.add(batch(position, batch));
                position += batch.sizeInBytes();
            }
            if (position != file.length()) {
                throw new IOException(file + ": " + (file.length() - position) + " bytes behind the last batch");
            }
        }
        return batches;
    }

    private static Batch batch(int position, RecordBatch batch) {
        ByteBuffer raw = ByteBuffer.allocate(batch.sizeInBytes());
        batch.writeTo(raw);
        boolean isCurrent = batch.magic() >= 2;
        List<Rec> records = new ArrayList<>();
        List<Integer> sequences = new ArrayList<>();
        for (Record record : batch) {
            records.add(Rec.of(record));
            sequences.add(record.sequence());
        }
        return new Batch(position, batch.baseOffset(), batch.lastOffset(), batch.magic(),
            isCurrent ? raw.getShort(21) : raw.get(17), batch.partitionLeaderEpoch(),
            isCurrent ? raw.getLong(27) : -1, batch.maxTimestamp(), batch.producerId(), batch.producerEpoch(),
            batch.baseSequence(), isCurrent ? batch.countOrNull() : records.size(), batch.isValid(), records, sequences,
            batch.isCompressed() ? null : new Bytes(raw.array()));
    }

    /** A log in the notation of the cases: `^` has a delete horizon, `E0-2` is a header alone, `!` is bad. */
    static String text(List<Batch> batches) {
        List<String> words = new ArrayList<>();
        for (Batch batch : batches) {
            String flags = (batch.horizonMs() >= 0 ? "^" : "") + (batch.isValid() ? "" : "!");
            if (batch.count() == 0) {
                words.add("E" + batch.baseOffset() + "-" + batch.lastOffset());
            }
            for (Rec rec : batch.records()) {
                words.add(batch.isControl()
                    ? batch.controlType().charAt(0) == 'C' ? "C" + batch.producerId() + "@" + rec.offset() + flags
                        : "X" + batch.producerId() + "@" + rec.offset() + flags
                    : keyText(rec.key()) + valueText(rec.value()) + "@" + rec.offset() + flags);
            }
        }
        return String.join(" ", words);
    }

    private static String keyText(Bytes key) {
        if (key == null) {
            return "n";
        }
        String text = new String(key.bytes());
        return text.matches("[a-z_]+") ? text : "'" + HexFormat.of().formatHex(key.bytes()) + "'";
    }

    private static String valueText(Bytes value) {
        if (value == null) {
            return "T";
        }
        String text = new String(value.bytes());
        return value.bytes().length == 0 ? "E" : text.matches("\\d+") ? text : "#" + value.bytes().length;
    }

    /** All entries of all transaction indexes, in order. */
    static List<AbortedTxn> aborted(Replica replica) throws IOException {
        List<AbortedTxn> entries = new ArrayList<>();
        for (File file : replica.files(".txnindex")) {
            TransactionIndex index = new TransactionIndex(UnifiedLog.offsetFromFile(file), file);
            entries.addAll(index.allAbortedTxns());
            index.close();
        }
        entries.sort(Comparator.comparingLong(AbortedTxn::lastOffset));
        return entries;
    }

    /** What a consumer with isolation.level=read_committed gets: the fetches of a broker, the filter of a client. */
    static List<Rec> committed(UnifiedLog log) throws IOException {
        List<Rec> visible = new ArrayList<>();
        long position = log.logStartOffset();
        while (position < log.lastStableOffset()) {
            FetchDataInfo fetched = log.read(position, 1 << 20, FetchIsolation.TXN_COMMITTED, true);
            PriorityQueue<AbortedTransaction> aborted =
                new PriorityQueue<>(Comparator.comparingLong(AbortedTransaction::firstOffset));
            fetched.abortedTransactions.ifPresent(aborted::addAll);
            Set<Long> abortedProducers = new HashSet<>();
            boolean hasBatch = false;
            for (RecordBatch batch : fetched.records.batches()) {
                hasBatch = true;
                while (!aborted.isEmpty() && aborted.peek().firstOffset() <= batch.lastOffset()) {
                    abortedProducers.add(aborted.poll().producerId());
                }
                position = batch.nextOffset();
                if (batch.isControlBatch()) {
                    if (batch.iterator().hasNext()
                        && ControlRecordType.parse(batch.iterator().next().key()) == ControlRecordType.ABORT) {
                        abortedProducers.remove(batch.producerId());
                    }
                } else if (!batch.isTransactional() || !abortedProducers.contains(batch.producerId())) {
                    batch.forEach(record -> visible.add(Rec.of(record)));
                }
            }
            if (!hasBatch) {
                // A gap in the offsets, up to the last stable offset.
                return visible;
            }
        }
        return visible;
    }

    /** The last record of every key that has a value. */
    static Map<Bytes, Rec> fold(List<Rec> records) {
        Map<Bytes, Rec> last = new HashMap<>();
        for (Rec rec : records) {
            if (rec.key() == null) {
                continue;
            } else if (rec.value() == null) {
                last.remove(rec.key());
            } else {
                last.put(rec.key(), rec);
            }
        }
        return last;
    }
}
