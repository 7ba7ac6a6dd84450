package lastword.compat;

import static lastword.compat.Checks.check;
import static lastword.compat.Checks.equal;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicAuthorizationException;

/** What must be refused, with the exception that Kafka's clients expect. */
final class Refusals {
    private Refusals() {
    }

    static void run(String bootstrap, String[] arguments) throws Exception {
        String compacted = arguments[0];
        String small = arguments[1];
        try (Admin admin = Clients.admin(bootstrap)) {
            keyless(bootstrap, admin, compacted);
            tooLarge(bootstrap, admin, small);
            badNames(admin);
            badConfigs(admin, compacted);
            internalTopic(bootstrap, admin);
        }
    }

    /** At once: a default producer would retry a retriable error for two minutes. */
    private static void keyless(String bootstrap, Admin admin, String topic) throws Exception {
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap)) {
            long begin = System.nanoTime();
            Checks.refused(InvalidRecordException.class, "a keyless record to a compacted topic",
                () -> producer.send(new ProducerRecord<>(topic, null, "no key")).get());
            check(System.nanoTime() - begin < 10_000_000_000L, "the keyless record was not refused at once");
            equal(end(admin, topic), 0L, "end of the topic after a refused record");
            equal(producer.send(new ProducerRecord<>(topic, "", "an empty key is a key")).get().offset(), 0L,
                "offset of a record with an empty key");
        }
        // The whole batch is refused with it.
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap, "linger.ms", 500)) {
            var good = producer.send(new ProducerRecord<>(topic, "a", "1"));
            var bad = producer.send(new ProducerRecord<>(topic, null, "2"));
            producer.flush();
            Checks.refused(InvalidRecordException.class, "the keyless record in a batch", bad::get);
            try {
                good.get();
                throw new Checks.Failed("a good record in a refused batch was acknowledged");
            } catch (ExecutionException expected) {
                check(!(expected.getCause() instanceof org.apache.kafka.common.errors.TimeoutException),
                    "the good record in a refused batch timed out: " + Checks.inOneLine(expected));
            }
            equal(end(admin, topic), 1L, "end of the topic after a refused batch");
        }
    }

    private static void tooLarge(String bootstrap, Admin admin, String topic) throws Exception {
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap, "max.request.size", 8 << 20)) {
            Checks.refused(RecordTooLargeException.class, "a record over max.message.bytes",
                () -> producer.send(new ProducerRecord<>(topic, "k", "x".repeat(50_000))).get());
            equal(end(admin, topic), 0L, "end of the topic after a too large record");
            equal(producer.send(new ProducerRecord<>(topic, "k", "fits")).get().offset(), 0L, "offset of what fits");
            Checks.refused(InvalidTimestampException.class, "a timestamp two hours ahead",
                () -> producer.send(new ProducerRecord<>(topic, 0, System.currentTimeMillis() + 7_200_000, "k", "v"))
                    .get());
        }
    }

    private static void badNames(Admin admin) {
        for (String name : List.of("a/b", "..", ".", "with space", "semi;colon", "x".repeat(250), "orders@state", "")) {
            Checks.refused(InvalidTopicException.class, "createTopics '" + name + "'",
                () -> admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get());
        }
        Checks.refused(InvalidReplicationFactorException.class, "three replicas on one broker",
            () -> admin.createTopics(List.of(new NewTopic("refusals-rf3", 1, (short) 3))).all().get());
    }

    private static void badConfigs(Admin admin, String topic) {
        String[][] bad = {{"no.such.config", "1"}, {"segment.bytes", "1000"}, {"cleanup.policy", "COMPACT"},
            {"min.cleanable.dirty.ratio", "1.5"}, {"compression.type", "brotli"}, {"retention.ms", "soon"},
            {"delete.retention.ms", "-1"}};
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        for (String[] pair : bad) {
            Throwable refused = Checks.refused(InvalidConfigurationException.class,
                "createTopics with " + pair[0] + "=" + pair[1], () -> admin.createTopics(List.of(
                    new NewTopic("refusals-config", 1, (short) 1).configs(Map.of(pair[0], pair[1])))).all().get());
            names(refused, pair[0]);
            refused = Checks.refused(InvalidConfigurationException.class, "alter " + pair[0] + "=" + pair[1],
                () -> admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(
                    new ConfigEntry(pair[0], pair[1]), AlterConfigOp.OpType.SET)))).all().get());
            names(refused, pair[0]);
        }
    }

    private static void names(Throwable refused, String config) {
        check(refused.getMessage() != null && refused.getMessage().contains(config),
            "the message does not name " + config + ": " + refused.getMessage());
    }

    private static void internalTopic(String bootstrap, Admin admin) throws Exception {
        // Make sure the topic exists: committing anything creates it.
        admin.alterConsumerGroupOffsets("refusals", Map.of(new TopicPartition("refusals", 0),
            new org.apache.kafka.clients.consumer.OffsetAndMetadata(0))).all();
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap, "max.block.ms", 10_000)) {
            Throwable refused = null;
            try {
                producer.send(new ProducerRecord<>("__consumer_offsets", 0, "k", "v")).get();
            } catch (ExecutionException expected) {
                refused = expected.getCause();
            }
            check(refused instanceof InvalidTopicException || refused instanceof TopicAuthorizationException,
                "a record for __consumer_offsets: wanted InvalidTopicException or TopicAuthorizationException, got "
                    + (refused == null ? "acceptance" : Checks.inOneLine(refused)));
        }
    }

    private static long end(Admin admin, String topic) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        return admin.listOffsets(Map.of(partition, OffsetSpec.latest())).partitionResult(partition).get().offset();
    }
}
