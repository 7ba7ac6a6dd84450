package lastword.compat;

import static lastword.compat.Checks.check;
import static lastword.compat.Checks.equal;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.util.List;
import lastword.compat.Groups.Member;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.tools.consumer.group.ConsumerGroupCommand;

/** Groups of the consumer protocol (KIP-848), and groups on their way between the protocols. */
final class GroupProtocols {
    private static final String[] NEW = {"group.protocol", "consumer"};
    private static final String[] OLD = {"group.protocol", "classic", "heartbeat.interval.ms", "500"};

    private GroupProtocols() {
    }

    /** Two members by a pattern, one of them static, as the admin client and the console tool see them. */
    static void members(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        String group = arguments[1];
        String pattern = topic.substring(0, topic.length() - 1) + ".*";
        Member first = new Member(bootstrap, group, pattern,
            new String[] {"group.protocol", "consumer", "group.remote.assignor", "range"});
        Checks.waitUntil(() -> first.problem != null || first.assigned.size() == 4, "one member has 4 partitions");
        Member second = new Member(bootstrap, group, topic, new String[] {"group.protocol", "consumer",
            "group.instance.id", "one", "group.remote.assignor", "range"});
        Checks.waitUntil(() -> first.problem != null || second.problem != null
            || first.assigned.size() == 2 && second.assigned.size() == 2, "two members have 2 partitions each");
        try (Admin admin = Clients.admin(bootstrap)) {
            Checks.waitUntil(() -> describe(admin, group).groupState() == GroupState.STABLE, "the group is Stable");
            ConsumerGroupDescription found = describe(admin, group);
            equal(found.type(), GroupType.CONSUMER, "type of the group");
            equal(found.partitionAssignor(), "range", "assignor");
            equal(found.members().size(), 2, "members");
            found.members().forEach(member -> {
                equal(member.upgraded(), java.util.Optional.of(true), "member type");
                equal(member.memberEpoch(), found.targetAssignmentEpoch(), "member epoch");
                equal(member.targetAssignment().get(), member.assignment(), "target");
            });
            equal(admin.listGroups(new ListGroupsOptions().withTypes(java.util.Set.of(GroupType.CONSUMER))).all().get()
                .stream().filter(it -> it.groupId().equals(group)).count(), 1L, "listed as a consumer group");
        }
        String state = tool(bootstrap, "--describe", "--state", "--group", group);
        check(state.contains("Stable") && state.contains("range"), "--describe --state says: " + state);
        String members = tool(bootstrap, "--describe", "--members", "--verbose", "--group", group);
        check(members.contains("one") && members.contains(topic), "--describe --members says: " + members);
        check(tool(bootstrap, "--list", "--type", "consumer").contains(group), "--list lacks the group");
        // A static member that comes back within its session finds its partitions as they were.
        Groups.produce(bootstrap, topic, 0, 40);
        Checks.waitUntil(() -> first.values.size() + second.values.size() >= 40, "both have read 40 records");
        var before = second.assigned;
        second.leave();
        Member back = new Member(bootstrap, group, topic, new String[] {"group.protocol", "consumer",
            "group.instance.id", "one", "group.remote.assignor", "range"});
        Checks.waitUntil(() -> back.problem != null || back.assigned.equals(before), "it has its partitions back");
        equal(first.assigned.size(), 2, "partitions of the other");
        back.leave();
        first.leave();
        equal(Groups.sorted(first.values, second.values, back.values), Groups.numbers(0, 40), "what all have read");
    }

    /** A classic group goes up with its first new consumer, and down with its last. */
    static void migration(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        String group = arguments[1];
        Member old = new Member(bootstrap, group, topic, OLD);
        Checks.waitUntil(() -> old.problem != null || old.assigned.size() == 4, "the classic one has 4 partitions");
        try (Admin admin = Clients.admin(bootstrap)) {
            equal(describe(admin, group).type(), GroupType.CLASSIC, "type at the start");
            Groups.produce(bootstrap, topic, 0, 100);
            Checks.waitUntil(() -> old.values.size() >= 100, "the classic one has read 100 records");
            Member young = new Member(bootstrap, group, topic, NEW);
            Checks.waitUntil(() -> old.problem != null || young.problem != null
                || old.assigned.size() == 2 && young.assigned.size() == 2, "both have 2 partitions");
            ConsumerGroupDescription mixed = describe(admin, group);
            equal(mixed.type(), GroupType.CONSUMER, "type after the new one has joined");
            equal(mixed.members().stream().filter(member -> member.upgraded().orElse(false)).count(), 1L,
                "members of the new protocol");
            Groups.produce(bootstrap, topic, 100, 200);
            Checks.waitUntil(() -> old.values.size() + young.values.size() >= 200, "both have read 200 records");
            young.leave();
            Checks.waitUntil(() -> old.problem != null || old.assigned.size() == 4, "the classic one has all again");
            equal(describe(admin, group).type(), GroupType.CLASSIC, "type after the new one has left");
            Groups.produce(bootstrap, topic, 200, 300);
            Checks.waitUntil(() -> old.values.size() + young.values.size() >= 300, "all 300 records are read");
            // And up for good: the last classic one goes, the new one stays.
            Member last = new Member(bootstrap, group, topic, NEW);
            Checks.waitUntil(() -> last.problem != null || last.assigned.size() == 2, "a new one has 2 partitions");
            old.leave();
            Checks.waitUntil(() -> last.problem != null || last.assigned.size() == 4, "the new one has all");
            equal(describe(admin, group).type(), GroupType.CONSUMER, "type at the end");
            last.leave();
            equal(Groups.sorted(old.values, young.values, last.values), Groups.numbers(0, 300),
                "every record once, through all moves");
        }
    }

    private static ConsumerGroupDescription describe(Admin admin, String group) {
        try {
            return admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        } catch (Exception problem) {
            throw new Checks.Failed("cannot describe: " + Checks.inOneLine(problem));
        }
    }

    /** What kafka-consumer-groups prints. */
    private static String tool(String bootstrap, String... arguments) {
        List<String> all = new java.util.ArrayList<>(List.of("--bootstrap-server", bootstrap));
        all.addAll(List.of(arguments));
        PrintStream console = System.out;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        System.setOut(new PrintStream(printed, true));
        try {
            ConsumerGroupCommand.main(all.toArray(String[]::new));
        } finally {
            System.setOut(console);
        }
        return printed.toString();
    }
}
