// franz-go (kgo and kadm), one scenario per start: franz NAME BOOTSTRAP ARGUMENT...
// A scenario that fails prints "FAILED: why" and ends with 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type scenario func(ctx context.Context, bootstrap string, arguments []string) error

var scenarios = map[string]scenario{
	"produce_consume":   produceConsume,
	"group_cooperative": groupCooperative,
	"admin":             admin,
	"group_fold":        groupFold,
	"bank_write":        bankWrite,
	"bank_read":         bankRead,
	"group_member":      groupMember,
	"group_load":        groupLoad,
	"group_watch":       groupWatch,
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 80*time.Second)
	defer cancel()
	run, known := scenarios[os.Args[1]]
	if !known {
		fmt.Println("FAILED: no scenario", os.Args[1])
		os.Exit(2)
	}
	if err := run(ctx, os.Args[2], os.Args[3:]); err != nil {
		fmt.Println("FAILED:", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
}

func client(bootstrap string, more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap)}, more...)...)
}

func equal[T comparable](found, wanted T, what string) error {
	if found != wanted {
		return fmt.Errorf("%s: found %v, wanted %v", what, found, wanted)
	}
	return nil
}

// produceConsume writes through the default producer (idempotent, acks=all) with every codec and
// reads all of it back, tombstones and headers included.
func produceConsume(ctx context.Context, bootstrap string, arguments []string) error {
	topic := arguments[0]
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(),
		kgo.Lz4Compression(), kgo.ZstdCompression()}
	next := 0
	for _, codec := range codecs {
		producer, err := client(bootstrap, kgo.ProducerBatchCompression(codec))
		if err != nil {
			return err
		}
		records := make([]*kgo.Record, 1000)
		for i := range records {
			records[i] = record(topic, next+i)
		}
		for i, result := range producer.ProduceSync(ctx, records...) {
			if result.Err != nil {
				return fmt.Errorf("record %d: %w", next+i, result.Err)
			}
			if err := equal(result.Record.Offset, int64(next+i), "acknowledged offset"); err != nil {
				return err
			}
		}
		next += len(records)
		producer.Close()
	}
	consumer, err := client(bootstrap, kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer consumer.Close()
	for read := 0; read < next; {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("after %d records: %w", read, err)
		}
		for _, found := range fetches.Records() {
			wanted := record(topic, read)
			if found.Offset != int64(read) || string(found.Key) != string(wanted.Key) ||
				string(found.Value) != string(wanted.Value) || (found.Value == nil) != (wanted.Value == nil) ||
				len(found.Headers) != 1 || string(found.Headers[0].Value) != string(wanted.Headers[0].Value) {
				return fmt.Errorf("record %d came back as offset %d key %q value %q", read, found.Offset,
					found.Key, found.Value)
			}
			read++
		}
	}
	return nil
}

// groupFold reads a topic in a group up to its present end, prints the fold as KEY TAB VALUE lines, and commits.
func groupFold(ctx context.Context, bootstrap string, arguments []string) error {
	topic, group := arguments[0], arguments[1]
	consumer, err := client(bootstrap, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer consumer.Close()
	ends, err := kadm.NewClient(consumer).ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	missing := 0
	next := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Err == nil && end.Offset > 0 {
			next[end.Partition] = 0
			missing++
		}
	})
	if missing == 0 {
		return fmt.Errorf("%s has no records: %v", topic, ends.Error())
	}
	fold := map[string]string{}
	for missing > 0 {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("at %v: %w", next, err)
		}
		for _, found := range fetches.Records() {
			if !found.Attrs.IsControl() {
				fold[string(found.Key)] = string(found.Value)
				if found.Value == nil {
					delete(fold, string(found.Key))
				}
			}
			end, _ := ends.Lookup(topic, found.Partition)
			if before := next[found.Partition]; before < end.Offset && found.Offset+1 >= end.Offset {
				missing--
			}
			next[found.Partition] = found.Offset + 1
		}
	}
	if err := consumer.CommitUncommittedOffsets(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for key, value := range fold {
		fmt.Printf("%s\t%s\n", key, value)
	}
	return nil
}

func record(topic string, number int) *kgo.Record {
	value := []byte(fmt.Sprintf("value-%d-%s", number, strings.Repeat("y", number%300)))
	if number%11 == 10 {
		value = nil
	}
	return &kgo.Record{Topic: topic, Key: []byte(fmt.Sprintf("key-%d", number%40)), Value: value,
		Headers: []kgo.RecordHeader{{Key: "n", Value: []byte(fmt.Sprint(number))}}}
}

// member is one consumer of a group, polling in a goroutine of its own.
type member struct {
	client *kgo.Client
	lock   sync.Mutex
	values map[string]int
	owned  map[int32]bool
	err    error
}

