package arena

import (
	"runtime"
	"sync"
	"testing"

	"inos/kernel/api"
	"inos/kernel/layout"
)

func TestModulesShowTheirSupervisors(t *testing.T) {
	a, _ := newArena(t)
	m := a.Modules()
	before := m.Epoch().Load()
	entry := ModuleEntry{State: ModuleRunning, Deterministic: true, Hash: api.Hash{1, 2}, Author: api.NodeID{3}, Name: "compute", RegionOffset: 1 << 20, RegionSize: 4096}
	sup := SupervisorEntry{State: 2, Restarts: 1, Crashes: 2, Queued: 3, Running: 4, KeptOut: 5, Calls: 6, Gas: 7, Heartbeat: 8, Since: 9, Retry: 10}
	if err := m.Put(7, entry); err != nil {
		t.Fatal(err)
	}
	if err := m.Supervise(7, sup); err != nil {
		t.Fatal(err)
	}
	if got, s, ok := m.Get(7); !ok || got != entry || s != sup {
		t.Errorf("got %+v and %+v, %v", got, s, ok)
	}
	if m.Epoch().Load() == before {
		t.Error("the epoch did not advance")
	}
	before = m.Epoch().Load()
	sup.Calls++
	if err := m.Supervise(7, sup); err != nil || m.Epoch().Load() != before {
		t.Errorf("a count advanced the epoch, %v", err)
	}
	if err := m.Put(7, ModuleEntry{}); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := m.Get(7); ok {
		t.Error("a cleared slot is shown")
	}
	for _, slot := range []int{-1, MaxModules} {
		if err := m.Put(slot, entry); api.KindOf(err) != api.Invalid {
			t.Errorf("slot %d: %v", slot, err)
		}
	}
	a.Close()
	if err := m.Supervise(7, sup); api.KindOf(err) != api.Closed {
		t.Errorf("after Close: %v", err)
	}
}

// A reader never sees half of one record and half of another.
func TestModulesAreNeverTorn(t *testing.T) {
	a, _ := newArena(t)
	m := a.Modules()
	if err := m.Put(0, ModuleEntry{State: ModuleRegistered, Name: "x"}); err != nil {
		t.Fatal(err)
	}
	const rounds = 20_000
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range uint32(rounds) {
			e := SupervisorEntry{
				State: 2, Restarts: i, Crashes: i, Queued: i, Running: i, KeptOut: i, Calls: uint64(i), Gas: uint64(i),
				Heartbeat: int64(i), Since: int64(i), Retry: int64(i),
			}
			if err := m.Supervise(0, e); err != nil {
				t.Error(err)
				return
			}
			oneThread()
		}
	})
	seen := 0
	for last := uint32(0); last != rounds-1; {
		oneThread()
		_, e, ok := m.Get(0)
		if !ok {
			continue
		}
		i := e.Restarts
		whole := SupervisorEntry{
			State: e.State, Restarts: i, Crashes: i, Queued: i, Running: i, KeptOut: i, Calls: uint64(i), Gas: uint64(i),
			Heartbeat: int64(i), Since: int64(i), Retry: int64(i),
		}
		if e != whole || i < last {
			t.Fatalf("a torn record %+v after %d", e, last)
		}
		last = i
		seen++
	}
	wg.Wait()
	if seen < 2 {
		t.Errorf("only %d records were read", seen)
	}
}

// Whatever others write into the slots, reading them neither panics nor lies
// about lengths.
func FuzzModuleSlots(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 1, 0, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		var mod [layout.ModuleSlotSize]byte
		var sup [layout.SupervisorSlotSize]byte
		copy(sup[:], b[copy(mod[:], b):])
		if e := decodeModule(mod[:]); len(e.Name) > layout.ModuleSlotNameBytes {
			t.Errorf("a name of %d bytes", len(e.Name))
		}
		decodeSupervisor(sup[:])
	})
}

// oneThread lets other goroutines go on where Go has one thread and interrupts
// nobody.
func oneThread() {
	if runtime.GOOS == "js" {
		runtime.Gosched()
	}
}
