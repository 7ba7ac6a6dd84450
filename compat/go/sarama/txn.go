package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

func transactions() []scenario {
	return []scenario{
		{"txn_commit_and_abort", commitAndAbort},
		{"txn_old_version", commitAndAbortOld},
		{"txn_offsets", transactionalOffsets},
		{"txn_offsets_with_group_metadata", transactionalOffsetsOfMember},
		{"txn_fencing", fencing},
		{"txn_timeout_aborts", timeoutAborts},
		{"txn_last_stable_offset", lastStableOffset},
		{"txn_described", describedTransactions},
	}
}

// producer has the scenario's transactional id.
func (b *bench) transactional(version sarama.KafkaVersion, timeout time.Duration) (sarama.AsyncProducer, error) {
	c := config()
	c.Version = version
	c.Producer.Idempotent = true
	c.Producer.Transaction.ID = "sarama-" + b.name
	c.Producer.Transaction.Timeout = timeout
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Net.MaxOpenRequests = 1
	return sarama.NewAsyncProducer(b.addresses, c)
}

// write sends values to partition 0 and waits for the answers.
func write(producer sarama.AsyncProducer, topic string, values ...string) error {
	for _, value := range values {
		producer.Input() <- message(topic, value)
	}
	for range values {
		select {
		case <-producer.Successes():
		case failed := <-producer.Errors():
			return failed
		case <-time.After(20 * time.Second):
			return errors.New("no answer to a record within 20 s")
		}
	}
	return nil
}

func commitAndAbort(b *bench) error    { return commitsAndAborts(b, sarama.MaxVersion) }
func commitAndAbortOld(b *bench) error { return commitsAndAborts(b, sarama.V2_1_0_0) }

func commitsAndAborts(b *bench, version sarama.KafkaVersion) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	producer, err := b.transactional(version, time.Minute)
	if err != nil {
		return err
	}
	defer producer.Close()
	var committed, everything []string
	for round := range 6 {
		if err := producer.BeginTxn(); err != nil {
			return fmt.Errorf("BeginTxn: %w", err)
		}
		values := numbers(round*10, round*10+10)
		if err := write(producer, topic, values...); err != nil {
			return err
		}
		everything = append(everything, values...)
		if round%3 == 1 {
			err = producer.AbortTxn()
		} else {
			committed = append(committed, values...)
			err = producer.CommitTxn()
		}
		if err != nil {
			return fmt.Errorf("end of transaction %d: %w", round, err)
		}
	}
	if err := b.holds(topic, 0, sarama.ReadCommitted, committed); err != nil {
		return fmt.Errorf("read_committed: %w", err)
	}
	found, err := b.read(topic, 0, sarama.ReadUncommitted, len(everything))
	if err != nil {
		return fmt.Errorf("read_uncommitted: %w", err)
	}
	for i, wanted := range everything {
		if err := equal(string(found[i].Value), wanted, fmt.Sprintf("read_uncommitted: record %d", i)); err != nil {
			return err
		}
	}
	return nil
}

func transactionalOffsets(b *bench) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	adm, err := b.admin()
	if err != nil {
		return err
	}
	producer, err := b.transactional(sarama.MaxVersion, time.Minute)
	if err != nil {
		return err
	}
	defer producer.Close()
	for _, step := range []struct {
		offset  int64
		commits bool
		wanted  int64
	}{{5, false, -1}, {7, true, 7}, {20, false, 7}, {21, true, 21}} {
		if err := producer.BeginTxn(); err != nil {
			return err
		}
		if err := write(producer, topic, fmt.Sprint(step.offset)); err != nil {
			return err
		}
		offsets := map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: 0, Offset: step.offset, LeaderEpoch: -1}}}
		if err := producer.AddOffsetsToTxn(offsets, b.group()); err != nil {
			return fmt.Errorf("AddOffsetsToTxn: %w", err)
		}
		if step.commits {
			err = producer.CommitTxn()
		} else {
			err = producer.AbortTxn()
		}
		if err != nil {
			return fmt.Errorf("end of the transaction with offset %d: %w", step.offset, err)
		}
		if err := waitUntil(fmt.Sprintf("the committed offset is %d", step.wanted), func() (bool, error) {
			answer, err := adm.ListConsumerGroupOffsets(b.group(), map[string][]int32{topic: {0}})
			if err != nil {
				return false, err
			}
			block := answer.GetBlock(topic, 0)
			return block.Offset == step.wanted, fmt.Errorf("it is %d, %v", block.Offset, block.Err)
		}); err != nil {
			return err
		}
	}
	return nil
}

