//go:build !js

package node

import (
	"bytes"
	"testing"
	"time"

	"inos/host/wasm"
	"inos/kernel/api"
	"inos/kernel/sched"
)

// running is how many guests run on the worker.
func (w *worker) running() int { return w.engine.(*wasm.Engine).Running() }

func stopOf(worker *Node, job api.ID) sched.Stop {
	return sched.Stop{To: worker.id.ID(), Job: job, Attempt: 1}
}

// endless is a run that spins on a node until it is stopped.
func endless(t testing.TB, payer, worker *Node) api.RunRequest {
	t.Helper()
	info, err := payer.ModuleAdd(t.Context(), bytes.NewReader(probe(t)))
	if err != nil {
		t.Fatal(err)
	}
	return api.RunRequest{
		Module: info.Hash.String(), Unit: "test", Method: "loop", Node: worker.member.Name,
		Limits: api.Limits{WallMS: 60_000, Gas: 100 * api.Ggas},
	}
}

// begin starts a run of one job and returns its id, when known, and its end.
func begin(t testing.TB, n *Node, req api.RunRequest) (id api.ID, end chan api.Job) {
	t.Helper()
	ids, end := make(chan api.ID, 1), make(chan api.Job, 1)
	go func() {
		seen := false
		_ = n.Run(t.Context(), req, func(j api.Job) error {
			if !seen {
				seen = true
				ids <- j.Spec.ID
			}
			if j.State.Final() {
				end <- j
			}
			return nil
		})
	}()
	select {
	case id = <-ids:
	case <-time.After(20 * time.Second):
		t.Fatal("the run does not begin")
	}
	return id, end
}

func ended(t testing.TB, end chan api.Job) api.Job {
	t.Helper()
	select {
	case j := <-end:
		return j
	case <-time.After(20 * time.Second):
		t.Fatal("the run does not end")
	}
	return api.Job{}
}

// noEscrowsOf waits until the ledger holds none of a payer: what was not earned
// went back.
func noEscrowsOf(t testing.TB, payer *Node) {
	t.Helper()
	waitFor(t, "escrows to close", func() bool {
		open, err := payer.books.Escrows(t.Context(), api.EscrowQuery{Payer: payer.id.ID(), Limit: 1})
		return err == nil && len(open) == 0
	})
}

