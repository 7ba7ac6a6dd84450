package lastword.compat.differential;

import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Random;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.server.common.RequestLocal;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.LogAppendInfo;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.log.VerificationGuard;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

/** One copy of a scenario's log, written and read through Kafka's own UnifiedLog. */
final class Replica {
    static final int EXPIRATION_MS = 86_400_000;
    private static final BrokerTopicStats STATS = new BrokerTopicStats();
    private static final InlineScheduler SCHEDULER = new InlineScheduler();

    final DataDir home;
    final File folder;
    final TopicPartition partition;
    private final Scenario scenario;
    private final FixedTime time;
    private final Uuid topicId;
    private UnifiedLog log;
    /** Topic configs that have changed since. */
    private Map<String, String> changed = Map.of();

    Replica(DataDir home, Scenario scenario, FixedTime time) throws IOException {
        this.home = home;
        this.scenario = scenario;
        this.time = time;
        this.folder = new File(home.folder, scenario.directory());
        this.partition = new TopicPartition(scenario.topic, scenario.partition);
        Random random = new Random(scenario.topic.hashCode());
        this.topicId = new Uuid(random.nextLong() & ~0xf000L | 0x4000L, random.nextLong() >>> 2 | Long.MIN_VALUE);
        Files.createDirectories(folder.toPath());
    }

    UnifiedLog log() {
        return log;
    }

    /** As a broker that starts, when the directory was stopped in order or not. */
    void open() throws IOException {
        open(home.wasCleanlyStopped(), home.recoveryPoint(partition));
    }

    private void open(boolean wasCleanlyStopped, long recoveryPoint) throws IOException {
        int expirationMs = (int) scenario.config("producer.id.expiration.ms", EXPIRATION_MS);
        log = UnifiedLog.create(folder, config("compact"), home.logStartOffset(partition), recoveryPoint, SCHEDULER,
            STATS, time, 900_000, new ProducerStateManagerConfig(expirationMs, false), 600_000, home.failures,
            wasCleanlyStopped, Optional.of(topicId));
        seen();
    }

    /** A broker without followers has everything below its high watermark. */
    private void seen() throws IOException {
        log.updateHighWatermark(log.logEndOffset());
    }

    private LogConfig config(String policy) {
        Properties properties = new Properties();
        properties.put("cleanup.policy", policy);
        properties.put("min.cleanable.dirty.ratio", "0");
        properties.put("segment.index.bytes", "65536");
        properties.put("max.message.bytes", "104857600");
        properties.put("message.timestamp.after.max.ms", Long.toString(Long.MAX_VALUE));
        properties.put("segment.ms", Long.toString(Long.MAX_VALUE));
        for (Map<String, String> configs : List.of(scenario.configs, changed)) {
            configs.forEach((name, value) -> {
                if (LogConfig.configNames().contains(name)) {
                    properties.put(name, value);
                }
            });
        }
        return new LogConfig(properties);
    }

    /**
     * Appends; answers the offsets, or the name of the refusal. `isExact` keeps the offsets that the bytes carry, as a
     * follower does.
     */
    String append(ByteBuffer bytes, int leaderEpoch, boolean isExact, boolean hasKeyless, boolean isMarker,
                  int version) {
        MemoryRecords records = MemoryRecords.readableRecords(bytes);
        try {
            if (hasKeyless) {
                log.updateConfig(config("delete"));
            }
            LogAppendInfo info;
            if (isExact) {
                info = log.appendAsFollower(records, leaderEpoch);
            } else {
                info = log.appendAsLeader(records, leaderEpoch,
                    isMarker ? AppendOrigin.COORDINATOR : AppendOrigin.CLIENT, RequestLocal.noCaching(),
                    VerificationGuard.SENTINEL, (short) version);
            }
            seen();
            return info.firstOffset() + ".." + info.lastOffset();
        } catch (Exception problem) {
            return problem.getClass().getSimpleName() + ": " + problem.getMessage();
        } finally {
            if (hasKeyless) {
                log.updateConfig(config("compact"));
            }
        }
    }

    void roll() throws IOException {
        if (log.activeSegment().size() > 0) {
            log.roll();
            seen();
        }
    }

    /** A restart in the middle of a round; a kill leaves no snapshot, so that everything is read from the log. */
    void reopen(boolean isKill) throws IOException {
        if (isKill) {
            abandon();
            withoutSnapshots();
            open(false, 0);
        } else {
            long end = log.logEndOffset();
            close();
            open(true, end);
        }
    }

    /** Takes effect when the log is opened the next time. */
    void configure(Map<String, String> changed) {
        this.changed = changed;
    }

    void close() {
        log.flush(true);
        log.close();
        log = null;
    }

    /** Without any of what an orderly end writes. */
    void abandon() {
        log.closeHandlers();
        log = null;
    }

    void withoutSnapshots() throws IOException {
        for (File file : files(".snapshot")) {
            Files.delete(file.toPath());
        }
    }

    /** Opened as after a crash that took the snapshots, so that only the log says who produced. */
    void openWithoutSnapshots() throws IOException {
        withoutSnapshots();
        open(false, 0);
    }

    File[] files(String suffix) {
        File[] found = folder.listFiles((dir, name) -> name.endsWith(suffix));
        java.util.Arrays.sort(found);
        return found;
    }

    /** Gives the message at this offset the one before; the log is closed. */
    void back(long offset) throws IOException {
        for (File file : files(".log")) {
            for (LogView.Batch batch : LogView.batches(file)) {
                if (batch.baseOffset() == offset) {
                    try (RandomAccessFile out = new RandomAccessFile(file, "rw")) {
                        out.seek(batch.position());
                        out.writeLong(offset - 1);
                    }
                }
            }
        }
    }

    /** Flips a bit of the value at this offset in the file; the log is closed. */
    void flip(long offset, byte[] value) throws IOException {
        for (File file : files(".log")) {
            byte[] bytes = Files.readAllBytes(file.toPath());
            for (LogView.Batch batch : LogView.batches(file)) {
                if (batch.baseOffset() <= offset && offset <= batch.lastOffset()) {
                    int at = batch.position() + 61;
                    while (!java.util.Arrays.equals(bytes, at, at + value.length, value, 0, value.length)) {
                        at++;
                    }
                    try (RandomAccessFile out = new RandomAccessFile(file, "rw")) {
                        out.seek(at);
                        out.write(bytes[at] ^ 0x20);
                    }
                    return;
                }
            }
        }
        throw new IllegalStateException("no batch at " + offset);
    }
}