// etl is a group member that copies ten records, each in a transaction with its offset.
type etl struct {
	bench    *bench
	producer sarama.AsyncProducer
	to       string
	done     chan error
}

func (e *etl) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (e *etl) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (e *etl) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for range 10 {
		one, open := <-claim.Messages()
		if !open {
			return nil
		}
		if err := e.copy(session, one); err != nil {
			e.done <- err
			return err
		}
	}
	e.done <- nil
	return nil
}

func (e *etl) copy(session sarama.ConsumerGroupSession, one *sarama.ConsumerMessage) error {
	if err := e.producer.BeginTxn(); err != nil {
		return err
	}
	if err := write(e.producer, e.to, string(one.Value)); err != nil {
		return err
	}
	metadata := sarama.NewConsumerGroupMetadataFromSession(session, e.bench.group(), nil)
	if err := e.producer.AddMessageToTxnWithGroupMetadata(one, metadata, nil); err != nil {
		return err
	}
	return e.producer.CommitTxn()
}

func transactionalOffsetsOfMember(b *bench) error {
	from, err := b.topic("from", 1, nil)
	if err != nil {
		return err
	}
	to, err := b.topic("to", 1, nil)
	if err != nil {
		return err
	}
	values := numbers(0, 20)
	if err := b.produce(from, 0, values...); err != nil {
		return err
	}
	// Twice ten, by two members one after the other: the second goes on where the first has committed.
	for range 2 {
		producer, err := b.transactional(sarama.MaxVersion, time.Minute)
		if err != nil {
			return err
		}
		c := config()
		c.Consumer.Offsets.AutoCommit.Enable = false
		c.Consumer.IsolationLevel = sarama.ReadCommitted
		group, err := sarama.NewConsumerGroup(b.addresses, b.group(), c)
		if err != nil {
			return err
		}
		e := &etl{bench: b, producer: producer, to: to, done: make(chan error, 1)}
		go func() {
			// It ends with the claim; not having been given one shows below.
			_ = group.Consume(b.context(), []string{from}, e)
		}()
		select {
		case err = <-e.done:
		case <-time.After(20 * time.Second):
			err = errors.New("ten records were not copied in 20 s")
		}
		if err := errors.Join(err, group.Close(), producer.Close()); err != nil {
			return err
		}
	}
	found, err := b.read(to, 0, sarama.ReadCommitted, 20)
	if err != nil {
		return err
	}
	for i, wanted := range values {
		if err := equal(string(found[i].Value), wanted, fmt.Sprintf("copy %d", i)); err != nil {
			return err
		}
	}
	return nil
}

func fencing(b *bench) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	old, err := b.transactional(sarama.MaxVersion, time.Minute)
	if err != nil {
		return err
	}
	if err := errors.Join(old.BeginTxn(), write(old, topic, "of the old")); err != nil {
		return err
	}
	fresh, err := b.transactional(sarama.MaxVersion, time.Minute)
	if err != nil {
		return err
	}
	defer fresh.Close()
	if err := errors.Join(fresh.BeginTxn(), write(fresh, topic, "of the new"), fresh.CommitTxn()); err != nil {
		return err
	}
	err = write(old, topic, "late")
	if !errors.Is(err, sarama.ErrProducerFenced) && !errors.Is(err, sarama.ErrInvalidProducerEpoch) {
		return fmt.Errorf("a record of the fenced producer: %v", err)
	}
	if err := old.CommitTxn(); err == nil {
		return errors.New("the fenced producer could commit")
	}
	_ = old.Close()
	return b.holds(topic, 0, sarama.ReadCommitted, []string{"of the new"})
}

