package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/IBM/sarama"
)

func admin() []scenario {
	return []scenario{
		{"admin_create_topic", adminCreateTopic},
		{"admin_create_partitions", adminCreatePartitions},
		{"admin_delete_topic", adminDeleteTopic},
		{"admin_describe_configs", adminDescribeConfigs},
		{"admin_alter_configs", adminAlterConfigs},
		{"admin_incremental_alter_configs", adminIncremental},
		{"admin_broker_configs", adminBrokerConfigs},
		{"admin_delete_records", adminDeleteRecords},
		{"admin_delete_records_of_compacted_is_refused", adminDeleteCompacted},
		{"admin_describe_log_dirs", adminLogDirs},
		{"admin_groups", adminGroups},
		{"admin_group_offsets", adminGroupOffsets},
		{"admin_describe_cluster", adminCluster},
		{"admin_elect_leaders", adminElectLeaders},
		{"admin_partition_reassignments", adminReassignments},
		{"admin_acls_without_an_authorizer", adminACLs},
		{"admin_quotas_are_none", adminQuotas},
		{"admin_scram_user_is_unknown", adminScram},
	}
}

// prepared is an admin client and a topic of two partitions.
func (b *bench) prepared(configs map[string]string) (sarama.TransactionClusterAdmin, string, error) {
	adm, err := b.admin()
	if err != nil {
		return nil, "", err
	}
	topic, err := b.topic("t", 2, configs)
	return adm, topic, err
}

func adminCreateTopic(b *bench) error {
	adm, topic, err := b.prepared(nil)
	if err != nil {
		return err
	}
	one := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}
	three := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 3}
	none := &sarama.TopicDetail{NumPartitions: 0, ReplicationFactor: 1}
	listed, err := adm.ListTopics()
	if err != nil {
		return fmt.Errorf("ListTopics: %w", err)
	}
	return errors.Join(
		equal(listed[topic].NumPartitions, 2, "partitions in ListTopics"),
		isError(adm.CreateTopic(topic, one, false), sarama.ErrTopicAlreadyExists, "created twice"),
		adm.CreateTopic(topic+"-only-checked", one, true),
		isError(adm.CreateTopic(topic+"-3", three, false), sarama.ErrInvalidReplicationFactor, "three replicas"),
		isError(adm.CreateTopic(topic+"-0", none, false), sarama.ErrInvalidPartitions, "no partitions"),
		isError(adm.CreateTopic("bad/name", one, false), sarama.ErrInvalidTopic, "a bad name"))
}

func adminCreatePartitions(b *bench) error {
	adm, topic, err := b.prepared(nil)
	if err != nil {
		return err
	}
	if err := adm.CreatePartitions(topic, 5, nil, false); err != nil {
		return err
	}
	return errors.Join(
		isError(adm.CreatePartitions(topic, 3, nil, false), sarama.ErrInvalidPartitions, "fewer partitions"),
		waitUntil("there are five partitions", func() (bool, error) {
			found, err := adm.DescribeTopics([]string{topic})
			return err == nil && len(found[0].Partitions) == 5, err
		}))
}

func adminDeleteTopic(b *bench) error {
	adm, topic, err := b.prepared(nil)
	if err != nil {
		return err
	}
	if err := adm.DeleteTopic(topic); err != nil {
		return err
	}
	return waitUntil("the topic is gone", func() (bool, error) {
		return errors.Is(adm.DeleteTopic(topic), sarama.ErrUnknownTopicOrPartition), nil
	})
}

func entry(entries []sarama.ConfigEntry, name string) sarama.ConfigEntry {
	at := slices.IndexFunc(entries, func(one sarama.ConfigEntry) bool { return one.Name == name })
	if at < 0 {
		return sarama.ConfigEntry{Value: "(there is no " + name + ")"}
	}
	return entries[at]
}

func adminDescribeConfigs(b *bench) error {
	adm, topic, err := b.prepared(map[string]string{"cleanup.policy": "compact"})
	if err != nil {
		return err
	}
	found, err := adm.DescribeConfigs([]*sarama.ConfigResource{{Type: sarama.TopicResource, Name: topic}},
		sarama.DescribeConfigsOptions{IncludeSynonyms: true, IncludeDocumentation: true})
	if err != nil {
		return err
	}
	var entries []sarama.ConfigEntry
	for _, one := range found[0].Configs {
		entries = append(entries, one)
	}
	policy, segment := entry(entries, "cleanup.policy"), entry(entries, "segment.bytes")
	if policy.Documentation == nil || *policy.Documentation == "" {
		return errors.New("cleanup.policy has no documentation")
	}
	return errors.Join(equal(policy.Value, "compact", "cleanup.policy"),
		equal(policy.Source, sarama.SourceTopic, "source of cleanup.policy"),
		equal(len(policy.Synonyms), 2, "synonyms of cleanup.policy"),
		equal(policy.Synonyms[1].ConfigName, "log.cleanup.policy", "second synonym"),
		equal(segment.Value, "1073741824", "segment.bytes"),
		equal(segment.Source, sarama.SourceDefault, "source of segment.bytes"))
}

