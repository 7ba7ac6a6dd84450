package lastword.compat.differential;

import java.util.ArrayList;
import java.util.List;

/** Makes a scenario that differs smaller, step by step, as long as it still differs. */
final class Shrink {
    private static final int TRIES = 400;

    interface Trial {
        /** The difference, or null. */
        String play(Scenario scenario) throws Exception;
    }

    private final Trial trial;
    private Scenario best;
    private String difference;
    private int tries;

    Shrink(Trial trial) {
        this.trial = trial;
    }

    String difference() {
        return difference;
    }

    Scenario shrink(Scenario scenario, String difference) throws Exception {
        this.best = scenario;
        this.difference = difference;
        for (boolean hasChanged = true; hasChanged && tries < TRIES; ) {
            hasChanged = withoutRounds() | withoutOps(8) | withoutOps(1) | withoutRecords() | withoutDetails();
        }
        return best;
    }

    private boolean attempt(List<Scenario.Round> rounds) throws Exception {
        if (++tries > TRIES) {
            return false;
        }
        Scenario candidate = best.withRounds(rounds);
        String found;
        try {
            found = trial.play(candidate);
        } catch (RuntimeException unplayable) {
            return false;
        }
        if (found == null) {
            return false;
        }
        best = candidate;
        difference = found;
        return true;
    }

    private boolean withoutRounds() throws Exception {
        boolean hasChanged = false;
        for (int at = best.rounds.size() - 1; at >= 0 && best.rounds.size() > 1; at--) {
            List<Scenario.Round> rounds = new ArrayList<>(best.rounds);
            rounds.remove(at);
            hasChanged |= attempt(rounds);
        }
        return hasChanged;
    }

    private boolean withoutOps(int count) throws Exception {
        boolean hasChanged = false;
        for (int round = best.rounds.size() - 1; round >= 0; round--) {
            for (int at = best.rounds.get(round).ops().size() - count; at >= 0; at -= count) {
                List<Op> ops = new ArrayList<>(best.rounds.get(round).ops());
                ops.subList(at, at + count).clear();
                hasChanged |= attempt(with(round, ops));
            }
        }
        return hasChanged;
    }

    private boolean withoutRecords() throws Exception {
        boolean hasChanged = false;
        for (int round = 0; round < best.rounds.size(); round++) {
            for (int at = 0; at < best.rounds.get(round).ops().size(); at++) {
                if (best.rounds.get(round).ops().get(at) instanceof Op.Append append) {
                    for (int size = Math.max(1, append.records().size() / 2); size >= 1; size = size / 2) {
                        hasChanged |= withoutRecords(round, at, size);
                    }
                }
            }
        }
        return hasChanged;
    }

    private boolean withoutRecords(int round, int at, int size) throws Exception {
        boolean hasChanged = false;
        for (int first = ((Op.Append) op(round, at)).records().size() - size; first >= 0; first -= size) {
            Op.Append append = (Op.Append) op(round, at);
            List<Op.Rec> records = new ArrayList<>(append.records());
            records.subList(first, first + size).clear();
            if (!records.isEmpty()) {
                hasChanged |= attempt(with(round, at, with(append, append.codec(), records)));
            }
        }
        return hasChanged;
    }

    private boolean withoutDetails() throws Exception {
        boolean hasChanged = false;
        for (int round = 0; round < best.rounds.size(); round++) {
            for (int at = 0; at < best.rounds.get(round).ops().size(); at++) {
                if (op(round, at) instanceof Op.Append append) {
                    List<Op.Rec> plain = append.records().stream().map(rec -> new Op.Rec(rec.key(),
                        rec.value() == null ? null : "1", null, List.of(), rec.offset(), 0)).toList();
                    if (!plain.equals(append.records()) || !append.codec().equals("none")) {
                        hasChanged |= attempt(with(round, at, with(append, "none", plain)));
                    }
                }
            }
        }
        return hasChanged;
    }

    private Op op(int round, int at) {
        return best.rounds.get(round).ops().get(at);
    }

    private static Op.Append with(Op.Append append, String codec, List<Op.Rec> records) {
        return new Op.Append(codec, append.magic(), append.producerId(), append.epoch(), append.sequence(),
            append.isTransactional(), append.leaderEpoch(), records);
    }

    private List<Scenario.Round> with(int round, int at, Op op) {
        List<Op> ops = new ArrayList<>(best.rounds.get(round).ops());
        ops.set(at, op);
        return with(round, ops);
    }

    private List<Scenario.Round> with(int round, List<Op> ops) {
        List<Scenario.Round> rounds = new ArrayList<>(best.rounds);
        Scenario.Round old = rounds.get(round);
        rounds.set(round, new Scenario.Round(ops, old.configs(), old.nowMs(), null));
        return rounds;
    }
}
