package lastword.compat.differential;

import java.io.File;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.TopicPartition;

/** `lastword compact` on a whole data directory. */
final class LastwordCleaner {
    private LastwordCleaner() {
    }

    static void clean(String binary, File folder, Map<String, String> configs, long nowMs, String rebatch,
                      List<TopicPartition> logs, boolean mayFail) throws Exception {
        if (logs.isEmpty()) {
            return;
        }
        List<String> command = new ArrayList<>(List.of(binary, "compact", "--data-dir", folder.getPath(), "--now",
            Long.toString(nowMs)));
        for (TopicPartition log : logs) {
            command.add("--topic");
            command.add(log.topic() + ":" + log.partition());
        }
        set(command, "lastword.compaction.rebatch", rebatch);
        set(command, "cleanup.policy", "compact");
        set(command, "min.cleanable.dirty.ratio", "0");
        for (Map.Entry<String, String> config : configs.entrySet()) {
            if (!List.of("slots", "buffer", "stop", "quiet", "message.timestamp.type").contains(config.getKey())) {
                set(command, config.getKey(), config.getValue());
            }
        }
        File said = new File(folder.getParentFile(), folder.getName() + ".out");
        Process process = new ProcessBuilder(command).redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(said)).start();
        if (!process.waitFor(120, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw new IllegalStateException("lastword compact does not end: " + command);
        }
        if (process.exitValue() != 0 && !(mayFail && process.exitValue() == 1)) {
            throw new IllegalStateException("lastword compact ended with " + process.exitValue() + ": " + command
                + "\n" + java.nio.file.Files.readString(said.toPath()));
        }
    }

    private static void set(List<String> command, String name, String value) {
        command.add("--set");
        command.add(name + "=" + value);
    }
}