func (b *bench) setting(adm sarama.ClusterAdmin, topic, name, wanted string) error {
	return waitUntil(name+" is "+wanted, func() (bool, error) {
		entries, err := adm.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
		return entry(entries, name).Value == wanted, err
	})
}

func adminAlterConfigs(b *bench) error {
	adm, topic, err := b.prepared(map[string]string{"cleanup.policy": "compact"})
	if err != nil {
		return err
	}
	// All of a topic's settings are replaced: what is not named goes back to its default.
	retention, bad := "123456", "nonsense"
	if err := adm.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": &retention}, false); err != nil {
		return err
	}
	return errors.Join(b.setting(adm, topic, "retention.ms", retention), b.setting(adm, topic, "cleanup.policy", "delete"),
		isError(adm.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": &bad}, false),
			sarama.ErrInvalidConfig, "a bad value"))
}

func adminIncremental(b *bench) error {
	adm, topic, err := b.prepared(map[string]string{"retention.ms": "5000000"})
	if err != nil {
		return err
	}
	policy := "compact"
	change := func(name string, operation sarama.IncrementalAlterConfigsOperation, value *string) error {
		return adm.IncrementalAlterConfig(sarama.TopicResource, topic,
			map[string]sarama.IncrementalAlterConfigsEntry{name: {Operation: operation, Value: value}}, false)
	}
	return errors.Join(
		change("cleanup.policy", sarama.IncrementalAlterConfigsOperationAppend, &policy),
		b.setting(adm, topic, "cleanup.policy", "delete,compact"),
		change("retention.ms", sarama.IncrementalAlterConfigsOperationDelete, nil),
		b.setting(adm, topic, "retention.ms", "604800000"),
		isError(change("no.such.config", sarama.IncrementalAlterConfigsOperationSet, &policy), sarama.ErrInvalidConfig,
			"a config that is not known"))
}

func adminBrokerConfigs(b *bench) error {
	adm, err := b.admin()
	if err != nil {
		return err
	}
	entries, err := adm.DescribeConfig(sarama.ConfigResource{Type: sarama.BrokerResource, Name: "1"})
	if err != nil {
		return err
	}
	return equal(entry(entries, "node.id").Value, "1", "node.id")
}

func adminDeleteRecords(b *bench) error {
	adm, topic, err := b.prepared(nil)
	if err != nil {
		return err
	}
	if err := b.produce(topic, 1, numbers(0, 10)...); err != nil {
		return err
	}
	if err := adm.DeleteRecords(topic, map[int32]int64{1: 6}); err != nil {
		return err
	}
	found, err := b.read(topic, 1, sarama.ReadUncommitted, 4)
	if err != nil {
		return err
	}
	if adm.DeleteRecords(topic, map[int32]int64{1: 99}) == nil {
		return errors.New("records beyond the end could be deleted")
	}
	return equal(found[0].Offset, 6, "first offset")
}

func adminDeleteCompacted(b *bench) error {
	adm, topic, err := b.prepared(map[string]string{"cleanup.policy": "compact"})
	if err != nil {
		return err
	}
	if err := b.produce(topic, 0, numbers(0, 10)...); err != nil {
		return err
	}
	if adm.DeleteRecords(topic, map[int32]int64{0: 6}) == nil {
		return errors.New("records of a compacted topic could be deleted")
	}
	found, err := b.read(topic, 0, sarama.ReadUncommitted, 10)
	if err != nil {
		return err
	}
	return equal(found[0].Offset, 0, "first offset")
}

func adminLogDirs(b *bench) error {
	adm, topic, err := b.prepared(nil)
	if err != nil {
		return err
	}
	if err := b.produce(topic, 1, numbers(0, 10)...); err != nil {
		return err
	}
	found, err := adm.DescribeLogDirs([]int32{1})
	if err != nil {
		return err
	}
	for _, dir := range found[1] {
		if dir.ErrorCode != sarama.ErrNoError || dir.TotalBytes <= 0 || dir.UsableBytes <= 0 {
			return fmt.Errorf("%s: error %v, %d bytes, %d usable", dir.Path, dir.ErrorCode, dir.TotalBytes, dir.UsableBytes)
		}
		for _, one := range dir.Topics {
			for _, partition := range one.Partitions {
				if one.Topic == topic && partition.PartitionID == 1 && partition.Size > 0 {
					return nil
				}
			}
		}
	}
	return fmt.Errorf("no log directory has %s-1: %+v", topic, found)
}

