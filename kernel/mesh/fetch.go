package mesh

import (
	"slices"
	"time"

	"inos/kernel/api"
)

// fetch is one open fetch session.
//
// Work is pulled, not dealt: a holder with room in its window takes the next
// blocks of its queue, so a quick holder ends up serving more. A request takes
// a share of what is left, large at first and smaller towards the end (guided
// self-scheduling), so that all holders finish together.
//
// Invariants:
//   - left is the number of blocks that are not delivered; the session ends
//     when it is 0.
//   - A block that is not delivered is queued at or asked of some source, or
//     waits in parked for the next round.
//   - A block is asked of a source at most once a round, and never again of one
//     that does not have it.
//
// Source: Polychronopoulos and Kuck, "Guided Self-Scheduling", IEEE ToC 36(12),
// 1987.
type fetch struct {
	id     api.ID
	blocks []fetchBlock
	index  map[api.Address]int32
	left   int
	// What is neither delivered nor asked for: bytes of blocks whose size is
	// known, and how many others. guess stands for the size of one of those; it
	// follows what arrives.
	pending, unsized int
	guess            int

	sources []*source             // in order of first use; at most the number of members
	sends   map[uint64]*fetchSend // open and cancelled ones
	order   []uint64              // open sends, oldest first

	parked []int32 // blocks that every source failed in this round
	round  int
	again  time.Duration // when the next round starts; never if nothing is parked
	ended  bool
}

// fetchBlock is one wanted block.
type fetchBlock struct {
	ref    BlockRef
	done   bool
	hedged bool // asked of a second source on purpose
	asked  uint8
	charge int32 // bytes it counts for while asked; fixed when it is first asked
	cands  []cand
}

// position finds a block among the items of a request; hosts answer in order,
// so the first look is nearly always right.
func (s *fetchSend) position(item int32) bool {
	if s.next < len(s.items) && s.items[s.next] == item {
		s.next++
		return true
	}
	i := slices.Index(s.items, item)
	s.next = i + 1
	return i >= 0
}

// cand is what one source is to one block.
type cand struct {
	source uint16
	state  candState
}

type candState uint8

const (
	candQueued candState = iota // in the source's queue
	candAsked                   // requested, not answered
	candFailed                  // failed for a passing reason: may be asked next round
	candMissed                  // does not have it, or sent other bytes
)

// source is one holder in one session.
type source struct {
	node   api.NodeID
	peer   *peer
	queue  []int32 // blocks to ask it for, in order; entries may be stale
	head   int
	bytes  int           // requested and not arrived
	latest int           // bytes of the latest request
	last   time.Duration // of the latest request to an idle source, or arrival
	dead   bool          // given up for this round
	slow   bool          // its outstanding blocks were hedged since the last arrival

	markTime  time.Duration // start of the throughput sample
	markBytes int
}

// fetchSend is one open request.
type fetchSend struct {
	id     uint64
	fetch  *fetch
	source uint16
	at     time.Duration
	items  []int32 // in the order asked
	left   int     // not answered
	next   int     // where in items the next arrival is expected
	over   bool    // cancelled; what still arrives is welcome
}

// size is what a block counts for if it is asked now.
func (f *fetch) size(b *fetchBlock) int {
	switch {
	case b.charge > 0:
		return int(b.charge)
	case b.ref.Size > 0:
		return int(b.ref.Size)
	}
	return f.guess
}

// pend adds a block to what is pending, or takes it off with by -1.
func (f *fetch) pend(b *fetchBlock, by int) {
	if b.ref.Size > 0 {
		f.pending += by * int(b.ref.Size)
	} else {
		f.unsized += by
	}
}

// learn corrects the guess by the size of a block that arrived.
func (f *fetch) learn(size int) {
	if size > 0 && size <= api.MaxBlock {
		f.guess = max(1, f.guess+(size-f.guess)/4)
	}
}

