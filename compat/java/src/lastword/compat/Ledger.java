package lastword.compat;

import java.io.BufferedWriter;
import java.io.FileWriter;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * A default producer (idempotent, acks=all) that writes rising numbers over a few keys until stdin
 * closes, through every restart of the broker, and keeps a ledger of what was acknowledged:
 * one line {@code partition offset key number} each.
 */
final class Ledger {
    private Ledger() {
    }

    static void run(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        int partition = Integer.parseInt(arguments[1]);
        int keys = Integer.parseInt(arguments[2]);
        AtomicReference<Exception> problem = new AtomicReference<>();
        Thread end = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    continue;
                }
            } catch (java.io.IOException closed) {
                return;
            }
        });
        end.setDaemon(true);
        end.start();
        try (BufferedWriter ledger = new BufferedWriter(new FileWriter(arguments[3]));
             KafkaProducer<String, String> producer = Clients.producer(bootstrap, "linger.ms", 2,
                 "delivery.timeout.ms", 600_000, "request.timeout.ms", 3000, "reconnect.backoff.ms", 20,
                 "reconnect.backoff.max.ms", 100, "retry.backoff.ms", 20, "max.block.ms", 120_000,
                 "buffer.memory", 4 << 20)) {
            String filler = "x".repeat(200);
            long number = 0;
            while (end.isAlive() && problem.get() == null) {
                String key = "j" + number % keys;
                long mine = number++;
                producer.send(new ProducerRecord<>(topic, partition, key, mine + " " + filler), (where, failed) -> {
                    if (failed != null) {
                        problem.compareAndSet(null, failed);
                        return;
                    }
                    try {
                        ledger.write(partition + " " + where.offset() + " " + key + " " + mine + "\n");
                    } catch (java.io.IOException broken) {
                        problem.compareAndSet(null, broken);
                    }
                });
                if (mine % 20 == 0) {
                    Thread.sleep(1);
                }
            }
            producer.flush();
        }
        if (problem.get() != null) {
            throw problem.get();
        }
    }
}
