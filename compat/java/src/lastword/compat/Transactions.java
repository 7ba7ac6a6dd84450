package lastword.compat;

import static lastword.compat.Checks.check;
import static lastword.compat.Checks.equal;
import static lastword.compat.Checks.refused;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;

/** Transactional producers, consumers of both isolation levels, and what administrators see. */
final class Transactions {
    private Transactions() {
    }

    /** Commits and aborts in turn; only a reader of uncommitted records sees what was aborted. */
    static void commitAndAbort(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        List<String> committed = new ArrayList<>();
        List<String> all = new ArrayList<>();
        try (var producer = producer(bootstrap, arguments[1])) {
            producer.initTransactions();
            for (int transaction = 0; transaction < 20; transaction++) {
                boolean aborts = transaction % 3 == 1;
                producer.beginTransaction();
                for (int i = 0; i < 50; i++) {
                    String value = transaction + "/" + i;
                    producer.send(new ProducerRecord<>(topic, i % 3, "k" + i, value));
                    all.add(value);
                    if (!aborts) {
                        committed.add(value);
                    }
                }
                if (aborts) {
                    // What was not sent would be dropped by the client.
                    producer.flush();
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
            readsLikeThis(bootstrap, topic, "read_committed", committed);
            readsLikeThis(bootstrap, topic, "read_uncommitted", all);

            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 0, "k", "open")).get();
            all.add("open");
            readsLikeThis(bootstrap, topic, "read_uncommitted", all);
            readsLikeThis(bootstrap, topic, "read_committed", committed);
            try (Admin admin = Clients.admin(bootstrap)) {
                TopicPartition partition = new TopicPartition(topic, 0);
                long stable = latest(admin, partition, IsolationLevel.READ_COMMITTED);
                long end = latest(admin, partition, IsolationLevel.READ_UNCOMMITTED);
                equal(end - stable, 1L, "records behind the last stable offset");
            }
            producer.commitTransaction();
            committed.add("open");
            readsLikeThis(bootstrap, topic, "read_committed", committed);
        }
    }

    /** A second producer of the same id fences the first one and aborts what it has open. */
    static void fencing(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        try (var zombie = producer(bootstrap, arguments[1]); var heir = producer(bootstrap, arguments[1])) {
            zombie.initTransactions();
            zombie.beginTransaction();
            zombie.send(new ProducerRecord<>(topic, "k", "zombie")).get();
            heir.initTransactions();
            refused(KafkaException.class, "the zombie's record", () -> {
                try {
                    zombie.send(new ProducerRecord<>(topic, "k", "zombie again")).get();
                } catch (java.util.concurrent.ExecutionException problem) {
                    check(problem.getCause() instanceof InvalidProducerEpochException
                        || problem.getCause() instanceof ProducerFencedException,
                        "the zombie's record failed with " + problem.getCause());
                    throw problem;
                }
            });
            refused(KafkaException.class, "the zombie's commit", zombie::commitTransaction);
            heir.beginTransaction();
            heir.send(new ProducerRecord<>(topic, "k", "heir"));
            heir.commitTransaction();
            readsLikeThis(bootstrap, topic, "read_committed", List.of("heir"));
        }
        try (var zombie = producer(bootstrap, arguments[1] + "-2"); var heir = producer(bootstrap, arguments[1] + "-2")) {
            zombie.initTransactions();
            zombie.beginTransaction();
            zombie.send(new ProducerRecord<>(topic, "k", "zombie")).get();
            heir.initTransactions();
            refused(ProducerFencedException.class, "the commit of a fenced producer", zombie::commitTransaction);
        }
    }

