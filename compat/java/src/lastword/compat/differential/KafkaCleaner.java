package lastword.compat.differential;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.storage.internals.log.Cleaner;
import org.apache.kafka.storage.internals.log.LogCleanerManager;
import org.apache.kafka.storage.internals.log.LogToClean;
import org.apache.kafka.storage.internals.log.PreCleanStats;
import org.apache.kafka.storage.internals.log.SkimpyOffsetMap;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.utils.Throttler;

/**
 * Kafka 4.3.0's own Cleaner and LogCleanerManager, as its cleaner thread uses them, until the manager finds nothing
 * more to clean.
 */
final class KafkaCleaner {
    private static final int ENTRY_BYTES = 24;
    private static final int PLENTY_BYTES = 1 << 20;

    /** What was done to a log: how many passes, and the failure that made it uncleanable, if any. */
    record Done(int passes, Exception failure) { }

    private KafkaCleaner() {
    }

    static Map<TopicPartition, Done> clean(DataDir home, Collection<UnifiedLog> logs, FixedTime time, int slots,
                                           int bufferBytes) throws Exception {
        ConcurrentMap<TopicPartition, UnifiedLog> byName = new ConcurrentHashMap<>();
        Map<TopicPartition, Done> done = new TreeMap<>((a, b) -> a.toString().compareTo(b.toString()));
        for (UnifiedLog log : logs) {
            // What a broker does every ten minutes.
            log.removeExpiredProducers(time.milliseconds());
            byName.put(log.topicPartition(), log);
            done.put(log.topicPartition(), new Done(0, null));
        }
        LogCleanerManager manager = new LogCleanerManager(List.of(home.folder), byName, home.failures);
        Throttler throttler = new Throttler(Double.MAX_VALUE, 300, "cleaner-io", "bytes", time);
        Cleaner cleaner = new Cleaner(0, new SkimpyOffsetMap(slots == 0 ? PLENTY_BYTES : slots * ENTRY_BYTES),
            bufferBytes, Math.max(bufferBytes, 1 << 20), slots == 0 ? 0.9 : 1.0, throttler, time, partition -> { });
        try {
            while (true) {
                Optional<LogToClean> chosen = manager.grabFilthiestCompactedLog(time, new PreCleanStats());
                if (chosen.isEmpty()) {
                    return done;
                }
                clean(manager, cleaner, chosen.get(), done);
            }
        } finally {
            manager.removeMetrics();
        }
    }

    private static void clean(LogCleanerManager manager, Cleaner cleaner, LogToClean chosen,
                              Map<TopicPartition, Done> done) {
        TopicPartition partition = chosen.topicPartition();
        UnifiedLog log = chosen.log();
        int passes = done.get(partition).passes() + 1;
        Exception failure = null;
        long end = chosen.firstDirtyOffset();
        try {
            end = cleaner.clean(chosen).getKey();
            if (end <= chosen.firstDirtyOffset()) {
                failure = new IllegalStateException("no progress beyond " + end);
            }
        } catch (Exception problem) {
            failure = problem;
        }
        if (failure != null) {
            manager.markPartitionUncleanable(log.parentDir(), partition);
        }
        manager.doneCleaning(partition, log.parentDirFile(), end);
        done.put(partition, new Done(passes, failure));
    }
}