func join(ctx context.Context, bootstrap, topic, group string) (*member, error) {
	m := &member{values: map[string]int{}, owned: map[int32]bool{}}
	note := func(has bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			m.lock.Lock()
			defer m.lock.Unlock()
			for _, partition := range partitions[topic] {
				if has {
					m.owned[partition] = true
				} else {
					delete(m.owned, partition)
				}
			}
		}
	}
	var err error
	m.client, err = client(bootstrap, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.OnPartitionsAssigned(note(true)), kgo.OnPartitionsRevoked(note(false)),
		kgo.OnPartitionsLost(note(false)))
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			fetches := m.client.PollFetches(ctx)
			if fetches.IsClientClosed() || ctx.Err() != nil {
				return
			}
			m.lock.Lock()
			if err := fetches.Err(); err != nil && m.err == nil {
				m.err = err
			}
			for _, found := range fetches.Records() {
				m.values[string(found.Value)]++
			}
			m.lock.Unlock()
		}
	}()
	return m, nil
}

func (m *member) counts() (partitions, values int, err error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	return len(m.owned), len(m.values), m.err
}

func waitUntil(ctx context.Context, what string, condition func() (bool, error)) error {
	for deadline := time.Now().Add(25 * time.Second); time.Now().Before(deadline); {
		done, err := condition()
		if err != nil || done {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("waited in vain until %s", what)
}

// groupCooperative lets a second member join and leave, and a third resume at the commit.
func groupCooperative(ctx context.Context, bootstrap string, arguments []string) error {
	topic, group := arguments[0], arguments[1]
	produce := func(from, to int) error {
		producer, err := client(bootstrap, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		if err != nil {
			return err
		}
		defer producer.Close()
		for i := from; i < to; i++ {
			one := &kgo.Record{Topic: topic, Key: []byte(fmt.Sprint(i)), Value: []byte(fmt.Sprint(i))}
			if err := producer.ProduceSync(ctx, one).FirstErr(); err != nil {
				return err
			}
		}
		return nil
	}
	has := func(m *member, partitions, values int) (bool, error) {
		owned, read, err := m.counts()
		return owned == partitions && read >= values, err
	}
	first, err := join(ctx, bootstrap, topic, group)
	if err != nil {
		return err
	}
	if err := waitUntil(ctx, "one member has 4 partitions", func() (bool, error) { return has(first, 4, 0) }); err != nil {
		return err
	}
	second, err := join(ctx, bootstrap, topic, group)
	if err != nil {
		return err
	}
	if err := waitUntil(ctx, "two members have 2 partitions each", func() (bool, error) {
		one, err := has(first, 2, 0)
		if err != nil || !one {
			return false, err
		}
		return has(second, 2, 0)
	}); err != nil {
		return err
	}
	if err := produce(0, 100); err != nil {
		return err
	}
	if err := waitUntil(ctx, "both have read 100 records", func() (bool, error) {
		_, one, err := first.counts()
		_, two, other := second.counts()
		return one+two >= 100, errors.Join(err, other)
	}); err != nil {
		return err
	}
	for _, m := range []*member{first, second} {
		if err := m.client.CommitUncommittedOffsets(ctx); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		m.client.Close()
	}
	if err := produce(100, 150); err != nil {
		return err
	}
	third, err := join(ctx, bootstrap, topic, group)
	if err != nil {
		return err
	}
	defer third.client.Close()
	if err := waitUntil(ctx, "a new member has read 50", func() (bool, error) { return has(third, 4, 50) }); err != nil {
		return err
	}
	third.lock.Lock()
	defer third.lock.Unlock()
	return equal(len(third.values), 50, "values the new member read after the commit")
}

// admin walks through what kadm offers for topics, configs, offsets and groups.
func admin(ctx context.Context, bootstrap string, arguments []string) error {
	topic, group := arguments[0], arguments[1]
	c, err := client(bootstrap)
	if err != nil {
		return err
	}
	defer c.Close()
	adm := kadm.NewClient(c)
	policy := "compact,delete"
	created, err := adm.CreateTopic(ctx, 2, 1, map[string]*string{"cleanup.policy": &policy}, topic)
	if err != nil {
		return fmt.Errorf("CreateTopic: %w", err)
	}
	if err := equal(created.NumPartitions, 2, "CreateTopic: partitions"); err != nil {
		return err
	}
	if _, err := adm.CreateTopic(ctx, 1, 1, nil, topic); !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("CreateTopic twice: %v", err)
	}
	if err := waitUntil(ctx, "ListTopics shows 2 partitions", func() (bool, error) {
		topics, err := adm.ListTopics(ctx, topic)
		return err == nil && topics.Error() == nil && len(topics[topic].Partitions) == 2, err
	}); err != nil {
		return err
	}
	for i := 0; i < 10; i++ {
		one := &kgo.Record{Topic: topic, Key: []byte(fmt.Sprint(i)), Value: []byte("v")}
		if err := c.ProduceSync(ctx, one).FirstErr(); err != nil {
			return err
		}
	}
	if err := offsets(ctx, adm, topic); err != nil {
		return err
	}
	if err := configs(ctx, adm, topic); err != nil {
		return err
	}
	if err := groups(ctx, adm, topic, group); err != nil {
		return err
	}
	if _, err := adm.UpdatePartitions(ctx, 3, topic); err != nil {
		return fmt.Errorf("UpdatePartitions: %w", err)
	}
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return err
	}
	if err := equal(len(brokers), 1, "ListBrokers"); err != nil {
		return err
	}
	if _, err := adm.DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("DeleteTopic: %w", err)
	}
	return nil
}

