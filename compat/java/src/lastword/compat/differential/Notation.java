package lastword.compat.differential;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The text form of scenarios. `compat/differential-cases.txt` explains it to people; in short:
 * <pre>
 * a1@0          key a, value "1", offset 0; aT a tombstone; n1 without a key; a1+5 after a gap of 5
 * a1~-1;h=x;i   timestamp -1, headers h=x and i=null
 * '00ff'1  ''1  a key in hex, the empty key;  &lt;7:900&gt; as key or value: 900 bytes from seed 7;  aE the empty value
 * [gzip pid=9 txn a1 b2]   a batch; words: codec v0 v1 pid= epoch= seq= txn le=
 * x60 [a1]      that batch 60 times
 * C9 X9@4       commit, abort marker of producer 9; C9+ with its epoch raised
 * |             end of segment;  reopen, kill: a restart;  flip@3: a bit of that record's value; back@3
 * </pre>
 */
final class Notation {
    private static final String BYTES = "<\\d+:\\d+>";
    private static final Pattern RECORD = Pattern.compile(
        "(?<key>[a-z_]+|'[0-9a-f]*'|" + BYTES + ")(?<value>T|E|\\d+|" + BYTES + ")"
            + "(?:~(?<ts>-?\\d+))?(?<heads>(?:;[a-z]+(?:=[a-z0-9]*)?)*)(?:@(?<at>\\d+)|\\+(?<gap>\\d+))?");
    private static final Pattern MARKER = Pattern.compile("(?<kind>[CX])(?<pid>\\d+)(?<bump>\\+)?(?:@(?<at>\\d+))?");

    private Notation() {
    }

    static List<Op> parse(String text) {
        List<Op> ops = new ArrayList<>();
        List<String> batch = null;
        int times = 1;
        for (String word : text.replace("[", " [ ").replace("]", " ] ").trim().split("\\s+")) {
            if (batch != null && !word.equals("]")) {
                batch.add(word);
                continue;
            }
            switch (word) {
                case "", "A:" -> { }
                case "[" -> batch = new ArrayList<>();
                case "]" -> {
                    ops.addAll(Collections.nCopies(times, batch(batch)));
                    batch = null;
                    times = 1;
                }
                case "|" -> ops.add(new Op.Roll());
                case "reopen" -> ops.add(new Op.Reopen(false));
                case "kill" -> ops.add(new Op.Reopen(true));
                default -> {
                    if (word.matches("x\\d+")) {
                        times = Integer.parseInt(word.substring(1));
                    } else {
                        ops.add(single(word));
                    }
                }
            }
        }
        if (batch != null) {
            throw new IllegalArgumentException("a batch is not closed: " + text);
        }
        return ops;
    }

    private static Op single(String word) {
        if (word.startsWith("flip@")) {
            return new Op.Flip(Long.parseLong(word.substring(5)));
        } else if (word.startsWith("back@")) {
            return new Op.Back(Long.parseLong(word.substring(5)));
        }
        Matcher marker = MARKER.matcher(word);
        if (marker.matches()) {
            return new Op.Marker(marker.group("kind").equals("C"), Long.parseLong(marker.group("pid")),
                marker.group("bump") == null ? 1 : 2, number(marker.group("at"), -1));
        }
        return batch(List.of(word));
    }

    private static Op.Append batch(List<String> words) {
        String codec = "none";
        int magic = 2;
        long producerId = -1;
        Integer epoch = null, sequence = null, leaderEpoch = null;
        boolean isTransactional = false;
        List<Op.Rec> records = new ArrayList<>();
        for (String word : words) {
            String value = word.substring(word.indexOf('=') + 1);
            if (word.matches("none|gzip|snappy|lz4|zstd")) {
                codec = word;
            } else if (word.matches("v[012]")) {
                magic = word.charAt(1) - '0';
            } else if (word.equals("txn")) {
                isTransactional = true;
            } else if (word.startsWith("pid=")) {
                producerId = Long.parseLong(value);
            } else if (word.startsWith("epoch=")) {
                epoch = Integer.valueOf(value);
            } else if (word.startsWith("seq=")) {
                sequence = Integer.valueOf(value);
            } else if (word.startsWith("le=")) {
                leaderEpoch = Integer.valueOf(value);
            } else {
                records.add(record(word));
            }
        }
        return new Op.Append(codec, magic, producerId, epoch, sequence, isTransactional, leaderEpoch, records);
    }

