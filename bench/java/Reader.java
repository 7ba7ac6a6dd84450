import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reader BROKERS TAIL_TOPIC OLD_TOPIC WARM_SECONDS SECONDS READS_PER_SECOND : two consumers at once.
 *
 * <p>One stays at the end of TAIL_TOPIC and takes the time from a record's timestamp (set by the producer when it was
 * sent, in whole milliseconds) to its arrival. The other fetches 64 KiB from random offsets of OLD_TOPIC at a fixed
 * rate; its time runs from the moment at which the read was due, so that one slow answer is not hidden by the reads that
 * waited for it. No offset is so near to the end that the consumer's next fetch would wait there for new records: it
 * would hold back the read after it. The clock starts when the first record of the tail arrives.
 */
final class Reader {
    private static final int LIMIT = 10_000_000;
    /** Several batches of the producer's 128 KiB, in records. */
    private static final long AWAY_FROM_END = 1024;

    public static void main(String[] args) throws Exception {
        long warm = Long.parseLong(args[3]) * 1_000_000_000L;
        long length = Long.parseLong(args[4]) * 1_000_000_000L;
        CompletableFuture<Long> started = new CompletableFuture<>();
        CompletableFuture<String> old = CompletableFuture.supplyAsync(() -> {
            long from = started.join();
            return readOld(args[0], args[2], from, warm, length, Integer.parseInt(args[5]));
        });
        String tail;
        try {
            tail = readTail(args[0], args[1], started, warm, length);
        } catch (RuntimeException error) {
            started.completeExceptionally(error);
            throw error;
        }
        System.out.printf("{\"tail\":%s,\"fetch\":%s}%n", tail, old.get());
    }

    private static String readTail(
            String brokers, String topic, CompletableFuture<Long> started, long warm, long length) {
        double[] times = new double[LIMIT];
        int count = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(brokers)) {
            TopicPartition partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            consumer.seekToEnd(List.of(partition));
            consumer.position(partition);
            System.err.println("ready");
            long waiting = System.nanoTime();
            long from = 0;
            while (from == 0 || System.nanoTime() < from + warm + length) {
                var batch = consumer.poll(Duration.ofMillis(100));
                long now = System.currentTimeMillis();
                if (from == 0 && !batch.isEmpty()) {
                    from = System.nanoTime();
                    started.complete(from);
                }
                if (from == 0 && System.nanoTime() - waiting > 60_000_000_000L) {
                    throw new IllegalStateException("nothing came for 60 s");
                }
                if (from != 0 && System.nanoTime() >= from + warm) {
                    for (ConsumerRecord<byte[], byte[]> record : batch) {
                        if (count < LIMIT) {
                            times[count++] = now - record.timestamp();
                        }
                    }
                }
            }
        }
        return summary(times, count);
    }

    private static String readOld(String brokers, String topic, long from, long warm, long length, int perSecond) {
        double[] times = new double[LIMIT];
        int count = 0;
        SplittableRandom random = new SplittableRandom(20_260_704L);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(brokers)) {
            TopicPartition partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            for (long due = System.nanoTime(); due < from + warm + length; due += 1_000_000_000L / perSecond) {
                while (System.nanoTime() < due) {
                    LockSupport.parkNanos(due - System.nanoTime());
                }
                consumer.seek(partition, random.nextLong(Math.max(end - AWAY_FROM_END, 1)));
                if (consumer.poll(Duration.ofSeconds(30)).isEmpty()) {
                    throw new IllegalStateException("a read of what is there came back empty after 30 s");
                }
                if (due >= from + warm && count < LIMIT) {
                    times[count++] = (System.nanoTime() - due) / 1e6;
                }
            }
        }
        return summary(times, count);
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String brokers) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", brokers);
        settings.put("enable.auto.commit", "false");
        settings.put("max.partition.fetch.bytes", "65536");
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static String summary(double[] times, int count) {
        if (count == 0) {
            throw new IllegalStateException("nothing was measured");
        }
        Arrays.sort(times, 0, count);
        return String.format(
                "{\"count\":%d,\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}",
                count, times[count / 2], times[Math.min(count - 1, count * 99 / 100)], times[count - 1]);
    }
}
