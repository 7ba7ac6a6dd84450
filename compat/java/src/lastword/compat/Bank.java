package lastword.compat;

import java.io.FileWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/** The bank of cases/bank.py, which explains it: one of its three writers, and a reader of everything. */
final class Bank {
    private static final int OPENING_SHARE = 1000;
    private static final Duration PATIENCE = Duration.ofSeconds(90);
    /** No transfer has such an amount: a sum with it in is wrong. */
    private static final int NONSENSE = 1_000_000_007;

    private final String bootstrap;
    private final String balances;
    private final String ledger;
    private final int writer;
    private final int accounts;
    private final Random random;
    private final FileWriter log;
    private KafkaProducer<String, String> producer;
    private Map<String, Integer> shares = new TreeMap<>();
    private int number;

    private Bank(String bootstrap, String[] arguments) throws IOException {
        this.bootstrap = bootstrap;
        balances = arguments[0];
        ledger = arguments[1];
        writer = Integer.parseInt(arguments[2]);
        accounts = Integer.parseInt(arguments[3]);
        random = new Random(Long.parseLong(arguments[4]));
        Path path = Path.of(arguments[5]);
        // An earlier start may have left its numbers; they are taken up.
        if (Files.exists(path)) {
            for (String line : Files.readAllLines(path)) {
                String[] parts = line.split(" ");
                number = parts.length == 2 ? Math.max(number, Integer.parseInt(parts[1])) : number;
            }
        }
        log = new FileWriter(path.toFile(), true);
    }

    /** One transaction after another until stdin closes: BALANCES LEDGER WRITER ACCOUNTS SEED LOG. */
    static void write(String bootstrap, String[] arguments) throws Exception {
        AtomicBoolean ended = new AtomicBoolean();
        Thread end = new Thread(() -> {
            try {
                System.in.transferTo(java.io.OutputStream.nullOutputStream());
            } catch (IOException closed) {
                // As good as its end.
            }
            ended.set(true);
        });
        end.setDaemon(true);
        end.start();
        Bank bank = new Bank(bootstrap, arguments);
        boolean committed = false;
        while (!ended.get() || !committed) {
            if (bank.producer == null) {
                bank.recover();
            }
            String fate = ended.get() ? "commit" : bank.draw();
            boolean lost = fate.equals("abandon");
            try {
                bank.transaction(fate);
                committed = fate.equals("commit");
            } catch (KafkaException | IllegalStateException | ExecutionException | TimeoutException failed) {
                committed = false;
                lost = true;
            }
            if (lost) {
                // What became of it is read from the topic.
                bank.producer.close(Duration.ZERO);
                bank.producer = null;
            }
        }
        bank.producer.close(Duration.ofSeconds(10));
        bank.log.close();
    }

    private String draw() {
        int one = random.nextInt(100);
        return one < 20 ? "abort" : one < 24 ? "abandon" : "commit";
    }

