package wasm

import (
	"context"
	"sync"

	"inos/kernel/api"
	"inos/kernel/module"
)

// window implements module.Window: an instance of its own, in which a loan stands.
type window struct {
	m    *Module
	loan module.Loan

	calls sync.Mutex // held by the running call; taken before mu

	mu   sync.Mutex
	live *live     // guarded by mu; nil once closed
	in   *instance // guarded by mu, and not changed during a call; nil until a call needs one
	lent *lent     // guarded by mu; of in
	gone bool      // guarded by mu; revoked
}

var (
	_ module.Lender = (*Module)(nil)
	_ module.Window = (*window)(nil)
)

// Lend implements module.Lender.
func (m *Module) Lend(ctx context.Context, loan module.Loan) (module.Window, error) {
	if err := loan.Check(); err != nil {
		return nil, err
	}
	if err := m.engine.checkLoan(&loan); err != nil {
		return nil, err
	}
	l, err := m.acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &window{m: m, loan: loan, live: l}, nil
}

func errRevoked() error {
	return api.Errorf("wasm.window", api.Closed, "the loan was revoked; lend again")
}

// Call implements module.Window.
func (w *window) Call(ctx context.Context, c module.Call) (module.Result, error) {
	c.Loan = &w.loan
	if err := w.m.Description().Prepare(&c); err != nil {
		return module.Result{}, err
	}
	w.calls.Lock()
	defer w.calls.Unlock()
	return w.m.occupy(ctx, func() (*run, module.Result, error) {
		in, err := w.instance()
		if err != nil {
			return nil, module.Result{}, err
		}
		res, clean, err := in.serve(ctx, &c)
		r := in.run
		if !clean || !in.reset() {
			w.drop()
		}
		return &r, res, err
	})
}

// instance returns the window's instance, or a new one.
func (w *window) instance() (*instance, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return nil, errRevoked()
	}
	if w.in != nil {
		return w.in, nil
	}
	in, err := w.live.get()
	if err != nil {
		return nil, err
	}
	w.lent = &lent{loan: w.loan, stands: true}
	w.in, in.lent = in, w.lent
	return in, nil
}

// drop closes the instance. The caller holds calls.
func (w *window) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.in != nil {
		w.in.close()
		w.in, w.lent = nil, nil
	}
}

// Revoke implements module.Window.
func (w *window) Revoke() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = true
	if w.in == nil {
		return nil
	}
	return w.in.memory.hide(w.lent)
}

// Close implements module.Window.
func (w *window) Close() error {
	err := w.Revoke()
	w.calls.Lock()
	defer w.calls.Unlock()
	w.drop()
	w.mu.Lock()
	l := w.live
	w.live = nil
	w.mu.Unlock()
	if l != nil {
		w.m.release(l)
	}
	return err
}
