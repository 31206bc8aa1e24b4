//go:build !js

package node

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/bin"
	"inos/kernel/module/supervise"
	"inos/kernel/wire"
)

// stillborn is a module whose start function traps.
func stillborn(t testing.TB) []byte {
	t.Helper()
	raw, err := os.ReadFile("../host/wasm/testdata/starttrap.wasm")
	if err != nil {
		t.Fatal(err)
	}
	m := module.Manifest{Name: "stillborn", Version: "1.0.0", ABI: 1, Deterministic: true, Units: []module.Unit{{Name: "test", Methods: []module.Method{{Name: "x"}}}}}
	section, err := wire.EncodeModuleManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	return bin.AppendSection(raw, bin.Custom, append(bin.AppendName(nil, module.Section), section...))
}

// strict makes a node's supervisors judge soon and wait briefly.
func strict(t testing.TB, n *Node, c supervise.Config) {
	t.Helper()
	if c.BackoffFirst == 0 {
		c.BackoffFirst, c.BackoffMost = 1, 20
	}
	m, err := supervise.New(c)
	if err != nil {
		t.Fatal(err)
	}
	s := n.worker.supervisors
	s.mu.Lock()
	s.machine = m
	s.mu.Unlock()
}

// A module that cannot start is tried again, later each time, and ends in
// quarantine; the node and other modules go on, the quarantine outlives the
// process, and a reset ends it.
func TestCrashLoopEndsInQuarantine(t *testing.T) {
	dir := t.TempDir()
	n := start(t, Config{Dir: dir, Name: "a"})
	strict(t, n, supervise.Config{BackoffFirst: 50, BackoffMost: 200})
	file := stillborn(t)
	if _, err := n.ModuleAdd(t.Context(), bytes.NewReader(file)); !errors.Is(err, api.Trapped) {
		t.Fatalf("a module that cannot start was added: %v", err)
	}
	link := put(t, n, "stillborn.wasm", file, api.Policy{Public: true}).Link
	hash := module.HashOf(file)
	call := func(n *Node) api.JobResult {
		return n.worker.run(t.Context(), api.Dispatch{Attempt: 1, Spec: api.JobSpec{
			ID: api.RandomID(), Payer: n.id.ID(), Module: hash, ModuleLink: link, Unit: "test", Method: "x",
		}})
	}
	starts, waits := 0, 0
	var last api.JobResult
	waitFor(t, "quarantine", func() bool {
		last = call(n)
		switch last.Kind {
		case api.Trapped:
			starts++
		case api.Unavailable:
			waits++
		case api.Denied:
			return true
		default:
			t.Fatalf("the call ended with %s: %s", last.Kind, last.Message)
		}
		return false
	})
	if starts != 5 || waits == 0 {
		t.Errorf("it was started %d times, and %d calls had to wait", starts, waits)
	}
	if !strings.Contains(last.Message, "inos module reset stillborn@1.0.0") || !strings.Contains(last.Message, "unreachable") {
		t.Errorf("the refusal does not say why and what to do: %s", last.Message)
	}
	jobs := runAll(t, n, api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop"})
	if jobs[0].State != api.JobDone {
		t.Errorf("another module: %+v", jobs[0])
	}
	if st, err := n.Status(t.Context()); err != nil || !st.Ready {
		t.Errorf("the node: %+v, %v", st, err)
	}
	checkQuarantined(t, n, hash)

	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n = start(t, Config{Dir: dir, Name: "a"})
	if r := call(n); r.Kind != api.Denied {
		t.Errorf("after a restart the call ends with %s: %s", r.Kind, r.Message)
	}
	if r, err := n.ModuleReset(t.Context(), "stillborn"); err != nil || r.State != "starting" {
		t.Fatalf("reset: %+v, %v", r, err)
	}
	if r := call(n); r.Kind != api.Trapped {
		t.Errorf("after a reset the call ends with %s: %s", r.Kind, r.Message)
	}
	if _, err := n.meta.Get("sup/" + string(hash[:])); !errors.Is(err, api.NotFound) {
		t.Errorf("the quarantine is still written down: %v", err)
	}
}

// checkQuarantined looks at what the node shows.
func checkQuarantined(t *testing.T, n *Node, hash api.Hash) {
	t.Helper()
	r, err := n.ModuleReport(t.Context(), "stillborn@1.0.0")
	if err != nil || r.State != "quarantined" || r.Restarts != 5 || r.Crashes != 5 || r.Since == 0 || r.Turned == 0 || r.Module.Hash != hash {
		t.Errorf("the report: %+v, %v", r, err)
	}
	found := false
	for slot := range supervise.MaxModules {
		if e, s, ok := n.memory.arena.Modules().Get(slot); ok && e.Hash == hash {
			found = e.Name == "stillborn@1.0.0" && s.State == uint8(supervise.Quarantined) && s.Restarts == 5 && s.Heartbeat > 0 && s.Since == r.Since
		}
	}
	if !found {
		t.Error("the arena does not show it")
	}
	var b bytes.Buffer
	if err := n.Metrics(t.Context(), &b); err != nil || !strings.Contains(b.String(), "\ninos_modules_quarantined 1\n") ||
		!strings.Contains(b.String(), `inos_module_crashes_total{module="stillborn@1.0.0"} `) || strings.Count(b.String(), "# TYPE inos_module_crashes_total ") != 1 {
		t.Errorf("the metrics, %v:\n%s", err, b.String())
	}
	checks, err := n.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	warned := false
	for _, c := range checks {
		warned = warned || c.Name == "supervision" && c.State == api.CheckWarn && strings.Contains(c.Fix, "inos module reset stillborn@1.0.0")
	}
	if !warned {
		t.Errorf("doctor says %+v", checks)
	}
	awaitEvent(t, n, "module:supervise:v1:quarantined", hash.String())
}

// awaitEvent waits for an event in the node's log.
func awaitEvent(t testing.TB, n *Node, kind, subject string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	found := errors.New("found")
	err := n.Events(ctx, 0, func(e api.Event) error {
		if e.Type == kind && e.Subject == subject {
			return found
		}
		return nil
	})
	if !errors.Is(err, found) {
		t.Errorf("no event %s: %v", kind, err)
	}
}

// A payer whose calls trap again and again is kept out alone: others go on, and
// so do its calls of other modules.
func TestTrappingPayerIsKeptOutAlone(t *testing.T) {
	nodes := startMesh(t, 2)
	worker, bad := nodes[0], nodes[1]
	info, err := worker.ModuleAdd(t.Context(), bytes.NewReader(probe(t)))
	if err != nil {
		t.Fatal(err)
	}
	strict(t, worker, supervise.Config{PayerCrashes: 5, PayerFree: 2})
	run := func(payer *Node, module, unit, method string) api.Job {
		t.Helper()
		return runAll(t, payer, api.RunRequest{Module: module, Unit: unit, Method: method, Node: worker.member.Name})[0]
	}
	name := info.Hash.String()
	waitFor(t, "the module to be known", func() bool { _, err := bad.Module(t.Context(), name); return err == nil })
	for i := range 5 {
		if j := run(bad, name, "test", "trap"); j.Result.Kind != api.Trapped {
			t.Fatalf("trap %d: %s: %s", i, j.Result.Kind, j.Result.Message)
		}
	}
	j := run(bad, name, "test", "work")
	if j.State != api.JobFailed || j.Result.Kind != api.Denied || !strings.Contains(j.Result.Message, "inos module reset probe@1.0.0") || j.Attempts != 1 {
		t.Errorf("the payer's next call: %s after %d attempts: %s: %s", j.State, j.Attempts, j.Result.Kind, j.Result.Message)
	}
	if j := run(worker, name, "test", "work"); j.State != api.JobDone {
		t.Errorf("another payer's call: %s: %s", j.Result.Kind, j.Result.Message)
	}
	if j := run(bad, "diagnostics", "echo", "noop"); j.State != api.JobDone {
		t.Errorf("its call of another module: %s: %s", j.Result.Kind, j.Result.Message)
	}
	r, err := worker.ModuleReport(t.Context(), "probe")
	if err != nil || r.State == "quarantined" || len(r.KeptOut) != 1 || r.KeptOut[0].Name != "n1" {
		t.Errorf("the report: %+v, %v", r, err)
	}
	awaitEvent(t, worker, "module:supervise:v1:isolated", info.Hash.String())
	if _, err := worker.ModuleReset(t.Context(), "probe"); err != nil {
		t.Fatal(err)
	}
	if j := run(bad, name, "test", "work"); j.State != api.JobDone {
		t.Errorf("after a reset: %s: %s", j.Result.Kind, j.Result.Message)
	}
}

// Traps of several payers over several inputs quarantine the module on that
// node; its jobs run on others, and pinned ones fail at once.
func TestTrapsOfManyPayersQuarantine(t *testing.T) {
	nodes := startMesh(t, 3)
	worker := nodes[0]
	info, err := worker.ModuleAdd(t.Context(), bytes.NewReader(probe(t)))
	if err != nil {
		t.Fatal(err)
	}
	name := info.Hash.String()
	strict(t, worker, supervise.Config{CrashInputs: 2})
	for _, n := range nodes {
		waitFor(t, "the module to be known", func() bool { _, err := n.Module(t.Context(), name); return err == nil })
		for _, method := range []string{"trap", "oob"} {
			if j := runAll(t, n, api.RunRequest{Module: name, Unit: "test", Method: method, Node: "n0"})[0]; j.Result.Kind != api.Trapped && j.Result.Kind != api.Denied {
				t.Fatalf("%s by %s: %s: %s", method, n.member.Name, j.Result.Kind, j.Result.Message)
			}
		}
	}
	if r, err := worker.ModuleReport(t.Context(), "probe"); err != nil || r.State != "quarantined" {
		t.Fatalf("the report: %+v, %v", r, err)
	}
	if j := runAll(t, nodes[1], api.RunRequest{Module: name, Unit: "test", Method: "work", Node: "n0"})[0]; j.Result.Kind != api.Denied {
		t.Errorf("a pinned job: %s: %s", j.Result.Kind, j.Result.Message)
	}
	for range 3 {
		if j := runAll(t, nodes[0], api.RunRequest{Module: name, Unit: "test", Method: "work"})[0]; j.State != api.JobDone || j.Result.Worker == worker.id.ID() {
			t.Errorf("a job that any node may run: %s: %s", j.Result.Kind, j.Result.Message)
		}
	}
	if j := runAll(t, nodes[1], api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop", Node: "n0"})[0]; j.State != api.JobDone {
		t.Errorf("another module there: %s: %s", j.Result.Kind, j.Result.Message)
	}
}
