// Package modules carries the modules that every node has from the start,
// built from the Rust sources in this folder by scripts/modules.sh.
//
// They are embedded compressed. Load unpacks one, which takes milliseconds and
// megabytes, so a node does it when a module is first needed and keeps the
// compiled code rather than the bytes.
//
// Invariants:
//   - Each embedded file is one module with a valid manifest of the same name.
//   - dist/SOURCES.sum names the sources that the files were built from; a
//     test fails when they have moved on.
package modules

import (
	"embed"
	"io"
	"io/fs"
	"strings"

	"github.com/andybalholm/brotli"

	"inos/kernel/api"
)

// maxModule bounds an unpacked module: what a node accepts as one.
const maxModule = 64 << 20

const suffix = ".wasm.br"

//go:embed dist/*.wasm.br
var dist embed.FS

// Module is an embedded module.
type Module struct {
	Name   string // as in its manifest, e.g. "compute"
	Packed int64  // bytes it takes in the binary
}

// Builtin lists the embedded modules, ordered by name. It unpacks nothing.
func Builtin() []Module {
	entries, err := dist.ReadDir("dist")
	if err != nil {
		panic("modules: the embedded folder is missing: " + err.Error())
	}
	var out []Module
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok {
			continue
		}
		out = append(out, Module{Name: name, Packed: size(e)})
	}
	return out
}

func size(e fs.DirEntry) int64 {
	info, err := e.Info()
	if err != nil {
		return 0
	}
	return info.Size()
}

// Load unpacks the named module. The caller owns the bytes; nothing is kept, so
// a second Load costs the same again. It fails with api.NotFound for a name that
// is not listed by Builtin.
func Load(name string) ([]byte, error) {
	const op = "modules.load"
	f, err := dist.Open("dist/" + name + suffix)
	if err != nil {
		return nil, api.Errorf(op, api.NotFound, "no built-in module is named "+name+"; see inos module ls")
	}
	defer f.Close()
	wasm, err := io.ReadAll(io.LimitReader(brotli.NewReader(f), maxModule+1))
	if err != nil {
		return nil, api.E(op, api.Corrupt, err)
	}
	if len(wasm) > maxModule {
		return nil, api.Errorf(op, api.Corrupt, "the module unpacks to more than a module may have")
	}
	return wasm, nil
}

// Packed is the named module's file compressed with Brotli, as it is embedded. The
// caller does not change it.
func Packed(name string) ([]byte, error) {
	b, err := dist.ReadFile("dist/" + name + suffix)
	if err != nil {
		return nil, api.Errorf("modules.packed", api.NotFound, "no built-in module is named "+name)
	}
	return b, nil
}

// SDK holds the sources of the Rust SDK, sdk, and the workspace's Cargo.toml,
// which pins the versions of what it depends on.
//
//go:embed sdk/Cargo.toml sdk/src Cargo.toml
var SDK embed.FS
