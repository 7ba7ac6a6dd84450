package lastword.compat.differential;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** `lastword verify` on a data directory as it was before a cleaning, and after it. */
final class Proof {
    private static final Pattern BROKEN = Pattern.compile("(\\S+)  BROKEN (.*)");

    private Proof() {
    }

    /** The logs that are broken, by directory, and how. */
    static Map<String, String> broken(String binary, File before, File after, Map<String, String> configs, long nowMs,
                                      boolean hasManyPasses) throws Exception {
        List<String> command = new ArrayList<>(List.of(binary, "verify", before.getPath(), after.getPath(), "--now",
            Long.toString(nowMs), "--set", "cleanup.policy=compact"));
        if (hasManyPasses) {
            command.addAll(List.of("--since", Long.toString(nowMs)));
        }
        for (String name : List.of("delete.retention.ms", "min.compaction.lag.ms", "producer.id.expiration.ms")) {
            if (configs.containsKey(name)) {
                command.addAll(List.of("--set", name + "=" + configs.get(name)));
            }
        }
        File said = new File(after.getParentFile(), after.getName() + ".verify");
        Process process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(said).start();
        if (!process.waitFor(120, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw new IllegalStateException("lastword verify does not end: " + command);
        }
        String text = Files.readString(said.toPath());
        if (process.exitValue() > 1) {
            throw new IllegalStateException("lastword verify ended with " + process.exitValue() + ": " + command + "\n"
                + text);
        }
        Map<String, String> broken = new HashMap<>();
        for (String line : text.lines().toList()) {
            Matcher matcher = BROKEN.matcher(line);
            if (matcher.matches()) {
                broken.put(matcher.group(1), matcher.group(2));
            }
        }
        if (process.exitValue() == 1 && broken.isEmpty()) {
            throw new IllegalStateException("lastword verify says no and not why:\n" + text);
        }
        return broken;
    }

    static void copy(File from, File to) throws IOException {
        Differential.delete(to);
        try (Stream<Path> paths = Files.walk(from.toPath())) {
            for (Path path : paths.toList()) {
                Files.copy(path, to.toPath().resolve(from.toPath().relativize(path)));
            }
        }
    }
}
