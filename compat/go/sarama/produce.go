package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

var codecs = []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy,
	sarama.CompressionLZ4, sarama.CompressionZSTD}

func producing() []scenario {
	var made []scenario
	for _, codec := range codecs {
		made = append(made,
			scenario{"produce_sync_" + codec.String(), func(b *bench) error { return produceSync(b, codec) }},
			scenario{"produce_async_" + codec.String(), func(b *bench) error { return produceAsync(b, codec) }})
	}
	return append(made,
		scenario{"produce_idempotent", produceIdempotent},
		scenario{"produce_acks_1_and_0", produceAcks},
		scenario{"produce_old_version", produceOldVersion},
		scenario{"produce_tombstones_and_headers", produceTombstones},
		scenario{"produce_keyless_to_compacted_is_refused", produceKeyless},
		scenario{"produce_too_large_is_refused", produceTooLarge})
}

func produceSync(b *bench, codec sarama.CompressionCodec) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	c := config()
	c.Producer.Compression = codec
	producer, err := sarama.NewSyncProducer(b.addresses, c)
	if err != nil {
		return err
	}
	defer producer.Close()
	values := numbers(0, 100)
	for i, value := range values[:10] {
		_, offset, err := producer.SendMessage(message(topic, value))
		if err != nil {
			return err
		}
		if err := equal(offset, int64(i), "acknowledged offset"); err != nil {
			return err
		}
	}
	var rest []*sarama.ProducerMessage
	for _, value := range values[10:] {
		rest = append(rest, message(topic, value))
	}
	if err := producer.SendMessages(rest); err != nil {
		return err
	}
	return b.holds(topic, 0, sarama.ReadUncommitted, values)
}

func message(topic, value string) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(value), Value: sarama.StringEncoder(value)}
}

func produceAsync(b *bench, codec sarama.CompressionCodec) error {
	c := config()
	c.Producer.Compression = codec
	c.Producer.Flush.Frequency = 5 * time.Millisecond
	return produceMany(b, c, 2000)
}

func produceIdempotent(b *bench) error {
	c := config()
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
	return produceMany(b, c, 2000)
}

func produceMany(b *bench, c *sarama.Config, count int) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	producer, err := sarama.NewAsyncProducer(b.addresses, c)
	if err != nil {
		return err
	}
	values := numbers(0, count)
	go func() {
		for _, value := range values {
			producer.Input() <- message(topic, value)
		}
		producer.AsyncClose()
	}()
	acknowledged, errs := 0, producer.Errors()
	for successes := producer.Successes(); successes != nil || errs != nil; {
		select {
		case _, open := <-successes:
			if !open {
				successes = nil
			} else {
				acknowledged++
			}
		case failed, open := <-errs:
			if open {
				err = errors.Join(err, failed)
			} else {
				errs = nil
			}
		}
	}
	if err != nil {
		return err
	}
	if err := equal(acknowledged, count, "acknowledged"); err != nil {
		return err
	}
	return b.holds(topic, 0, sarama.ReadUncommitted, values)
}

func produceAcks(b *bench) error {
	topic, err := b.topic("t", 1, nil)
	if err != nil {
		return err
	}
	values := numbers(0, 20)
	for i, acks := range []sarama.RequiredAcks{sarama.WaitForLocal, sarama.NoResponse} {
		c := config()
		c.Producer.RequiredAcks = acks
		producer, err := sarama.NewSyncProducer(b.addresses, c)
		if err != nil {
			return err
		}
		for _, value := range values[i*10 : i*10+10] {
			if _, _, err := producer.SendMessage(message(topic, value)); err != nil {
				return err
			}
		}
		if err := producer.Close(); err != nil {
			return err
		}
	}
	// acks=0 is not answered: another connection must not write the end before they are there.
	if _, err := b.read(topic, 0, sarama.ReadUncommitted, len(values)); err != nil {
		return err
	}
	return b.holds(topic, 0, sarama.ReadUncommitted, values)
}

// produceOldVersion speaks as a client of Kafka 2.1 does, the oldest that Kafka 4 still serves.
func produceOldVersion(b *bench) error {
	c := config()
	c.Version = sarama.V2_1_0_0
	return produceMany(b, c, 500)
}

func produceTombstones(b *bench) error {
	topic, err := b.topic("t", 1, map[string]string{"cleanup.policy": "compact"})
	if err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducer(b.addresses, config())
	if err != nil {
		return err
	}
	defer producer.Close()
	sent := []*sarama.ProducerMessage{message(topic, "one"),
		{Topic: topic, Key: sarama.StringEncoder("one")},
		{Topic: topic, Key: sarama.StringEncoder("two"), Value: sarama.StringEncoder(""),
			Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte("1")}, {Key: []byte("h"), Value: nil}}}}
	if err := producer.SendMessages(sent); err != nil {
		return err
	}
	found, err := b.read(topic, 0, sarama.ReadUncommitted, 3)
	if err != nil {
		return err
	}
	if found[1].Value != nil {
		return fmt.Errorf("the tombstone came back as %q", found[1].Value)
	}
	if found[2].Value == nil || len(found[2].Value) != 0 {
		return fmt.Errorf("an empty value came back as %v", found[2].Value)
	}
	if len(found[2].Headers) != 2 || !bytes.Equal(found[2].Headers[0].Value, []byte("1")) {
		return fmt.Errorf("headers came back as %v", found[2].Headers)
	}
	return nil
}

func produceKeyless(b *bench) error {
	topic, err := b.topic("t", 1, map[string]string{"cleanup.policy": "compact"})
	if err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducer(b.addresses, config())
	if err != nil {
		return err
	}
	defer producer.Close()
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("no key")})
	return isError(err, sarama.ErrInvalidRecord, "a record without a key")
}

func produceTooLarge(b *bench) error {
	topic, err := b.topic("t", 1, map[string]string{"max.message.bytes": "10000"})
	if err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducer(b.addresses, config())
	if err != nil {
		return err
	}
	defer producer.Close()
	_, _, err = producer.SendMessage(message(topic, strings.Repeat("x", 20_000)))
	return isError(err, sarama.ErrMessageSizeTooLarge, "a record of 20,000 bytes")
}
