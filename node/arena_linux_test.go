package node

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"inos/client/shm"
	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
)

func noop(t testing.TB, n *Node) {
	t.Helper()
	err := n.Run(t.Context(), api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop"}, func(api.Job) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
}

// lines collects what a program prints, until the test has seen enough.
type lines struct {
	t    testing.TB
	next chan string
	all  []string
}

func run(t testing.TB, name string, args ...string) *lines {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &lines{t: t, next: make(chan string, 1024)}
	go func() {
		defer close(l.next)
		for s := bufio.NewScanner(out); s.Scan(); {
			l.next <- s.Text()
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return l
}

// until waits for a line that contains every part, if it has not come yet.
func (l *lines) until(parts ...string) {
	l.t.Helper()
	has := func(line string) bool {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				return false
			}
		}
		return true
	}
	deadline := time.After(30 * time.Second)
	for !slices.ContainsFunc(l.all, has) {
		select {
		case line, ok := <-l.next:
			if !ok {
				l.t.Fatalf("it ended before a line with %q:\n%s", parts, strings.Join(l.all, "\n"))
			}
			l.all = append(l.all, line)
		case <-deadline:
			l.t.Fatalf("no line with %q:\n%s", parts, strings.Join(l.all, "\n"))
		}
	}
}

// The Python example prints live state of a real node while its jobs run, woken
// by epochs, and a state that another process writes.
func TestThePythonExampleFollowsANode(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not here")
	}
	n := start(t, Config{Dir: t.TempDir(), Name: "alone"})
	script := filepath.Join("..", "examples", "python", "arena_watch.py")
	l := run(t, python, script, n.memory.socket)
	l.until("attached: 64 MiB")
	noop(t, n)
	l.until("job ", "done", "diagnostics/echo.noop")
	l.until("state   node/work", `"done": 1`)
	noop(t, n)
	l.until("state   node/work", `"done": 2`)
	n.emit("test:happened:v1:ok", "subject", map[string]int{"n": 7})
	l.until("event ", "test:happened:v1:ok", `"n":7`)
	l.until("metric  inos_jobs_done_total 2")

	writer, err := shm.Attach(t.Context(), n.memory.socket, shm.Options{Name: "sensor", Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	w, err := writer.MakeState(t.Context(), "sensor/level", 100)
	if err != nil {
		t.Fatal(err)
	}
	other := run(t, python, script, "--state", "sensor/level", n.memory.socket)
	other.until("attached")
	for _, level := range []string{`{"level": 1}`, `{"level": 2}`} {
		if err := w.Write([]byte(level)); err != nil {
			t.Fatal(err)
		}
		other.until("state   sensor/level", level)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	l.until("the node stopped")
	other.until("the node stopped")
}

// The C header compiles without a warning, and the example built with it follows
// a node.
func TestTheCExampleFollowsANode(t *testing.T) {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not here")
	}
	exe := filepath.Join(t.TempDir(), "example")
	out, err := exec.Command(cc, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-o", exe, filepath.Join("..", "sdk", "c", "example.c")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	n := start(t, Config{Dir: t.TempDir(), Name: "alone"})
	l := run(t, exe, n.memory.socket)
	l.until("attached: 64 MiB")
	l.until("inos_leases_total 1")
	noop(t, n)
	l.until("jobs moved to")
	l.until("inos_jobs_final_total 1")
}

// Everything an attached process sees is what the API's map tells, and a killed
// one is missed by nobody.
func TestTheArenaMapShowsWhoIsAttached(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "alone", ArenaBytes: int(layout.Tiers[0].Size)})
	l, err := shm.Attach(t.Context(), n.memory.socket, shm.Options{Name: "dashboard", Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.MakeState(t.Context(), "dash/view", 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Writer(t.Context(), "dash/ring", 4096, 64); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() { _, err := l.Await(ctx, layout.CellPeers, l.Load(layout.CellPeers)); waited <- err }()
	waitFor(t, "the watch", func() bool {
		m, err := n.Arena(t.Context())
		return err == nil && m.Epochs[layout.CellPeers].Asleep == 1
	})
	m, err := n.Arena(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.Tier != "light" || m.Size != 32<<20 || m.Heap.Size > 24<<20 || m.Heap.Used == 0 || m.Heap.Largest == 0 {
		t.Fatalf("%+v", m.Heap)
	}
	if len(m.Leases) != 1 || m.Leases[0].Name != "dashboard" || m.Leases[0].Regions != 2 || m.Leases[0].PID != int32(os.Getpid()) || m.Lent == 0 {
		t.Fatalf("%+v", m.Leases)
	}
	if len(m.States) != 2 || m.States[0].Name != "dash/view" || m.States[0].Region == 0 || m.States[1].Name != WorkState {
		t.Fatalf("%+v", m.States)
	}
	if len(m.Rings) != 1 || m.Rings[0].Name != "dash/ring" || m.Rings[0].Writer != l.Number() || m.Rings[0].Reader != 0 {
		t.Fatalf("%+v", m.Rings)
	}
	end := uint64(0)
	for _, r := range m.Regions {
		if r.Offset < end {
			t.Fatalf("%+v begins before %#x", r, end)
		}
		end = r.Offset + r.Size
	}
	if end != m.Size {
		t.Fatalf("the map ends at %#x of %#x", end, m.Size)
	}
	noop(t, n)
	s, err := l.State(t.Context(), WorkState)
	if err != nil {
		t.Fatal(err)
	}
	var work workView
	buf := make([]byte, s.Most())
	waitFor(t, "the job to show as done", func() bool { // its caller heard first
		got, _, err := s.Read(buf)
		if err := errors.Join(err, json.Unmarshal(buf[:got], &work)); err != nil {
			t.Fatal(err)
		}
		return work.Done == 1
	})
	if work.Active != 0 || work.Changed.State != "done" {
		t.Fatalf("%+v", work)
	}
	cancel()
	if err := <-waited; api.KindOf(err) != api.Canceled {
		t.Fatal(err)
	}
	_ = l.Close()
	waitFor(t, "the lease to end", func() bool { return n.metrics.leasesEnded.Load() == 1 })
	if m, err = n.Arena(t.Context()); err != nil || len(m.Leases) != 0 || m.Lent != 0 || len(m.States) != 1 || len(m.Rings) != 0 || m.Epochs[layout.CellPeers].Asleep != 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	if n.metrics.leaseBytes.Load() == 0 || n.memory.arena.Heap().Faults() != (arena.HeapFaults{}) {
		t.Fatalf("%d, %+v", n.metrics.leaseBytes.Load(), n.memory.arena.Heap().Faults())
	}
}
