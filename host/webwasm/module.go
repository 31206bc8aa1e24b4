//go:build js

package webwasm

import (
	"context"
	"sync"
	"syscall/js"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
)

// Module implements module.Module. Its compiled code is kept while it is used: it
// goes Config.IdleAfter after the last call and comes back with the next.
type Module struct {
	engine *Engine
	hash   api.Hash

	loading sync.Mutex // serializes the work of making live; never held with mu

	mu    sync.Mutex
	desc  *module.Description // guarded by mu; set once
	wasm  []byte              // guarded by mu; the original, for compiling again
	live  *live               // guarded by mu; nil while idle
	users int                 // guarded by mu; calls and loads that hold live, or make it
	idle  *time.Timer         // guarded by mu; runs while users is 0 and live is not nil
	gone  bool                // guarded by mu; evicted or the engine closed
}

// live is a module's compiled code.
type live struct {
	key     string           // what workers call it: no two lives share one
	code    js.Value         // a WebAssembly.Module, which every worker can be sent
	info    string           // frontend/src/tab/guest/messages.ts, Info
	threads map[*thread]bool // that have it; guarded by engine.threads.mu
}

var _ module.Module = (*Module)(nil)

// Description implements module.Module.
func (m *Module) Description() *module.Description {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.desc
}

func (m *Module) warm() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live != nil
}

func (m *Module) load(ctx context.Context, wasm []byte) error {
	m.mu.Lock()
	known := m.desc != nil
	m.mu.Unlock()
	if !known {
		desc, err := module.Parse(wasm)
		if err != nil {
			return module.StartDefect(err)
		}
		if desc.Manifest.Resident {
			return api.Errorf("wasm.load", api.Invalid, "the module is a resident, which no job can call; start it with inos module start")
		}
		if desc.Hash != m.hash {
			return api.Errorf("wasm.load", api.Corrupt, "the module's bytes do not match its hash; fetch it again")
		}
		m.mu.Lock()
		m.desc, m.wasm = desc, wasm
		m.mu.Unlock()
	}
	_, err := m.acquire(ctx)
	if err == nil {
		m.release()
	}
	return err
}

// acquire returns live code, making it when there is none. release follows.
func (m *Module) acquire(ctx context.Context) (*live, error) {
	if l, err := m.take(); l != nil || err != nil {
		return l, err
	}
	m.loading.Lock()
	defer m.loading.Unlock()
	if l, err := m.take(); l != nil || err != nil {
		return l, err
	}
	if err := ctx.Err(); err != nil {
		return nil, api.E("wasm.load", api.KindOf(err), err)
	}
	m.hold()                                        // nobody puts away what is being compiled
	l, err := m.engine.compile(ctx, m.desc, m.wasm) // both are set before the first acquire
	if err != nil {
		m.release()
		return nil, module.StartDefect(err)
	}
	m.mu.Lock()
	err = m.lost()
	if err == nil {
		m.live = l
	}
	m.mu.Unlock()
	if err != nil {
		m.engine.forget(l)
		m.release()
		return nil, err
	}
	return l, nil
}

// hold counts a user; release follows.
func (m *Module) hold() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users++
	if m.idle != nil {
		m.idle.Stop()
	}
}

// lost is why the module cannot be used any more, nil when it can. mu is held.
func (m *Module) lost() error {
	switch {
	case m.engine.ctx.Err() != nil:
		return errClosed()
	case m.gone:
		return api.Errorf("wasm.load", api.Unavailable, "the module was put away to make room for others; try again")
	}
	return nil
}

func (m *Module) take() (*live, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.lost(); err != nil {
		return nil, err
	}
	if m.live == nil {
		return nil, nil
	}
	m.users++
	if m.idle != nil {
		m.idle.Stop()
	}
	return m.live, nil
}

func (m *Module) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users--
	if m.users > 0 || m.gone || m.live == nil {
		return
	}
	if m.idle == nil {
		m.idle = time.AfterFunc(m.engine.cfg.IdleAfter, func() { m.unload(false) })
		return
	}
	m.idle.Reset(m.engine.cfg.IdleAfter)
}

// unload frees what an unused module holds, for good when forever is set. It
// reports false, and does nothing, while calls run.
func (m *Module) unload(forever bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.users > 0 {
		return false
	}
	if forever {
		m.gone = true
		if m.idle != nil {
			m.idle.Stop()
		}
	}
	l := m.live
	m.live = nil
	if l != nil {
		m.engine.forget(l)
	}
	return true
}
