package lastword.compat.differential;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Random scenarios; the same seed is the same scenario. The settings follow from the seed alone, so that scenarios
 * share data directories and a seed behaves the same whichever others run with it.
 */
final class Generator {
    static final long EPOCH_MS = 1_700_000_000_000L;
    private static final int[] RETENTION_MS =
        {1_000, 0, 50_000, 86_400_000, 1_000, 10_000, 1_000, 5_000, 1_000, 2_000, 3_000};
    private static final int[] SEGMENT_BYTES =
        {2_000, 1_000, 8_000, 60_000, 1_000_000, 4_000, 3_000, 2_500, 2_000, 1_500, 6_000};
    private static final int PROFILES = RETENTION_MS.length;
    private static final String[] CODECS = {"none", "none", "none", "gzip", "snappy", "lz4", "zstd"};
    private static final int MAX_PRODUCERS = 4;

    private final Random random;
    private final Scenario scenario;
    private int keySpace;
    private int keyStyle;
    private int valueStyle;
    private boolean hasKeyless, hasGaps, hasHeaders, hasOddTimes, hasTransactions, hasIdempotence, isLegacy;
    private String codec;
    private int tombstonePercent;
    private int producers;
    private final boolean[] isOpen = new boolean[MAX_PRODUCERS];
    private int serial;

    private Generator(long seed) {
        random = new Random(seed * 0x9e3779b97f4a7c15L);
        scenario = new Scenario("seed " + seed, "seed-" + seed, 0, "random");
    }

    static Scenario scenario(long seed) {
        return new Generator(seed).generate((int) (seed % PROFILES));
    }

    private Scenario generate(int profile) {
        long retentionMs = RETENTION_MS[profile];
        int segmentBytes = SEGMENT_BYTES[profile];
        set("delete.retention.ms", retentionMs);
        set("internal.segment.bytes", segmentBytes);
        switch (profile) {
            case 0 -> scenario.configs.put("quiet", "all");
            case 2 -> set("index.interval.bytes", 100);
            case 3 -> scenario.configs.put("message.timestamp.type", "LogAppendTime");
            case 5 -> set("producer.id.expiration.ms", 6_000);
            case 6 -> set("segment.index.bytes", 120);
            case 7 -> scenario.configs.put("stop", "kill");
            case 8 -> {
                set("slots", 6);
                set("index.interval.bytes", 1);
            }
            case 9 -> set("buffer", 512);
            default -> { }
        }
        keySpace = pick(1, 2, 4, 10, 40, 300);
        keyStyle = random.nextInt(4);
        valueStyle = random.nextInt(4);
        hasKeyless = chance(15);
        hasGaps = chance(30);
        hasHeaders = chance(30);
        hasOddTimes = chance(30);
        hasTransactions = chance(55);
        hasIdempotence = chance(60);
        codec = chance(60) ? CODECS[random.nextInt(CODECS.length)] : null;
        isLegacy = profile == 10;
        tombstonePercent = pick(0, 10, 10, 30, 60);
        producers = 1 + random.nextInt(MAX_PRODUCERS);
        long[] clock = {0, retentionMs / 2, retentionMs, retentionMs + 1_000, 2 * retentionMs + 2_000,
            4 * retentionMs + 9_000};
        for (int round = 0; round < clock.length; round++) {
            boolean isLast = round == clock.length - 1;
            scenario.rounds.add(new Scenario.Round(round(round, isLast), EPOCH_MS + clock[round]));
        }
        return scenario;
    }

    private List<Op> round(int number, boolean isLast) {
        List<Op> ops = new ArrayList<>();
        int steps = 1 + random.nextInt(pick(2, 6, 14, chance(10) ? 60 : 14));
        for (int step = 0; step < steps; step++) {
            int dice = random.nextInt(100);
            if (isLegacy && dice < 35) {
                ops.add(legacyBatch());
            } else if (hasTransactions && dice < 40) {
                transactionStep(ops);
            } else if (hasIdempotence && dice < 60) {
                ops.add(idempotentBatch(number));
            } else if (dice < 90) {
                ops.add(batch(-1, false));
            } else if (dice < 96) {
                ops.add(new Op.Roll());
            } else {
                ops.add(new Op.Reopen(chance(40)));
            }
        }
        // Rarely a transaction stays open over the cleaning, and holds it up.
        for (int producer = 0; producer < producers; producer++) {
            if (isOpen[producer] && (isLast || !chance(10))) {
                end(ops, producer);
            }
        }
        if (chance(85)) {
            ops.add(new Op.Roll());
        }
        if (chance(70)) {
            ops.add(batch(-1, false));
        }
        return ops;
    }

    private void transactionStep(List<Op> ops) {
        int producer = random.nextInt(producers);
        if (isOpen[producer] && chance(45) || chance(4)) {
            // Rarely the end of a transaction that has nothing here.
            end(ops, producer);
        } else if (!isOpen[producer] && chance(10)) {
            Op.Append plain = batch(producer, true);
            ops.add(new Op.Append(plain.codec(), 2, plain.producerId(), null, null, false, null, plain.records()));
        } else {
            isOpen[producer] = true;
            ops.add(batch(producer, true));
        }
    }