func adminGroups(b *bench) error {
	adm, topic, err := b.prepared(nil)
	if err != nil {
		return err
	}
	m, err := b.join(topic, config())
	if err != nil {
		return err
	}
	if err := waitUntil("the member has two partitions", func() (bool, error) {
		owned, _, err := m.state()
		return owned == 2, err
	}); err != nil {
		return err
	}
	listed, err := adm.ListConsumerGroups()
	if err != nil {
		return fmt.Errorf("ListConsumerGroups: %w", err)
	}
	described, err := adm.DescribeConsumerGroups([]string{b.group()})
	if err != nil {
		return fmt.Errorf("DescribeConsumerGroups: %w", err)
	}
	one := described[0]
	for _, found := range one.Members {
		assignment, err := found.GetMemberAssignment()
		if err != nil {
			return err
		}
		if err := equal(len(assignment.Topics[topic]), 2, "assigned partitions"); err != nil {
			return err
		}
	}
	return errors.Join(
		equal(listed[b.group()], "consumer", "protocol type in ListConsumerGroups"),
		equal(one.State, "Stable", "state"), equal(one.Protocol, "range", "protocol"),
		equal(len(one.Members), 1, "members"),
		isError(adm.DeleteConsumerGroup(b.group()), sarama.ErrNonEmptyGroup, "deleting a group with a member"),
		m.leave(),
		adm.DeleteConsumerGroup(b.group()),
		isError(adm.DeleteConsumerGroup(b.group()), sarama.ErrGroupIDNotFound, "deleting it again"))
}

func adminGroupOffsets(b *bench) error {
	adm, topic, err := b.prepared(nil)
	if err != nil {
		return err
	}
	committed := func(partition int32, wanted int64) error {
		answer, err := adm.ListConsumerGroupOffsets(b.group(), map[string][]int32{topic: {0, 1}})
		if err != nil {
			return fmt.Errorf("ListConsumerGroupOffsets: %w", err)
		}
		return equal(answer.GetBlock(topic, partition).Offset, wanted, fmt.Sprintf("offset of partition %d", partition))
	}
	answer, err := adm.AlterConsumerGroupOffsets(b.group(), map[string]map[int32]sarama.OffsetAndMetadata{
		topic: {0: {Offset: 5, LeaderEpoch: -1}, 1: {Offset: 6, LeaderEpoch: -1}}}, nil)
	if err != nil {
		return fmt.Errorf("AlterConsumerGroupOffsets: %w", err)
	}
	return errors.Join(
		equal(answer.Errors[topic][0], sarama.ErrNoError, "answer for partition 0"),
		committed(0, 5), committed(1, 6),
		adm.DeleteConsumerGroupOffset(b.group(), topic, 0), committed(0, -1), committed(1, 6),
		adm.DeleteConsumerGroup(b.group()))
}

func adminCluster(b *bench) error {
	adm, err := b.admin()
	if err != nil {
		return err
	}
	brokers, controller, err := adm.DescribeCluster()
	if err != nil {
		return err
	}
	return errors.Join(equal(len(brokers), 1, "brokers"), equal(controller, 1, "controller"),
		equal(brokers[0].Addr(), b.addresses[0], "address"))
}

func adminElectLeaders(b *bench) error {
	adm, topic, err := b.prepared(nil)
	if err != nil {
		return err
	}
	found, err := adm.ElectLeaders(sarama.PreferredElection, map[string][]int32{topic: {0}})
	if err != nil {
		return err
	}
	return equal(found[topic][0].ErrorCode, sarama.ErrElectionNotNeeded, "electing the preferred leader")
}

func adminReassignments(b *bench) error {
	adm, topic, err := b.prepared(nil)
	if err != nil {
		return err
	}
	listed, err := adm.ListPartitionReassignments(topic, []int32{0, 1})
	if err != nil {
		return fmt.Errorf("ListPartitionReassignments: %w", err)
	}
	return errors.Join(equal(len(listed[topic]), 0, "reassignments"),
		adm.AlterPartitionReassignments(topic, [][]int32{{1}, {1}}))
}

func adminACLs(b *bench) error {
	adm, err := b.admin()
	if err != nil {
		return err
	}
	_, err = adm.ListAcls(sarama.AclFilter{ResourceType: sarama.AclResourceTopic, PermissionType: sarama.AclPermissionAny,
		Operation: sarama.AclOperationAny, ResourcePatternTypeFilter: sarama.AclPatternAny})
	return isError(err, sarama.ErrSecurityDisabled, "ListAcls")
}

func adminQuotas(b *bench) error {
	adm, err := b.admin()
	if err != nil {
		return err
	}
	found, err := adm.DescribeClientQuotas([]sarama.QuotaFilterComponent{
		{EntityType: sarama.QuotaEntityUser, MatchType: sarama.QuotaMatchExact, Match: "nobody"}}, false)
	if err != nil {
		return err
	}
	return equal(len(found), 0, "quotas of a user that has none")
}

func adminScram(b *bench) error {
	adm, err := b.admin()
	if err != nil {
		return err
	}
	found, err := adm.DescribeUserScramCredentials([]string{"nobody"})
	if err != nil {
		return err
	}
	// RESOURCE_NOT_FOUND
	return errors.Join(equal(len(found), 1, "answers"), equal(found[0].ErrorCode, sarama.KError(91), "error"))
}
