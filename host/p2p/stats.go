package p2p

import (
	"sync/atomic"

	"inos/kernel/api"
)

// Stats counts what happened since the start.
type Stats struct {
	Refused   uint64 // connections and streams refused because the peer is no member
	BadPeers  uint64 // times a peer sent wrong bytes, half messages or garbage
	SameKey   uint64 // sightings of another process with a node's identity
	Calls     uint64 // calls made
	Answered  uint64 // calls answered, failures included
	BytesIn   uint64 // block bytes received
	BytesOut  uint64 // block bytes sent
	Peers     int    // members connected
	Strangers int    // inbound connections of peers not admitted
}

type counters struct {
	refused, badPeers, sameKey, calls, answered, bytesIn, bytesOut atomic.Uint64
}

// Stats returns the counters.
func (h *Host) Stats() Stats {
	c := &h.counts
	s := Stats{
		Refused: c.refused.Load(), BadPeers: c.badPeers.Load(), SameKey: c.sameKey.Load(),
		Calls: c.calls.Load(), Answered: c.answered.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Strangers = h.strangers
	s.Peers = h.memberCount()
	return s
}

// badPeer records that n broke the protocol. A peer that merely left is not bad.
func (h *Host) badPeer(n api.NodeID, err error) {
	switch api.KindOf(err) {
	case api.Invalid, api.Corrupt:
	default:
		return
	}
	h.counts.badPeers.Add(1)
	if h.cfg.OnBadPeer != nil {
		h.cfg.OnBadPeer(n, err)
	}
}
