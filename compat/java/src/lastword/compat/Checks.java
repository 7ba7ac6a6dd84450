package lastword.compat;

import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.function.BooleanSupplier;

/** Assertions that say what was found, and waiting with a deadline. */
final class Checks {
    static final class Failed extends RuntimeException {
        Failed(String why) {
            super(why);
        }
    }

    interface Action {
        void run() throws Exception;
    }

    private Checks() {
    }

    static void check(boolean condition, String why) {
        if (!condition) {
            throw new Failed(why);
        }
    }

    static void equal(Object found, Object wanted, String what) {
        if (!Objects.equals(found, wanted)) {
            throw new Failed(what + ": found " + found + ", wanted " + wanted);
        }
    }

    static void waitUntil(BooleanSupplier condition, String what) throws InterruptedException {
        long end = System.nanoTime() + 20_000_000_000L;
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) {
                throw new Failed("waited in vain until " + what);
            }
            Thread.sleep(20);
        }
    }

    /** The action must fail with this exception, directly or as the cause of an ExecutionException. */
    static <T extends Throwable> T refused(Class<T> wanted, String what, Action action) {
        try {
            action.run();
        } catch (Throwable problem) {
            Throwable cause = problem instanceof ExecutionException ? problem.getCause() : problem;
            if (wanted.isInstance(cause)) {
                return wanted.cast(cause);
            }
            throw new Failed(what + ": wanted " + wanted.getSimpleName() + ", got " + inOneLine(cause));
        }
        throw new Failed(what + ": wanted " + wanted.getSimpleName() + ", but it was accepted");
    }

    static String inOneLine(Throwable problem) {
        Throwable cause = problem instanceof ExecutionException && problem.getCause() != null
            ? problem.getCause() : problem;
        if (cause instanceof Failed) {
            return cause.getMessage();
        }
        StringBuilder at = new StringBuilder();
        for (StackTraceElement frame : problem.getStackTrace()) {
            if (frame.getClassName().startsWith("lastword.")) {
                at.append(" at ").append(frame.getFileName()).append(':').append(frame.getLineNumber());
                break;
            }
        }
        return (cause.getClass().getSimpleName() + ": " + cause.getMessage() + at).replace('\n', ' ');
    }
}
