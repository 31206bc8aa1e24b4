package node

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"inos/host/p2p"
	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/mesh"
	"inos/kernel/wire"
)

// coordinator drives the mesh state machine: it steps it with what happens and
// performs the effects.
//
// Invariants:
//   - mu guards machine and timer; no effect is performed while it is held.
//   - Every request effect runs in a goroutine of n.tasks, which Close waits for,
//     and is answered exactly as kernel/mesh/doc.go demands.
//   - Deliver is performed by the goroutine that brought the bytes, before it
//     reads the next block: a slow reader slows its holders and nothing else.
type coordinator struct {
	n *Node

	mu      sync.Mutex
	machine *mesh.Coordinator // guarded by mu
	timer   *time.Timer       // guarded by mu
	closed  bool              // guarded by mu

	sessions sync.Mutex
	puts     map[api.ID]*putSession        // guarded by sessions
	fetches  map[api.ID]*fetchSession      // guarded by sessions
	cancels  map[uint64]context.CancelFunc // guarded by sessions; running SendFetch requests
	early    map[uint64]struct{}           // guarded by sessions; cancelled and not running: maxEarly at most
	earlier  []uint64                      // guarded by sessions; those of early, oldest first
	repair   mesh.RepairProgress           // guarded by sessions; the latest report
}

func newCoordinator(n *Node, machine *mesh.Coordinator) *coordinator {
	c := &coordinator{
		n: n, machine: machine,
		puts:    map[api.ID]*putSession{},
		fetches: map[api.ID]*fetchSession{},
		cancels: map[uint64]context.CancelFunc{},
		early:   map[uint64]struct{}{},
	}
	c.timer = time.AfterFunc(time.Hour, func() { c.step(mesh.Tick{}) })
	return c
}

// step feeds one event and performs what follows from it.
func (c *coordinator) step(ev mesh.Event) { c.stepData(ev, nil) }

// stepData is step for FetchArrived, whose bytes a Deliver effect hands on.
func (c *coordinator) stepData(ev mesh.Event, data []byte) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	now := time.Duration(time.Now().UnixNano())
	effects := append([]mesh.Effect(nil), c.machine.Step(now, ev)...)
	if next, ok := c.machine.NextTick(); ok {
		c.timer.Reset(max(next-now, 0))
	} else {
		c.timer.Stop()
	}
	c.mu.Unlock()
	for _, e := range effects {
		c.perform(e, data)
	}
}

// view runs fn with the machine for a read.
func (c *coordinator) view(fn func(m *mesh.Coordinator)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn(c.machine)
}

// close stops stepping. Requests under way end with the node's context.
func (c *coordinator) close() {
	c.mu.Lock()
	c.closed = true
	c.timer.Stop()
	c.mu.Unlock()
}

func (c *coordinator) perform(effect mesh.Effect, data []byte) {
	switch e := effect.(type) {
	case mesh.Deliver:
		if s := c.fetch(e.Fetch); s != nil {
			s.deliver(e.Addr, data)
		}
	case mesh.FetchDone:
		if s := c.fetch(e.Fetch); s != nil {
			s.finish(e.Err)
		}
	case mesh.SendFetch:
		ctx, cancel := context.WithCancel(c.n.ctx)
		c.sessions.Lock()
		c.cancels[e.Send] = cancel
		if _, cancelled := c.early[e.Send]; cancelled {
			cancel()
		}
		c.sessions.Unlock()
		if !c.n.spawn(func() { c.sendFetch(ctx, e) }) {
			c.fetchSent(e.Send)
		}
	case mesh.CancelFetch:
		c.cancelFetch(e.Send)
	case mesh.SendStore:
		c.n.spawn(func() { c.sendStore(e) })
	case mesh.SendCommit:
		c.n.spawn(func() { c.sendCommit(e) })
	case mesh.SendRelease:
		c.n.spawn(func() { c.sendRelease(e) })
	case mesh.PutAcked:
		if s := c.put(e.Put); s != nil {
			s.acked(e.Batch)
		}
	case mesh.PutDone:
		if s := c.put(e.Put); s != nil {
			s.finish(e)
		}
	default:
		c.performMembership(effect)
	}
}

// maxEarly bounds the cancelled requests that are remembered.
const maxEarly = 1024

