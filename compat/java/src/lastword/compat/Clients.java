package lastword.compat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Clients with their default settings, but for what a scenario asks. */
final class Clients {
    private Clients() {
    }

    static Map<String, Object> settings(String bootstrap, Object... more) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < more.length; i += 2) {
            settings.put((String) more[i], more[i + 1]);
        }
        return settings;
    }

    static Admin admin(String bootstrap) {
        return Admin.create(settings(bootstrap));
    }

    static KafkaProducer<String, String> producer(String bootstrap, Object... more) {
        return new KafkaProducer<>(settings(bootstrap, more), new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String bootstrap, Object... more) {
        return new KafkaConsumer<>(settings(bootstrap, more), new StringDeserializer(), new StringDeserializer());
    }

    /** From where the consumer stands to the present end of what it is assigned. */
    static List<ConsumerRecord<String, String>> readToEnd(KafkaConsumer<String, String> consumer,
                                                          Collection<TopicPartition> partitions) {
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        long giveUp = System.nanoTime() + 30_000_000_000L;
        while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
            Checks.check(System.nanoTime() < giveUp, "the end " + ends + " was not reached in 30 s; read "
                + records.size());
        }
        return records;
    }
}
