package node

import (
	"context"
	"slices"
	"sync"

	"inos/host/p2p"
	"inos/kernel/api"
	"inos/kernel/mesh"
	"inos/kernel/wire"
)

// Bounds of one batch of a put. A batch is one message and one sync per holder.
const (
	batchBytes  = 8 << 20
	batchBlocks = 1024
	askHasBytes = 256 << 10        // from here on a holder is asked what it already has
	maxSeen     = 1 << 20          // addresses remembered to skip repeated blocks
	maxReceipts = wire.MaxReceipts // handed to another owner
)

// putSession collects the blocks of one put into batches and keeps each
// batch's bytes until enough holders have signed for it.
//
// Invariants, under mu:
//   - pendingBytes+flightBytes stays within the window plus one block: sink
//     blocks otherwise.
//   - Batches of one put are formed like group commits: the first block goes at
//     once, and while it is under way the next ones gather.
//   - The coordinator hears of the commit after every batch: several goroutines
//     cut batches and step them with mu released, and the one that steps the last
//     brings the commit.
type putSession struct {
	n      *Node
	id     api.ID
	lease  api.LeaseID
	ctx    context.Context // ends with close, and with the node: sending under it stops
	cancel context.CancelFunc

	wake  chan struct{}  // capacity 1: the progress changed
	tells sync.WaitGroup // the goroutine that tells it

	mu           sync.Mutex
	room         sync.Cond // waits for bytes to leave the window
	pending      []api.Block
	pendingBytes int
	flightBytes  int
	flight       map[uint64][]api.Block // batches sent and not acknowledged
	nextBatch    uint64
	unstepped    int // batches cut that the coordinator has not heard of
	seen         map[api.Address]struct{}
	progress     api.Progress
	quiet        bool // closed: wake is not written any more
	closing      bool // Finish was called: no more blocks come
	committed    *mesh.PutCommit
	over         bool
	result       mesh.PutDone
	done         chan struct{}
	paid         map[api.NodeID]*kept // what each holder signed for
	receipts     []api.Receipt        // the first maxReceipts
	signed       map[signature]struct{}
	streams      map[api.NodeID]*storeStream
}

// kept adds up one holder's receipts.
type kept struct {
	bytes  uint64
	blocks []api.Hash
}

// signature is what a receipt is counted once for.
type signature struct {
	holder api.NodeID
	blocks api.Hash
}

type storeStream struct {
	open    sync.Once
	session *p2p.StoreSession
	err     error
}

func (n *Node) beginPut(lease api.LeaseID, id api.ID, policy api.Policy, report func(api.Progress)) *putSession {
	s := &putSession{
		n: n, id: id, lease: lease,
		wake:    make(chan struct{}, 1),
		flight:  map[uint64][]api.Block{},
		seen:    map[api.Address]struct{}{},
		done:    make(chan struct{}),
		paid:    map[api.NodeID]*kept{},
		signed:  map[signature]struct{}{},
		streams: map[api.NodeID]*storeStream{},
	}
	s.ctx, s.cancel = context.WithCancel(n.ctx)
	s.room.L = &s.mu
	s.tells.Go(func() { s.tell(report) })
	n.coord.sessions.Lock()
	n.coord.puts[id] = s
	n.coord.sessions.Unlock()
	n.coord.step(mesh.PutBegin{Put: id, Lease: lease, Policy: policy})
	return s
}

// sink takes one block from the builder. It blocks while the window is full.
func (s *putSession) sink(ctx context.Context, b api.Block) error {
	s.mu.Lock()
	if _, dup := s.seen[b.Addr]; dup {
		s.mu.Unlock()
		return nil
	}
	if len(s.seen) >= maxSeen {
		clear(s.seen)
		for _, p := range s.pending { // a batch names a block once
			s.seen[p.Addr] = struct{}{}
		}
	}
	s.seen[b.Addr] = struct{}{}
	for !s.over && ctx.Err() == nil && s.pendingBytes+s.flightBytes >= s.n.cfg.PutWindow {
		s.room.Wait()
	}
	if err := s.stopped(ctx); err != nil {
		s.mu.Unlock()
		return err
	}
	s.pending = append(s.pending, b)
	s.pendingBytes += len(b.Data)
	s.progress.Blocks++
	s.progress.Wire += uint64(len(b.Data))
	send := s.cut()
	s.mu.Unlock()
	s.push(send)
	return nil
}

