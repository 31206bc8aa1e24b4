// Package wasm runs guest modules natively behind the interface of kernel/module,
// on wazero or on another engine that it is given (host/wasmtime).
//
// A module is metered (kernel/module/meter), compiled once, and kept as compiled
// code on disk. Calls run in instances whose memory is ours: reserved address
// space, committed as the guest grows. After an instance's start function and
// _initialize, its memory becomes an image; between calls the memory is mapped
// back to that image copy-on-write and the globals are put back, so each call
// starts from the same state at the cost of the pages that the last one touched.
//
// How a guest is stopped: the metered code calls the host at the end of each
// slice of gas, about every 0.1 ms. The host grants the next slice or
// panics with a stop error, which becomes the error of the call.
// Nothing is interrupted from outside, and no context is watched by the engine.
//
// Invariants:
//   - An instance serves one call at a time. An instance whose call failed in any
//     way but a well-formed response is discarded, never reused.
//   - At most Config.Workers guests run at once; each module keeps at most as
//     many idle instances, and none after Config.IdleAfter without calls.
//   - What a guest hands over (pointers, lengths, messages) is checked before use,
//     and copied out before the guest runs again.
//   - An engine that loaded nothing holds no wazero runtime.
package wasm

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"inos/host/internal/machine"
	"inos/kernel/api"
	"inos/kernel/layout"
	"inos/kernel/module"
)

// Config shapes an Engine.
type Config struct {
	// CacheDir keeps compiled code between runs; it is created. "" keeps none.
	// Others must not be able to write to it: compiled code is executed.
	CacheDir string

	// Workers is how many guests run at once; 0 means the number of CPUs.
	Workers int

	// MaxMemory bounds the linear memory of one guest in bytes, whatever a call's
	// limits say; 0 means 1 GiB. A call that asks for more than that may still run;
	// it fails as Unavailable here when it really needs more.
	MaxMemory uint64

	// Arena is what loans are of; nil lends nothing. It stays open until the
	// engine is closed.
	Arena Shared

	// Machines executes the metered code of guests; nil means wazero. Residents run
	// on wazero always: what they share needs an engine that takes our memory.
	Machines machine.Engine

	// IdleAfter is how long a module keeps compiled code and instances without
	// calls; 0 means 30 s. Without CacheDir compiled code stays.
	IdleAfter time.Duration
}

// Shared is mapped memory that can be mapped again, such as a shm.Region.
type Shared interface {
	Bytes() []byte
	File() (*os.File, error)
}

const (
	defaultMaxMemory = 1 << 30
	defaultIdle      = 30 * time.Second
	maxModules       = 256 // loaded modules, compiled or idle
)

func (c Config) withDefaults() Config {
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = defaultMaxMemory
	}
	if c.Machines == nil {
		c.Machines = wazeroEngine{}
	}
	c.MaxMemory = min(c.MaxMemory, maxReserve) &^ (pageSize - 1)
	if c.IdleAfter <= 0 {
		c.IdleAfter = defaultIdle
	}
	return c
}

// Engine implements module.Engine.
type Engine struct {
	cfg   Config
	slots chan struct{}   // one token per running guest
	ctx   context.Context // ends when the engine closes
	stop  context.CancelFunc

	parked sync.WaitGroup // calls that made system calls, in which they hold no slot, and residents

	mu      sync.Mutex
	modules map[api.Hash]*Module        // guarded by mu; at most maxModules
	closed  bool                        // guarded by mu
	places  [layout.ResidentsCount]bool // guarded by mu; of the arena, that residents have
}

var _ module.Engine = (*Engine)(nil)

// New makes an engine. It costs nothing until a module is loaded.
func New(cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if cfg.CacheDir != "" {
		if err := os.MkdirAll(cfg.CacheDir, 0o700); err != nil {
			return nil, api.E("wasm.new", api.Other, err)
		}
		abs, err := filepath.Abs(cfg.CacheDir)
		if err != nil {
			return nil, api.E("wasm.new", api.Other, err)
		}
		cfg.CacheDir = abs
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Engine{
		cfg: cfg, slots: make(chan struct{}, cfg.Workers), ctx: ctx, stop: stop, modules: map[api.Hash]*Module{},
	}, nil
}

// Load implements module.Engine. Two loads of one module at once share the work.
func (e *Engine) Load(ctx context.Context, hash api.Hash, wasm []byte) (module.Module, error) {
	m, err := e.module(hash)
	if err != nil {
		return nil, err
	}
	if err := m.load(ctx, wasm); err != nil {
		return nil, err
	}
	return m, nil
}

// Loaded returns a module that Load has seen and that is still known.
func (e *Engine) Loaded(hash api.Hash) (module.Module, bool) {
	e.mu.Lock()
	m := e.modules[hash]
	e.mu.Unlock()
	if m == nil || m.Description() == nil {
		return nil, false
	}
	return m, true
}

// Warm reports whether the module's code is compiled and in memory.
func (e *Engine) Warm(hash api.Hash) bool {
	e.mu.Lock()
	m := e.modules[hash]
	e.mu.Unlock()
	return m != nil && m.warm()
}

func (e *Engine) module(hash api.Hash) (*Module, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, api.Errorf("wasm.load", api.Closed, "the engine is closed")
	}
	if m := e.modules[hash]; m != nil {
		return m, nil
	}
	if len(e.modules) >= maxModules && !e.evict() {
		return nil, api.Errorf("wasm.load", api.Exhausted, "256 modules are in use already; wait for jobs to finish")
	}
	m := &Module{engine: e, hash: hash}
	e.modules[hash] = m
	return m, nil
}

// evict forgets one module that is not in use. The caller holds e.mu.
func (e *Engine) evict() bool {
	for h, m := range e.modules {
		if m.unload(true) {
			delete(e.modules, h)
			return true
		}
	}
	return false
}

// Name is the name of what executes guests: "wazero", "wasmtime".
func (e *Engine) Name() string { return e.cfg.Machines.Name() }

// Workers returns how many guests may run at once.
func (e *Engine) Workers() int { return e.cfg.Workers }

// Running returns how many guests run now.
func (e *Engine) Running() int { return len(e.slots) }

// Close implements module.Engine. Running guests are stopped; it waits for them.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	modules := e.modules
	e.modules = map[api.Hash]*Module{}
	e.mu.Unlock()
	e.stop()
	for range e.cfg.Workers { // every slot is free once the guests have stopped
		e.slots <- struct{}{}
	}
	e.parked.Wait()
	for _, m := range modules {
		m.unload(true)
	}
	return nil
}

// enter takes a worker's slot.
func (e *Engine) enter(ctx context.Context) error {
	select {
	case e.slots <- struct{}{}:
	default:
		select {
		case e.slots <- struct{}{}:
		case <-ctx.Done():
			return api.E("wasm.call", api.KindOf(ctx.Err()), ctx.Err())
		case <-e.ctx.Done():
			return errClosed()
		}
	}
	if e.ctx.Err() != nil {
		e.leave()
		return errClosed()
	}
	return nil
}

func (e *Engine) leave() { <-e.slots }

func errClosed() error { return api.Errorf("wasm.call", api.Closed, "the engine is closed") }
