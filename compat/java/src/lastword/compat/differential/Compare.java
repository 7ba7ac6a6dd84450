package lastword.compat.differential;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import org.apache.kafka.common.message.DescribeProducersResponseData.ProducerState;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.server.storage.log.FetchIsolation;
import org.apache.kafka.storage.internals.log.FetchDataInfo;
import org.apache.kafka.storage.internals.log.UnifiedLog;

/** Compares what two cleaners left of the same log. Kafka's copy is the reference. */
final class Compare {
    /** What Kafka's cleaner did in this round, as far as it explains a difference. */
    record Context(long nowMs, KafkaCleaner.Done kafka, Player player) {
        boolean isMapSmall() {
            return player.scenario.slots() > 0;
        }

        /** One of the two has passed more often: markers and headers without records are not of the same age. */
        Rule passes() {
            return isMapSmall() ? Rule.KAFKA_PASSES : player.hasQuietPass ? Rule.QUIET_PASS : null;
        }
    }

    /** A record with what its batch says of it. */
    private record Placed(LogView.Rec rec, int leaderEpoch, int attributes, long horizonMs) { }

    private static final int LOOKUPS = 12;

    final Map<Rule, Long> stated = new EnumMap<>(Rule.class);
    final Map<String, Long> covered = new TreeMap<>();
    long logs, batches, sameBytes, records, proved;

    /** Batch by batch, with the bytes of those that are not compressed. */
    void exactly(Replica reference, Replica other, Context context) throws Exception {
        List<LogView.Batch> wanted = LogView.batches(reference), found = LogView.batches(other);
        logs++;
        cover(wanted, LogView.aborted(reference).size(), context);
        boolean isLegacy = context.player().scenario.isLegacy();
        if (isLegacy) {
            state(Rule.LEGACY);
        }
        if (isLegacy || context.passes() != null) {
            sameRecords(wanted, found, context);
        } else {
            int at = 0;
            for (LogView.Batch batch : found) {
                while (at < wanted.size() && wanted.get(at).baseOffset() < batch.baseOffset()) {
                    missing(wanted.get(at++));
                }
                if (at == wanted.size() || wanted.get(at).baseOffset() != batch.baseOffset()) {
                    throw new Differs("Kafka has dropped " + batch);
                }
                same(wanted.get(at++), batch);
            }
            while (at < wanted.size()) {
                missing(wanted.get(at++));
            }
            sameIndexes(reference, other, wanted, found);
        }
        rightLookups(other.log(), found);
        sameViews(reference, other, context);
    }

    /** When Kafka has given the log up: the model alone says what Lastword must give. */
    void alone(Replica other, Player player) throws Exception {
        logs++;
        state(Rule.KAFKA_FAILS);
        sameMap(player.model(other.log().lastStableOffset()), LogView.fold(LogView.committed(other.log())), "Lastword");
    }

    /**
     * After bits were flipped at these offsets: Lastword has the bad batches as they were, bad, and every other record
     * that Kafka has.
     */
    void damaged(Replica reference, Replica other, List<Long> flipped) throws Exception {
        logs++;
        List<LogView.Batch> found = LogView.batches(other);
        for (LogView.Batch batch : found) {
            boolean isFlipped = flipped.stream().anyMatch(offset ->
                batch.baseOffset() <= offset && offset <= batch.lastOffset());
            if (batch.isValid() == isFlipped) {
                throw new Differs("Lastword has " + batch);
            }
        }
        Set<LogView.Rec> kept = new HashSet<>();
        found.forEach(batch -> kept.addAll(batch.records()));
        for (LogView.Batch batch : LogView.batches(reference)) {
            for (LogView.Rec rec : batch.records()) {
                if (!kept.contains(rec)) {
                    throw new Differs("Lastword has dropped " + rec);
                }
            }
        }
        state(Rule.BIT_ROT);
    }

    /** Record by record: batches may have been put together. */
    void byRecord(Replica reference, Replica other, Context context) throws Exception {
        logs++;
        List<LogView.Batch> wanted = LogView.batches(reference), found = LogView.batches(other);
        add("batches put together", Math.max(0, wanted.size() - found.size()));
        sameRecords(wanted, found, context);
        rightLookups(other.log(), found);
        sameViews(reference, other, context);
    }

