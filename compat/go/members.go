package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The group of cases/members.py: a member, the one who writes what it reads, and one who watches its offsets.

// events is a file with one line per event, `TIME WHAT PARTITION OFFSET`, written before the next thing happens.
type events struct {
	lock sync.Mutex
	out  *os.File
}

func (e *events) note(what string, partition int32, offset int64) {
	e.lock.Lock()
	defer e.lock.Unlock()
	fmt.Fprintln(e.out, time.Now().UnixNano(), what, partition, offset)
}

// committed notes what a commit was answered, and keeps what failed.
func committed(e *events, failed *error) func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	return func(_ *kgo.Client, asked *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
		if *failed = err; err != nil {
			return
		}
		for t, topic := range answer.Topics {
			for p, partition := range topic.Partitions {
				if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
					*failed = err
				} else {
					e.note("committed", partition.Partition, asked.Topics[t].Partitions[p].Offset)
				}
			}
		}
	}
}

func untilStdinCloses() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx
}

// groupMember reads and commits until stdin closes, then leaves: TOPIC GROUP classic|consumer EVENTS.
func groupMember(_ context.Context, bootstrap string, arguments []string) error {
	ctx := untilStdinCloses()
	topic := arguments[0]
	out, err := os.Create(arguments[3])
	if err != nil {
		return err
	}
	e := &events{out: out}
	note := func(what string, partitions map[string][]int32) {
		for _, partition := range partitions[topic] {
			e.note(what, partition, -1)
		}
	}
	commit := func(ctx context.Context, c *kgo.Client) error {
		var failed error
		c.CommitOffsetsSync(ctx, c.UncommittedOffsets(), committed(e, &failed))
		return failed
	}
	options := []kgo.Opt{kgo.ConsumerGroup(arguments[1]), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.SessionTimeout(6 * time.Second),
		kgo.HeartbeatInterval(500 * time.Millisecond), kgo.FetchMaxWait(200 * time.Millisecond),
		// What a member owns begins before it reads and ends when its last commit is answered.
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			note("assigned", partitions)
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, c *kgo.Client, partitions map[string][]int32) {
			if err := commit(ctx, c); err != nil {
				fmt.Println("commit when revoked:", err)
			}
			note("revoked", partitions)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			note("lost", partitions)
		})}
	if arguments[2] == "consumer" {
		options = append(options, kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer())
	}
	c, err := client(bootstrap, options...)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		fetches := c.PollRecords(ctx, 500)
		for _, failed := range fetches.Errors() {
			if !errors.Is(failed.Err, context.Canceled) {
				fmt.Println("poll:", failed.Err)
			}
		}
		fetches.EachPartition(func(found kgo.FetchTopicPartition) {
			for _, one := range found.Records {
				e.note("read", one.Partition, one.Offset)
			}
		})
		if fetches.NumRecords() > 0 {
			if err := commit(context.Background(), c); err != nil {
				fmt.Println("commit:", err)
			}
		}
		c.AllowRebalance()
	}
	c.CloseAllowingRebalance()
	return nil
}

// groupLoad writes records to all partitions until stdin closes, then prints `PARTITION END` for each: TOPIC.
func groupLoad(_ context.Context, bootstrap string, arguments []string) error {
	ctx := untilStdinCloses()
	c, err := client(bootstrap, kgo.DefaultProduceTopic(arguments[0]), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return err
	}
	defer c.Close()
	number, failures := 0, make(chan error, 1)
	for ctx.Err() == nil {
		for range 5 {
			one := kgo.KeyStringRecord(strconv.Itoa(number), strconv.Itoa(number))
			number++
			c.Produce(context.Background(), one, func(_ *kgo.Record, err error) {
				if err != nil {
					select {
					case failures <- err:
					default:
					}
				}
			})
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := c.Flush(context.Background()); err != nil {
		return err
	}
	select {
	case err := <-failures:
		return fmt.Errorf("a record was not written: %w", err)
	default:
	}
	ends, err := kadm.NewClient(c).ListEndOffsets(context.Background(), arguments[0])
	if err != nil {
		return err
	}
	ends.Each(func(end kadm.ListedOffset) { fmt.Println(end.Partition, end.Offset) })
	return errors.Join(err, ends.Error())
}

// groupWatch asks for the committed offsets until stdin closes; none may go back: GROUP. Prints `asked COUNT`,
// then `PARTITION OFFSET` for each.
func groupWatch(_ context.Context, bootstrap string, arguments []string) error {
	ctx := untilStdinCloses()
	c, err := client(bootstrap)
	if err != nil {
		return err
	}
	defer c.Close()
	adm, last, asked := kadm.NewClient(c), map[int32]int64{}, 0
	ask := func() error {
		found, err := adm.FetchOffsets(context.Background(), arguments[0])
		if err != nil {
			return err
		}
		asked++
		var back error
		there := map[int32]bool{}
		found.Each(func(one kadm.OffsetResponse) {
			there[one.Partition] = true
			if before, known := last[one.Partition]; known && one.At < before {
				back = fmt.Errorf("the committed offset of partition %d went back from %d to %d", one.Partition, before, one.At)
			}
			last[one.Partition] = one.At
		})
		for partition := range last {
			if !there[partition] {
				back = errors.Join(back, fmt.Errorf("the committed offset of partition %d is gone", partition))
			}
		}
		return back
	}
	for ctx.Err() == nil {
		if err := ask(); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := ask(); err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, "asked", asked)
	for partition, offset := range last {
		fmt.Fprintln(out, partition, offset)
	}
	return out.Flush()
}
