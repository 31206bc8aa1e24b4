package p2p

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"inos/kernel/api"
)

// remote is a peer with at least one connection. It begins as a stranger and is
// admitted once, by an introduction in either direction.
type remote struct {
	id    api.NodeID
	ready chan struct{} // closed at admission
	gone  chan struct{} // closed when the last connection closed

	conns       map[conn]struct{} // guarded by Host.mu
	admitted    bool              // guarded by Host.mu
	introducing int               // guarded by Host.mu; introductions this node started
	instance    [16]byte          // guarded by Host.mu; of the admitted process
	expiry      *time.Timer       // closes a stranger's connections

	rtt   atomic.Int64 // smoothed round trip, nanoseconds
	calls atomic.Int64 // handlers running for the peer
	lanes [laneCount]laneSlot
	blocks
}

// PeerInfo is one connected member.
type PeerInfo struct {
	ID        api.NodeID
	Addr      string        // remote multiaddr of its oldest connection
	Transport string        // "tcp", "quic", "websocket", "webtransport", "webrtc" or "relay"
	Latency   time.Duration // smoothed round trip; 0 when unknown
	Inbound   bool          // the peer dialed
	BytesIn   uint64        // block bytes received from it since this node's start
	BytesOut  uint64        // block bytes sent to it
}

// connected is the transport's notification, made before any stream of c is
// handled.
func (h *Host) connected(c conn) {
	n := c.peer()
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.peers[n]
	if r == nil {
		r = &remote{id: n, ready: make(chan struct{}), gone: make(chan struct{}), conns: make(map[conn]struct{})}
		r.expiry = time.AfterFunc(h.cfg.Limits.StrangerTime, func() { h.expire(r) })
		h.peers[n] = r
	}
	r.conns[c] = struct{}{}
	if !r.admitted && c.inbound() {
		h.strangers++
	}
}

// disconnected is the transport's notification, made once for each connection.
func (h *Host) disconnected(c conn) {
	n := c.peer()
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.peers[n]
	if r == nil {
		return
	}
	if _, known := r.conns[c]; !known {
		return
	}
	delete(r.conns, c)
	if !r.admitted && c.inbound() {
		h.strangers--
	}
	if len(r.conns) > 0 {
		return
	}
	delete(h.peers, n)
	r.expiry.Stop()
	close(r.gone)
	if r.admitted {
		h.events.note(n)
	}
	if k := h.kept[n]; k != nil && !h.closed {
		k.schedule(jitter(reconnectDelay))
	}
}

// expire ends a stranger that neither introduced itself nor left.
func (h *Host) expire(r *remote) {
	h.mu.Lock()
	admitted := r.admitted
	h.mu.Unlock()
	if !admitted {
		_ = h.net.closePeer(r.id)
	}
}

// admit makes n's connections those of a member. Exists means that another
// running process uses n's identity, Exhausted that there are too many peers.
func (h *Host) admit(n api.NodeID, instance [16]byte, via conn) error {
	const op = "p2p.admit"
	h.mu.Lock()
	r := h.peers[n]
	if r == nil {
		h.mu.Unlock()
		return api.Errorf(op, api.Unavailable, "the node left while it was introduced")
	}
	if r.admitted {
		stale, err := h.sameKey(r, instance, via)
		h.mu.Unlock()
		for _, c := range stale {
			_ = c.Close()
		}
		return err
	}
	if h.memberCount() >= h.cfg.Limits.Peers {
		h.mu.Unlock()
		return api.Errorf(op, api.Exhausted, "this node has as many peers as it allows; raise the limit or connect to another")
	}
	r.admitted, r.instance = true, instance
	h.remember(n, instance)
	for c := range r.conns {
		if c.inbound() {
			h.strangers--
		}
	}
	r.expiry.Stop()
	close(r.ready)
	h.events.note(n)
	if k := h.kept[n]; k != nil {
		k.fails = 0
	}
	h.mu.Unlock()
	h.over.admitted(n)
	return nil
}

// memberCount counts admitted peers. h.mu is held.
func (h *Host) memberCount() int {
	count := 0
	for _, r := range h.peers {
		if r.admitted {
			count++
		}
	}
	return count
}

// maxInstances bounds the processes remembered for one identity.
const maxInstances = 8

// sameKey decides what a second process with r's identity means. A process not
// seen before is a restart: it replaces the old one, whose connections are
// returned to be closed. One that was seen before and comes back while another
// is connected is a copy of the identity running elsewhere. h.mu is held.
func (h *Host) sameKey(r *remote, instance [16]byte, via conn) ([]conn, error) {
	if r.instance == instance {
		return nil, nil
	}
	if slices.Contains(h.seen[r.id], instance) {
		h.counts.sameKey.Add(1)
		return nil, api.Errorf("p2p.admit", api.Exists, "another running node has the identity "+r.id.Short()+": give each node its own folder and let it join with its own invite")
	}
	r.instance = instance
	h.remember(r.id, instance)
	var stale []conn
	for c := range r.conns {
		if c != via {
			stale = append(stale, c)
		}
	}
	return stale, nil
}

