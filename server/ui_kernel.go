package server

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/modules"
)

// What a tab's kernel is started with: its code, embedded by package frontend,
// the built-in modules, and a list of both.
const (
	kernelPath    = "kernel/"
	kernelBoot    = kernelPath + "boot.json"
	kernelModules = kernelPath + "modules/" // NAME-HASH.wasm
)

// kernelAssets are made when a tab first asks for one: unpacking and hashing the
// modules takes some 0.1 s.
type kernelAssets struct {
	once  sync.Once
	files map[string]asset // set by once
}

// kernelStart is what boot.json says; frontend/src/tab/boot.ts reads it.
type kernelStart struct {
	Wasm     string              `json:"wasm"`    // addresses on this server
	Exec     string              `json:"exec"`    // of the Go toolchain's glue
	Modules  string              `json:"modules"` // where NAME-HASH.wasm is
	Builtins []api.BuiltinModule `json:"builtins"`
}

// ofKernel finds boot.json or a built-in module.
func (a *assets) ofKernel(name string) (asset, bool) {
	a.kernel.once.Do(func() { a.kernel.files = a.openKernel() })
	f, ok := a.kernel.files[name]
	return f, ok
}

func (a *assets) openKernel() map[string]asset {
	files := map[string]asset{}
	start := kernelStart{Modules: "/" + kernelModules, Builtins: []api.BuiltinModule{}}
	for name := range a.files {
		switch {
		case strings.HasPrefix(name, kernelPath+"kernel-"):
			start.Wasm = "/" + name
		case strings.HasPrefix(name, kernelPath+"wasm_exec-"):
			start.Exec = "/" + name
		}
	}
	if start.Wasm == "" || start.Exec == "" {
		return files // built without: tabs learn that there is no kernel
	}
	for _, m := range modules.Builtin() {
		b, packed, err := builtin(m.Name)
		if err != nil {
			continue // a defect that package modules' own test finds
		}
		start.Builtins = append(start.Builtins, b)
		name := kernelModules + b.Name + "-" + b.Hash.String() + ".wasm"
		files[name] = newAsset(name, packed)
	}
	var list bytes.Buffer
	w := brotli.NewWriter(&list)
	if json.NewEncoder(w).Encode(start) == nil && w.Close() == nil {
		files[kernelBoot] = newAsset(kernelBoot, list.Bytes())
	}
	return files
}

func builtin(name string) (api.BuiltinModule, []byte, error) {
	wasm, err := modules.Load(name)
	if err != nil {
		return api.BuiltinModule{}, nil, err
	}
	d, err := module.Parse(wasm)
	if err != nil {
		return api.BuiltinModule{}, nil, err
	}
	packed, err := modules.Packed(name)
	return api.BuiltinModule{Name: name, Version: d.Manifest.Version, Hash: d.Hash, Size: d.Size}, packed, err
}