// cancelFetch ends a running SendFetch. Effects of two steps may be performed in
// either order: one that does not run is remembered, in case it is about to.
func (c *coordinator) cancelFetch(send uint64) {
	c.sessions.Lock()
	defer c.sessions.Unlock()
	if cancel := c.cancels[send]; cancel != nil {
		cancel()
		return
	}
	if _, twice := c.early[send]; twice {
		return
	}
	if len(c.earlier) == maxEarly {
		delete(c.early, c.earlier[0])
		c.earlier = append(c.earlier[:0], c.earlier[1:]...)
	}
	c.early[send] = struct{}{}
	c.earlier = append(c.earlier, send)
}

// fetchSent forgets a SendFetch that is answered.
func (c *coordinator) fetchSent(send uint64) {
	c.sessions.Lock()
	defer c.sessions.Unlock()
	if cancel := c.cancels[send]; cancel != nil {
		cancel()
	}
	delete(c.cancels, send)
}

// performMembership performs the effects that concern members and repair.
func (c *coordinator) performMembership(effect mesh.Effect) {
	n := c.n
	switch e := effect.(type) {
	case mesh.MemberChanged:
		c.memberChanged(e)
	case mesh.Connect:
		n.spawn(func() { c.connect(e) })
	case mesh.Disconnect:
		if e.Kind != api.Timeout { // a dead connection may come back, a removed member may not
			n.net.Forget(e.Node)
		}
		n.spawn(func() { _ = n.net.Disconnect(e.Node) })
	case mesh.ShareMembers:
		n.spawn(func() { n.shareMembers(e.Node) })
	case mesh.Probe:
		n.spawn(func() { c.probe(e.Node) })
	case mesh.PeerFault:
		n.metrics.peerFaults.Add(1)
		n.cfg.Log("peer %s broke the protocol: %s", e.Node.Short(), e.Kind)
	case mesh.ScanLocal:
		n.spawn(func() { c.scanLocal(e) })
	case mesh.AskHas:
		n.spawn(func() { c.askHas(e) })
	case mesh.RepairProgress:
		c.sessions.Lock()
		c.repair = e
		c.sessions.Unlock()
		n.metrics.repairBlocks.Set(int64(e.Blocks))
		if e.Done {
			n.emit("mesh:repair:v1:done", "", repairEvent{e.Scanned, e.Blocks, e.Bytes, e.UnderReplicated})
		}
	}
}

type repairEvent struct {
	Scanned         uint64 `json:"scanned"`
	Blocks          uint64 `json:"blocks"`
	Bytes           uint64 `json:"bytes"`
	UnderReplicated uint64 `json:"under_replicated"`
}

func (c *coordinator) memberChanged(e mesh.MemberChanged) {
	c.n.emit("mesh:member:v1:"+e.State.String(), e.Node.String(), nil)
	if !c.n.serving.Load() {
		return // what follows is not there yet
	}
	c.n.jobs.workerChanged(e.Node)
	switch e.State {
	case mesh.MemberOnline:
		c.n.outbox.wake()
	case mesh.MemberRemoved:
		c.n.spawn(func() { c.n.forgetReleases(e.Node) })
	}
}

func (c *coordinator) connect(e mesh.Connect) {
	ctx, cancel := context.WithTimeout(c.n.ctx, connectTimeout)
	defer cancel()
	if len(e.Addrs) == 0 {
		c.step(mesh.PeerLost{Node: e.Node})
		return
	}
	if id, err := c.n.net.Connect(ctx, e.Addrs...); err != nil || id != e.Node {
		c.step(mesh.PeerLost{Node: e.Node})
		return
	}
	c.step(mesh.PeerConnected{Node: e.Node}) // also when the connection was up already
}

func (c *coordinator) probe(to api.NodeID) {
	ctx, cancel := context.WithTimeout(c.n.ctx, connectTimeout)
	defer cancel()
	start := time.Now()
	if _, err := c.n.net.Call(ctx, to, methodPing, nil); err == nil {
		c.step(mesh.PeerSeen{Node: to, RTT: time.Since(start)})
	}
}