// Stopping a job whose guest runs on another node stops it there within 100 ms,
// frees its place, and returns the escrow without waiting for its expiry.
func TestStopReachesARemoteGuest(t *testing.T) {
	nodes := startMesh(t, 2)
	payer, w := nodes[0], nodes[1].worker
	req := endless(t, payer, nodes[1])
	best := time.Hour
	for range 5 { // the shortest of several: the machine may be busy with other tests
		id, end := begin(t, payer, req)
		waitFor(t, "the guest to run", func() bool { return w.running() == 1 })
		asked := time.Now()
		if err := payer.JobCancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		for w.running() > 0 || w.load() > 0 {
			if time.Since(asked) > 20*time.Second {
				t.Fatal("the guest runs on")
			}
			time.Sleep(time.Millisecond)
		}
		best = min(best, time.Since(asked))
		if j := ended(t, end); j.State != api.JobStopped || j.Result.Kind != api.Canceled {
			t.Errorf("the job is %s: %s", j.State, j.Result.Message)
		}
	}
	if best > 100*time.Millisecond {
		t.Errorf("the guest stopped after %s, want at most 100 ms", best)
	}
	noEscrowsOf(t, payer)
	if rep, err := payer.Credits(t.Context(), api.CreditsFilter{Cause: "settle"}); err != nil || len(rep.Entries) != 0 {
		t.Errorf("stopped jobs were paid: %+v, %v", rep.Entries, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.stops) != 0 {
		t.Errorf("%d attempts can still be stopped", len(w.stops))
	}
}

// A job can be stopped while it waits for its turn and while it waits for its
// input; one that runs beside it goes on.
func TestStopBeforeTheGuestRuns(t *testing.T) {
	nodes := startMesh(t, 3)
	payer, w := nodes[0], nodes[1].worker
	obj := put(t, payer, "in", []byte("input"), api.Policy{})
	if err := w.inputs.Acquire(t.Context(), maxInputs); err != nil {
		t.Fatal(err)
	}
	id, end := begin(t, payer, api.RunRequest{
		Module: "compute", Unit: "hash", Method: "blake3", Inputs: []api.RunInput{{Link: obj.Link}}, Node: "n1",
	})
	waitFor(t, "the job to wait for its input", func() bool { return w.load() == 1 })
	if err := payer.JobCancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if j := ended(t, end); j.State != api.JobStopped {
		t.Errorf("waiting for its input: %s", j.State)
	}
	waitFor(t, "its place to be free", func() bool { return w.load() == 0 })
	w.inputs.Release(maxInputs)

	id, end = begin(t, payer, full(t, nodes[2], nodes[1]))
	waitFor(t, "the job to queue", func() bool { return w.load() == 2*nodes[1].cfg.Workers+1 })
	if err := payer.JobCancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if j := ended(t, end); j.State != api.JobStopped {
		t.Errorf("in the queue: %s", j.State)
	}
	waitFor(t, "the queue to shrink", func() bool { return w.load() == 2*nodes[1].cfg.Workers })
	noEscrowsOf(t, payer)
}

// full takes every place of a worker with endless jobs of a payer, until the
// test ends, and returns a request for one more.
func full(t testing.TB, payer, worker *Node) api.RunRequest {
	t.Helper()
	req := endless(t, payer, worker)
	for range 2 * worker.cfg.Workers {
		begin(t, payer, req) // the end of t's context ends it
	}
	waitFor(t, "every place to be taken", func() bool { return worker.worker.load() == 2*worker.cfg.Workers })
	return req
}

// Nobody stops another's job.
func TestStopIsThePayers(t *testing.T) {
	nodes := startMesh(t, 3)
	id, end := begin(t, nodes[0], endless(t, nodes[0], nodes[1]))
	waitFor(t, "the guest to run", func() bool { return nodes[1].worker.running() == 1 })
	d := nodes[2].jobs
	d.askStop(flight{ctx: t.Context(), cancel: func() {}}, stopOf(nodes[1], id))
	if nodes[1].worker.running() != 1 {
		t.Error("a stranger stopped the job")
	}
	if err := nodes[0].JobCancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	ended(t, end)
}

// A deadline ends a job in the guest and in the queue with Timeout; what it did
// not use goes back, and one that has passed is refused before anything is paid.
func TestDeadlinesOnAWorker(t *testing.T) {
	nodes := startMesh(t, 3)
	payer, w := nodes[0], nodes[1].worker
	req := endless(t, payer, nodes[1])
	req.Deadline = time.Now().Add(-time.Second).UnixMilli()
	if err := payer.Run(t.Context(), req, func(api.Job) error { return nil }); api.KindOf(err) != api.Timeout {
		t.Errorf("a deadline that has passed: %v", err)
	}
	req.Deadline = time.Now().Add(500 * time.Millisecond).UnixMilli()
	if j := runAll(t, payer, req)[0]; j.Result.Kind != api.Timeout {
		t.Errorf("in the guest: %s: %s", j.Result.Kind, j.Result.Message)
	}
	waitFor(t, "the guest to stop", func() bool { return w.running() == 0 && w.load() == 0 })
	noEscrowsOf(t, payer)
	req = full(t, nodes[2], nodes[1])
	req.Deadline = time.Now().Add(time.Second).UnixMilli()
	_, end := begin(t, payer, req)
	if j := ended(t, end); j.State != api.JobFailed || j.Result.Kind != api.Timeout || j.Price != 0 {
		t.Errorf("in the queue: %s: %s for %s: %s", j.State, j.Result.Kind, j.Price, j.Result.Message)
	}
	waitFor(t, "the queue to drop it", func() bool { return w.load() == 2*nodes[1].cfg.Workers })
	noEscrowsOf(t, payer)
}
