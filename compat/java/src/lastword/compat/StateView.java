package lastword.compat;

import static lastword.compat.Checks.check;
import static lastword.compat.Checks.equal;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;

/** The state view of a topic, read by clients that know nothing of it. */
final class StateView {
    private StateView() {
    }

    /** {@code TOPIC GROUP ISOLATION}: both ways to read come to the same map; says what each has received. */
    static void read(String bootstrap, String[] arguments) {
        String topic = arguments[0];
        Read plain = readAll(bootstrap, topic, arguments[1] + "-plain", arguments[2], "classic");
        for (String protocol : List.of("classic", "consumer")) {
            Read view = readAll(bootstrap, topic + "@state", arguments[1] + "-" + protocol, arguments[2], protocol);
            equal(view.map, plain.map, "the map read through the view, group.protocol=" + protocol);
            equal(view.ends, plain.ends, "the ends of the view's partitions");
            check(view.records <= plain.records, view.records + " records of the view, " + plain.records + " of all");
            System.out.println(protocol + " " + plain.records + " " + plain.bytes + " " + plain.millis + " "
                + view.records + " " + view.bytes + " " + view.millis + " " + view.map.size());
        }
    }

    private record Read(Map<String, String> map, Map<Integer, Long> ends, long records, long bytes, long millis) {
    }

    /** By subscription, from the beginning to the present end; commits, and finds what it has committed. */
    private static Read readAll(String bootstrap, String topic, String group, String isolation, String protocol) {
        Map<String, String> map = new HashMap<>();
        long records = 0;
        try (KafkaConsumer<String, String> consumer = Clients.consumer(bootstrap, "group.id", group,
                "group.protocol", protocol, "auto.offset.reset", "earliest", "enable.auto.commit", false,
                "isolation.level", isolation)) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(info -> new TopicPartition(topic, info.partition())).toList();
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            consumer.subscribe(List.of(topic));
            Map<Integer, Long> last = new HashMap<>();
            long giveUp = System.nanoTime() + 30_000_000_000L;
            // From the first record on: joining a group takes its own time.
            long began = 0;
            while (!isAt(consumer, ends)) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    Long before = last.put(record.partition(), record.offset());
                    check(before == null || before < record.offset(), "offset " + record.offset() + " after " + before);
                    began = records++ == 0 ? System.nanoTime() : began;
                    if (record.value() == null) {
                        map.remove(record.key());
                    } else {
                        map.put(record.key(), record.value());
                    }
                }
                check(System.nanoTime() < giveUp, "the end " + ends + " of " + topic + " was not reached");
            }
            long millis = (System.nanoTime() - began) / 1_000_000;
            consumer.commitSync();
            consumer.committed(Map.copyOf(ends).keySet()).forEach((partition, committed) ->
                equal(committed.offset(), ends.get(partition), "committed offset of " + partition));
            long bytes = consumer.metrics().entrySet().stream()
                .filter(metric -> metric.getKey().name().equals("incoming-byte-total")
                    && metric.getKey().group().equals("consumer-metrics"))
                .mapToLong(metric -> ((Double) metric.getValue().metricValue()).longValue()).sum();
            return new Read(map, ends.entrySet().stream()
                .collect(Collectors.toMap(end -> end.getKey().partition(), Map.Entry::getValue)), records, bytes, millis);
        }
    }

    private static boolean isAt(KafkaConsumer<String, String> consumer, Map<TopicPartition, Long> ends) {
        return consumer.assignment().equals(ends.keySet())
            && ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
    }

    /** {@code TOPIC APPLICATION}: a GlobalKTable over the view is the fold of the topic, also of what is written later. */
    static void globalTable(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        Map<String, String> wanted =
            new HashMap<>(readAll(bootstrap, topic, arguments[1] + "-fold", "read_committed", "classic").map);
        StreamsBuilder builder = new StreamsBuilder();
        builder.globalTable(topic + "@state", Materialized.as("state"));
        // A topology must have something beside its global table.
        builder.stream(arguments[2]).foreach((key, value) -> { });
        Path folder = Files.createTempDirectory(Path.of(System.getProperty("java.io.tmpdir")), "streams");
        Properties settings = new Properties();
        settings.putAll(Clients.settings(bootstrap, "application.id", arguments[1], "state.dir", folder.toString(),
            "default.key.serde", Serdes.StringSerde.class, "default.value.serde", Serdes.StringSerde.class));
        try (KafkaStreams streams = new KafkaStreams(builder.build(), settings)) {
            streams.start();
            holds(streams, wanted);
            try (KafkaProducer<String, String> producer = Clients.producer(bootstrap)) {
                for (int i = 0; i < 10; i++) {
                    producer.send(new ProducerRecord<>(topic, "live-" + i % 3, "v" + i));
                    wanted.put("live-" + i % 3, "v" + i);
                }
            }
            holds(streams, wanted);
        }
    }

    private static void holds(KafkaStreams streams, Map<String, String> wanted) throws Exception {
        Checks.waitUntil(() -> {
            if (streams.state() != KafkaStreams.State.RUNNING) {
                return false;
            }
            Map<String, String> found = new HashMap<>();
            ReadOnlyKeyValueStore<String, String> store = streams.store(
                StoreQueryParameters.fromNameAndType("state", QueryableStoreTypes.keyValueStore()));
            try (var all = store.all()) {
                all.forEachRemaining(pair -> found.put(pair.key, pair.value));
            }
            return found.equals(wanted);
        }, "the global table holds the " + wanted.size() + " keys of the topic");
    }

    /** {@code TOPIC}: what would change the view is refused, and the message says what to do. */
    static void refusals(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        String view = topic + "@state";
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap)) {
            Checks.refused(InvalidTopicException.class, "produce",
                () -> producer.send(new ProducerRecord<>(view, 0, "key", "value")).get());
        }
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, view);
        Collection<AlterConfigOp> change =
            List.of(new AlterConfigOp(new ConfigEntry("segment.ms", "1000"), AlterConfigOp.OpType.SET));
        try (Admin admin = Clients.admin(bootstrap)) {
            check(!admin.listTopics().names().get().contains(view), "the view is listed");
            var described = admin.describeTopics(List.of(view, topic)).allTopicNames().get();
            equal(described.get(view).partitions().size(), described.get(topic).partitions().size(), "partitions");
            refused("create", () -> admin.createTopics(List.of(new NewTopic(view, 1, (short) 1))).all().get());
            refused("delete", () -> admin.deleteTopics(List.of(view)).all().get());
            refused("grow", () -> admin.createPartitions(Map.of(view, NewPartitions.increaseTo(9))).all().get());
            refused("alter", () -> admin.incrementalAlterConfigs(Map.of(resource, change)).all().get());
        }
    }

    private static void refused(String what, Checks.Action action) {
        String message = Checks.refused(InvalidTopicException.class, what, action).getMessage();
        check(message.contains("is the state view of"), what + ": " + message);
    }
}
