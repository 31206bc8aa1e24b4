package mesh

import (
	"bytes"
	"slices"
	"strconv"

	"inos/kernel/api"
)

// put is one open put session.
//
// Invariants:
//   - batches holds what is not acknowledged, at most Config.PutWindow.
//   - holders are the nodes that gave a receipt for some block, at most the
//     number of members. The lease must be committed on each of them.
//   - minAcks is the fewest receipts of any acknowledged block. If fewer than
//     minAcks holders fail to commit, every block has a committed copy.
type put struct {
	id      api.ID
	lease   api.LeaseID
	copies  int
	minAcks int // the policy's
	batches []*batch

	sent    []api.NodeID // every node that was asked to store, in node order
	holders []api.NodeID // in node order
	acks    int          // the fewest receipts of any acknowledged block

	commit     *PutCommit
	committing int // outstanding SendCommits
	committed  []api.NodeID
	uncommit   int          // holders that did not commit
	unsure     []api.NodeID // those of them that may yet
	retried    map[api.NodeID]bool
	ended      bool
}

// batch is one unacknowledged PutBlocks.
type batch struct {
	put    *put
	id     uint64
	blocks []putBlock
	left   int // blocks that are not settled
}

// putBlock is one block on its way to its holders. It is settled when it has
// the receipts it needs and none is outstanding.
type putBlock struct {
	ref     BlockRef
	acks    uint8
	pending uint8
	settled bool
	second  bool       // the holders that failed for passing reasons were asked again
	asked   []putAsked // every node asked so far
}

type putAsked struct {
	node api.NodeID
	kind api.Kind // of the failure
	bad  bool     // failed
}

func (c *Coordinator) findPut(id api.ID) *put {
	i := slices.IndexFunc(c.puts, func(p *put) bool { return p.id == id })
	if i < 0 {
		return nil
	}
	return c.puts[i]
}

func (c *Coordinator) putBegin(ev PutBegin) {
	const op = "mesh.put"
	copies := int(ev.Policy.Copies)
	if copies == 0 {
		copies = api.DefaultCopies
	}
	var err error
	switch usable := c.usableHolders(); {
	case c.findPut(ev.Put) != nil:
		err = api.Errorf(op, api.Exists, "a put with this id is open")
	case len(c.puts) >= c.cfg.MaxPuts:
		err = api.Errorf(op, api.Exhausted, "too many puts are open; wait for one to end")
	case copies > api.MaxCopies || int(ev.Policy.MinAcks) > copies:
		err = api.Errorf(op, api.Invalid, "a policy asks for at most 16 copies and for no more receipts than copies")
	case usable == 0 || usable < int(ev.Policy.MinAcks):
		err = tooFew(op, max(1, int(ev.Policy.MinAcks)), usable)
	}
	if err != nil {
		c.stats.PutsFailed++
		c.emit(PutDone{Put: ev.Put, Err: err})
		return
	}
	c.puts = append(c.puts, &put{
		id: ev.Put, lease: ev.Lease, copies: copies, minAcks: int(ev.Policy.MinAcks), acks: copies,
	})
}

func tooFew(op string, want, have int) error {
	return api.Errorf(op, api.Unavailable, "the put needs "+strconv.Itoa(want)+" nodes that can store, but "+
		strconv.Itoa(have)+" can now; start more nodes, free space, or ask for fewer receipts")
}

// fitness is how well a node suits a new store.
type fitness uint8

const (
	unfit    fitness = iota // not online, or it refused for want of space or leave lately
	doubtful                // it failed lately: asked when nobody better is left
	fit
)

func (c *Coordinator) fitness(id api.NodeID) fitness {
	if id == c.cfg.Self {
		return fit
	}
	p := c.peers[id]
	switch {
	case p == nil || p.state != MemberOnline:
		return unfit
	case p.avoid <= c.now:
		return fit
	case transient(p.avoidFor):
		return doubtful
	}
	return unfit
}

// usableHolders is how many nodes could take a block now.
func (c *Coordinator) usableHolders() int {
	n := 0
	for i := range c.view.rows {
		if c.view.rows[i].open && c.fitness(c.view.rows[i].id) != unfit {
			n++
		}
	}
	return n
}

