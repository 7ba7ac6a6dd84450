import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Dead BROKERS TOPIC KEY_BOUND BASE,BASE,...,ACTIVE : counts, for each segment of partition 0 that begins at a BASE, the
 * records that a later one below ACTIVE has superseded. It reads the log as a consumer, twice, so it knows nothing of
 * the broker's own plan.
 */
final class Dead {
    public static void main(String[] args) {
        long[] bases = Arrays.stream(args[3].split(",")).mapToLong(Long::parseLong).toArray();
        long[] last = new long[Integer.parseInt(args[2])];
        Arrays.fill(last, -1);
        long[] dead = new long[bases.length - 1];
        long end = bases[bases.length - 1];
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("max.poll.records", "20000");
        settings.put("max.partition.fetch.bytes", "4194304");
        settings.put("enable.auto.commit", "false");
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            TopicPartition partition = new TopicPartition(args[1], 0);
            consumer.assign(List.of(partition));
            for (boolean counting : new boolean[] {false, true}) {
                consumer.seekToBeginning(List.of(partition));
                while (consumer.position(partition) < end) {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                        int key = Generated.parseKey(record.key());
                        if (record.offset() >= end) {
                            break;
                        }
                        if (!counting) {
                            last[key] = record.offset();
                        } else if (last[key] != record.offset()) {
                            dead[segment(bases, record.offset())]++;
                        }
                    }
                }
            }
        }
        System.out.println(Arrays.stream(dead).mapToObj(Long::toString).collect(Collectors.joining(",", "[", "]")));
    }

    private static int segment(long[] bases, long offset) {
        int at = Arrays.binarySearch(bases, offset);
        return at >= 0 ? at : -at - 2;
    }
}
