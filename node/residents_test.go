//go:build !js

package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/identity"
	"inos/kernel/module"
	"inos/kernel/module/bin"
	"inos/kernel/module/supervise"
	"inos/kernel/wire"
)

// stepper is a resident that counts its steps in the state "steps", and traps
// after that many.
func stepper(t testing.TB, steps uint32) []byte {
	t.Helper()
	raw, err := os.ReadFile("../host/wasm/testdata/resident.wasm")
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(raw, []byte("STEPS:"))
	if at < 0 {
		t.Fatal("the resident has no number of steps")
	}
	binary.LittleEndian.PutUint32(raw[at+len("STEPS:"):], steps)
	m := module.Manifest{Name: "stepper", Version: "1.0.0", ABI: 2, Resident: true, Units: []module.Unit{{Name: "steps", Methods: []module.Method{{Name: "start"}}}}}
	section, err := wire.EncodeModuleManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	return bin.AppendSection(raw, bin.Custom, append(bin.AppendName(nil, module.Section), section...))
}

// owned is the module signed by the node's own key.
func owned(t testing.TB, n *Node, wasm []byte) []byte {
	t.Helper()
	b, err := module.Sign(n.id, wasm)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// forged is the module with a signature of the node's that does not hold.
func forged(t testing.TB, n *Node, wasm []byte) []byte {
	t.Helper()
	b := owned(t, n, wasm)
	b[len(b)-1] ^= 1
	return b
}

// residentOf is what the node lists of a module.
func residentOf(t testing.TB, n *Node, h api.Hash) (r api.Resident) {
	t.Helper()
	all, err := n.Residents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Hash == h {
			r = one
		}
	}
	return r
}

