package lastword.compat.differential;

/** Two copies of a log are not the same where they should be. */
final class Differs extends Exception {
    Differs(String what) {
        super(what);
    }
}
