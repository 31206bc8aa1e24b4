//go:build !js

package node

import (
	"context"
	"slices"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
)

// A node that offers no workers says so to the others, refuses jobs that come all
// the same, and still runs its own.
func TestANodeThatOffersNothingRunsItsOwnJobsAlone(t *testing.T) {
	nodes := startMesh(t, 2)
	payer, worker := nodes[0], nodes[1]
	seen := func() uint16 {
		for _, p := range payer.peerRows() {
			if p.Node == worker.id.ID() {
				return p.Workers
			}
		}
		return 0
	}
	d := paidDispatch(t, payer, worker, escrowSlack*2)
	worker.Offer(0)
	waitFor(t, "the payer to learn of it", func() bool { return seen() == 0 })
	if r := worker.worker.run(t.Context(), d); r.Kind != api.Unavailable || r.Message == "" {
		t.Errorf("a job of another: %s: %s", r.Kind, r.Message)
	}
	own := api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop"}
	jobs, err := worker.plan(t.Context(), api.RandomID(), own)
	if err != nil {
		t.Fatal(err)
	}
	if r := worker.worker.run(t.Context(), api.Dispatch{Spec: jobs[0].Spec, Attempt: 1}); r.Kind != 0 || r.Message != "" {
		t.Errorf("its own job: %s: %s", r.Kind, r.Message)
	}
	worker.Offer(1 << 20)
	if worker.Offered() != worker.cfg.Workers {
		t.Error("it offers more than it has")
	}
	waitFor(t, "the payer to learn of it again", func() bool { return int(seen()) == worker.cfg.Workers })
	own.Node = worker.member.Name
	if j := runAll(t, payer, own)[0]; j.State != api.JobDone {
		t.Errorf("afterwards: %s: %s", j.State, j.Result.Message)
	}
}

// As many jobs of others run at once as the node offers, and its own besides.
func TestANodeRunsNoMoreJobsOfOthersThanItOffers(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "n0", Workers: 3})
	w := n.worker
	n.Offer(1)
	next := byte(0)
	admit := func(payer api.NodeID, wait time.Duration) (attemptOf, error) {
		next++
		key := attemptOf{job: api.ID{next}, attempt: 1}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		return key, w.admit(ctx, api.JobSpec{ID: key.job, Payer: payer}, key)
	}
	const short, long = 50 * time.Millisecond, 10 * time.Second
	first, err := admit(api.NodeID{1}, long)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admit(api.NodeID{2}, short); api.KindOf(err) != api.Timeout {
		t.Fatalf("a second job of others: %v", err)
	}
	for range 3 {
		if _, err := admit(n.id.ID(), long); err != nil {
			t.Fatalf("its own: %v", err)
		}
	}
	waiting := make(chan error, 1)
	go func() {
		key := attemptOf{job: api.ID{99}, attempt: 1}
		waiting <- w.admit(t.Context(), api.JobSpec{ID: key.job, Payer: api.NodeID{2}}, key)
	}()
	waitFor(t, "the job to wait", func() bool { return w.load() == 5 })
	n.Offer(2) // a place for the one that waits, and for no other
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	if _, err := admit(api.NodeID{1}, short); api.KindOf(err) != api.Timeout {
		t.Fatalf("a third job of others: %v", err)
	}
	w.leave(first, time.Now())
	if _, err := admit(api.NodeID{1}, long); err != nil {
		t.Fatal(err)
	}
}

// recorder notes the shares that guests are called with.
type recorder struct {
	module.Module
	shares []float64
}

func (r *recorder) Call(ctx context.Context, c module.Call) (module.Result, error) {
	r.shares = append(r.shares, c.Share)
	return r.Module.Call(ctx, c)
}

// Jobs of others rest, the node's own do not.
func TestOnlyJobsOfOthersAreThrottled(t *testing.T) {
	nodes := startMesh(t, 2)
	payer, worker := nodes[0], nodes[1]
	run := func(d api.Dispatch) {
		t.Helper()
		if r := worker.worker.run(t.Context(), d); r.Kind != 0 || r.Message != "" {
			t.Fatalf("%s: %s", r.Kind, r.Message)
		}
	}
	d := paidDispatch(t, payer, worker, escrowSlack*2)
	run(d) // loads the module
	rec := &recorder{Module: worker.worker.loaded[d.Spec.Module]}
	worker.worker.loaded[d.Spec.Module] = rec
	worker.Throttle(0.3)
	run(paidDispatch(t, payer, worker, escrowSlack*2))
	jobs, err := worker.plan(t.Context(), api.RandomID(), api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop"})
	if err != nil {
		t.Fatal(err)
	}
	run(api.Dispatch{Spec: jobs[0].Spec, Attempt: 1})
	worker.Throttle(0)
	run(paidDispatch(t, payer, worker, escrowSlack*2))
	if want := []float64{0.3, 0, 0}; !slices.Equal(rec.shares, want) {
		t.Errorf("guests ran with shares %v, want %v", rec.shares, want)
	}
}

// What a node offers to others does not bind its own scheduler: its jobs run on
// it, named or not, and the quote says that they are free here.
func TestOwnJobsAreScheduledHereWhateverIsOffered(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "tab"})
	n.Offer(0)
	waitFor(t, "the announcement", func() bool { return n.peerRows()[0].Workers == 0 })
	for _, pin := range []string{"", "tab"} {
		req := api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop", Node: pin}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := n.Run(ctx, req, func(j api.Job) error {
			if j.State.Final() && (j.State != api.JobDone || j.Result.Worker != n.id.ID()) {
				t.Errorf("pinned to %q: %s on %s: %s", pin, j.State, j.Result.Worker, j.Result.Message)
			}
			return nil
		})
		if err != nil {
			t.Errorf("pinned to %q: %v", pin, err)
		}
		if q, err := n.Quote(t.Context(), req); err != nil || !q.FreeHere {
			t.Errorf("pinned to %q, the quote: %+v, %v", pin, q, err)
		}
	}
}
