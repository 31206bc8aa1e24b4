// Package enginetest is what every engine of kernel/module must pass: one suite,
// run by each with its own machines. Tests alone import it.
//
// The guests are those of host/wasm/testdata. What they are made to do, and what
// it costs, is written in that folder's golden.json: an engine that gives another
// byte, another word in an error or another unit of gas fails.
package enginetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/bin"
	"inos/kernel/wire"
)

// Engine is what the suite needs of an engine beside the interface.
type Engine interface {
	module.Engine
	Running() int // guests that run now
	Warm(hash api.Hash) bool
}

// Config is how an engine is to be made; zero fields mean the engine's defaults.
type Config struct {
	CacheDir  string
	Workers   int
	MaxMemory uint64
	IdleAfter time.Duration
}

// Traits are what an engine cannot have of its own making.
type Traits struct {
	// NoDisk says that compiled code is kept in memory alone.
	NoDisk bool

	// SmallStack says that the machine's stack ends before the depth that the meter
	// allows. A guest that goes so deep must then be told to go elsewhere, never that
	// it failed.
	SmallStack bool
}

// Make makes an engine that is closed when the test ends.
type Make func(t testing.TB, cfg Config) Engine

// Run runs the suite.
func Run(t *testing.T, mk Make) { RunWith(t, Traits{}, mk) }

// RunWith runs the suite for an engine with the given traits.
func RunWith(t *testing.T, traits Traits, mk Make) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Make)
	}{
		{"Echo", echo},
		{"FreshState", freshState},
		{"Golden", func(t *testing.T, mk Make) { golden(t, traits, mk) }},
		{"Faults", func(t *testing.T, mk Make) { faults(t, traits, mk) }},
		{"Memory", memory},
		{"Deadline", deadline},
		{"Cancel", canceled},
		{"CloseStopsGuests", closeStopsGuests},
		{"Log", logs},
		{"RefusedModules", refused},
		{"BadAlloc", badAlloc},
		{"Sticky", sticky},
		{"WASI", wasi},
		{"Defects", defects},
		{"ConcurrentCalls", concurrentCalls},
		{"ConcurrentLoads", concurrentLoads},
		{"WaitingForAWorker", waiting},
		{"Idle", idle},
		{"CacheFaults", cacheFaults},
	} {
		if c.name == "CacheFaults" && traits.NoDisk {
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.test(t, mk) })
	}
}

// dir is seen from the folder of a package beside this one, where tests run.
const dir = "../wasm/testdata"

// Raw is a guest's file without a manifest.
func Raw(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Guest adds a manifest with one unit "test" and the given methods.
func Guest(t testing.TB, name string, methods ...string) []byte {
	t.Helper()
	m := module.Manifest{Name: "probe", Version: "1.0.0", ABI: 1, Deterministic: true, Units: []module.Unit{{Name: "test"}}}
	for _, f := range methods {
		m.Units[0].Methods = append(m.Units[0].Methods, module.Method{Name: f, OutputMediaType: "text/plain"})
	}
	b, err := wire.EncodeModuleManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	return bin.AppendSection(Raw(t, name), bin.Custom, append(bin.AppendName(nil, module.Section), b...))
}

// Probe is a guest that does one thing right or wrong for each method.
func Probe(t testing.TB) []byte {
	return Guest(t, "probe", "echo", "stat", "loop", "work", "grow", "recu", "trap", "0div", "oob", "badp", "badl", "garb", "bado",
		"big", "fail", "log", "loob", "fill", "copy")
}

// Load loads a module.
func Load(t testing.TB, e module.Engine, wasm []byte) module.Module {
	t.Helper()
	m, err := e.Load(context.Background(), module.HashOf(wasm), wasm)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Call is a call of a method of the unit "test".
func Call(method string) module.Call { return module.Call{Unit: "test", Method: method} }
