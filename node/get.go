package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/mesh"
)

// providerTime bounds the search of the DHT for a root that nobody has.
const providerTime = 2 * time.Second

// fetchSession is one Fetch call waiting for blocks of other holders.
type fetchSession struct {
	want int           // distinct addresses
	done chan struct{} // closed when the session is over

	turn sync.Mutex // serialises deliver, as api.Fetcher promises
	fn   func(addr api.Address, data []byte) error

	mu    sync.Mutex
	got   int                   // guarded by mu
	from  map[api.NodeID]uint64 // guarded by mu; bytes each holder brought, wanted or not; nil once they are owed
	err   error                 // guarded by mu; the first failure
	ended bool                  // guarded by mu
	over  bool                  // guarded by mu; the coordinator said FetchDone
}

// arrived counts bytes that a holder sent, for which it is paid even if another
// was quicker. It returns false when the session's bytes were added up already.
func (s *fetchSession) arrived(from api.NodeID, bytes int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.from == nil {
		return false
	}
	s.from[from] += uint64(bytes)
	return true
}

func (s *fetchSession) deliver(addr api.Address, data []byte) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	stop := s.ended
	s.mu.Unlock()
	if stop {
		return
	}
	err := s.fn(addr, data)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got++
	if err != nil && s.err == nil {
		s.err = err
	}
	s.settle()
}

// finish records the coordinator's verdict. Blocks whose delivery still runs
// are waited for.
func (s *fetchSession) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if err != nil && s.err == nil {
		s.err = err
	}
	s.settle()
}

// settle ends the session when there is nothing left to wait for. mu is held.
func (s *fetchSession) settle() {
	if s.ended || (s.err == nil && (!s.over || s.got < s.want)) {
		return
	}
	s.ended = true
	close(s.done)
}

// Fetch implements api.Fetcher: the local store first, then the other holders,
// several at once, each block verified before it is delivered. What other
// members served is paid by cheque.
func (n *Node) Fetch(ctx context.Context, addrs []api.Address, deliver func(addr api.Address, data []byte) error) error {
	return n.fetchHinted(ctx, addrs, nil, deliver)
}

// fetchHinted is Fetch with nodes that are likely to hold the blocks.
func (n *Node) fetchHinted(ctx context.Context, addrs []api.Address, hints []api.NodeID, deliver func(addr api.Address, data []byte) error) error {
	addrs = distinct(addrs)
	has, err := n.store.Has(ctx, addrs)
	if err != nil {
		return err
	}
	var local, remote []api.Address
	for i, a := range addrs {
		if has[i] {
			local = append(local, a)
		} else {
			remote = append(remote, a)
		}
	}
	bad, err := n.fetchLocal(ctx, local, deliver)
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		n.coord.step(mesh.Recheck{}) // another holder will bring them back
	}
	remote = append(remote, bad...)
	deliver, keep := n.cached(ctx, deliver)
	defer keep()
	for len(remote) > 0 && err == nil {
		part := remote[:min(len(remote), maxFetch)]
		remote = remote[len(part):]
		err = n.fetchRemote(ctx, part, hints, deliver)
	}
	return err
}

// objectReader fetches the blocks of one object. When no keeper has some of them,
// it asks once who else provides the object's root, a tab's cache perhaps, and
// goes on there. One read uses it, in one goroutine or several.
type objectReader struct {
	n    *Node
	root api.Address

	mu    sync.Mutex
	asked bool         // guarded by mu
	hints []api.NodeID // guarded by mu; who provides the root, at most mesh.MaxHints
}

// reader returns what reads an object's blocks.
func (n *Node) reader(root api.Address) *objectReader { return &objectReader{n: n, root: root} }

// Fetch implements api.Fetcher.
func (r *objectReader) Fetch(ctx context.Context, addrs []api.Address, deliver func(addr api.Address, data []byte) error) error {
	r.mu.Lock()
	asked, hints := r.asked, r.hints
	r.mu.Unlock()
	got := map[api.Address]struct{}{}
	err := r.n.fetchHinted(ctx, addrs, hints, func(addr api.Address, data []byte) error {
		got[addr] = struct{}{}
		return deliver(addr, data)
	})
	if asked || api.KindOf(err) != api.NotFound {
		return err
	}
	if hints = r.providers(ctx); len(hints) == 0 {
		return err
	}
	left := slices.DeleteFunc(distinct(addrs), func(a api.Address) bool { _, ok := got[a]; return ok })
	return r.n.fetchHinted(ctx, left, hints, deliver)
}

