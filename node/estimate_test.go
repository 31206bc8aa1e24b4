package node

import (
	"math"
	"testing"
)

func TestModelGas(t *testing.T) {
	for name, c := range map[string]struct {
		runs []pastRun
		want map[uint64]uint64 // gas by size
	}{
		"a guess":                       {nil, map[uint64]uint64{0: guessGas, 1000: guessGas + 1000*guessPerByte}},
		"no inputs":                     {[]pastRun{{0, 10}, {0, 30}}, map[uint64]uint64{0: 20, 5: 20}},
		"one size":                      {[]pastRun{{100, 500}, {100, 700}}, map[uint64]uint64{1: 600, 100: 600, 1000: 6000}},
		"one size, mostly a fixed part": {[]pastRun{{10, 20_000}}, map[uint64]uint64{1: 20_000, 10: 20_000, 1010: 20_000 + 1000*guessPerByte}},
		"a fixed part and one by size":  {[]pastRun{{100, 1200}, {200, 1400}, {700, 2400}}, map[uint64]uint64{0: 1000, 1000: 3000}},
		"larger ones take less":         {[]pastRun{{100, 900}, {300, 500}}, map[uint64]uint64{0: 700, 1000: 700}},
		"steeper than in proportion":    {[]pastRun{{100, 100}, {300, 900}}, map[uint64]uint64{0: 0, 1000: 2500}},
		"the largest":                   {[]pastRun{{1, math.MaxUint64}}, map[uint64]uint64{math.MaxUint64: 1 << 62}},
	} {
		m := modelGas(c.runs)
		if m.seen != len(c.runs) {
			t.Errorf("%s: seen %d", name, m.seen)
		}
		for size, want := range c.want {
			if got := m.of(size); got != want {
				t.Errorf("%s: %d bytes take %d, want %d", name, size, got, want)
			}
		}
	}
}