func offsets(ctx context.Context, adm *kadm.Client, topic string) error {
	sum := func(listed kadm.ListedOffsets, err error) (int64, error) {
		total := int64(0)
		listed.Each(func(o kadm.ListedOffset) {
			total += o.Offset
			err = errors.Join(err, o.Err)
		})
		return total, err
	}
	end, err := sum(adm.ListEndOffsets(ctx, topic))
	if err != nil {
		return fmt.Errorf("ListEndOffsets: %w", err)
	}
	if err := equal(end, 10, "ListEndOffsets"); err != nil {
		return err
	}
	after, err := sum(adm.ListOffsetsAfterMilli(ctx, time.Now().Add(-time.Hour).UnixMilli(), topic))
	if err != nil {
		return fmt.Errorf("ListOffsetsAfterMilli: %w", err)
	}
	if err := equal(after, 0, "ListOffsetsAfterMilli an hour ago"); err != nil {
		return err
	}
	listed, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	deleted, err := adm.DeleteRecords(ctx, listed.Offsets())
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		return fmt.Errorf("DeleteRecords: %w", err)
	}
	start, err := sum(adm.ListStartOffsets(ctx, topic))
	if err != nil {
		return fmt.Errorf("ListStartOffsets: %w", err)
	}
	return equal(start, 10, "ListStartOffsets after DeleteRecords")
}

func configs(ctx context.Context, adm *kadm.Client, topic string) error {
	value := "4321"
	altered, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "delete.retention.ms", Value: &value}}, topic)
	if err != nil {
		return fmt.Errorf("AlterTopicConfigs: %w", err)
	}
	for _, one := range altered {
		if one.Err != nil {
			return fmt.Errorf("AlterTopicConfigs: %w", one.Err)
		}
	}
	return waitUntil(ctx, "DescribeTopicConfigs shows the change", func() (bool, error) {
		found, err := adm.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return false, fmt.Errorf("DescribeTopicConfigs: %w", err)
		}
		resource, err := found.On(topic, nil)
		if err != nil {
			return false, err
		}
		for _, config := range resource.Configs {
			if config.Key == "delete.retention.ms" && config.MaybeValue() == value {
				return true, nil
			}
		}
		return false, resource.Err
	})
}

func groups(ctx context.Context, adm *kadm.Client, topic, group string) error {
	var committed kadm.Offsets
	committed.Add(kadm.Offset{Topic: topic, Partition: 0, At: 3, LeaderEpoch: -1, Metadata: "here"})
	if err := adm.CommitAllOffsets(ctx, group, committed); err != nil {
		return fmt.Errorf("CommitAllOffsets: %w", err)
	}
	fetched, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return fmt.Errorf("FetchOffsets: %w", err)
	}
	found, exists := fetched.Lookup(topic, 0)
	if !exists || found.At != 3 || found.Metadata != "here" {
		return fmt.Errorf("FetchOffsets: found %+v", found)
	}
	listed, err := adm.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("ListGroups: %w", err)
	}
	if _, exists := listed[group]; !exists {
		return fmt.Errorf("ListGroups lacks %s", group)
	}
	described, err := adm.DescribeGroups(ctx, group)
	if err != nil {
		return fmt.Errorf("DescribeGroups: %w", err)
	}
	if err := equal(described[group].State, "Empty", "DescribeGroups: state"); err != nil {
		return err
	}
	var gone kadm.TopicsSet
	gone.Add(topic, 0)
	deleted, err := adm.DeleteOffsets(ctx, group, gone)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		return fmt.Errorf("DeleteOffsets: %w", err)
	}
	if err := adm.CommitAllOffsets(ctx, group, committed); err != nil {
		return fmt.Errorf("CommitAllOffsets again: %w", err)
	}
	if _, err := adm.DeleteGroup(ctx, group); err != nil {
		return fmt.Errorf("DeleteGroup: %w", err)
	}
	if _, err := adm.DeleteGroup(ctx, group); !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("DeleteGroup twice: %v", err)
	}
	return nil
}
