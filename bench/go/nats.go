package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const bucket = "bench"

// serve runs a NATS server with JetStream until it is told to stop.
func serve(directory, port string) error {
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	broker, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: number, JetStream: true, StoreDir: directory, NoSigs: true,
	})
	if err != nil {
		return err
	}
	broker.ConfigureLogger()
	broker.Start()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	broker.Shutdown()
	broker.WaitForShutdown()
	return nil
}

// connect waits for the server.
func connect(address string) (jetstream.JetStream, *nats.Conn, error) {
	var err error
	for range 100 {
		var connection *nats.Conn
		if connection, err = nats.Connect("nats://" + address); err == nil {
			js, err := jetstream.New(connection, jetstream.WithPublishAsyncMaxPending(4096))
			return js, connection, err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, nil, err
}

// load writes the stream into a bucket that keeps one value of each key, in a file.
func load(address string, input stream) (map[string]any, error) {
	js, connection, err := connect(address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	config := jetstream.KeyValueConfig{Bucket: bucket, History: 1, Storage: jetstream.FileStorage}
	if _, err = js.CreateKeyValue(context.Background(), config); err != nil {
		return nil, err
	}
	start := time.Now()
	var last jetstream.PubAckFuture
	for seq := range input.records {
		// What Put does, without waiting for each answer.
		subject := "$KV." + bucket + "." + keyText(input.key(seq))
		if last, err = js.PublishAsync(subject, input.value(seq), jetstream.WithStallWait(time.Minute)); err != nil {
			return nil, fmt.Errorf("record %d: %w", seq, err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(10 * time.Minute):
		return nil, errors.New("the records were not acknowledged within ten minutes")
	}
	select {
	case err := <-last.Err():
		return nil, err
	case ack := <-last.Ok():
		if ack.Sequence != input.records {
			return nil, fmt.Errorf("%d records were acknowledged, not %d", ack.Sequence, input.records)
		}
	}
	return map[string]any{"seconds": time.Since(start).Seconds()}, nil
}

// natsGetter looks keys up as an application does.
func natsGetter(address string) (getter, error) {
	js, _, err := connect(address)
	if err != nil {
		return nil, err
	}
	values, err := js.KeyValue(context.Background(), bucket)
	if err != nil {
		return nil, err
	}
	return func(key string) (answer, error) {
		entry, err := values.Get(context.Background(), key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		return func() (string, error) { return string(entry.Value()), nil }, nil
	}, nil
}