// sendFetch asks one holder for blocks and reports each as it arrives.
func (c *coordinator) sendFetch(ctx context.Context, e mesh.SendFetch) {
	defer c.fetchSent(e.Send)
	late := uint64(0) // bytes that came when their session was over already
	defer func() { c.n.cheques.owe(map[api.NodeID]uint64{e.To: late}) }()
	arrived := func(addr api.Address, data []byte) error {
		if s := c.fetch(e.Fetch); s == nil || !s.arrived(e.To, len(data)) {
			late += uint64(len(data))
		}
		c.stepData(mesh.FetchArrived{Send: e.Send, Addr: addr, Size: uint32(len(data))}, data)
		return ctx.Err()
	}
	var err error
	if e.To == c.n.id.ID() {
		err = c.n.readLocal(ctx, e.Addrs, arrived)
	} else {
		err = c.n.net.Fetch(ctx, e.To, e.Addrs, arrived)
	}
	var missing *p2p.BlockErrors
	if errors.As(err, &missing) {
		byKind := map[api.Kind][]api.Address{}
		for _, b := range missing.Blocks {
			byKind[b.Kind] = append(byKind[b.Kind], b.Addr)
		}
		for kind, addrs := range byKind {
			c.step(mesh.FetchMissed{Send: e.Send, Addrs: addrs, Kind: kind})
		}
	}
	if err != nil {
		// Whatever has neither arrived nor been named above.
		c.step(mesh.FetchMissed{Send: e.Send, Kind: api.KindOf(err)})
	}
}

// storeTimeout bounds one SendStore, which the coordinator gives up as late.
const storeTimeout = time.Minute

// sendStore makes blocks durable on one holder, for a put or for a repair.
func (c *coordinator) sendStore(e mesh.SendStore) {
	s := c.put(e.Put)
	receipt, err := c.store(s, e)
	if err != nil {
		c.n.metrics.storeFailed.Add(1)
		c.step(mesh.StoreFailed{Send: e.Send, Kind: failureKind(err)})
		return
	}
	if s != nil {
		s.receipted(receipt)
	}
	c.step(mesh.StoreAcked{Send: e.Send, Receipt: receipt})
}