// push steps what was cut, and what may go after it.
func (s *putSession) push(send []mesh.Event) {
	for len(send) > 0 {
		s.n.stepAll(send)
		s.mu.Lock()
		for _, ev := range send {
			if _, batch := ev.(mesh.PutBlocks); batch {
				s.unstepped--
			}
		}
		send = s.cut()
		s.mu.Unlock()
	}
}

// tell reports the newest progress until close. The callback may be slow, or
// write to a client: it holds up nobody but this goroutine.
func (s *putSession) tell(report func(api.Progress)) {
	for range s.wake {
		s.mu.Lock()
		p := s.progress
		s.mu.Unlock()
		report(p)
	}
}

// stopped reports why the put cannot go on. mu is held.
func (s *putSession) stopped(ctx context.Context) error {
	if ctx.Err() != nil {
		return api.E("node.put", api.Other, ctx.Err())
	}
	if s.over {
		if s.result.Err != nil {
			return s.result.Err
		}
		return api.Errorf("node.put", api.Closed, "the put is over")
	}
	return nil
}

// cut forms the batches that may go now. mu is held.
func (s *putSession) cut() []mesh.Event {
	var out []mesh.Event
	for len(s.pending) > 0 && len(s.flight) < putWindowBatches &&
		(len(s.flight) == 0 || s.closing || s.pendingBytes >= batchBytes || len(s.pending) >= batchBlocks) {
		count, size := 0, 0
		for count < len(s.pending) && count < batchBlocks && size < batchBytes {
			size += len(s.pending[count].Data)
			count++
		}
		blocks := s.pending
		if count < len(blocks) {
			// A copy, and the rest moved: neither keeps the other's blocks in memory.
			blocks = slices.Clone(s.pending[:count])
			s.pending = slices.Delete(s.pending, 0, count)
		} else {
			s.pending = nil
		}
		s.pendingBytes -= size
		s.flightBytes += size
		s.unstepped++
		s.nextBatch++
		s.flight[s.nextBatch] = blocks
		refs := make([]mesh.BlockRef, len(blocks))
		for i, b := range blocks {
			refs[i] = mesh.BlockRef{Addr: b.Addr, Size: uint32(len(b.Data))}
		}
		out = append(out, mesh.PutBlocks{Put: s.id, Batch: s.nextBatch, Blocks: refs})
	}
	if s.committed != nil && len(s.pending) == 0 && s.unstepped == 0 {
		out = append(out, *s.committed)
		s.committed = nil
	}
	return out
}

// acked forgets a batch that has its receipts.
func (s *putSession) acked(batch uint64) {
	s.mu.Lock()
	for _, b := range s.flight[batch] {
		s.flightBytes -= len(b.Data)
		s.progress.Acked++
	}
	delete(s.flight, batch)
	send := s.cut()
	s.room.Broadcast()
	if !s.quiet {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	s.mu.Unlock()
	s.push(send)
}

// receipted adds a verified receipt to what its holder is paid for, once.
func (s *putSession) receipted(r api.Receipt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	by := signature{r.Holder, r.Blocks}
	if _, twice := s.signed[by]; twice {
		return
	}
	s.signed[by] = struct{}{}
	k := s.paid[r.Holder]
	if k == nil {
		k = &kept{}
		s.paid[r.Holder] = k
		s.progress.Nodes++
	}
	k.bytes += r.Bytes
	k.blocks = append(k.blocks, r.Blocks)
	if len(s.receipts) < maxReceipts {
		s.receipts = append(s.receipts, r)
	}
}

// earned returns what each holder is paid for, and receipts that prove it, as
// of now: receipts may still come in.
func (s *putSession) earned(holders []api.NodeID) (map[api.NodeID]*kept, []api.Receipt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[api.NodeID]*kept, len(holders))
	for _, h := range holders {
		if k := s.paid[h]; k != nil {
			out[h] = &kept{k.bytes, slices.Clone(k.blocks)}
		}
	}
	var receipts []api.Receipt
	for _, r := range s.receipts {
		if out[r.Holder] != nil {
			receipts = append(receipts, r)
		}
	}
	return out, receipts
}

// finish ends the session with the coordinator's verdict.
func (s *putSession) finish(d mesh.PutDone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.over, s.result = true, d
	s.room.Broadcast()
	close(s.done)
}

