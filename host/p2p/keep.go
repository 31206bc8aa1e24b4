package p2p

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"inos/kernel/api"
)

// Pace of the keeper.
const (
	maxKeeperDials = 8                      // dials at once
	politeDelay    = 300 * time.Millisecond // the higher id lets the lower dial first
	reconnectDelay = 200 * time.Millisecond // after a lost connection
	firstBackoff   = 250 * time.Millisecond
	lastBackoff    = 60 * time.Second
)

// kept is a peer that stays connected: dialed when its connection is lost, with
// growing, jittered delays while it does not answer. Fields are guarded by
// Host.mu.
type kept struct {
	h     *Host
	addrs []string // without /p2p
	id    api.NodeID
	fails int
	waits bool // for the peer to dial
	timer *time.Timer
	done  bool
}

// Keep connects to peer at addrs (multiaddrs, with or without /p2p) and keeps
// it connected until Forget. Calling it again replaces the addresses. A peer
// without an address that this kind of node dials, as a tab is for a native one,
// is left to dial itself. At most api.MaxMembers peers are kept; more get
// Exhausted.
func (h *Host) Keep(peer api.NodeID, addrs []string) error {
	const op = "p2p.keep"
	if peer == h.id {
		return api.Errorf(op, api.Invalid, "a node does not keep a connection to itself")
	}
	list, err := parseNodeAddrs(op, peer, addrs)
	if err != nil {
		return err
	}
	given := len(list)
	list = slices.DeleteFunc(list, func(a string) bool { return !h.net.reaches(a) })
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return closedError(op)
	}
	k := h.kept[peer]
	if k != nil && slices.Equal(k.addrs, list) {
		return nil
	}
	if k == nil {
		if len(h.kept) >= api.MaxMembers {
			return api.Errorf(op, api.Exhausted, "the mesh has more members than a node keeps connections for")
		}
		k = &kept{h: h, id: peer}
		h.kept[peer] = k
	}
	k.addrs, k.fails, k.waits = list, 0, given > 0 && len(list) == 0
	delay := time.Duration(0)
	if string(h.id[:]) > string(peer[:]) && !h.isBootstrap(peer) {
		delay = politeDelay
	}
	k.schedule(delay)
	return nil
}

// Forget stops keeping peer connected. It does not disconnect.
func (h *Host) Forget(peer api.NodeID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.kept[peer]; k != nil {
		k.stop()
		delete(h.kept, peer)
	}
}

func (h *Host) isBootstrap(n api.NodeID) bool {
	return slices.ContainsFunc(h.cfg.Bootstrap, func(s string) bool {
		id, _, err := parseAddrs("p2p.keep", []string{s})
		return err == nil && id == n
	})
}

// schedule sets the time of the next dial. Host.mu is held.
func (k *kept) schedule(delay time.Duration) {
	if k.done || k.waits {
		return
	}
	if k.timer != nil {
		k.timer.Stop()
	}
	k.timer = time.AfterFunc(delay, func() { k.h.goWork(k.dial) })
}

// stop ends the keeping. Host.mu is held.
func (k *kept) stop() {
	k.done = true
	if k.timer != nil {
		k.timer.Stop()
	}
}

// dialed returns the addresses to dial.
func (k *kept) dialed() []string {
	k.h.mu.Lock()
	defer k.h.mu.Unlock()
	return k.addrs
}

// dial tries once and schedules the next attempt on failure.
func (k *kept) dial() {
	h := k.h
	select {
	case h.dials <- struct{}{}:
		defer func() { <-h.dials }()
	case <-h.ctx.Done():
		return
	}
	h.mu.Lock()
	addrs, done := k.addrs, k.done
	h.mu.Unlock()
	if done || h.Connected(k.id) {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, helloTime)
	err := h.introduce(ctx, k.id, addrs)
	cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		k.fails = 0
		return
	}
	k.fails++
	switch api.KindOf(err) {
	case api.Denied, api.Exists, api.Unverified, api.Invalid:
		k.fails += 4 // it will not change its mind soon
	}
	k.schedule(backoff(k.fails))
}

// backoff is the delay after the given number of failures.
func backoff(fails int) time.Duration {
	d := lastBackoff
	if shift := fails - 1; shift < 8 {
		d = min(firstBackoff<<max(shift, 0), lastBackoff)
	}
	return jitter(d)
}

// jitter spreads d over half to one and a half of it, so that nodes that lost
// the same peer do not dial it in step.
func jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(rand.Int64N(int64(d)))
}
