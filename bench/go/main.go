// The lookups of bench/run --works lookup: random keys of a generated stream, from Lastword over HTTP and from NATS
// JetStream's key-value store over its own protocol, each by one client that waits for its answer. Every value is compared
// with what was last written.
//
//	lookup serve DIRECTORY PORT                                   a NATS server with JetStream
//	lookup load ADDRESS STREAM VALUE_BYTES                        writes the stream into a bucket of it
//	lookup get nats|http ADDRESS STREAM VALUE_BYTES COUNT CLIENTS present|absent
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// answer gives the value; it is called when the clock has stopped. None: there is no such key.
type answer func() (string, error)

type getter func(key string) (answer, error)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 3 && arguments[0] == "serve":
		return serve(arguments[1], arguments[2])
	case len(arguments) == 4 && arguments[0] == "load":
		input, err := parseStream(arguments[2], arguments[3])
		if err != nil {
			return err
		}
		figures, err := load(arguments[1], input)
		return say(figures, err)
	case len(arguments) == 8 && arguments[0] == "get":
		input, err := parseStream(arguments[3], arguments[4])
		if err != nil {
			return err
		}
		count, err := strconv.Atoi(arguments[5])
		clients, err2 := strconv.Atoi(arguments[6])
		if err = errors.Join(err, err2); err != nil {
			return err
		}
		open := httpGetter
		if arguments[1] == "nats" {
			open = natsGetter
		}
		figures, err := look(open, arguments[2], input, count, clients, arguments[7] == "present")
		return say(figures, err)
	}
	return fmt.Errorf("see the head of main.go")
}

func say(figures map[string]any, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(figures)
}

// httpGetter asks Lastword, through one connection that stays open.
func httpGetter(address string) (getter, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: time.Minute}
	return func(key string) (answer, error) {
		response, err := client.Get("http://" + address + "/v1/topics/bench/keys/" + key)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode == http.StatusNotFound {
			return nil, err
		}
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s", response.Status, body)
		}
		return func() (string, error) {
			var found struct{ Value string }
			err := json.Unmarshal(body, &found)
			return found.Value, err
		}, nil
	}, nil
}

// look times lookups of random keys, those that were written or those that were not. The first of all is told apart.
func look(open func(string) (getter, error), address string, input stream, count, clients int, isPresent bool) (map[string]any, error) {
	last := input.lastSeqs()
	times := make([][]time.Duration, clients)
	failures := make([]error, clients)
	var all sync.WaitGroup
	for client := range clients {
		get, err := open(address)
		if err != nil {
			return nil, err
		}
		random := uint64(client) + 1
		all.Go(func() {
			for len(times[client]) < count/clients && failures[client] == nil {
				random += gamma
				key := mix(random) % input.keys
				if last[key] >= 0 != isPresent {
					continue
				}
				start := time.Now()
				found, err := get(keyText(key))
				times[client] = append(times[client], time.Since(start))
				failures[client] = check(input, key, last[key], found, err)
			}
		})
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	first := times[0][0]
	sorted := slices.Concat(times...)
	slices.Sort(sorted)
	at := func(share float64) float64 {
		return float64(sorted[int(share*float64(len(sorted)-1))].Nanoseconds()) / 1e3
	}
	return map[string]any{
		"lookups": len(sorted), "first_us": float64(first.Nanoseconds()) / 1e3,
		"p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999), "max_us": at(1),
	}, nil
}

func check(input stream, key uint64, seq int32, found answer, err error) error {
	if err != nil {
		return err
	}
	if seq < 0 || found == nil {
		if seq >= 0 || found != nil {
			return fmt.Errorf("%s: found %t, the last record is %d", keyText(key), found != nil, seq)
		}
		return nil
	}
	value, err := found()
	if expected := string(input.value(uint64(seq))); err != nil || value != expected {
		return fmt.Errorf("%s: %q instead of %q, %w", keyText(key), value, expected, err)
	}
	return nil
}
