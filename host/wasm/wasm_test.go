package wasm

import (
	"context"
	"sync"
	"testing"

	"inos/host/enginetest"
	"inos/host/internal/machine"
	"inos/kernel/module"
)

func readFile(t testing.TB, name string) []byte { return enginetest.Raw(t, name) }

func probe(t testing.TB) []byte { return enginetest.Probe(t) }

// testMachines is what tests run guests on; nil means wazero.
var testMachines machine.Engine

func newEngine(t testing.TB, cfg Config) *Engine {
	t.Helper()
	cfg.Machines = testMachines
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func load(t testing.TB, e *Engine, wasm []byte) *Module { return enginetest.Load(t, e, wasm).(*Module) }

func call(method string) module.Call { return module.Call{Unit: "test", Method: method} }

func TestConformance(t *testing.T) {
	enginetest.Run(t, func(t testing.TB, c enginetest.Config) enginetest.Engine {
		return newEngine(t, Config{CacheDir: c.CacheDir, Workers: c.Workers, MaxMemory: c.MaxMemory, IdleAfter: c.IdleAfter})
	})
}

func TestUnits(t *testing.T) {
	enginetest.Units(t, func(t testing.TB, c enginetest.Config) enginetest.Engine {
		return newEngine(t, Config{Workers: c.Workers})
	})
}

func TestSyscalls(t *testing.T) {
	enginetest.Syscalls(t, func(t testing.TB, c enginetest.Config) enginetest.Engine {
		return newEngine(t, Config{Workers: c.Workers})
	})
}

// One instance serves calls that follow each other, also when they grew its
// memory; as many as there are workers stay for the next.
func TestInstancesAreReused(t *testing.T) {
	m := load(t, newEngine(t, Config{Workers: 2}), probe(t))
	for i := range 4 {
		c := call("stat")
		c.Input = make([]byte, i<<16)
		if _, err := m.Call(context.Background(), c); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(m.live.free); n != 1 {
		t.Errorf("%d idle instances, want the one that served all calls", n)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				if _, err := m.Call(context.Background(), call("echo")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	m.live.mu.Lock()
	defer m.live.mu.Unlock()
	if n := len(m.live.free); n > 2 {
		t.Errorf("%d idle instances for 2 workers", n)
	}
}
