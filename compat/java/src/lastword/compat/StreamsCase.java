package lastword.compat;

import static lastword.compat.Checks.equal;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;

/** Kafka Streams counts by key, loses its local state, and restores it from the changelog topic. */
final class StreamsCase {
    private StreamsCase() {
    }

    static void count(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        Map<String, Long> wanted = new HashMap<>();
        write(bootstrap, topic, 0, 5000, wanted);
        runUntil(bootstrap, topic, arguments[1], wanted);
        // A new local directory: nothing is left but the changelog.
        write(bootstrap, topic, 5000, 6000, wanted);
        runUntil(bootstrap, topic, arguments[1], wanted);
    }

    private static void write(String bootstrap, String topic, int from, int to, Map<String, Long> wanted) {
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap, "linger.ms", 5)) {
            for (int i = from; i < to; i++) {
                String key = "key-" + i % 97;
                producer.send(new ProducerRecord<>(topic, key, "v" + i));
                wanted.merge(key, 1L, Long::sum);
            }
        }
    }

    private static void runUntil(String bootstrap, String topic, String application, Map<String, Long> wanted)
            throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(topic).groupByKey().count(Materialized.as("counts"));
        Path folder = Files.createTempDirectory(Path.of(System.getProperty("java.io.tmpdir")), "streams");
        Properties settings = new Properties();
        settings.putAll(Clients.settings(bootstrap, "application.id", application, "state.dir", folder.toString(),
            "commit.interval.ms", 100, "default.key.serde", Serdes.StringSerde.class,
            "default.value.serde", Serdes.StringSerde.class, "auto.offset.reset", "earliest",
            "session.timeout.ms", 10_000, "statestore.cache.max.bytes", 0));
        try (KafkaStreams streams = new KafkaStreams(builder.build(), settings)) {
            streams.start();
            Map<String, Long> found = new HashMap<>();
            try {
                Checks.waitUntil(() -> {
                    found.clear();
                    found.putAll(counts(streams));
                    return found.equals(wanted);
                }, "");
            } catch (Checks.Failed inVain) {
                equal(found.size() + " keys, key-0=" + found.get("key-0"), wanted.size() + " keys, key-0="
                    + wanted.get("key-0"), "counts of Streams (" + streams.state() + ")");
                throw inVain;
            }
        }
    }

    private static Map<String, Long> counts(KafkaStreams streams) {
        Map<String, Long> found = new HashMap<>();
        if (streams.state() != KafkaStreams.State.RUNNING) {
            return found;
        }
        ReadOnlyKeyValueStore<String, Long> store = streams.store(
            StoreQueryParameters.fromNameAndType("counts", QueryableStoreTypes.keyValueStore()));
        try (var all = store.all()) {
            all.forEachRemaining(pair -> found.put(pair.key, pair.value));
        }
        return found;
    }
}
