package p2p

import (
	"sync"
	"sync/atomic"

	"inos/kernel/api"
)

// traffic counts the block bytes exchanged with each member since the start.
type traffic struct {
	mu    sync.RWMutex
	peers map[api.NodeID]*peerTraffic // mu; at most api.MaxMembers
}

type peerTraffic struct {
	in, out atomic.Uint64
}

// of returns a member's counters. When the table is full of members that have
// left it starts anew, rather than grow.
func (t *traffic) of(n api.NodeID) *peerTraffic {
	t.mu.RLock()
	p := t.peers[n]
	t.mu.RUnlock()
	if p != nil {
		return p
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[n]; p != nil {
		return p
	}
	if t.peers == nil || len(t.peers) >= api.MaxMembers {
		t.peers = make(map[api.NodeID]*peerTraffic)
	}
	p = &peerTraffic{}
	t.peers[n] = p
	return p
}

// received and sent count block bytes, in all and per member.
func (h *Host) received(from api.NodeID, n uint64) {
	h.counts.bytesIn.Add(n)
	h.traffic.of(from).in.Add(n)
}

func (h *Host) sent(to api.NodeID, n uint64) {
	h.counts.bytesOut.Add(n)
	h.traffic.of(to).out.Add(n)
}
