package lastword.compat.differential;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Reads compat/differential-cases.txt; the form is explained at its head. */
final class CaseFile {
    private CaseFile() {
    }

    static List<Scenario> read(Path file) throws IOException {
        List<Scenario> scenarios = new ArrayList<>();
        Scenario current = null;
        StringBuilder text = new StringBuilder();
        Map<String, String> changed = new TreeMap<>();
        for (String line : Files.readAllLines(file)) {
            String[] words = line.trim().split("\\s+", 2);
            String rest = words.length > 1 ? words[1] : "";
            switch (words[0]) {
                case "case" -> {
                    String[] parts = rest.split("\\s+", 2);
                    String topic = "case-" + parts[0].replaceAll("/.*", "");
                    int partition = parts[0].contains("/") ? Integer.parseInt(parts[0].replaceAll(".*/", "")) : 0;
                    current = new Scenario("case " + parts[0], topic, partition, parts.length > 1 ? parts[1] : "");
                    scenarios.add(current);
                    changed.clear();
                }
                case "config" -> {
                    for (String config : rest.split("\\s+")) {
                        (current.rounds.isEmpty() ? current.configs : changed).put(
                            config.substring(0, config.indexOf('=')), config.substring(config.indexOf('=') + 1));
                    }
                }
                case "append" -> text.append(' ').append(rest);
                case "clean" -> {
                    long nowMs = Generator.EPOCH_MS + Long.parseLong(rest);
                    current.rounds.add(new Scenario.Round(
                        Notation.parse(text.toString()), new TreeMap<>(changed), nowMs, null));
                    text.setLength(0);
                }
                case "expect", "kafka", "lastword" -> expect(current, words[0], rest);
                default -> {
                    if (!line.isBlank() && !line.startsWith("#")) {
                        throw new IOException("not a line of a case: " + line);
                    }
                }
            }
        }
        return scenarios;
    }

    /** What the log holds after the cleaning above; `kafka` and `lastword` when they differ. */
    private static void expect(Scenario scenario, String who, String what) {
        int last = scenario.rounds.size() - 1;
        Scenario.Round round = scenario.rounds.get(last);
        Scenario.Expected old = round.expected() == null ? new Scenario.Expected(null, null) : round.expected();
        Scenario.Expected expected = new Scenario.Expected(who.equals("lastword") ? old.kafka() : what,
            who.equals("kafka") ? old.lastword() : what);
        scenario.rounds.set(last, new Scenario.Round(round.ops(), round.configs(), round.nowMs(), expected));
    }
}
