package lastword.compat;

import java.util.Map;

/** Kafka's own Java clients, one scenario per start: {@code Driver NAME BOOTSTRAP ARGUMENT...}. */
public final class Driver {
    interface Scenario {
        void run(String bootstrap, String[] arguments) throws Exception;
    }

    private static final Map<String, Scenario> SCENARIOS = Map.ofEntries(
        Map.entry("produce_codecs", Records::produceCodecs),
        Map.entry("consumer_assign", Records::consumerAssign),
        Map.entry("dump_records", Records::dumpRecords),
        Map.entry("paced_head", Records::pacedHead),
        Map.entry("group_rebalance", Groups::rebalance),
        Map.entry("group_members", GroupProtocols::members),
        Map.entry("group_migration_described", GroupProtocols::migration),
        Map.entry("commit_some", Groups::commitSome),
        Map.entry("committed_is", Groups::committedIs),
        Map.entry("admin_topics", AdminCases::topics),
        Map.entry("admin_records", AdminCases::records),
        Map.entry("admin_configs", AdminCases::configs),
        Map.entry("admin_log_dirs", AdminCases::logDirs),
        Map.entry("admin_groups", AdminCases::groups),
        Map.entry("group_migration", Groups::migration),
        Map.entry("admin_surface", AdminSurface::run),
        Map.entry("refusals", Refusals::run),
        Map.entry("ledger", Ledger::run),
        Map.entry("transactions", Transactions::commitAndAbort),
        Map.entry("transactions_fencing", Transactions::fencing),
        Map.entry("transactions_admin", Transactions::administration),
        Map.entry("transactions_copy", Transactions::consumeTransformProduce),
        Map.entry("transactions_leave_open", Transactions::leaveOpen),
        Map.entry("transactions_for_ever", Transactions::commitForEver),
        Map.entry("transactions_abort_the_rest", Transactions::abortTheRest),
        Map.entry("transactions_dump", Transactions::dumpCommitted),
        Map.entry("bank_write", Bank::write),
        Map.entry("bank_read", Bank::read),
        Map.entry("state_view_read", StateView::read),
        Map.entry("state_view_global_table", StateView::globalTable),
        Map.entry("state_view_refusals", StateView::refusals),
        Map.entry("wire_probe", WireProbe::run),
        Map.entry("transaction_walk", TransactionWalk::run),
        Map.entry("streams_count", StreamsCase::count));

    private Driver() {
    }

    public static void main(String[] given) {
        Scenario scenario = SCENARIOS.get(given[0]);
        if (scenario == null) {
            System.out.println("FAILED: no scenario " + given[0]);
            System.exit(2);
        }
        try {
            scenario.run(given[1], java.util.Arrays.copyOfRange(given, 2, given.length));
        } catch (Throwable problem) {
            problem.printStackTrace();
            System.out.println("FAILED: " + Checks.inOneLine(problem));
            System.exit(1);
        }
        System.exit(0);
    }
}
