package lastword.compat.differential;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Function;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.storage.internals.checkpoint.CleanShutdownFileHandler;
import org.apache.kafka.storage.internals.checkpoint.OffsetCheckpointFile;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.UnifiedLog;

/** A log directory of a stopped broker: the files beside the partitions, as Kafka's LogManager keeps them. */
final class DataDir {
    private static final String IDENTITY =
        "version=1\ncluster.id=4L6g3nShT-eMCtK--X86sw\nnode.id=1\ndirectory.id=k1SlWkQbTxuG3c9dZ8v0mA\n";

    final File folder;
    final LogDirFailureChannel failures = new LogDirFailureChannel(1);
    private Map<TopicPartition, Long> recoveryPoints = Map.of();
    private Map<TopicPartition, Long> logStartOffsets = Map.of();
    private boolean wasCleanlyStopped = true;

    DataDir(File folder) throws IOException {
        this.folder = folder;
        Files.createDirectories(folder.toPath());
        Files.writeString(new File(folder, "meta.properties").toPath(), IDENTITY);
    }

    /** What a broker does first when it starts: how was it stopped, and what was written down then? */
    void start() throws Exception {
        CleanShutdownFileHandler marker = new CleanShutdownFileHandler(folder.getPath());
        wasCleanlyStopped = marker.exists();
        if (wasCleanlyStopped) {
            marker.delete();
        }
        recoveryPoints = checkpoint("recovery-point-offset-checkpoint").read();
        logStartOffsets = checkpoint("log-start-offset-checkpoint").read();
    }

    boolean wasCleanlyStopped() {
        return wasCleanlyStopped;
    }

    long recoveryPoint(TopicPartition partition) {
        return recoveryPoints.getOrDefault(partition, 0L);
    }

    long logStartOffset(TopicPartition partition) {
        return logStartOffsets.getOrDefault(partition, 0L);
    }

    /** Before the logs are closed: the checkpoints of a broker that stops. */
    void writeCheckpoints(Collection<UnifiedLog> logs) throws IOException {
        checkpoint("recovery-point-offset-checkpoint").write(collect(logs, UnifiedLog::recoveryPoint));
        writeHighWatermarks(logs);
        Map<TopicPartition, Long> starts = new HashMap<>();
        for (UnifiedLog log : logs) {
            if (log.logStartOffset() > log.logSegments().get(0).baseOffset()) {
                starts.put(log.topicPartition(), log.logStartOffset());
            }
        }
        checkpoint("log-start-offset-checkpoint").write(starts);
    }

    /** A running broker does this every few seconds, so that it is there after a kill. */
    void writeHighWatermarks(Collection<UnifiedLog> logs) throws IOException {
        checkpoint("replication-offset-checkpoint").write(collect(logs, UnifiedLog::highWatermark));
    }

    /** After the logs were closed. */
    void stopped(boolean isClean) throws Exception {
        if (isClean) {
            new CleanShutdownFileHandler(folder.getPath()).write(-1);
        }
    }

    private static Map<TopicPartition, Long> collect(Collection<UnifiedLog> logs, Function<UnifiedLog, Long> what) {
        Map<TopicPartition, Long> offsets = new HashMap<>();
        logs.forEach(log -> offsets.put(log.topicPartition(), what.apply(log)));
        return offsets;
    }

    private OffsetCheckpointFile checkpoint(String name) throws IOException {
        return new OffsetCheckpointFile(new File(folder, name), failures);
    }
}
