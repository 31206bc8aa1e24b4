//go:build !js

package node

import (
	"testing"

	"inos/kernel/api"
)

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
	if q, took := quote(300_000); q.Seen != 1 || q.Gas > took+300_000*guessPerByte {
		t.Errorf("after one run on less, expected %d, took %d", q.Gas, took)
	}
	q, took := quote(3_000_000)
	if q.Seen != 2 || q.Gas < took/2 || q.Gas > took*3/2 {
		t.Errorf("expected %d of %d runs, took %d", q.Gas, q.Seen, took)
	}
}
