package lastword.compat;

import static lastword.compat.Checks.check;
import static lastword.compat.Checks.equal;
import static lastword.compat.Checks.refused;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.BrokerIdNotRegisteredException;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.InvalidUpdateVersionException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.ResourceNotFoundException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.errors.UnsupportedByAuthenticationException;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** The rest of the admin client: what tools ask of a cluster of one node without security. */
final class AdminSurface {
    private AdminSurface() {
    }

    static void run(String bootstrap, String[] arguments) throws Exception {
        String topic = arguments[0];
        try (Admin admin = Clients.admin(bootstrap)) {
            int node = admin.describeCluster().nodes().get().iterator().next().id();
            cluster(admin, node);
            security(admin);
            replicas(admin, topic, node);
            creation(admin, topic, node);
            configs(admin, topic, node);
        }
    }

    private static void cluster(Admin admin, int node) throws Exception {
        QuorumInfo quorum = admin.describeMetadataQuorum().quorumInfo().get();
        equal(quorum.leaderId(), node, "describeMetadataQuorum: leader");
        equal(quorum.voters().stream().map(QuorumInfo.ReplicaState::replicaId).toList(), List.of(node),
            "describeMetadataQuorum: voters");
        equal(quorum.observers().size(), 0, "describeMetadataQuorum: observers");
        check(quorum.nodes().containsKey(node), "describeMetadataQuorum: no endpoint of the node");
        admin.describeFeatures().featureMetadata().get();
        refused(InvalidUpdateVersionException.class, "updateFeatures of an unknown one", () -> admin.updateFeatures(
            Map.of("beauty", new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.UPGRADE)),
            new UpdateFeaturesOptions().validateOnly(true)).all().get());
        refused(BrokerIdNotRegisteredException.class, "unregisterBroker of nobody",
            () -> admin.unregisterBroker(node + 76).all().get());
    }

    private static void security(Admin admin) throws Exception {
        refused(SecurityDisabledException.class, "describeAcls",
            () -> admin.describeAcls(AclBindingFilter.ANY).values().get());
        refused(SecurityDisabledException.class, "createAcls", () -> admin.createAcls(List.of(new AclBinding(
            new ResourcePattern(ResourceType.TOPIC, "t", PatternType.LITERAL),
            new AccessControlEntry("User:a", "*", AclOperation.READ, AclPermissionType.ALLOW)))).all().get());
        refused(SecurityDisabledException.class, "deleteAcls",
            () -> admin.deleteAcls(List.of(AclBindingFilter.ANY)).all().get());
        equal(admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get(), Map.of(), "describeClientQuotas");
        equal(admin.describeUserScramCredentials().all().get(), Map.of(), "describeUserScramCredentials");
        refused(ResourceNotFoundException.class, "describeUserScramCredentials of nobody",
            () -> admin.describeUserScramCredentials(List.of("nobody")).description("nobody").get());
        refused(UnsupportedByAuthenticationException.class, "createDelegationToken",
            () -> admin.createDelegationToken().delegationToken().get());
        refused(UnsupportedByAuthenticationException.class, "describeDelegationToken",
            () -> admin.describeDelegationToken().delegationTokens().get());
    }

    private static void replicas(Admin admin, String topic, int node) throws Exception {
        TopicPartition zero = new TopicPartition(topic, 0);
        for (ElectionType type : ElectionType.values()) {
            refused(ElectionNotNeededException.class, type + " election", () -> admin.electLeaders(type, Set.of(zero))
                .partitions().get().get(zero).map(AdminSurface::thrown).orElseThrow());
            check(admin.electLeaders(type, null).partitions().get().isEmpty(), type + " election everywhere");
        }
        equal(admin.listPartitionReassignments().reassignments().get(), Map.of(), "listPartitionReassignments");
        admin.alterPartitionReassignments(Map.of(zero, Optional.of(new NewPartitionReassignment(List.of(node))))).all()
            .get();
        refused(InvalidReplicaAssignmentException.class, "reassignment to another broker",
            () -> admin.alterPartitionReassignments(Map.of(zero,
                Optional.of(new NewPartitionReassignment(List.of(node + 1))))).all().get());
        refused(NoReassignmentInProgressException.class, "a reassignment cancelled",
            () -> admin.alterPartitionReassignments(Map.of(zero, Optional.empty())).all().get());
        TopicPartitionReplica replica = new TopicPartitionReplica(topic, 0, node);
        String dir = admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica).getCurrentReplicaLogDir();
        admin.alterReplicaLogDirs(Map.of(replica, dir)).all().get();
        check(admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica).getFutureReplicaLogDir() == null,
            "a replica moves to where it is");
    }

    private static void creation(Admin admin, String topic, int node) throws Exception {
        String name = topic + "-assigned";
        refused(InvalidReplicationFactorException.class, "two replicas",
            () -> admin.createTopics(List.of(new NewTopic(name, 1, (short) 2))).all().get());
        refused(InvalidReplicaAssignmentException.class, "an assignment to another broker",
            () -> admin.createTopics(List.of(new NewTopic(name, Map.of(0, List.of(node + 1))))).all().get());
        admin.createTopics(List.of(new NewTopic(name, Map.of(0, List.of(node), 1, List.of(node))))).all().get();
        admin.createTopics(List.of(new NewTopic(name + ".x", 1, (short) 1))).all().get();
        refused(InvalidTopicException.class, "a name that collides",
            () -> admin.createTopics(List.of(new NewTopic(name + "_x", 1, (short) 1))).all().get());
        refused(InvalidReplicaAssignmentException.class, "too few assignments",
            () -> admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4, List.of(List.of(node))))).all().get());
        admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4, List.of(List.of(node), List.of(node))))).all()
            .get();
        Checks.waitUntil(() -> {
            try {
                return admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size() == 4;
            } catch (java.util.concurrent.ExecutionException notYet) {
                return false;
            } catch (InterruptedException problem) {
                throw new IllegalStateException(problem);
            }
        }, "four partitions");
        refused(UnknownTopicOrPartitionException.class, "partitions of an unknown topic",
            () -> admin.createPartitions(Map.of(topic + "-unknown", NewPartitions.increaseTo(4))).all().get());
    }

    /** Settings of all brokers, of the broker and of the topic, each over the one before, and taken back again. */
    private static void configs(Admin admin, String topic, int node) throws Exception {
        ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
        ConfigResource own = new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(node));
        ConfigResource of = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        String ofBroker = "log.cleaner.delete.retention.ms";
        String ofTopic = "delete.retention.ms";
        alter(admin, all, ofBroker, "1000");
        alter(admin, own, ofBroker, "2000");
        alter(admin, of, ofTopic, "3000");
        Checks.waitUntil(() -> "3000".equals(entry(admin, of, ofTopic).value()), "the topic's own setting");
        equal(sources(entry(admin, of, ofTopic)), List.of("DYNAMIC_TOPIC_CONFIG=3000", "DYNAMIC_BROKER_CONFIG=2000",
            "DYNAMIC_DEFAULT_BROKER_CONFIG=1000", "DEFAULT_CONFIG=86400000"), "synonyms of a topic config");
        alter(admin, of, ofTopic, null);
        Checks.waitUntil(() -> "2000".equals(entry(admin, of, ofTopic).value()), "the broker's setting");
        equal(entry(admin, of, ofTopic).source(), ConfigSource.DYNAMIC_BROKER_CONFIG, "its source");
        alter(admin, own, ofBroker, null);
        Checks.waitUntil(() -> "1000".equals(entry(admin, of, ofTopic).value()), "the setting of all brokers");
        equal(entry(admin, all, ofBroker).value(), "1000", "what is set for all brokers");
        alter(admin, all, ofBroker, null);
        Checks.waitUntil(() -> "86400000".equals(entry(admin, of, ofTopic).value()), "the default");
        check(entry(admin, own, ofBroker).documentation() != null, "no documentation");
        check(!entry(admin, own, ofBroker).isReadOnly(), "a dynamic config is read-only");
        check(entry(admin, own, "num.partitions").isReadOnly(), "num.partitions is not read-only");
        refused(InvalidRequestException.class, "a config of the start", () -> alter(admin, own, "num.partitions", "9"));

        ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, topic + "-group");
        alter(admin, group, "consumer.session.timeout.ms", "46000");
        Checks.waitUntil(() -> "46000".equals(entry(admin, group, "consumer.session.timeout.ms").value()), "a group's");
        Collection<ConfigResource> listed = admin.listConfigResources(Set.of(ConfigResource.Type.GROUP),
            new org.apache.kafka.clients.admin.ListConfigResourcesOptions()).all().get();
        check(listed.contains(group), "listConfigResources lacks the group");
    }

    private static ConfigEntry entry(Admin admin, ConfigResource resource, String name) {
        try {
            return admin.describeConfigs(List.of(resource),
                new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all().get()
                .get(resource).get(name);
        } catch (Exception problem) {
            throw new IllegalStateException(problem);
        }
    }

    private static List<String> sources(ConfigEntry entry) {
        return entry.synonyms().stream().map(it -> it.source() + "=" + it.value()).toList();
    }

    private static void alter(Admin admin, ConfigResource resource, String name, String value) throws Exception {
        AlterConfigOp change = new AlterConfigOp(new ConfigEntry(name, value),
            value == null ? AlterConfigOp.OpType.DELETE : AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
    }

    private static Object thrown(Throwable problem) {
        throw (RuntimeException) problem;
    }
}
