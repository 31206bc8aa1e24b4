package p2p

import (
	"context"
	"time"

	"inos/kernel/api"
)

// admitWait is how long a stream waits for the introduction that runs on the
// same connection.
const admitWait = 10 * time.Second

// roomFor reports whether another connection with n may stand.
func (h *Host) roomFor(n api.NodeID, inbound bool) bool {
	member := h.cfg.Member(n)
	open := h.cfg.Strangers == nil || h.cfg.Strangers()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return false
	case !inbound || h.peers[n] != nil:
		return true
	case member:
		return len(h.peers) < h.cfg.Limits.Peers+h.cfg.Limits.Strangers
	default:
		return open && h.strangers < h.cfg.Limits.Strangers
	}
}

// members wraps the handler of a protocol that only members use.
func (h *Host) members(fn func(stream)) func(stream) {
	return func(s stream) {
		if !h.admittedInbound(s.conn().peer()) {
			h.counts.refused.Add(1)
			_ = s.refuse()
			return
		}
		fn(s)
	}
}

// admittedInbound reports whether an inbound stream's peer is a member that was
// introduced. When this node dialed and is about to read the answer to its
// introduction, it waits for that.
func (h *Host) admittedInbound(n api.NodeID) bool {
	h.mu.Lock()
	r := h.peers[n]
	waiting := r != nil && !r.admitted && r.introducing > 0
	admitted := r != nil && r.admitted
	h.mu.Unlock()
	if waiting {
		admitted = h.waitAdmitted(h.ctx, n) == nil
	}
	return admitted && h.cfg.Member(n)
}

// waitAdmitted returns nil once n is introduced and a member, Denied when it is
// not a member, Unavailable when it has no connection.
func (h *Host) waitAdmitted(ctx context.Context, n api.NodeID) error {
	const op = "p2p.stream"
	h.mu.Lock()
	r := h.peers[n]
	if r == nil {
		h.mu.Unlock()
		return api.Errorf(op, api.Unavailable, "the node "+n.Short()+" is not connected")
	}
	admitted := r.admitted
	h.mu.Unlock()
	if !admitted {
		ctx, cancel := context.WithTimeout(ctx, admitWait)
		defer cancel()
		select {
		case <-r.ready:
		case <-r.gone:
			return api.Errorf(op, api.Unavailable, "the node "+n.Short()+" left")
		case <-ctx.Done():
			return api.E(op, api.Other, ctx.Err())
		}
	}
	if !h.cfg.Member(n) {
		return api.Errorf(op, api.Denied, "the node "+n.Short()+" is no member of this mesh")
	}
	return nil
}
