package node

import (
	"math"
	"testing"

	"inos/kernel/api"
)

func TestModelGas(t *testing.T) {
	for name, c := range map[string]struct {
		runs []pastRun
		want map[uint64]uint64 // gas by size
	}{
		"a guess":                      {nil, map[uint64]uint64{0: guessGas, 1000: guessGas + 1000*guessPerByte}},
		"no inputs":                    {[]pastRun{{0, 10}, {0, 30}}, map[uint64]uint64{0: 20, 5: 20}},
		"one size":                     {[]pastRun{{100, 500}, {100, 700}}, map[uint64]uint64{1: 600, 100: 600, 1000: 6000}},
		"a fixed part and one by size": {[]pastRun{{100, 1200}, {200, 1400}, {700, 2400}}, map[uint64]uint64{0: 1000, 1000: 3000}},
		"larger ones take less":        {[]pastRun{{100, 900}, {300, 500}}, map[uint64]uint64{0: 700, 1000: 700}},
		"steeper than in proportion":   {[]pastRun{{100, 100}, {300, 900}}, map[uint64]uint64{0: 0, 1000: 2500}},
		"the largest":                  {[]pastRun{{1, math.MaxUint64}}, map[uint64]uint64{math.MaxUint64: 1 << 62}},
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

// TestQuoteLearns compares a quote with what the run then takes: within a half
// once the method ran on other inputs, some of them far smaller.
func TestQuoteLearns(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "alone"})
	quote := func(size int) (api.Quote, uint64) {
		t.Helper()
		obj := put(t, n, "noise", randomBytes(int64(size), size), api.Policy{})
		req := api.RunRequest{Module: "compute", Unit: "hash", Method: "blake3", Inputs: []api.RunInput{{Link: obj.Link}}}
		q, err := n.Quote(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		jobs := runAll(t, n, req)
		if len(jobs) != 1 || jobs[0].Input != uint64(size) || jobs[0].Result.Gas == 0 {
			t.Fatalf("%+v", jobs)
		}
		return q, jobs[0].Result.Gas
	}
	if q, _ := quote(1000); q.Seen != 0 || q.Gas != guessGas+1000*guessPerByte {
		t.Errorf("before any run: %+v", q)
	}
	quote(300_000)
	q, took := quote(3_000_000)
	if q.Seen != 2 || q.Gas < took/2 || q.Gas > took*3/2 {
		t.Errorf("expected %d of %d runs, took %d", q.Gas, q.Seen, took)
	}
}
