package p2p

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/layout"
	"inos/kernel/wire"
)

const (
	leafHubs  = 3     // hubs that keep a leaf's records, and that are asked
	leafRoots = 4_096 // roots that a leaf remembers to have announced
)

// leafOverlay is the overlay of a leaf: news by floodsub, provider records by
// calls to the hubs it is connected to.
type leafOverlay struct {
	l    *leaf
	news *leafNews

	mu    sync.Mutex
	roots map[api.Address]struct{} // guarded by mu; at most leafRoots, then begun anew
}

func newLeafOverlay(l *leaf) *leafOverlay {
	return &leafOverlay{l: l, news: newLeafNews(l), roots: make(map[api.Address]struct{})}
}

func (o *leafOverlay) start() error {
	o.l.handle(floodProtocol, o.l.owner.members(o.news.serve))
	return nil
}

func (o *leafOverlay) stop() error { return nil }

func (o *leafOverlay) subscribe(topic string, validate func(api.NodeID, []byte) bool, fn func(api.NodeID, []byte)) error {
	return o.news.subscribe(topic, validate, fn)
}

func (o *leafOverlay) publish(_ context.Context, topic string, data []byte) error {
	return o.news.publish(topic, data)
}

// admitted has the worker ask a member for a place in its relay, and begins to
// exchange news with it.
func (o *leafOverlay) admitted(n api.NodeID) {
	for _, c := range o.l.connsOf(n) {
		o.l.tell(frame{kind: layout.NetMember, conn: c.id})
	}
	o.news.admitted(n)
}

// provide has leafHubs hubs keep a signed record. Without any connection the
// root is only remembered here.
func (o *leafOverlay) provide(ctx context.Context, root api.Address) error {
	const op = "p2p.provide"
	o.mu.Lock()
	if len(o.roots) >= leafRoots {
		clear(o.roots)
	}
	o.roots[root] = struct{}{}
	o.mu.Unlock()
	own := identity.NewFromSeed([identity.SeedSize]byte(o.l.owner.cfg.Key.Seed()))
	r := identity.SignProvider(own, api.ProviderRecord{Root: root, Expires: time.Now().Unix() + identity.MaxProviderTime - 3600})
	b, err := wire.EncodeProviderPut(wire.ProviderPut{Record: r, Spread: true})
	if err != nil {
		return api.E(op, api.Other, err)
	}
	kept := 0
	err = o.ask(ctx, methodProviderPut, b, func([]byte) bool {
		kept++
		return kept == leafHubs
	})
	if kept > 0 {
		return nil
	}
	return err
}

// findProviders asks one hub after another until one knows some.
func (o *leafOverlay) findProviders(ctx context.Context, root api.Address, most int) ([]api.NodeID, error) {
	var found []api.NodeID
	o.mu.Lock()
	if _, own := o.roots[root]; own {
		found = append(found, o.l.owner.id)
	}
	o.mu.Unlock()
	b, err := wire.EncodeProviderQuery(wire.ProviderQuery{Root: root, Max: uint16(most)})
	if err != nil {
		return nil, err
	}
	asked := 0
	err = o.ask(ctx, methodProviderFind, b, func(answer []byte) bool {
		asked++
		list, ok := splitNodes(answer, most)
		if !ok {
			return false
		}
		for _, n := range list {
			if o.l.owner.cfg.Member(n) && !slices.Contains(found, n) && len(found) < most {
				found = append(found, n)
			}
		}
		return len(found) > 0 || asked == leafHubs
	})
	if asked > 0 || len(found) > 0 {
		return found, nil
	}
	return nil, err
}

// ask calls the connected members, the nearest first, until enough says so.
// Other leaves know no such method and are passed over. The error is the last
// one's, nil when nobody is connected.
func (o *leafOverlay) ask(ctx context.Context, method string, req []byte, enough func(answer []byte) bool) error {
	var last error
	peers := o.l.owner.Peers()
	slices.SortStableFunc(peers, func(a, b PeerInfo) int { return cmp.Compare(a.Latency, b.Latency) })
	for _, p := range peers {
		answer, err := o.l.owner.Call(ctx, p.ID, method, req)
		switch {
		case err == nil:
			if enough(answer) {
				return nil
			}
		case ctx.Err() != nil:
			return err
		case !errors.Is(err, api.Unsupported):
			last = err
		}
	}
	return last
}
