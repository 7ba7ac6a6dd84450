import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Fill BROKERS TOPIC RECORDS KEY_SPACE VALUE_BYTES: writes the generated stream to partition 0. */
final class Fill {
    public static void main(String[] args) throws Exception {
        long records = Long.parseLong(args[2]);
        Generated generated = new Generated(Long.parseLong(args[3]), Integer.parseInt(args[4]));
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("acks", "all");
        settings.put("linger.ms", "5");
        settings.put("batch.size", "131072");
        settings.put("compression.type", "none");
        AtomicReference<Exception> failure = new AtomicReference<>();
        AtomicLong bytes = new AtomicLong();
        long start = System.nanoTime();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (long seq = 0; seq < records && failure.get() == null; seq++) {
                generated.nextKey();
                byte[] key = generated.keyBytes();
                byte[] value = generated.value(seq);
                bytes.addAndGet(key.length + value.length);
                producer.send(new ProducerRecord<>(args[1], 0, key, value), (metadata, error) -> {
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
        System.out.printf("{\"records\":%d,\"bytes\":%d,\"seconds\":%.3f}%n", records, bytes.get(), seconds);
    }
}
