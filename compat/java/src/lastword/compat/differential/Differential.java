package lastword.compat.differential;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.core.config.Configurator;

/**
 * Kafka's cleaner and Lastword's on copies of the same logs: {@code Differential --lastword BIN --work DIR
 * [--first-seed S --seeds N] [--cases FILE] [--rebatch off|on|both] [--shrink]}. {@code --lastword kafka} compares
 * Kafka with itself, and {@code --mutate} damages a copy first, which must then be reported.
 */
public final class Differential {
    private static final int CHUNK = 200;

    private final Settings settings;
    private final Compare compare = new Compare();
    private int played, failed;

    /** What the command line says. */
    record Settings(String lastword, File work, long firstSeed, long seeds, String cases, boolean isOff, boolean isOn,
                    boolean isShrinking, boolean isMutating) {
        static Settings parse(List<String> words) {
            String lastword = option(words, "--lastword", null);
            File work = new File(option(words, "--work", null));
            String rebatch = option(words, "--rebatch", "both");
            return new Settings(lastword, work,
                Long.parseLong(option(words, "--first-seed", "1")), Long.parseLong(option(words, "--seeds", "0")),
                option(words, "--cases", null), !rebatch.equals("on"), !rebatch.equals("off"),
                words.contains("--shrink"), words.contains("--mutate"));
        }

        private static String option(List<String> words, String name, String otherwise) {
            int at = words.indexOf(name);
            return at < 0 ? otherwise : words.get(at + 1);
        }
    }

    private Differential(Settings settings) {
        this.settings = settings;
    }

    public static void main(String[] arguments) throws Exception {
        // Kafka warns of much that the scenarios do on purpose.
        Configurator.setRootLevel(Level.ERROR);
        Differential differential = new Differential(Settings.parse(Arrays.asList(arguments)));
        differential.run();
        System.exit(differential.failed == 0 && differential.played > 0 ? 0 : 1);
    }

    private void run() throws Exception {
        if (settings.cases() != null) {
            runAll(CaseFile.read(Path.of(settings.cases())));
        }
        long end = settings.firstSeed() + settings.seeds();
        for (long seed = settings.firstSeed(); seed < end; ) {
            List<Scenario> scenarios = new ArrayList<>();
            for (; seed < end && scenarios.size() < CHUNK; seed++) {
                scenarios.add(Generator.scenario(seed));
            }
            runAll(scenarios);
        }
        System.out.printf("%d logs played, %d comparisons, %d batches (%d byte for byte), %d records, %d failed%n",
            played, compare.logs, compare.batches, compare.sameBytes, compare.records, failed);
        System.out.println("Kafka left, over all rounds: " + compare.covered);
        System.out.printf("%d cleanings proved by lastword verify%n", compare.proved);
        compare.stated.forEach((rule, count) ->
            System.out.println("stated " + rule + " " + count + ": " + rule.reason));
    }

    private void runAll(List<Scenario> scenarios) throws Exception {
        Map<String, List<Scenario>> bySettings = new LinkedHashMap<>();
        scenarios.forEach(scenario -> bySettings.computeIfAbsent(scenario.settings(), key -> new ArrayList<>())
            .add(scenario));
        for (List<Scenario> together : bySettings.values()) {
            Map<Scenario, String> differences = play(together, compare, new File(settings.work(), "play"));
            played += together.size();
            for (Map.Entry<Scenario, String> entry : differences.entrySet()) {
                failed++;
                report(entry.getKey(), entry.getValue());
            }
        }
    }

    private Map<Scenario, String> play(List<Scenario> together, Compare into, File folder) throws Exception {
        delete(folder);
        try (Group group = new Group(together, settings, into, folder)) {
            return group.play();
        }
    }

    private void report(Scenario scenario, String difference) throws Exception {
        System.out.println("DIFFERS " + scenario.name + " (" + scenario.title + "): " + difference);
        if (settings.isShrinking()) {
            File folder = new File(settings.work(), "shrink");
            Shrink shrink = new Shrink(candidate ->
                play(List.of(candidate), new Compare(), folder).get(candidate));
            Scenario small = shrink.shrink(scenario, difference);
            System.out.println("  shrunk: " + shrink.difference());
            print(small);
        } else {
            print(scenario);
        }
    }

    private static void print(Scenario scenario) {
        System.out.println("  configs " + scenario.configs);
        for (Scenario.Round round : scenario.rounds) {
            String text = Notation.print(round.ops());
            System.out.println("  append " + (text.length() > 3000 ? text.substring(0, 3000) + "..." : text));
            System.out.println("  clean " + (round.nowMs() - Generator.EPOCH_MS));
        }
    }

    static void delete(File folder) throws IOException {
        if (!folder.exists()) {
            return;
        }
        try (Stream<Path> paths = Files.walk(folder.toPath())) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }
}
