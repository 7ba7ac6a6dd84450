package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The bank of cases/bank.py, which explains it: one of its three writers, and a reader of everything.

const (
	openingShare = 1000
	bankPatience = 90 * time.Second
	// No transfer has such an amount: a sum with it in is wrong.
	nonsense = 1_000_000_007
)

type bank struct {
	bootstrap, balances, ledger string
	writer, accounts            int
	random                      *rand.Rand
	log                         *os.File
	producer                    *kgo.Client
	shares                      map[string]int
	number                      int
}

// bankWrite makes one transaction after another until stdin closes. Arguments:
// BALANCES LEDGER WRITER ACCOUNTS SEED LOG.
func bankWrite(_ context.Context, bootstrap string, arguments []string) error {
	writer, _ := strconv.Atoi(arguments[2])
	accounts, _ := strconv.Atoi(arguments[3])
	seed, _ := strconv.ParseInt(arguments[4], 10, 64)
	var ended atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended.Store(true)
	}()
	b := &bank{bootstrap: bootstrap, balances: arguments[0], ledger: arguments[1], writer: writer,
		accounts: accounts, random: rand.New(rand.NewSource(seed))}
	if err := b.openLog(arguments[5]); err != nil {
		return err
	}
	committed := false
	for !ended.Load() || !committed {
		if b.producer == nil {
			if err := b.recover(); err != nil {
				return err
			}
		}
		fate := b.draw()
		if ended.Load() {
			fate = "commit"
		}
		err := b.transaction(fate)
		if err != nil || fate == "abandon" {
			// What became of it is read from the topic.
			b.producer.Close()
			b.producer = nil
		}
		committed = err == nil && fate == "commit"
	}
	b.producer.Close()
	return nil
}

// openLog appends to what an earlier start has left, and takes up its numbers.
func (b *bank) openLog(path string) error {
	var err error
	if b.log, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		return err
	}
	for lines := bufio.NewScanner(b.log); lines.Scan(); {
		if parts := strings.Fields(lines.Text()); len(parts) == 2 {
			number, _ := strconv.Atoi(parts[1])
			b.number = max(b.number, number)
		}
	}
	return nil
}

func (b *bank) draw() string {
	switch one := b.random.Intn(100); {
	case one < 20:
		return "abort"
	case one < 24:
		return "abandon"
	}
	return "commit"
}

// recover fences whoever wrote before, which ends its transaction, and reads where that left the shares.
func (b *bank) recover() error {
	var last error
	for end := time.Now().Add(bankPatience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if last = b.tryRecover(); last == nil {
			return nil
		}
	}
	return fmt.Errorf("no new start in %v: %w", bankPatience, last)
}

func (b *bank) tryRecover() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	producer, err := client(b.bootstrap, kgo.TransactionalID(fmt.Sprintf("bank-%d", b.writer)),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(15*time.Second),
		kgo.RecordDeliveryTimeout(20*time.Second), kgo.RetryTimeout(20*time.Second), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	shares := map[string]int{}
	if _, _, err = producer.ProducerID(ctx); err == nil {
		err = readTo(ctx, b.bootstrap, b.balances, int32(b.writer), true, func(r *kgo.Record) error {
			var number, step, share int
			var fate string
			if _, err := fmt.Sscan(string(r.Value), &number, &step, &fate, &share); err != nil {
				return err
			}
			shares[string(r.Key)] = share
			return nil
		})
	}
	if err != nil {
		producer.Close()
		return err
	}
	b.producer, b.shares = producer, shares
	return nil
}

