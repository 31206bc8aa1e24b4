package mesh

import (
	"slices"

	"inos/kernel/api"
)

func (c *Coordinator) fetchArrived(ev FetchArrived) {
	send := c.fetchSends[ev.Send]
	if send == nil {
		c.stats.Stale++
		return
	}
	f := send.fetch
	item, ok := f.index[ev.Addr]
	if !ok || !send.position(item) {
		c.stats.Stale++
		return
	}
	s := f.sources[send.source]
	b := &f.blocks[item]
	if st, _ := b.state(send.source); st == candAsked && !send.over {
		c.settle(send, b)
		b.set(send.source, candMissed) // answered: never ask it again
	}
	c.measure(s, int(ev.Size))
	f.learn(int(ev.Size))
	if b.done {
		c.stats.Duplicates++
	} else {
		c.deliver(f, b, s)
	}
	c.sendAdvance(send)
	if f.left == 0 {
		c.fetchEnd(f, api.Address{}, nil)
		return
	}
	c.refill(f, send.source)
}

func (c *Coordinator) deliver(f *fetch, b *fetchBlock, s *source) {
	if b.asked == 0 {
		f.pend(b, -1) // a cancelled request brought it after all
	}
	b.done = true
	f.left--
	c.emit(Deliver{Fetch: f.id, Addr: b.ref.Addr, From: s.node})
	if b.hedged {
		c.cancelDelivered(f)
	}
}

// cancelDelivered cancels the requests whose every block has been delivered by
// another source.
func (c *Coordinator) cancelDelivered(f *fetch) {
	for _, id := range slices.Clone(f.order) {
		send := f.sends[id]
		if send == nil || send.over || send.left == 0 {
			continue
		}
		open := slices.ContainsFunc(send.items, func(i int32) bool {
			st, _ := f.blocks[i].state(send.source)
			return st == candAsked && !f.blocks[i].done
		})
		if !open {
			c.cancel(send)
			c.refill(f, send.source)
		}
	}
}

// settle takes one answered block off a request's and its source's counts.
func (c *Coordinator) settle(send *fetchSend, b *fetchBlock) {
	if send.over {
		return
	}
	s := send.fetch.sources[send.source]
	send.left--
	s.bytes -= int(b.charge)
	s.peer.load -= int(b.charge)
}

// sendAdvance closes a request that has been answered in full.
func (c *Coordinator) sendAdvance(send *fetchSend) {
	f := send.fetch
	if send.left > 0 || send.over {
		return
	}
	delete(f.sends, send.id)
	delete(c.fetchSends, send.id)
	f.unorder(send.id)
}

func (f *fetch) unorder(id uint64) {
	if i, ok := slices.BinarySearch(f.order, id); ok {
		f.order = slices.Delete(f.order, i, i+1)
	}
}

// cancel tells the host that nothing more of a request is wanted. What arrives
// all the same is delivered if it is still missing.
func (c *Coordinator) cancel(send *fetchSend) {
	if send.over {
		return
	}
	f := send.fetch
	s := f.sources[send.source]
	for _, item := range send.items {
		b := &f.blocks[item]
		if st, _ := b.state(send.source); st == candAsked {
			c.settle(send, b)
			b.set(send.source, candFailed)
		}
	}
	send.over = true
	if !f.ended {
		f.unorder(send.id)
	}
	c.emit(CancelFetch{Send: send.id, To: s.node})
}

// measure updates what is known of a source's speed.
func (c *Coordinator) measure(s *source, size int) {
	s.last, s.slow = c.now, false
	if s.peer.state == MemberOnline {
		s.peer.lastSeen = c.now
	}
	s.markBytes += size
	if dt := c.now - s.markTime; dt >= sampleTime {
		rate := float64(s.markBytes) / dt.Seconds()
		if s.peer.rate == 0 {
			s.peer.rate = rate
		} else {
			s.peer.rate += (rate - s.peer.rate) / 4
		}
		s.markTime, s.markBytes = c.now, 0
	}
}

