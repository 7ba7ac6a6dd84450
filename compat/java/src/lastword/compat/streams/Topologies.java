package lastword.compat.streams;

import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.KeyValueStore;

/** What the applications compute. Their topics have fixed names: each case has a broker of its own. */
final class Topologies {
    private Topologies() {
    }

    static Topology named(String name, AtomicLong processed) {
        return switch (name) {
            case "flights" -> flights(processed);
            case "words" -> words(processed);
            default -> throw new IllegalArgumentException("no topology " + name);
        };
    }

    /** Flights by plane, every new count sent on: for each plane the output is 1, 2, 3 and so on. */
    private static Topology flights(AtomicLong processed) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream("flights")
            .peek((plane, row) -> processed.incrementAndGet())
            .groupByKey()
            .count(counts("planes"))
            .toStream()
            .mapValues(String::valueOf)
            .to("flights-per-plane");
        return builder.build();
    }

    /**
     * Words of lines, counted (a repartition and a changelog), joined with a table that gives some words a class,
     * and added up by class (a second repartition, with subtraction when a word changes its class).
     */
    private static Topology words(AtomicLong processed) {
        StreamsBuilder builder = new StreamsBuilder();
        KTable<String, Long> words = builder.<String, String>stream("lines")
            .peek((number, line) -> processed.incrementAndGet())
            .flatMapValues(line -> Arrays.asList(line.toLowerCase(Locale.ROOT).split("[^a-z]+")))
            .filter((number, word) -> !word.isEmpty())
            .groupBy((number, word) -> word)
            .count(counts("words"));
        KTable<String, String> classes = builder.table("classes");
        words.join(classes, (count, kind) -> new KeyValue<>(kind, count))
            .groupBy((word, found) -> found, Grouped.with(Serdes.String(), Serdes.Long()))
            .reduce(Long::sum, (sum, gone) -> sum - gone, counts("classes-of-words"))
            .toStream()
            .mapValues(String::valueOf)
            .to("words-per-class");
        return builder.build();
    }

    private static Materialized<String, Long, KeyValueStore<Bytes, byte[]>> counts(String store) {
        return Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as(store)
            .withKeySerde(Serdes.String()).withValueSerde(Serdes.Long());
    }
}