// transaction has one to four transfers between two accounts each; the first one opens all accounts.
func (b *bank) transaction(fate string) error {
	b.number++
	if err := b.note("begin"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	if err := b.producer.BeginTransaction(); err != nil {
		return err
	}
	shares, step := map[string]int{}, 0
	for account, share := range b.shares {
		shares[account] = share
	}
	send := func(records ...*kgo.Record) error { return b.producer.ProduceSync(ctx, records...).FirstErr() }
	if len(shares) == 0 {
		fate = "commit"
		for account := range b.accounts {
			name := accountName(account)
			shares[name] = openingShare
			if err := send(b.share(name, step, fate, openingShare)); err != nil {
				return err
			}
			step++
		}
	}
	for range 1 + b.random.Intn(4) {
		from := b.random.Intn(b.accounts)
		to := (from + 1 + b.random.Intn(b.accounts-1)) % b.accounts
		amount := 1 + b.random.Intn(100)
		shares[accountName(from)] -= amount
		shares[accountName(to)] += amount
		wrong := 0
		if fate != "commit" {
			wrong = nonsense
		}
		transfer := &kgo.Record{Topic: b.ledger, Partition: 0, Key: []byte(fmt.Sprint(b.writer)),
			Value: []byte(fmt.Sprintf("%d %d %s %s %s %d", b.number, step, fate, accountName(from),
				accountName(to), amount))}
		// A batch for the giver, one for the taker: what is between is wrong.
		if err := send(b.share(accountName(from), step, fate, shares[accountName(from)]), transfer); err != nil {
			return err
		}
		if err := send(b.share(accountName(to), step, fate, shares[accountName(to)]+wrong)); err != nil {
			return err
		}
		step++
	}
	switch fate {
	case "abandon":
		return nil
	case "abort":
		if err := b.producer.EndTransaction(ctx, kgo.TryAbort); err != nil {
			return err
		}
		return b.note("aborted")
	}
	if err := b.producer.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return err
	}
	b.shares = shares
	return b.note("committed")
}

func (b *bank) share(account string, step int, fate string, share int) *kgo.Record {
	return &kgo.Record{Topic: b.balances, Partition: int32(b.writer), Key: []byte(account),
		Value: []byte(fmt.Sprintf("%d %d %s %d", b.number, step, fate, share))}
}

func (b *bank) note(what string) error {
	_, err := fmt.Fprintln(b.log, what, b.number)
	return err
}

func accountName(number int) string {
	return fmt.Sprintf("account-%02d", number)
}

// readTo gives every record of a partition below its present end, which for committed reads is the
// LastStableOffset.
func readTo(ctx context.Context, bootstrap, topic string, partition int32, committed bool,
	take func(*kgo.Record) error) error {
	level := kgo.ReadUncommitted()
	if committed {
		level = kgo.ReadCommitted()
	}
	// With markers: they are often the last thing below the end.
	reader, err := client(bootstrap, kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return err
	}
	defer reader.Close()
	adm := kadm.NewClient(reader)
	list := adm.ListEndOffsets
	if committed {
		list = adm.ListCommittedOffsets
	}
	ends, err := list(ctx, topic)
	if err != nil {
		return err
	}
	end, known := ends.Lookup(topic, partition)
	if !known || end.Err != nil {
		return errors.Join(fmt.Errorf("no end of %s-%d", topic, partition), end.Err)
	}
	for next := int64(0); next < end.Offset; {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%s-%d below %d of %d: %w", topic, partition, next, end.Offset, err)
		}
		for _, r := range fetches.Records() {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				if err := take(r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// bankRead prints what one reader sees: BALANCES LEDGER WRITERS committed|uncommitted. Lines, sorted:
// `share WRITER ACCOUNT VALUE`, the newest of each account; `transfer WRITER VALUE`; `records COUNT`.
func bankRead(ctx context.Context, bootstrap string, arguments []string) error {
	writers, _ := strconv.Atoi(arguments[2])
	committed := arguments[3] == "committed"
	lines, records := []string{}, 0
	for writer := range int32(writers) {
		newest := map[string]string{}
		if err := readTo(ctx, bootstrap, arguments[0], writer, committed, func(r *kgo.Record) error {
			records++
			newest[string(r.Key)] = string(r.Value)
			return nil
		}); err != nil {
			return err
		}
		for account, value := range newest {
			lines = append(lines, fmt.Sprintf("share %d %s %s", writer, account, value))
		}
	}
	if err := readTo(ctx, bootstrap, arguments[1], 0, committed, func(r *kgo.Record) error {
		records++
		lines = append(lines, fmt.Sprintf("transfer %s %s", r.Key, r.Value))
		return nil
	}); err != nil {
		return err
	}
	sort.Strings(lines)
	fmt.Println(strings.Join(lines, "\n"))
	fmt.Println("records", records)
	return nil
}
