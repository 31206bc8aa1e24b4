package sim

import (
	"encoding/binary"

	"inos/kernel/api"
	"inos/kernel/mesh"
)

// Put is one put under way or done.
type Put struct {
	ID     api.ID
	Node   *Node
	Lease  api.LeaseID // the final one
	Addrs  []api.Address
	Copies uint8
	Done   bool
	Acks   uint8
	Err    error

	batches [][]mesh.BlockRef
	next    int
	open    int
	commit  bool
}

// Fetch is one fetch under way or done.
type Fetch struct {
	ID   api.ID
	Node *Node
	Got  map[api.Address]bool
	Want int
	Done bool
	Addr api.Address
	Err  error
}

// id draws an identifier.
func (w *World) id() (id api.ID) {
	binary.LittleEndian.PutUint64(id[:8], w.rng.Uint64())
	binary.LittleEndian.PutUint64(id[8:], w.rng.Uint64())
	return id
}

// address draws the address of a block of the given size.
func (w *World) address(size uint32) (a api.Address) {
	for i := 0; i < len(a); i += 8 {
		binary.LittleEndian.PutUint64(a[i:], w.rng.Uint64())
	}
	w.sizes[a] = size
	return a
}

// putWindow is how many batches a simulated client keeps unacknowledged.
const putWindow = 4

// Put starts a put of fresh blocks of the given sizes from a node, in batches
// of at most batch blocks.
func (w *World) Put(i int, policy api.Policy, batch int, sizes ...uint32) *Put {
	refs := make([]mesh.BlockRef, len(sizes))
	for k, s := range sizes {
		refs[k] = mesh.BlockRef{Addr: w.address(s), Size: s}
	}
	return w.PutBlocks(i, policy, batch, refs)
}

// PutBlocks is Put of given blocks.
func (w *World) PutBlocks(i int, policy api.Policy, batch int, refs []mesh.BlockRef) *Put {
	p := &Put{ID: w.id(), Node: w.Nodes[i], Copies: policy.Copies}
	if p.Copies == 0 {
		p.Copies = api.DefaultCopies
	}
	copy(p.Lease[:], p.ID[:])
	p.Lease[31] = 1
	for _, r := range refs {
		p.Addrs = append(p.Addrs, r.Addr)
		w.sizes[r.Addr] = r.Size
	}
	for len(refs) > 0 {
		n := min(batch, len(refs))
		p.batches = append(p.batches, refs[:n:n])
		refs = refs[n:]
	}
	w.puts[p.ID] = p
	provisional := p.Lease
	provisional[31] = 2
	p.Node.step(mesh.PutBegin{Put: p.ID, Lease: provisional, Policy: policy})
	w.feed(p)
	return p
}

// feed sends batches up to the window, then the commit.
func (w *World) feed(p *Put) {
	for !p.Done && p.next < len(p.batches) && p.open < putWindow {
		b := p.batches[p.next]
		p.next++
		p.open++
		p.Node.step(mesh.PutBlocks{Put: p.ID, Batch: uint64(p.next), Blocks: b})
	}
	if !p.Done && !p.commit && p.next == len(p.batches) {
		p.commit = true
		p.Node.step(mesh.PutCommit{Put: p.ID, Final: p.Lease, Lease: api.Lease{Owner: p.Node.ID, Root: p.Addrs[0], Copies: p.Copies}})
	}
}

// Fetch starts a fetch at a node of the blocks that its own disk lacks.
func (w *World) Fetch(i int, addrs []api.Address) *Fetch {
	f := &Fetch{ID: w.id(), Node: w.Nodes[i], Got: make(map[api.Address]bool)}
	w.fetches[f.ID] = f
	var wants []mesh.BlockRef
	for _, a := range addrs {
		if !f.Node.Disk.Has(a) {
			wants = append(wants, mesh.BlockRef{Addr: a, Size: w.sizes[a]})
		}
	}
	f.Want = len(wants)
	f.Node.step(mesh.FetchBegin{Fetch: f.ID, Wants: wants})
	return f
}

// observe notes what a coordinator tells, and checks its promises.
func (w *World) observe(n *Node, e mesh.Effect) {
	switch e := e.(type) {
	case mesh.PutAcked:
		if p := w.puts[e.Put]; p != nil {
			p.open--
			n.later(0, func() { w.feed(p) })
		}
	case mesh.PutDone:
		w.putDone(n, e)
	case mesh.Deliver:
		w.delivered(n, e)
	case mesh.FetchDone:
		w.fetchDone(n, e)
	}
}

func (w *World) putDone(n *Node, e mesh.PutDone) {
	p := w.puts[e.Put]
	if p == nil || p.Done {
		w.fault("node %d ended a put twice", n.Index)
		return
	}
	p.Done, p.Acks, p.Err = true, e.Acks, e.Err
	if e.Err != nil {
		return
	}
	for _, a := range p.Addrs {
		if have := w.Durable(a, p.Lease); have < int(e.Acks) {
			w.fault("put %s was acknowledged with %d copies, but block %s has %d", p.ID.Short(), e.Acks, a.Short(), have)
			return
		}
	}
}

func (w *World) delivered(n *Node, e mesh.Deliver) {
	f := w.fetches[e.Fetch]
	switch at := w.arriving; {
	case f == nil || f.Done:
		w.fault("node %d delivered to a fetch that had ended", n.Index)
	case f.Got[e.Addr]:
		w.fault("node %d delivered block %s twice", n.Index, e.Addr.Short())
	case at == nil || at.node != n || at.addr != e.Addr:
		w.fault("node %d delivered block %s that it did not hold", n.Index, e.Addr.Short())
	default:
		f.Got[e.Addr] = true
	}
}

func (w *World) fetchDone(n *Node, e mesh.FetchDone) {
	f := w.fetches[e.Fetch]
	if f == nil || f.Done {
		w.fault("node %d ended a fetch twice", n.Index)
		return
	}
	f.Done, f.Addr, f.Err = true, e.Addr, e.Err
	if e.Err == nil && len(f.Got) != f.Want {
		w.fault("node %d ended a fetch with %d of %d blocks", n.Index, len(f.Got), f.Want)
	}
}

// Durable is how many disks have a block under a lease, those of nodes that are
// down included.
func (w *World) Durable(a api.Address, lease api.LeaseID) int {
	count := 0
	for _, n := range w.Nodes {
		if n.Disk.HasUnder(a, lease) {
			count++
		}
	}
	return count
}

// Alive is how many nodes that are up have a block under a lease.
func (w *World) Alive(a api.Address, lease api.LeaseID) int {
	count := 0
	for _, n := range w.Nodes {
		if n.Coord != nil && n.Disk.HasUnder(a, lease) {
			count++
		}
	}
	return count
}
