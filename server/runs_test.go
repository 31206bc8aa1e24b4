package server_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"inos/client"
	"inos/kernel/api"
	"inos/server"
	"inos/server/servertest"
)

func TestRunCancelsWhenTheCallerLeaves(t *testing.T) {
	fake, _, c := start(t)
	stop := errors.New("enough")
	req := api.RunRequest{Module: "m", Unit: "u", Method: "block"}
	if err := c.Run(t.Context(), req, func(api.Job) error { return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	fake.Fail("Run", api.Errorf("sched.run", api.PriceAboveCap, "it costs 3 and the cap is 2"))
	if err := c.Run(t.Context(), req, nil); !errors.Is(err, api.PriceAboveCap) {
		t.Fatal(err)
	}
}

// storm updates many jobs many times.
type storm struct{ *servertest.Fake }

const stormJobs = 3000

func (storm) Run(_ context.Context, _ api.RunRequest, each func(api.Job) error) error {
	for _, state := range []api.JobState{api.JobQueued, api.JobQuoted, api.JobRunning, api.JobDone} {
		for i := range stormJobs {
			j := api.Job{Spec: api.JobSpec{ID: api.ID{byte(i >> 8), byte(i)}}, State: state}
			if err := each(j); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestStormOfUpdates: however updates are gathered, every job's states arrive
// in order and its last one arrives.
func TestStormOfUpdates(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	s, err := server.Open(storm{servertest.New()}, server.Config{Socket: sock})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	defer func() { _ = s.Shutdown(context.Background()) }()
	c := client.Unix(sock)
	defer c.Close()
	last := map[api.ID]api.JobState{}
	err = c.Run(t.Context(), api.RunRequest{Module: "m", Unit: "u", Method: "x"}, func(j api.Job) error {
		if s, seen := last[j.Spec.ID]; seen && j.State <= s {
			t.Errorf("%s after %s", j.State, s)
		}
		last[j.Spec.ID] = j.State
		return nil
	})
	if err != nil || len(last) != stormJobs {
		t.Fatal(len(last), err)
	}
	for id, s := range last {
		if s != api.JobDone {
			t.Errorf("%s ended as %s", id, s)
		}
	}
}

func TestEventsResumeAndEnd(t *testing.T) {
	fake, _, c := start(t)
	enough := errors.New("enough")
	err := c.Events(t.Context(), 1, func(e api.Event) error {
		if e.ID != "2" || e.SpecVersion != "1.0" || e.Time != servertest.Epoch {
			t.Errorf("%+v", e)
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	fake.Fail("Events", api.Errorf("node.events", api.Exhausted, "too slow"))
	if err := c.Events(t.Context(), 2, nil); !errors.Is(err, api.Exhausted) {
		t.Fatal(err)
	}
}
