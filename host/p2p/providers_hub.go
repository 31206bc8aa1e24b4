//go:build !js

package p2p

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/semaphore"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/wire"
)

// Bounds of what a hub does for leaves.
const (
	providerRate   = 2               // calls a second of one member, on average
	providerBurst  = 256             // calls of one member at once: a tab announces what it has when it arrives
	providerWork   = 8               // searches and spreadings under way for all
	providerTime   = 5 * time.Second // of one spreading or search
	providerSpread = dhtBucket       // nodes told about one record
)

// desk keeps and finds provider records for leaves.
type desk struct {
	work  *semaphore.Weighted // providerWork
	paces paces
}

func newDesk() *desk {
	return &desk{work: semaphore.NewWeighted(providerWork), paces: paces{rate: providerRate, burst: providerBurst}}
}

// admit refuses a member that asks too often.
func (d *desk) admit(n api.NodeID) error {
	if !d.paces.take(n) {
		return api.Errorf("p2p.providers", api.Exhausted, "too many calls about providers; try again in a minute")
	}
	return nil
}

// begin takes one of the places for work on the network.
func (d *desk) begin() (func(), error) {
	if !d.work.TryAcquire(1) {
		return nil, api.Errorf("p2p.providers", api.Exhausted, "this node searches for as many others as it allows; try another or again")
	}
	return func() { d.work.Release(1) }, nil
}

// registerProviderCalls answers leaves, and hubs that pass their records on.
func (u *hub) registerProviderCalls() error {
	member := HandleOptions{RequireMember: true}
	if err := u.owner.Handle(methodProviderPut, member, u.handleProviderPut); err != nil {
		return err
	}
	return u.owner.Handle(methodProviderFind, member, u.handleProviderFind)
}

// handleProviderPut keeps a record for its provider. One that arrives from the
// provider itself is spread to the nodes where a search ends; one that arrives
// from a third node only lies here.
func (u *hub) handleProviderPut(ctx context.Context, from api.NodeID, req []byte) ([]byte, error) {
	const op = "p2p.providers"
	put, err := wire.DecodeProviderPut(req)
	if err != nil {
		return nil, err
	}
	if err := u.desk.admit(from); err != nil {
		return nil, err
	}
	r := put.Record
	if !u.owner.cfg.Member(r.Provider) {
		return nil, api.Errorf(op, api.Denied, "the provider is no member of this mesh")
	}
	if put.Spread && r.Provider != from {
		return nil, api.Errorf(op, api.Denied, "a record is spread for its provider only")
	}
	if err := identity.VerifyProvider(r, time.Now().Unix()); err != nil {
		return nil, err
	}
	c, err := cidOf(r.Root)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	if err := u.dht.ProviderStore().AddProvider(ctx, c.Hash(), peer.AddrInfo{ID: peerOf(r.Provider)}); err != nil {
		return nil, api.E(op, api.Exhausted, err)
	}
	if !put.Spread {
		return nil, nil
	}
	done, err := u.desk.begin()
	if err != nil {
		return nil, err
	}
	defer done()
	u.spread(ctx, string(c.Hash()), r)
	return nil, nil
}

// spread brings a record to the nodes nearest to its root. Those that cannot be
// told do without: it is a hint, renewed daily.
func (u *hub) spread(ctx context.Context, key string, r api.ProviderRecord) {
	ctx, cancel := context.WithTimeout(ctx, providerTime)
	defer cancel()
	b, err := wire.EncodeProviderPut(wire.ProviderPut{Record: r})
	if err != nil || u.dht.RoutingTable().Size() == 0 {
		return
	}
	near, err := u.dht.GetClosestPeers(ctx, key)
	if err != nil {
		return
	}
	var told sync.WaitGroup
	for _, p := range near[:min(len(near), providerSpread)] {
		n, ok := nodeOf(p)
		if !ok || n == u.owner.id || n == r.Provider {
			continue
		}
		told.Go(func() { _, _ = u.owner.Call(ctx, n, methodProviderPut, b) })
	}
	told.Wait()
}

// handleProviderFind searches for a leaf.
func (u *hub) handleProviderFind(ctx context.Context, from api.NodeID, req []byte) ([]byte, error) {
	q, err := wire.DecodeProviderQuery(req)
	if err != nil {
		return nil, err
	}
	if err := u.desk.admit(from); err != nil {
		return nil, err
	}
	done, err := u.desk.begin()
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, providerTime)
	defer cancel()
	found, err := u.findProviders(ctx, q.Root, min(max(int(q.Max), 1), maxFound))
	if err != nil {
		return nil, err
	}
	return joinNodes(found), nil
}