    private static Op.Rec record(String word) {
        Matcher found = RECORD.matcher(word);
        if (!found.matches()) {
            throw new IllegalArgumentException("not a record: " + word);
        }
        List<Op.Head> headers = new ArrayList<>();
        for (String head : found.group("heads").split(";")) {
            if (!head.isEmpty()) {
                int at = head.indexOf('=');
                headers.add(at < 0 ? new Op.Head(head, null)
                    : new Op.Head(head.substring(0, at), head.substring(at + 1)));
            }
        }
        String key = found.group("key"), value = found.group("value"), timestamp = found.group("ts");
        return new Op.Rec(key.equals("n") ? null : key, value.equals("T") ? null : value,
            timestamp == null ? null : Long.valueOf(timestamp), headers,
            number(found.group("at"), -1), number(found.group("gap"), 0));
    }

    private static long number(String text, long otherwise) {
        return text == null ? otherwise : Long.parseLong(text);
    }

    static String print(List<Op> ops) {
        StringBuilder text = new StringBuilder();
        for (Op op : ops) {
            text.append(text.isEmpty() ? "" : " ").append(print(op));
        }
        return text.toString();
    }

    private static String print(Op op) {
        if (op instanceof Op.Marker marker) {
            return (marker.isCommit() ? "C" : "X") + marker.producerId() + (marker.version() == 2 ? "+" : "")
                + (marker.offset() < 0 ? "" : "@" + marker.offset());
        } else if (op instanceof Op.Reopen reopen) {
            return reopen.isKill() ? "kill" : "reopen";
        } else if (op instanceof Op.Flip flip) {
            return "flip@" + flip.offset();
        } else if (op instanceof Op.Back back) {
            return "back@" + back.offset();
        } else if (op instanceof Op.Append append) {
            return print(append);
        }
        return "|";
    }

    private static String print(Op.Append append) {
        StringBuilder text = new StringBuilder("[");
        text.append(append.codec().equals("none") ? "" : append.codec() + " ");
        text.append(append.magic() == 2 ? "" : "v" + append.magic() + " ");
        text.append(append.producerId() < 0 ? "" : "pid=" + append.producerId() + " ");
        text.append(append.epoch() == null ? "" : "epoch=" + append.epoch() + " ");
        text.append(append.sequence() == null ? "" : "seq=" + append.sequence() + " ");
        text.append(append.isTransactional() ? "txn " : "");
        text.append(append.leaderEpoch() == null ? "" : "le=" + append.leaderEpoch() + " ");
        for (Op.Rec rec : append.records()) {
            text.append(rec.key() == null ? "n" : rec.key()).append(rec.value() == null ? "T" : rec.value());
            text.append(rec.timestampMs() == null ? "" : "~" + rec.timestampMs());
            for (Op.Head head : rec.headers()) {
                text.append(';').append(head.name()).append(head.value() == null ? "" : "=" + head.value());
            }
            text.append(rec.offset() >= 0 ? "@" + rec.offset() : rec.gap() > 0 ? "+" + rec.gap() : "").append(' ');
        }
        text.setCharAt(text.length() - 1, ']');
        return text.toString();
    }

    /** The bytes of a key or value word. */
    static byte[] bytes(String word) {
        if (word == null) {
            return null;
        } else if (word.startsWith("'")) {
            return HexFormat.of().parseHex(word.substring(1, word.length() - 1));
        } else if (word.equals("E")) {
            return new byte[0];
        } else if (word.startsWith("<")) {
            String[] parts = word.substring(1, word.length() - 1).split(":");
            return pseudoRandom(Long.parseLong(parts[0]), Integer.parseInt(parts[1]));
        }
        return word.getBytes(StandardCharsets.UTF_8);
    }

    /** Half of it noise, half of it runs, so that codecs have something to do. */
    private static byte[] pseudoRandom(long seed, int length) {
        Random random = new Random(seed);
        byte[] bytes = new byte[length];
        for (int at = 0; at < length; ) {
            int run = Math.min(length - at, 1 + random.nextInt(40));
            byte fill = (byte) random.nextInt();
            boolean isNoise = random.nextBoolean();
            for (int end = at + run; at < end; at++) {
                bytes[at] = isNoise ? (byte) random.nextInt() : fill;
            }
        }
        return bytes;
    }
}
