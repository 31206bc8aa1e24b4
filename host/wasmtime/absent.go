//go:build !wasmtime || !linux || !cgo || !(amd64 || arm64)

package wasmtime

import (
	"inos/host/internal/machine"
	"inos/kernel/api"
)

// Available reports whether this binary has Wasmtime.
const Available = false

// Engine returns an error that says how to get a binary with Wasmtime.
func Engine() (machine.Engine, error) {
	return nil, api.Errorf("wasmtime.engine", api.Unsupported, "this binary was built without wasmtime; use --engine wazero, or build on Linux with CGO_ENABLED=1 go build -tags wasmtime ./cmd/inos")
}
