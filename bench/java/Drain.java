import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Drain BROKERS TOPIC STREAM VALUE_BYTES FIRST_DIRTY,... : reads the partitions from their start to their present end,
 * as a restoring consumer does, and checks them against the generated stream. The last record of every key must be
 * there and order must hold; below a partition's first dirty offset no key may occur twice.
 */
final class Drain {
    public static void main(String[] args) {
        Generated generated = new Generated(args[2], Integer.parseInt(args[3]));
        long[] firstDirty = Arrays.stream(args[4].split(",")).mapToLong(Long::parseLong).toArray();
        int keyBound = generated.keyBound();
        int[] expected = new int[keyBound];
        Arrays.fill(expected, -1);
        long records = generated.records();
        for (long seq = 0; seq < records; seq++) {
            expected[generated.nextKey()] = (int) seq;
        }
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("max.poll.records", "20000");
        settings.put("max.partition.fetch.bytes", "4194304");
        settings.put("enable.auto.commit", "false");
        BitSet found = new BitSet(keyBound);
        BitSet inTail = new BitSet(keyBound);
        int[] lastSeq = new int[firstDirty.length];
        Arrays.fill(lastSeq, -1);
        long read = 0;
        long bytes = 0;
        long disorder = 0;
        long duplicates = 0;
        long incoming;
        double seconds;
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (int i = 0; i < firstDirty.length; i++) {
                partitions.add(new TopicPartition(args[1], i));
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            var ends = consumer.endOffsets(partitions);
            long before = incomingBytes(consumer);
            long start = System.nanoTime();
            long quietSince = start;
            while (partitions.stream().anyMatch(it -> consumer.position(it) < ends.get(it))) {
                var batch = consumer.poll(Duration.ofMillis(200));
                for (ConsumerRecord<byte[], byte[]> record : batch) {
                    int partition = record.partition();
                    int key = Generated.parseKey(record.key());
                    int seq = (int) Generated.parseSeq(record.value());
                    if (key < 0 || key >= keyBound || seq <= lastSeq[partition]) {
                        disorder++;
                        continue;
                    }
                    lastSeq[partition] = seq;
                    if (expected[key] == seq) {
                        found.set(key);
                    }
                    if (record.offset() < firstDirty[partition]) {
                        duplicates += inTail.get(key) ? 1 : 0;
                        inTail.set(key);
                    }
                    read++;
                    bytes += record.key().length + record.value().length;
                }
                if (!batch.isEmpty()) {
                    quietSince = System.nanoTime();
                } else if (System.nanoTime() - quietSince > 60_000_000_000L) {
                    throw new IllegalStateException("nothing came for 60 s");
                }
            }
            seconds = (System.nanoTime() - start) / 1e9;
            incoming = incomingBytes(consumer) - before;
        }
        long keys = 0;
        for (int seq : expected) {
            keys += seq >= 0 ? 1 : 0;
        }
        System.out.printf(
                "{\"records\":%d,\"bytes\":%d,\"fetched_bytes\":%d,\"seconds\":%.3f,\"keys\":%d,\"wrong_keys\":%d,"
                        + "\"out_of_order\":%d,\"duplicates\":%d}%n",
                read, bytes, incoming, seconds, keys, keys - found.cardinality(), disorder, duplicates);
    }

    /** What the consumer has read from its sockets: as it came, compressed batches compressed. */
    private static long incomingBytes(KafkaConsumer<byte[], byte[]> consumer) {
        return consumer.metrics().entrySet().stream()
                .filter(it -> it.getKey().name().equals("incoming-byte-total")
                        && it.getKey().group().equals("consumer-metrics"))
                .mapToLong(it -> (long) ((Number) it.getValue().metricValue()).doubleValue())
                .sum();
    }
}
