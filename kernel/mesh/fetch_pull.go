package mesh

import (
	"cmp"
	"slices"
	"time"

	"inos/kernel/api"
)

const (
	// minRange is the least worth a request of its own while more is wanted.
	minRange = 256 << 10 // bytes

	// guessRate stands for a source whose throughput is not known yet.
	guessRate = 50 << 20 // bytes per second
	guessRTT  = time.Millisecond

	// sampleTime is the least time over which throughput is measured.
	sampleTime = 10 * time.Millisecond
)

// fetchAll gives every source work, the one expected to answer first first.
func (c *Coordinator) fetchAll(f *fetch) {
	order := make([]uint16, 0, len(f.sources))
	for i := range f.sources {
		order = append(order, uint16(i))
	}
	slices.SortStableFunc(order, func(a, b uint16) int {
		return cmp.Compare(f.sources[a].expected(), f.sources[b].expected())
	})
	for _, i := range order {
		c.refill(f, i)
	}
}

// expected is how long a source would take to answer a request made now.
func (s *source) expected() time.Duration {
	return s.delay() + bytesTime(s.peer.load, s.speed())
}

func (s *source) delay() time.Duration {
	if s.peer.rtt > 0 {
		return s.peer.rtt
	}
	return guessRTT
}

func (s *source) speed() float64 {
	if s.peer.rate > 0 {
		return s.peer.rate
	}
	return guessRate
}

func bytesTime(n int, rate float64) time.Duration {
	return time.Duration(float64(n) / rate * float64(time.Second))
}

// refill asks a source for more once half of its latest request has arrived, so
// that it never runs dry, and lets it take over from slower ones if its own
// queue is empty.
func (c *Coordinator) refill(f *fetch, i uint16) {
	s := f.sources[i]
	if f.ended || s.dead || s.bytes > min(s.latest, c.cfg.FetchWindow)/2 {
		return
	}
	items, size := f.take(i, f.share(i, c.cfg.FetchWindow-s.bytes))
	switch {
	case len(items) > 0:
		c.sendFetch(f, i, items, size)
	case s.bytes == 0:
		c.takeOver(f, i)
	}
}

// share is how many bytes a source may take at once: its part, by speed, of
// half of what is left.
func (f *fetch) share(i uint16, room int) int {
	var total float64
	for _, s := range f.sources {
		if !s.dead && (s.head < len(s.queue) || s == f.sources[i]) {
			total += s.speed()
		}
	}
	part := int(float64(f.pending+f.unsized*f.guess) * f.sources[i].speed() / total / 2)
	return min(max(part, minRange), room)
}

// take removes the next blocks of a source's queue, up to limit bytes but at
// least one.
func (f *fetch) take(i uint16, limit int) ([]int32, int) {
	s := f.sources[i]
	var items []int32
	size := 0
	for s.head < len(s.queue) && len(items) < MaxSendBlocks {
		item := s.queue[s.head]
		b := &f.blocks[item]
		state, _ := b.state(i)
		if b.done || state != candQueued || (b.asked > 0 && (!b.hedged || b.asked > 1)) {
			// Delivered, answered, or asked of another: if that one fails, the
			// block comes back through requeue.
			s.head++
			continue
		}
		if len(items) > 0 && size+f.size(b) > limit {
			break
		}
		s.head++
		f.ask(b, i)
		items = append(items, item)
		size += f.size(b)
	}
	if s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
	}
	return items, size
}

// ask marks a block as asked of a source.
func (f *fetch) ask(b *fetchBlock, i uint16) {
	if b.asked == 0 {
		f.pend(b, -1)
	}
	if b.charge == 0 {
		b.charge = int32(f.size(b))
	}
	b.asked++
	b.set(i, candAsked)
}