// stateIn is the named state as the arena's map shows it.
func stateIn(t testing.TB, n *Node, name string) (s api.ArenaState, ok bool) {
	t.Helper()
	m, err := n.Arena(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range m.States {
		if one.Name == name {
			return one, true
		}
	}
	return s, false
}

// Only what is built in or signed with the node's own key may run in its arena.
func TestResidentsMustBeTheOwners(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	other, err := module.Sign(identity.NewFromSeed([32]byte{9}), stepper(t, 3))
	if err != nil {
		t.Fatal(err)
	}
	for what, wasm := range map[string][]byte{"unsigned": stepper(t, 2), "signed by somebody else": other} {
		m := addModule(t, n, wasm)
		_, err := n.ModuleStart(t.Context(), m.Hash.String(), api.ResidentStart{})
		if !errors.Is(err, api.Denied) || !strings.Contains(err.Error(), "inos module sign") {
			t.Errorf("a resident that is %s: %v", what, err)
		}
	}
	if _, err := n.ModuleAdd(t.Context(), bytes.NewReader(forged(t, n, stepper(t, 4)))); !errors.Is(err, api.Unverified) {
		t.Errorf("a resident whose signature does not hold: %v", err)
	}
	if all, err := n.Residents(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("what was refused is listed: %+v, %v", all, err)
	}
	m := addModule(t, n, owned(t, n, stepper(t, 1<<30)))
	r, err := n.ModuleStart(t.Context(), m.Hash.String(), api.ResidentStart{Workers: 2, Rate: 200})
	if err != nil || r.State != "running" || r.Workers != 2 {
		t.Fatalf("the owner's resident: %+v, %v", r, err)
	}
	if _, err := n.ModuleStart(t.Context(), m.Hash.String(), api.ResidentStart{}); !errors.Is(err, api.Exists) {
		t.Errorf("started twice: %v", err)
	}
}

// A resident's states and memory belong to an owner of its own in the arena, and
// end with it.
func TestResidentOwnsWhatItShows(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	before := n.memory.arena.Heap().Total()
	r, err := n.ModuleStart(t.Context(), "boids", api.ResidentStart{Params: []byte(`{"agents":1000}`), Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	one, ok := stateIn(t, n, "boids")
	if !ok || one.Owner == uint32(arena.KernelOwner) {
		t.Fatalf("the arena shows %+v, %v", one, ok)
	}
	waitFor(t, "five versions", func() bool {
		now, ok := stateIn(t, n, "boids")
		return ok && now.Version >= one.Version+5
	})
	held := false
	m, err := n.Arena(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range m.Heap.Owners {
		held = held || o.Owner == one.Owner && o.Name == "boids" && o.Bytes > 1000*24
	}
	if !held {
		t.Errorf("the owner %d holds nothing: %+v", one.Owner, m.Heap.Owners)
	}
	if r, err = n.ModuleStop(t.Context(), "boids"); err != nil || r.State != "stopped" || r.Steps < 5 {
		t.Errorf("stopped: %+v, %v", r, err)
	}
	if s, ok := stateIn(t, n, "boids"); ok {
		t.Errorf("its state is left: %+v", s)
	}
	if after := n.memory.arena.Heap().Total(); after.Bytes != before.Bytes {
		t.Errorf("it left %d bytes", after.Bytes-before.Bytes)
	}
	if _, err := n.ModuleStop(t.Context(), "boids"); !errors.Is(err, api.NotFound) {
		t.Errorf("stopped twice: %v", err)
	}
}

// A resident that fails is started again, later each time, and ends in
// quarantine; the node goes on, and a reset lets it start.
func TestCrashingResidentEndsInQuarantine(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	strict(t, n, supervise.Config{BackoffFirst: 20, BackoffMost: 100})
	m := addModule(t, n, owned(t, n, stepper(t, 3)))
	ref := m.Hash.String()
	if _, err := n.ModuleStart(t.Context(), ref, api.ResidentStart{}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "quarantine", func() bool { return residentOf(t, n, m.Hash).State == "quarantined" })
	r := residentOf(t, n, m.Hash)
	if r.Steps != 5*3 || !strings.Contains(r.Error, "unreachable") {
		t.Errorf("%+v", r)
	}
	report, err := n.ModuleReport(t.Context(), "stepper")
	if err != nil || report.State != "quarantined" || report.Restarts != 5 || report.Running != 0 || report.Calls != 5 || report.Gas == 0 {
		t.Errorf("the report: %+v, %v", report, err)
	}
	if _, ok := stateIn(t, n, "steps"); ok {
		t.Error("its state is left")
	}
	if _, err := n.ModuleStart(t.Context(), ref, api.ResidentStart{}); !errors.Is(err, api.Denied) || !strings.Contains(err.Error(), "inos module reset stepper@1.0.0") {
		t.Errorf("started in quarantine: %v", err)
	}
	awaitEvent(t, n, "module:supervise:v1:quarantined", ref)
	if j := runAll(t, n, api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop"})[0]; j.State != api.JobDone {
		t.Errorf("a job on this node: %+v", j)
	}
	if _, err := n.ModuleReset(t.Context(), "stepper"); err != nil {
		t.Fatal(err)
	}
	if r, err := n.ModuleStart(t.Context(), ref, api.ResidentStart{}); err != nil || r.Region == 0 {
		t.Errorf("after a reset: %+v, %v", r, err)
	}
}

// A resident that runs for long enough between its failures is healthy, and is
// started again without end; one that waits for its restart can be stopped.
func TestSoundResidentIsForgiven(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	strict(t, n, supervise.Config{StartCrashes: 2, Recover: 1})
	n.residents.sound = 5 * time.Millisecond
	m := addModule(t, n, owned(t, n, stepper(t, 100)))
	if _, err := n.ModuleStart(t.Context(), m.Hash.String(), api.ResidentStart{Rate: 500}); err != nil { // 200 ms a run
		t.Fatal(err)
	}
	waitFor(t, "three restarts", func() bool {
		r, err := n.ModuleReport(t.Context(), "stepper")
		return err == nil && r.Restarts >= 3 && r.State != "quarantined"
	})
	waitFor(t, "health", func() bool {
		r, err := n.ModuleReport(t.Context(), "stepper")
		return err == nil && r.State == "healthy" && r.Running == 1
	})
	if r, err := n.ModuleStop(t.Context(), "stepper"); err != nil || r.State != "stopped" {
		t.Errorf("stopped: %+v, %v", r, err)
	}

	strict(t, n, supervise.Config{BackoffFirst: 3_600_000, BackoffMost: 3_600_000})
	n.residents.sound = time.Hour
	if _, err := n.ModuleStart(t.Context(), m.Hash.String(), api.ResidentStart{}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the wait for a restart", func() bool { return residentOf(t, n, m.Hash).State == "restarting" })
	if r, err := n.ModuleStop(t.Context(), "stepper"); err != nil || r.State != "stopped" {
		t.Errorf("stopped while it waited: %+v, %v", r, err)
	}
}