func (c *Coordinator) fetchBegin(ev FetchBegin) {
	const op = "mesh.fetch"
	var err error
	switch {
	case c.byFetch[ev.Fetch] != nil:
		err = api.Errorf(op, api.Exists, "a fetch with this id is open")
	case len(c.fetches) >= c.cfg.MaxFetches:
		err = api.Errorf(op, api.Exhausted, "too many fetches are open; wait for one to end")
	case len(ev.Wants) > c.cfg.MaxFetch || len(ev.Hints) > MaxHints:
		err = api.Errorf(op, api.Invalid, "a fetch asks for too many blocks or names too many hints; see mesh.Config")
	}
	if err != nil {
		c.stats.FetchesFailed++
		c.emit(FetchDone{Fetch: ev.Fetch, Err: err})
		return
	}
	f := &fetch{
		id: ev.Fetch, index: make(map[api.Address]int32, len(ev.Wants)),
		sends: make(map[uint64]*fetchSend), again: never, guess: api.ChunkSize,
	}
	f.load(ev.Wants)
	c.fetches = append(c.fetches, f)
	c.byFetch[f.id] = f
	if f.left == 0 {
		c.fetchEnd(f, api.Address{}, nil)
		return
	}
	c.spread(f, ev)
	c.fetchAll(f)
}

func (f *fetch) load(wants []BlockRef) {
	f.blocks = make([]fetchBlock, 0, len(wants))
	for _, w := range wants {
		if _, dup := f.index[w.Addr]; dup {
			continue
		}
		f.index[w.Addr] = int32(len(f.blocks))
		f.blocks = append(f.blocks, fetchBlock{ref: w})
		f.pend(&f.blocks[len(f.blocks)-1], 1)
	}
	f.left = len(f.blocks)
}

// spread queues every block at its hints and expected holders.
func (c *Coordinator) spread(f *fetch, ev FetchBegin) {
	copies := int(ev.Copies)
	if copies == 0 {
		copies = api.DefaultCopies
	}
	copies = min(copies, api.MaxCopies) + 1 // this node may be one of them
	var hints []uint16
	for _, n := range ev.Hints {
		if s, ok := c.source(f, n, MemberOnline); ok {
			hints = append(hints, s)
		}
	}
	per := len(hints) + copies
	cands := make([]cand, per*len(f.blocks))
	var buf [api.MaxCopies + 1]api.NodeID
	for i := range f.blocks {
		b := &f.blocks[i]
		b.cands = cands[i*per : i*per : (i+1)*per]
		for _, s := range hints {
			f.enqueue(int32(i), s)
		}
		for _, n := range c.view.Holders(buf[:0], b.ref.Addr, copies) {
			if s, ok := c.source(f, n, MemberOnline); ok && len(b.cands) < len(hints)+copies-1 {
				f.enqueue(int32(i), s)
			}
		}
		if len(b.cands) == 0 {
			c.extend(f, int32(i))
		}
		if f.ended {
			return
		}
	}
}

// source returns the session's entry of a node, or false for this node itself
// and for one that is not in the given state.
func (c *Coordinator) source(f *fetch, n api.NodeID, state MemberState) (uint16, bool) {
	p := c.peers[n]
	if p == nil || p.state != state {
		return 0, false
	}
	for i, s := range f.sources {
		if s.node == n {
			return uint16(i), !s.dead
		}
	}
	f.sources = append(f.sources, &source{node: n, peer: p})
	return uint16(len(f.sources) - 1), true
}

// enqueue puts a block in a source's queue unless it is or was there.
func (f *fetch) enqueue(item int32, s uint16) bool {
	b := &f.blocks[item]
	if slices.ContainsFunc(b.cands, func(x cand) bool { return x.source == s }) {
		return false
	}
	b.cands = append(b.cands, cand{source: s, state: candQueued})
	f.sources[s].queue = append(f.sources[s].queue, item)
	return true
}

// live reports whether some source is still to be asked or to answer.
func (b *fetchBlock) live() bool {
	for _, x := range b.cands {
		if x.state == candQueued || x.state == candAsked {
			return true
		}
	}
	return false
}

