//go:build js

package webwasm

import (
	"context"
	"testing"
	"time"

	"inos/host/browser"
	"inos/host/enginetest"
	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
	"inos/kernel/module"
	"inos/modules"
)

// The flock lives in the tab's arena: its states are those of a native node, and
// everything is given back.
func TestFlockInTheTabsArena(t *testing.T) {
	shared, err := browser.OpenShared()
	if err != nil {
		t.Fatal(err)
	}
	a, err := arena.Format(browser.Image(shared.Size()), 0)
	if err != nil {
		t.Fatal(err)
	}
	wasm, err := modules.Load("boids")
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, Config{})
	used, seen := a.Heap().Total().Bytes, enginetest.Flock{}
	for _, workers := range []int{1, 2} {
		r, err := e.StartResident(t.Context(), a, wasm, module.ResidentConfig{Params: []byte(enginetest.FlockParams), Workers: workers, Rate: 40})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.StartResident(t.Context(), a, wasm, module.ResidentConfig{}); api.KindOf(err) != api.Conflict {
			t.Errorf("a second one in the same place: %v", err)
		}
		follow(t, shared, a, seen)
		if r.Steps() < 20 || r.Gas() == 0 || len(r.States()) != 1 || r.Err() != nil {
			t.Errorf("%d steps, %d gas, %v, %v", r.Steps(), r.Gas(), r.States(), r.Err())
		}
		r.Stop()
		if now := a.Heap().Total().Bytes; now != used || len(a.States().List()) != 0 {
			t.Errorf("it left %d bytes and %v", now-used, a.States().List())
		}
	}
	seen.Check(t)
	if _, err := e.StartResident(t.Context(), a, enginetest.Probe(t), module.ResidentConfig{}); api.KindOf(err) != api.Invalid {
		t.Errorf("a guest as a resident: %v", err)
	}
	if _, err := e.StartResident(t.Context(), a, wasm, module.ResidentConfig{Params: []byte(`{"agents":1}`)}); api.KindOf(err) != api.Invalid {
		t.Errorf("parameters that it does not take: %v", err)
	}
}

// follow notes versions as the shared arena shows them, up to the fortieth.
func follow(t *testing.T, shared *browser.Shared, a *arena.Arena, seen enginetest.Flock) {
	t.Helper()
	info := a.States().List()[0]
	padded := layout.AlignUp(info.Most, layout.Line)
	w := shared.Watch(info.Offset + layout.StateControlAtCell)
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	buf := make([]byte, info.Most)
	for v := uint32(0); v < 40; {
		var err error
		if v, err = w.Await(ctx, v); err != nil {
			t.Fatal(err)
		}
		shared.Copy(buf, info.Offset+layout.StateControlSize+uint64(v&1)*padded)
		if shared.Load(info.Offset+layout.StateControlAtIntent)-v <= 1 {
			seen.See(t, v, buf)
		}
	}
}
