package wasm

import (
	"context"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
)

// Module implements module.Module. Its code is present only while it is used:
// live goes away after Config.IdleAfter without calls and comes back, from the
// compiled-code cache, with the next.
type Module struct {
	engine *Engine
	hash   api.Hash

	loading sync.Mutex // serializes the work of making live; never held with mu

	mu    sync.Mutex
	desc  *module.Description // guarded by mu; set once
	wasm  []byte              // guarded by mu; the original, for loading again
	live  *live               // guarded by mu; nil while idle
	users int                 // guarded by mu; calls that hold live
	idle  *time.Timer         // guarded by mu; runs while users is 0 and live is not nil
	gone  bool                // guarded by mu; evicted or the engine closed
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
	l, err := m.acquire(ctx)
	if err != nil {
		return err
	}
	m.release(l)
	return nil
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
	l, err := m.engine.compile(m.desc, m.wasm) // both are set before the first acquire
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		l.close()
		return nil, errClosed()
	}
	m.live, m.users = l, m.users+1
	return l, nil
}

func (m *Module) take() (*live, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return nil, errClosed()
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

func (m *Module) release(*live) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users--
	if m.users > 0 || m.gone {
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
	if l == nil {
		return true
	}
	if !forever && m.engine.cfg.CacheDir == "" {
		l.drain()
		return true
	}
	m.live = nil
	l.close()
	return true
}