// remember records a process of n. h.mu is held.
func (h *Host) remember(n api.NodeID, instance [16]byte) {
	list := h.seen[n]
	if slices.Contains(list, instance) {
		return
	}
	if list == nil && len(h.seen) >= api.MaxMembers {
		clear(h.seen)
	}
	if len(list) >= maxInstances {
		list = list[1:]
	}
	h.seen[n] = append(list, instance)
}

// Peers lists the connected members, ordered by id.
func (h *Host) Peers() []PeerInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]PeerInfo, 0, len(h.peers))
	for n, r := range h.peers {
		if !r.admitted {
			continue
		}
		moved := h.traffic.of(n)
		info := PeerInfo{ID: n, Latency: time.Duration(r.rtt.Load()), BytesIn: moved.in.Load(), BytesOut: moved.out.Load()}
		var oldest time.Time
		for c := range r.conns {
			if at := c.opened(); oldest.IsZero() || at.Before(oldest) {
				oldest = at
				info.Addr, info.Transport, info.Inbound = c.addr(), c.via(), c.inbound()
			}
		}
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b PeerInfo) int { return cmp.Compare(string(a.ID[:]), string(b.ID[:])) })
	return list
}

// Connected reports whether peer is a member with a live connection.
func (h *Host) Connected(peer api.NodeID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.peers[peer]
	return r != nil && r.admitted
}

// Latency is the smoothed round trip to peer as its calls show it, without the
// time inside handlers; 0 when unknown. Nothing is sent to measure it.
func (h *Host) Latency(peer api.NodeID) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.peers[peer]; r != nil {
		return time.Duration(r.rtt.Load())
	}
	return 0
}

// observeRTT folds one round trip into the average with weight 1/8, as TCP does.
//
// Source: RFC 6298, section 2.
func (r *remote) observeRTT(d time.Duration) {
	d = max(d, time.Microsecond)
	old := time.Duration(r.rtt.Load())
	if old == 0 {
		r.rtt.Store(int64(d))
		return
	}
	r.rtt.Store(int64(old + (d-old)/8))
}

// Connect dials a member, introduces this node and returns who answered. It
// returns at once when the member is connected already. addrs are full
// multiaddrs of one node. Errors: Invalid for a malformed address, Exists when
// the address leads to a node with this node's own key, Denied or whatever the
// peer's Admit said when it refuses, Unavailable when nobody answers, Timeout.
func (h *Host) Connect(ctx context.Context, addrs ...string) (api.NodeID, error) {
	const op = "p2p.connect"
	n, list, err := parseAddrs(op, addrs)
	if err != nil {
		return n, err
	}
	if n == h.id {
		return n, h.selfDial(op, list)
	}
	return n, h.introduce(ctx, n, list)
}

// selfDial tells a node that meets its own identity what that means.
func (h *Host) selfDial(op string, addrs []string) error {
	own := h.net.addrs()
	for _, a := range addrs {
		if slices.Contains(own, a) {
			return api.Errorf(op, api.Invalid, "this is the node's own address; name another node")
		}
	}
	h.counts.sameKey.Add(1)
	return api.Errorf(op, api.Exists, "the node at that address has this node's own identity: two nodes must not share a key; start this one with an empty folder and a fresh invite")
}

// Disconnect closes every connection with peer. Unless Forget was called, a
// kept peer is dialed again.
func (h *Host) Disconnect(peer api.NodeID) error {
	if err := h.net.closePeer(peer); err != nil {
		return api.E("p2p.disconnect", api.Other, err)
	}
	return nil
}

// Recheck closes the connections of peers that Member no longer accepts. Call
// it after a revocation.
func (h *Host) Recheck() {
	h.mu.Lock()
	var out []api.NodeID
	for n, r := range h.peers {
		if r.admitted && !h.cfg.Member(n) {
			out = append(out, n)
		}
	}
	h.mu.Unlock()
	for _, n := range out {
		h.counts.refused.Add(1)
		_ = h.Disconnect(n)
	}
}

// member returns the state of an admitted peer, connecting to it when its
// addresses are known.
func (h *Host) member(ctx context.Context, op string, n api.NodeID) (*remote, error) {
	if n == h.id {
		return nil, api.Errorf(op, api.Invalid, "a node does not call itself over the network")
	}
	for range 2 {
		h.mu.Lock()
		r := h.peers[n]
		admitted := r != nil && r.admitted
		known := h.kept[n]
		h.mu.Unlock()
		if admitted {
			if !h.cfg.Member(n) {
				return nil, api.Errorf(op, api.Denied, "the node "+n.Short()+" is no member of this mesh")
			}
			return r, nil
		}
		var addrs []string
		if known != nil {
			addrs = known.dialed()
		} else {
			addrs = h.net.known(n)
		}
		if r == nil && len(addrs) == 0 {
			return nil, api.Errorf(op, api.Unavailable, "the node "+n.Short()+" is not connected and no address of it is known")
		}
		if err := h.introduce(ctx, n, addrs); err != nil {
			return nil, api.E(op, api.Other, err)
		}
	}
	return nil, api.Errorf(op, api.Unavailable, "the node "+n.Short()+" left again at once")
}
