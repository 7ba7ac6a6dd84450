import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Fill BROKERS TOPIC STREAM VALUE_BYTES SKIP PARTITIONS [name=value]... : writes the generated stream, but for its
 * first SKIP records, to the partitions 0 to PARTITIONS-1 (a key's number decides which). The rest are settings of the
 * producer.
 */
final class Fill {
    public static void main(String[] args) throws Exception {
        Generated generated = new Generated(args[2], Integer.parseInt(args[3]));
        long records = generated.records();
        long skip = Long.parseLong(args[4]);
        int partitions = Integer.parseInt(args[5]);
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("acks", "all");
        settings.put("linger.ms", "5");
        settings.put("batch.size", "131072");
        settings.put("compression.type", "none");
        for (int i = 6; i < args.length; i++) {
            int equals = args[i].indexOf('=');
            settings.put(args[i].substring(0, equals), args[i].substring(equals + 1));
        }
        AtomicReference<Exception> failure = new AtomicReference<>();
        AtomicLong bytes = new AtomicLong();
        long start = System.nanoTime();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (long seq = 0; seq < records && failure.get() == null; seq++) {
                int partition = generated.nextKey() % partitions;
                if (seq < skip) {
                    continue;
                }
                byte[] key = generated.keyBytes();
                byte[] value = generated.value(seq);
                bytes.addAndGet(key.length + value.length);
                producer.send(new ProducerRecord<>(args[1], partition, key, value), (metadata, error) -> {
                    if (error != null) {
                        failure.compareAndSet(null, error);
                    }
                });
            }
            producer.flush();
        }
        if (failure.get() != null) {
            throw failure.get();
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        System.out.printf("{\"records\":%d,\"bytes\":%d,\"seconds\":%.3f}%n", records - skip, bytes.get(), seconds);
    }
}
