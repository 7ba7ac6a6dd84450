// sarama against a broker: sarama BOOTSTRAP [SCENARIO...]. One line per scenario: `ok NAME` or
// `FAILED NAME: why`. Each has topics and groups of its own, so that any of them may run alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// bench is what a scenario gets: where the broker is, and names that no other scenario has.
type bench struct {
	addresses []string
	name      string
	closers   []func() error
}

type scenario struct {
	name string
	run  func(*bench) error
}

func main() {
	sarama.Logger = log.New(io.Discard, "", 0)
	if os.Getenv("SARAMA_LOG") != "" {
		sarama.Logger = log.New(os.Stderr, "", log.Lmicroseconds)
	}
	var scenarios []scenario
	for _, some := range [][]scenario{producing(), consuming(), groups(), transactions(), admin()} {
		scenarios = append(scenarios, some...)
	}
	failed := false
	for _, one := range scenarios {
		if len(os.Args) > 2 && !slices.Contains(os.Args[2:], one.name) {
			continue
		}
		if err := runOne(one, os.Args[1]); err != nil {
			failed = true
			fmt.Printf("FAILED %s: %s\n", one.name, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok", one.name)
		}
	}
	if failed {
		os.Exit(1)
	}
}

func runOne(one scenario, bootstrap string) error {
	b := &bench{addresses: []string{bootstrap}, name: strings.ReplaceAll(one.name, "_", "-")}
	done := make(chan error, 1)
	go func() { done <- one.run(b) }()
	select {
	case err := <-done:
		for _, closer := range slices.Backward(b.closers) {
			err = errors.Join(err, closer())
		}
		return err
	case <-time.After(60 * time.Second):
		return errors.New("not done within 60 s")
	}
}

// config has defaults, but for what a scenario needs to be quick and to see what it did.
func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Return.Successes = true
	c.Consumer.Return.Errors = true
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Retry.Backoff = 200 * time.Millisecond
	c.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	c.Consumer.Group.Session.Timeout = 10 * time.Second
	return c
}

func (b *bench) closeLater(closer func() error) {
	b.closers = append(b.closers, closer)
}

func (b *bench) admin() (sarama.TransactionClusterAdmin, error) {
	made, err := sarama.NewClusterAdmin(b.addresses, config())
	if err != nil {
		return nil, err
	}
	b.closeLater(made.Close)
	return made.(sarama.TransactionClusterAdmin), nil
}

// topic makes a topic, and waits until the broker shows it.
func (b *bench) topic(suffix string, partitions int32, configs map[string]string) (string, error) {
	adm, err := b.admin()
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("sarama-%s-%s", b.name, suffix)
	entries := map[string]*string{}
	for key, value := range configs {
		entries[key] = &value
	}
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: entries}
	if err := adm.CreateTopic(name, detail, false); err != nil {
		return "", fmt.Errorf("CreateTopic: %w", err)
	}
	return name, waitUntil("the topic is there", func() (bool, error) {
		found, err := adm.DescribeTopics([]string{name})
		return err == nil && len(found) == 1 && found[0].Err == sarama.ErrNoError &&
			len(found[0].Partitions) == int(partitions), err
	})
}

func (b *bench) group() string {
	return "sarama-" + b.name + "-group"
}

// produce writes records of these values to one partition, with the value as key as well.
func (b *bench) produce(topic string, partition int32, values ...string) error {
	c := config()
	c.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(b.addresses, c)
	if err != nil {
		return err
	}
	defer producer.Close()
	for _, value := range values {
		message := &sarama.ProducerMessage{Topic: topic, Partition: partition,
			Key: sarama.StringEncoder(value), Value: sarama.StringEncoder(value)}
		if _, _, err := producer.SendMessage(message); err != nil {
			return err
		}
	}
	return nil
}

func numbers(from, to int) []string {
	var made []string
	for i := from; i < to; i++ {
		made = append(made, fmt.Sprintf("value-%04d", i))
	}
	return made
}

func equal[T comparable](found, wanted T, what string) error {
	if found != wanted {
		return fmt.Errorf("%s: found %v, wanted %v", what, found, wanted)
	}
	return nil
}

func isError(found error, wanted sarama.KError, what string) error {
	if !errors.Is(found, wanted) {
		return fmt.Errorf("%s: found %v, wanted %v", what, found, wanted)
	}
	return nil
}

func waitUntil(what string, condition func() (bool, error)) error {
	var last error
	for end := time.Now().Add(25 * time.Second); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		done, err := condition()
		if done {
			return nil
		}
		last = err
	}
	return errors.Join(fmt.Errorf("waited in vain until %s", what), last)
}

// context ends when the scenario is over at the latest.
func (b *bench) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 55*time.Second)
	b.closeLater(func() error {
		cancel()
		return nil
	})
	return ctx
}
