package lastword.compat;

import static lastword.compat.Checks.check;
import static lastword.compat.Checks.equal;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Producing and reading without a group. */
final class Records {
    private Records() {
    }

    /** The default producer (idempotent, acks=all) through every codec, with headers and tombstones. */
    static void produceCodecs(String bootstrap, String[] topics) throws Exception {
        String[] codecs = {"none", "gzip", "snappy", "lz4", "zstd"};
        for (int c = 0; c < codecs.length; c++) {
            TopicPartition partition = new TopicPartition(topics[c], 0);
            List<String> wanted = new ArrayList<>();
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            try (KafkaProducer<String, String> producer = Clients.producer(bootstrap,
                    "compression.type", codecs[c], "linger.ms", 5)) {
                for (int i = 0; i < 3000; i++) {
                    String value = i % 10 == 9 ? null : "value-" + i + "x".repeat(i % 200);
                    ProducerRecord<String, String> record =
                        new ProducerRecord<>(topics[c], 0, 1_700_000_000_000L + i, "key-" + i % 70, value);
                    record.headers().add("h", ("head" + i).getBytes(StandardCharsets.UTF_8));
                    record.headers().add("empty", null);
                    wanted.add(record.timestamp() + " key-" + i % 70 + "=" + value + " head" + i);
                    sent.add(producer.send(record));
                }
            }
            for (int i = 0; i < sent.size(); i++) {
                equal(sent.get(i).get().offset(), (long) i, codecs[c] + ": offset acknowledged for record " + i);
            }
            try (KafkaConsumer<String, String> consumer = Clients.consumer(bootstrap)) {
                consumer.assign(List.of(partition));
                consumer.seekToBeginning(List.of(partition));
                List<ConsumerRecord<String, String>> records = Clients.readToEnd(consumer, List.of(partition));
                equal(records.size(), wanted.size(), codecs[c] + ": records read");
                for (int i = 0; i < records.size(); i++) {
                    ConsumerRecord<String, String> r = records.get(i);
                    equal(r.offset(), (long) i, codecs[c] + ": offset");
                    equal(r.timestamp() + " " + r.key() + "=" + r.value() + " "
                        + new String(r.headers().lastHeader("h").value(), StandardCharsets.UTF_8),
                        wanted.get(i), codecs[c] + ": record " + i);
                    check(r.headers().lastHeader("empty").value() == null, codecs[c] + ": null header");
                }
            }
        }
    }