func (b *fetchBlock) set(s uint16, state candState) {
	for i := range b.cands {
		if b.cands[i].source == s {
			b.cands[i].state = state
		}
	}
}

func (b *fetchBlock) state(s uint16) (candState, bool) {
	for _, x := range b.cands {
		if x.source == s {
			return x.state, true
		}
	}
	return 0, false
}

// extend queues a block at the next node in its order. When there is none it is
// parked for the next round, or ends the fetch.
func (c *Coordinator) extend(f *fetch, item int32) (uint16, bool) {
	b := &f.blocks[item]
	rank := c.view.rank(nil, b.ref.Addr)
	for _, state := range [...]MemberState{MemberOnline, MemberSuspected} {
		for _, i := range rank {
			if s, ok := c.source(f, c.view.rows[i].id, state); ok && f.enqueue(item, s) {
				return s, true
			}
		}
	}
	if b.live() {
		return 0, false
	}
	if f.round+1 >= c.cfg.FetchRounds || !c.worthAnotherRound(b) {
		c.fetchEnd(f, b.ref.Addr, c.fetchShort(b))
		return 0, false
	}
	f.parked = append(f.parked, item)
	if f.again == never {
		f.again = c.now + c.cfg.HedgeAfter<<f.round
		c.at(f.again)
	}
	return 0, false
}

// worthAnotherRound reports whether a node that may have the block failed for a
// passing reason, or is expected back.
func (c *Coordinator) worthAnotherRound(b *fetchBlock) bool {
	for _, x := range b.cands {
		if x.state == candFailed {
			return true
		}
	}
	return len(b.cands) == 0 && c.view.Len() == 0 && len(c.order) > 0
}

func (c *Coordinator) fetchShort(b *fetchBlock) error {
	const op = "mesh.fetch"
	for _, x := range b.cands {
		if x.state == candFailed {
			return api.Errorf(op, api.Unavailable, "no node could serve block "+b.ref.Addr.String()+" now; try again when more nodes are up")
		}
	}
	return api.Errorf(op, api.NotFound, "no node that is up has block "+b.ref.Addr.String())
}

// nextRound gives every source that failed another chance.
func (c *Coordinator) nextRound(f *fetch) {
	f.round++
	f.again = never
	for _, s := range f.sources {
		s.dead = false
	}
	parked := f.parked
	f.parked = nil
	for _, item := range parked {
		b := &f.blocks[item]
		if b.done {
			continue
		}
		for i := range b.cands {
			x := &b.cands[i]
			s := f.sources[x.source]
			if x.state == candFailed && (s.peer.state == MemberOnline || s.peer.state == MemberSuspected) {
				x.state = candQueued
				s.queue = append(s.queue, item)
			}
		}
		if !b.live() {
			c.extend(f, item)
		}
		if f.ended {
			return
		}
	}
	c.fetchAll(f)
}

func (c *Coordinator) fetchAbort(id api.ID) {
	if f := c.byFetch[id]; f != nil {
		c.fetchClose(f)
	}
}

func (c *Coordinator) fetchEnd(f *fetch, addr api.Address, err error) {
	if f.ended {
		return
	}
	c.fetchClose(f)
	if err == nil {
		c.stats.FetchesDone++
	} else {
		c.stats.FetchesFailed++
	}
	c.emit(FetchDone{Fetch: f.id, Addr: addr, Err: err})
}

// fetchClose cancels what is outstanding and forgets the session.
func (c *Coordinator) fetchClose(f *fetch) {
	f.ended = true
	for _, id := range f.order {
		if s := f.sends[id]; s != nil {
			c.cancel(s)
		}
	}
	for id := range f.sends {
		delete(c.fetchSends, id)
	}
	delete(c.byFetch, f.id)
	c.fetches = slices.DeleteFunc(c.fetches, func(g *fetch) bool { return g == f })
}
