package mesh

import (
	"slices"

	"inos/kernel/api"
)

// plan decides what to send once every question of a page is answered.
func (c *Coordinator) plan(p *page) {
	r := &c.repair
	for k := range p.rows {
		row := &p.rows[k]
		if k == 0 && row.Addr == r.tailAddr {
			for _, n := range r.tailLack {
				row.has[n] = answerNo // it has the block now, but not under this lease
			}
		}
		if !c.answersFor(p.view, row) {
			continue
		}
		row.lack = int(row.Copies) - 1 - c.expected(p.view, row)
		c.assign(p, int32(k))
	}
}

// answersFor reports whether no node ranked above this one has the block.
func (c *Coordinator) answersFor(v *View, row *repairRow) bool {
	for _, i := range row.rank[:row.self] {
		if c.counts(row, v.rows[i].id) {
			return false
		}
	}
	return true
}

// expected is how many of the nodes that should hold the block do.
func (c *Coordinator) expected(v *View, row *repairRow) int {
	n := 0
	for _, i := range row.rank[:min(int(row.Copies), len(row.rank))] {
		if c.counts(row, v.rows[i].id) {
			n++
		}
	}
	return n
}

// counts reports whether a node has the block, as far as is known. One that did
// not answer gets the benefit of the doubt a few times: if it is gone, the
// membership will tell.
func (c *Coordinator) counts(row *repairRow, n api.NodeID) bool {
	switch row.has[n] {
	case answerYes:
		return true
	case answerNone:
		p := c.peers[n]
		return p != nil && p.deaf < repairDeaf
	}
	return false
}

// assign queues a row at the next nodes in its rank that have space and lack
// it. What finds no node counts as under-replicated.
func (c *Coordinator) assign(p *page, k int32) {
	row := &p.rows[k]
	for row.lack > 0 && row.next < len(row.rank) {
		n := p.view.rows[row.rank[row.next]].id
		row.next++
		v := c.view.index(n)
		if n == c.cfg.Self || v < 0 || !c.view.rows[v].open || row.has[n] == answerYes {
			continue
		}
		if c.fitness(n) == unfit || row.has[n] == answerNone {
			c.repair.again = true // it may take the copy later
			continue
		}
		row.lack--
		row.target = append(row.target, n)
		p.enqueue(n, k)
	}
	if row.lack > 0 {
		c.repair.progress.UnderReplicated++
		row.lack = 0
	}
}

// enqueue adds a row to the last request for a node and lease, or begins one.
func (p *page) enqueue(n api.NodeID, k int32) {
	row := &p.rows[k]
	for i := len(p.queue) - 1; i >= 0; i-- {
		q := &p.queue[i]
		if q.to == n && q.lease == row.Lease && q.bytes+uint64(row.Size) <= MaxSendBytes {
			q.items = append(q.items, k)
			q.bytes += uint64(row.Size)
			return
		}
	}
	p.queue = append(p.queue, repairSend{to: n, lease: row.Lease, items: []int32{k}, bytes: uint64(row.Size)})
}

// pump sends what the budget allows, and ends the page when all is done.
func (c *Coordinator) pump() {
	p := c.repair.page
	if p == nil || p.asks > 0 {
		return
	}
	for len(p.queue) > 0 && p.sends < repairSends {
		q := p.queue[0]
		when, ok := c.allow(q.bytes)
		if !ok {
			c.at(when)
			return
		}
		p.queue = p.queue[1:]
		addrs := make([]api.Address, len(q.items))
		for i, k := range q.items {
			addrs[i] = p.rows[k].Addr
		}
		p.sends++
		s := c.open(&send{to: q.to, owner: p, addrs: addrs, lease: q.lease, bytes: q.bytes, items: q.items})
		c.stats.StoresSent++
		c.emit(SendStore{Send: s.id, Lease: q.lease, To: q.to, Addrs: addrs, Bytes: q.bytes})
	}
	if len(p.queue) == 0 && p.sends == 0 {
		c.pageDone()
	}
}

// acked counts copies made.
func (p *page) acked(c *Coordinator, s *send) {
	n := uint64(len(s.items))
	c.stats.RepairedBlocks += n
	c.stats.RepairedBytes += s.bytes
	c.repair.progress.Blocks += n
	c.repair.progress.Bytes += s.bytes
	p.sends--
	c.pump()
}

// failed is a question without an answer, or a store that another node has to
// take.
func (p *page) failed(c *Coordinator, s *send, kind api.Kind) {
	if kind != api.NoSpace {
		c.repair.again = true
	}
	if s.ask {
		for _, k := range s.items {
			p.rows[k].has[s.to] = answerNone
		}
		if peer := c.peers[s.to]; peer != nil {
			peer.deaf++
		}
		c.askDone(p)
		return
	}
	c.stats.StoresFailed++
	p.sends--
	if kind != api.NotFound { // NotFound: a block is gone here, not there
		if peer := c.peers[s.to]; peer != nil {
			peer.avoid, peer.avoidFor = c.now+c.cfg.AvoidFor, kind
		}
		for _, k := range s.items {
			row := &p.rows[k]
			row.target = slices.DeleteFunc(row.target, func(n api.NodeID) bool { return n == s.to })
			row.lack++
			c.assign(p, k)
		}
	}
	c.pump()
}

// tail is the page's last block and where it was sent.
func (p *page) tail() (api.Address, []api.NodeID) {
	if len(p.rows) == 0 {
		return api.Address{}, nil
	}
	row := &p.rows[len(p.rows)-1]
	return row.Addr, row.target
}