    private void same(LogView.Batch wanted, LogView.Batch found) throws Differs {
        batches++;
        records += found.records().size();
        if (wanted.bytes() != null && wanted.bytes().equals(found.bytes())) {
            sameBytes++;
            return;
        }
        if (!wanted.facts().equals(found.facts()) || !wanted.records().equals(found.records())
            || !wanted.sequences().equals(found.sequences())) {
            throw new Differs("Kafka has   " + wanted + "\n   Lastword has " + found);
        }
        if (!Objects.equals(wanted.bytes(), found.bytes())) {
            throw new Differs("the bytes are not the same of " + wanted + "\n   " + wanted.bytes() + "\n   "
                + found.bytes());
        }
    }

    /** Kafka has a batch that Lastword has not. */
    private void missing(LogView.Batch batch) throws Differs {
        throw new Differs("Lastword has dropped " + batch);
    }

    private void sameRecords(List<LogView.Batch> reference, List<LogView.Batch> other, Context context)
        throws Differs {
        List<Placed> wanted = placed(reference), found = placed(other);
        int at = 0;
        for (Placed one : found) {
            records++;
            while (at < wanted.size() && wanted.get(at).rec().offset() < one.rec().offset()) {
                extra(wanted.get(at++), context);
            }
            if (at == wanted.size() || !wanted.get(at).rec().equals(one.rec())) {
                throw new Differs("Lastword has " + one + ", Kafka "
                    + (at < wanted.size() ? wanted.get(at) : "no more"));
            }
            if (!wanted.get(at).equals(one)) {
                throw new Differs("Kafka has   " + wanted.get(at) + "\n   Lastword has " + one);
            }
            at++;
        }
        while (at < wanted.size()) {
            extra(wanted.get(at++), context);
        }
        List<LogView.Batch> wantedControl = controls(reference), foundControl = controls(other);
        if (!wantedControl.equals(foundControl)) {
            if (context.passes() == null) {
                throw new Differs("control batches: Kafka has " + wantedControl + "\n   Lastword has " + foundControl);
            }
            state(context.passes());
        }
    }

    /** Kafka has a record that Lastword has not. */
    private void extra(Placed placed, Context context) throws Differs {
        if (context.isMapSmall() && placed.rec().key() != null && context.player().isSuperseded(placed.rec())) {
            state(Rule.KAFKA_MAP_FULL);
            return;
        }
        boolean isDue = placed.horizonMs() >= 0 && placed.horizonMs() <= context.nowMs();
        if (context.kafka().passes() == 0 && isDue) {
            state(Rule.QUIET_HORIZON);
            return;
        }
        throw new Differs("Lastword has dropped " + placed);
    }

    private static List<Placed> placed(List<LogView.Batch> batches) throws Differs {
        List<Placed> placed = new ArrayList<>();
        for (LogView.Batch batch : batches) {
            if (!batch.isValid()) {
                throw new Differs("a bad checksum: " + batch);
            }
            if (!batch.isControl()) {
                for (LogView.Rec rec : batch.records()) {
                    // What a batch says matters to the record: its timestamp type, its transaction, its codec, and
                    // the horizon when it is a tombstone.
                    placed.add(new Placed(rec, batch.leaderEpoch(), batch.attributes() & ~LogView.HORIZON,
                        rec.value() == null ? batch.horizonMs() : -1));
                }
            }
        }
        return placed;
    }

    private static List<LogView.Batch> controls(List<LogView.Batch> batches) {
        List<LogView.Batch> found = new ArrayList<>();
        for (LogView.Batch batch : batches) {
            if (batch.isControl()) {
                found.add(new LogView.Batch(0, batch.baseOffset(), batch.lastOffset(), batch.magic(),
                    batch.attributes(), batch.leaderEpoch(), batch.baseTimestamp(), batch.maxTimestamp(),
                    batch.producerId(), batch.producerEpoch(), batch.baseSequence(), batch.count(), batch.isValid(),
                    batch.records(), batch.sequences(), batch.bytes()));
            }
        }
        return found;
    }

