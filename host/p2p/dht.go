//go:build !js

package p2p

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"

	"inos/kernel/api"
)

// Bounds and pace of the provider records.
const (
	maxRecords  = 65_536          // records kept for others
	dhtRefresh  = 6 * time.Hour   // between walks of the routing table
	dhtBucket   = 20              // k of Kademlia
	dhtParallel = 4               // alpha of Kademlia
	dhtLookup   = 5 * time.Second // of one refresh query
)

// newDHT starts a private Kademlia: members only, provider records only, in
// memory. Records are a cache of who has a root; they are announced again by
// their owners and lost with the process.
func newDHT(u *hub) (*dht.IpfsDHT, error) {
	return dht.New(u.owner.ctx, u.gated,
		dht.ProtocolPrefix(dhtPrefix),
		dht.Mode(dht.ModeServer),
		dht.Datastore(&boundedStore{Batching: dssync.MutexWrap(ds.NewMapDatastore()), left: maxRecords}),
		dht.DisableValues(),
		dht.BucketSize(dhtBucket),
		dht.Concurrency(dhtParallel),
		dht.RoutingTableRefreshPeriod(dhtRefresh),
		dht.RoutingTableRefreshQueryTimeout(dhtLookup),
		dht.RoutingTableFilter(func(_ any, p peer.ID) bool { return u.isMember(p) }),
		dht.QueryFilter(func(_ any, ai peer.AddrInfo) bool { return u.isMember(ai.ID) }),
	)
}

func (u *hub) provide(ctx context.Context, root api.Address) error {
	const op = "p2p.provide"
	c, err := cidOf(root)
	if err != nil {
		return api.E(op, api.Invalid, err)
	}
	if u.dht.RoutingTable().Size() == 0 {
		return u.dht.Provide(ctx, c, false)
	}
	if err := u.dht.Provide(ctx, c, true); err != nil {
		return api.E(op, orUnavailable(err), err)
	}
	return nil
}

func (u *hub) findProviders(ctx context.Context, root api.Address, max int) ([]api.NodeID, error) {
	const op = "p2p.findproviders"
	c, err := cidOf(root)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	var found []api.NodeID
	for ai := range u.dht.FindProvidersAsync(ctx, c, max) {
		n, ok := nodeOf(ai.ID)
		if !ok || (n != u.owner.id && !u.owner.cfg.Member(n)) {
			continue
		}
		found = append(found, n)
	}
	return found, nil
}

func cidOf(a api.Address) (cid.Cid, error) { return cid.Decode(a.String()) }

func orUnavailable(err error) api.Kind {
	if k := api.KindOf(err); k != api.Other {
		return k
	}
	return api.Unavailable
}

// boundedStore refuses new records when it is full; the DHT drops expired ones.
type boundedStore struct {
	ds.Batching
	mu   sync.Mutex
	left int // guarded by mu; records that still fit
}

var errRecordsFull = errors.New("too many provider records")

// Put stores a record unless the store is full.
func (b *boundedStore) Put(ctx context.Context, k ds.Key, v []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	has, err := b.Has(ctx, k)
	if err != nil {
		return err
	}
	if !has {
		if b.left == 0 {
			return errRecordsFull
		}
		b.left--
	}
	return b.Batching.Put(ctx, k, v)
}

// Delete removes a record.
func (b *boundedStore) Delete(ctx context.Context, k ds.Key) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	has, err := b.Has(ctx, k)
	if err == nil && has {
		b.left++
	}
	return errors.Join(err, b.Batching.Delete(ctx, k))
}

// Batch writes through, so that the bound holds for batches too.
func (b *boundedStore) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(b), nil }