    /** Administrators see the transaction of a producer, and a new producer's fencing of it. */
    static void administration(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        String id = arguments[1];
        try (var producer = producer(bootstrap, id); Admin admin = Clients.admin(bootstrap)) {
            refused(TransactionalIdNotFoundException.class, "an id that nobody has",
                () -> admin.describeTransactions(Set.of("nobody")).description("nobody").get());
            producer.initTransactions();
            equal(describe(admin, id).state(), TransactionState.EMPTY, "state of a new id");
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 0, "k", "v")).get();
            producer.send(new ProducerRecord<>(topic, 2, "k", "v")).get();
            TransactionDescription open = describe(admin, id);
            equal(open.state(), TransactionState.ONGOING, "state of an open transaction");
            equal(open.topicPartitions(), Set.of(new TopicPartition(topic, 0), new TopicPartition(topic, 2)),
                "its partitions");
            check(open.transactionStartTimeMs().isPresent(), "it has a start time");
            Map<String, TransactionState> listed = new HashMap<>();
            for (TransactionListing each : admin.listTransactions().all().get()) {
                listed.put(each.transactionalId(), each.state());
            }
            equal(listed.get(id), TransactionState.ONGOING, "listed state");
            var described = admin.describeProducers(List.of(new TopicPartition(topic, 0))).all().get();
            var state = described.get(new TopicPartition(topic, 0)).activeProducers().get(0);
            equal(state.producerId(), open.producerId(), "producer id in the partition");
            equal((short) state.producerEpoch(), (short) open.producerEpoch(), "its epoch");
            equal(state.currentTransactionStartOffset().getAsLong(), 0L, "start offset of its transaction");

