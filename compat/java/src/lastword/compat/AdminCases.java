package lastword.compat;

import static lastword.compat.Checks.check;
import static lastword.compat.Checks.equal;

import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** The admin client, in the calls operators and frameworks make. */
final class AdminCases {
    private AdminCases() {
    }

    static void topics(String bootstrap, String[] arguments) throws Exception {
        String name = arguments[0];
        try (Admin admin = Clients.admin(bootstrap)) {
            Collection<Node> nodes = admin.describeCluster().nodes().get();
            equal(nodes.size(), 1, "describeCluster: nodes");
            Node node = nodes.iterator().next();
            equal(node.host() + ":" + node.port(), bootstrap, "describeCluster: address");
            check(admin.describeCluster().controller().get() != null, "describeCluster: no controller");
            check(!admin.describeCluster().clusterId().get().isEmpty(), "describeCluster: no cluster id");

            NewTopic wanted = new NewTopic(name, 3, (short) 1).configs(Map.of("cleanup.policy", "compact"));
            admin.createTopics(List.of(new NewTopic(name, 1, (short) 1)), new CreateTopicsOptions().validateOnly(true))
                .all().get();
            check(!admin.listTopics().names().get().contains(name), "validateOnly created the topic");
            var created = admin.createTopics(List.of(wanted));
            created.all().get();
            Uuid id = created.topicId(name).get();
            equal(created.numPartitions(name).get(), 3, "createTopics: partitions in the answer");
            equal(created.config(name).get().get("cleanup.policy").value(), "compact", "createTopics: config");
            Checks.refused(TopicExistsException.class, "createTopics twice",
                () -> admin.createTopics(List.of(wanted)).all().get());
            // Broker defaults for both numbers.
            admin.createTopics(List.of(new NewTopic(name + "-defaults", Optional.empty(), Optional.empty())))
                .all().get();

            Checks.waitUntil(() -> names(admin).containsAll(Set.of(name, name + "-defaults")), "listTopics has both");
            TopicDescription found = describe(admin, name, 3);
            equal(found.topicId(), id, "describeTopics: topic id");
            equal(found.partitions().get(2).leader().id(), node.id(), "describeTopics: leader");
            equal(found.partitions().get(2).isr().size(), 1, "describeTopics: isr");
            equal(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id).name(),
                name, "describeTopics by id");
            Checks.refused(UnknownTopicOrPartitionException.class, "describeTopics of an unknown topic",
                () -> admin.describeTopics(List.of(name + "-unknown")).allTopicNames().get());

            admin.createPartitions(Map.of(name, NewPartitions.increaseTo(5))).all().get();
            describe(admin, name, 5);
            Checks.refused(InvalidPartitionsException.class, "createPartitions to fewer",
                () -> admin.createPartitions(Map.of(name, NewPartitions.increaseTo(2))).all().get());
            try (KafkaProducer<String, String> producer = Clients.producer(bootstrap)) {
                equal(producer.send(new ProducerRecord<>(name, 4, "k", "v")).get().offset(), 0L,
                    "offset in the new partition");
            }

            admin.deleteTopics(List.of(name)).all().get();
            admin.deleteTopics(List.of(name + "-defaults")).all().get();
            Checks.waitUntil(() -> !names(admin).contains(name), "the deleted topic is not listed");
            Checks.refused(UnknownTopicOrPartitionException.class, "deleteTopics of an unknown topic",
                () -> admin.deleteTopics(List.of(name)).all().get());
            // The same name again is another, empty topic.
            admin.createTopics(List.of(wanted)).all().get();
            TopicDescription again = describe(admin, name, 3);
            check(!again.topicId().equals(id), "a topic created again has the old id");
            TopicPartition zero = new TopicPartition(name, 0);
            equal(latest(admin, zero, OffsetSpec.latest()).offset(), 0L, "end of the topic created again");
        }
    }

    private static Set<String> names(Admin admin) {
        try {
            return admin.listTopics().names().get();
        } catch (InterruptedException | ExecutionException problem) {
            throw new RuntimeException(problem);
        }
    }

    private static TopicDescription describe(Admin admin, String name, int partitions) throws Exception {
        long giveUp = System.nanoTime() + 20_000_000_000L;
        while (true) {
            try {
                TopicDescription found = admin.describeTopics(List.of(name)).allTopicNames().get().get(name);
                if (found.partitions().size() == partitions
                        && found.partitions().stream().allMatch(p -> p.leader() != null)) {
                    return found;
                }
            } catch (ExecutionException notYet) {
                if (!(notYet.getCause() instanceof UnknownTopicOrPartitionException)) {
                    throw notYet;
                }
            }
            check(System.nanoTime() < giveUp, name + " has not " + partitions + " led partitions after 20 s");
            Thread.sleep(20);
        }
    }

    private static ListOffsetsResultInfo latest(Admin admin, TopicPartition partition, OffsetSpec spec)
            throws Exception {
        return admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get();
    }

    /** listOffsets by every spec, deleteRecords and what it does to readers. */
    static void records(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        TopicPartition zero = new TopicPartition(topic, 0);
        long start = 1_700_000_000_000L;
        long[] times = {5, 7, 3, 9, 1, 4};
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap); Admin admin = Clients.admin(bootstrap)) {
            for (int i = 0; i < times.length; i++) {
                producer.send(new ProducerRecord<>(topic, 0, start + times[i], "k" + i, "v" + i)).get();
            }
            equal(latest(admin, zero, OffsetSpec.earliest()).offset(), 0L, "listOffsets earliest");
            equal(latest(admin, zero, OffsetSpec.latest()).offset(), 6L, "listOffsets latest");
            ListOffsetsResultInfo max = latest(admin, zero, OffsetSpec.maxTimestamp());
            equal(max.offset() + " " + max.timestamp(), "3 " + (start + 9), "listOffsets max timestamp");
            equal(latest(admin, zero, OffsetSpec.forTimestamp(start + 6)).offset(), 1L, "listOffsets for a timestamp");
            equal(latest(admin, zero, OffsetSpec.forTimestamp(start + 10)).offset(), -1L,
                "listOffsets for a timestamp after all");

            equal(admin.deleteRecords(Map.of(zero, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(zero).get()
                .lowWatermark(), 4L, "deleteRecords: low watermark");
            equal(latest(admin, zero, OffsetSpec.earliest()).offset(), 4L, "earliest after deleteRecords");
            try (KafkaConsumer<String, String> consumer = Clients.consumer(bootstrap)) {
                consumer.assign(List.of(zero));
                consumer.seekToBeginning(List.of(zero));
                List<ConsumerRecord<String, String>> left = Clients.readToEnd(consumer, List.of(zero));
                equal(left.stream().map(ConsumerRecord::offset).toList(), List.of(4L, 5L), "left after deleteRecords");
            }
            equal(admin.deleteRecords(Map.of(zero, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(zero).get()
                .lowWatermark(), 6L, "deleteRecords of everything");
            equal(latest(admin, zero, OffsetSpec.latest()).offset(), 6L, "the end stays where it was");
            Checks.refused(org.apache.kafka.common.errors.OffsetOutOfRangeException.class, "deleteRecords beyond the end",
                () -> admin.deleteRecords(Map.of(zero, RecordsToDelete.beforeOffset(100))).all().get());
        }
    }

    static void configs(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (Admin admin = Clients.admin(bootstrap)) {
            Config first = describe(admin, resource);
            Map<String, String> defaults = Map.of("cleanup.policy", "compact", "delete.retention.ms", "86400000",
                "min.cleanable.dirty.ratio", "0.5", "segment.bytes", "1073741824", "min.compaction.lag.ms", "0",
                "max.compaction.lag.ms", "9223372036854775807", "compression.type", "producer",
                "segment.ms", "604800000", "max.message.bytes", "1048588", "message.timestamp.type", "CreateTime");
            for (Map.Entry<String, String> wanted : defaults.entrySet()) {
                ConfigEntry entry = first.get(wanted.getKey());
                check(entry != null, "describeConfigs lacks " + wanted.getKey());
                equal(entry.value(), wanted.getValue(), wanted.getKey());
            }
            equal(first.get("cleanup.policy").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG,
                "source of cleanup.policy");
            equal(first.get("segment.bytes").source(), ConfigEntry.ConfigSource.DEFAULT_CONFIG,
                "source of segment.bytes");

            alter(admin, resource, AlterConfigOp.OpType.SET, "min.cleanable.dirty.ratio", "0.1");
            alter(admin, resource, AlterConfigOp.OpType.APPEND, "cleanup.policy", "delete");
            waitFor(admin, resource, "min.cleanable.dirty.ratio", "0.1");
            waitFor(admin, resource, "cleanup.policy", "compact,delete");
            alter(admin, resource, AlterConfigOp.OpType.SUBTRACT, "cleanup.policy", "delete");
            waitFor(admin, resource, "cleanup.policy", "compact");
            alter(admin, resource, AlterConfigOp.OpType.DELETE, "min.cleanable.dirty.ratio", "");
            waitFor(admin, resource, "min.cleanable.dirty.ratio", "0.5");

            int node = admin.describeCluster().nodes().get().iterator().next().id();
            Config broker = describe(admin, new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(node)));
            for (String name : List.of("log.cleaner.threads", "log.cleaner.backoff.ms",
                    "log.cleaner.min.cleanable.ratio", "log.retention.ms", "log.segment.bytes")) {
                check(broker.get(name) != null, "describeConfigs of the broker lacks " + name);
            }
        }
    }

    private static Config describe(Admin admin, ConfigResource resource) throws Exception {
        return admin.describeConfigs(List.of(resource)).all().get().get(resource);
    }

    private static void alter(Admin admin, ConfigResource resource, AlterConfigOp.OpType how, String name,
                              String value) throws Exception {
        admin.incrementalAlterConfigs(Map.of(resource,
            List.of(new AlterConfigOp(new ConfigEntry(name, value), how)))).all().get();
    }

    private static void waitFor(Admin admin, ConfigResource resource, String name, String value) throws Exception {
        String[] last = {""};
        try {
            Checks.waitUntil(() -> {
                try {
                    last[0] = describe(admin, resource).get(name).value();
                    return last[0].equals(value);
                } catch (Exception problem) {
                    throw new RuntimeException(problem);
                }
            }, "");
        } catch (Checks.Failed inVain) {
            throw new Checks.Failed(name + " is " + last[0] + " and not " + value);
        }
    }

    static void logDirs(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap); Admin admin = Clients.admin(bootstrap)) {
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(topic, 0, "key-" + i, "x".repeat(1000)));
            }
            producer.flush();
            int node = admin.describeCluster().nodes().get().iterator().next().id();
            Map<String, LogDirDescription> found = admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node);
            equal(found.size(), 1, "log directories");
            LogDirDescription directory = found.values().iterator().next();
            check(directory.error() == null, "the log directory has an error");
            check(directory.totalBytes().orElse(0) > 0, "total bytes are missing");
            var replica = directory.replicaInfos().get(new TopicPartition(topic, 0));
            check(replica != null, "the partition is missing");
            check(replica.size() > 100_000 && replica.size() < 200_000, "size of the partition is " + replica.size());
            equal(replica.isFuture(), false, "isFuture");
        }
    }

    static void groups(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        String group = arguments[1];
        TopicPartition zero = new TopicPartition(topic, 0);
        TopicPartition one = new TopicPartition(topic, 1);
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap); Admin admin = Clients.admin(bootstrap)) {
            for (int i = 0; i < 20; i++) {
                producer.send(new ProducerRecord<>(topic, i % 2, "key-" + i, "v" + i));
            }
            producer.flush();
            try (KafkaConsumer<String, String> consumer = Clients.consumer(bootstrap, "group.id", group,
                    "client.id", "compat-member", "auto.offset.reset", "earliest", "enable.auto.commit", false)) {
                consumer.subscribe(List.of(topic));
                int read = 0;
                long giveUp = System.nanoTime() + 20_000_000_000L;
                while (read < 20) {
                    check(System.nanoTime() < giveUp, "read only " + read + " of 20");
                    read += consumer.poll(Duration.ofMillis(200)).count();
                }
                consumer.commitSync();
                check(admin.listGroups().all().get().stream().anyMatch(g -> g.groupId().equals(group)), "listGroups");
                check(admin.listConsumerGroups().all().get().stream().anyMatch(g -> g.groupId().equals(group)),
                    "listConsumerGroups");
                ConsumerGroupDescription found = describeGroup(admin, group);
                equal(found.groupState(), GroupState.STABLE, "describeConsumerGroups: state");
                equal(found.members().size(), 1, "describeConsumerGroups: members");
                var member = found.members().iterator().next();
                equal(member.clientId(), "compat-member", "describeConsumerGroups: client id");
                equal(member.assignment().topicPartitions(), Set.of(zero, one), "describeConsumerGroups: assignment");
                equal(found.partitionAssignor(), "range", "describeConsumerGroups: assignor");
                Checks.refused(GroupNotEmptyException.class, "deleteConsumerGroups of a group with a member",
                    () -> admin.deleteConsumerGroups(List.of(group)).all().get());
            }
            equal(describeGroup(admin, group).groupState(), GroupState.EMPTY, "state after the member has left");
            equal(offset(admin, group, zero), 10L, "listConsumerGroupOffsets");
            admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(3))).all().get();
            equal(offset(admin, group, zero), 3L, "offset after alterConsumerGroupOffsets");
            equal(offset(admin, group, one), 10L, "offset that was not altered");
            admin.deleteConsumerGroupOffsets(group, Set.of(one)).all().get();
            equal(offset(admin, group, one), null, "offset after deleteConsumerGroupOffsets");
            admin.deleteConsumerGroups(List.of(group)).all().get();
            check(admin.listConsumerGroups().all().get().stream().noneMatch(g -> g.groupId().equals(group)),
                "a deleted group is still listed");
            Checks.refused(GroupIdNotFoundException.class, "deleteConsumerGroups of an unknown group",
                () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        }
    }

    private static ConsumerGroupDescription describeGroup(Admin admin, String group) throws Exception {
        return admin.describeConsumerGroups(List.of(group)).all().get().get(group);
    }

    private static Long offset(Admin admin, String group, TopicPartition partition) throws Exception {
        OffsetAndMetadata found =
            admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition);
        return found == null ? null : found.offset();
    }
}
