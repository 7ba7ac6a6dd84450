import java.util.ArrayList;
import java.util.List;

/**
 * The generated input: record {@code seq} is a pure function of the seed and of the stream's description, so that a
 * writer and a checker in different processes agree without sharing a file.
 *
 * <p>Key {@code user-%011d}; value a JSON object {@code {"id":..,"seq":..,"name":"letters"}} padded with letters
 * to the wanted size. Keys are drawn by splitmix64. A stream is one or more phases, {@code COUNTxDRAW+COUNTxDRAW}:
 * <ul>
 * <li>{@code uniform:KEYS}: any of the keys 0 to KEYS-1
 * <li>{@code each:KEYS}: 0, 1, 2 and so on, from the start again after KEYS-1
 * <li>{@code hot:KEYS:HOT}: nine of ten are one of HOT keys that lie evenly among KEYS, the tenth is any of KEYS
 * <li>{@code hotnew:KEYS:HOT}: nine of ten as before, the tenth is a new key: KEYS, KEYS+1 and so on, through all phases
 * </ul>
 */
final class Generated {
    static final long SEED = 20_260_704L;
    private static final byte[] ID = "{\"id\":".getBytes();
    private static final byte[] SEQ = ",\"seq\":".getBytes();
    private static final byte[] NAME = ",\"name\":\"".getBytes();
    private static final byte[] END = "\"}".getBytes();

    private record Phase(long count, String draw, long keys, long hot) {}

    private final List<Phase> phases = new ArrayList<>();
    private final int valueBytes;
    private int phaseIndex;
    private long inPhase;
    private long newKeys;
    private long state = SEED;
    private long key;

    Generated(String stream, int valueBytes) {
        this.valueBytes = valueBytes;
        for (String phase : stream.split("\\+")) {
            String[] parts = phase.split("[x:]");
            long hot = parts.length > 3 ? Long.parseLong(parts[3]) : 1;
            phases.add(new Phase(Long.parseLong(parts[0]), parts[1], Long.parseLong(parts[2]), hot));
        }
    }

    /** Records of the whole stream. */
    long records() {
        return phases.stream().mapToLong(Phase::count).sum();
    }

    /** All keys are below this. */
    int keyBound() {
        long keys = 0;
        long newOnes = 0;
        for (Phase phase : phases) {
            keys = Math.max(keys, phase.keys);
            newOnes += phase.draw.equals("hotnew") ? phase.count : 0;
        }
        return Math.toIntExact(keys + newOnes);
    }

    /** Draws the next key; call once a record, in order. */
    int nextKey() {
        Phase phase = phases.get(phaseIndex);
        while (inPhase == phase.count) {
            phase = phases.get(++phaseIndex);
            inPhase = 0;
        }
        state += 0x9E3779B97F4A7C15L;
        long drawn = mix(state);
        key = switch (phase.draw) {
            case "uniform" -> Long.remainderUnsigned(drawn, phase.keys);
            case "each" -> inPhase % phase.keys;
            case "hot", "hotnew" -> {
                long rest = drawn >>> 8;
                if ((drawn & 0xff) * 10 < 9 * 256) {
                    yield rest % phase.hot * (phase.keys / phase.hot);
                }
                yield phase.draw.equals("hot") ? rest % phase.keys : phase.keys + newKeys++;
            }
            default -> throw new IllegalArgumentException("no such draw: " + phase.draw);
        };
        inPhase++;
        return (int) key;
    }

    byte[] keyBytes() {
        byte[] bytes = new byte[16];
        bytes[0] = 'u';
        bytes[1] = 's';
        bytes[2] = 'e';
        bytes[3] = 'r';
        bytes[4] = '-';
        long rest = key;
        for (int i = 15; i >= 5; i--) {
            bytes[i] = (byte) ('0' + rest % 10);
            rest /= 10;
        }
        return bytes;
    }

    byte[] value(long seq) {
        byte[] bytes = new byte[valueBytes];
        int at = put(bytes, 0, ID);
        at = putNumber(bytes, at, key);
        at = put(bytes, at, SEQ);
        at = putNumber(bytes, at, seq);
        at = put(bytes, at, NAME);
        int end = valueBytes - END.length;
        long letters = mix(state ^ seq);
        int left = 12;
        while (at < end) {
            if (left == 0) {
                letters = mix(letters);
                left = 12;
            }
            bytes[at++] = (byte) ('a' + (int) ((letters & 31) % 26));
            letters >>>= 5;
            left--;
        }
        put(bytes, end, END);
        return bytes;
    }

    /** The key of a record, or -1 when it is none of ours. */
    static int parseKey(byte[] key) {
        if (key == null || key.length != 16 || key[4] != '-') {
            return -1;
        }
        return (int) number(key, 5);
    }

    /** The sequence number inside a value, or -1. */
    static long parseSeq(byte[] value) {
        if (value == null) {
            return -1;
        }
        for (int i = ID.length; i + SEQ.length < value.length; i++) {
            if (value[i] == ',' && value[i + 2] == 's') {
                return number(value, i + SEQ.length);
            }
        }
        return -1;
    }

    private static long number(byte[] bytes, int from) {
        long number = 0;
        for (int i = from; i < bytes.length && bytes[i] >= '0' && bytes[i] <= '9'; i++) {
            number = number * 10 + (bytes[i] - '0');
        }
        return number;
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    private static int put(byte[] to, int at, byte[] part) {
        System.arraycopy(part, 0, to, at, part.length);
        return at + part.length;
    }

    private static int putNumber(byte[] to, int at, long number) {
        int digits = 1;
        for (long rest = number; rest >= 10; rest /= 10) {
            digits++;
        }
        long rest = number;
        for (int i = at + digits - 1; i >= at; i--) {
            to[i] = (byte) ('0' + rest % 10);
            rest /= 10;
        }
        return at + digits;
    }
}