    /** The aborted transactions, of those markers that both have. */
    private void sameIndexes(Replica reference, Replica other, List<LogView.Batch> wanted, List<LogView.Batch> found)
        throws Exception {
        String in = LogView.aborted(reference).toString(), out = LogView.aborted(other).toString();
        if (wanted.size() == found.size() && !in.equals(out)) {
            throw new Differs("transaction indexes: Kafka has " + in + ", Lastword has " + out);
        }
    }

    /** What consumers and producers see through Kafka's own log class. */
    private void sameViews(Replica reference, Replica other, Context context) throws Exception {
        UnifiedLog one = reference.log(), two = other.log();
        same("log start offset", one, two, UnifiedLog::logStartOffset);
        same("log end offset", one, two, UnifiedLog::logEndOffset);
        same("last stable offset", one, two, UnifiedLog::lastStableOffset);
        Map<LogView.Bytes, LogView.Rec> model = context.player().model(one.lastStableOffset());
        List<LogView.Rec> wanted = LogView.committed(one), found = LogView.committed(two);
        if (context.player().scenario.hasEqualOffsets()) {
            if (!wanted.equals(found)) {
                throw new Differs("a committed read: Kafka gives " + wanted + "\n   Lastword gives " + found);
            }
            return;
        }
        sameMap(model, LogView.fold(found), "Lastword");
        if (context.isMapSmall()) {
            return;
        }
        sameMap(model, LogView.fold(wanted), "Kafka");
        if (context.kafka().passes() > 0 && !wanted.equals(found)) {
            throw new Differs("a committed read: Kafka gives " + wanted + "\n   Lastword gives " + found);
        }
    }

    /** Kafka's lookups by offset and by time, through the indexes that Lastword wrote. */
    private static void rightLookups(UnifiedLog other, List<LogView.Batch> found) throws Exception {
        int step = Math.max(1, found.size() / LOOKUPS);
        for (int at = 0; at < found.size(); at += step) {
            LogView.Batch batch = found.get(at);
            long before = at == 0 ? other.logStartOffset() : found.get(at - 1).lastOffset() + 1;
            for (long offset : new long[] {before, batch.lastOffset()}) {
                FetchDataInfo fetched = other.read(offset, 1, FetchIsolation.LOG_END, true);
                RecordBatch first = fetched.records.batches().iterator().next();
                if (first.baseOffset() != batch.baseOffset()) {
                    throw new Differs("a read at " + offset + " gives the batch at " + first.baseOffset()
                        + ", not the one at " + batch.baseOffset());
                }
            }
        }
        if (isFindable(other, found)) {
            for (int at = 0; at < found.size(); at += step) {
                rightTime(other, found, found.get(at).maxTimestamp());
                rightTime(other, found, found.get(at).maxTimestamp() + 1);
            }
        }
    }

    /**
     * Kafka asks the first segment whose largest timestamp is large enough, and answers with nothing when no record
     * there is. A segment or a batch without records or times misleads it, in its own files as well.
     */
    private static boolean isFindable(UnifiedLog log, List<LogView.Batch> batches) {
        return log.logSegments().stream().allMatch(segment -> segment.size() > 0)
            && batches.stream().allMatch(batch -> batch.count() > 0 && batch.maxTimestamp() >= 0);
    }

    private static void rightTime(UnifiedLog log, List<LogView.Batch> batches, long timestampMs) throws Differs {
        if (timestampMs < 0) {
            return;
        }
        long wanted = batches.stream().flatMap(batch -> batch.records().stream())
            .filter(rec -> rec.timestampMs() >= timestampMs).mapToLong(LogView.Rec::offset).findFirst().orElse(-1);
        long found = log.fetchOffsetByTimestamp(timestampMs, Optional.empty()).timestampAndOffsetOpt()
            .map(one -> one.offset).orElse(-1L);
        if (wanted != found) {
            throw new Differs("the first record from " + timestampMs + " on lies at " + wanted
                + ", but through Lastword's time index at " + found);
        }
    }