func (c *coordinator) store(s *putSession, e mesh.SendStore) (r api.Receipt, err error) {
	ctx := c.n.ctx
	if s != nil {
		ctx = s.ctx
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var blocks []api.Block
	switch {
	case e.Put.IsZero():
		if blocks, err = c.repairBlocks(ctx, e); err == nil {
			r, err = c.sendRepair(ctx, e, blocks)
		}
	case s == nil:
		err = api.Errorf("node.store", api.Canceled, "the put is over")
	default:
		if blocks = s.blocks(e.Batch, e.Addrs); len(blocks) != len(e.Addrs) {
			err = api.Errorf("node.store", api.NotFound, "the batch is gone")
		} else if e.To == c.n.id.ID() {
			r, err = c.n.storeAs(ctx, e.To, e.Lease, blocks)
		} else {
			r, err = s.send(ctx, e.To, e.Lease, blocks)
		}
	}
	if err != nil {
		return r, err
	}
	return r, c.n.checkStored(r, e, blocks)
}

// checkStored verifies that a receipt is the asked holder's, for exactly the
// blocks that were sent: what it says is what its holder will be paid for.
func (n *Node) checkStored(r api.Receipt, e mesh.SendStore, blocks []api.Block) error {
	bytes := uint64(0)
	for _, b := range blocks {
		bytes += uint64(len(b.Data))
	}
	if r.Bytes != bytes || r.Lease != e.Lease || r.Blocks != identity.BatchDigest(e.Addrs) {
		return api.Errorf("node.receipt", api.Unverified, "the receipt is for something else")
	}
	if e.To == n.id.ID() {
		return nil
	}
	return n.checkReceipt(r, e.To)
}

// sendRepair sends blocks, and then the terms of the lease to keep them under:
// a holder takes terms from others than the owner only for what it has.
func (c *coordinator) sendRepair(ctx context.Context, e mesh.SendStore, blocks []api.Block) (api.Receipt, error) {
	lease, err := c.n.leases.terms(e.Lease)
	if err != nil {
		return api.Receipt{}, err
	}
	r, err := c.n.net.StoreBlocks(ctx, e.To, e.Lease, blocks)
	if err != nil {
		return r, err
	}
	return r, c.n.sendLease(ctx, e.To, wire.LeaseTerms{Lease: lease})
}

// repairBlocks reads the blocks of a repair.
func (c *coordinator) repairBlocks(ctx context.Context, e mesh.SendStore) ([]api.Block, error) {
	blocks := make([]api.Block, 0, len(e.Addrs))
	for _, addr := range e.Addrs {
		data, err := c.n.store.Get(ctx, addr, nil)
		if err != nil {
			return nil, api.E("node.repair", api.NotFound, err) // all or none: the receipt is for all
		}
		blocks = append(blocks, api.Block{Addr: addr, Data: data})
	}
	return blocks, nil
}

func (c *coordinator) sendCommit(e mesh.SendCommit) {
	var err error
	if e.To == c.n.id.ID() {
		err = c.n.leases.commit(c.n.ctx, e.To, e.From, e.Lease)
	} else {
		err = c.n.sendLease(c.n.ctx, e.To, wire.LeaseTerms{From: e.From, Lease: e.Lease, Short: e.Short})
	}
	if err != nil {
		c.step(mesh.CommitFailed{Send: e.Send, Kind: failureKind(err)})
		return
	}
	c.step(mesh.CommitAcked{Send: e.Send})
	if e.Short && e.To == c.n.id.ID() {
		c.step(mesh.Recheck{})
	}
}

func (c *coordinator) sendRelease(e mesh.SendRelease) {
	if e.To == c.n.id.ID() {
		_ = c.n.leases.release(c.n.ctx, e.Lease)
		c.n.stir()
		return
	}
	ctx, cancel := context.WithTimeout(c.n.ctx, callTimeout)
	defer cancel()
	if err := c.n.net.ReleaseLease(ctx, e.To, e.Lease); err != nil {
		c.n.cfg.Log("release on %s: %v", e.To.Short(), err)
	}
}

// scanLocal reads one page of the local store for repair. A page ends between
// two addresses, so the cursor's lease is not needed.
func (c *coordinator) scanLocal(e mesh.ScanLocal) {
	limit := min(e.Limit, mesh.MaxScanPage)
	page := make([]mesh.LocalBlock, 0, limit)
	whole, done := 0, true // page[:whole] are the rows of whole addresses
	err := c.n.store.Each(c.n.ctx, api.LeaseID{}, e.AfterAddr, func(addr api.Address, lease api.LeaseID, size int) bool {
		if len(page) > 0 && page[len(page)-1].Addr != addr {
			whole = len(page)
		}
		if len(page) == limit {
			done = false
			return whole == 0 // one address with more leases than a page: its other leases are passed over
		}
		page = append(page, mesh.LocalBlock{Addr: addr, Lease: lease, Size: uint32(size)})
		return true
	})
	if err != nil { // no answer: the coordinator begins another scan when this one is late
		if c.n.ctx.Err() == nil {
			c.n.cfg.Log("repair scan: %v", err)
		}
		return
	}
	if !done {
		if whole == 0 {
			whole = len(page) // that address ends the store or goes on after the page: either way the scan moves past it
		}
		page = page[:whole]
	}
	slices.SortFunc(page, func(a, b mesh.LocalBlock) int {
		if d := bytes.Compare(a.Addr[:], b.Addr[:]); d != 0 {
			return d
		}
		return bytes.Compare(a.Lease[:], b.Lease[:])
	})
	for i := range page {
		if lease, err := c.n.leases.terms(page[i].Lease); err == nil {
			page[i].Copies = lease.Copies
		}
	}
	c.step(mesh.LocalBlocks{Scan: e.Scan, Blocks: page, Done: done})
}

func (c *coordinator) askHas(e mesh.AskHas) {
	ctx, cancel := context.WithTimeout(c.n.ctx, callTimeout)
	defer cancel()
	has, err := c.n.hasOn(ctx, e.To, e.Addrs)
	if err != nil {
		c.step(mesh.HasFailed{Send: e.Send, Kind: failureKind(err)})
		return
	}
	c.step(mesh.HasAnswered{Send: e.Send, Has: has})
}

func (c *coordinator) put(id api.ID) *putSession {
	c.sessions.Lock()
	defer c.sessions.Unlock()
	return c.puts[id]
}

func (c *coordinator) fetch(id api.ID) *fetchSession {
	c.sessions.Lock()
	defer c.sessions.Unlock()
	return c.fetches[id]
}

// failureKind classifies a failed request; an unclassified one counts as the
// peer being unreachable.
func failureKind(err error) api.Kind {
	if k := api.KindOf(err); k != api.Other {
		return k
	}
	return api.Unavailable
}