func (c *Coordinator) putBlocks(ev PutBlocks) {
	const op = "mesh.put"
	p := c.findPut(ev.Put)
	if p == nil {
		c.stats.Stale++
		return
	}
	switch {
	case p.commit != nil:
		c.putFail(p, api.Errorf(op, api.Invalid, "a batch came after the commit"))
	case len(p.batches) >= c.cfg.PutWindow:
		c.putFail(p, api.Errorf(op, api.Exhausted, "more batches are unacknowledged than the put window allows"))
	case len(ev.Blocks) == 0 || len(ev.Blocks) > MaxBatchBlocks:
		c.putFail(p, api.Errorf(op, api.Invalid, "a batch has 1 to 4096 blocks"))
	default:
		b := &batch{put: p, id: ev.Batch, blocks: make([]putBlock, len(ev.Blocks)), left: len(ev.Blocks)}
		asked := make([]putAsked, len(ev.Blocks)*p.copies)
		for i, ref := range ev.Blocks {
			b.blocks[i] = putBlock{ref: ref, asked: asked[i*p.copies : i*p.copies : (i+1)*p.copies]}
		}
		p.batches = append(p.batches, b)
		items := make([]int32, len(b.blocks))
		for i := range items {
			items[i] = int32(i)
		}
		c.placeBlocks(b, items)
	}
}

// placeBlocks asks for the receipts that the given blocks still lack, one
// request per holder with all of its blocks, and settles or fails what cannot
// get more.
func (c *Coordinator) placeBlocks(b *batch, items []int32) {
	want := min(b.put.copies, max(1, c.usableHolders()))
	groups := newGroups(c, b)
	for _, i := range items {
		blk := &b.blocks[i]
		c.placeBlock(b, blk, i, want, groups)
		if blk.pending > 0 || blk.settled {
			continue
		}
		if int(blk.acks) < max(1, b.put.minAcks) {
			c.putFail(b.put, c.putShort(b.put, blk))
			return
		}
		blk.settled = true
		b.left--
		b.put.acks = min(b.put.acks, int(blk.acks))
	}
	groups.send()
	c.batchAdvance(b)
}

// placeBlock adds a block to the groups of the next holders in its order.
func (c *Coordinator) placeBlock(b *batch, blk *putBlock, item int32, want int, groups *groups) {
	lack := want - int(blk.acks) - int(blk.pending)
	if lack <= 0 {
		return
	}
	var buf [api.MaxCopies]api.NodeID
	best := c.view.Place(buf[:0], blk.ref.Addr, b.put.copies)
	lack = c.askEach(blk, item, lack, best, fit, groups)
	if lack > 0 {
		all := c.openRank(blk.ref.Addr)
		lack = c.askEach(blk, item, lack, all, fit, groups)
		lack = c.askEach(blk, item, lack, all, doubtful, groups)
	}
	if lack > 0 && blk.pending == 0 && !blk.second {
		blk.second = true
		c.askAgain(blk, item, lack, groups)
	}
}

// askEach asks the nodes that are fit enough and were not asked before, and
// returns how many receipts the block still lacks.
func (c *Coordinator) askEach(blk *putBlock, item int32, lack int, nodes []api.NodeID, least fitness, groups *groups) int {
	for _, n := range nodes {
		if lack == 0 {
			break
		}
		if c.fitness(n) >= least && !slices.ContainsFunc(blk.asked, func(a putAsked) bool { return a.node == n }) {
			blk.asked = append(blk.asked, putAsked{node: n})
			blk.pending++
			groups.add(n, item)
			lack--
		}
	}
	return lack
}

// askAgain gives the nodes that failed for passing reasons and are still online
// their second and last chance.
func (c *Coordinator) askAgain(blk *putBlock, item int32, lack int, groups *groups) {
	for i := range blk.asked {
		a := &blk.asked[i]
		if lack == 0 || !a.bad || !transient(a.kind) || c.State(a.node) != MemberOnline {
			continue
		}
		a.bad = false
		blk.pending++
		groups.add(a.node, item)
		lack--
	}
}

// openRank is every node with space, in the block's order.
func (c *Coordinator) openRank(addr api.Address) []api.NodeID {
	var out []api.NodeID
	for _, i := range c.view.rank(nil, addr) {
		if c.view.rows[i].open {
			out = append(out, c.view.rows[i].id)
		}
	}
	return out
}

