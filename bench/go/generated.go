package main

import (
	"fmt"
	"strconv"
	"strings"
)

// The input of java/Generated.java, for streams of one phase, COUNTxuniform:KEYS: record seq is a pure function of seq.

const (
	seed  = 20_260_704
	gamma = 0x9E3779B97F4A7C15
)

type stream struct {
	records, keys uint64
	valueBytes    int
}

func parseStream(text, valueBytes string) (stream, error) {
	count, keys, isUniform := strings.Cut(text, "xuniform:")
	bytes, err := strconv.Atoi(valueBytes)
	if err != nil || !isUniform {
		return stream{}, fmt.Errorf("no such stream: %s %s", text, valueBytes)
	}
	parsed := stream{valueBytes: bytes}
	if parsed.records, err = strconv.ParseUint(count, 10, 31); err != nil {
		return parsed, err
	}
	parsed.keys, err = strconv.ParseUint(keys, 10, 31)
	return parsed, err
}

func state(seq uint64) uint64 { return seed + (seq+1)*gamma }

func (s stream) key(seq uint64) uint64 { return mix(state(seq)) % s.keys }

// lastSeqs has for each key the last record that was written, or -1.
func (s stream) lastSeqs() []int32 {
	last := make([]int32, s.keys)
	for key := range last {
		last[key] = -1
	}
	for seq := range s.records {
		last[s.key(seq)] = int32(seq)
	}
	return last
}

func keyText(key uint64) string { return fmt.Sprintf("user-%011d", key) }

func (s stream) value(seq uint64) []byte {
	value := make([]byte, 0, s.valueBytes)
	value = append(value, `{"id":`...)
	value = strconv.AppendUint(value, s.key(seq), 10)
	value = append(value, `,"seq":`...)
	value = strconv.AppendUint(value, seq, 10)
	value = append(value, `,"name":"`...)
	letters := mix(state(seq) ^ seq)
	for left := 12; len(value) < s.valueBytes-2; left-- {
		if left == 0 {
			letters = mix(letters)
			left = 12
		}
		value = append(value, 'a'+byte(letters&31%26))
		letters >>= 5
	}
	return append(value, `"}`...)
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