    private static void same(String what, UnifiedLog one, UnifiedLog two, Function<UnifiedLog, Object> question)
        throws Differs {
        if (!question.apply(one).equals(question.apply(two))) {
            throw new Differs(what + ": Kafka says " + question.apply(one) + ", Lastword " + question.apply(two));
        }
    }

    private static void sameMap(Map<LogView.Bytes, LogView.Rec> model, Map<LogView.Bytes, LogView.Rec> found,
                                String who) throws Differs {
        for (LogView.Bytes key : union(model, found)) {
            LogView.Rec wanted = model.get(key), is = found.get(key);
            boolean isSame = wanted == null ? is == null
                : is != null && wanted.offset() == is.offset() && wanted.value().equals(is.value());
            if (!isSame) {
                throw new Differs("the value of key " + key + " should be " + wanted + ", " + who + " gives " + is);
            }
        }
    }

    private static Iterable<LogView.Bytes> union(Map<LogView.Bytes, ?> one, Map<LogView.Bytes, ?> two) {
        Set<LogView.Bytes> keys = new HashSet<>(one.keySet());
        keys.addAll(two.keySet());
        return keys;
    }

    /**
     * Producers as the log alone remembers them: what a broker accepts next depends on it. When one cleaner is a pass
     * ahead, the time of a last batch may have gone down with its newest record, and a marker may be an empty header,
     * which says nothing of its producer.
     */
    void sameProducers(Replica reference, Replica other, boolean isSamePass) throws Differs {
        same(producers(reference.log(), isSamePass, null), producers(other.log(), isSamePass, null));
    }

    /** The same of the producers that are not expired, whose ids re-batching keeps. */
    void sameLiveProducers(Replica reference, Replica other, boolean isSamePass, Set<Long> live) throws Differs {
        if (!producers(reference.log(), isSamePass, null).equals(producers(other.log(), isSamePass, null))) {
            state(Rule.REBATCH_EXPIRED);
        }
        same(producers(reference.log(), isSamePass, live), producers(other.log(), isSamePass, live));
    }

    private static void same(String wanted, String found) throws Differs {
        if (!wanted.equals(found)) {
            throw new Differs("producers read from the log alone: Kafka has " + wanted + "\n   Lastword has " + found);
        }
    }

    private static String producers(UnifiedLog log, boolean isSamePass, Set<Long> live) {
        return log.activeProducers().stream()
            .filter(state -> isSamePass || state.lastSequence() >= 0)
            .filter(state -> live == null || live.contains(state.producerId()))
            .sorted(java.util.Comparator.comparingLong(ProducerState::producerId))
            .map(state -> state.producerId() + "/" + state.producerEpoch() + "/" + state.lastSequence()
                + (isSamePass ? " at " + state.lastTimestamp() : "") + " transaction " + state.currentTxnStartOffset())
            .toList().toString();
    }

    /** Counts what Kafka has left, so that a run can show that it was about something. */
    private void cover(List<LogView.Batch> batches, int aborted, Context context) {
        add("cleanings", context.kafka().passes());
        add("aborted transactions", aborted);
        for (LogView.Batch batch : batches) {
            add("empty data batches", batch.count() == 0 && !batch.isControl());
            add("empty control batches", batch.count() == 0 && batch.isControl());
            add("stamped markers", batch.isControl() && batch.horizonMs() >= 0);
            add("stamped tombstones", batch.hasTombstone() && batch.horizonMs() >= 0);
            add("horizons without a tombstone", !batch.isControl() && !batch.hasTombstone() && batch.horizonMs() >= 0);
            add("holes", !batch.records().isEmpty()
                && batch.records().get(batch.records().size() - 1).offset() < batch.lastOffset());
            add("compressed", (batch.attributes() & LogView.CODEC) != 0);
        }
    }

    private void add(String what, boolean is) {
        add(what, is ? 1 : 0);
    }

    private void add(String what, int count) {
        covered.merge(what, (long) count, Long::sum);
    }

    void state(Rule rule) {
        stated.merge(rule, 1L, Long::sum);
    }
}
