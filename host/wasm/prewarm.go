package wasm

import (
	"context"
	"slices"
	"sync"

	"inos/kernel/api"
)

// MaxPrewarm bounds the instances of one Prewarm. Memory bounds how many callers
// may have at a time, as it does the calls.
const MaxPrewarm = 16384

// Prewarm puts n more instances that are ready for a call into the module's pool,
// so that a burst of calls finds them, and lets the pool keep as many more until
// release is called; calling it again does nothing. Idle instances cost the pages that they alone wrote; the
// rest is shared with the image. They are no workers: Config.Workers still bounds
// what runs at once.
//
// Errors: what an instance's start may fail with; Invalid for more than
// MaxPrewarm; Closed.
func (m *Module) Prewarm(ctx context.Context, n int) (release func(), err error) {
	if n < 0 || n > MaxPrewarm {
		return nil, api.Errorf("wasm.prewarm", api.Invalid, "at most 16,384 instances are made ready at once")
	}
	l, err := m.acquire(ctx)
	if err != nil {
		return nil, err
	}
	l.reserve(n)
	release = sync.OnceFunc(func() {
		l.reserve(-n)
		m.release(l)
	})
	for range n {
		in, err := l.instantiate()
		if err == nil {
			l.put(in)
			err = ctx.Err()
		}
		if err != nil {
			release()
			return nil, api.E("wasm.prewarm", api.KindOf(err), err)
		}
	}
	return release, nil
}

// reserve changes how many instances the pool keeps beyond one a worker, and
// closes those that no longer fit.
func (l *live) reserve(n int) {
	l.mu.Lock()
	l.reserved += n
	keep := min(len(l.free), l.engine.cfg.Workers+l.reserved)
	surplus := l.free[keep:]
	l.free = slices.Clone(l.free[:keep]) // what is closed is not to be reached from here
	l.mu.Unlock()
	for _, in := range surplus {
		in.close()
	}
}