// providers asks once.
func (r *objectReader) providers(ctx context.Context) []api.NodeID {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.asked {
		r.asked, r.hints = true, r.n.providers(ctx, r.root)
	}
	return r.hints
}

// providers asks the DHT which other members have a root.
func (n *Node) providers(ctx context.Context, root api.Address) []api.NodeID {
	if n.coordinatorPeers() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, providerTime)
	defer cancel()
	found, _ := n.net.FindProviders(ctx, root, mesh.MaxHints) // none is as good as an error here
	return slices.DeleteFunc(found, func(id api.NodeID) bool { return id == n.id.ID() })
}

// fetchLocal delivers blocks of the local store and returns those that turned
// out corrupt or missing, to be brought from elsewhere.
func (n *Node) fetchLocal(ctx context.Context, addrs []api.Address, deliver func(addr api.Address, data []byte) error) (bad []api.Address, err error) {
	buf := n.buffers.get()
	defer func() { n.buffers.put(buf) }()
	for _, a := range addrs {
		data, err := n.store.Get(ctx, a, buf[:0])
		if err != nil {
			if ctx.Err() != nil {
				return nil, api.E("node.fetch", api.Other, ctx.Err())
			}
			n.metrics.localBad.Add(1)
			bad = append(bad, a)
			continue
		}
		if err := deliver(a, data); err != nil {
			return nil, err
		}
	}
	return bad, nil
}

func (n *Node) fetchRemote(ctx context.Context, addrs []api.Address, hints []api.NodeID, deliver func(addr api.Address, data []byte) error) error {
	s := &fetchSession{want: len(addrs), done: make(chan struct{}), fn: deliver, from: map[api.NodeID]uint64{}}
	id := api.RandomID()
	wants := make([]mesh.BlockRef, len(addrs))
	for i, a := range addrs {
		wants[i] = mesh.BlockRef{Addr: a}
	}
	c := n.coord
	c.sessions.Lock()
	c.fetches[id] = s
	c.sessions.Unlock()
	defer func() {
		c.sessions.Lock()
		delete(c.fetches, id)
		c.sessions.Unlock()
	}()
	c.step(mesh.FetchBegin{Fetch: id, Wants: wants, Hints: hints[:min(len(hints), mesh.MaxHints)]})
	select {
	case <-s.done:
	case <-ctx.Done():
		s.finish(api.E("node.fetch", api.Other, ctx.Err()))
	case <-n.ctx.Done():
		s.finish(api.Errorf("node.fetch", api.Closed, "the node is stopping"))
	}
	<-s.done
	// No delivery may run once Fetch has returned.
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	over, from, err := s.over, s.from, s.err
	s.from = nil
	s.mu.Unlock()
	if !over {
		c.step(mesh.FetchAbort{Fetch: id})
	}
	n.cheques.owe(from)
	return err
}

// readLocal serves a SendFetch addressed to this node.
func (n *Node) readLocal(ctx context.Context, addrs []api.Address, arrived func(addr api.Address, data []byte) error) error {
	buf := n.buffers.get()
	defer func() { n.buffers.put(buf) }()
	for _, a := range addrs {
		data, err := n.store.Get(ctx, a, buf[:0])
		if err != nil {
			return err
		}
		if err := arrived(a, data); err != nil {
			return err
		}
	}
	return nil
}

func distinct(addrs []api.Address) []api.Address {
	seen := make(map[api.Address]struct{}, len(addrs))
	out := addrs[:0:0]
	for _, a := range addrs {
		if _, dup := seen[a]; !dup {
			seen[a] = struct{}{}
			out = append(out, a)
		}
	}
	return out
}

// notHere explains a failed read of a link to people.
func notHere(link api.Link, err error) error {
	if api.KindOf(err) != api.NotFound {
		return err
	}
	return api.E("node.get", api.NotFound, fmt.Errorf("no node of this mesh has %s: check the link, or that the nodes that keep it are up: %w", link.Root.Short(), err))
}
