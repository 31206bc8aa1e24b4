//go:build !js

package node

import (
	"fmt"
	"path/filepath"
	"strings"

	"inos/host/wasm"
	"inos/host/wasmtime"
	"inos/kernel/api"
	"inos/kernel/module"
)

// Engines are the names of what this binary can execute guests with, the default
// first.
func Engines() []string {
	if wasmtime.Available {
		return []string{"wazero", "wasmtime"}
	}
	return []string{"wazero"}
}

// CheckEngine refuses a name that is none of Engines, and says how to get it.
func CheckEngine(name string) error {
	_, err := withEngine(name, wasm.Config{})
	return err
}

// NewEngine makes an engine that executes guests with the named one of Engines.
// What they do and what it costs does not depend on which.
func NewEngine(name string, cfg wasm.Config) (*wasm.Engine, error) {
	cfg, err := withEngine(name, cfg)
	if err != nil {
		return nil, err
	}
	return wasm.New(cfg)
}

func withEngine(name string, cfg wasm.Config) (_ wasm.Config, err error) {
	switch name {
	case "wazero":
	case "wasmtime":
		cfg.Machines, err = wasmtime.Engine()
	default:
		err = api.Errorf("node.engine", api.Invalid, fmt.Sprintf("there is no engine %q; this binary has %s", name, strings.Join(Engines(), " and ")))
	}
	return cfg, err
}

// openEngine opens the configured engine for this node's jobs.
func (n *Node) openEngine() (module.Engine, error) {
	return NewEngine(n.cfg.Engine, wasm.Config{
		CacheDir: filepath.Join(n.cfg.Dir, "cache", "wasm"), Workers: n.cfg.Workers, Arena: n.memory.region,
	})
}
