//go:build wasmtime && linux && cgo && (amd64 || arm64)

package wasmtime

import (
	"testing"

	"inos/host/enginetest"
	"inos/host/wasm"
)

func newEngine(t testing.TB, c wasm.Config) *wasm.Engine {
	t.Helper()
	var err error
	if c.Machines, err = Engine(); err != nil {
		t.Fatal(err)
	}
	e, err := wasm.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestConformance(t *testing.T) {
	enginetest.Run(t, func(t testing.TB, c enginetest.Config) enginetest.Engine {
		return newEngine(t, wasm.Config{CacheDir: c.CacheDir, Workers: c.Workers, MaxMemory: c.MaxMemory, IdleAfter: c.IdleAfter})
	})
}