func (c *Coordinator) fetchMissed(ev FetchMissed) {
	send := c.fetchSends[ev.Send]
	if send == nil || send.over {
		c.stats.Stale++
		return
	}
	f := send.fetch
	var items []int32
	if ev.Addrs == nil {
		items = slices.Clone(send.items)
	}
	for _, a := range ev.Addrs {
		if item, ok := f.index[a]; ok && send.position(item) {
			items = append(items, item)
		}
	}
	if ev.Kind == api.Corrupt {
		c.fault(f.sources[send.source].node, api.Corrupt)
	}
	if transient(ev.Kind) {
		c.doubt(f.sources[send.source].node)
	}
	c.miss(send, items, ev.Kind)
}

// miss moves blocks that a source will not bring to others.
func (c *Coordinator) miss(send *fetchSend, items []int32, kind api.Kind) {
	f := send.fetch
	state := candMissed
	if transient(kind) {
		state = candFailed
	}
	f.sources[send.source].last = c.now
	var orphans []int32
	for _, item := range items {
		b := &f.blocks[item]
		if st, _ := b.state(send.source); st != candAsked {
			continue
		}
		c.settle(send, b)
		b.set(send.source, state)
		if !b.done && f.unask(b) {
			orphans = append(orphans, item)
		}
	}
	c.sendAdvance(send)
	c.adopt(f, orphans)
}

// unask takes back one request for a block, and reports whether none is left.
func (f *fetch) unask(b *fetchBlock) bool {
	b.asked--
	if b.asked > 0 {
		return false
	}
	f.pend(b, 1)
	b.hedged = false
	return true
}

// adopt finds new sources for blocks that nobody is asked for.
func (c *Coordinator) adopt(f *fetch, orphans []int32) {
	for _, item := range orphans {
		c.requeue(f, item)
		if f.ended {
			return
		}
	}
	c.fetchAll(f)
}

// giveUp stops using a source for this round and moves its blocks to others.
func (c *Coordinator) giveUp(f *fetch, i uint16) {
	s := f.sources[i]
	s.dead = true
	var orphans []int32
	for _, id := range slices.Clone(f.order) {
		send := f.sends[id]
		if send == nil || send.source != i {
			continue
		}
		for _, item := range send.items {
			b := &f.blocks[item]
			if st, _ := b.state(i); st == candAsked && !b.done && f.unask(b) {
				orphans = append(orphans, item)
			}
		}
		c.cancel(send)
	}
	for k := range f.blocks { // it will not answer what is queued either
		b := &f.blocks[k]
		if st, ok := b.state(i); ok && st == candQueued && !b.done {
			b.set(i, candFailed)
			if b.asked == 0 && !b.live() {
				orphans = append(orphans, int32(k))
			}
		}
	}
	s.queue, s.head = s.queue[:0], 0
	c.adopt(f, orphans)
}

// fetchPeerGone gives a node up in every fetch.
func (c *Coordinator) fetchPeerGone(node api.NodeID) {
	for _, f := range slices.Clone(c.fetches) {
		for i, s := range f.sources {
			if s.node == node && !s.dead && !f.ended {
				c.giveUp(f, uint16(i))
			}
		}
	}
}

func (c *Coordinator) tickFetches() {
	for _, f := range slices.Clone(c.fetches) {
		if f.again <= c.now {
			c.nextRound(f)
		}
		for i := range f.sources {
			if f.ended {
				break
			}
			c.tickSource(f, uint16(i))
		}
		if !f.ended {
			c.at(f.again)
		}
	}
}

// tickSource hedges or gives up a source that has been silent for too long.
func (c *Coordinator) tickSource(f *fetch, i uint16) {
	s := f.sources[i]
	if s.bytes == 0 || s.dead {
		return
	}
	if c.now >= s.last+c.cfg.FetchTimeout {
		c.doubt(s.node)
		c.giveUp(f, i)
		return
	}
	if !s.slow && c.now >= s.last+c.patience(s) {
		c.hedge(f, i)
	}
	if s.slow {
		c.at(s.last + c.cfg.FetchTimeout)
	} else {
		c.at(s.last + c.patience(s))
	}
}
