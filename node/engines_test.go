//go:build !js

package node

import (
	"context"
	"slices"
	"strings"
	"testing"

	"inos/host/wasm"
	"inos/host/wasmtime"
	"inos/kernel/api"
	"inos/kernel/module"
	"inos/modules"
)

// Every engine of this binary runs a module, and the others are refused with
// words that help.
func TestEngines(t *testing.T) {
	raw, err := modules.Load("diagnostics")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Engines() {
		e, err := NewEngine(name, wasm.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if e.Name() != name {
			t.Errorf("asked for %s, got %s", name, e.Name())
		}
		m, err := e.Load(context.Background(), module.HashOf(raw), raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Call(context.Background(), module.Call{Unit: "echo", Method: "noop"}); err != nil {
			t.Error(err)
		}
	}
	if err := CheckEngine("v8"); api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), "wazero") {
		t.Errorf("an unknown engine: %v", err)
	}
	err = CheckEngine("wasmtime")
	if wasmtime.Available != slices.Contains(Engines(), "wasmtime") || wasmtime.Available != (err == nil) {
		t.Errorf("wasmtime is here: %v, its error %v", wasmtime.Available, err)
	}
	if err != nil && (api.KindOf(err) != api.Unsupported || !strings.Contains(err.Error(), "-tags wasmtime")) {
		t.Errorf("a missing engine: %v", err)
	}
}
