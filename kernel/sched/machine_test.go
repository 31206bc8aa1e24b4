package sched

import (
	"testing"

	"inos/kernel/api"
)

func machine(t *testing.T, cfg Config) *Machine {
	t.Helper()
	cfg.Self = letter("A")
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func jobs(from, n int) []Job {
	out := make([]Job, n)
	for i := range out {
		out[i].Spec.ID = jobID(from + i)
	}
	return out
}

func TestSubmitRefusals(t *testing.T) {
	m := machine(t, Config{MaxJobs: 10})
	m.Step(1, Submit{Batch: batchID(1), Jobs: jobs(1, 5)})
	for _, test := range []struct {
		name string
		ev   Submit
		kind api.Kind
	}{
		{"no jobs", Submit{Batch: batchID(2)}, api.Invalid},
		{"a full table", Submit{Batch: batchID(2), Jobs: jobs(10, 6)}, api.Exhausted},
		{"a batch twice", Submit{Batch: batchID(1), Jobs: jobs(10, 1)}, api.Exists},
		{"a job twice", Submit{Batch: batchID(2), Jobs: jobs(5, 2)}, api.Exists},
		{"twice in one batch", Submit{Batch: batchID(2), Jobs: append(jobs(10, 1), jobs(10, 1)...)}, api.Exists},
		{"no id", Submit{Batch: batchID(2), Jobs: make([]Job, 1)}, api.Invalid},
	} {
		effects := m.Step(2, test.ev)
		if len(effects) != 1 || api.KindOf(effects[0].(Refused).Err) != test.kind {
			t.Errorf("%s: %v", test.name, effects)
		}
		if s := m.Stats(); s.Jobs != 5 || s.Batches != 1 {
			t.Errorf("%s left something: %+v", test.name, s)
		}
	}
}

func TestConfigRefusals(t *testing.T) {
	for _, cfg := range []Config{{}, {Self: letter("A"), Slack: -1}, {Self: letter("A"), MaxFailures: 17}} {
		if _, err := New(cfg); api.KindOf(err) != api.Invalid {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// A short batch does not wait for a long one.
func TestBatchesTakeTurns(t *testing.T) {
	m := machine(t, Config{})
	m.Step(1, Submit{Batch: batchID(1), Jobs: jobs(1, 1000)})
	m.Step(1, Submit{Batch: batchID(2), Jobs: jobs(5000, 1)})
	placed := map[api.ID]bool{}
	for _, e := range m.Step(1, WorkerUpdate{Node: letter("A"), Online: true, Workers: 1}) {
		if d, ok := e.(Dispatch); ok {
			placed[d.Spec.ID] = true
		}
	}
	if !placed[jobID(5000)] || len(placed) != 3 {
		t.Fatalf("placed %d jobs, the short batch's: %v", len(placed), placed[jobID(5000)])
	}
}

// More batches than one Step looks at are all served in the end.
func TestManyBatches(t *testing.T) {
	m := machine(t, Config{})
	for i := range 3 * ringBudget {
		j := jobs(i+1, 1)
		if i < 2*ringBudget {
			j[0].Spec.Node = letter("Z") // never online
		}
		m.Step(1, Submit{Batch: batchID(i), Jobs: j})
	}
	now := int64(1)
	pending := m.Step(now, WorkerUpdate{Node: letter("A"), Online: true, Workers: 4})
	done := 0
	for range 100_000 {
		var results []Finished
		for _, e := range pending {
			if d, ok := e.(Dispatch); ok {
				results = append(results, Finished{d.Attempt, api.JobResult{ID: d.Spec.ID, Worker: d.To}})
			}
			if c, ok := e.(JobChanged); ok && c.State == api.JobDone {
				done++
			}
		}
		for _, r := range results {
			for _, e := range append([]Effect(nil), m.Step(now, r)...) {
				if d, ok := e.(Dispatch); ok {
					results = append(results, Finished{d.Attempt, api.JobResult{ID: d.Spec.ID, Worker: d.To}})
				}
				if c, ok := e.(JobChanged); ok && c.State == api.JobDone {
					done++
				}
			}
			break
		}
		if len(results) > 1 {
			pending = nil
			for _, r := range results[1:] {
				pending = append(pending, m.Step(now, r)...)
			}
			continue
		}
		at, ok := m.Next()
		if !ok {
			break
		}
		now = max(now, at)
		pending = m.Step(now, Tick{})
	}
	if done != ringBudget {
		t.Fatalf("%d of %d jobs done, left %+v", done, ringBudget, m.Stats())
	}
	if s := m.Stats(); s.Jobs != 0 {
		t.Fatalf("pinned jobs wait for ever: %+v", s)
	}
}

// A mesh of the largest size is remembered, and a node more takes the place of
// one that is offline.
func TestWorkerTableIsBounded(t *testing.T) {
	m := machine(t, Config{})
	for i := range api.MaxMembers {
		m.Step(1, WorkerUpdate{Node: nodeID2(i), Online: true, Workers: 1})
	}
	m.Step(1, WorkerUpdate{Node: nodeID2(api.MaxMembers), Online: true, Workers: 1})
	if len(m.workers) != api.MaxMembers {
		t.Fatalf("%d workers", len(m.workers))
	}
	m.Step(1, WorkerLost{nodeID2(0)})
	m.Step(1, WorkerUpdate{Node: nodeID2(api.MaxMembers), Online: true, Workers: 1})
	if len(m.workers) != api.MaxMembers || m.workers[nodeID2(api.MaxMembers)] == nil || len(m.order) != api.MaxMembers {
		t.Fatalf("%d workers, the newest known: %v", len(m.workers), m.workers[nodeID2(api.MaxMembers)] != nil)
	}
}

func nodeID2(n int) (id api.NodeID) { id[0], id[1], id[2] = 7, byte(n>>8), byte(n); return id }
