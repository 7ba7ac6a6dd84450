package lastword.compat.differential;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Predicate;

/** One log: its configs, what is appended in each round, and the clock of the cleaning after each round. */
final class Scenario {
    /** What the log should hold after a round, as words of the notation; null when nothing is said. */
    record Expected(String kafka, String lastword) { }

    /** `configs` are topic configs that change before the cleaning. */
    record Round(List<Op> ops, Map<String, String> configs, long nowMs, Expected expected) {
        Round(List<Op> ops, long nowMs) {
            this(ops, Map.of(), nowMs, null);
        }
    }

    final String name;
    final String topic;
    final int partition;
    final String title;
    /** Topic configs, `producer.id.expiration.ms` and `slots` (of Kafka's offset map; 0 is plenty). */
    final Map<String, String> configs = new TreeMap<>();
    final List<Round> rounds = new ArrayList<>();

    Scenario(String name, String topic, int partition, String title) {
        this.name = name;
        this.topic = topic;
        this.partition = partition;
        this.title = title;
    }

    String directory() {
        return topic + "-" + partition;
    }

    int slots() {
        return Integer.parseInt(configs.getOrDefault("slots", "0"));
    }

    long config(String name, long otherwise) {
        return Long.parseLong(configs.getOrDefault(name, Long.toString(otherwise)));
    }

    boolean isLegacy() {
        return hasOp(op -> op instanceof Op.Append append && append.magic() < 2);
    }

    boolean isDamaged() {
        return hasOp(op -> op instanceof Op.Flip);
    }

    /** Two records lie at one offset. */
    boolean hasEqualOffsets() {
        return hasOp(op -> op instanceof Op.Back);
    }

    private boolean hasOp(Predicate<Op> wanted) {
        return rounds.stream().flatMap(round -> round.ops().stream()).anyMatch(wanted);
    }

    /** Scenarios with the same settings and clocks share a data directory, and so one run of the cleaners. */
    String settings() {
        StringBuilder text = new StringBuilder(configs.toString()).append(isDamaged());
        rounds.forEach(round -> text.append(' ').append(round.nowMs()).append(round.configs()));
        return text.toString();
    }

    Scenario withRounds(List<Round> others) {
        Scenario copy = new Scenario(name, topic, partition, title);
        copy.configs.putAll(configs);
        copy.rounds.addAll(others);
        return copy;
    }
}