    private Op.Append idempotentBatch(int round) {
        Op.Append plain = batch(random.nextInt(producers), false);
        if (chance(90)) {
            return plain;
        }
        // A restarted producer, and one whose sequence is about to wrap.
        Integer sequence = chance(50) ? Integer.valueOf(Integer.MAX_VALUE - random.nextInt(3)) : null;
        return new Op.Append(plain.codec(), 2, plain.producerId(), 100 * (round + 1), sequence, false, null,
            plain.records());
    }

    private Op.Append legacyBatch() {
        int magic = random.nextInt(2);
        Op.Append plain = batch(-1, false);
        List<Op.Rec> records = plain.records().stream().map(rec -> new Op.Rec(rec.key(), rec.value(),
            magic == 0 ? null : rec.timestampMs(), List.of(), -1, rec.gap())).toList();
        String codec = plain.codec().equals("zstd") ? "gzip" : plain.codec();
        return new Op.Append(codec, magic, -1, null, null, false, null, records);
    }

    private void end(List<Op> ops, int producer) {
        isOpen[producer] = false;
        ops.add(new Op.Marker(chance(60), id(producer, true), chance(30) ? 2 : 1, -1));
    }

    /** Idempotent and transactional producers have ids of their own. */
    private static long id(int producer, boolean isTransactional) {
        return (isTransactional ? 700 : 100) + producer;
    }

    private Op.Append batch(int producer, boolean isTransactional) {
        int size = switch (random.nextInt(20)) {
            case 0 -> 1 + random.nextInt(120);
            case 1, 2, 3 -> 1 + random.nextInt(20);
            case 4, 5, 6, 7, 8, 9 -> 1;
            default -> 1 + random.nextInt(5);
        };
        if (random.nextInt(400) == 0) {
            size = 3_000;
        }
        List<Op.Rec> records = new ArrayList<>();
        for (int i = 0; i < size; i++) {
            records.add(record(size, i == 0));
        }
        String name = codec != null ? codec : CODECS[random.nextInt(CODECS.length)];
        long producerId = producer < 0 ? -1 : id(producer, isTransactional);
        Integer leaderEpoch = chance(4) ? Integer.valueOf(1 + serial / 50) : null;
        return new Op.Append(name, 2, producerId, null, null, isTransactional, leaderEpoch, records);
    }

    private Op.Rec record(int batchSize, boolean isFirst) {
        serial++;
        String key = hasKeyless && chance(20) ? null : key();
        String value = key != null && chance(tombstonePercent) ? null : value(batchSize);
        Long timestampMs = null;
        if (hasOddTimes && chance(25)) {
            timestampMs = switch (random.nextInt(4)) {
                case 0 -> -1L;
                case 1 -> 0L;
                case 2 -> EPOCH_MS + random.nextInt(20_000) - 10_000;
                default -> 4_102_444_800_000L + random.nextInt(1_000);
            };
        }
        List<Op.Head> headers = new ArrayList<>();
        while (hasHeaders && chance(30)) {
            headers.add(new Op.Head("h" + (char) ('a' + random.nextInt(3)), chance(25) ? null : "v" + serial));
        }
        long gap = 0;
        if (hasGaps && chance(batchSize > 10 ? 1 : 8)) {
            gap = isFirst && chance(4) ? 3_000_000_000L : 1 + random.nextInt(2_000);
        }
        return new Op.Rec(key, value, timestampMs, headers, -1, gap);
    }

    private String key() {
        int number = random.nextInt(keySpace);
        return switch (keyStyle) {
            // From the empty key and one-byte keys on.
            case 0 -> number == 0 ? "''" : number < 128 ? String.format("'%02x'", number)
                : String.format("'%04x'", number);
            // Keys that look like those of markers.
            case 1 -> String.format("'%08x'", number);
            case 2 -> number % 50 == 7 ? "<" + number + ":3000>" : String.format("'6b%04x'", number);
            default -> letters(number);
        };
    }

    private static String letters(int number) {
        return "k" + (char) ('a' + number % 26) + (char) ('a' + number / 26);
    }

    private String value(int batchSize) {
        if (batchSize > 50) {
            return Integer.toString(serial);
        }
        return switch (valueStyle) {
            case 0 -> Integer.toString(serial);
            case 1 -> chance(10) ? "E" : "<" + serial + ":" + random.nextInt(60) + ">";
            case 2 -> "<" + serial + ":" + random.nextInt(chance(5) ? 20_000 : 200) + ">";
            default -> random.nextInt(300) == 0 ? "<" + serial + ":300000>" : Integer.toString(serial);
        };
    }

    private void set(String config, long value) {
        scenario.configs.put(config, Long.toString(value));
    }

    private boolean chance(int percent) {
        return random.nextInt(100) < percent;
    }

    private int pick(int... choices) {
        return choices[random.nextInt(choices.length)];
    }
}
