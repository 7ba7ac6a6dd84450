package lastword.compat.streams;

import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.streams.tests.RelationalSmokeTest;
import org.apache.kafka.streams.tests.SmokeTestDriver;
import org.apache.kafka.streams.tests.SmokeTestUtil.VerificationResult;

/**
 * The drivers of Kafka's own system tests of Streams, with sizes of ours, because theirs take minutes:
 * {@code Smoke aggregations|relations BOOTSTRAP at_least_once|exactly_once_v2 RECORDS SECONDS}. They write, wait for
 * the applications that run beside them, and verify. The last line is {@code PASSED} or {@code FAILED: why}.
 */
public final class Smoke {
    private static final int KEYS = 10;

    private Smoke() {
    }

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[1];
        int records = Integer.parseInt(arguments[3]);
        Duration spend = Duration.ofSeconds(Long.parseLong(arguments[4]));
        String why = switch (arguments[0]) {
            case "aggregations" -> aggregations(bootstrap, arguments[2].startsWith("exactly"), records, spend);
            case "relations" -> relations(bootstrap, records, spend);
            default -> throw new IllegalArgumentException(arguments[0]);
        };
        System.out.println(why == null ? "PASSED" : "FAILED: " + why.replace('\n', ' '));
        System.exit(why == null ? 0 : 1);
    }

    /** StreamsSmokeTest: windows, suppression, joins of tables, repartition. */
    private static String aggregations(String bootstrap, boolean exactlyOnce, int records, Duration spend) {
        int perKey = records / KEYS;
        Map<String, Set<Integer>> written = SmokeTestDriver.generate(bootstrap, KEYS, perKey, spend);
        System.out.println("GENERATED");
        VerificationResult found = SmokeTestDriver.verify(bootstrap, written, perKey, exactlyOnce);
        return found.passed() ? null : found.result();
    }

    /** RelationalSmokeTest: a foreign-key join and a left join of tables. */
    private static String relations(String bootstrap, int records, Duration spend) throws Exception {
        RelationalSmokeTest.DataSet.generate(records / 10, records).produce(bootstrap, spend);
        System.out.println("GENERATED");
        boolean passed = RelationalSmokeTest.App.verifySync(bootstrap, Instant.now().plusSeconds(60));
        return passed ? null : "the results are not those of the relations";
    }
}