// blocks returns the named blocks of a batch that is still under way.
func (s *putSession) blocks(batch uint64, addrs []api.Address) []api.Block {
	s.mu.Lock()
	all := s.flight[batch]
	s.mu.Unlock()
	if len(addrs) == len(all) {
		return all
	}
	want := make(map[api.Address]struct{}, len(addrs))
	for _, a := range addrs {
		want[a] = struct{}{}
	}
	out := make([]api.Block, 0, len(addrs))
	for _, b := range all {
		if _, ok := want[b.Addr]; ok {
			out = append(out, b)
		}
	}
	return out
}

// send makes blocks durable on another node. What the holder already has is
// not sent again: that is how an interrupted upload resumes.
func (s *putSession) send(ctx context.Context, to api.NodeID, lease api.LeaseID, blocks []api.Block) (api.Receipt, error) {
	addrs, size := make([]api.Address, len(blocks)), 0
	for i, b := range blocks {
		addrs[i] = b.Addr
		size += len(b.Data)
	}
	missing := blocks
	if size >= askHasBytes {
		has, err := s.n.net.Has(ctx, to, addrs)
		if err != nil {
			return api.Receipt{}, err
		}
		missing = make([]api.Block, 0, len(blocks))
		for i, b := range blocks {
			if !has[i] {
				missing = append(missing, b)
			}
		}
	}
	var r api.Receipt
	var err error
	if len(missing) > 0 {
		r, err = s.stream(ctx, to, lease, missing)
	}
	if err == nil && len(missing) < len(blocks) {
		s.mu.Lock()
		s.progress.Known += uint64(len(blocks) - len(missing))
		s.mu.Unlock()
		r, err = s.n.net.AddLease(ctx, to, lease, addrs)
	}
	if err != nil {
		return r, err
	}
	return r, s.n.checkReceipt(r, to)
}

func (s *putSession) stream(ctx context.Context, to api.NodeID, lease api.LeaseID, blocks []api.Block) (api.Receipt, error) {
	s.mu.Lock()
	st := s.streams[to]
	if st == nil {
		st = &storeStream{}
		s.streams[to] = st
	}
	s.mu.Unlock()
	st.open.Do(func() {
		ctx, cancel := context.WithTimeout(s.ctx, storeTimeout)
		defer cancel()
		st.session, st.err = s.n.net.OpenStore(ctx, to)
	})
	type answer struct {
		r   api.Receipt
		err error
	}
	answers := make(chan answer, 1)
	err := st.err
	if err == nil {
		err = st.session.Send(ctx, lease, blocks, func(r api.Receipt, err error) { answers <- answer{r, err} })
	}
	if err == nil {
		select {
		case a := <-answers:
			if a.err == nil {
				return a.r, nil
			}
			err = a.err
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.mu.Lock()
	if s.streams[to] == st {
		delete(s.streams, to) // the next batch opens a fresh one
	}
	s.mu.Unlock()
	return api.Receipt{}, err
}

// commit waits until everything is durable under the final lease.
func (s *putSession) commit(ctx context.Context, final api.LeaseID, lease api.Lease) (mesh.PutDone, error) {
	s.mu.Lock()
	s.closing = true
	s.committed = &mesh.PutCommit{Put: s.id, Final: final, Lease: lease}
	send := s.cut()
	s.mu.Unlock()
	s.push(send)
	select {
	case <-s.done:
		return s.result, s.result.Err
	case <-ctx.Done():
		return mesh.PutDone{}, api.E("node.put", api.Other, ctx.Err())
	case <-s.n.ctx.Done():
		return mesh.PutDone{}, api.Errorf("node.put", api.Closed, "the node is stopping")
	}
}

// close drops the session; an unfinished put is aborted and its blocks released.
// Nothing is reported any more when it returns.
func (s *putSession) close() {
	s.cancel()
	s.mu.Lock()
	over, streams := s.over, s.streams
	s.over, s.quiet = true, true
	close(s.wake)
	s.streams = map[api.NodeID]*storeStream{}
	s.room.Broadcast()
	s.mu.Unlock()
	if !over {
		s.n.coord.step(mesh.PutAbort{Put: s.id})
	}
	s.n.coord.sessions.Lock()
	delete(s.n.coord.puts, s.id)
	s.n.coord.sessions.Unlock()
	for _, st := range streams {
		s.n.spawn(st.close)
	}
	s.tells.Wait()
}

// close waits for a stream that is being opened, if any, and closes it.
func (st *storeStream) close() {
	st.open.Do(func() { st.err = api.Errorf("node.put", api.Canceled, "the put is over") })
	if st.session != nil {
		_ = st.session.Close()
	}
}