    /** assign, seek, beginningOffsets, endOffsets, offsetsForTimes, on two partitions. */
    static void consumerAssign(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        TopicPartition zero = new TopicPartition(topic, 0);
        TopicPartition one = new TopicPartition(topic, 1);
        long start = 1_700_000_000_000L;
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap)) {
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(topic, 0, start + i * 1000L, "k" + i, "v" + i));
            }
        }
        try (KafkaConsumer<String, String> consumer = Clients.consumer(bootstrap, "max.poll.records", 7)) {
            consumer.assign(List.of(zero, one));
            equal(consumer.beginningOffsets(List.of(zero, one)), Map.of(zero, 0L, one, 0L), "beginningOffsets");
            equal(consumer.endOffsets(List.of(zero, one)), Map.of(zero, 100L, one, 0L), "endOffsets");
            consumer.seek(zero, 42);
            consumer.seekToBeginning(List.of(one));
            List<ConsumerRecord<String, String>> records = Clients.readToEnd(consumer, List.of(zero, one));
            equal(records.get(0).offset(), 42L, "first offset after seek(42)");
            equal(records.size(), 58, "records after seek(42)");
            Map<TopicPartition, OffsetAndTimestamp> found =
                consumer.offsetsForTimes(Map.of(zero, start + 50_500, one, start));
            equal(found.get(zero).offset(), 51L, "offsetsForTimes between two records");
            equal(found.get(zero).timestamp(), start + 51_000, "its timestamp");
            equal(found.get(one), null, "offsetsForTimes of an empty partition");
            equal(consumer.offsetsForTimes(Map.of(zero, start + 200_000)).get(zero), null,
                "offsetsForTimes after the last record");
            equal(consumer.offsetsForTimes(Map.of(zero, 0L)).get(zero).offset(), 0L,
                "offsetsForTimes before the first record");
            equal(consumer.partitionsFor(topic).size(), 2, "partitionsFor");
            check(consumer.listTopics().containsKey(topic), "listTopics lacks the topic");
        }
        // Out of range with auto.offset.reset=earliest goes on from the beginning.
        try (KafkaConsumer<String, String> consumer = Clients.consumer(bootstrap, "auto.offset.reset", "earliest")) {
            consumer.assign(List.of(zero));
            consumer.seek(zero, 5000);
            long giveUp = System.nanoTime() + 20_000_000_000L;
            List<ConsumerRecord<String, String>> records = new ArrayList<>();
            while (records.isEmpty() && System.nanoTime() < giveUp) {
                consumer.poll(Duration.ofMillis(200)).forEach(records::add);
            }
            check(!records.isEmpty() && records.get(0).offset() == 0,
                "seek beyond the end did not reset to the earliest offset");
        }
    }

    /** Every record of a topic, one a line: partition, offset, timestamp, key, value, headers. */
    static void dumpRecords(String bootstrap, String[] arguments) {
        Map<String, Object> settings = Clients.settings(bootstrap);
        try (KafkaConsumer<byte[], byte[]> consumer =
                 new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            for (String topic : arguments) {
                for (int p = 0; p < consumer.partitionsFor(topic).size(); p++) {
                    dumpPartition(consumer, new TopicPartition(topic, p));
                }
            }
        }
    }

    private static void dumpPartition(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition) {
        consumer.assign(List.of(partition));
        consumer.seekToBeginning(List.of(partition));
        long end = consumer.endOffsets(List.of(partition)).get(partition);
        System.out.println("end " + partition + " " + end);
        long giveUp = System.nanoTime() + 30_000_000_000L;
        while (consumer.position(partition) < end) {
            check(System.nanoTime() < giveUp, partition + ": the end " + end + " was not reached, stands at "
                + consumer.position(partition));
            for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(100))) {
                StringBuilder line = new StringBuilder(partition + " " + r.offset() + " " + r.timestamp()
                    + " " + text(r.key()) + " " + text(r.value()));
                for (Header header : r.headers()) {
                    line.append(' ').append(header.key()).append('=').append(text(header.value()));
                }
                System.out.println(line);
            }
        }
    }

    private static String text(byte[] bytes) {
        return bytes == null ? "null" : Base64.getEncoder().encodeToString(bytes);
    }

    /** Writes at an even pace and reads at the head beside it: no record may be missing there. */
    static void pacedHead(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        int total = Integer.parseInt(arguments[1]);
        int perSecond = Integer.parseInt(arguments[2]);
        int keys = Integer.parseInt(arguments[3]);
        TopicPartition partition = new TopicPartition(topic, 0);
        Thread writer = new Thread(() -> writePaced(bootstrap, topic, total, perSecond, keys));
        try (KafkaConsumer<String, String> consumer = Clients.consumer(bootstrap, "fetch.max.wait.ms", 20)) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 0);
            consumer.poll(Duration.ofMillis(1));
            writer.start();
            long next = 0;
            long worstLagMs = 0;
            long giveUp = System.nanoTime() + (total / perSecond + 30) * 1_000_000_000L;
            while (next < total) {
                check(System.nanoTime() < giveUp, "read " + next + " of " + total + " in time");
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    equal(record.offset(), next, "next offset at the head");
                    equal(record.value().substring(0, 10), "%010d".formatted(next), "its value");
                    worstLagMs = Math.max(worstLagMs, System.currentTimeMillis() - record.timestamp());
                    next++;
                }
            }
            System.out.println("worst lag ms " + worstLagMs);
        }
        writer.join();
    }

    private static void writePaced(String bootstrap, String topic, int total, int perSecond, int keys) {
        try (KafkaProducer<String, String> producer = Clients.producer(bootstrap, "linger.ms", 5)) {
            long begin = System.nanoTime();
            String filler = "x".repeat(150);
            for (int i = 0; i < total; i++) {
                producer.send(new ProducerRecord<>(topic, 0, "key-" + i % keys, "%010d".formatted(i) + filler));
                if (i % 100 == 99) {
                    long due = begin + (long) (i + 1) * 1_000_000_000L / perSecond;
                    long early = (due - System.nanoTime()) / 1_000_000;
                    if (early > 0) {
                        Thread.sleep(early);
                    }
                }
            }
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        }
    }
}
