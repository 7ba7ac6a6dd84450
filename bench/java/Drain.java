import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Drain BROKERS TOPIC RECORDS KEY_SPACE VALUE_BYTES: reads partition 0 from its start to its present end and checks it
 * against the generated stream: the last record of every key must be there, and order must hold.
 */
final class Drain {
    public static void main(String[] args) {
        long records = Long.parseLong(args[2]);
        int keySpace = Integer.parseInt(args[3]);
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("max.poll.records", "20000");
        settings.put("max.partition.fetch.bytes", "4194304");
        settings.put("enable.auto.commit", "false");
        int[] seen = new int[keySpace];
        Arrays.fill(seen, -1);
        long read = 0;
        long bytes = 0;
        long disorder = 0;
        double seconds;
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            TopicPartition partition = new TopicPartition(args[1], 0);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            long start = System.nanoTime();
            long quietSince = start;
            while (consumer.position(partition) < end) {
                var batch = consumer.poll(Duration.ofMillis(200));
                for (ConsumerRecord<byte[], byte[]> record : batch) {
                    int key = Generated.parseKey(record.key());
                    int seq = (int) Generated.parseSeq(record.value());
                    if (key < 0 || key >= keySpace || seq <= seen[key]) {
                        disorder++;
                    } else {
                        seen[key] = seq;
                    }
                    read++;
                    bytes += record.key().length + record.value().length;
                }
                if (!batch.isEmpty()) {
                    quietSince = System.nanoTime();
                } else if (System.nanoTime() - quietSince > 60_000_000_000L) {
                    throw new IllegalStateException("nothing came for 60 s at " + consumer.position(partition));
                }
            }
            seconds = (System.nanoTime() - start) / 1e9;
        }
        int[] expected = new int[keySpace];
        Arrays.fill(expected, -1);
        Generated generated = new Generated(keySpace, Integer.parseInt(args[4]));
        for (long seq = 0; seq < records; seq++) {
            expected[generated.nextKey()] = (int) seq;
        }
        long keys = 0;
        long wrong = 0;
        for (int key = 0; key < keySpace; key++) {
            keys += expected[key] >= 0 ? 1 : 0;
            wrong += expected[key] != seen[key] ? 1 : 0;
        }
        System.out.printf(
                "{\"records\":%d,\"bytes\":%d,\"seconds\":%.3f,\"keys\":%d,\"wrong_keys\":%d,\"out_of_order\":%d}%n",
                read, bytes, seconds, keys, wrong, disorder);
    }
}
