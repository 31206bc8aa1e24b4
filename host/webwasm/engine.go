//go:build js

package webwasm

import (
	"context"
	"sync"
	"syscall/js"
	"time"

	"inos/kernel/api"
	"inos/kernel/layout"
	"inos/kernel/module"
)

// Config shapes an Engine.
type Config struct {
	// Workers is how many guests run at once; 0 means 1.
	Workers int

	// MaxMemory bounds the linear memory of one guest in bytes, whatever a call's
	// limits say; 0 means 512 MiB.
	MaxMemory uint64

	// IdleAfter is how long a module keeps compiled code and instances without
	// calls, and a thread its life; 0 means 30 s.
	IdleAfter time.Duration
}

const (
	defaultMaxMemory = 512 << 20
	defaultIdle      = 30 * time.Second
	pageSize         = 64 << 10
	maxModules       = 256 // loaded modules, compiled or idle
	maxThreads       = 64  // running, idle, and waiting for system calls
)

func (c Config) withDefaults() Config {
	if c.Workers <= 0 {
		c.Workers = 1
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = defaultMaxMemory
	}
	c.MaxMemory = min(c.MaxMemory, 4<<30) &^ (pageSize - 1)
	if c.IdleAfter <= 0 {
		c.IdleAfter = defaultIdle
	}
	return c
}

// Engine implements module.Engine.
type Engine struct {
	cfg     Config
	workers js.Value      // frontend/src/tab/modules.ts
	slots   chan struct{} // one token per running guest
	ctx     context.Context
	stop    context.CancelFunc
	calls   sync.WaitGroup // that hold a slot or wait for one again

	threads threads

	mu      sync.Mutex
	modules map[api.Hash]*Module        // guarded by mu; at most maxModules
	closed  bool                        // guarded by mu
	places  [layout.ResidentsCount]bool // guarded by mu; of the arena, that residents have
}

var _ module.Engine = (*Engine)(nil)

// New makes an engine over the workers that the page lets the kernel make,
// globalThis.inosHost.modules. It costs nothing until a module is loaded.
// Unsupported where there are none.
func New(cfg Config) (*Engine, error) {
	host := js.Global().Get("inosHost")
	if host.IsUndefined() || host.Get("modules").IsUndefined() {
		return nil, api.Errorf("webwasm.new", api.Unsupported, "the page lets the kernel make no module workers")
	}
	cfg = cfg.withDefaults()
	ctx, stop := context.WithCancel(context.Background())
	return &Engine{
		cfg: cfg, workers: host.Get("modules"),
		slots: make(chan struct{}, cfg.Workers), ctx: ctx, stop: stop, modules: map[api.Hash]*Module{},
	}, nil
}

// Load implements module.Engine. Two loads of one module at once share the work.
func (e *Engine) Load(ctx context.Context, hash api.Hash, wasm []byte) (module.Module, error) {
	m, err := e.module(hash)
	if err != nil {
		return nil, err
	}
	defer m.release()
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

// module returns the module, in use so that it stays; release follows.
func (e *Engine) module(hash api.Hash) (*Module, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, api.Errorf("wasm.load", api.Closed, "the engine is closed")
	}
	if m := e.modules[hash]; m != nil {
		m.hold()
		return m, nil
	}
	if len(e.modules) >= maxModules && !e.evict() {
		return nil, api.Errorf("wasm.load", api.Exhausted, "256 modules are in use already; wait for jobs to finish")
	}
	m := &Module{engine: e, hash: hash, users: 1}
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

// Name is the name of what executes guests.
func (e *Engine) Name() string { return "browser" }

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
	e.calls.Wait()
	for _, m := range modules {
		m.unload(true)
	}
	e.endIdle()
	return nil
}

// enter takes a worker's slot.
func (e *Engine) enter(ctx context.Context) error {
	if e.ctx.Err() != nil {
		return errClosed()
	}
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
	return nil
}

func (e *Engine) leave() { <-e.slots }

func errClosed() error { return api.Errorf("wasm.call", api.Closed, "the engine is closed") }
