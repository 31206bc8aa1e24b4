//go:build js

package webwasm

import (
	"testing"

	"inos/host/enginetest"
	"inos/kernel/module"
)

func newEngine(t testing.TB, cfg Config) *Engine {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func load(t testing.TB, e *Engine, wasm []byte) *Module { return enginetest.Load(t, e, wasm).(*Module) }

func call(method string) module.Call { return module.Call{Unit: "test", Method: method} }

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

func TestConformance(t *testing.T) {
	enginetest.RunWith(t, enginetest.Traits{NoDisk: true, SmallStack: true}, func(t testing.TB, c enginetest.Config) enginetest.Engine {
		return newEngine(t, Config{Workers: c.Workers, MaxMemory: c.MaxMemory, IdleAfter: c.IdleAfter})
	})
}
