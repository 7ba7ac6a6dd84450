package lastword.compat.differential;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.message.DescribeProducersResponseData.ProducerState;
import org.apache.kafka.storage.internals.log.UnifiedLog;

/**
 * Scenarios with the same settings and clocks, played together: one data directory for each cleaner, one run of it a
 * round. A scenario that differs is taken out and the others go on.
 */
final class Group implements AutoCloseable {
    /** A data directory and who cleans it. */
    private record Side(DataDir home, String rebatch) {
        boolean isKafka() {
            return rebatch == null;
        }
    }

    private final Differential.Settings settings;
    private final Compare compare;
    private final FixedTime time = new FixedTime(0);
    private final List<Side> sides = new ArrayList<>();
    private final List<Player> players = new ArrayList<>();
    private final Map<Scenario, String> differences = new LinkedHashMap<>();
    private final Map<Player, String> unproved = new LinkedHashMap<>();
    private final Scenario first;
    private final boolean isKilled;
    private final Map<String, String> configs;

    Group(List<Scenario> scenarios, Differential.Settings settings, Compare compare, File folder) throws Exception {
        this.settings = settings;
        this.compare = compare;
        this.first = scenarios.get(0);
        this.isKilled = "kill".equals(first.configs.get("stop"));
        this.configs = new TreeMap<>(first.configs);
        time.set(first.rounds.get(0).nowMs());
        sides.add(new Side(new DataDir(new File(folder, "kafka")), null));
        if (settings.isOff()) {
            sides.add(new Side(new DataDir(new File(folder, "off")), "false"));
        }
        if (settings.isOn()) {
            sides.add(new Side(new DataDir(new File(folder, "on")), "true"));
        }
        for (Scenario scenario : scenarios) {
            List<Replica> replicas = new ArrayList<>();
            for (Side side : sides) {
                Replica replica = new Replica(side.home(), scenario, time);
                replica.open();
                replicas.add(replica);
            }
            players.add(new Player(scenario, replicas, time));
        }
    }

    Map<Scenario, String> play() throws Exception {
        for (int round = 0; round < first.rounds.size() && !players.isEmpty(); round++) {
            time.set(first.rounds.get(round).nowMs());
            int number = round;
            each(round, player -> player.play(player.scenario.rounds.get(number)));
            configs.putAll(first.rounds.get(round).configs());
            stop();
            each(round, Player::flip);
            Map<TopicPartition, KafkaCleaner.Done> kafka = cleanAndStart();
            each(round, player -> {
                if (unproved.containsKey(player)) {
                    throw new Differs(unproved.get(player));
                }
            });
            each(round, player -> compare(player, number, kafka.get(player.replicas.get(0).partition)));
        }
        if (!first.isDamaged()) {
            each(first.rounds.size() - 1, this::compareProducers);
        }
        return differences;
    }

    private interface Step {
        void on(Player player) throws Exception;
    }

    private void each(int round, Step step) throws Exception {
        for (Player player : List.copyOf(players)) {
            try {
                step.on(player);
            } catch (Differs difference) {
                differs(player, "round " + (round + 1) + ": " + difference.getMessage());
            } catch (Exception problem) {
                throw new IllegalStateException(player.scenario.name + ", round " + (round + 1), problem);
            }
        }
    }

    /** Takes a scenario out. */
    private void differs(Player player, String what) throws IOException {
        players.remove(player);
        differences.put(player.scenario, what);
        for (Replica replica : player.replicas) {
            if (replica.log() != null) {
                replica.abandon();
            }
            Differential.delete(replica.folder);
        }
    }

    /** Stops every broker, in order or not. */
    private void stop() throws Exception {
        for (Side side : sides) {
            List<Replica> replicas = replicas(side);
            if (isKilled) {
                side.home().writeHighWatermarks(replicas.stream().map(Replica::log).toList());
                for (Replica replica : replicas) {
                    replica.abandon();
                }
            } else {
                for (Replica replica : replicas) {
                    replica.log().flush(true);
                }
                side.home().writeCheckpoints(replicas.stream().map(Replica::log).toList());
                replicas.forEach(Replica::close);
                side.home().stopped(true);
            }
        }
    }

    private List<Replica> replicas(Side side) {
        int index = sides.indexOf(side);
        return players.stream().map(player -> player.replicas.get(index)).toList();
    }

    /** Cleans every side with its cleaner; afterwards all logs are open, as brokers of Kafka's. */
    private Map<TopicPartition, KafkaCleaner.Done> cleanAndStart() throws Exception {
        Map<TopicPartition, KafkaCleaner.Done> done = null;
        for (Side side : sides) {
            boolean isKafka = side.isKafka() || settings.lastword().equals("kafka");
            boolean isProved = !settings.lastword().equals("kafka") && !first.isDamaged();
            File before = new File(side.home().folder.getParentFile(), side.home().folder.getName() + "-before");
            if (isProved) {
                Proof.copy(side.home().folder, before);
            }
            if (!isKafka) {
                LastwordCleaner.clean(settings.lastword(), side.home().folder, configs, time.milliseconds(),
                    side.rebatch(), toClean(done), first.isDamaged());
                if (isProved) {
                    prove(side, before, false);
                }
            }
            side.home().start();
            List<UnifiedLog> logs = new ArrayList<>();
            for (Replica replica : replicas(side)) {
                replica.configure(configs);
                replica.open();
                logs.add(replica.log());
            }
            if (isKafka) {
                int buffer = (int) first.config("buffer", 65_536);
                Map<TopicPartition, KafkaCleaner.Done> here =
                    KafkaCleaner.clean(side.home(), logs, time, first.slots(), buffer);
                done = done == null ? here : done;
                // As Lastword's clean end does: a kill in the next round is recovered from here on both sides.
                logs.forEach(log -> log.flush(true));
                side.home().writeCheckpoints(logs);
                if (isProved) {
                    prove(side, before, first.slots() > 0);
                }
            }
            if (!side.isKafka() && settings.isMutating()) {
                mutate(side);
            }
        }
        return done;
    }