    /** Fences whoever wrote before, which ends its transaction, and reads where that left the shares. */
    private void recover() throws InterruptedException {
        long giveUp = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            KafkaProducer<String, String> fresh = null;
            try {
                fresh = Clients.producer(bootstrap, "transactional.id", "bank-" + writer,
                    "transaction.timeout.ms", 15_000, "delivery.timeout.ms", 15_000, "request.timeout.ms", 5_000,
                    "max.block.ms", 15_000, "linger.ms", 0, "reconnect.backoff.ms", 20,
                    "reconnect.backoff.max.ms", 200, "retry.backoff.ms", 20);
                fresh.initTransactions();
                Map<String, Integer> found = new TreeMap<>();
                for (var record : snapshot(bootstrap, balances, writer, "committed")) {
                    found.put(record.key(), Integer.parseInt(record.value().split(" ")[3]));
                }
                shares = found;
                producer = fresh;
                return;
            } catch (KafkaException | IllegalStateException | Checks.Failed failed) {
                if (fresh != null) {
                    fresh.close(Duration.ZERO);
                }
                if (System.nanoTime() > giveUp) {
                    throw failed;
                }
                Thread.sleep(100);
            }
        }
    }

    /** One to four transfers between two accounts each; the first transaction opens all accounts. */
    private void transaction(String drawn) throws Exception {
        number++;
        note("begin");
        producer.beginTransaction();
        Map<String, Integer> after = new TreeMap<>(shares);
        String fate = after.isEmpty() ? "commit" : drawn;
        int step = 0;
        if (after.isEmpty()) {
            for (int account = 0; account < accounts; account++) {
                after.put(accountName(account), OPENING_SHARE);
                sendShare(accountName(account), step++, fate, OPENING_SHARE);
            }
        }
        for (int transfers = 1 + random.nextInt(4); transfers > 0; transfers--) {
            int from = random.nextInt(accounts);
            String giver = accountName(from);
            String taker = accountName((from + 1 + random.nextInt(accounts - 1)) % accounts);
            int amount = 1 + random.nextInt(100);
            after.merge(giver, -amount, Integer::sum);
            after.merge(taker, amount, Integer::sum);
            int wrong = fate.equals("commit") ? 0 : NONSENSE;
            // A batch for the giver, one for the taker: what is between is wrong.
            send(new ProducerRecord<>(ledger, 0, String.valueOf(writer),
                number + " " + step + " " + fate + " " + giver + " " + taker + " " + amount));
            sendShare(giver, step, fate, after.get(giver));
            sendShare(taker, step++, fate, after.get(taker) + wrong);
        }
        if (drawn.equals("abandon")) {
            return;
        }
        if (fate.equals("abort")) {
            producer.abortTransaction();
            note("aborted");
        } else {
            producer.commitTransaction();
            shares = after;
            note("committed");
        }
    }

    private void sendShare(String account, int step, String fate, int share) throws Exception {
        send(new ProducerRecord<>(balances, writer, account, number + " " + step + " " + fate + " " + share));
    }

    private void send(ProducerRecord<String, String> record) throws Exception {
        producer.send(record).get(20, TimeUnit.SECONDS);
    }

    private void note(String what) throws IOException {
        log.write(what + " " + number + "\n");
        log.flush();
    }

    private static String accountName(int number) {
        return String.format("account-%02d", number);
    }

    /** Every record from the start to where the partition ends for such a reader; committed: the LastStableOffset. */
    private static List<ConsumerRecord<String, String>> snapshot(String bootstrap, String topic, int partition,
                                                                 String isolation) {
        TopicPartition from = new TopicPartition(topic, partition);
        try (KafkaConsumer<String, String> consumer = Clients.consumer(bootstrap,
            "isolation.level", "read_" + isolation, "enable.auto.commit", false, "auto.offset.reset", "none",
            "fetch.max.wait.ms", 50)) {
            consumer.assign(List.of(from));
            consumer.seekToBeginning(List.of(from));
            return Clients.readToEnd(consumer, List.of(from));
        }
    }

    /**
     * BALANCES LEDGER WRITERS committed|uncommitted. Lines, sorted: {@code share WRITER ACCOUNT VALUE}, the newest of
     * each account; {@code transfer WRITER VALUE}; then {@code records COUNT}.
     */
    static void read(String bootstrap, String[] arguments) {
        TreeSet<String> lines = new TreeSet<>();
        int[] records = {0};
        Consumer<ConsumerRecord<String, String>> count = record -> records[0]++;
        for (int writer = 0; writer < Integer.parseInt(arguments[2]); writer++) {
            Map<String, String> newest = new HashMap<>();
            snapshot(bootstrap, arguments[0], writer, arguments[3]).forEach(
                count.andThen(record -> newest.put(record.key(), record.value())));
            for (var entry : newest.entrySet()) {
                lines.add("share " + writer + " " + entry.getKey() + " " + entry.getValue());
            }
        }
        snapshot(bootstrap, arguments[1], 0, arguments[3]).forEach(
            count.andThen(record -> lines.add("transfer " + record.key() + " " + record.value())));
        lines.forEach(System.out::println);
        System.out.println("records " + records[0]);
    }
}
