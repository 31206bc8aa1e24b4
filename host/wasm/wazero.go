package wasm

import (
	"context"

	"github.com/tetratelabs/wazero"
	wazeroapi "github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"inos/host/internal/machine"
	"inos/kernel/api"
	"inos/kernel/module/guest"
)

// wazeroEngine is the engine of every binary: wazero, which needs no cgo. Each
// module has a runtime of its own, so that closing it returns all memory.
type wazeroEngine struct{}

const (
	i32 = wazeroapi.ValueTypeI32
	i64 = wazeroapi.ValueTypeI64
)

var _ machine.Engine = wazeroEngine{}

func (wazeroEngine) Name() string { return "wazero" }

// Key leaves the CPU out: wazero's own names of files cover its features.
func (wazeroEngine) Key() string { return machine.Version("github.com/tetratelabs/wazero") }

func (wazeroEngine) Compile(metered []byte, dir string, link machine.Link) (_ machine.Code, err error) {
	ctx := context.Background()
	c := &wazeroCode{}
	defer func() {
		if r := recover(); r != nil {
			c.Close()
			panic(r)
		}
		if err != nil {
			c.Close()
		}
	}()
	cfg := wazero.NewRuntimeConfig().WithCoreFeatures(wazeroapi.CoreFeaturesV2)
	if dir != "" {
		// A disk that cannot be written costs speed, not the call.
		if c.cache, err = wazero.NewCompilationCacheWithDir(dir); err == nil {
			cfg = cfg.WithCompilationCache(c.cache)
		}
	}
	c.runtime = wazero.NewRuntimeWithConfig(ctx, cfg)
	if c.module, err = c.runtime.CompileModule(ctx, metered); err != nil {
		return nil, invalidModule(err)
	}
	return c, c.provide(ctx, link)
}

// validate has the original type-checked, before anything that was added to it
// could be mistaken for part of it. Every engine's modules pass here, so that all
// nodes accept the same.
func validate(original []byte) error { return validateAs(original, wazeroapi.CoreFeaturesV2) }

func validateAs(original []byte, features wazeroapi.CoreFeatures) (err error) {
	defer recoverAs(&err, "wasm.validate")
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features))
	defer r.Close(ctx)
	if _, err := r.CompileModule(ctx, original); err != nil {
		return invalidModule(err)
	}
	return nil
}

type wazeroCode struct {
	cache   wazero.CompilationCache // nil without one
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

// guestKey is where a call's context carries the guest to host functions.
type guestKey struct{}

// provide makes a host module for each module that is imported from.
func (c *wazeroCode) provide(ctx context.Context, link machine.Link) error {
	builders := map[string]wazero.HostModuleBuilder{}
	seen := map[[2]string]machine.Type{}
	for _, def := range c.module.ImportedFunctions() {
		mod, name, _ := def.Import()
		t := typeOf(def)
		f, err := link(mod, name, t)
		if err != nil {
			return err
		}
		at := [2]string{mod, name}
		if was, ok := seen[at]; ok {
			if was != t {
				return guest.ImportedTwice(mod, name)
			}
			continue
		}
		seen[at] = t
		if builders[mod] == nil {
			builders[mod] = c.runtime.NewHostModuleBuilder(mod)
		}
		builders[mod].NewFunctionBuilder().WithGoFunction(wazeroapi.GoFunc(func(ctx context.Context, stack []uint64) {
			f(ctx.Value(guestKey{}), stack)
		}), def.ParamTypes(), def.ResultTypes()).Export(name)
	}
	for _, b := range builders {
		if _, err := b.Instantiate(ctx); err != nil {
			return api.E("wasm.provide", api.Other, err)
		}
	}
	return nil
}

func typeOf(def wazeroapi.FunctionDefinition) machine.Type {
	var b []byte
	for _, t := range def.ParamTypes() {
		b = append(b, typeLetter(t))
	}
	b = append(b, ':')
	for _, t := range def.ResultTypes() {
		b = append(b, typeLetter(t))
	}
	return machine.Type(b)
}

func typeLetter(t wazeroapi.ValueType) byte {
	switch t {
	case i32:
		return 'i'
	case i64:
		return 'I'
	case wazeroapi.ValueTypeF32:
		return 'f'
	case wazeroapi.ValueTypeF64:
		return 'F'
	}
	return '?'
}

func (c *wazeroCode) Exports() map[string]machine.Type {
	out := map[string]machine.Type{}
	for name, def := range c.module.ExportedFunctions() {
		out[name] = typeOf(def)
	}
	return out
}

func (c *wazeroCode) Machine(guest any, mem machine.Memory) (machine.Machine, error) {
	ctx := experimental.WithMemoryAllocator(context.WithValue(context.Background(), guestKey{}, guest), wazeroMemory{mem})
	m, err := c.runtime.InstantiateModule(ctx, c.module, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, err
	}
	return &wazeroMachine{ctx, m}, nil
}

func (c *wazeroCode) Close() {
	if c.runtime != nil {
		_ = c.runtime.Close(context.Background())
	}
	if c.cache != nil {
		_ = c.cache.Close(context.Background())
	}
}

// wazeroMemory gives wazero our memory. Free is ours to do.
type wazeroMemory struct{ machine.Memory }

func (m wazeroMemory) Allocate(_, most uint64) experimental.LinearMemory {
	m.Reserve(most, 0)
	return m
}

func (wazeroMemory) Free() {}

type wazeroMachine struct {
	ctx context.Context
	mod wazeroapi.Module
}

func (m *wazeroMachine) Func(name string) machine.Func {
	if f := m.mod.ExportedFunction(name); f != nil {
		return wazeroFunc{m.ctx, f}
	}
	return nil
}

func (m *wazeroMachine) Global(name string) machine.Global {
	if g, ok := m.mod.ExportedGlobal(name).(wazeroapi.MutableGlobal); ok {
		return g
	}
	return nil
}

func (m *wazeroMachine) Shrink(size uint64) bool {
	m.mod.Memory().Grow(1)
	return uint64(m.mod.Memory().Size()) == size
}

func (m *wazeroMachine) Close() { _ = m.mod.Close(m.ctx) }

type wazeroFunc struct {
	ctx context.Context
	f   wazeroapi.Function
}

func (f wazeroFunc) Call(stack []uint64) error { return f.f.CallWithStack(f.ctx, stack) }
