//go:build !js

package node

import (
	"errors"
	"strings"
	"testing"

	"inos/kernel/api"
)

func checkOf(t *testing.T, n *Node, name string) api.Check {
	t.Helper()
	checks, err := n.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatal("no check is called", name)
	return api.Check{}
}

// The doctor runs a module and leaves no trace of it: no job, no event.
func TestDoctorIsNoJob(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "n"})
	for range 3 {
		if c := checkOf(t, n, "modules"); c.State != api.CheckOK || !strings.HasPrefix(c.Detail, "a module ran on ") {
			t.Errorf("the doctor says %+v", c)
		}
	}
	if done, failed := n.metrics.jobsDone.Load(), n.metrics.jobsFailed.Load(); done+failed != 0 {
		t.Errorf("%d jobs done and %d failed by the doctor", done, failed)
	}
	page, err := n.Jobs(t.Context(), api.JobFilter{})
	if err != nil || len(page.Jobs) != 0 {
		t.Errorf("the history has %+v, %v", page.Jobs, err)
	}
	// The first job that the log and the history tell of is the owner's.
	job := runAll(t, n, api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop"})[0].Spec.ID
	if page, err := n.Jobs(t.Context(), api.JobFilter{}); err != nil || len(page.Jobs) != 1 || page.Jobs[0].Spec.ID != job {
		t.Errorf("after one job the history has %+v, %v", page.Jobs, err)
	}
	found := errors.New("found")
	err = n.Events(t.Context(), 0, func(e api.Event) error {
		if !strings.HasPrefix(e.Type, "job:run:") {
			return nil
		}
		if e.Subject != job.String() {
			t.Errorf("the log tells of %s %s", e.Type, e.Subject)
		}
		return found
	})
	if !errors.Is(err, found) {
		t.Error(err)
	}
}

// The ledger's check names everything that it adds up, as inos credits lists it.
func TestDoctorCountsWhatItAddsUp(t *testing.T) {
	n := startMesh(t, 2)[0]
	c := checkOf(t, n, "ledger")
	if c.State != api.CheckOK || !strings.HasPrefix(c.Detail, "the balances of the treasury, 2 nodes and escrow add up") {
		t.Errorf("the doctor says %+v", c)
	}
}
