package main

import (
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"inos/client/shm"
	"inos/cluster"
	"inos/kernel/api"
)

// arenaOf is the map of a node's shared memory.
func arenaOf(t *testing.T, n *cluster.Node) (m api.ArenaMap) {
	t.Helper()
	if err := json.Unmarshal([]byte(must(t, n, "--json", "arena")), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func stateNamed(m api.ArenaMap, name string) (api.ArenaState, bool) {
	for _, s := range m.States {
		if s.Name == name {
			return s, true
		}
	}
	return api.ArenaState{}, false
}

// The flock is started from the command line, moves in the memory that other
// processes see, and leaves nothing there when it is stopped.
func TestResidentFromTheCommandLine(t *testing.T) {
	n := processes(t, "a").Nodes[0]
	const agents = 2000
	for range 2 { // its place is free again after the first time
		out := must(t, n, "module", "start", "boids", "--param", "agents=2000", "--workers", "2", "--rate", "100")
		if !strings.Contains(out, "running") {
			t.Errorf("module start prints:\n%s", out)
		}
		first, ok := stateNamed(arenaOf(t, n), "boids")
		if !ok || first.Owner == 0 {
			t.Fatalf("the arena shows %+v", first)
		}
		err := cluster.Wait(t.Context(), time.Minute, "the flock to move", func() bool {
			now, ok := stateNamed(arenaOf(t, n), "boids")
			return ok && now.Version >= first.Version+5 && now.Bytes == 24*agents
		})
		if err != nil {
			t.Fatal(err)
		}
		watchFlock(t, arenaOf(t, n).Socket, 24*agents)
		if out := must(t, n, "arena"); !strings.Contains(out, "boids") {
			t.Errorf("inos arena does not name the resident:\n%s", out)
		}
		if out := must(t, n, "module", "show", "boids"); !strings.Contains(out, "1 running") {
			t.Errorf("module show prints:\n%s", out)
		}
		if _, err := inos(t, n, "module", "start", "boids"); err == nil || !strings.Contains(err.Error(), "runs already") {
			t.Errorf("started twice: %v", err)
		}
		if out := must(t, n, "module", "stop", "boids"); !strings.Contains(out, "stopped") {
			t.Errorf("module stop prints:\n%s", out)
		}
		m := arenaOf(t, n)
		if s, ok := stateNamed(m, "boids"); ok {
			t.Errorf("its state is left: %+v", s)
		}
		for _, o := range m.Heap.Owners {
			if o.Owner == first.Owner || o.Name == "boids" {
				t.Errorf("its memory is left: %+v", o)
			}
		}
		if out := must(t, n, "module", "ps"); !strings.Contains(out, "stopped") {
			t.Errorf("module ps prints:\n%s", out)
		}
	}
	if _, err := inos(t, n, "module", "start", "compute"); err == nil || !strings.Contains(err.Error(), "is a guest") {
		t.Errorf("a guest was started: %v", err)
	}
}

// watchFlock reads two versions of the flock from another process's mapping.
func watchFlock(t *testing.T, socket string, size int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return // memory is lent to other processes on Linux
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	lease, err := shm.Attach(ctx, socket, shm.Options{Name: "watcher"})
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Close()
	s, err := lease.State(ctx, "boids")
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, s.Most())
	var seen uint32
	var versions [2]string
	for i := range versions {
		if _, err := s.Await(ctx, seen); err != nil {
			t.Fatal(err)
		}
		k, v, err := s.Read(buf)
		if err != nil || k != size {
			t.Fatalf("%d bytes, %v", k, err)
		}
		seen, versions[i] = v, string(buf[:k])
	}
	if versions[0] == versions[1] {
		t.Error("two versions of the flock are equal")
	}
}