func timeoutAborts(b *bench) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	producer, err := b.transactional(sarama.MaxVersion, time.Second)
	if err != nil {
		return err
	}
	defer producer.Close()
	if err := errors.Join(producer.BeginTxn(), write(producer, topic, "forgotten")); err != nil {
		return err
	}
	// With an open transaction in front nothing behind it is seen by a committed read; in the end it is.
	return b.holds(topic, 0, sarama.ReadCommitted, nil)
}

func lastStableOffset(b *bench) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	adm, err := b.admin()
	if err != nil {
		return err
	}
	producer, err := b.transactional(sarama.MaxVersion, time.Minute)
	if err != nil {
		return err
	}
	defer producer.Close()
	ends := func(level sarama.IsolationLevel) (int64, error) {
		found, err := adm.ListOffsets(map[string]map[int32]int64{topic: {0: sarama.OffsetNewest}},
			&sarama.ListOffsetsOptions{IsolationLevel: level})
		if err != nil {
			return 0, err
		}
		return found[topic][0].Offset, found[topic][0].Err
	}
	both := func(uncommitted, committed int64) error {
		return waitUntil(fmt.Sprintf("the ends are %d and %d", uncommitted, committed), func() (bool, error) {
			one, err := ends(sarama.ReadUncommitted)
			two, other := ends(sarama.ReadCommitted)
			return one == uncommitted && two == committed, errors.Join(err, other, fmt.Errorf("they are %d and %d", one, two))
		})
	}
	return errors.Join(b.produce(topic, 0, numbers(0, 3)...), both(3, 3), producer.BeginTxn(),
		write(producer, topic, numbers(3, 5)...), both(5, 3), producer.CommitTxn(), both(6, 6))
}

func describedTransactions(b *bench) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	adm, err := b.admin()
	if err != nil {
		return err
	}
	producer, err := b.transactional(sarama.MaxVersion, time.Minute)
	if err != nil {
		return err
	}
	defer producer.Close()
	id := "sarama-" + b.name
	state := func(wanted string, partitions int) error {
		return waitUntil("the transaction is "+wanted, func() (bool, error) {
			found, err := adm.DescribeTransactions([]string{id})
			if err != nil {
				return false, err
			}
			one := found[id]
			return one.TransactionState == wanted && len(one.Topics) == partitions, fmt.Errorf("%+v", one)
		})
	}
	if err := errors.Join(producer.BeginTxn(), write(producer, topic, "one"), state("Ongoing", 1)); err != nil {
		return err
	}
	listed, err := adm.ListTransactions([]string{"Ongoing"}, nil, -1)
	if err != nil {
		return fmt.Errorf("ListTransactions: %w", err)
	}
	if !slices.ContainsFunc(listed, func(one sarama.ListTransactionsResponseTransactionState) bool {
		return one.TransactionalID == id && one.TransactionState == "Ongoing"
	}) {
		return fmt.Errorf("ListTransactions lacks %s: %+v", id, listed)
	}
	described, err := adm.DescribeProducers(map[string][]int32{topic: {0}})
	if err != nil {
		return fmt.Errorf("DescribeProducers: %w", err)
	}
	active := described[topic][0].ActiveProducers
	if len(active) != 1 || active[0].CurrentTxnStartOffset != 0 || active[0].LastSequence != 0 {
		return fmt.Errorf("DescribeProducers: %+v", active)
	}
	return errors.Join(producer.CommitTxn(), state("CompleteCommit", 0))
}
