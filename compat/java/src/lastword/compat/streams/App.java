package lastword.compat.streams;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;

/**
 * A Streams application that is run, watched and killed from outside:
 * {@code App BOOTSTRAP TOPOLOGY APPLICATION STATE_DIR SETTING=VALUE...}.
 *
 * <p>It says what happens to it on stdout, a line each: {@code STATE RUNNING}, {@code AT n} (records processed since
 * its start), {@code RESTORED store-partition n}, {@code DIED why}, {@code CLOSED}. On stdin it takes
 * {@code dump STORE FILE}, which writes what the local part of a store holds and answers {@code DUMPED n}, or
 * {@code DUMPED -1} when it cannot be asked now, and {@code fetched CLIENT}, which answers {@code FETCHED n}: the bytes
 * that came to its consumers whose name has this part. When stdin ends it closes.
 */
public final class App {
    private static final Duration CLOSE_TIMEOUT = Duration.ofSeconds(30);

    private App() {
    }

    public static void main(String[] arguments) throws Exception {
        AtomicLong processed = new AtomicLong();
        Topology topology = Topologies.named(arguments[1], processed);
        KafkaStreams streams = new KafkaStreams(topology, settings(arguments));
        streams.setStateListener((now, before) -> say("STATE " + now));
        streams.setGlobalStateRestoreListener(new Restored());
        streams.setUncaughtExceptionHandler(problem -> {
            problem.printStackTrace();
            say("DIED " + problem.toString().replace('\n', ' '));
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Thread progress = new Thread(() -> sayProgress(processed));
        progress.setDaemon(true);
        progress.start();
        streams.start();
        try (BufferedReader commands = new BufferedReader(new InputStreamReader(System.in))) {
            for (String line = commands.readLine(); line != null; line = commands.readLine()) {
                String[] words = line.split(" ");
                say(words[0].equals("fetched")
                    ? "FETCHED " + fetched(streams, words[1])
                    : "DUMPED " + dump(streams, words[1], Path.of(words[2])));
            }
        }
        boolean closed = streams.close(CLOSE_TIMEOUT);
        say(closed ? "CLOSED" : "DIED it did not close within " + CLOSE_TIMEOUT);
        System.exit(closed ? 0 : 1);
    }

    private static Properties settings(String[] arguments) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("application.id", arguments[2]);
        settings.put("state.dir", arguments[3]);
        settings.put("default.key.serde", Serdes.StringSerde.class);
        settings.put("default.value.serde", Serdes.StringSerde.class);
        settings.put("auto.offset.reset", "earliest");
        settings.put("commit.interval.ms", 200);
        // Every change is sent on, so that an output that lacks one shows.
        settings.put("statestore.cache.max.bytes", 0);
        for (String more : Arrays.asList(arguments).subList(4, arguments.length)) {
            settings.put(more.substring(0, more.indexOf('=')), more.substring(more.indexOf('=') + 1));
        }
        return settings;
    }

    private static long fetched(KafkaStreams streams, String client) {
        return streams.metrics().values().stream()
            .filter(metric -> metric.metricName().name().equals("incoming-byte-total")
                && metric.metricName().group().equals("consumer-metrics")
                && metric.metricName().tags().getOrDefault("client-id", "").contains(client))
            .mapToLong(metric -> ((Double) metric.metricValue()).longValue()).sum();
    }

    private static int dump(KafkaStreams streams, String name, Path file) throws Exception {
        if (streams.state() != KafkaStreams.State.RUNNING) {
            return -1;
        }
        int count = 0;
        try (BufferedWriter out = Files.newBufferedWriter(file)) {
            ReadOnlyKeyValueStore<Object, Object> store = streams.store(
                StoreQueryParameters.fromNameAndType(name, QueryableStoreTypes.keyValueStore()));
            try (var all = store.all()) {
                while (all.hasNext()) {
                    var pair = all.next();
                    out.write(pair.key + "\t" + pair.value + "\n");
                    count++;
                }
            }
        } catch (org.apache.kafka.streams.errors.InvalidStateStoreException moving) {
            return -1;
        }
        return count;
    }

    private static void sayProgress(AtomicLong processed) {
        long said = 0;
        while (true) {
            long now = processed.get();
            if (now != said) {
                say("AT " + now);
                said = now;
            }
            try {
                Thread.sleep(50);
            } catch (InterruptedException ended) {
                return;
            }
        }
    }

    static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static final class Restored implements StateRestoreListener {
        @Override
        public void onRestoreStart(TopicPartition partition, String store, long from, long to) {
        }

        @Override
        public void onBatchRestored(TopicPartition partition, String store, long to, long count) {
        }

        @Override
        public void onRestoreEnd(TopicPartition partition, String store, long count) {
            say("RESTORED " + store + "-" + partition.partition() + " " + count);
        }
    }
}