// sendFetch asks a source for blocks that take or tail has marked.
func (c *Coordinator) sendFetch(f *fetch, i uint16, items []int32, size int) {
	s := f.sources[i]
	addrs := make([]api.Address, len(items))
	for k, item := range items {
		addrs[k] = f.blocks[item].ref.Addr
	}
	if s.bytes == 0 {
		s.last, s.slow = c.now, false
		s.markTime, s.markBytes = c.now, 0
	}
	s.latest = size
	s.bytes += size
	s.peer.load += size
	c.lastSend++
	send := &fetchSend{id: c.lastSend, fetch: f, source: i, at: c.now, items: items, left: len(items)}
	f.sends[send.id], c.fetchSends[send.id] = send, send
	f.order = append(f.order, send.id)
	c.stats.FetchesSent++
	c.emit(SendFetch{Send: send.id, Fetch: f.id, To: s.node, Addrs: addrs})
	c.at(s.last + c.patience(s))
}

// patience is how long a source may bring nothing before it is hedged: longer
// for one that is known to be slow, so that it is not hedged for every block.
func (c *Coordinator) patience(s *source) time.Duration {
	return max(c.cfg.HedgeAfter, min(4*(s.delay()+bytesTime(api.ChunkSize, s.speed())), c.cfg.FetchTimeout))
}

// takeOver lets an idle source fetch what a slower one was asked for, from the
// end of its requests, if it would be done in half the time.
func (c *Coordinator) takeOver(f *fetch, i uint16) {
	s := f.sources[i]
	victim, worst := -1, time.Duration(0)
	for k, v := range f.sources {
		if uint16(k) == i || v.bytes == 0 {
			continue
		}
		if t := bytesTime(v.bytes, v.speed()); t > worst {
			victim, worst = k, t
		}
	}
	if victim < 0 || worst < c.cfg.HedgeAfter/4 {
		return
	}
	limit := f.sources[victim].bytes / 2
	if 2*(s.delay()+bytesTime(limit, s.speed())) > worst {
		return
	}
	items, size := f.tail(uint16(victim), i, limit)
	if len(items) > 0 {
		c.stats.Hedged += uint64(len(items))
		c.sendFetch(f, i, items, size)
	}
}

// tail picks blocks from the end of a source's requests that another source may
// have and that nobody else was asked for.
func (f *fetch) tail(from, to uint16, limit int) ([]int32, int) {
	var items []int32
	size := 0
	for k := len(f.order) - 1; k >= 0; k-- {
		send := f.sends[f.order[k]]
		if send == nil || send.over || send.source != from {
			continue
		}
		for j := len(send.items) - 1; j >= 0 && len(items) < MaxSendBlocks; j-- {
			b := &f.blocks[send.items[j]]
			state, known := b.state(to)
			if b.done || b.hedged || !known || state != candQueued {
				continue
			}
			if size+f.size(b) > limit {
				return items, size
			}
			b.hedged = true
			f.ask(b, to)
			items = append(items, send.items[j])
			size += f.size(b)
		}
	}
	return items, size
}

// hedge asks other sources for everything that a silent one was asked for.
func (c *Coordinator) hedge(f *fetch, i uint16) {
	f.sources[i].slow = true
	touched := false
	for _, id := range slices.Clone(f.order) {
		send := f.sends[id]
		if send == nil || send.over || send.source != i {
			continue
		}
		for _, item := range send.items {
			b := &f.blocks[item]
			if state, _ := b.state(i); b.done || b.hedged || state != candAsked {
				continue
			}
			if c.requeue(f, item) {
				b.hedged, touched = true, true
				c.stats.Hedged++
			}
		}
	}
	if touched && !f.ended {
		c.fetchAll(f)
	}
}

// requeue puts a block back into the queues of the sources that were not asked
// for it, or of a new one. It reports whether there is any.
func (c *Coordinator) requeue(f *fetch, item int32) bool {
	found := false
	for _, x := range f.blocks[item].cands {
		if x.state == candQueued && !f.sources[x.source].dead {
			s := f.sources[x.source]
			s.queue = append(s.queue, item)
			found = true
		}
	}
	if !found {
		_, found = c.extend(f, item)
	}
	return found
}