    /** What `lastword verify` says of this cleaning; a log that it finds broken differs. */
    private void prove(Side side, File before, boolean hasManyPasses) throws Exception {
        Map<String, String> broken = Proof.broken(settings.lastword(), before, side.home().folder, configs,
            time.milliseconds(), hasManyPasses);
        String who = side.isKafka() ? "Kafka" : "Lastword, rebatch " + side.rebatch();
        for (Player player : players) {
            compare.proved++;
            String what = broken.get(player.replicas.get(0).folder.getName());
            if (what == null) {
                continue;
            }
            if (side.isKafka() && hasManyPasses && what.contains("(resurrected)")) {
                compare.state(Rule.KAFKA_MAP_FULL);
            } else {
                unproved.putIfAbsent(player, "verify: " + who + ": " + what);
            }
        }
    }

    /**
     * Kafka cleans a log that is dirty, Lastword any that somebody asks for. So it is asked for the same ones, but for
     * scenarios with `quiet=all`, which show what a pass without dirt does.
     */
    private List<TopicPartition> toClean(Map<TopicPartition, KafkaCleaner.Done> kafka) {
        boolean isAll = "all".equals(first.configs.get("quiet"));
        return kafka.entrySet().stream().filter(entry -> isAll || entry.getValue().passes() > 0)
            .map(Map.Entry::getKey).toList();
    }

    private void mutate(Side side) throws Exception {
        for (Replica replica : replicas(side)) {
            Mutation.apply(replica);
        }
    }

    private void compare(Player player, int round, KafkaCleaner.Done kafka) throws Exception {
        Replica reference = player.replicas.get(0);
        if (kafka.failure() != null) {
            if (!player.scenario.isLegacy() || !kafka.failure().getMessage().startsWith("Empty batches")) {
                throw new Differs("Kafka's cleaner fails: " + kafka.failure());
            }
            player.hasKafkaFailed = true;
        }
        player.hasQuietPass |= kafka.passes() == 0 && "all".equals(first.configs.get("quiet"));
        Scenario.Expected expected = player.scenario.rounds.get(round).expected();
        expect("Kafka", expected == null ? null : expected.kafka(), reference);
        Compare.Context context = new Compare.Context(time.milliseconds(), kafka, player);
        for (int index = 1; index < sides.size(); index++) {
            try {
                if (sides.get(index).rebatch().equals("false")) {
                    expect("Lastword", expected == null ? null : expected.lastword(), player.replicas.get(index));
                }
                if (player.hasKafkaFailed) {
                    compare.alone(player.replicas.get(index), player);
                } else if (player.scenario.isDamaged()) {
                    compare.damaged(reference, player.replicas.get(index), player.flipped());
                } else if (sides.get(index).rebatch().equals("true")) {
                    compare.byRecord(reference, player.replicas.get(index), context);
                } else {
                    compare.exactly(reference, player.replicas.get(index), context);
                }
            } catch (Differs difference) {
                throw new Differs("rebatch " + sides.get(index).rebatch() + ": " + difference.getMessage());
            }
        }
    }

    private static void expect(String who, String wanted, Replica replica) throws Exception {
        String found = wanted == null ? null : LogView.text(LogView.batches(replica));
        if (found != null && !found.equals(wanted)) {
            throw new Differs(who + " should have  " + wanted + "\n   and has       " + found);
        }
    }

    private void compareProducers(Player player) throws Exception {
        if (player.hasKafkaFailed) {
            return;
        }
        Set<Long> live = player.replicas.get(0).log().activeProducers().stream().map(ProducerState::producerId)
            .collect(Collectors.toSet());
        for (Replica replica : player.replicas) {
            replica.abandon();
            replica.openWithoutSnapshots();
        }
        for (int index = 1; index < sides.size(); index++) {
            boolean isSamePass = first.slots() == 0 && !player.hasQuietPass;
            Replica reference = player.replicas.get(0), other = player.replicas.get(index);
            try {
                if (sides.get(index).rebatch().equals("true")) {
                    compare.sameLiveProducers(reference, other, isSamePass, live);
                } else {
                    compare.sameProducers(reference, other, isSamePass);
                }
            } catch (Differs difference) {
                throw new Differs("rebatch " + sides.get(index).rebatch() + ": " + difference.getMessage());
            }
        }
    }

    @Override
    public void close() throws IOException {
        for (Player player : players) {
            for (Replica replica : player.replicas) {
                if (replica.log() != null) {
                    replica.abandon();
                }
            }
        }
    }
}
