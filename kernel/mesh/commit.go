package mesh

import (
	"slices"

	"inos/kernel/api"
)

func (c *Coordinator) putCommit(ev PutCommit) {
	p := c.findPut(ev.Put)
	if p == nil || p.commit != nil {
		c.stats.Stale++
		return
	}
	p.commit = &ev
	if len(p.batches) == 0 {
		c.commitBegin(p)
	}
}

// commitBegin asks every holder to give its blocks the final lease.
func (c *Coordinator) commitBegin(p *put) {
	p.retried = make(map[api.NodeID]bool)
	p.committing = len(p.holders)
	if p.committing == 0 {
		c.putFail(p, api.Errorf("mesh.put", api.Invalid, "the put has no blocks; an object has at least a manifest"))
		return
	}
	for _, n := range slices.Clone(p.holders) {
		c.sendCommit(p, n)
	}
}

func (c *Coordinator) sendCommit(p *put, to api.NodeID) {
	s := c.open(&send{to: to, owner: p})
	e := p.commitFor(to)
	e.Send = s.id
	c.emit(e)
}

func (p *put) commitFor(to api.NodeID) SendCommit {
	return SendCommit{
		Put: p.id, To: to, From: p.lease, Final: p.commit.Final, Lease: p.commit.Lease,
		Short: p.acks < p.copies,
	}
}

// acked counts a holder that committed.
func (p *put) acked(c *Coordinator, s *send) {
	p.committed = append(p.committed, s.to)
	p.committing--
	c.commitAdvance(p)
}

// failed asks a holder that failed for a passing reason once more, then counts
// it as one that did not commit.
func (p *put) failed(c *Coordinator, s *send, kind api.Kind) {
	if transient(kind) && !p.retried[s.to] && (s.to == c.cfg.Self || c.State(s.to) == MemberOnline) {
		p.retried[s.to] = true
		c.sendCommit(p, s.to)
		return
	}
	if transient(kind) {
		p.unsure = append(p.unsure, s.to)
	}
	p.uncommit++
	p.committing--
	c.commitAdvance(p)
}

func (c *Coordinator) commitAdvance(p *put) {
	if p.committing > 0 || p.ended {
		return
	}
	if p.uncommit >= p.acks || p.acks-p.uncommit < p.minAcks {
		c.putFail(p, api.Errorf("mesh.put", api.Unavailable,
			"too many holders were lost before the put was complete; put it again, what is stored is not sent twice"))
		return
	}
	slices.SortFunc(p.committed, compareNode)
	for _, n := range p.unsure {
		c.owe(p.commitFor(n))
	}
	c.stats.PutsDone++
	c.putEnd(p)
	c.emit(PutDone{Put: p.id, Acks: uint8(p.acks - p.uncommit), Holders: p.committed})
}

// putFail ends a session with an error and lets the holders drop its blocks.
func (c *Coordinator) putFail(p *put, err error) {
	if p.ended {
		return
	}
	c.stats.PutsFailed++
	c.putEnd(p)
	c.release(p)
	c.emit(PutDone{Put: p.id, Err: err})
}

func (c *Coordinator) putAbort(id api.ID) {
	if p := c.findPut(id); p != nil {
		c.putEnd(p)
		c.release(p)
	}
}

// release asks for the provisional lease to be dropped wherever it may be. A
// final lease stays where it was committed: it may be older than this put.
func (c *Coordinator) release(p *put) {
	for _, n := range p.sent {
		c.emit(SendRelease{To: n, Lease: p.lease})
	}
}

func (c *Coordinator) putEnd(p *put) {
	p.ended = true
	c.drop(p)
	for _, b := range p.batches {
		c.drop(b)
	}
	c.puts = slices.DeleteFunc(c.puts, func(q *put) bool { return q == p })
}
