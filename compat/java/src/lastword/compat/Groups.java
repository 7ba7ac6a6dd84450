package lastword.compat;

import static lastword.compat.Checks.check;
import static lastword.compat.Checks.equal;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;

/** Consumer groups: members come and go, positions survive. */
final class Groups {
    private Groups() {
    }

    /** A member in a thread of its own, polling until told to stop; then it commits and leaves. */
    static final class Member extends Thread {
        final KafkaConsumer<String, String> consumer;
        final ConcurrentLinkedQueue<String> values = new ConcurrentLinkedQueue<>();
        volatile Set<TopicPartition> assigned = Set.of();
        volatile Throwable problem;
        volatile boolean stop;

        Member(String bootstrap, String group, String topic, String[] more) {
            List<Object> settings = new ArrayList<>(List.of("group.id", group, "auto.offset.reset", "earliest",
                "enable.auto.commit", false));
            settings.addAll(List.of(more));
            consumer = Clients.consumer(bootstrap, settings.toArray());
            ConsumerRebalanceListener committing = new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                    consumer.commitSync();
                }

                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                }
            };
            // A pattern that the broker resolves, when it is not the name of a topic.
            if (topic.endsWith("*")) {
                consumer.subscribe(new SubscriptionPattern(topic), committing);
            } else {
                consumer.subscribe(List.of(topic), committing);
            }
            start();
        }

        @Override
        public void run() {
            try {
                while (!stop) {
                    for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                        values.add(record.value());
                    }
                    assigned = Set.copyOf(consumer.assignment());
                }
                consumer.commitSync();
                consumer.close();
            } catch (WakeupException ended) {
                consumer.close();
            } catch (Throwable other) {
                problem = other;
            }
        }

        void leave() throws InterruptedException {
            stop = true;
            join(20_000);
            check(!isAlive(), "a member did not leave within 20 s");
            check(problem == null, "a member failed: " + (problem == null ? "" : Checks.inOneLine(problem)));
        }
    }

    /** Two members share four partitions, one leaves, the other takes over, a third resumes. */
    static void rebalance(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        String group = arguments[1];
        String[] more = java.util.Arrays.copyOfRange(arguments, 2, arguments.length);
        Member first = new Member(bootstrap, group, topic, more);
        Checks.waitUntil(() -> first.problem != null || first.assigned.size() == 4, "one member has 4 partitions");
        Member second = new Member(bootstrap, group, topic, more);
        Checks.waitUntil(() -> first.problem != null || second.problem != null
            || first.assigned.size() == 2 && second.assigned.size() == 2, "two members have 2 partitions each");
        produce(bootstrap, topic, 0, 200);
        Checks.waitUntil(() -> first.values.size() + second.values.size() >= 200, "both have read 200 records");
        equal(sorted(first.values, second.values), numbers(0, 200), "what both read together");
        check(!first.values.isEmpty() && !second.values.isEmpty(), "one member read everything");
        first.leave();
        Checks.waitUntil(() -> second.problem != null || second.assigned.size() == 4, "the one left has 4 partitions");
        second.values.clear();
        produce(bootstrap, topic, 200, 300);
        Checks.waitUntil(() -> second.values.size() >= 100, "the one left has read 100 more");
        equal(sorted(second.values), numbers(200, 300), "what it read after the other had left");
        second.leave();
        produce(bootstrap, topic, 300, 350);
        Member third = new Member(bootstrap, group, topic, more);
        Checks.waitUntil(() -> third.problem != null || third.values.size() >= 50, "a new member has read 50");
        third.leave();
        equal(sorted(third.values), numbers(300, 350), "a new member resumes at the committed offsets");
    }

    /** A member of each protocol in one group; the classic one leaves, a new one takes its place (KIP-848). */
    static void migration(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        String group = arguments[1];
        String[] classic = {"heartbeat.interval.ms", "500"};
        String[] consumer = {"group.protocol", "consumer"};
        Member first = new Member(bootstrap, group, topic, classic);
        Checks.waitUntil(() -> first.problem != null || first.assigned.size() == 4, "the classic member has 4");
        produce(bootstrap, topic, 0, 100);
        Checks.waitUntil(() -> first.problem != null || first.values.size() >= 100, "it has read 100 records");
        Member second = new Member(bootstrap, group, topic, consumer);
        Checks.waitUntil(() -> first.problem != null || second.problem != null
            || first.assigned.size() == 2 && second.assigned.size() == 2, "one member of each protocol has 2 each");
        produce(bootstrap, topic, 100, 200);
        Checks.waitUntil(() -> first.values.size() + second.values.size() >= 200, "both have read 200 records");
        equal(sorted(first.values, second.values), numbers(0, 200), "what both read together");
        first.leave();
        Checks.waitUntil(() -> second.problem != null || second.assigned.size() == 4, "the new protocol has 4");
        Member third = new Member(bootstrap, group, topic, classic);
        Checks.waitUntil(() -> second.problem != null || third.problem != null
            || second.assigned.size() == 2 && third.assigned.size() == 2, "a classic member came back");
        second.leave();
        Checks.waitUntil(() -> third.problem != null || third.assigned.size() == 4, "only the classic member is left");
        third.values.clear();
        produce(bootstrap, topic, 200, 250);
        Checks.waitUntil(() -> third.values.size() >= 50, "it has read 50 more");
        third.leave();
        equal(sorted(third.values), numbers(200, 250), "nothing was read twice on the way back");
    }

    static void produce(String bootstrap, String topic, int from, int to) {
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap)) {
            for (int i = from; i < to; i++) {
                producer.send(new ProducerRecord<>(topic, i % 4, "key-" + i, Integer.toString(i)));
            }
        }
    }

    @SafeVarargs
    static List<Integer> sorted(Iterable<String>... values) {
        List<Integer> numbers = new ArrayList<>();
        for (Iterable<String> some : values) {
            some.forEach(value -> numbers.add(Integer.parseInt(value)));
        }
        numbers.sort(null);
        return numbers;
    }

    static List<Integer> numbers(int from, int to) {
        return java.util.stream.IntStream.range(from, to).boxed().collect(Collectors.toList());
    }

    /** Reads 30 of 50 records in a group and commits exactly there, with metadata. */
    static void commitSome(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap)) {
            for (int i = 0; i < 50; i++) {
                producer.send(new ProducerRecord<>(topic, 0, "key-" + i, Integer.toString(i)));
            }
        }
        try (KafkaConsumer<String, String> consumer = Clients.consumer(bootstrap, "group.id", arguments[1],
                "auto.offset.reset", "earliest", "enable.auto.commit", false, "max.poll.records", 30)) {
            consumer.subscribe(List.of(topic));
            long giveUp = System.nanoTime() + 20_000_000_000L;
            while (consumer.poll(Duration.ofMillis(200)).isEmpty()) {
                check(System.nanoTime() < giveUp, "nothing was read in 20 s");
            }
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(30, "thirty")));
        }
    }

    /** The same group finds its commit and goes on from there. */
    static void committedIs(String bootstrap, String[] arguments) throws Exception {
        TopicPartition partition = new TopicPartition(arguments[0], 0);
        try (KafkaConsumer<String, String> consumer = Clients.consumer(bootstrap, "group.id", arguments[1],
                "auto.offset.reset", "none", "enable.auto.commit", false)) {
            OffsetAndMetadata committed = consumer.committed(Set.of(partition)).get(partition);
            check(committed != null, "the committed offset is gone");
            equal(committed.offset() + " " + committed.metadata(), "30 thirty", "committed offset and metadata");
            consumer.subscribe(List.of(arguments[0]));
            Map<Long, String> read = new TreeMap<>();
            long giveUp = System.nanoTime() + 20_000_000_000L;
            while (read.size() < 20) {
                check(System.nanoTime() < giveUp, "read only " + read.size() + " of 20 in 20 s");
                consumer.poll(Duration.ofMillis(200)).forEach(r -> read.put(r.offset(), r.value()));
            }
            equal(read.keySet().iterator().next(), 30L, "the first offset read");
        }
    }
}
