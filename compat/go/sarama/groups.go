package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"
)

func groups() []scenario {
	strategies := []struct {
		name string
		make func() sarama.BalanceStrategy
	}{
		{"range", sarama.NewBalanceStrategyRange},
		{"roundrobin", sarama.NewBalanceStrategyRoundRobin},
		{"sticky", sarama.NewBalanceStrategySticky},
		{"cooperative_sticky", sarama.NewBalanceStrategyCooperativeSticky},
	}
	var made []scenario
	for _, strategy := range strategies {
		made = append(made, scenario{"group_" + strategy.name, func(b *bench) error {
			return share(b, sarama.MaxVersion, strategy.make)
		}})
	}
	return append(made,
		scenario{"group_old_version", func(b *bench) error {
			return share(b, sarama.V2_1_0_0, sarama.NewBalanceStrategyRange)
		}},
		scenario{"group_static_member_comes_back", staticMember})
}

// member is one consumer of a group: what it owns and what it has read.
type member struct {
	group  sarama.ConsumerGroup
	cancel context.CancelFunc
	ended  chan struct{}
	lock   sync.Mutex
	owned  map[int32]bool
	values map[string]int
	id     string
	errs   error
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.id = session.MemberID()
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	m.note(func() { m.owned[claim.Partition()] = true })
	defer m.note(func() { delete(m.owned, claim.Partition()) })
	for {
		select {
		case one, open := <-claim.Messages():
			if !open {
				return nil
			}
			m.note(func() { m.values[string(one.Value)]++ })
			session.MarkMessage(one, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *member) note(change func()) {
	m.lock.Lock()
	defer m.lock.Unlock()
	change()
}

func (m *member) state() (partitions, values int, err error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	return len(m.owned), len(m.values), m.errs
}

func (b *bench) join(topic string, c *sarama.Config) (*member, error) {
	group, err := sarama.NewConsumerGroup(b.addresses, b.group(), c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{group: group, cancel: cancel, ended: make(chan struct{}), owned: map[int32]bool{},
		values: map[string]int{}}
	go func() {
		for failed := range group.Errors() {
			m.note(func() { m.errs = errors.Join(m.errs, failed) })
		}
	}()
	go func() {
		defer close(m.ended)
		for ctx.Err() == nil {
			if err := group.Consume(ctx, []string{topic}, m); err != nil {
				m.note(func() { m.errs = errors.Join(m.errs, err) })
				return
			}
		}
	}()
	return m, nil
}

func (m *member) leave() error {
	m.cancel()
	<-m.ended
	return m.group.Close()
}

// share lets two members share four partitions and leave, and a third resume at their commits.
func share(b *bench, version sarama.KafkaVersion, strategy func() sarama.BalanceStrategy) error {
	topic, err := b.topic("t", 4, nil)
	if err != nil {
		return err
	}
	joined := func() (*member, error) {
		c := config()
		c.Version = version
		c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy()}
		return b.join(topic, c)
	}
	first, err := joined()
	if err != nil {
		return err
	}
	if err := waitUntil("one member has four partitions", func() (bool, error) {
		owned, _, err := first.state()
		return owned == 4, err
	}); err != nil {
		return err
	}
	second, err := joined()
	if err != nil {
		return err
	}
	if err := waitUntil("two members have two partitions each", func() (bool, error) {
		one, _, err := first.state()
		two, _, other := second.state()
		return one == 2 && two == 2, errors.Join(err, other)
	}); err != nil {
		return err
	}
	for partition := range int32(4) {
		if err := b.produce(topic, partition, numbers(int(partition)*25, int(partition)*25+25)...); err != nil {
			return err
		}
	}
	if err := waitUntil("both have read 100 values", func() (bool, error) {
		_, one, err := first.state()
		_, two, other := second.state()
		return one+two == 100, errors.Join(err, other)
	}); err != nil {
		return err
	}
	if err := errors.Join(first.leave(), second.leave()); err != nil {
		return fmt.Errorf("leaving: %w", err)
	}
	for _, m := range []*member{first, second} {
		for value, times := range m.values {
			if err := equal(times, 1, "times that "+value+" was read"); err != nil {
				return err
			}
		}
	}
	if err := b.produce(topic, 3, numbers(100, 110)...); err != nil {
		return err
	}
	third, err := joined()
	if err != nil {
		return err
	}
	if err := waitUntil("a new member has read 10", func() (bool, error) {
		owned, read, err := third.state()
		return owned == 4 && read >= 10, err
	}); err != nil {
		return err
	}
	_, read, _ := third.state()
	return errors.Join(equal(read, 10, "values read after the commits"), third.leave())
}

// staticMember goes away without leaving and is back within its session: nobody rebalances, and it has a new
// member id and the same partitions.
func staticMember(b *bench) error {
	topic, err := b.topic("t", 4, nil)
	if err != nil {
		return err
	}
	joined := func(instance string) (*member, error) {
		c := config()
		c.Consumer.Group.InstanceId = instance
		return b.join(topic, c)
	}
	one, err := joined("instance-1")
	if err != nil {
		return err
	}
	two, err := joined("instance-2")
	if err != nil {
		return err
	}
	sharing := func(a *member) error {
		return waitUntil("two static members have two partitions each", func() (bool, error) {
			first, _, err := a.state()
			second, _, other := two.state()
			return first == 2 && second == 2, errors.Join(err, other)
		})
	}
	if err := sharing(one); err != nil {
		return err
	}
	adm, err := b.admin()
	if err != nil {
		return err
	}
	before, two_before := one.id, two.id
	// A static member does not leave when it closes.
	if err := one.leave(); err != nil {
		return err
	}
	if one, err = joined("instance-1"); err != nil {
		return err
	}
	if err := sharing(one); err != nil {
		return err
	}
	if one.id == before {
		return fmt.Errorf("the member id is still %s", before)
	}
	if err := equal(two.id, two_before, "member id of the other"); err != nil {
		return err
	}
	if err := errors.Join(one.leave(), two.leave()); err != nil {
		return err
	}
	answer, err := adm.RemoveMemberFromConsumerGroup(b.group(), []string{"instance-1", "instance-2"})
	if err != nil {
		return fmt.Errorf("RemoveMemberFromConsumerGroup: %w", err)
	}
	for _, m := range answer.Members {
		if m.Err != sarama.ErrNoError {
			return fmt.Errorf("RemoveMemberFromConsumerGroup: %s: %w", *m.GroupInstanceId, m.Err)
		}
	}
	return waitUntil("the group is empty", func() (bool, error) {
		found, err := adm.DescribeConsumerGroups([]string{b.group()})
		return err == nil && found[0].State == "Empty", err
	})
}