            admin.fenceProducers(List.of(id)).all().get();
            Checks.waitUntil(() -> describe(admin, id).state() != TransactionState.ONGOING, "it is aborted");
            refused(ProducerFencedException.class, "the commit of a fenced producer", producer::commitTransaction);
            readsLikeThis(bootstrap, topic, "read_committed", List.of());
            var after = admin.describeProducers(List.of(new TopicPartition(topic, 0))).all().get();
            state = after.get(new TopicPartition(topic, 0)).activeProducers().get(0);
            check(state.coordinatorEpoch().isPresent(), "the marker has a coordinator epoch");
            check(state.currentTransactionStartOffset().isEmpty(), "no transaction is open");
        }
    }

    /** Reads one topic, writes another and commits its offsets, all or nothing, with aborts in between. */
    static void consumeTransformProduce(String bootstrap, String[] arguments) throws Exception {
        String from = arguments[0];
        String to = arguments[1];
        String group = arguments[2];
        List<String> wanted = new ArrayList<>();
        try (var source = Clients.producer(bootstrap)) {
            for (int i = 0; i < 300; i++) {
                source.send(new ProducerRecord<>(from, "k" + i % 7, "v" + i));
                wanted.add("V" + i);
            }
        }
        int round = 0;
        long giveUp = System.nanoTime() + 50_000_000_000L;
        int done = 0;
        while (done < 300) {
            check(System.nanoTime() < giveUp, "only " + done + " of 300 records were copied");
            // Every round is a new process, as it were: it goes on where the last commit was.
            try (var producer = producer(bootstrap, group + "-tx");
                 var consumer = Clients.consumer(bootstrap, "group.id", group, "auto.offset.reset", "earliest",
                     "enable.auto.commit", false, "isolation.level", "read_committed", "max.poll.records", 40,
                     "session.timeout.ms", 10_000)) {
                producer.initTransactions();
                consumer.subscribe(List.of(from));
                for (int i = 0; i < 3 && done < 300; i++) {
                    ConsumerRecords<String, String> records = consumer.poll(Duration.ofSeconds(5));
                    if (records.isEmpty()) {
                        continue;
                    }
                    producer.beginTransaction();
                    for (ConsumerRecord<String, String> record : records) {
                        producer.send(new ProducerRecord<>(to, record.key(), record.value().replace('v', 'V')));
                    }
                    producer.sendOffsetsToTransaction(consumed(records), consumer.groupMetadata());
                    if (round++ % 3 == 1) {
                        producer.flush();
                        producer.abortTransaction();
                        break;
                    }
                    producer.commitTransaction();
                    done += records.count();
                }
            }
        }
        readsLikeThis(bootstrap, to, "read_committed", wanted);
    }

    private static Map<TopicPartition, OffsetAndMetadata> consumed(ConsumerRecords<String, String> records) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (ConsumerRecord<String, String> record : records) {
            TopicPartition partition = new TopicPartition(record.topic(), record.partition());
            offsets.put(partition, new OffsetAndMetadata(record.offset() + 1));
        }
        return offsets;
    }

    /** Leaves a transaction open, says so, and waits to be killed. */
    static void leaveOpen(String bootstrap, String[] arguments) throws Exception {
        var producer = producer(bootstrap, arguments[1], "transaction.timeout.ms", 600_000);
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(arguments[0], 0, "k", "open")).get();
    }

    /** Commits transactions of numbered records over all partitions until it is killed; each line is a promise. */
    static void commitForEver(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        int next = Integer.parseInt(arguments[2]);
        while (true) {
            try (var producer = producer(bootstrap, arguments[1], "max.block.ms", 20_000)) {
                producer.initTransactions();
                for (; ; next++) {
                    producer.beginTransaction();
                    for (int partition = 0; partition < 3; partition++) {
                        producer.send(new ProducerRecord<>(topic, partition, "k", next + "/" + partition));
                    }
                    if (next % 4 == 3) {
                        producer.flush();
                        producer.abortTransaction();
                        System.out.println("aborted " + next);
                    } else {
                        System.out.println("committing " + next);
                        producer.commitTransaction();
                        System.out.println("committed " + next);
                    }
                }
            } catch (KafkaException problem) {
                System.out.println("again after " + next + ": " + Checks.inOneLine(problem));
                next++;
            }
        }
    }

    /** A new producer of the id: what the one before has left open is aborted. */
    static void abortTheRest(String bootstrap, String[] arguments) {
        try (var producer = producer(bootstrap, arguments[0])) {
            producer.initTransactions();
        }
    }

    /** Prints what a reader of committed records finds, a line a record: partition, value. */
    static void dumpCommitted(String bootstrap, String[] arguments) throws Exception {
        try (var consumer = Clients.consumer(bootstrap, "isolation.level", "read_committed")) {
            List<TopicPartition> partitions = partitions(consumer, arguments[0]);
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            for (var record : Clients.readToEnd(consumer, partitions)) {
                System.out.println(record.partition() + " " + record.value());
            }
        }
    }

    private static KafkaProducer<String, String> producer(String bootstrap, String id, Object... more) {
        List<Object> settings = new ArrayList<>(List.of("transactional.id", id));
        settings.addAll(List.of(more));
        return Clients.producer(bootstrap, settings.toArray());
    }

    private static TransactionDescription describe(Admin admin, String id) {
        try {
            return admin.describeTransactions(Set.of(id)).description(id).get();
        } catch (Exception problem) {
            throw new IllegalStateException(problem);
        }
    }

    private static long latest(Admin admin, TopicPartition partition, IsolationLevel level) throws Exception {
        return admin.listOffsets(Map.of(partition, OffsetSpec.latest()), new ListOffsetsOptions(level))
            .partitionResult(partition).get().offset();
    }

    private static List<TopicPartition> partitions(KafkaConsumer<String, String> consumer, String topic) {
        List<TopicPartition> partitions = new ArrayList<>();
        consumer.partitionsFor(topic).forEach(info -> partitions.add(new TopicPartition(topic, info.partition())));
        return partitions;
    }

    private static void readsLikeThis(String bootstrap, String topic, String isolation, List<String> wanted) {
        try (var consumer = Clients.consumer(bootstrap, "isolation.level", isolation)) {
            List<TopicPartition> partitions = partitions(consumer, topic);
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            List<String> found = new ArrayList<>();
            long end = System.nanoTime() + 20_000_000_000L;
            // The markers follow the answer to the commit.
            while (found.size() < wanted.size() && System.nanoTime() < end) {
                consumer.poll(Duration.ofMillis(100)).forEach(record -> found.add(record.value()));
            }
            Clients.readToEnd(consumer, partitions).forEach(record -> found.add(record.value()));
            equal(found.size(), wanted.size(), "records of a " + isolation + " reader");
            equal(new TreeSet<>(found), new TreeSet<>(wanted), "what a " + isolation + " reader sees");
        }
    }
}
