package lastword.compat;

import java.io.BufferedReader;
import java.io.FileWriter;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * StormMembers BROKERS TOPIC EVENTS [name=value]... : some members of a group in one process, which can be killed.
 *
 * <p>Commands come on standard input, one a line: {@code join NAME}, {@code leave NAME}; its end lets all leave. What
 * happens is written to the file EVENTS at once, so that it is there after a kill. Times are System.nanoTime, the
 * machine's monotonic clock, so those of several processes can be compared:
 *
 * <pre>
 * A time member partitions          assigned, before the member does anything with them
 * V time member partitions          revoked, when the member has finished with them
 * X time member partitions          lost: somebody else may have had them for a while
 * R time member partition first last   records processed
 * C begin end member partition:offset,...   a commit that was accepted, by when it was sent and answered
 * F time member error               a commit that was refused
 * L time member                     left
 * </pre>
 */
final class StormMembers {
    private static final Duration POLL = Duration.ofMillis(100);

    private final String topic;
    private final Map<String, Object> settings;
    private final PrintWriter events;
    private final Map<String, Member> members = new ConcurrentHashMap<>();

    private StormMembers(String topic, Map<String, Object> settings, PrintWriter events) {
        this.topic = topic;
        this.settings = settings;
        this.events = events;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Clients.settings(arguments[0],
            "enable.auto.commit", "false", "auto.offset.reset", "earliest", "max.poll.records", "200");
        for (int i = 3; i < arguments.length; i++) {
            int equals = arguments[i].indexOf('=');
            settings.put(arguments[i].substring(0, equals), arguments[i].substring(equals + 1));
        }
        PrintWriter events = new PrintWriter(new FileWriter(arguments[2], true), true);
        StormMembers storm = new StormMembers(arguments[1], settings, events);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split(" ");
            if (words[0].equals("join")) {
                storm.join(words[1]);
            } else {
                storm.leave(words[1]);
            }
        }
        for (String name : List.copyOf(storm.members.keySet())) {
            storm.leave(name);
        }
        for (Member member : List.copyOf(storm.members.values())) {
            member.join(30_000);
        }
        // A member that hangs must not keep the process.
        System.exit(storm.members.isEmpty() ? 0 : 1);
    }

    private void join(String name) {
        Member member = new Member(name);
        members.put(name, member);
        member.start();
    }

    private void leave(String name) {
        Member member = members.get(name);
        if (member != null) {
            member.isLeaving = true;
        }
    }

    private synchronized void event(String kind, String rest) {
        events.println(kind + " " + System.nanoTime() + " " + rest);
    }

    private static String numbers(Collection<TopicPartition> partitions) {
        return partitions.stream().map(each -> Integer.toString(each.partition())).collect(Collectors.joining(","));
    }

    private final class Member extends Thread implements ConsumerRebalanceListener {
        private final Map<TopicPartition, OffsetAndMetadata> processed = new HashMap<>();
        private volatile boolean isLeaving;
        private KafkaConsumer<String, String> consumer;

        Member(String name) {
            super(name);
        }

        @Override
        public void run() {
            Map<String, Object> mine = new HashMap<>(settings);
            mine.put("client.id", getName());
            try (KafkaConsumer<String, String> opened =
                    new KafkaConsumer<>(mine, new StringDeserializer(), new StringDeserializer())) {
                consumer = opened;
                consumer.subscribe(List.of(topic), this);
                for (int turn = 0; !isLeaving; turn++) {
                    process(consumer.poll(POLL));
                    // Not after each poll, so that a revocation finds something to commit.
                    if (turn % 3 == 0) {
                        commit(Map.copyOf(processed));
                    }
                }
            } catch (KafkaException error) {
                event("E", getName() + " " + error.toString().replace(' ', '_'));
            }
            event("L", getName());
            members.remove(getName());
        }

        private void process(ConsumerRecords<String, String> records) {
            for (TopicPartition partition : records.partitions()) {
                long first = -1;
                long last = -1;
                for (ConsumerRecord<String, String> record : records.records(partition)) {
                    if (last >= 0 && record.offset() != last + 1) {
                        event("R", getName() + " " + partition.partition() + " " + first + " " + last);
                        first = -1;
                    }
                    first = first < 0 ? record.offset() : first;
                    last = record.offset();
                }
                event("R", getName() + " " + partition.partition() + " " + first + " " + last);
                processed.put(partition, new OffsetAndMetadata(last + 1));
            }
        }

        private void commit(Map<TopicPartition, OffsetAndMetadata> offsets) {
            if (offsets.isEmpty()) {
                return;
            }
            long begin = System.nanoTime();
            try {
                consumer.commitSync(offsets);
            } catch (KafkaException refused) {
                event("F", getName() + " " + refused.getClass().getSimpleName());
                return;
            }
            String committed = offsets.entrySet().stream()
                .map(each -> each.getKey().partition() + ":" + each.getValue().offset())
                .collect(Collectors.joining(","));
            synchronized (StormMembers.this) {
                events.println("C " + begin + " " + System.nanoTime() + " " + getName() + " " + committed);
            }
            processed.entrySet().removeIf(each -> each.getValue().equals(offsets.get(each.getKey())));
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            event("A", getName() + " " + numbers(partitions));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            Map<TopicPartition, OffsetAndMetadata> finished = new HashMap<>(processed);
            finished.keySet().retainAll(partitions);
            commit(finished);
            processed.keySet().removeAll(partitions);
            event("V", getName() + " " + numbers(partitions));
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            processed.keySet().removeAll(partitions);
            event("X", getName() + " " + numbers(partitions));
        }
    }
}
