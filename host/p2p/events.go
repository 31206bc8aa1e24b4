package p2p

import (
	"sync"

	"inos/kernel/api"
)

// events reports peers going up and down, one call at a time. The set of peers
// to look at again is the whole queue, so it is bounded by the peers there are.
type events struct {
	mu    sync.Mutex
	dirty map[api.NodeID]struct{} // guarded by mu
	wake  chan struct{}           // capacity 1; nil without a listener
}

func (e *events) start(h *Host) {
	if h.cfg.OnPeer == nil {
		return
	}
	h.goWork(func() { e.run(h) })
}

// note asks for another look at n.
func (e *events) note(n api.NodeID) {
	if e.wake == nil {
		return
	}
	e.mu.Lock()
	e.dirty[n] = struct{}{}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *events) run(h *Host) {
	reported := make(map[api.NodeID]struct{})
	for {
		select {
		case <-e.wake:
		case <-h.ctx.Done():
			return
		}
		e.mu.Lock()
		dirty := e.dirty
		e.dirty = make(map[api.NodeID]struct{})
		e.mu.Unlock()
		for n := range dirty {
			_, was := reported[n]
			if up := h.Connected(n); up != was {
				if up {
					reported[n] = struct{}{}
				} else {
					delete(reported, n)
				}
				h.cfg.OnPeer(n, up)
			}
		}
	}
}
