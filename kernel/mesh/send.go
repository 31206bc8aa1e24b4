package mesh

import (
	"slices"
	"time"

	"inos/kernel/api"
)

// send is an unanswered request of a put or of repair. Fetches keep their own,
// because one answer comes per block.
type send struct {
	id    uint64
	to    api.NodeID
	due   time.Duration // answered with Timeout then
	owner sender
	ask   bool          // it is an AskHas
	addrs []api.Address // of SendStore and AskHas
	lease api.LeaseID   // of SendStore
	bytes uint64        // of SendStore
	items []int32       // indexes into the owner's blocks or rows
}

// sender is a session that waits for answers.
type sender interface {
	// acked is a verified success; s is no longer open.
	acked(c *Coordinator, s *send)
	// failed is any failure; s is no longer open.
	failed(c *Coordinator, s *send, kind api.Kind)
}

// open registers a request and returns it with its number.
func (c *Coordinator) open(s *send) *send {
	c.lastSend++
	s.id, s.due = c.lastSend, c.now+c.cfg.StoreTimeout
	c.sends[s.id] = s
	c.at(s.due)
	return s
}

// take closes a request, or returns nil for one that is not open.
func (c *Coordinator) take(id uint64) *send {
	s := c.sends[id]
	if s == nil {
		c.stats.Stale++
		return nil
	}
	delete(c.sends, id)
	if p := c.peers[s.to]; p != nil && p.state == MemberOnline {
		p.lastSeen = c.now
	}
	return s
}

// drop forgets every open request of a session; answers become stale.
func (c *Coordinator) drop(owner sender) {
	for id, s := range c.sends {
		if s.owner == owner {
			delete(c.sends, id)
		}
	}
}

func (c *Coordinator) storeAcked(ev StoreAcked) {
	s := c.take(ev.Send)
	if s == nil {
		return
	}
	if !receiptMatches(&ev.Receipt, s) {
		c.fault(s.to, api.Invalid)
		c.fail(s, api.Invalid)
		return
	}
	s.owner.acked(c, s)
}

func (c *Coordinator) commitAcked(id uint64) {
	if s := c.take(id); s != nil {
		s.owner.acked(c, s)
	}
}

// answered closes a request that failed.
func (c *Coordinator) answered(id uint64, kind api.Kind) {
	if s := c.take(id); s != nil {
		c.fail(s, kind)
	}
}

func (c *Coordinator) fail(s *send, kind api.Kind) {
	if transient(kind) {
		c.doubt(s.to)
	}
	s.owner.failed(c, s, kind)
}

// transient reports whether the same request may succeed soon.
func transient(kind api.Kind) bool {
	switch kind {
	case api.Unavailable, api.Timeout, api.Canceled, api.Closed, api.Other, api.Exhausted:
		return true
	}
	return false
}

func (c *Coordinator) fault(node api.NodeID, kind api.Kind) {
	c.stats.Faults++
	c.emit(PeerFault{Node: node, Kind: kind})
}

// failPeer fails every request to a node that is gone, in the order they were
// made.
func (c *Coordinator) failPeer(node api.NodeID) {
	c.failSends(func(s *send) bool { return s.to == node }, api.Unavailable)
	c.fetchPeerGone(node)
}

func (c *Coordinator) tickSends() {
	c.failSends(func(s *send) bool { return s.due <= c.now }, api.Timeout)
	for _, s := range c.sends {
		c.at(s.due)
	}
}

func (c *Coordinator) failSends(which func(*send) bool, kind api.Kind) {
	var ids []uint64
	for id, s := range c.sends {
		if which(s) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if s := c.sends[id]; s != nil {
			delete(c.sends, id)
			c.fail(s, kind)
		}
	}
}
