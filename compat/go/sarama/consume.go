package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

func consuming() []scenario {
	return []scenario{
		{"consume_from_an_offset", consumeFromOffset},
		{"consume_newest", consumeNewest},
		{"consume_out_of_range", consumeOutOfRange},
		{"consume_offsets_by_time", consumeByTime},
		{"offset_manager", offsetManager},
		{"offset_manager_old_version", offsetManagerOld},
	}
}

// read gives the first records of a partition.
func (b *bench) read(topic string, partition int32, level sarama.IsolationLevel, count int) ([]*sarama.ConsumerMessage, error) {
	return b.readFrom(topic, partition, level, sarama.OffsetOldest, count)
}

func (b *bench) readFrom(topic string, partition int32, level sarama.IsolationLevel, from int64, count int) (
	[]*sarama.ConsumerMessage, error) {
	c := config()
	c.Consumer.IsolationLevel = level
	consumer, err := sarama.NewConsumer(b.addresses, c)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	reading, err := consumer.ConsumePartition(topic, partition, from)
	if err != nil {
		return nil, err
	}
	defer reading.AsyncClose()
	var found []*sarama.ConsumerMessage
	end := time.After(20 * time.Second)
	for len(found) < count {
		select {
		case one := <-reading.Messages():
			found = append(found, one)
		case failed := <-reading.Errors():
			return nil, failed
		case <-end:
			return nil, fmt.Errorf("read %d of %d records in 20 s", len(found), count)
		}
	}
	return found, nil
}

// holds is about a whole partition: these values in this order, and then one more that is written now.
func (b *bench) holds(topic string, partition int32, level sarama.IsolationLevel, values []string) error {
	if err := b.produce(topic, partition, "the end"); err != nil {
		return err
	}
	found, err := b.read(topic, partition, level, len(values)+1)
	if err != nil {
		return err
	}
	for i, wanted := range append(values[:len(values):len(values)], "the end") {
		if err := equal(string(found[i].Value), wanted, fmt.Sprintf("record %d", i)); err != nil {
			return err
		}
	}
	return nil
}

func consumeFromOffset(b *bench) error {
	topic, err := b.topic("t", 2, nil)
	if err != nil {
		return err
	}
	if err := b.produce(topic, 1, numbers(0, 50)...); err != nil {
		return err
	}
	found, err := b.readFrom(topic, 1, sarama.ReadUncommitted, 42, 8)
	if err != nil {
		return err
	}
	return errors.Join(equal(found[0].Offset, 42, "first offset"),
		equal(string(found[7].Value), "value-0049", "last value"))
}

func consumeNewest(b *bench) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	if err := b.produce(topic, 0, numbers(0, 10)...); err != nil {
		return err
	}
	consumer, err := sarama.NewConsumer(b.addresses, config())
	if err != nil {
		return err
	}
	defer consumer.Close()
	reading, err := consumer.ConsumePartition(topic, 0, sarama.OffsetNewest)
	if err != nil {
		return err
	}
	defer reading.AsyncClose()
	if err := b.produce(topic, 0, "new"); err != nil {
		return err
	}
	select {
	case one := <-reading.Messages():
		return errors.Join(equal(string(one.Value), "new", "value"), equal(one.Offset, 10, "offset"),
			equal(reading.HighWaterMarkOffset(), 11, "HighWaterMarkOffset"))
	case failed := <-reading.Errors():
		return failed
	case <-time.After(20 * time.Second):
		return errors.New("nothing was read in 20 s")
	}
}

func consumeOutOfRange(b *bench) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	consumer, err := sarama.NewConsumer(b.addresses, config())
	if err != nil {
		return err
	}
	defer consumer.Close()
	_, err = consumer.ConsumePartition(topic, 0, 1000)
	return isError(err, sarama.ErrOffsetOutOfRange, "offset 1000 of an empty partition")
}

func consumeByTime(b *bench) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducer(b.addresses, config())
	if err != nil {
		return err
	}
	defer producer.Close()
	start := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for i := range 10 {
		one := message(topic, fmt.Sprint(i))
		one.Timestamp = start.Add(time.Duration(i) * time.Minute)
		if _, _, err := producer.SendMessage(one); err != nil {
			return err
		}
	}
	client, err := sarama.NewClient(b.addresses, config())
	if err != nil {
		return err
	}
	defer client.Close()
	for _, asked := range []struct{ time, wanted int64 }{
		{start.UnixMilli(), 0}, {start.Add(4*time.Minute - time.Millisecond).UnixMilli(), 4},
		{start.Add(9 * time.Minute).UnixMilli(), 9}, {sarama.OffsetOldest, 0}, {sarama.OffsetNewest, 10}} {
		found, err := client.GetOffset(topic, 0, asked.time)
		if err != nil {
			return err
		}
		if err := equal(found, asked.wanted, fmt.Sprintf("GetOffset(%d)", asked.time)); err != nil {
			return err
		}
	}
	return nil
}

func offsetManager(b *bench) error {
	return manageOffsets(b, sarama.MaxVersion)
}

func offsetManagerOld(b *bench) error {
	return manageOffsets(b, sarama.V2_1_0_0)
}

func manageOffsets(b *bench, version sarama.KafkaVersion) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	c := config()
	c.Version = version
	for _, step := range []struct{ found, mark int64 }{{sarama.OffsetOldest, 7}, {7, 3}, {7, 12}, {12, 12}} {
		client, err := sarama.NewClient(b.addresses, c)
		if err != nil {
			return err
		}
		manager, err := sarama.NewOffsetManagerFromClient(b.group(), client)
		if err != nil {
			return err
		}
		partition, err := manager.ManagePartition(topic, 0)
		if err != nil {
			return err
		}
		next, metadata := partition.NextOffset()
		if err := equal(next, step.found, "NextOffset"); err != nil {
			return err
		}
		if next >= 0 {
			if err := equal(metadata, "noted", "metadata"); err != nil {
				return err
			}
		}
		partition.MarkOffset(step.mark, "noted")
		manager.Commit()
		if err := errors.Join(partition.Close(), manager.Close(), client.Close()); err != nil {
			return err
		}
	}
	return nil
}
