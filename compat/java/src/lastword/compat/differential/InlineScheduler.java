package lastword.compat.differential;

import java.util.concurrent.Delayed;
import java.util.concurrent.FutureTask;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.server.util.Scheduler;

/** Runs what is asked for once at once; what would repeat (expiry checks) is called by hand instead. */
final class InlineScheduler implements Scheduler {
    private static final class Scheduled extends FutureTask<Void> implements ScheduledFuture<Void> {
        Scheduled(Runnable task) {
            super(task, null);
        }

        @Override
        public long getDelay(TimeUnit unit) {
            return 0;
        }

        @Override
        public int compareTo(Delayed other) {
            return 0;
        }
    }

    @Override
    public void startup() {
    }

    @Override
    public void shutdown() {
    }

    @Override
    public ScheduledFuture<?> schedule(String name, Runnable task, long delayMs, long periodMs) {
        Scheduled scheduled = new Scheduled(task);
        if (periodMs < 0) {
            task.run();
        }
        return scheduled;
    }

    @Override
    public void resizeThreadPool(int size) {
    }
}
