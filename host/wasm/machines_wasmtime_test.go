//go:build wasmtime

package wasm

import (
	"os"

	"inos/host/wasmtime"
)

// INOS_ENGINE=wasmtime runs this package's tests on that engine.
func init() {
	if os.Getenv("INOS_ENGINE") != "wasmtime" {
		return
	}
	e, err := wasmtime.Engine()
	if err != nil {
		panic(err)
	}
	testMachines = e
}