// putShort explains why a block has too few receipts: NoSpace when every
// refusal was, Unavailable otherwise.
func (c *Coordinator) putShort(p *put, blk *putBlock) error {
	const op = "mesh.put"
	full := len(blk.asked) > 0
	for _, a := range blk.asked {
		full = full && a.bad && a.kind == api.NoSpace
	}
	if full {
		return api.Errorf(op, api.NoSpace, "every node that was asked is full; free space or add a node")
	}
	return tooFew(op, max(1, p.minAcks), int(blk.acks))
}

// batchAdvance acknowledges a batch whose blocks are all settled.
func (c *Coordinator) batchAdvance(b *batch) {
	p := b.put
	if b.left > 0 || p.ended {
		return
	}
	i := slices.Index(p.batches, b)
	if i < 0 {
		return
	}
	p.batches = slices.Delete(p.batches, i, i+1)
	acks := api.MaxCopies
	for i := range b.blocks {
		acks = min(acks, int(b.blocks[i].acks))
	}
	c.emit(PutAcked{Put: p.id, Batch: b.id, Acks: uint8(acks)})
	if p.commit != nil && len(p.batches) == 0 {
		c.commitBegin(p)
	}
}

// acked counts a receipt for every block of the send.
func (b *batch) acked(c *Coordinator, s *send) {
	p := b.put
	p.holders = insertNode(p.holders, s.to)
	for _, i := range s.items {
		b.blocks[i].acks++
		b.blocks[i].pending--
	}
	c.placeBlocks(b, s.items)
}

// failed moves every block of the send to its next holder.
func (b *batch) failed(c *Coordinator, s *send, kind api.Kind) {
	c.stats.StoresFailed++
	if p := c.peers[s.to]; p != nil {
		p.avoid, p.avoidFor = c.now+c.cfg.AvoidFor, kind
	}
	for _, i := range s.items {
		blk := &b.blocks[i]
		blk.pending--
		for j := range blk.asked {
			if blk.asked[j].node == s.to {
				blk.asked[j].kind, blk.asked[j].bad = kind, true
			}
		}
	}
	c.placeBlocks(b, s.items)
}

// insertNode adds a node to a list in node order.
func insertNode(list []api.NodeID, n api.NodeID) []api.NodeID {
	if i, ok := slices.BinarySearchFunc(list, n, compareNode); !ok {
		return slices.Insert(list, i, n)
	}
	return list
}

func compareNode(a, b api.NodeID) int { return bytes.Compare(a[:], b[:]) }

// groups gathers the blocks of a batch by holder, in order of first mention.
type groups struct {
	c     *Coordinator
	b     *batch
	nodes []api.NodeID
	items [][]int32
}

func newGroups(c *Coordinator, b *batch) *groups { return &groups{c: c, b: b} }

func (g *groups) add(n api.NodeID, item int32) {
	i := slices.Index(g.nodes, n)
	if i < 0 {
		i = len(g.nodes)
		g.nodes = append(g.nodes, n)
		g.items = append(g.items, make([]int32, 0, len(g.b.blocks)))
	}
	g.items[i] = append(g.items[i], item)
}

// send emits the requests, each within MaxSendBytes.
func (g *groups) send() {
	for i, n := range g.nodes {
		items := g.items[i]
		for len(items) > 0 {
			size, k := uint64(0), 0
			for k < len(items) {
				next := uint64(g.b.blocks[items[k]].ref.Size)
				if k > 0 && size+next > MaxSendBytes {
					break
				}
				size += next
				k++
			}
			g.sendOne(n, items[:k:k], size)
			items = items[k:]
		}
	}
}

func (g *groups) sendOne(to api.NodeID, items []int32, size uint64) {
	addrs := make([]api.Address, len(items))
	for i, item := range items {
		addrs[i] = g.b.blocks[item].ref.Addr
	}
	p := g.b.put
	p.sent = insertNode(p.sent, to)
	s := g.c.open(&send{to: to, owner: g.b, addrs: addrs, lease: p.lease, bytes: size, items: items})
	g.c.stats.StoresSent++
	g.c.emit(SendStore{Send: s.id, Put: p.id, Batch: g.b.id, Lease: p.lease, To: to, Addrs: addrs, Bytes: size})
}
